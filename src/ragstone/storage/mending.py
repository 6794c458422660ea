"""What may be wrong with a data folder: found without opening the store, and mended where that loses nothing.

A finding without `mend` cannot be mended here: text that is lost comes back from a backup or from the sources only.
Index files are derived: a damaged set is forgotten, and who opens the collection makes it again from the store.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw

from ..errors import RagstoneError, StoreError
from .checks import problems
from .connect import BUILDING, DATABASE, LOG_BYTES, SCRATCH, SEGMENTS, connect_reader, connect_writer, mapped
from .layout import JOBS, SHARED, UPLOADS, own_files, tenant_folders
from .migrations import newest, queries, require_current, version
from .purge import SCRATCH_SECONDS, STATEMENTS, clear_scratch
from .sqlite import SqliteStore
from .swap import settle
from .writer import lock_gate, open_gate

WAIT_SECONDS: Final = 30.0
MOST_NAMED: Final = 5
"""Documents that a finding names."""
_OF_INDEX: Final = ("missing from index", "wrong # of entries in index", "non-unique entry in index")
"""What SQLite says where an index of a table is wrong and the table is whole."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`hint` says what to do where `mend` is None."""

    name: str
    detail: str
    hint: str = ""
    mend: Callable[[], None] | None = None


def findings(folder: Path) -> Iterator[Finding]:
    """Of a data folder, of what its tenants share and of every other tenant's, in the order in which they are best
    mended. Nothing is changed by looking."""
    if not (folder / DATABASE).exists():
        return
    yield from _own(folder)
    yield from _shared(folder)
    for place in tenant_folders(folder):
        for finding in _own(folder / place):
            yield replace(finding, detail=f"{place}: {finding.detail}")


def _shared(folder: Path) -> Iterator[Finding]:
    """Jobs and accounts: nothing of them can be made again."""
    hint = "Restore a backup (`ragstone restore DIR --replace`), or move the file away: a new one is made."
    for name in SHARED:
        if not (folder / name).exists():
            continue
        try:
            with mapped(folder):
                connection = connect_reader(folder, name)
                try:
                    found: Any = connection.execute("PRAGMA integrity_check(1)").get
                    gone = _gone(connection, folder) if name == JOBS and version(connection) else []
                finally:
                    connection.close()
        except RagstoneError as error:
            yield Finding(name, error.message, hint)
            continue
        if found != "ok":
            yield Finding(name, f"damaged: {found}", hint)
        if gone:
            detail = f"the uploads of {len(gone)} jobs are gone ({', '.join(gone[:MOST_NAMED])})"
            yield Finding(name, detail, "Upload them again; `ragstone jobs cancel ID` ends such a job.")


def _gone(connection: apsw.Connection, folder: Path) -> list[str]:
    """Ids of jobs that wait for an upload that is not there."""
    names = {path.name for place in ("", *tenant_folders(folder)) for path in (folder / place / UPLOADS).glob("*")}
    rows = connection.execute("SELECT jobs.id, files.name FROM files JOIN jobs ON jobs.number = files.job").fetchall()
    return sorted({str(id_) for id_, name in rows if name not in names})


def _own(folder: Path) -> Iterator[Finding]:
    yield from _permissions(folder)
    if (folder / BUILDING).exists():
        yield Finding("restore", "one was interrupted", mend=lambda: settle(folder))
    old = [path.name for path in (folder / SCRATCH).glob("*") if _older(path)]
    if old:
        detail = f"{len(old)} temporary files or folders belong to nobody"
        yield Finding("scratch", detail, mend=lambda: _void(clear_scratch(folder)))
    try:
        with mapped(folder):
            connection = connect_reader(folder)
            try:
                yield from _database(connection, folder)
            finally:
                connection.close()
    except RagstoneError as error:
        yield Finding("database", error.message, error.hint)


def _permissions(folder: Path) -> Iterator[Finding]:
    def open_() -> list[Path]:
        every = (folder, *own_files(folder))
        return [path for path in every if not path.is_symlink() and path.lstat().st_mode & 0o077]

    def close() -> None:
        for path in open_():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)

    if found := open_():
        yield Finding("permissions", f"{len(found)} files or folders can be read by other users", mend=close)


