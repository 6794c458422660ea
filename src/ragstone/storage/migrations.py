"""The schema as numbered SQL files, each applied once, in a transaction together with its number."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from ..errors import StoreDamaged, StoreNewer, StoreReadOnly
from ..faults import reach

APPLICATION_ID: Final = 0x52474E45
"""In the file's header: tells a database of Ragstone from any other."""

_FILE = re.compile(r"(\d{4})_\w+\.sql")
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def scripts() -> dict[int, str]:
    """SQL of each migration by its number, rising from 1 without gaps."""
    found = {}
    for entry in resources.files(__package__).joinpath("sql").iterdir():
        match = _FILE.fullmatch(entry.name)
        if match:
            found[int(match[1])] = entry.read_text(encoding="utf-8")
    return dict(sorted(found.items()))


@cache
def queries() -> dict[str, str]:
    """Every query of sql/*.sql by the name in its `-- name:` line."""
    found: dict[str, str] = {}
    for entry in sorted(resources.files(__package__).joinpath("sql").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".sql") and not _FILE.fullmatch(entry.name):
            blocks = _NAME.split(entry.read_text(encoding="utf-8"))
            found |= {name: _plain(sql) for name, sql in zip(blocks[1::2], blocks[2::2], strict=True)}
    return found


def _plain(sql: str) -> str:
    """Without the comments that stand before the next query."""
    return "\n".join(line for line in sql.splitlines() if line and not line.startswith("--"))


def newest() -> int:
    return max(scripts())


def version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))


def require_current(connection: apsw.Connection, folder: Path) -> None:
    """For a reader, which cannot migrate. Raises StoreNewer, StoreDamaged, StoreReadOnly."""
    found = version(connection)
    _refuse_foreign(connection, found, folder)
    if found < newest():
        raise StoreReadOnly(
            f"the data folder {folder} was written by an older version (schema {found}, this one needs {newest()}).",
            "Open it once without read-only, so that it can be brought up to date.",
        )


def migrate(connection: apsw.Connection, folder: Path) -> None:
    """Brings an empty or older database to the newest schema. The caller keeps other writers away.
    Raises StoreNewer, StoreDamaged."""
    _refuse_foreign(connection, version(connection), folder)
    for number, script in scripts().items():
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version(connection) < number:
                connection.execute(script)
                connection.pragma("application_id", APPLICATION_ID)
                connection.pragma("user_version", number)
                reach("schema.applied")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _refuse_foreign(connection: apsw.Connection, found: int, folder: Path) -> None:
    owner = int(connection.pragma("application_id"))
    empty = found == 0 and owner == 0 and not connection.execute("SELECT count(*) FROM sqlite_schema").get
    if owner != APPLICATION_ID and not empty:
        raise StoreDamaged(
            f"the database in {folder} was not made by Ragstone.", "Choose another data folder with --data."
        )
    if found > newest():
        raise StoreNewer(
            f"the data folder {folder} was written by a newer version (schema {found}, this one knows {newest()}).",
            "Install the newer version of Ragstone, or choose another data folder with --data.",
        )
