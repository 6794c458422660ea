"""The stage of a search that asks the knowledge graph: what else belongs to the question and to the first hits.

What speaks for a passage beside its own score: it opens with a name that the question names (a speaker, a headword);
it is of a day that the question names; it is a turn that tells much; the passages beside it are hits, or others of its
document; a walk from the first hits through rare entities leads to it; and the words of the question once more,
which vectors moved by feedback lose. A document that was shown already then stands back, so that ten hits are ten
pieces of evidence. Weights: docs/decisions/0032-graph-retrieval.md.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from ..protocols import GraphSearch, Ids, Scores, Store
from ..text.dates import Day, dates_in, falls
from ..types import Chunk, Hit, Mode
from .fusion import HELD, lifted
from .talk import asks, days_of, is_line, is_talk, speaker, tells, turns_beside

FIRST: Final = 3
"""Hits from which a way to another is told."""

NAMED: Final = 1
"""Entities that a question must name for the graph to be asked; where the best hits are no turns, noun phrases do not
count: they are what a search by words and vectors is good at."""
TURNS: Final = 0.5
"""Share of the best hits that are turns where they are of a conversation."""

When = Literal["auto", "off", "always"]
Ranking = tuple[Ids, Scores, Scores, Scores]
"""As `fuse` gives it: ids, fused scores, lexical and dense scores."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """Weights on a scale on which the best fused score is 1. `depth`: hits that are looked at, `around`: the best of
    them, whose neighbours are; `beside`: of turns next to a hit, `answer`: of the turn after a hit that asks,
    `further`: of turns two away; `also`: other hits of a document that speak for its best one; `again`: by how much the
    others stand back. `behind`: how many of the first hits nothing comes above; none where 0."""

    opening: float = 0.3
    dated: float = 0.3
    telling: float = 0.4
    beside: float = 0.3
    answer: float = 0.6
    further: float = 0.2
    within: float = 0.1
    bridge: float = 0.1
    words: float = 0.1
    again: float = 0.2
    behind: int = 0
    depth: int = 100
    around: int = 20
    also: int = 2

    @property
    def reads(self) -> bool:
        """Whether passages themselves say anything, beside their scores."""
        return any((self.opening, self.dated, self.within, self.again))


TALK: Final = Mixing()
"""Where each passage is one turn."""
CHATS: Final = Mixing(opening=0.0, telling=0.0, beside=0.2, answer=0.2, further=0.2, words=0.3)
"""Where passages are several turns, which may be of several speakers."""
PROSE: Final = Mixing(
    opening=0.0, dated=0.0, telling=0.0, beside=0.0, answer=0.0, further=0.0, within=0.0, bridge=0.3, words=0.0,
    again=0.15, behind=HELD, depth=20,
)  # fmt: skip
"""Where the best hits are no turns: there the walk and one passage of a document before others were measured to help,
and the rest to cost."""


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """`graph`: of each id its score by the graph, NaN where the walk did not come. `used`: the graph had a part in it;
    `behind`: it would have had, and is brought up to date now. `steady`: it was of the revisions that the indexes
    have. `bridge`: weight of the walk where nothing else was added."""

    ranking: Ranking
    graph: Scores
    used: bool
    behind: bool = False
    steady: bool = True
    bridge: float = 0.0


def consult(
    graph: GraphSearch,
    store: Store,
    query: str,
    language: str,
    revisions: Mapping[str, int],
    ranking: Ranking,
    mode: Mode,
    when: When,
    allow: Mapping[str, Ids | None],
    *,
    spread: bool,
) -> Mixed:
    """`ranking` with what the graph leads to; unchanged where the question names nothing that the graph knows. With
    `spread`, documents that were shown stand back."""
    ids, scores, _, _ = ranking
    reached = [graph.reach(name, query, language, (ids, scores), named=mode == "graph") for name in revisions]
    known = [one for one in reached if one is not None]
    if len(known) < len(reached):
        return _unchanged(ranking, behind=True)
    steady = all(one.revision == at for one, at in zip(known, revisions.values(), strict=True))
    walked = np.concatenate([one.chunks for one in known])
    shares = np.concatenate([one.scores for one in known])
    if all(wanted is not None for wanted in allow.values()):
        allowed = np.isin(walked, np.concatenate([wanted for wanted in allow.values() if wanted is not None]))
        walked, shares = walked[allowed], shares[allowed]
    if mode == "graph":
        return replace(_walked(ranking, walked, shares), steady=steady)
    best = store.chunks(ids[: TALK.around].tolist())
    talk = is_talk(best, TURNS)
    lines = sum(map(is_line, best)) >= TURNS * len(best)
    if when == "auto" and sum(one.linked if talk else one.named for one in known) < NAMED:
        return replace(_unchanged(ranking), steady=steady)
    names = frozenset(name for one in known for name in one.names)
    mixing = PROSE if not talk else TALK if lines else CHATS
    asked = _Asked(names, dates_in(query))
    mixed = _mixed(ranking, best, (walked, shares), asked, store, allow, mixing, spread=spread)
    return replace(mixed, steady=steady, bridge=0.0 if talk else mixing.bridge)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a question names: forms of entities, case folded, and days."""

    names: frozenset[str]
    days: frozenset[Day]