def _older(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime >= SCRATCH_SECONDS
    except FileNotFoundError:
        return False


def _database(connection: apsw.Connection, folder: Path) -> Iterator[Finding]:
    if version(connection) < newest():
        detail = f"has schema {version(connection)}, this version writes {newest()}"
        yield Finding("schema", detail, mend=lambda: SqliteStore(folder).close())
        return
    require_current(connection, folder)
    log = folder / f"{DATABASE}-wal"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        yield Finding("log", f"takes {log.stat().st_size >> 20} MiB", mend=lambda: _empty_log(folder))
    found = _problems(connection)
    integrity = [problem for problem in found if problem.startswith("integrity:")]
    if integrity and all(any(words in problem for words in _OF_INDEX) for problem in integrity):
        yield Finding("database", integrity[0], mend=lambda: _write(folder, _reindex))
    elif integrity:
        yield _lost(connection, integrity[0])
    elif found:
        yield from _rows(found, folder)
    yield from _segments(connection, folder)


def _problems(connection: apsw.Connection) -> list[str]:
    found: list[str] = []
    try:
        found.extend(problems(connection))
    except apsw.CorruptError as error:
        found.append(f"integrity: {error}")
    return found


def _rows(found: list[str], folder: Path) -> Iterator[Finding]:
    """Stray rows are removed and missing entries of queues made; anything else is not understood well enough."""
    mendable = ("belong to no chunk", "wait for", "do not wait")
    if all(any(words in problem for words in mendable) for problem in found):
        yield Finding("rows", "; ".join(found), mend=lambda: _write(folder, _mend_rows))
    else:
        yield Finding("rows", found[0], "Restore a backup, or remove the document that is named and add it again.")


def _lost(connection: apsw.Connection, problem: str) -> Finding:
    names: list[str] = []
    complete = True
    try:
        ids = [row[0] for row in connection.execute("SELECT id FROM documents NOT INDEXED ORDER BY id")]
    except apsw.Error:
        ids, complete = [], False
    for id_ in ids:
        try:
            ((uri, characters),) = connection.execute(queries()["uri_and_length"], (id_,)).fetchall()
        except apsw.Error:
            names.append(f"document {id_}")
            continue
        try:
            texts = [row[0] for row in connection.execute(queries()["text_of_document"], (id_,))]
            whole = sum(map(len, texts)) == characters
        except (apsw.Error, UnicodeDecodeError):
            whole = False
        if not whole:
            names.append(str(uri))
    more = ", …" if len(names) > MOST_NAMED else ""
    affected = f"the text of {len(names)} documents is affected ({', '.join(names[:MOST_NAMED])}{more})"
    detail = f"damaged: {problem.removeprefix('integrity: ')}; " + (
        (affected if names else "no text is affected") if complete else "which documents are affected cannot be told"
    )
    return Finding(
        "database",
        detail,
        "Restore a backup (`ragstone restore DIR --replace`), or export what is whole, move the folder away, "
        "and add the sources again.",
    )


def _segments(connection: apsw.Connection, folder: Path) -> Iterator[Finding]:
    named: set[str] = set()
    damaged: set[tuple[int, str, str]] = set()
    rows: list[Any] = connection.execute(queries()["every_segment"]).fetchall()
    for owner, kind, space, name, checksum in rows:
        named.add(name)
        try:
            with (folder / SEGMENTS / name).open("rb") as file:
                intact = (
                    hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=len(checksum))).digest() == checksum
                )
        except FileNotFoundError:
            intact = kind == "graph"  # backups leave them out
        except OSError:
            intact = False
        if not intact:
            damaged.add((owner, kind, space))
    if damaged:

        def forget(connection: apsw.Connection) -> None:
            connection.executemany(queries()["forget_segments"], sorted(damaged))

        detail = f"{len(damaged)} sets of index files are damaged or incomplete; the next search makes them again"
        yield Finding("index files", detail, mend=lambda: _write(folder, forget))
    orphans = [path for path in (folder / SEGMENTS).glob("*") if path.name not in named and _older(path)]
    if orphans:

        def remove() -> None:
            for path in orphans:
                path.unlink(missing_ok=True)

        yield Finding("index files", f"{len(orphans)} belong to nothing", mend=remove)


# ---------------------------------------------------------------------- mending


def _void(_result: object) -> None:
    pass


@contextmanager
def _gate(folder: Path) -> Iterator[None]:
    gate = open_gate(folder)
    try:
        lock_gate(gate, folder, time.monotonic() + WAIT_SECONDS)
        yield
    finally:
        os.close(gate)


def _write(folder: Path, work: Callable[[apsw.Connection], None]) -> None:
    """`work` in one transaction."""
    with _writing(folder) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            work(connection)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def _writing(folder: Path) -> Iterator[apsw.Connection]:
    with _gate(folder), mapped(folder):
        connection = connect_writer(folder)
        try:
            yield connection
        finally:
            connection.close()


def _empty_log(folder: Path) -> None:
    with _writing(folder) as connection:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _reindex(connection: apsw.Connection) -> None:
    connection.execute("REINDEX")
    left = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    if left != ["ok"]:
        raise StoreError(f"the indexes were made again, but the database is damaged ({left[0]}).", "Restore a backup.")


def _mend_rows(connection: apsw.Connection) -> None:
    for name in (*STATEMENTS, "mend_queues"):
        connection.execute(queries()[name])
