"""What lies in a data folder.

    DATA/ragstone.db, segments/, scratch/    documents and indexes of the default tenant
    DATA/tenants/ID/                         the data folder of another tenant
    DATA/uploads/, DATA/tenants/ID/uploads/  files that a job has still to read
    DATA/originals/, DATA/tenants/ID/originals/  files whose pages are shown
    DATA/conversations/, DATA/tenants/ID/conversations/  what was said over HTTP, for a day
    DATA/jobs.db, DATA/server.db             jobs of all tenants; accounts, keys and the audit log
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .connect import DATABASE

TENANTS: Final = "tenants"
UPLOADS: Final = "uploads"
ORIGINALS: Final = "originals"
CONVERSATIONS: Final = "conversations"
JOBS: Final = "jobs.db"
JOBS_GATE: Final = "jobs.lock"
ACCOUNTS: Final = "server.db"
ACCOUNTS_GATE: Final = "server.lock"
SHARED: Final[Mapping[str, int]] = {JOBS: 1, ACCOUNTS: 1}
"""Databases of all tenants together, with the newest `user_version` that this version writes."""
LOGS: Final = ("-wal", "-shm", "-journal")
_TENANT: Final = re.compile(rf"{TENANTS}/[0-9A-Za-z_-]{{1,64}}")


def tenant_folders(folder: Path) -> list[str]:
    """Below `folder`, of the tenants that have stored anything; in order."""
    try:
        names = sorted(path.name for path in (folder / TENANTS).iterdir() if (path / DATABASE).exists())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [f"{TENANTS}/{name}" for name in names if is_place(f"{TENANTS}/{name}")]


def is_place(name: str) -> bool:
    """Whether a tenant's data may lie there; "" is the default tenant's."""
    return not name or _TENANT.fullmatch(name) is not None


def served_by(folder: Path) -> Path:
    """The folder that a server serves, of the data folder of any of its tenants."""
    return folder.parent.parent if folder.parent.name == TENANTS else folder


def own_files(folder: Path) -> list[Path]:
    """Files and folders below a data folder that are not another tenant's."""
    found: list[Path] = []
    try:
        top = sorted(folder.iterdir())
    except FileNotFoundError:
        return found
    for path in top:
        found.append(path)
        if path.name != TENANTS and path.is_dir() and not path.is_symlink():
            found.extend(path.rglob("*"))
    return found


def own_bytes(folder: Path) -> int:
    """Of the files of one tenant, and of what all share in the served folder. Those that vanish meanwhile (a merged
    index file) count nothing."""
    total = 0
    for path in own_files(folder):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total
