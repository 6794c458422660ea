"""Databases of every schema that ever was open, are brought up to date, and hold what they held."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from ragstone.assemble import open_knowledge_base
from ragstone.cli.app import run
from ragstone.errors import StoreNewer
from ragstone.settings import at, load
from ragstone.storage import migrations
from ragstone.storage.sqlite import SqliteStore
from ragstone.testing import HashEmbedder

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = sorted((ROOT / "tests" / "fixtures").glob("schema_*.db.gz"))
sys.path.insert(0, str(ROOT / "tools"))
from make_schema_fixture import TEXTS  # noqa: E402


def unpacked(fixture: Path, folder: Path) -> Path:
    folder.mkdir()
    (folder / "ragstone.db").write_bytes(gzip.decompress(fixture.read_bytes()))
    return folder


def schema(folder: Path) -> int:
    connection = apsw.Connection(str(folder / "ragstone.db"))
    try:
        return int(connection.pragma("user_version"))
    finally:
        connection.close()


def test_every_schema_has_its_fixture() -> None:
    assert [int(path.name[7:11]) for path in FIXTURES] == list(migrations.scripts())


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_database_of_any_schema_is_brought_up_to_date(fixture: Path, tmp_path: Path) -> None:
    folder = unpacked(fixture, tmp_path / "data")
    settings = at(folder, load(overrides={"embedding.background": False}))
    with open_knowledge_base(settings, embedder=HashEmbedder()) as kb:
        assert kb.verify().problems == ()
        assert {d.uri: kb.text(d.uri) for d in kb.documents()} == TEXTS
        assert kb.search("Luftfilter gewechselt", mode="lexical").hits[0].chunk.uri == "manual/filter.md"
        assert kb.store.roots("default") == ["/nowhere/manual"]
        assert kb.store.collections() == ["default", "empty"]
        remembered = [item.value for item in kb.memory.history("port", "boiler")]
        assert remembered == (["9090", "8080"] if fixture.name >= "schema_0003" else [])
        asked = [turn.question for session in kb.chats.sessions() for turn in kb.chats.turns(session.id)]
        assert asked == (["When is it descaled?"] if fixture.name >= "schema_0004" else [])
        decided = [(d.kind, d.by) for d in kb.graph.decisions()]
        assert decided == ([("merge", "test")] if fixture.name >= "schema_0005" else [])
        kb.memory.remember("The valve opens at 3.2 bar.")
        kb.embed_pending()
        assert all(status.waiting == 0 for status in kb.collections())
        assert kb.graph.build("default")[0].waiting == 0
        assert [entity.name for entity in kb.graph.find("luftfilter")] == ["Luftfilter"]
        assert kb.verify().problems == ()
    assert schema(folder) == migrations.newest()


SLOW = """
CREATE TABLE later (id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;
INSERT INTO later WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
SELECT i, randomblob(1000) FROM n;
ALTER TABLE documents ADD COLUMN later INTEGER;
"""
OPENING = """
import sys
from pathlib import Path
from ragstone.storage import migrations
from ragstone.storage.sqlite import SqliteStore
known = dict(migrations.scripts())
known |= {max(known) + 1: sys.argv[2], max(known) + 2: "CREATE TABLE last (id INTEGER PRIMARY KEY) STRICT;"}
migrations.scripts = lambda: known
SqliteStore(Path(sys.argv[1])).close()
"""


def test_a_migration_killed_half_way_goes_on_at_the_next_open(tmp_path: Path) -> None:
    folder = unpacked(FIXTURES[0], tmp_path / "data")
    SqliteStore(folder).close()
    first = migrations.newest()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", OPENING, str(folder), SLOW]
    log = folder / "ragstone.db-wal"
    kills = 0
    for pause in (0.0, 0.05, 0.1):
        process = subprocess.Popen(command, env=environ)
        while process.poll() is None and not (log.exists() and log.stat().st_size > 1 << 20):
            time.sleep(0.001)  # until it writes rows of the migration
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        assert schema(folder) in (first, first + 1)
    assert kills
    store = SqliteStore(folder) if schema(folder) == first else None
    if store is not None:  # what was not migrated is as it was, also for this version
        assert store.check() == []
        assert set(store.known("default")) == set(TEXTS)
        store.close()
    subprocess.run(command, env=environ, check=True)
    assert schema(folder) == first + 2
    connection = apsw.Connection(str(folder / "ragstone.db"))
    assert connection.execute("SELECT count(*) FROM later").get == 60000
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()
    with pytest.raises(StoreNewer):
        SqliteStore(folder)
    assert run(["--data", str(folder), "status"], {"HOME": str(tmp_path)}) == 5
