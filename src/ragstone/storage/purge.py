"""What was deleted leaves the disk as well.

SQLite keeps the bytes of deleted rows in free pages, in the free part of pages, and in its log. VACUUM writes the
whole database anew without them, a checkpoint with TRUNCATE empties the log. Either is atomic: a purge that is killed
leaves the data as it was, and a second one goes all the way.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from ..errors import DiskFull, StoreBusy
from .connect import DATABASE, SCRATCH, connect_writer, mapped, os_error
from .migrations import queries
from .writer import POLL_SECONDS, lock_gate, open_gate

WAIT_SECONDS: Final = 60.0
SCRATCH_SECONDS: Final = 3600.0
"""Temporary files of this age belong to nobody any more."""
STATEMENTS: Final = ("purge_embeddings", "purge_extractions", "purge_terms", "purge_waiting", "purge_roots")


def purge_database(
    folder: Path, *, needed: Callable[[str], bool] = lambda _key: True, wait: float = WAIT_SECONDS
) -> int:
    """Removes rows that nothing refers to and remembered metadata whose key is not `needed`, then the bytes of
    everything that was deleted; returns by how many bytes database and log shrank. Writers wait meanwhile (a second
    for 100 MB), readers do not. Raises DiskFull where there is no room for a second copy, StoreBusy where a reader or
    writer of another process does not end within `wait` seconds; purging again is always right."""
    before = _size(folder)
    deadline = time.monotonic() + wait
    gate = open_gate(folder)
    try:
        lock_gate(gate, folder, deadline)
        _require_room(folder)
        with mapped(folder):
            connection = connect_writer(folder)
            try:
                _purge(connection, needed, folder, deadline)
            finally:
                connection.close()
        clear_scratch(folder)
    finally:
        os.close(gate)
    return max(0, before - _size(folder))


def _purge(connection: apsw.Connection, needed: Callable[[str], bool], folder: Path, deadline: float) -> None:
    connection.set_busy_timeout(max(1, int(1000 * (deadline - time.monotonic()))))
    connection.pragma("secure_delete", "ON")
    connection.pragma("temp_store", "FILE")  # the copy would not fit into memory; the file has no name
    connection.execute("BEGIN IMMEDIATE")
    try:
        for name in STATEMENTS:
            connection.execute(queries()[name])
        keys = [row[0] for row in connection.execute(queries()["state_keys"], {"prefix": "metadata:"})]
        connection.executemany(queries()["forget_state"], [(key,) for key in keys if not needed(key)])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("VACUUM")
    while True:
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return
        except apsw.BusyError as error:
            if time.monotonic() >= deadline:
                raise StoreBusy(
                    f"another process reads an old state of {folder} for too long, so its bytes are still in the log.",
                    "Stop it, or wait for it; then purge again.",
                ) from error
        time.sleep(POLL_SECONDS)


def clear_scratch(folder: Path, *, older_than: float = SCRATCH_SECONDS) -> list[str]:
    """Removes what was left in the scratch folder; returns the names."""
    removed = []
    for path in sorted((folder / SCRATCH).glob("*")):
        try:
            if time.time() - path.lstat().st_mtime < older_than:
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise os_error(error, folder) from error
        removed.append(path.name)
    return removed


def _require_room(folder: Path) -> None:
    """The new database stands in the log before it takes the place of the old one."""
    needed = 2 * (folder / DATABASE).stat().st_size
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"purging writes the database anew, which takes {needed >> 20} MiB, and {free >> 20} MiB are free.",
            "Free space on that disk and purge again.",
        )


def _size(folder: Path) -> int:
    paths = (folder / DATABASE, folder / f"{DATABASE}-wal")
    return sum(path.stat().st_size for path in paths if path.exists())
