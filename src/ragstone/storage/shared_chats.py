"""Sessions shared over Redis: what is in the data folder is the truth and complete, and Redis carries it to others.

    PREFIX:id            a name for this Redis' content; another one: it was emptied, and gets everything again
    PREFIX:sessions      id of a session → JSON (name, created)
    PREFIX:turns:ID      id of a turn → JSON (at, question, answer, withdrawn)
    PREFIX:versions      id of a session → a number that every write raises
    PREFIX:forgotten     ids of sessions that nobody takes in again

Everything is written here first. While the Redis is away, what is new waits as rows that are not shared yet, and goes
there when it is back, so nothing is lost by its coming and going.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..chat_types import ChatAnswer, ChatSession, ChatTurn
from ..errors import SettingsError
from ..protocols import ChatStore
from .chats import SharedTurn, SqliteChats

PREFIX: Final = "ragstone:chat"
WAIT_SECONDS: Final = 1.0
"""For an answer of the Redis."""
AWAY_SECONDS: Final = 5.0
"""Until a Redis that did not answer is asked again."""

log = logging.getLogger(__name__)


class SharedChats(ChatStore):
    """`url` as redis-py reads it. Raises SettingsError where that is no address, or the extra is not installed."""

    def __init__(self, local: SqliteChats, url: str) -> None:
        try:
            import redis
        except ImportError:
            raise SettingsError(
                "chat.redis needs a package that is not there.", 'Install it: pip install "ragstone[redis]".'
            ) from None
        self._local = local
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        try:
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=WAIT_SECONDS, socket_connect_timeout=WAIT_SECONDS, decode_responses=True
            )
        except ValueError as error:
            raise SettingsError(f"chat.redis is no address: {error}.", "Write redis://HOST:6379/0.") from None
        self._away_until = 0.0
        self._seen: dict[str, str] = {}

    def close(self) -> None:
        """What waits to be shared goes there now, where that is possible."""
        self._exchange(self._push)
        self._redis.close()

    # ------------------------------------------------------------------ as any store of chats
    def sessions(self) -> list[ChatSession]:
        self._exchange(self._both)
        return self._local.sessions()

    def begin(self, name: str) -> ChatSession:
        return self._local.begin(name)

    def turns(self, session: str) -> list[ChatTurn]:
        self._exchange(self._both)
        return self._local.turns(session)

    def questions(self, most: int) -> list[str]:
        return self._local.questions(most)

    def ask(self, session: str, question: str) -> ChatTurn:
        turn = self._local.ask(session, question)
        self._exchange(self._push)
        return turn

    def answer(self, turn: str, answer: ChatAnswer) -> bool:
        stored = self._local.answer(turn, answer)
        self._exchange(self._push)
        return stored

    def forget(self, session: str) -> int:
        count = self._local.forget(session, everywhere=True)
        self._exchange(self._push)
        return count

    # ------------------------------------------------------------------ to and from the Redis
    def _exchange(self, work: Callable[[], None]) -> None:
        if time.monotonic() < self._away_until:
            return
        try:
            self._recognise()
            work()
        except self._errors as error:
            log.info("sessions are not shared for now: %s", type(error).__name__)
            self._away_until = time.monotonic() + AWAY_SECONDS

    def _recognise(self) -> None:
        self._redis.set(f"{PREFIX}:id", secrets.token_hex(8), nx=True)
        found = str(self._redis.get(f"{PREFIX}:id"))
        if found != self._local.shared_with():
            self._local.share_all_with(found)
            self._seen.clear()

    def _both(self) -> None:
        self._push()
        self._pull()

    def _push(self) -> None:
        gone = self._local.forgotten()
        turns = self._local.unshared()
        if not gone and not turns:
            return
        with self._redis.pipeline(transaction=True) as pipe:
            for turn in turns:
                head = msgspec.json.encode((turn.name, turn.created)).decode()
                pipe.hset(f"{PREFIX}:sessions", turn.session, head)
                body = msgspec.json.encode((turn.at, turn.question, turn.answer, turn.withdrawn)).decode()
                pipe.hset(f"{PREFIX}:turns:{turn.session}", turn.id, body)
                pipe.hincrby(f"{PREFIX}:versions", turn.session, 1)
            for session in gone:
                pipe.sadd(f"{PREFIX}:forgotten", session)
                pipe.delete(f"{PREFIX}:turns:{session}")
                pipe.hdel(f"{PREFIX}:sessions", session)
                pipe.hdel(f"{PREFIX}:versions", session)
            pipe.execute()
        self._local.were_shared(turns, gone)

    def _pull(self) -> None:
        forgotten = self._redis.smembers(f"{PREFIX}:forgotten")
        held = {one.id for one in self._local.sessions()}
        for session in held & forgotten:
            self._local.forget(session)
        versions = self._redis.hgetall(f"{PREFIX}:versions")
        changed = [s for s, version in versions.items() if self._seen.get(s) != version and s not in forgotten]
        for session in changed:
            head = self._redis.hget(f"{PREFIX}:sessions", session)
            if head is None:
                continue
            name, created = msgspec.json.decode(head, type=tuple[str, float])
            turns = []
            for id_, body in self._redis.hgetall(f"{PREFIX}:turns:{session}").items():
                at, question, answer, withdrawn = msgspec.json.decode(body, type=tuple[float, str, str | None, bool])
                turns.append(SharedTurn(session, name, created, id_, at, question, answer, withdrawn))
            self._local.take_in(turns)
            self._seen[session] = versions[session]
