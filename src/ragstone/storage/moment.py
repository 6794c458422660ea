"""Copies of the databases of a data folder, all of one moment as far as it matters.

A job and the documents that it adds stand in different databases. While the queue's write lock is held, no job is put,
taken or ended; meanwhile a read transaction is begun on the queue, the accounts, and the documents of every tenant that
has a job to be done, and its uploads get a second name. What a job had added by then it adds again after a restore,
which finds it unchanged; what it had not is still queued. Documents of the other tenants may be copied at any later
time: no job that was put before concerns them. The lock is held for milliseconds, the copies are made after it.

Files whose pages are shown get a second name before and after the lock: those of documents that come or go meanwhile
are there in either case.
"""

from __future__ import annotations

import os
import resource
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import apsw

from ..errors import DiskFull, StoreDamaged, StoreError
from .connect import DATABASE, SCRATCH, SEGMENTS, connect_reader, connect_writer, let_go, mapped, os_error
from .layout import ACCOUNTS, JOBS, JOBS_GATE, ORIGINALS, TENANTS, UPLOADS, tenant_folders
from .migrations import require_current, version
from .originals import NEW
from .writer import lock_gate, open_gate

COPIES: Final = "copy-*"
"""Names in the folder of backups."""
FREEZE_SECONDS: Final = 60.0
_TRIES: Final = 3
_FILES: Final = 4
"""Descriptors of an open database."""
_SPARE: Final = 256
_ACTIVE: Final = "SELECT DISTINCT tenant FROM jobs WHERE state IN ('queued', 'running')"
_WANTED: Final = "SELECT jobs.tenant, files.name FROM files JOIN jobs ON jobs.number = files.job ORDER BY files.name"


@dataclass(frozen=True, slots=True)
class Copy:
    """A database at one moment, with the index files that it names, open. `folder` is "" or a tenant's."""

    folder: str
    name: str
    path: Path
    schema: int
    page_size: int
    segments: dict[str, BufferedReader]


@dataclass(frozen=True, slots=True)
class Held:
    """A file that is kept as it came. `path` stays for as long as the moment is held."""

    folder: str
    name: str
    path: Path


@dataclass(slots=True)
class Moment:
    data: Path
    destination: Path
    uploads: list[Held] = field(default_factory=list)
    originals: list[Held] = field(default_factory=list)
    _made: list[Copy] = field(default_factory=list)
    _later: list[str] = field(default_factory=list)

    def copies(self) -> Iterator[Copy]:
        """The default tenant's documents first. Each is removed when the next one is asked for."""
        for copy in self._made:
            try:
                yield copy
            finally:
                _remove(copy)
        for place in self._later:
            copy = self._taken_later(place)
            try:
                yield copy
            finally:
                _remove(copy)

    def _taken_later(self, place: str) -> Copy:
        for attempt in range(_TRIES):
            with mapped(self.data / place):
                source = _begun(self.data / place, DATABASE)
                try:
                    copy, missing = self._copied(source, place, DATABASE)
                finally:
                    let_go(source)
            if not missing or attempt + 1 == _TRIES:
                break  # what is still missing is made again from the store after a restore
            _remove(copy)
        return copy

    def _copied(self, source: apsw.Connection, place: str, name: str) -> tuple[Copy, bool]:
        """Also whether an index file is missing: it was merged away meanwhile."""
        folder = self.data / place
        path = self.destination / COPIES.replace("*", f"{secrets.token_hex(4)}.db")
        _require_room(folder / name, self.destination)
        _copy(source, path)
        segments: dict[str, BufferedReader] = {}
        missing = False
        if name == DATABASE:
            missing = _open_segments(path, folder, segments)
        return Copy(place, name, path, version(source), int(source.pragma("page_size")), segments), missing


@contextmanager
def moment(data: Path, destination: Path) -> Iterator[Moment]:
    """Raises StoreBusy, StoreDamaged, DiskFull and other kinds of StoreError."""
    taken = Moment(data, destination)
    staged = data / SCRATCH / f"backup-{secrets.token_hex(8)}"  # where it is killed, `clear_scratch` removes it
    sources: list[tuple[str, str, apsw.Connection]] = []
    try:
        taken.originals.extend(_originals(data, staged / ORIGINALS))
        with ExitStack() as held:
            with _frozen(data) as active:
                pinned = [place for place in tenant_folders(data) if place in active]
                allow_files(_FILES * len(pinned))
                wanted = [("", DATABASE), ("", JOBS), ("", ACCOUNTS), *((place, DATABASE) for place in pinned)]
                for place, name in wanted:
                    if name == DATABASE or (data / name).exists():
                        with mapped(data / place):
                            source = _begun(data / place, name)
                            held.callback(let_go, source)
                            if name == DATABASE or version(source):  # else somebody is just making it
                                sources.append((place, name, source))
                taken.uploads.extend(_uploads(data, staged))
            taken.originals.extend(_originals(data, staged / ORIGINALS))
            for place, name, source in sources:
                with mapped(data / place):
                    taken._made.append(taken._copied(source, place, name)[0])
                    let_go(source)
        taken._later.extend(place for place in tenant_folders(data) if place not in pinned)
        yield taken
    finally:
        for copy in taken._made:
            _remove(copy)
        shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def _frozen(data: Path) -> Iterator[set[str]]:
    """While no job changes. Gives the folders of tenants that have something to be done."""
    if not (data / JOBS).exists():
        yield set()
        return
    gate = open_gate(data, JOBS_GATE)
    try:
        lock_gate(gate, data, time.monotonic() + FREEZE_SECONDS)
        with mapped(data):
            connection = connect_writer(data, JOBS)
            try:
                connection.execute("BEGIN IMMEDIATE")
                active = [row[0] for row in connection.execute(_ACTIVE)] if version(connection) else []
                yield {f"{TENANTS}/{tenant}" for tenant in active if tenant}
                connection.execute("ROLLBACK")
            finally:
                let_go(connection)
    finally:
        os.close(gate)


