"""Results as text for models. Everything that comes out of documents or memory stands between two marks whose name is
new in each result, so that no text can end its quotation itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .shapes import NOTICE

Render = Callable[[Mapping[str, Any]], str]
LONGEST_NAME: Final = 300


def quoted(body: str) -> str:
    name = f"data-{secrets.token_hex(6)}"
    return f"{NOTICE} It stands between the marks {name}.\n<{name}>\n{body}\n</{name}>"


def passages(result: Mapping[str, Any]) -> str:
    found = result["passages"]
    if not found:
        return _with_notes("Nothing was found. Try other words, or list_collections to see what is there.", result)
    body = "\n\n".join(f"{_place(one)}\n{one['text']}" for one in found)
    return _with_notes(f"{len(found)} passages, the best first.\n{quoted(body)}", result)


def answer(result: Mapping[str, Any]) -> str:
    sources = "\n\n".join(f"{_place(one)}\n{one['text']}" for one in result["citations"])
    body = result["answer"] + (f"\n\nSources:\n{sources}" if sources else "")
    head = "" if result["answered"] else "The documents do not answer this. "
    return _with_notes(head + quoted(body), result)


def span(result: Mapping[str, Any]) -> str:
    end, whole = result["end"], result["characters"]
    more = f" Read on with start={end}." if end < whole else ""
    return f"Characters {result['start']} to {end} of {whole}.{more}\n{quoted(result['text'])}"


def remembered(result: Mapping[str, Any]) -> str:
    said = {
        "added": "Remembered.",
        "merged": "Known already; counted as a repetition.",
        "replaced": "Remembered; it replaces the earlier value of this key.",
        "unchanged": "Known already; nothing changed.",
    }[result["outcome"]]
    lost = ", ".join(result["contradicted"])
    return f"{said} id {result['item']['id']}." + (f" No longer valid because of it: {lost}." if lost else "")


def recalled(result: Mapping[str, Any]) -> str:
    if not result["hits"]:
        return _with_notes("Nothing like that is remembered. search looks into documents.", result)
    body = "\n".join(_item(hit["item"]) for hit in result["hits"])
    unsure = "" if result["answerable"] >= 0.5 else " Memory probably does not hold the answer."
    return _with_notes(f"{len(result['hits'])} items, the best first.{unsure}\n{quoted(body)}", result)


def timeline(result: Mapping[str, Any]) -> str:
    if not result["items"]:
        return "Nothing is remembered of that time."
    return f"{len(result['items'])} items, newest first.\n" + quoted("\n".join(map(_item, result["items"])))


def plain(result: Mapping[str, Any]) -> str:
    """Counts and names, a line each."""
    return "\n".join(_lines(result))


def flat(text: str) -> str:
    """In one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_NAME]


def _lines(value: Any, name: str = "") -> list[str]:
    if isinstance(value, Mapping):
        if name and not any(isinstance(inner, Mapping | list) for inner in value.values()):
            return [f"{name}: " + ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())]
        return [line for key, inner in value.items() for line in _lines(inner, str(key))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if all(not isinstance(one, Mapping) for one in value):
            return [f"{name}: {', '.join(map(_short, value)) or 'none'}"]
        return [line for number, one in enumerate(value, 1) for line in _lines(one, f"{name} {number}")]
    return [f"{name}: {_short(value)}"]


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_short(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(_short, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return flat(str(value)) or '""'


def _place(one: Mapping[str, Any]) -> str:
    collection = f"collection {flat(one['collection'])}, " if "collection" in one else ""
    page = f", page {one['page']}" if one["page"] is not None else ""
    section = " > ".join(map(flat, one.get("section", ())))
    title = flat(one["title"])
    head = f"[{one['number']}] {flat(one['uri'])} ({collection}characters {one['start']} to {one['end']}{page})"
    return "\n".join(part for part in (head, title, section) if part)


def _item(item: Mapping[str, Any]) -> str:
    about = [
        item["at"][:16].replace("T", " "), item["type"] or item["kind"], flat(item["who"]), flat(item["project"]),
        "" if item["state"] == "valid" else item["state"], f"id {item['id']}",
    ]  # fmt: skip
    sources = ", ".join(flat(source["uri"]) for source in item["sources"][:3])
    outcome = f" Outcome: {item['outcome']}" if item["outcome"] else ""
    return f"- {item['text']}{outcome} ({'; '.join(filter(None, about))}{f'; from {sources}' if sources else ''})"


def _with_notes(text: str, result: Mapping[str, Any]) -> str:
    notes = "; ".join(map(flat, result["notes"]))
    return f"{text}\nNotes: {notes}" if notes else text
