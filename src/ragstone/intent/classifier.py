"""A classifier that learns intents from a few examples each, knows what it was not made for, and how sure it is.

Vectors of the examples are centred on their mean and divided by the spread inside the classes (a covariance shrunk
towards the sphere: ten examples a class say little about 384 directions). Two views of that space are added up:
kernel ridge regression on one-hot classes, whose kernel is a Gaussian of the cosine plus the overlap of n-grams, and
the cosine to class means. The names of the classes are examples too. Both views can be had for every example as if it
had not been there, in closed form: from that follow the temperature of the confidence and the bound of the scope.
Constants were chosen on three sets together, see docs/decisions/0026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..protocols import Embedder
from .ngrams import NgramKernel

Floats = NDArray[np.float64]

SHRINKAGE: Final = 0.8
SHARPNESS: Final = 3.0
"""Of the kernel exp(sharpness · (cosine - 1))."""
NGRAMS: Final = 0.07
"""Weight of the overlap of n-grams beside it."""
RIDGE: Final = 0.2
MEANS: Final = 0.5
"""Weight of the cosine to class means, both views being scaled to a deviation of one."""
IN_SCOPE: Final = 0.95
"""Share of turns like the examples that `in_scope` takes as such."""
MOST_EXAMPLES: Final = 5_000
"""The kernel of 5,000 examples has 25 million numbers (200 MB), solved in about 5 s."""
ALTERNATIVES: Final = 3
_TEMPERATURES: Final = np.geomspace(0.5, 5.0, 40)
"""Of the confidence. Examples that come in pairs, as translations do, look easier than turns are: hence the lower
bound (three sets of single turns gave 0.77 to 0.90)."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a turn wants. `confidence` in [0, 1]: the share of such predictions that is right, for turns in scope.
    `scope`: how much the turn is like the examples, from 0 (like nothing) to about 1; `in_scope`: it is above what 95 %
    of the examples reach. `alternatives`: the next best with their confidences."""

    name: str
    confidence: float
    in_scope: bool
    scope: float
    alternatives: tuple[tuple[str, float], ...] = ()


class IntentClassifier:
    """Made from examples; safe from several threads. A turn costs its embedding and some products of matrices."""

    def __init__(
        self, embedder: Embedder, examples: Mapping[str, Sequence[str]], *, learned: Embedder | None = None
    ) -> None:
        """`examples`: for each intent some turns. `learned` embeds these: one of the same space that remembers what it
        embedded. Raises InputError, ModelError."""
        self.intents = tuple(sorted(examples))
        texts = [text for intent in self.intents for text in examples[intent]]
        _check(examples, len(texts))
        self._embedder = embedder
        names = [intent.replace("_", " ") for intent in self.intents]
        classes = np.array([i for i, intent in enumerate(self.intents) for _ in examples[intent]])
        vectors = (learned or embedder).embed([*texts, *names], "passage").astype(np.float64)
        self._ngrams = NgramKernel([*texts, *names])
        self._fit(vectors, classes, self._ngrams([*texts, *names]).astype(np.float64))

    def classify(self, text: str) -> Intent:
        """Raises ModelError."""
        return self.classify_many([text])[0]

    def classify_many(self, texts: Sequence[str]) -> list[Intent]:
        """One batch of embedding. Raises ModelError."""
        return self.classify_vectors(texts, self._embedder.embed(texts, "passage")) if texts else []

    def classify_vectors(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> list[Intent]:
        """The same for texts whose vectors (role "passage") are there already: float32[len(texts), d]."""
        probabilities, scopes = self._predict(texts, vectors)
        order = np.argsort(-probabilities, axis=1)[:, : ALTERNATIVES + 1]
        return [
            Intent(
                name=self.intents[best[0]],
                confidence=float(row[best[0]]),
                in_scope=bool(scope >= self.least_scope),
                scope=float(scope),
                alternatives=tuple((self.intents[i], float(row[i])) for i in best[1:]),
            )
            for best, row, scope in zip(order, probabilities, scopes, strict=True)
        ]

    def _predict(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> tuple[Floats, Floats]:
        turned = self._turned(vectors.astype(np.float64) - self._centre)
        kernel = _gaussian(turned @ self._rows.T) + NGRAMS * self._ngrams(texts)
        ridge = kernel @ self._dual
        means = turned @ self._means.T
        nearest = (vectors.astype(np.float64) @ self._examples.T).max(axis=1)
        scores = ridge / self._scales[0] + MEANS * means / self._scales[1]
        return _softmax(scores / self._temperature), self._scope(ridge, means, nearest)

    def _fit(self, vectors: Floats, classes: NDArray[np.intp], ngrams: Floats) -> None:
        count, wide = len(classes), len(self.intents)
        everything = np.concatenate([classes, np.arange(wide)])
        self._examples = vectors[:count]
        self._centre = vectors[:count].mean(axis=0)
        names = vectors[count:]
        centred = _unit(np.concatenate([vectors[:count] - self._centre, names - names.mean(axis=0)]))
        self._spread = np.eye(vectors.shape[1])
        spread = centred[:count] - _class_means(centred, everything, wide)[classes]
        covariance = spread.T @ spread
        covariance *= len(covariance) / max(float(np.trace(covariance)), 1e-12)
        # any root of the inverse will do: only cosines are taken afterwards
        root = np.linalg.cholesky((1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(covariance)))
        self._spread = np.linalg.inv(root).T
        self._rows = self._turned(centred)
        sums = _class_means(self._rows, everything, wide) * np.bincount(everything)[:, None]
        self._means = _unit(sums)
        truth = np.eye(wide)[everything]
        inverse = np.linalg.inv(
            _gaussian(self._rows @ self._rows.T) + NGRAMS * ngrams + RIDGE * np.eye(len(everything))
        )
        self._dual = inverse @ truth
        # what each example would get had it not been there
        ridge = (truth - self._dual / np.diag(inverse)[:, None])[:count]
        means = self._rows[:count] @ self._means.T
        own = _unit(sums[classes] - self._rows[:count])
        means[np.arange(count), classes] = (self._rows[:count] * own).sum(axis=1)
        others = self._examples @ self._examples.T
        np.fill_diagonal(others, -1.0)
        nearest = others.max(axis=1)
        self._scales = (max(float(ridge.std()), 1e-9), max(float(means.std()), 1e-9))
        scores = ridge / self._scales[0] + MEANS * means / self._scales[1]
        self._temperature = _temperature(scores, classes)
        self.least_scope = float(np.quantile(self._scope(ridge, means, nearest), 1 - IN_SCOPE))

    def _turned(self, centred: Floats) -> Floats:
        return _unit(_unit(centred) @ self._spread)

    @staticmethod
    def _scope(ridge: Floats, means: Floats, nearest: Floats) -> Floats:
        """All three fall with the distance from the examples; `nearest` is the cosine to the nearest one before any
        transformation, and lies close together, hence its weight."""
        return np.asarray((ridge.max(axis=1) + means.max(axis=1) + 3 * nearest) / 5)


def _check(examples: Mapping[str, Sequence[str]], count: int) -> None:
    if len(examples) < 2:
        raise InputError("a classifier needs two intents at least.", "Give examples of other intents too.")
    for intent, texts in examples.items():
        if not texts or not all(text.strip() for text in texts):
            raise InputError(f"the intent {intent!r} has no example, or an empty one.", "Give some turns, ten or so.")
    if count > MOST_EXAMPLES:
        raise InputError(f"{count:,} examples are more than {MOST_EXAMPLES:,}.", "Give fewer of each intent.")


def _unit(rows: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-12)


def _class_means(rows: Floats, classes: NDArray[np.intp], wide: int) -> Floats:
    sums = np.zeros((wide, rows.shape[1]))
    np.add.at(sums, classes, rows)
    return sums / np.bincount(classes, minlength=wide)[:, None]


def _gaussian(cosines: Floats) -> Floats:
    return np.asarray(np.exp(SHARPNESS * (cosines - 1.0)))


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _temperature(scores: Floats, classes: NDArray[np.intp]) -> float:
    """The one under which the true classes are most likely."""

    def loss(temperature: float) -> float:
        chosen = _softmax(scores / temperature)[np.arange(len(classes)), classes]
        return float(-np.log(np.maximum(chosen, 1e-12)).sum())

    return float(min(_TEMPERATURES, key=loss))
