"""Whatever was added, edited, removed and decided: the graph is that of a fresh folder with what is left."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import SENTENCES, told
from ragstone.assemble import open_knowledge_base
from ragstone.errors import InputError, NotFound
from ragstone.graph.codec import encode
from ragstone.graph.deepening_asking import extraction, point
from ragstone.graph.layers import MODEL
from ragstone.knowledge_base import KnowledgeBase
from ragstone.protocols import Extracted
from ragstone.settings import at, load
from ragstone.testing import HashEmbedder

COLLECTIONS = ("default", "other")
texts = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=6).map(" ".join)
place = st.tuples(st.sampled_from(COLLECTIONS), st.integers(0, 5))
step = st.one_of(
    st.tuples(st.just("put"), place, texts),
    st.tuples(st.just("put"), place, texts),
    st.tuples(st.just("remove"), place, st.none()),
    st.tuples(st.sampled_from(("merge", "split", "withdraw")), place, st.tuples(st.integers(0, 99), st.integers(0, 99))),
    st.tuples(st.sampled_from(("build", "look", "reopen", "drop", "deepen", "seal", "seal")), place, st.none()),
)


def opened(folder: Path) -> KnowledgeBase:
    settings_ = at(folder, load(overrides={"embedding.background": False, "cache.persistent": False}))
    return open_knowledge_base(settings_, embedder=HashEmbedder())


def deepen(kb: KnowledgeBase, collection: str) -> None:
    """What a model would say that names every third word and joins neighbours; of some texts its answer is no use."""
    found = {}
    for unread in kb.store.graph.waiting(collection, MODEL, "fake", 1_000):
        words = unread.text.split()[::3]
        relations = [(a, "steuert", b) for a, b in pairwise(words)]
        pointed = point(unread.text, unread.language, [(word, "name") for word in words], relations)
        data = encode(extraction(pointed, "fake"), unread.language)
        found[unread.content_hash] = Extracted(b"", "no use") if len(unread.text) % 5 == 0 else Extracted(data)
    kb.store.graph.put(MODEL, "fake", found)


def decided(kb: KnowledgeBase, kind: str, collection: str, a: int, b: int) -> None:
    entities = kb.graph.view(collection).entities
    if kind == "withdraw":
        held = kb.graph.decisions(collection)
        if held:
            kb.graph.withdraw(held[a % len(held)].a, held[a % len(held)].b, collection=collection)
    elif kind == "merge" and len(entities):
        with suppress(InputError):
            kb.graph.merge(entities[a % len(entities)].id, entities[b % len(entities)].id, collection=collection)
    elif kind == "split":
        several = [entity for entity in entities if entity.aliases]
        if several:
            entity = several[a % len(several)]
            names = (entity.name, *entity.aliases)
            with suppress(InputError):
                kb.graph.split(entity.id, names[b % len(names)], collection=collection)


def check(steps: list[tuple[str, tuple[str, int], object]], order: list[int]) -> None:
    with TemporaryDirectory() as place_:
        folder = Path(place_)
        kb = opened(folder / "one")
        left: dict[tuple[str, str], str] = {}
        try:
            for kind, (collection, number), what in steps:
                uri = f"doc:{number}"
                kb.store.create_collection(collection)
                if kind == "put":
                    kb.add_texts([(uri, "", str(what), {})], collection=collection)
                    left[collection, uri] = str(what)
                elif kind == "remove":
                    with suppress(NotFound):
                        kb.remove([uri], collection=collection)
                    left.pop((collection, uri), None)
                elif kind == "drop":
                    kb.drop_collection(collection)
                    left = {key: text for key, text in left.items() if key[0] != collection}
                elif kind == "build":
                    kb.graph.build(collection)
                elif kind == "deepen":
                    deepen(kb, collection)
                elif kind == "seal":
                    kb.graph.seal(collection, changed=1)
                elif kind == "look":
                    kb.graph.view(collection)
                elif kind == "reopen":
                    kb.close()
                    kb = opened(folder / "one")
                else:
                    assert isinstance(what, tuple)
                    decided(kb, kind, collection, *what)
            kb.graph.build()
            deepened = any(kind == "deepen" for kind, *_ in steps)
            for collection in kb.store.collections() if deepened else ():
                deepen(kb, collection)
            assert kb.verify().problems == ()
            with opened(folder / "two") as fresh:
                documents = sorted(left.items())
                for number in sorted(range(len(documents)), key=lambda i: (order[i % len(order)], i)):
                    (collection, uri), text = documents[number]
                    fresh.add_texts([(uri, "", text, {})], collection=collection)
                for collection in kb.store.collections():
                    fresh.store.create_collection(collection)
                    for d in kb.graph.decisions(collection):
                        fresh.store.graph.decide(collection, d.kind, [(d.a, d.b)], d.by)
                fresh.graph.build()
                for collection in kb.store.collections() if deepened else ():
                    deepen(fresh, collection)
                for collection in kb.store.collections():
                    assert told(kb, collection) == told(fresh, collection)
        finally:
            kb.close()


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(step, min_size=1, max_size=14), order=st.lists(st.integers(0, 99), min_size=1, max_size=12))
def test_the_graph_is_that_of_what_is_left(
    steps: list[tuple[str, tuple[str, int], object]], order: list[int]
) -> None:
    check(steps, order)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=500, deadline=None)
@given(steps=st.lists(step, min_size=1, max_size=30), order=st.lists(st.integers(0, 99), min_size=1, max_size=12))
def test_the_graph_is_that_of_what_is_left_in_500_cases(
    steps: list[tuple[str, tuple[str, int], object]], order: list[int]
) -> None:
    check(steps, order)
