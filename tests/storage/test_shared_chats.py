"""Sessions over a real Redis: shared, away, back, emptied. Skipped where none is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone.assemble import open_chats, open_knowledge_base
from ragstone.chat_types import ChatAnswer, Cited
from ragstone.errors import NotFound
from ragstone.settings import at, load
from ragstone.storage import shared_chats
from ragstone.testing import HashEmbedder

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server here")


class Server:
    """A Redis of its own, which can go away and come back with what it held."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--appendonly", "yes"]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        client = redis.Redis.from_url(self.url)
        for _ in range(500):
            try:
                client.ping()
                break
            except redis.RedisError:
                time.sleep(0.01)
        client.close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(shared_chats, "AWAY_SECONDS", 0.0)
    started = Server(tmp_path)
    yield started
    started.stop()


class Side:
    """A data folder, and its sessions as they are shared."""

    def __init__(self, folder: Path, server: Server) -> None:
        settings = at(folder, load(overrides={"embedding.background": False, "chat.redis": server.url}))
        self.kb = open_knowledge_base(settings, embedder=HashEmbedder())
        self.chats = open_chats(settings, self.kb)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.chats.close()
        self.kb.close()


def test_two_data_folders_share_sessions(tmp_path: Path, server: Server) -> None:
    with Side(tmp_path / "a", server) as a, Side(tmp_path / "b", server) as b:
        a.kb.add_texts([("boiler.md", "", "The boiler is descaled every March.", {})])
        chunk = a.kb.search("boiler").hits[0].chunk.id
        session = a.chats.begin("plans")
        turn = a.chats.ask(session.id, "When?")
        cited = Cited(1, "default", "boiler.md", "", None, 1, (), 0, 5, chunk)
        assert a.chats.answer(turn.id, ChatAnswer("In March. [1]", model="extractive", citations=(cited,)))
        b.chats.begin("plans")  # of the same name, and another one
        names = {one.id: one.name for one in b.chats.sessions()}
        assert sorted(names.values()) == ["plans", "plans 2"]
        (seen,) = b.chats.turns(session.id)
        assert seen.answer is not None
        assert (seen.question, seen.answer.text, seen.answer.citations[0].chunk) == ("When?", "In March. [1]", 0)
        b.chats.ask(session.id, "And why?")  # both write into one session
        assert [t.question for t in a.chats.turns(session.id)] == ["When?", "And why?"]
        a.kb.remove_documents(["boiler.md"])  # what it was made from is gone, for both
        a.chats.sessions()
        assert [t.withdrawn for t in b.chats.turns(session.id)] == [True, False]
        b.chats.forget(session.id)
        with pytest.raises(NotFound):
            a.chats.turns(session.id)
        assert not redis.Redis.from_url(server.url).exists(f"ragstone:chat:turns:{session.id}")


def test_nothing_is_lost_while_it_is_away_or_emptied(tmp_path: Path, server: Server) -> None:
    with Side(tmp_path / "a", server) as a:
        session = a.chats.begin("s")
        a.chats.ask(session.id, "one")
        server.stop()
        a.chats.ask(session.id, "two")
        gone = a.chats.begin("gone")
        a.chats.ask(gone.id, "never mind")
        a.chats.forget(gone.id)
        assert [t.question for t in a.chats.turns(session.id)] == ["one", "two"]
    with Side(tmp_path / "a", server) as a:  # a start without it
        a.chats.ask(session.id, "three")
        server.start()
        assert len(a.chats.turns(session.id)) == 3
        with Side(tmp_path / "b", server) as b:
            assert [one.name for one in b.chats.sessions()] == ["s"]
            assert [t.question for t in b.chats.turns(session.id)] == ["one", "two", "three"]
        redis.Redis.from_url(server.url).flushall()
        a.chats.ask(session.id, "four")
        with Side(tmp_path / "c", server) as c:
            assert c.chats.sessions()[0].turns == 4
    with open_knowledge_base(at(tmp_path / "a", load()), embedder=HashEmbedder()) as alone:  # no longer configured
        assert [t.question for t in alone.chats.turns(session.id)] == ["one", "two", "three", "four"]
