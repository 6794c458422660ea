"""Lines of a transcript become turns. Known shapes, each recognised by its own members:

    {"role": …, "content": "…" | [parts]}                     chat messages (OpenAI, Ollama, Anthropic content blocks)
    {"role": …, "parts": [{"text": …}]}                       Gemini
    {"messages": [message, …]}                                a conversation in one line (fine-tuning files)
    {"conversations": [{"from": "human", "value": …}, …]}     ShareGPT
    {"type": "user", "message": {message}, "timestamp": …}    session files of coding agents (Claude Code)
    {"type": "response_item", "payload": {item}}              session files of coding agents (Codex)
    {"type": "message" | "function_call" | …}                 items of OpenAI's Responses
    {"speaker" | "user" | "author" | "from" | "name": …, "text" | "value" | "message" | "content": …}
    user: text                                                plain text; lines without a role go on with the turn

Tool calls and their results become turns of role "tool", so that what failed can be seen. Thinking is no turn: it was
not said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from ..errors import DamagedFile

TurnRole = Literal["user", "assistant", "tool", "system"]

MOST_TEXT: Final = 100_000
"""Characters of a turn that are looked at: whole files that a tool read are not worth more."""

_ROLES: Final[Mapping[str, TurnRole]] = {
    "user": "user", "human": "user", "nutzer": "user", "nutzerin": "user", "mensch": "user", "frage": "user",
    "customer": "user", "kunde": "user", "kundin": "user", "me": "user", "ich": "user",
    "assistant": "assistant", "ai": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
    "model": "assistant", "claude": "assistant", "agent": "assistant", "assistent": "assistant", "bing": "assistant",
    "ki": "assistant", "antwort": "assistant",
    "tool": "tool", "function": "tool", "tool_result": "tool", "observation": "tool", "werkzeug": "tool",
    "system": "system", "developer": "system",
}  # fmt: skip
_SPEAKERS: Final = ("speaker", "author", "from", "user", "name", "sender", "who")
_WORDS: Final = ("text", "value", "message", "content", "body")
_TIMES: Final = ("timestamp", "at", "time", "ts", "created_at", "create_time", "date")
_PLAIN = re.compile(
    r"^\s*(?:\[(?P<time>[^\]]{4,40})\]\s*)?\**(?P<who>[^\W\d_][\w .@'-]{0,39}?)\**\s*:\**(?:\s+|$)(?P<text>.*)$", re.S
)
_ERROR = re.compile(
    r"\b(?:error|exception|traceback|failed|failure|fatal|panic|segmentation fault|command not found|"
    r"fehler|fehlgeschlagen|abgebrochen|ausnahme)\b",
    re.I,
)
_EXIT = re.compile(r"\b(?:exit code|exited with code|exit status|rückgabewert)[: ]+([1-9]\d*)", re.I)


@dataclass(frozen=True, slots=True)
class Turn:
    """`who` is the name that stands in the transcript, `role` what it means; `at` in POSIX seconds where it is told.
    `tool` names the tool of a call or a result; `failed`: a result that tells an error. `project` is the folder that
    the agent worked in, where it is told."""

    role: TurnRole
    text: str
    who: str = ""
    at: float | None = None
    tool: str = ""
    failed: bool = False
    project: str = ""


def read_line(line: str) -> list[Turn]:
    """The turns of one line of JSON; none for one that is about something else (settings of a session, thinking).
    Raises DamagedFile where it is no JSON, or JSON that is not understood."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DamagedFile(f"not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise DamagedFile("JSON, but no object.")
    return [t for t in _turns(value, {}) if t.text.strip() or t.tool]


def is_json(line: str) -> bool:
    return line.lstrip()[:1] in ("{", "[")


def plain_start(line: str) -> Turn | None:
    """The beginning of a turn in plain text ("user: …"), or None where the line goes on with the one before."""
    found = _PLAIN.match(line)
    if found is None:
        return None
    who = found["who"].strip()
    role = _ROLES.get(who.casefold())
    # "Note: …" and "Hinweis: …" are words of a turn, not its speaker: a name is one that stands alone or is a role
    if role is None and (len(who.split()) > 3 or not who[:1].isupper() or who.casefold() in _NO_SPEAKERS):
        return None
    return Turn(role or "user", found["text"][:MOST_TEXT], who, _time(found["time"]))


_NO_SPEAKERS: Final = frozenset((
    "note", "hint", "warning", "error", "example", "problem", "solution", "decision", "question", "fix", "todo",
    "summary", "result", "output", "input", "step", "reason", "cause", "update", "edit", "usage", "file", "http",
    "https", "url", "hinweis", "achtung", "warnung", "fehler", "beispiel", "lösung", "entscheidung", "ergebnis",
    "ausgabe", "eingabe", "schritt", "grund", "ursache", "datei", "zusammenfassung", "wichtig", "important", "ps",
    "fact", "fakt",
))  # fmt: skip


