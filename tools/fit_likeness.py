"""Fits the weights of `ragstone.memory.likeness` on the half of the stream of `ragstone eval merging` that is not held
out, and prints them: `python tools/fit_likeness.py FILE… ` with the files that the measure gets."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragstone.measure.merging import Nearest, Said, arranged, candidates, figures
from ragstone.memory.likeness import THRESHOLD, features, other_subject
from ragstone.memory.literal import literal, opposed
from ragstone.models import ModelRegistry
from ragstone.protocols import Vectors
from ragstone.text.centre import Centre

SAME = ("cosine", "words", "subject", "differing", "nearly", "almost", "swapped", "spelling", "letters", "longer", "order", "asks_more", "asks_partly")
OTHER = ("cosine", "spelling", "longer", "fuller", "stretched", "asks_else", "asks_more", "asks_partly")
PRECISION = 0.981
"""On the fitted half; on the other one it comes out a hundredth lower."""
ORDERS = 3
STEPS_OF_CASE = np.arange(-1.0, 2.01, 0.125)
STEPS_OF_BOUND = np.arange(0.35, 5.0, 0.05)
SHRINK = 1.0
STEPS = 40


def fitted(rows: Vectors, right: Vectors) -> tuple[Vectors, float]:
    """Weights and offset of a logistic regression (Newton's method, L2 on standardized features)."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    z = np.hstack([(rows - mean) / spread, np.ones((len(rows), 1))])
    penalty = np.diag([SHRINK] * rows.shape[1] + [0.0])
    weights = np.zeros(z.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-z @ weights))
        hessian = (z * (p * (1 - p))[:, None]).T @ z + penalty
        weights -= np.linalg.solve(hessian, z.T @ (p - right) + penalty @ weights)
    scaled = weights[:-1] / spread
    return scaled, float(weights[-1] - scaled @ mean)


def pairs(stream: Sequence[Said], vectors: Vectors) -> list[tuple[int, int, bool, dict[str, float]]]:
    """Place, earlier place, whether of one language, and features of what is compared and not excluded literally."""
    found = []
    for number, said in enumerate(stream):
        for cosine, other in candidates(vectors, number):
            a, b = literal(said.text), literal(stream[other].text)
            if a.numbers != b.numbers or opposed(a, b) or other_subject(a, b):
                continue
            found.append((number, other, a.language == b.language, features(a, b, cosine)))
    return found


@dataclass(frozen=True, eq=False)
class Order:
    """One order of the stream. Arrays have a row for each pair; `found` as of `pairs`."""

    stream: list[Said]
    found: list[tuple[int, int, bool, dict[str, float]]]
    same: Vectors
    used: Vectors
    right: Vectors

    @classmethod
    def of(cls, stream: list[Said], vectors: Vectors) -> Order:
        found = pairs(stream, vectors)
        said = [(stream[number], stream[other]) for number, other, *_ in found]
        right = np.array([one.group == other.group for one, other in said])
        judged = np.array([not one.kin & other.kin for one, other in said])
        fitted = np.array([not one.held_out for one, _ in said])
        return cls(stream, found, np.array([pair[2] for pair in found]), fitted & (right | judged), right)

    def rows(self, same: bool, names: Sequence[str]) -> Vectors:
        return np.array([[pair[3][name] for name in names] for pair in self.found if pair[2] == same])

    def nearest(self, scores: Vectors, *, held_out: bool = True) -> list[Nearest]:
        best = [Nearest(-math.inf, -1)] * len(self.stream)
        for (number, other, _, _), value in zip(self.found, scores.tolist(), strict=True):
            if value > best[number].similarity and (held_out or not self.stream[number].held_out):
                best[number] = Nearest(value, other)
        return best


def told(orders: Sequence[Order], scores: Sequence[Vectors]) -> tuple[Vectors, Vectors]:
    """Precision and recall on the fitted half over all orders, for each of `STEPS_OF_BOUND`."""
    counts = np.zeros((len(STEPS_OF_BOUND), 3))
    for order, of_order in zip(orders, scores, strict=True):
        best = order.nearest(of_order, held_out=False)
        seen: set[str] = set()
        for said, near in zip(order.stream, best, strict=True):
            repeats = said.group in seen
            seen.add(said.group)
            if said.held_out:
                continue
            into = order.stream[near.other] if near.other >= 0 else None
            right = into is not None and into.group == said.group
            merged = near.similarity >= STEPS_OF_BOUND
            unjudged = merged & bool(into is not None and not right and into.kin & said.kin)
            counts += np.stack([merged & right, merged & ~unjudged, repeats & ~unjudged], axis=1)
    return counts[:, 0] / np.maximum(counts[:, 1], 1), counts[:, 0] / counts[:, 2]


def main(files: Sequence[str]) -> None:
    embedder = ModelRegistry(threads=2).load("multilingual-e5-small")
    centre = Centre(embedder)
    streams = [arranged([Path(file) for file in files], seed) for seed in range(ORDERS)]
    texts = sorted({said.text for stream in streams for said in stream}, key=len)
    embedded = np.vstack([embedder.embed(texts[i : i + 64], "passage") for i in range(0, len(texts), 64)])
    place = {text: row for row, text in enumerate(texts)}
    away = centre.away(embedded)
    orders = [Order.of(stream, away[[place[said.text] for said in stream]]) for stream in streams]
    scores = [np.zeros(len(order.found)) for order in orders]
    models = {}
    for same, names in ((True, SAME), (False, OTHER)):
        once = {}  # a pair that stands in several orders counts once
        for order in orders:
            mine = order.same == same
            for row, used, right, pair in zip(
                order.rows(same, names), order.used[mine], order.right[mine],
                [pair for pair in order.found if pair[2] == same], strict=True,
            ):  # fmt: skip
                if used:
                    once.setdefault(frozenset((order.stream[pair[0]].text, order.stream[pair[1]].text)), (row, right))
        weights, bias = fitted(*(np.array(column, dtype=float) for column in zip(*once.values(), strict=True)))
        for order, of_order in zip(orders, scores, strict=True):
            of_order[order.same == same] = order.rows(same, names) @ weights + bias
        models[same] = dict(zip(names, weights, strict=True)), bias
    chosen = (0.0, 0.0, 0.0)  # recall, what the second case is raised by, bound
    for raised in STEPS_OF_CASE:
        precision, recall = told(orders, [s + raised * ~o.same for s, o in zip(scores, orders, strict=True)])
        enough = precision >= PRECISION
        lowest = len(enough) - int(np.argmin(enough[::-1])) if not enough.all() else 0
        if lowest < len(enough):
            chosen = max(chosen, (float(recall[lowest]), float(raised), float(STEPS_OF_BOUND[lowest])))
    _, raised, bound = chosen
    for seed, (order, of_order) in enumerate(zip(orders, scores, strict=True)):
        best = order.nearest(of_order + raised * ~order.same)
        print(f"# order {seed}: {figures(order.stream, best, bound)}, held out {figures(order.stream, best, bound, held_out=True)}")
    shift = math.log(THRESHOLD / (1 - THRESHOLD)) - bound
    for same, name in ((True, "SAME_LANGUAGE"), (False, "OTHER_LANGUAGE")):
        weights, bias = models[same]
        shown = ", ".join(f'"{key}": {weight:.2f}' for key, weight in weights.items())
        print(f'{name}: Final[Mapping[str, float]] = {{{shown}, "bias": {bias + shift + (0 if same else raised):.2f}}}')


if __name__ == "__main__":
    main(sys.argv[1:])