def _unchanged(ranking: Ranking, *, behind: bool = False) -> Mixed:
    return Mixed(ranking, np.full(len(ranking[0]), np.nan, dtype=np.float32), used=False, behind=behind)


def _walked(ranking: Ranking, walked: Ids, shares: Scores) -> Mixed:
    """By the walk alone, equal shares by the score before it."""
    ids, scores, raw_lex, raw_dense = ranking
    every = np.union1d(ids, walked)
    at = np.searchsorted(every, walked)
    own = _on(every, ids, scores)[at]
    order = np.lexsort((walked, -own, -shares))
    order = order[shares[order] > 0]
    lex, dense = (_on(every, ids, values, np.nan)[at][order] for values in (raw_lex, raw_dense))
    return Mixed((walked[order], shares[order], lex, dense), shares[order], used=True)


def _mixed(
    ranking: Ranking,
    near: Sequence[Chunk],
    walk: tuple[Ids, Scores],
    asked: _Asked,
    store: Store,
    allow: Mapping[str, Ids | None],
    mixing: Mixing,
    *,
    spread: bool,
) -> Mixed:
    ids, scores, raw_lex, raw_dense = ranking
    walked, shares = walk
    best = {chunk.id: chunk for chunk in near}
    every = np.union1d(ids, walked)
    own = _on(every, ids, scores)
    lex, dense = _on(every, ids, raw_lex, np.nan), _on(every, ids, raw_dense, np.nan)
    graph = _on(every, walked, shares, np.nan)
    top = float(own.max()) if len(own) else 0.0
    own = own / top if top > 0.0 else own
    alone = dict(zip(every.tolist(), own.tolist(), strict=True))
    high = float(np.nanmax(lex)) if np.isfinite(lex).any() else 0.0
    total = lifted(own, np.nan_to_num(graph), mixing.bridge, mixing.behind)
    if high > 0.0:
        total = total + mixing.words * np.nan_to_num(lex) / high
    gains = _beside(store, near, alone, allow, mixing) if mixing.beside else {}
    new = np.setdiff1d(np.array(list(gains), dtype=np.int64), every)
    if len(new):
        both = np.concatenate([every, new])
        order = np.argsort(both)
        every = both[order]
        total = np.concatenate([total, np.zeros(len(new), dtype=np.float32)])[order]
        nothing = np.full(len(new), np.nan, dtype=np.float32)
        lex, dense, graph = (np.concatenate([values, nothing])[order] for values in (lex, dense, graph))
    total[np.searchsorted(every, list(gains))] += list(gains.values())
    order = np.lexsort((every, -total))
    if mixing.reads:
        head = every[order[: mixing.depth]].tolist()
        found = best | _found(store, [i for i in head if i not in best])
        looked = [found[i] for i in head if i in found]
        for gain in (_opening(looked, alone, asked, mixing), _within(looked, alone, mixing)):
            total[np.searchsorted(every, list(gain))] += list(gain.values())
        order = np.lexsort((every, -total))
        if spread:
            order, total = _spread(order, every, total, found, mixing)
    scores = total[order] / max(float(total.max(initial=0.0)), 1e-9)
    # behind the passages that were looked at, none has more than the last of them, which may have stood back
    scores = np.maximum(np.minimum.accumulate(scores), 0.0).astype(np.float32)
    return Mixed((every[order], scores, lex[order], dense[order]), graph[order], used=True)


