"""What must hold after every fault: nothing acknowledged is lost, nothing is there by half, and the store, the word
index, every vector space, the caches and the log say the same."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

import numpy as np

from ..knowledge_base import KnowledgeBase
from ..memory_types import MEMORY
from ..storage.rows import embedded_text
from . import recollections
from .history import History, Key
from .texts import mark, text
from .workload import MAIN, SIDE, found

SAMPLED: Final = 12
"""Documents that nobody touched since the last check and whose words are searched all the same."""
_NAMED: Final = 3


def check(
    kb: KnowledgeBase, history: History, chance: random.Random, *, notes_expected: bool = False
) -> list[str]:
    """Problems, none where all is well; what was found then counts as what is there. `notes_expected`: index files
    were damaged on purpose, so that the indexes may say that they were made again."""
    problems = list(history.problems)
    history.problems.clear()
    problems += kb.verify().problems
    present, wrong = _documents(kb, history)
    problems += wrong
    touched = history.touched()
    others = sorted(present.keys() - touched)
    looked_up = touched | set(chance.sample(others, min(len(others), SAMPLED)))
    problems += _words(kb, history, present, looked_up)
    problems += _vectors(kb, history, present, looked_up)
    problems += _log(kb)
    if not notes_expected:
        for name in kb.store.collections():
            problems += [f"{name}: {note}" for note in kb.index(name).notes]
    return problems + history.settle(present)


def _documents(kb: KnowledgeBase, history: History) -> tuple[dict[Key, int], list[str]]:
    """What is stored, by version; and what should not be as it is."""
    present: dict[Key, int] = {}
    lost: list[str] = []
    torn: list[str] = []
    surplus: list[str] = []
    names = set(kb.store.collections())
    for name in sorted(names | {MAIN, SIDE}):
        for document in kb.store.documents(name) if name in names else ():
            key = Key(name, document.uri)
            if key in present:
                surplus.append(f"{document.uri} twice")
            version = present[key] = int(document.metadata["version"])
            if kb.store.document_text(document.id) != text(document.uri, version):
                torn.append(document.uri)
    remembered, wrong = recollections.found(kb, history.keys())
    present |= remembered
    for key in history.keys() | present.keys():
        version_found = present.get(key)
        if version_found not in history.allowed(key):
            (lost if version_found is None or history.allowed(key) != {None} else surplus).append(key.uri)
    return present, [
        *_named("acknowledged but not there, or not in its acknowledged version", lost),
        *_named("there although removed or never asked for", surplus),
        *_named("with a text that is no version's", torn),
        *wrong[:_NAMED],
    ]


def _words(kb: KnowledgeBase, history: History, present: dict[Key, int], keys: Iterable[Key]) -> list[str]:
    """A document is found by the word of its version, from the index and from the cache, and by no other's."""
    missing, stale, differing = [], [], []
    names = set(kb.store.collections())
    for key in sorted(keys):
        if key.collection not in names:
            continue
        version = present.get(key)
        if version is not None:
            word = mark(key.uri, version)
            fresh = found(kb, key.collection, word)
            if fresh != {key.uri}:
                missing.append(key.uri)
            if found(kb, key.collection, word, cache=True) != fresh:
                differing.append(key.uri)
        for old in history.replaced(key):
            if found(kb, key.collection, mark(key.uri, old)):
                stale.append(key.uri)
    return [
        *_named("not found by a word of their own, or not alone", missing),
        *_named("found by a word of a version that is gone", stale),
        *_named("found otherwise with the cache than without", differing),
    ]


def _vectors(kb: KnowledgeBase, history: History, present: dict[Key, int], keys: Iterable[Key]) -> list[str]:
    """Those that must be there are there; those that are there are the embedder's, in every space."""
    wanted = set(keys)
    must = history.embedded()
    missing, other = [], []
    for key in sorted(wanted | must):
        if key not in present or key.collection == MEMORY:
            continue
        chunks = kb.store.document_chunks(kb.store.document(*key).id)
        for status in kb.spaces(key.collection):
            if status.role == "dropping":
                continue
            embedder = kb.embedder(status.space)
            ids, vectors = kb.store.embeddings(status.space, [chunk.id for chunk in chunks])
            if key in must and status.role == "active" and len(ids) != len(chunks):
                missing.append(key.uri)
            if key in wanted and len(ids):
                texts = {chunk.id: embedded_text(chunk.context, chunk.text) for chunk in chunks}
                expected = embedder.embed([texts[id_] for id_ in ids.tolist()], "passage").astype(np.float16)
                if not np.array_equal(vectors.astype(np.float16), expected):
                    other.append(key.uri)
    return [
        *_named("embedded and acknowledged but without a vector", missing),
        *_named("with a vector of another text or model", other),
    ]


def _log(kb: KnowledgeBase) -> list[str]:
    """Its numbers rise, and nobody who follows it comes to other chunks than the store has."""
    store = kb.store
    first, last = store.first_seq(), store.last_seq()
    seen = first - 1
    present: dict[str, dict[int, bool]] = {}
    problems = []
    while changes := store.changes(seen, 10_000):
        for change in changes:
            if change.seq <= seen:
                problems.append(f"the log's entry {change.seq} follows {seen}")
            seen = change.seq
            if change.op in ("add", "delete"):
                present.setdefault(change.collection, {})[change.chunk_id] = change.op == "add"
    if seen not in (last, first - 1):
        problems.append(f"the log ends at {seen}, not at {last}")
    for name in store.collections():
        stored = set(store.chunk_ids(name).tolist())
        told = present.get(name, {})
        wrong = [id_ for id_, there in told.items() if there != (id_ in stored)]
        problems += _named(f"of {name} in the log otherwise than in the store", [str(id_) for id_ in wrong])
    return problems


def _named(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return [f"{len(names)} {what}: {shown}"]
