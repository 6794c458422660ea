"""What is particular to the SQLite store: files, processes, damage, versions."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from prepared import prepared
from ragstone.errors import (
    DiskFull,
    InputError,
    NotFound,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreNewer,
    StoreReadOnly,
)
from ragstone.storage import connect, migrations, writer
from ragstone.storage.sqlite import SqliteStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(folder)
    opened.create_collection("c")
    yield opened
    opened.close()


def filled(folder: Path, documents: int = 3) -> None:
    store = SqliteStore(folder)
    store.create_collection("c")
    store.put("c", [prepared(f"/{number}", [f"text {number} " * 50] * 3) for number in range(documents)])
    store.close()


# ---------------------------------------------------------------------- the folder
def test_only_the_owner_can_look_inside(folder: Path, store: SqliteStore) -> None:
    store.put("c", [prepared("a", ["x"])])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes.pop("data") == 0o700
    assert {modes.pop("segments"), modes.pop("scratch")} == {0o700}
    assert set(modes) >= {"ragstone.db", "ragstone.db-wal", "ragstone.db-shm", "write.lock"}
    assert set(modes.values()) == {0o600}


def test_closing_leaves_one_whole_file(folder: Path) -> None:
    filled(folder)
    assert {path.name for path in folder.iterdir()} == {"ragstone.db", "segments", "scratch", "write.lock"}


def test_settings_of_the_connections(folder: Path, store: SqliteStore) -> None:
    connection = connect.connect_writer(folder)
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("page_size") == connect.PAGE_SIZE
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("foreign_keys") == 1
    connection.close()


def test_a_closed_store_says_so(folder: Path) -> None:
    store = SqliteStore(folder)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.create_collection("c")
    with pytest.raises(StoreError, match="closed"):
        store.collections()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(InputError, match="not a folder"):
        SqliteStore(tmp_path / "data")


def test_the_log_file_stays_bounded(folder: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LOG_PAGES", 20)
    monkeypatch.setattr(writer, "LOG_PAGES_FORCED", 40)
    sizes = []
    for number in range(40):
        store.put("c", [prepared(f"/{number}", [f"{number} " * 8000])])
        sizes.append((folder / "ragstone.db-wal").stat().st_size)
    assert max(sizes) < 100 * connect.PAGE_SIZE
    assert len(store.known("c")) == 40


# ---------------------------------------------------------------------- reading only
def test_reading_only_refuses_to_write(folder: Path) -> None:
    filled(folder)
    store = SqliteStore(folder, read_only=True)
    assert len(store.known("c")) == 3
    with pytest.raises(StoreReadOnly):
        store.put("c", [prepared("a", ["x"])])
    store.close()


def test_reading_only_needs_a_folder(folder: Path) -> None:
    with pytest.raises(NotFound):
        SqliteStore(folder, read_only=True)
    assert not folder.exists()


def test_a_reader_sees_what_another_store_writes(folder: Path, store: SqliteStore) -> None:
    reader = SqliteStore(folder, read_only=True)
    before = reader.data_version()
    store.put("c", [prepared("a", ["x"])])
    assert reader.data_version() != before
    assert list(reader.known("c")) == ["a"]
    reader.close()


# Runs as a user who owns nothing, so that permissions hold also where the tests run as root.
_AS_NOBODY = """
import os, sys
from pathlib import Path
from ragstone.errors import RagstoneError
from ragstone.storage.sqlite import SqliteStore
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    store = SqliteStore(Path(sys.argv[1]), read_only=sys.argv[2] == "read")
    print(len(store.known("c")))
    store.close()
except RagstoneError as error:
    print(error.code)
