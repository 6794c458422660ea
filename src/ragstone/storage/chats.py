"""Chats in the database of the store: `protocols.ChatStore`."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import apsw
import msgspec

from ..chat_types import ChatAnswer, ChatSession, ChatTurn
from ..errors import Conflict, InputError, NotFound
from ..faults import reach
from ..protocols import ChatStore
from .connect import ReaderPool, array, fetch
from .memory import Write
from .migrations import queries

SQL = queries()
BACKEND: Final = "chat:shared with"
"""Name of the stored value that says which shared backend has the rows that are marked as shared."""
LONGEST_QUESTION: Final = 1 << 20
"""Bytes of what is typed or pasted as one question; far more than a search takes."""
_NAME = re.compile(r"[\w][\w .@+-]{0,63}")


def checked_name(name: str) -> str:
    """Raises InputError."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a session.",
            "Use up to 64 letters, digits, spaces and . @ + - _, beginning with a letter or digit.",
        )
    return name


class SqliteChats(ChatStore):
    """Safe from several threads and processes, as the store is."""

    def __init__(self, readers: ReaderPool, write: Write) -> None:
        self._readers = readers
        self._write = write

    def sessions(self) -> list[ChatSession]:
        with self._readers.use() as connection:
            rows = fetch(connection, SQL["chat_sessions"])
        return [ChatSession(uid, name, made, used, turns, first or "") for uid, name, made, used, turns, first in rows]

    def begin(self, name: str) -> ChatSession:
        checked_name(name)
        uid, now = secrets.token_hex(16), time.time()
        try:
            self._write(lambda connection: connection.execute(SQL["chat_begin"], (uid, name, now, now)) and None)
        except apsw.ConstraintError:
            raise Conflict(f"there is a session {name!r} already.", "Resume it, or choose another name.") from None
        return ChatSession(uid, name, now, now)

    def turns(self, session: str) -> list[ChatTurn]:
        with self._readers.snapshot() as connection:
            if connection.execute(SQL["chat_session"], (session,)).fetchone() is None:
                raise _gone()
            rows = fetch(connection, SQL["chat_turns"], (session,))
        return [ChatTurn(uid, at, question, _decoded(answer), bool(gone)) for uid, at, question, answer, gone in rows]

    def questions(self, most: int) -> list[str]:
        with self._readers.use() as connection:
            return [row[0] for row in connection.execute(SQL["chat_questions"], (most,))]

    def ask(self, session: str, question: str) -> ChatTurn:
        if len(question.encode("utf-8", "surrogatepass")) > LONGEST_QUESTION:
            raise InputError(f"that is longer than {LONGEST_QUESTION >> 20} MiB.", "Add it as a document instead.")
        turn = ChatTurn(secrets.token_hex(16), time.time(), question)

        def work(connection: apsw.Connection) -> None:
            row = connection.execute(SQL["chat_session"], (session,)).fetchone()
            if row is None:
                raise _gone()
            connection.execute(SQL["chat_ask"], (turn.id, row[0], turn.at, question))
            connection.execute(SQL["chat_touch"], (turn.at, row[0]))
            reach("chat.asked")

        self._write(work)
        return turn

    def answer(self, turn: str, answer: ChatAnswer) -> bool:
        def work(connection: apsw.Connection) -> bool:
            row = connection.execute(SQL["chat_turn"], (turn,)).fetchone()
            if row is None:
                raise _gone()
            return answered(connection, row[0], answer)

        return bool(self._write(work))

    def forget(self, session: str, *, everywhere: bool = False) -> int:
        """`everywhere`: others with whom it is shared are to forget it as well."""

        def work(connection: apsw.Connection) -> int:
            count = len(fetch(connection, SQL["chat_turns"], (session,)))
            connection.execute(SQL["chat_forget"], (session,))
            if not connection.changes():
                raise _gone()
            if everywhere:
                connection.execute(SQL["chat_keep_forgotten"], (session,))
            return count

        return int(self._write(work, frees=True))

    def close(self) -> None:
        """The store closes what these use."""

    # ------------------------------------------------------------------ for shared_chats.py
    def unshared(self) -> list[SharedTurn]:
        with self._readers.use() as connection:
            rows = fetch(connection, SQL["chat_unshared"])
        return [
            SharedTurn(session, name, created, id_, at, question, answer, bool(withdrawn))
            for session, name, created, id_, at, question, answer, withdrawn in rows
        ]

    def forgotten(self) -> list[str]:
        with self._readers.use() as connection:
            return [row[0] for row in connection.execute(SQL["chat_forgotten"])]

    def were_shared(self, turns: Sequence[SharedTurn], forgotten: Sequence[str]) -> None:
        """A turn that changed meanwhile is shared again."""

        def work(connection: apsw.Connection) -> None:
            values = [{"uid": t.id, "withdrawn": t.withdrawn, "answer": t.answer} for t in turns]
            connection.executemany(SQL["chat_shared"], values)
            connection.executemany(SQL["chat_told_forgotten"], [(session,) for session in forgotten])

        self._write(work, frees=True)

    def shared_with(self) -> str | None:
        with self._readers.use() as connection:
            row = connection.execute(SQL["get_state"], (BACKEND,)).fetchone()
        return None if row is None else str(row[0])

    def share_all_with(self, backend: str) -> None:
        """It has nothing yet of what is here."""

        def work(connection: apsw.Connection) -> None:
            connection.execute(SQL["chat_unshare_all"])
            connection.execute(SQL["set_state"], (BACKEND, backend))

        self._write(work)

    def take_in(self, turns: Sequence[SharedTurn]) -> None:
        """Turns of others; what was written here stays as it is."""

        def work(connection: apsw.Connection) -> None:
            for turn in turns:
                session = connection.execute(SQL["chat_session"], (turn.session,)).get
                if session is None:
                    taken = [name for (name,) in connection.execute(SQL["chat_names"])]
                    head = (turn.session, free_name(turn.name, taken), turn.created, turn.at)
                    connection.execute(SQL["chat_begin"], head)
                    session = connection.last_insert_rowid()
                row = (turn.id, session, turn.at, turn.withdrawn, turn.question, _foreign(turn.answer))
                connection.execute(SQL["chat_import"], row)
                if connection.changes():
                    connection.execute(SQL["chat_touch"], (turn.at, session))

        self._write(work)


