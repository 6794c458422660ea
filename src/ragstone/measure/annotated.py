"""Annotated sentences as plain text: tokens are joined the way they are printed, and spans follow them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Span = tuple[int, int]

NOT_NAMES = frozenset(("TIME", "NUM"))
"""Types of entities that are no names."""
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}%…”“’'") | {"'s", "n't", "'re", "'ve", "'m", "'ll", "'d", "’s"}
_NO_SPACE_AFTER = frozenset("([{„‚#@$£€")
_JOINERS = frozenset("-/")
_QUOTES = frozenset("\"'")
_APOSTROPHES = frozenset("'")


@dataclass(frozen=True, slots=True)
class Annotated:
    """`entities`: the spans of each entity; sentences of a named-entity set have one span each."""

    id: str
    text: str
    entities: tuple[tuple[Span, ...], ...]
    related: frozenset[tuple[int, int]] = frozenset()
    """Pairs (smaller, larger) of places in `entities`."""
    named: tuple[bool, ...] = ()
    """For each entity whether it is a name: not a time, not a number."""
    sentences: tuple[Span, ...] = ()


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def read_tagged(path: Path) -> list[Annotated]:
    """JSON lines: id, tokens, tags (BIO). Every outermost span counts, whatever its type."""
    out = []
    for record in read_records(path):
        text, spans = join(record["tokens"])
        entities = tuple(((spans[a][0], spans[b - 1][1]),) for a, b in tagged(record["tags"]))
        out.append(Annotated(str(record["id"]), text, entities, named=(True,) * len(entities)))
    return out


def read_related(path: Path) -> list[Annotated]:
    """JSON lines: id, sents (tokens), entities (type, mentions: sent_id, pos), relations (head, tail)."""
    out = []
    for record in read_records(path):
        text, spans, sentences = "", [], []
        for tokens in record["sents"]:
            part, places = join(tokens)
            begin = len(text) + bool(text)
            text = f"{text} {part}" if text else part
            spans.append([(a + begin, b + begin) for a, b in places])
            sentences.append((begin, len(text)))
        entities = []
        for entity in record["entities"]:
            marked: set[Span] = set()
            for mention in entity["mentions"]:
                tokens, (first, last) = spans[mention["sent_id"]], mention["pos"]
                marked.add((tokens[first][0], tokens[last - 1][1]))
            entities.append(tuple(sorted(marked)))
        related = frozenset((min(r["h"], r["t"]), max(r["h"], r["t"])) for r in record["relations"])
        named = tuple(e["type"] not in NOT_NAMES for e in record["entities"])
        out.append(Annotated(str(record["id"]), text, tuple(entities), related, named, tuple(sentences)))
    return out


def tagged(tags: Sequence[str]) -> list[Span]:
    """Token spans of BIO tags."""
    spans: list[Span] = []
    start = -1
    for i, tag in enumerate([*tags, "O"]):
        if start >= 0 and not tag.startswith("I-"):
            spans.append((start, i))
            start = -1
        if tag.startswith("B-") or (tag.startswith("I-") and start < 0):
            start = i
    return spans


def join(tokens: Sequence[str]) -> tuple[str, list[Span]]:
    """The tokens as text, and the span of each."""
    text, glue = "", True
    spans: list[Span] = []
    open_quotes: set[str] = set()
    for i, token in enumerate(tokens):
        space = not glue
        glue = False
        if token in _QUOTES:
            if token in open_quotes:
                open_quotes.discard(token)
                space = False
            elif token in tokens[i + 1 :]:
                open_quotes.add(token)
                glue = True
            else:
                # An apostrophe; a quotation that never ends.
                space, glue = False, token in _APOSTROPHES
        elif token in _NO_SPACE_BEFORE:
            space = False
        elif token in _NO_SPACE_AFTER:
            glue = True
        elif token in _JOINERS:
            space, glue = False, True
        if space and text:
            text += " "
        spans.append((len(text), len(text) + len(token)))
        text += token
    return text, spans