def _found(store: Store, ids: Sequence[int]) -> dict[int, Chunk]:
    return {chunk.id: chunk for chunk in store.chunks(ids)} if ids else {}


def _beside(
    store: Store, best: Sequence[Chunk], own: Mapping[int, float], allow: Mapping[str, Ids | None], mixing: Mixing
) -> dict[int, float]:
    """What stands beside the best hits, with its share of their scores."""
    gains: dict[int, float] = {}
    hits = {chunk.id: chunk for chunk in best}
    for hit, others in turns_beside(store, best).items():
        wanted = allow[hits[hit].collection]
        after = mixing.answer if asks(hits[hit]) else mixing.beside
        for other, step in others:
            if other in own or wanted is None or bool(np.isin(other, wanted)):
                weight = after if step == 1 else mixing.beside if step == -1 else mixing.further
                gains[other] = gains.get(other, 0.0) + weight * own[hit]
    return gains


def _opening(looked: Sequence[Chunk], alone: Mapping[int, float], asked: _Asked, mixing: Mixing) -> dict[int, float]:
    """What opens with a name, or is of a day, that the question names; and turns by how much they tell."""
    gains = {chunk.id: mixing.telling * tells(chunk) if mixing.telling else 0.0 for chunk in looked}
    for chunk in looked if mixing.opening else ():
        if chunk.id in alone and speaker(chunk) in asked.names:
            gains[chunk.id] += mixing.opening
    for chunk in looked if mixing.dated and asked.days else ():
        if any(falls(day, wanted) for day in days_of(chunk) for wanted in asked.days):
            gains[chunk.id] += mixing.dated
    return gains


def _within(looked: Sequence[Chunk], alone: Mapping[int, float], mixing: Mixing) -> dict[int, float]:
    """The best passage of each document, with its share of the scores of the next ones there."""
    of_document: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for chunk in looked if mixing.within else ():
        of_document[chunk.document_id].append((-alone.get(chunk.id, 0.0), chunk.id))
    gains: dict[int, float] = {}
    for hits in of_document.values():
        (_, best), *others = sorted(hits)
        gains[best] = mixing.within * -sum(score for score, _ in others[: mixing.also])
    return gains


def with_reasons(hits: Sequence[Hit], graph: GraphSearch, query: str, language: str) -> list[Hit]:
    """Each with the way through the graph that leads to it, where there is one."""
    first = [hit.chunk.id for hit in hits[:FIRST]]
    told: dict[int, str] = {}
    for collection in dict.fromkeys(hit.chunk.collection for hit in hits):
        chunks = [h.chunk for h in hits if h.chunk.collection == collection and h.parts.graph is not None]
        reasons = graph.reasons(collection, query, language, first, chunks)
        told.update((chunk.id, reason) for chunk, reason in zip(chunks, reasons, strict=True))
    return [replace(hit, reason=told.get(hit.chunk.id, "")) for hit in hits]


def is_late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _on(every: Ids, ids: Ids, values: Scores, missing: float = 0.0) -> Scores:
    out = np.full(len(every), missing, dtype=np.float32)
    out[np.searchsorted(every, ids)] = values
    return out


def _spread(
    order: Ids, every: Ids, total: Scores, found: Mapping[int, Chunk], mixing: Mixing
) -> tuple[Ids, Scores]:
    """Order and scores where all passages of a document but the best one stand back by `again`; the first `behind` stay
    where they are."""
    shown: set[int] = set()
    back = mixing.again * float(total.max()) if len(total) else 0.0
    kept = total.copy()
    for rank, position in enumerate(order[: mixing.depth].tolist()):
        chunk = found.get(int(every[position]))
        if chunk is not None:
            if chunk.document_id in shown and rank >= mixing.behind:
                kept[position] -= back
            shown.add(chunk.document_id)
    head = order[: mixing.depth]
    head = head[np.lexsort((every[head], -kept[head]))]
    return np.concatenate([head, order[mixing.depth :]]), kept
