"""A data folder that is opened for writing: its database is there, and of the present schema."""

from __future__ import annotations

import os
import time
from pathlib import Path

import apsw

from ..faults import reach
from .connect import connect_writer, let_go, mapped
from .layout import served_by
from .migrations import migrate, newest, version
from .swap import settle
from .writer import POLL_SECONDS, lock_gate, open_gate


def initialise(folder: Path, busy_timeout: float) -> None:
    """Makes or upgrades the database, behind the gate, so that of several processes that open a new folder one does.
    Raises StoreReadOnly, StoreNewer, StoreDamaged, StoreBusy."""
    deadline = time.monotonic() + busy_timeout
    gate = open_gate(folder)
    try:
        lock_gate(gate, folder, deadline)
        settle(folder, gated=served_by(folder) == folder)
        with mapped(folder):
            connection = connect_writer(folder)
            try:
                _require_writable(folder, connection)
                if version(connection) != newest() or connection.pragma("journal_mode") != "wal":
                    _sync_folder(folder)  # first: a process that is killed after migrating leaves nothing to do
                    migrate(connection, folder)
                    _keep_log(connection, deadline)
                    reach("schema.current")
            finally:
                let_go(connection)
    finally:
        os.close(gate)


def _require_writable(folder: Path, connection: apsw.Connection) -> None:
    if connection.readonly("main") or not os.access(folder, os.W_OK):
        raise apsw.ReadOnlyError(str(folder))


def _sync_folder(folder: Path) -> None:
    """The names of the new files must survive a power cut as well."""
    for path in (folder, folder.absolute().parent):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _keep_log(connection: apsw.Connection, deadline: float) -> None:
    """Switches to write-ahead logging, which asks for the file alone and does not wait for it by itself."""
    while True:
        try:
            connection.pragma("journal_mode", "WAL")
            return
        except apsw.BusyError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(POLL_SECONDS)