def _turns(value: Mapping[str, Any], around: Mapping[str, Any]) -> Iterator[Turn]:
    """`around`: what was told outside of this object (time, folder)."""
    known = {**around, **_surroundings(value)}
    payload = value.get("payload")
    if isinstance(payload, dict) and value.get("type") in _SESSION:
        if value["type"] == "response_item":
            yield from _turns(payload, known)
        return
    for name in ("messages", "conversations", "conversation", "turns"):
        if isinstance(value.get(name), list):
            for message in value[name]:
                if isinstance(message, dict):
                    yield from _turns(message, known)
            return
    if isinstance(value.get("message"), dict):
        yield from _turns(value["message"], known)
        return
    kind = value.get("type")
    if kind in ("function_call", "custom_tool_call", "local_shell_call"):
        given = value.get("arguments", value.get("input", value.get("action")))
        yield _call(str(value.get("name", kind)), given, known)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        yield _result(_text(value.get("output")), "", known, failed=False)
    elif kind in _SILENT and "role" not in value:
        return
    elif isinstance(value.get("role"), str):
        yield from _message(value, value["role"], known)
    else:
        yield _spoken(value, known)


_SESSION: Final = ("response_item", "event_msg", "session_meta", "turn_context")
_SILENT: Final = frozenset(
    ("summary", "reasoning", "thinking", "file-history-snapshot", "session_meta", "progress", "queue-operation", "ping")
)


def _message(value: Mapping[str, Any], told: str, known: Mapping[str, Any]) -> Iterator[Turn]:
    role = _ROLES.get(told.casefold(), "user")
    who = value["name"] if isinstance(value.get("name"), str) else told
    content = value.get("content", value.get("parts"))
    if role == "tool":
        yield _result(_text(content), str(value.get("name", "")), known, failed=False)
        return
    words = _text(content)
    if words.strip():
        yield Turn(role, words[:MOST_TEXT], who, **known)
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("tool_use", "server_tool_use"):
            yield _call(str(part.get("name", "")), part.get("input"), known)
        elif kind == "tool_result":
            yield _result(_text(part.get("content")), "", known, failed=bool(part.get("is_error")))
    for call in value["tool_calls"] if isinstance(value.get("tool_calls"), list) else ():
        function = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield _call(str(function.get("name", "")), function.get("arguments"), known)


def _spoken(value: Mapping[str, Any], known: Mapping[str, Any]) -> Turn:
    words = next((value[n] for n in _WORDS if isinstance(value.get(n), str)), None)
    who = next((value[n] for n in _SPEAKERS if isinstance(value.get(n), str)), None)
    if words is None or who is None:
        raise DamagedFile("no shape of a turn that is known (docs/learn.md lists them).")
    return Turn(_ROLES.get(who.casefold(), "user"), words[:MOST_TEXT], who, **known)


def _call(name: str, arguments: Any, known: Mapping[str, Any]) -> Turn:
    words = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return Turn("tool", f"{name} {words}"[:MOST_TEXT], name, tool=name or "tool", **known)


def _result(text: str, name: str, known: Mapping[str, Any], *, failed: bool) -> Turn:
    head = text[:4_000] + text[-1_000:]
    told = failed or bool(_EXIT.search(head)) or bool(_ERROR.search(head[:400]))
    return Turn("tool", text[:MOST_TEXT], name, tool=name or "result", failed=told, **known)


def _text(content: Any) -> str:
    """What was said in a content of any known shape."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get("text", content.get("content", content.get("output"))))
    if not isinstance(content, list):
        return ""
    said = (p if isinstance(p, str) else p.get("text") for p in content if isinstance(p, str | dict))
    return "\n".join(words for words in said if isinstance(words, str))


def _surroundings(value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = next((t for n in _TIMES if (t := _time(value.get(n))) is not None), None)
    if at is not None:
        found["at"] = at
    folder = value.get("cwd") or value.get("project")
    if isinstance(folder, str) and folder.strip("/\\ "):
        found["project"] = re.split(r"[/\\]", folder.rstrip("/\\"))[-1]
    return found


def _time(told: Any) -> float | None:
    """POSIX seconds of ISO 8601, seconds or milliseconds."""
    if isinstance(told, bool) or told is None:
        return None
    if isinstance(told, str):
        try:
            told = float(told)
        except ValueError:
            try:
                when = datetime.fromisoformat(told.strip())
            except ValueError:
                return None
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if not isinstance(told, int | float) or not 1e8 < told < 1e14:
        return None
    return told / 1e3 if told > 1e11 else float(told)
