"""Derives src/ragstone/graph/data/general_words.txt: words that texts of every kind speak of, and how often.

    python tools/derive_general_words.py DATA

DATA holds the development sets named below. A word is general where texts of several kinds (encyclopaedia, science or
news, manual, conversation) name it as a term without a modifier: three of four kinds in English, three passages of each;
two of three in German, where there is less text, four passages of each. Its share is that of the kind that names it
least often among these, of all that passages name.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragstone.graph.extract import RuleExtractor

OUTPUT = Path(__file__).parent.parent / "src" / "ragstone" / "graph" / "data" / "general_words.txt"
KINDS = {
    "en": (
        "corpus_2wiki_en/corpus.jsonl.gz", "scifact/corpus.jsonl.gz", "plc_oscat_de_en/corpus.en.jsonl",
        "memory_lihuaworld_en/contexts.jsonl.gz",
    ),
    "de": ("xquad_de/corpus.jsonl", "ner_germeval2014_de/dev.jsonl.gz", "plc_oscat_de_en/corpus.de.jsonl"),
}  # fmt: skip
WANTED = {"en": (3, 3), "de": (2, 4)}
"""Kinds that must name a word, and passages of each."""
LEAST = 0.5
"""Share of a word, in 1 / 10,000."""
PASSAGE = 900
"""Characters."""


def main(data: Path) -> None:
    extractor = RuleExtractor()
    shares: dict[str, float] = {}
    for language, files in KINDS.items():
        counted = [_counted(data / file, language, extractor) for file in files]
        kinds, passages = WANTED[language]
        for word in set().union(*(counts for counts, _ in counted)):
            found = sorted((counts[word] / total, counts[word]) for counts, total in counted)
            share, least = found[-kinds][0] * 1e4, min(count for _, count in found[-kinds:])
            if least >= passages and share >= LEAST:
                shares[word] = max(share, shares.get(word, 0.0))
    lines = [f"{word} {share:.1f}\n" for word, share in sorted(shares.items(), key=lambda one: (-one[1], one[0]))]
    OUTPUT.write_text("".join(lines), encoding="utf-8")
    print(f"{OUTPUT.name}: {len(lines)} words")


def _counted(path: Path, language: str, extractor: RuleExtractor) -> tuple[Counter[str], int]:
    """Passages that name a word as a term, and all that passages name."""
    counts: Counter[str] = Counter()
    total = 0
    for text in _texts(path):
        for passage in _passages(text):
            mentions = extractor.extract(passage, language).mentions
            total += len({mention.norm for mention in mentions})
            terms = (m for m in mentions if m.kind == "term" and m.norm.isalpha() and not m.text.isupper())
            counts.update({mention.norm for mention in terms if len(mention.norm) > 2})
    return counts, total


def _texts(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            record: dict[str, Any] = json.loads(line)
            yield record["text"] if "text" in record else " ".join(record["tokens"])


def _passages(text: str) -> Iterator[str]:
    while len(text) > PASSAGE:
        cut = text.rfind(" ", 0, PASSAGE)
        cut = cut if cut > 0 else PASSAGE
        yield text[:cut]
        text = text[cut:]
    yield text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
