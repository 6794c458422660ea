"""The command `ragstone chat`."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError, NotFound
from ..options import Model
from ..session import Session, command
from ..session import commands as group

if TYPE_CHECKING:
    from .chat import Chat

app = group()


@command(app)
def chat(
    session: Session,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the session used last.")] = False,
    name: Annotated[
        str | None,
        typer.Option("--session", metavar="NAME", help="Go on with this session, or begin it.", show_default=False),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the sessions, and end.")] = False,
    model: Model = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="For pipes: a question or command on each line. Default without a terminal.")
    ] = False,
) -> int:
    """Ask in a conversation that can be resumed, with memory.

    Every question is stored before it is answered, and every answer when it is there. /help lists the commands, among
    them /open 2 (the passage that [2] cites) and /why. Into a pipe, the exit code is that of the first line that
    failed.
    """
    if resume and name is not None:
        raise InputError("--resume and --session exclude each other.")
    if model is not None:
        session.override("answer.model", model)
    if list_:
        return _list(session)
    terminal = session.terminal
    by_line = plain or terminal.as_json or not terminal.out_is_terminal or not sys.stdin.isatty()
    session.safe = "Everything that was asked is stored; `ragstone chat --resume` goes on."
    from .chat import Chat

    held = Chat(session, session.open(background=not by_line))
    try:
        _choose(held, name, resume)
        if by_line:
            from .plain import Plain

            return Plain(held, terminal).run(sys.stdin)
        from .screen import Screen

        return Screen(held, terminal).run()
    finally:
        held.close()


def _choose(chat: Chat, name: str | None, resume: bool) -> None:
    if resume:
        chat.resume()
    elif name is not None:
        try:
            chat.resume(name)
        except NotFound:
            chat.new(name)
    else:
        chat.new()


def _list(session: Session) -> int:
    from ...assemble import open_chats
    from ..chat_records import chat_sessions_record
    from ..terminal import Column, flat
    from .showing import session_rows

    with session.open() as kb, closing(open_chats(session.settings, kb)) as chats:
        sessions = chats.sessions()
    if session.terminal.as_json:
        session.terminal.json(chat_sessions_record(sessions))
        return 0
    columns = [Column("Session"), Column("Last used"), Column("Questions", "right"), Column("First", wrap=True)]
    rows = [(row[0], row[1], row[2].split()[0], flat(row[4])) for row in map(tuple, session_rows(sessions, ""))]
    session.terminal.table(columns, rows)
    return 0
