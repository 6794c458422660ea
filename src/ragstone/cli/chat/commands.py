"""The commands of a chat: a line that begins with a slash."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import InputError, NotFound
from ..terminal import flat, plural
from . import showing
from .chat import EXTRACTIVE, LISTED, Chat, Step, day, one_line, shortened
from .rendering import Output


@dataclass(frozen=True, slots=True)
class Room:
    """What a command works with. `ask` answers a question, `show` shows a turn that is stored, `edit` puts a text where
    the next question is typed (None: there is no such place), `quit` ends the chat."""

    chat: Chat
    output: Output
    ask: Callable[..., None]
    show: Callable[[Step], None]
    edit: Callable[[str], None] | None
    quit: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Command:
    usage: str
    help: str
    run: Callable[[Room, str], None]


def run(room: Room, line: str) -> None:
    """Raises InputError where there is no such command, and what the command raises."""
    name, _, rest = line.strip().removeprefix("/").partition(" ")
    if "\n" in name:
        name, _, rest = line.strip().removeprefix("/").partition("\n")
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        raise InputError(f"there is no command /{name}.", f"Did you mean /{near[0]}?" if near else "See /help.")
    COMMANDS[name].run(room, rest.strip())


def words(chat: Chat, line: str) -> Iterable[str]:
    """What could complete the last word of a line that begins with a slash."""
    name, space, rest = line.removeprefix("/").partition(" ")
    if not space:
        return [f"/{command}" for command in COMMANDS if command.startswith(name)]
    if " " in rest and name != "sessions":
        return []
    return [word for word in _values(chat, name) if word.startswith(rest)]


def _values(chat: Chat, name: str) -> list[str]:
    if name == "collection":
        return ["all", *chat.kb.store.collections()]
    if name == "model":
        return [EXTRACTIVE, "auto", "gateway", "ollama:", "openai:", "gguf:"]
    if name == "sessions":
        return [one.name for one in chat.chats.sessions()]
    if name == "forget":
        return ["session", "key"]
    if name == "open" and chat.turns:
        return [str(cited.number) for cited in chat.last_answer().citations]
    return []


# ---------------------------------------------------------------------- what is asked
def _collection(room: Room, rest: str) -> None:
    chat = room.chat
    if rest:
        chat.use_collections([] if rest == "all" else rest.split(","))
    names = ", ".join(chat.collections or chat.kb.store.collections()) or "none yet"
    room.output.line(f"Asked: {names}" + ("" if chat.collections else " (all)"))


def _model(room: Room, rest: str) -> None:
    chat = room.chat
    if rest:
        chat.use_model(rest)
    room.output.line(f"Answers: {chat.model}")
    for status in chat.kb.model_status():
        room.output.line(f"  {flat(status.name)}: {'loaded' if status.loaded else 'not loaded'}", "dim")


def _budget(room: Room, rest: str) -> None:
    from ...budget.money import shown
    from ..budgeting import read_ledger

    if rest:
        raise InputError("/budget only shows.", "`ragstone budget set month 20` sets a limit.")
    with read_ledger(room.chat.settings) as ledger:
        standings = ledger.standings()
    rows = [
        (
            str(s.budget), f"spent {shown(s.spent + s.lost)}",
            "no limit" if s.limit is None else f"of {shown(s.limit)}",
            "" if s.left is None else f"left {shown(s.left)}",
        )
        for s in standings
        if s.limit is not None or s.budget.scope == "all"
    ]  # fmt: skip
    if rows:
        room.output.rows(rows)
    else:
        room.output.line("Nothing was spent, and nothing is limited.")


# ---------------------------------------------------------------------- memory
def _remember(room: Room, rest: str) -> None:
    key, equals, value = rest.partition("=")
    fact = bool(equals) and "\n" not in rest and len(key.split()) <= 4
    memory = room.chat.kb.memory
    told = memory.remember(key=key.strip(), value=value.strip(), kind="fact") if fact else memory.remember(rest)
    done = {"added": "Remembered", "merged": "Known already", "replaced": "Remembered, in place of the value before"}
    room.output.line(f"{done.get(told.outcome, 'Known already')}: {one_line(told.item.text)}")
    room.output.line(f"  {told.item.id}", "dim")


def _forget(room: Room, rest: str) -> None:
    what, _, more = rest.partition(" ")
    if what == "session":
        name = more.strip() or room.chat.name
        count = room.chat.forget_session(name)
        room.output.line(f"Forgot the session {name} with {plural(count, 'question')}.")
        room.output.line("  `ragstone purge` takes its bytes off the disk.", "dim")
    elif what == "key" and more.strip():
        room.output.line(f"Forgot {plural(room.chat.kb.memory.forget_matching(key=more.strip()), 'item')}.")
    elif what:
        if not room.chat.kb.memory.forget(what):
            raise NotFound(f"there is no memory {what!r}.", "`/timeline` shows ids.")
        room.output.line("Forgot 1 item.")
    else:
        raise InputError("nothing says what to forget.", "Write /forget ID, /forget key KEY or /forget session.")


def _recall(room: Room, rest: str) -> None:
    if not rest:
        raise InputError("recall what?", "Write /recall and words or a question.")
    room.show(room.chat.tell_recalled(rest))


def _timeline(room: Room, rest: str) -> None:
    limit = _number(rest, "/timeline 20") if rest else 20
    items = room.chat.kb.memory.timeline(limit=limit)
    if not items:
        room.output.line("Nothing is remembered yet.")
    room.output.rows((day(item.at), item.type or item.kind, item.id, shortened(item.text, LISTED)) for item in items)


# ---------------------------------------------------------------------- the answer
def _open(room: Room, rest: str) -> None:
    showing.opened(room.chat, room.output, _number(rest or "1", "/open 2"))


def _why(room: Room, rest: str) -> None:
    if rest:
        raise InputError("/why tells of the last answer only.")
    showing.why(room.chat, room.output)


def _export(room: Room, rest: str) -> None:
    if not room.chat.turns:
        raise NotFound("there is nothing to export yet.", "Ask a question first.")
    path = Path(rest or f"{room.chat.name}.md").expanduser()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{path} is there already.", "Name another file: /export FILE.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.", "Name another file: /export FILE.") from error
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(showing.exported(room.chat))
    room.output.line(f"Wrote {plural(len(room.chat.turns), 'question')} to {path}")


def _retry(room: Room, rest: str) -> None:
    if rest:
        raise InputError("/retry asks the last question again.", "/edit changes it first.")
    room.ask(room.chat.last().question, anew=True)


def _edit(room: Room, rest: str) -> None:
    if room.edit is None:
        raise InputError("there is nothing to edit in here.", "Write the question again.")
    room.edit(rest or room.chat.last().question)


# ---------------------------------------------------------------------- sessions
def _sessions(room: Room, rest: str) -> None:
    if rest:
        room.chat.resume(rest)
        showing.resumed(room.chat, room.output)
        return
    sessions = room.chat.chats.sessions()
    if not sessions:
        room.output.line("No session is stored yet.")
    room.output.rows(showing.session_rows(sessions, room.chat.name))


def _new(room: Room, rest: str) -> None:
    room.chat.new(rest)
    room.output.line(f"Session {room.chat.name}", "dim")


def _help(room: Room, _rest: str) -> None:
    room.output.rows((command.usage, command.help) for command in COMMANDS.values())
    if room.edit is not None:
        room.output.line()
        room.output.rows(KEYS)


def _quit(room: Room, _rest: str) -> None:
    room.quit()


KEYS: Final[Sequence[tuple[str, str]]] = (
    ("Enter", "ask; while an answer comes: ask next"),
    ("Alt-Enter", "a new line"),
    ("Ctrl-C", "stop the answer; else clear the line"),
    ("Ctrl-R", "search what was asked before"),
    ("Tab", "complete a command"),
    ("Ctrl-D", "end"),
)

COMMANDS: Final[dict[str, Command]] = {
    "open": Command("/open [N]", "show the passage of citation [N] in its document", _open),
    "why": Command("/why", "how the last answer came about", _why),
    "retry": Command("/retry", "ask the last question again, anew", _retry),
    "edit": Command("/edit", "change the last question", _edit),
    "collection": Command("/collection [NAME,…]", "what is asked; all: everything", _collection),
    "model": Command("/model [MODEL]", "what answers", _model),
    "budget": Command("/budget", "what was spent, and what is left", _budget),
    "remember": Command("/remember TEXT", "keep it in memory; KEY = VALUE: a fact", _remember),
    "recall": Command("/recall QUESTION", "what memory holds about it", _recall),
    "timeline": Command("/timeline [N]", "the latest that is remembered", _timeline),
    "forget": Command("/forget ID | key KEY | session [NAME]", "forget it", _forget),
    "sessions": Command("/sessions [NAME]", "list sessions; go on with one", _sessions),
    "new": Command("/new [NAME]", "begin a session", _new),
    "export": Command("/export [FILE]", "write the session as markdown", _export),
    "help": Command("/help", "this", _help),
    "quit": Command("/quit", "end", _quit),
}


def _number(text: str, example: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise InputError(f"{text!r} is not a number here.", f"Write for example {example}.")
    return int(text)
