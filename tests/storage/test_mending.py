"""What doctor finds in a data folder, mends, or says plainly that it cannot."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from command_line import CommandLine, environ, ragstone  # noqa: F401 - fixtures
from index_process import SPACE, embed, open_index
from prepared import prepared
from ragstone.storage.connect import connect_writer
from ragstone.storage.mending import findings
from ragstone.storage.sqlite import SqliteStore

TEXTS = {f"/{number}": [f"text {number} {word} " * 40 for word in ("one", "two", "three")] for number in range(80)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Documents of which half are embedded, with index files."""
    store = SqliteStore(tmp_path / "data")
    store.create_collection("c")
    store.put("c", [prepared(uri, texts) for uri, texts in TEXTS.items()])
    embed(store, [text for texts in list(TEXTS.values())[:40] for text in texts])
    index = open_index(store)
    index.seal(rows=1)
    index.close()
    store.close()
    return tmp_path / "data"


def run(data: Path, *statements: str) -> None:
    connection = connect_writer(data)
    connection.pragma("foreign_keys", "OFF")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def old_scratch(data: Path) -> None:
    (data / "scratch" / "left").mkdir(mode=0o700)
    (data / "scratch" / "left" / "file").touch(mode=0o600)
    long_ago = time.time() - 7200
    os.utime(data / "scratch" / "left", (long_ago, long_ago))


def orphan(data: Path) -> None:
    path = data / "segments" / "lexical-000000000001-aaaaaaaa.seg"
    path.write_bytes(b"old")
    path.chmod(0o600)
    os.utime(path, (1, 1))


def flipped(data: Path) -> None:
    path = next((data / "segments").glob("lexical-*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def missing(data: Path) -> None:
    next((data / "segments").glob("vector-*")).unlink()


def interrupted_restore(data: Path) -> None:
    (data / "restoring").mkdir(mode=0o700)
    shutil.copy(data / "ragstone.db", data / "restoring" / "ragstone.db")
    (data / "restoring" / "ragstone.db").chmod(0o600)


def readable(data: Path) -> None:
    data.chmod(0o755)
    (data / "ragstone.db").chmod(0o644)


def stray(data: Path) -> None:
    run(
        data,
        "INSERT INTO waiting SELECT collection_id, space_id, 999999 FROM queues",
        "DELETE FROM waiting WHERE chunk_id IN (SELECT chunk_id FROM waiting WHERE chunk_id < 999999 LIMIT 3)",
        "INSERT INTO tail_terms (chunk_id, length, keys, version) VALUES (888888, 0, x'', 1)",
        "INSERT INTO embeddings SELECT id, x'aa', zeroblob(bytes) FROM spaces",
    )


def wrong_index(data: Path) -> None:
    """The index of hashes lacks a row."""
    run(
        data,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = sql || ' WHERE id <> 5' WHERE name = 'chunks_of_hash'",
    )
    run(data, "REINDEX chunks_of_hash")
    run(
        data,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, ' WHERE id <> 5', '') WHERE name = 'chunks_of_hash'",
    )


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (old_scratch, "scratch"),
        (orphan, "index files"),
        (flipped, "index files"),
        (missing, "index files"),
        (interrupted_restore, "restore"),
        (readable, "permissions"),
        (stray, "rows"),
        (wrong_index, "database"),
    ],
)
def test_what_can_be_mended_is_found_and_mended(data: Path, damage: Callable[[Path], None], name: str) -> None:
    assert list(findings(data)) == []
    damage(data)
    found = list(findings(data))
    assert [finding.name for finding in found] == [name]
    for finding in found:
        assert finding.mend is not None
        finding.mend()
    assert list(findings(data)) == []
    store = SqliteStore(data)
    index = open_index(store)
    assert store.check() == []
    assert index.verify().clean
    assert set(store.known("c")) == set(TEXTS)
    assert store.count_pending("c", SPACE.id) == 120
    index.close()
    store.close()


def test_a_large_log_is_emptied(data: Path) -> None:
    writer = connect_writer(data)
    writer.pragma("journal_size_limit", -1)
    keeper = apsw.Connection(str(data / "ragstone.db"))
    keeper.execute("SELECT count(*) FROM documents").fetchall()
    writer.execute("CREATE TABLE filler (x BLOB)")
    writer.execute("INSERT INTO filler SELECT zeroblob(1000000) FROM documents LIMIT 70")
    writer.execute("DROP TABLE filler")
    log = data / "ragstone.db-wal"
    assert log.stat().st_size > 64 << 20
    (found,) = findings(data)
    assert found.name == "log"
    assert found.mend is not None
    found.mend()
    assert log.stat().st_size == 0
    keeper.close()
    writer.close()


def test_lost_text_is_named_and_not_mended(data: Path) -> None:
    connection = apsw.Connection(str(data / "ragstone.db"))
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunks'").get
    size = connection.pragma("page_size")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray((data / "ragstone.db").read_bytes())
    first = int.from_bytes(content[(root - 1) * size + 12 : (root - 1) * size + 14], "big")
    leaf = int.from_bytes(content[(root - 1) * size + first : (root - 1) * size + first + 4], "big")
    content[(leaf - 1) * size : leaf * size] = b"\xff" * size
    (data / "ragstone.db").write_bytes(bytes(content))
    (found,) = findings(data)
    assert found.mend is None
    assert "damaged" in found.detail
    assert "/0" in found.detail
    affected = int(found.detail.split("the text of ")[1].split()[0])
    assert 0 < affected < len(TEXTS)
    assert "restore" in found.hint


def test_doctor_mends(ragstone: CommandLine, tmp_path: Path) -> None:  # noqa: F811
    source = tmp_path / "a.txt"
    source.write_text("some words")
    assert ragstone("add", str(source), "--no-embed").code == 0
    (tmp_path / "data").chmod(0o755)
    states = {check["name"]: check["state"] for check in ragstone("doctor", "--json").json["checks"]}
    assert states["permissions"] == "note"
    states = {check["name"]: check["state"] for check in ragstone("doctor", "--fix", "--json").json["checks"]}
    assert states["permissions"] == "mended"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert "permissions" not in {check["name"] for check in ragstone("doctor", "--json").json["checks"]}
