"""The tables of DATA/jobs.db, and rows as jobs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from ..errors import StoreNewer
from ..storage.connect import connect_writer, let_go, mapped, os_error
from ..storage.layout import JOBS, JOBS_GATE, SHARED
from ..storage.swap import settle
from ..storage.writer import lock_gate, open_gate
from ..types import Job, JobFailure, JobProgress

FOLDER: Final = "jobs"
VERSION: Final = SHARED[JOBS]

_TABLES = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, kind TEXT NOT NULL,
    state TEXT NOT NULL, priority INTEGER NOT NULL,
    position INTEGER NOT NULL,  -- in its lanes: when it was last queued by somebody, not by the queue
    payload BLOB NOT NULL, files BLOB NOT NULL, lanes BLOB NOT NULL, progress BLOB NOT NULL, result BLOB,
    failures BLOB NOT NULL,
    created REAL NOT NULL, started REAL, ended REAL, not_before REAL NOT NULL,  -- POSIX seconds
    attempts INTEGER NOT NULL, losses INTEGER NOT NULL, fence INTEGER NOT NULL,
    worker TEXT NOT NULL,  -- name of its process's lease file (budget/lease.py)
    until REAL NOT NULL,   -- end of the lease on the clock of this boot, which nobody sets
    cancelling INTEGER NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL
) STRICT;
CREATE INDEX jobs_waiting ON jobs (priority, tenant, position, kind, not_before, number) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (until, worker) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (state, ended) WHERE ended IS NOT NULL;
CREATE INDEX jobs_of ON jobs (tenant, number);
CREATE UNIQUE INDEX jobs_key ON jobs (tenant, key) WHERE key <> '';
CREATE TABLE lanes (  -- of jobs that have not ended
    lane BLOB NOT NULL, position INTEGER NOT NULL, job INTEGER NOT NULL, PRIMARY KEY (lane, position, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_of ON lanes (job);
CREATE TABLE files (name TEXT PRIMARY KEY, job INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX files_of ON files (job);
CREATE TABLE turns (tenant TEXT PRIMARY KEY, turn INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
INSERT INTO state VALUES (1, 0);
"""

COLUMNS: Final = (
    "id, number, tenant, kind, state, priority, payload, files, progress, result, failures, created, started, ended, "
    "not_before, attempts, losses, worker, cancelling, version"
)


def prepare(folder: Path, busy_timeout: float) -> None:
    """Makes the folder and the database where they are not there. Raises StoreError and its kinds."""
    settle(folder)
    try:
        for path in (folder, folder / FOLDER):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(folder / JOBS, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise os_error(error, folder) from error
    gate = open_gate(folder, JOBS_GATE)
    try:
        lock_gate(gate, folder, time.monotonic() + busy_timeout)
        with mapped(folder):
            connection = connect_writer(folder, JOBS)
            try:
                _migrate(connection, folder)
            finally:
                let_go(connection)
    finally:
        os.close(gate)


def _migrate(connection: apsw.Connection, folder: Path) -> None:
    found = connection.pragma("user_version")
    if found > VERSION:
        raise StoreNewer(
            f"the jobs in {folder / JOBS} were written by a newer version of Ragstone.", "Install that version."
        )
    if connection.pragma("journal_mode") != "wal":  # new, or restored
        sync_folder(folder)
        connection.pragma("journal_mode", "WAL")
    if found == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_TABLES)
        connection.pragma("user_version", VERSION)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def sync_folder(folder: Path) -> None:
    """The names of new files in it survive a power cut from now on."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def job_of(row: tuple[Any, ...]) -> Job:
    """From COLUMNS."""
    fields = list(row)
    fields[6] = msgspec.json.decode(fields[6])
    fields[7] = msgspec.json.decode(fields[7], type=tuple[str, ...])
    fields[8] = msgspec.json.decode(fields[8], type=JobProgress)
    fields[9] = None if fields[9] is None else msgspec.json.decode(fields[9])
    fields[10] = msgspec.json.decode(fields[10], type=tuple[JobFailure, ...])
    fields[18] = bool(fields[18])
    return Job(*fields)