@dataclass(frozen=True, slots=True)
class SharedTurn:
    """A turn with its session, as a shared backend carries it; `answer` is JSON."""

    session: str
    name: str
    created: float
    id: str
    at: float
    question: str
    answer: str | None
    withdrawn: bool


def _foreign(answer: str | None) -> str | None:
    """Without what means something only in the data folder that it was made in."""
    if answer is None:
        return None
    decoded = msgspec.json.decode(answer, type=ChatAnswer)
    cited = tuple(replace(one, chunk=0) for one in decoded.citations)
    return msgspec.json.encode(replace(decoded, citations=cited, found=(), remembered="")).decode()


def answered(connection: apsw.Connection, turn: int, answer: ChatAnswer) -> bool:
    """Stores the answer, unless one of its passages went while it was made; whether it was stored."""
    passages = sorted(answer.passages())
    connection.execute(SQL["chat_unbind"], (turn,))
    there = 0
    if passages:
        there = connection.execute(SQL["chat_chunks_there"], (array(passages),)).get
    if there < len(passages):
        connection.execute(SQL["chat_answer"], (None, True, turn))
        return False
    connection.execute(SQL["chat_answer"], (msgspec.json.encode(answer).decode(), False, turn))
    connection.executemany(SQL["chat_bind"], [(chunk, turn) for chunk in passages])
    reach("chat.answered")
    return True


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, or where it is taken the first free one of NAME 2, NAME 3, …"""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} {number}"
    return found


def _decoded(answer: str | None) -> ChatAnswer | None:
    return None if answer is None else msgspec.json.decode(answer, type=ChatAnswer)


def _gone() -> NotFound:
    return NotFound("this session was forgotten.", "`/sessions` lists those that are there, `/new` begins one.")