"""


def as_nobody(folder: Path, how: str) -> str:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(folder), how], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def locked_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "data"
        filled(folder)
        Path(outer).chmod(0o755)
        folder.chmod(0o555)
        (folder / "ragstone.db").chmod(0o444)
        yield folder
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_can_be_read(locked_folder: Path) -> None:
    assert as_nobody(locked_folder, "read") == "3"
    assert not list(locked_folder.glob("*-wal"))


def test_a_folder_that_cannot_be_written_is_refused_for_writing(locked_folder: Path) -> None:
    assert as_nobody(locked_folder, "write") == "StoreReadOnly"


# ---------------------------------------------------------------------- versions and damage
def test_a_newer_schema_is_refused(folder: Path) -> None:
    filled(folder)
    connection = apsw.Connection(str(folder / "ragstone.db"))
    connection.pragma("user_version", migrations.newest() + 1)
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreNewer) as caught:
            SqliteStore(folder, read_only=read_only)
        assert "newer" in caught.value.hint


def test_a_foreign_database_is_refused(folder: Path) -> None:
    folder.mkdir()
    connection = apsw.Connection(str(folder / "ragstone.db"))
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(StoreDamaged, match="not made by Ragstone"):
        SqliteStore(folder)


def test_a_file_that_is_no_database_is_damaged(folder: Path) -> None:
    filled(folder)
    (folder / "ragstone.db").write_bytes(os.urandom(20_000))
    for read_only in (False, True):
        with pytest.raises(StoreDamaged) as caught:
            SqliteStore(folder, read_only=read_only)
        assert caught.value.hint


def test_damaged_pages_are_found(folder: Path) -> None:
    filled(folder, 50)
    database = folder / "ragstone.db"
    data = bytearray(database.read_bytes())
    data[20 * 8192 : 30 * 8192] = os.urandom(10 * 8192)
    database.write_bytes(data)
    store = SqliteStore(folder)
    assert store.check()
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET metadata = '{\"a\":'",
        "UPDATE documents SET pages = x'c1'",
        "UPDATE chunks SET section = 'x'",
        "UPDATE chunks SET text = CAST(x'ff' AS TEXT)",
        "UPDATE documents SET uri = CAST(x'ff' AS TEXT)",
    ],
)
def test_rows_that_nobody_wrote_are_damage(folder: Path, store: SqliteStore, statement: str) -> None:
    store.put("c", [prepared("a", ["x", "y"])])
    (document,) = store.documents("c")
    connection = apsw.Connection(str(folder / "ragstone.db"))
    connection.execute(statement)
    connection.close()

    def read() -> None:
        list(store.documents("c"))
        store.document("c", "a")
        store.document_chunks(document.id)

    with pytest.raises(StoreDamaged):
        read()


def test_stray_rows_are_found(folder: Path) -> None:
    filled(folder)
    connection = apsw.Connection(str(folder / "ragstone.db"))
    connection.execute("DELETE FROM chunks WHERE id = 2")
    connection.execute("UPDATE chunks SET text = 'shorter' WHERE id = 4")
    connection.execute("INSERT INTO spaces (id, name, bytes) VALUES (1, 's', 2)")
    connection.execute("INSERT INTO embeddings VALUES (1, x'00', x'0000')")
    connection.close()
    store = SqliteStore(folder)
    problems = store.check()
    store.close()
    assert any("/0" in problem for problem in problems)
    assert any("/1" in problem for problem in problems)
    assert any("vectors belong to no chunk" in problem for problem in problems)
    assert any("terms belong to no chunk" in problem for problem in problems)
    assert not any("/2" in problem for problem in problems)


def test_a_migration_is_applied_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(folder)
    newest = migrations.newest()
    broken = {**migrations.scripts(), newest + 1: "CREATE TABLE extra (x); CREATE TABLE extra (x);"}
    monkeypatch.setattr(migrations, "scripts", lambda: broken)
    with pytest.raises(StoreError):
        SqliteStore(folder)
    connection = apsw.Connection(str(folder / "ragstone.db"))
    assert connection.pragma("user_version") == newest
    assert not connection.table_exists("main", "extra")
    connection.close()
    monkeypatch.setattr(migrations, "scripts", lambda: {**broken, newest + 1: "CREATE TABLE extra (x);"})
    with pytest.raises(StoreReadOnly, match="older"):
        SqliteStore(folder, read_only=True)
    store = SqliteStore(folder)
    assert len(store.known("c")) == 3
    store.close()


# ---------------------------------------------------------------------- the disk and the lock
def test_a_full_disk_fails_the_write_and_nothing_else(folder: Path, store: SqliteStore) -> None:
    store.put("c", [prepared("small", ["x"])])
    limit_pages(store, 100)
    with pytest.raises(DiskFull) as caught:
        store.put("c", [prepared("large", ["y" * 2_000_000])])
    assert caught.value.hint
    assert list(store.known("c")) == ["small"]
    store.put("c", [prepared("fits", ["z"])])
    limit_pages(store, 1_000_000)
    store.put("c", [prepared("large", ["y" * 2_000_000])])
    assert sorted(store.known("c")) == ["fits", "large", "small"]
    assert store.check() == []


def test_a_full_disk_for_one_request_spares_those_committed_with_it(store: SqliteStore) -> None:
    limit_pages(store, 100)
    gate = threading.Event()
    blocker = threading.Thread(target=lambda: store._write(lambda _: gate.wait()))
    blocker.start()
    outcome: dict[str, str] = {}

    def put(name: str, text: str) -> None:
        try:
            store.put("c", [prepared(name, [text])])
            outcome[name] = "stored"
        except DiskFull:
            outcome[name] = "full"

    threads = [threading.Thread(target=put, args=(f"s{number}", "x")) for number in range(4)]
    threads.insert(2, threading.Thread(target=put, args=("large", "y" * 2_000_000)))
    for thread in threads:
        thread.start()
    gate.set()
    for thread in (*threads, blocker):
        thread.join()
    assert outcome == {"s0": "stored", "s1": "stored", "large": "full", "s2": "stored", "s3": "stored"}


def limit_pages(store: SqliteStore, pages: int) -> None:
    """The disk as SQLite sees it when it is full: no further page can be had."""
    connection = store._writer.run(lambda connection: connection)
    connection.pragma("max_page_count", pages)


def test_another_process_that_never_lets_go_is_busy(folder: Path, store: SqliteStore) -> None:
    other = apsw.Connection(str(folder / "ragstone.db"))
    other.execute("BEGIN IMMEDIATE")
    impatient = SqliteStore(folder, busy_timeout=0.05)
    with pytest.raises(StoreBusy) as caught:
        impatient.put("c", [prepared("a", ["x"])])
    assert caught.value.retryable
    other.execute("ROLLBACK")
    impatient.put("c", [prepared("a", ["x"])])
    other.close()
    impatient.close()


def test_two_stores_in_turn(folder: Path, store: SqliteStore) -> None:
    other = SqliteStore(folder)

    def work(which: SqliteStore, name: str) -> None:
        for step in range(20):
            which.put("c", [prepared(f"{name}{step}", [f"{name} {step}"])])

    threads = [threading.Thread(target=work, args=args) for args in ((store, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.known("c")) == 40
    assert other.last_seq() == 40
    other.close()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (apsw.FullError, DiskFull), (apsw.ReadOnlyError, StoreReadOnly), (apsw.PermissionsError, StoreReadOnly),
        (apsw.CantOpenError, StoreReadOnly), (apsw.CorruptError, StoreDamaged), (apsw.NotADBError, StoreDamaged),
        (apsw.BusyError, StoreBusy), (apsw.LockedError, StoreBusy), (apsw.IOError, StoreError),
        (apsw.SQLError, StoreError),
    ],
)  # fmt: skip
def test_errors_of_sqlite_become_ours(raised: type[apsw.Error], expected: type[StoreError], folder: Path) -> None:
    with pytest.raises(expected) as caught, connect.mapped(folder):
        raise raised("x")
    assert type(caught.value) is expected
    assert caught.value.hint


def test_every_statement_can_be_prepared(folder: Path, store: SqliteStore) -> None:
    connection = connect.connect_reader(folder)
    for name, sql in migrations.queries().items():
        names = re.findall(r":(\w+)", sql)
        values = dict.fromkeys(names) if names else (None,) * _marks(name)
        assert connection.execute(f"EXPLAIN {sql}", values).fetchall(), name
    connection.close()


def test_the_newest_waiting_chunks_are_found_without_a_scan(folder: Path, store: SqliteStore) -> None:
    connection = connect.connect_reader(folder)
    for name in ("newest_waiting", "count_waiting", "changes_of_collection"):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {migrations.queries()[name]}", (1,) * _marks(name))
        steps = [row[3] for row in plan]
        assert not [step for step in steps if step.startswith("SCAN") and "carray" not in step], (name, steps)
        assert not [step for step in steps if "TEMP B-TREE" in step], (name, steps)
    connection.close()


def _marks(name: str) -> int:
    """Values that a statement takes: `?` are counted, `?2` says it itself."""
    marks = re.findall(r"\?(\d*)", migrations.queries()[name])
    return max([len(marks), *map(int, filter(None, marks))]) if "" in marks else max(map(int, marks), default=0)
