"""Random work on memory, and what must hold of it: facts with values that replace each other, episodes that are found
with the one before them, and knowledge that repeats itself and stands on documents or on a transcript."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..knowledge_base import KnowledgeBase
from ..memory_types import MEMORY, SESSION_SECONDS, MemoryItem, NewItem, SourceSpan
from ..storage.memory_sources import span_hash
from ..text.turns import as_context, context_of
from .history import Journal, Key
from .texts import mark

FACTS: Final = 20
"""Keys of which values are remembered."""
STATEMENTS: Final = 12
"""Things that are stated, in several wordings each: those of one repeat each other, those of two have other words."""
TRANSCRIPT: Final = "transcript"
"""A collection that does not exist: what stands on it stays until it is forgotten."""
_WORDINGS: Final = (
    "The {0} of the {1} was set to {2} by the people of the night shift.",
    "the {0} of the {1} was set to {2} by people of the night shift",
    "The {0} of the {1} was set to {2} by the people of the night shifts.",
)
_PEOPLE: Final = ("Anna", "Ben", "Cem")
_FACT, _EVENT, _SAID = " fact ", " event ", " said "
_WEEK: Final = 7 * 86_400


class Recollecting:
    """`tell` and `forget` keep the journal. `prefix` begins the names of all that only this one tells."""

    def __init__(self, kb: KnowledgeBase, journal: Journal, chance: random.Random, prefix: str) -> None:
        self._kb = kb
        self._journal = journal
        self._chance = chance
        self._prefix = prefix

    def tell(self, documents: Sequence[str], collection: str) -> None:
        """Facts, episodes or knowledge, all or none; `documents` are uris that knowledge may stand on."""
        told: dict[str, tuple[int, NewItem]] = {}
        stands: dict[str, str] = {}
        make = self._chance.choice((self._fact, self._event, lambda: self._said(documents, collection, stands)))
        for _ in range(self._chance.randint(1, 3)):
            name, version, item = make()
            told[name] = version, item
        changes = {name: version for name, (version, _) in sorted(told.items())}
        standing = {name: uri for name, uri in stands.items() if name in told}
        request = self._journal.begin(MEMORY, changes, whole=True, stands=standing, on=collection)
        with self._journal.failing(request):
            self._kb.memory.remember_many([told[name][1] for name in changes])
            self._journal.done(request, changes)

    def forget(self) -> None:
        """A fact with all its values, or an item with all that was merged into it."""
        if self._chance.random() < 0.4:
            fact = self._fact()[0]
            self._forget([fact], lambda: self._kb.memory.forget_matching(key=fact))
            return
        mine = [
            (item, names)
            for item in items(self._kb)
            if (names := list(_names(item))) and names[0].startswith(self._prefix) and item.kind != "fact"
        ]
        if mine:
            item, names = self._chance.choice(mine)
            self._forget(names, lambda: self._kb.memory.forget(item.id))

    def _forget(self, names: Sequence[str], forget: Callable[[], object]) -> None:
        request = self._journal.begin(MEMORY, dict.fromkeys(names), whole=True)
        with self._journal.failing(request):
            forget()
            self._journal.done(request, names)

    def _fact(self) -> tuple[str, int, NewItem]:
        name = f"{self._prefix}{_FACT}{self._chance.randrange(FACTS)}"
        version = self._chance.getrandbits(40)
        return name, version, NewItem(kind="fact", key=name, value=str(version))

    def _event(self) -> tuple[str, int, NewItem]:
        name = f"{self._prefix}{_EVENT}{self._chance.getrandbits(40):010x}"
        at = float(self._chance.randrange(0, _WEEK, 600))
        return name, 1, NewItem(name, kind="episode", at=at, who=self._chance.choice(_PEOPLE))

    def _said(
        self, documents: Sequence[str], collection: str, stands: dict[str, str]
    ) -> tuple[str, int, NewItem]:
        statement = self._chance.randrange(STATEMENTS)
        if documents and self._chance.random() < 0.7:
            source = SourceSpan(collection, self._chance.choice(documents))
        else:
            source = SourceSpan(TRANSCRIPT, f"{self._prefix}{self._chance.getrandbits(40):010x}")
        text = _statement(self._prefix, statement, self._chance.choice(_WORDINGS))
        name = f"{self._prefix}{_SAID}{mark(self._prefix, statement)} {source.uri}"
        if source.collection == collection:
            stands[name] = source.uri
        return name, 1, NewItem(text, sources=(source,), idempotency_key=name)


def found(kb: KnowledgeBase, asked: Iterable[Key]) -> tuple[dict[Key, int], list[str]]:
    """What is remembered, by version; and what should not be as it is."""
    present: dict[Key, int] = {}
    wrong: list[str] = []
    said: defaultdict[str, list[MemoryItem]] = defaultdict(list)
    held = items(kb)
    for item in held:
        names = list(_names(item))
        if not names or item.told != (len(names) if item.kind != "fact" else item.told):
            wrong.append(f"{item.text!r} was told {item.told} times, {len(names)} are known")
        if item.kind == "knowledge":
            said[item.text.split()[1]].append(item)
            wrong += _standing(kb, item)
        if item.kind == "fact" and item.state != "valid":
            continue
        for name in names:
            key = Key(MEMORY, name)
            if key in present:
                wrong.append(f"{name} is remembered twice")
            present[key] = int(item.value) if item.kind == "fact" else 1
    wrong += [f"{len(several)} items say {several[0].text!r}" for several in said.values() if len(several) > 1]
    for key in asked:
        if _FACT in key.uri and key not in present and kb.memory.history(key.uri):
            wrong.append(f"{key.uri} has values and none that holds")
    return present, wrong + _contexts(kb, [item for item in held if item.kind == "episode"])


def items(kb: KnowledgeBase) -> list[MemoryItem]:
    """All of every state."""
    rows = sorted(kb.store.memory.rows(-1)) if MEMORY in kb.store.every_collection() else []
    return kb.store.memory.items([row[0] for row in rows])


def _names(item: MemoryItem) -> Iterable[str]:
    """What the journal calls the tellings of an item."""
    if item.kind == "fact":
        return [item.key]
    if item.kind == "episode":
        return [item.text]
    word = item.text.split()[1]
    return [f"{_owner(source.uri)}{_SAID}{word} {source.uri}" for source in item.sources]


def _owner(uri: str) -> str:
    """The prefix of whoever made this uri."""
    return uri[: uri.rindex("/") + 1]


def _statement(prefix: str, statement: int, wording: str) -> str:
    subject = mark(prefix, statement)
    return wording.format(subject, mark(subject, 1), mark(subject, 2))


def _standing(kb: KnowledgeBase, item: MemoryItem) -> list[str]:
    """An item is stale where every document that it stands on has another text, and stands on none that is gone."""
    gone, wrong = 0, []
    for source in item.sources:
        if source.collection == TRANSCRIPT:
            continue
        stored = kb.store.known(source.collection) if source.collection in kb.store.collections() else {}
        if source.uri not in stored:
            wrong.append(f"{item.text!r} stands on {source.uri}, which is gone")
            continue
        text = kb.store.document_text(kb.store.document(source.collection, source.uri).id)
        gone += span_hash(text) != source.content_hash
    expected = "stale" if gone == len(item.sources) else "valid"
    if not wrong and item.state != expected:
        wrong.append(f"{item.text!r} is {item.state}, not {expected}")
    return wrong


def _contexts(kb: KnowledgeBase, episodes: Sequence[MemoryItem]) -> list[str]:
    """Each episode is indexed with the one before it."""
    rows = {row[0]: row for row in kb.store.memory.rows(-1)} if episodes else {}
    chunks = {chunk.uri: chunk for chunk in kb.store.chunks([row[1] for row in rows.values()])}
    documents = dict(zip(kb.store.memory.find([item.id for item in episodes]), episodes, strict=True))
    wrong, last = [], None
    for _, item in sorted(documents.items(), key=lambda pair: (pair[1].at, pair[0])):
        near = last is not None and item.at - last.at <= SESSION_SECONDS
        before = as_context(last.who, last.text) if last is not None and near else ""
        if chunks[item.id].context != context_of(item.who, item.text, before):
            wrong.append(f"{item.text!r} has the context {chunks[item.id].context!r}")
        last = item
    return wrong
