"""Memory follows from what was told and is still there: A and B told and A taken away is B told alone; indexes made
anew from the store find the same."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from test_memories import opened

from ragstone.knowledge_base import KnowledgeBase
from ragstone.memory_types import NewItem, SourceSpan

NUMBERS = ("3 bar", "5 bar", "7 bar")
OPENED = "the valve of the boiler in the cellar was opened by the people of the night shift"
WORDS = "quickly yesterday again slowly finally twice today together quietly carefully".split()
"""The first n of them behind the sentence: up to four more are like it, those with n = 0 and n = 9 are like n = 4."""
SUBJECTS = ("valve of the boiler", "pump in the cellar", "filter on the roof")


def told(rng: random.Random, count: int, source: str, start: int) -> list[NewItem]:
    """Facts, episodes and knowledge that repeat and contradict each other."""
    items = []
    for number in range(count):
        at, kind = float(start + rng.randrange(2_000)), rng.choice(["fact", "episode", "knowledge", "chain"])
        sources = (SourceSpan("default", source),) if source else ()
        if kind == "fact":
            key = rng.choice(["port", "host"])
            items.append(NewItem(kind="fact", key=key, value=rng.choice("123"), at=at, sources=sources))
        elif kind == "episode":
            text = f"{rng.choice(['Anna', 'Bob'])}: {rng.choice(SUBJECTS)} {source} {number}"
            items.append(NewItem(text, kind="episode", at=at, sources=sources))
        elif kind == "chain":
            bar = rng.choice(["", "", " at 3 bar", " at 5 bar"])
            text = " ".join([OPENED, *WORDS[: rng.randrange(10)]]) + bar
            items.append(NewItem(text, at=at, sources=sources, context=rng.choice(["", "What happened at night?"])))
        else:
            text = f"The {rng.choice(SUBJECTS)} runs at {rng.choice(NUMBERS)}."
            items.append(NewItem(text, at=at, sources=sources))
    return items


def state(kb: KnowledgeBase) -> list[tuple[Any, ...]]:
    """All that is remembered, without what is given anew each time (ids, times of writing)."""
    items = kb.memory.timeline(limit=1000)
    text = {item.id: (item.text, item.at) for item in items}
    contexts = {chunk.uri: chunk.context for chunk in kb.store.chunks([int(i) for i in kb.store.chunk_ids(":memory")])}
    return sorted(
        (
            item.kind, item.text, item.key, item.value, item.at, item.told, item.told_at, item.state, item.valid_to,
            text.get(item.replaced_by), sorted(text[other] for other in item.contradicts), contexts[item.id],
            sorted(source.uri for source in item.sources),
        )
        for item in items
    )  # fmt: skip


def chain(count: int, source: str) -> NewItem:
    return NewItem(" ".join([OPENED, *WORDS[:count]]), at=float(count), sources=(SourceSpan("default", source),))


def test_a_chain_is_grouped_again_when_its_beginning_goes(tmp_path: Path) -> None:
    """n = 0 ~ n = 4 ~ n = 8, and 0 and 8 are not alike: two items, of which the second joins the first without 0."""
    with opened(tmp_path / "data") as kb:
        kb.add_texts([("a.txt", "", "First.", {}), ("b.txt", "", "Second.", {}), ("c.txt", "", "Third.", {})])
        told = [kb.memory.remember_many([chain(n, source)])[0] for n, source in ((0, "a.txt"), (4, "b.txt"), (8, "c.txt"))]
        assert [one.outcome for one in told] == ["added", "merged", "added"]
        kb.remove(["a.txt"])
        (item,) = kb.memory.timeline()
        assert (item.text, item.told, [source.uri for source in item.sources]) == (
            chain(4, "").text, 2, ["b.txt", "c.txt"],
        )  # fmt: skip
        kb.remove(["b.txt"])
        assert [item.text for item in kb.memory.timeline()] == [chain(8, "").text]
        assert kb.verify().problems == ()


def answers(kb: KnowledgeBase) -> list[list[tuple[str, float]]]:
    questions = ("boiler valve bar", "what did Anna say", "port", "cellar pump 5 bar")
    return [
        [(hit.item.text, round(hit.score, 3)) for hit in kb.memory.recall(q, now=1e5, history=True, k=5).hits]
        for q in questions
    ]


@pytest.mark.parametrize("seed", range(6))
def test_a_and_b_without_a_is_b(tmp_path: Path, seed: int) -> None:
    """The document A goes, and with it all that stood on it; what A told comes before what B told or between it."""
    rng = random.Random(seed)
    documents = [("a.txt", "", "First.", {}), ("b.txt", "", "Second.", {})]
    from_a, from_b = told(rng, 10, "a.txt", rng.choice([0, 5_000])), told(rng, 12, "b.txt", 3_000)
    with opened(tmp_path / "both") as kb, opened(tmp_path / "one") as alone:
        kb.add_texts(documents)
        alone.add_texts(documents)
        middle = rng.randrange(len(from_b))
        for item in from_b[:middle]:
            kb.memory.remember_many([item])
            alone.memory.remember_many([item])
        kb.memory.remember_many(from_a)
        for item in from_b[middle:]:
            kb.memory.remember_many([item])
            alone.memory.remember_many([item])
        kb.remove(["a.txt"])
        kb.embed_pending()
        alone.embed_pending()
        assert state(kb) == state(alone)
        assert answers(kb) == answers(alone)
        assert kb.verify().problems == ()


@pytest.mark.parametrize("seed", range(3))
def test_indexes_made_anew_find_the_same(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with opened(tmp_path / "data") as kb:
        kb.memory.remember_many(told(rng, 30, "", 0))
        for item in rng.sample(kb.memory.timeline(limit=1000), 4):
            kb.memory.forget(item.id)
        kb.embed_pending()
        before, found = state(kb), answers(kb)
        kb.rebuild()
        assert (state(kb), answers(kb)) == (before, found)
    with opened(tmp_path / "data") as kb:
        assert (state(kb), answers(kb)) == (before, found)
        assert kb.verify().problems == ()