def _begun(folder: Path, name: str) -> apsw.Connection:
    """A connection whose reads see this moment, until it is closed."""
    source = connect_reader(folder, name)
    try:
        if name == DATABASE:
            require_current(source, folder)
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except BaseException:
        let_go(source)
        raise
    return source


def _originals(data: Path, staged: Path) -> Iterator[Held]:
    """Those that have no second name yet."""
    try:
        for place in ("", *tenant_folders(data)):
            folder = data / place / ORIGINALS
            for original in sorted(folder.glob("*/*.*")):
                name = original.relative_to(folder).as_posix()
                path = staged / place / name
                if path.exists() or original.suffix == NEW:
                    continue
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # its document was removed a moment ago
                    _second(original, path)
                    yield Held(place, name, path)
    except OSError as error:
        raise os_error(error, data) from error


def _second(original: Path, path: Path) -> None:
    """Raises FileNotFoundError where it is gone."""
    try:
        path.hardlink_to(original)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without links
        shutil.copyfile(original, path)


def _uploads(data: Path, staged: Path) -> Iterator[Held]:
    if not (data / JOBS).exists():
        return
    connection = connect_reader(data, JOBS)
    try:
        rows: list[Any] = connection.execute(_WANTED).fetchall() if version(connection) else []
    finally:
        let_go(connection)
    try:
        if rows:
            staged.mkdir(mode=0o700, parents=True, exist_ok=True)
        for tenant, name in rows:
            own = f"{TENANTS}/{tenant}" if tenant else ""
            place = own if (data / own / UPLOADS / name).exists() else ""
            original = data / place / UPLOADS / name
            with suppress(FileNotFoundError):  # somebody removed it: the job will fail as it would now; doctor tells
                _second(original, staged / name)
                yield Held(place, name, staged / name)
    except OSError as error:
        raise os_error(error, data) from error


def allow_files(count: int) -> None:
    """So many more at once, where the system lets this process."""
    count += _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _copy(source: apsw.Connection, path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    target = apsw.Connection(str(path))
    try:
        target.pragma("journal_mode", "OFF")
        target.pragma("synchronous", "OFF")  # the copy is thrown away; its pages are synced in their packs
        with target.backup("main", source, "main") as copying:
            copying.step(-1)  # all in the transaction that the source has begun
    finally:
        target.close()


def _open_segments(copy: Path, folder: Path, into: dict[str, BufferedReader]) -> bool:
    """Opens the index files that the copy names, before the process that merges them removes some; whether one is
    missing. Files of graphs stay out: what they hold stands in the database."""
    missing = False
    connection = open_copy(copy)
    try:
        for (name,) in connection.execute("SELECT name FROM segments WHERE kind <> 'graph' ORDER BY name"):
            try:
                into[name] = (folder / SEGMENTS / name).open("rb")
            except OSError:
                missing = True
    finally:
        connection.close()
    return missing


def open_copy(path: Path) -> apsw.Connection:
    """Alone and unchanging: no log, no locks."""
    uri = f"file:{path.as_posix().replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode=ro&immutable=1"
    return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def require_fit(copy: Copy, data: Path) -> None:
    """A damaged database must not take the place of good generations."""
    connection = open_copy(copy.path)
    try:
        with mapped(data / copy.folder):
            found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    finally:
        connection.close()
    if found != ["ok"]:
        raise StoreDamaged(
            f"{copy.name} in {data / copy.folder} is damaged ({found[0]}); no backup was made of it and the earlier "
            "ones stay.",
            "`ragstone doctor` says what is affected; `ragstone restore` brings back an earlier state.",
        )


def _require_room(database: Path, destination: Path) -> None:
    try:
        needed, free = database.stat().st_size, shutil.disk_usage(destination).free
    except OSError as error:
        raise StoreError(f"{database} cannot be read: {error.strerror}.", "Check the data folder.") from error
    if free < needed:
        raise DiskFull(
            f"a backup needs room for a copy of the database ({needed >> 20} MiB) in {destination}, "
            f"where {free >> 20} MiB are free.",
            "Free space there, or choose another folder.",
        )


def _remove(copy: Copy) -> None:
    for file in copy.segments.values():
        file.close()
    copy.path.unlink(missing_ok=True)
