"""How much of what people marked in texts the extraction finds: spans of names, pairs of entities that are related."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import DamagedFile, NotFound
from ..graph_types import TOGETHER, Extraction
from ..protocols import Extractor
from .annotated import Annotated, Span, read_records, read_related, read_tagged
from .evaluate import SCHEMA_VERSION
from .machine import machine

NAMED: Final = frozenset(("name",))
"""Kinds of mentions that are compared with marked names."""
PER_TEXT: Final = ("nodes", "edges", "labelled_edges", "entities", "entity_pairs", "entity_pairs_joined", "related")
LEAST_OVERLAP: Final = 0.5
"""Of the longer span: from there on a mention is the one that was marked. For relations alone; names must be exact."""


def evaluate_graph(folder: Path, *, extractor: Extractor, language: str | None = None) -> dict[str, Any]:
    """`folder` holds JSON lines (may be gzipped) with id, tokens and tags (BIO), or with id, sents, entities and
    relations. Each file is measured by itself. Raises NotFound, DamagedFile."""
    files = sorted(p for p in folder.glob("*.jsonl*") if p.name.endswith((".jsonl", ".jsonl.gz")))
    if not files:
        raise NotFound(f"{folder} has no annotated sentences.", "Give a folder with *.jsonl or *.jsonl.gz.")
    mentions: dict[str, Any] = {}
    relations: dict[str, Any] = {}
    for path in files:
        try:
            related = _is_related(path)
            docs = read_related(path) if related else read_tagged(path)
        except (KeyError, IndexError, TypeError, ValueError, OSError, EOFError) as e:
            raise DamagedFile(
                f"{path.name} is not what is expected here: {e!r}.", "See `ragstone eval graph --help`."
            ) from e
        started = time.process_time()
        extractions = [extractor.extract(doc.text, language) for doc in docs]
        seconds = time.process_time() - started
        speed = {"texts": len(docs), "characters": sum(len(d.text) for d in docs), "seconds": round(seconds, 3)}
        mentions[path.name] = {**speed, **span_scores(docs, extractions)}
        if related:
            relations[path.name] = {**speed, **pair_scores(docs, extractions)}
    return {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "extractor": extractor.version,
        "folder": folder.resolve().name,
        "mentions": mentions,
        "relations": relations,
    }


def _is_related(path: Path) -> bool:
    return "relations" in next(read_records(path), {})


def span_scores(docs: Sequence[Annotated], extractions: Sequence[Extraction]) -> dict[str, Any]:
    """Precision, recall and F1 of names, whatever their type: start and end must be those that were marked."""
    found = wanted = right = 0
    for doc, extraction in zip(docs, extractions, strict=True):
        marked = {s for spans, named in zip(doc.entities, doc.named, strict=True) if named for s in spans}
        got = {(m.start, m.end) for m in extraction.mentions if m.kind in NAMED}
        found, wanted, right = found + len(got), wanted + len(marked), right + len(marked & got)
    precision, recall = right / max(found, 1), right / max(wanted, 1)
    return {
        "marked": wanted,
        "found": found,
        "precision": precision,
        "recall": recall,
        "f1": 2 * right / max(found + wanted, 1),
    }


def pair_scores(docs: Sequence[Annotated], extractions: Sequence[Extraction]) -> dict[str, Any]:
    """Recall of related pairs among the edges. A marked entity is every node (mentions of one `norm`) with a mention
    that overlaps one of its marked places by LEAST_OVERLAP of the longer; a pair is found where an edge joins a node
    of the one with a node of the other, whatever its label or direction."""
    total: defaultdict[str, float] = defaultdict(float)
    for doc, extraction in zip(docs, extractions, strict=True):
        nodes = _nodes_of(doc, extraction)
        forms = [m.norm for m in extraction.mentions]
        edges = {tuple(sorted((forms[r.head], forms[r.tail]))) for r in extraction.relations}
        labelled = {tuple(sorted((forms[r.head], forms[r.tail]))) for r in extraction.relations if r.label != TOGETHER}
        entities_at = defaultdict(set)
        for number, here in enumerate(nodes):
            for form in here:
                entities_at[form].add(number)
        pairs = _pairs(edges, entities_at)
        total["related"] += len(doc.related)
        total["found"] += len(doc.related & pairs)
        total["found_labelled"] += len(doc.related & _pairs(labelled, entities_at))
        total["entities"] += len(nodes)
        total["entities_found"] += sum(1 for here in nodes if here)
        total["edges"] += len(edges)
        total["labelled_edges"] += len(labelled)
        total["entity_pairs_joined"] += len(pairs)
        total["entity_pairs"] += len(nodes) * (len(nodes) - 1) // 2
        total["nodes"] += len(set(forms))
    count = max(1, len(docs))
    return {
        "related": int(total["related"]),
        "recall": total["found"] / max(1, total["related"]),
        "recall_labelled": total["found_labelled"] / max(1, total["related"]),
        "entities_found": total["entities_found"] / max(1, total["entities"]),
        "per_text": {
            key: total[key] / count
            for key in PER_TEXT
        },
    }


def _pairs(edges: set[tuple[str, ...]], entities_at: dict[str, set[int]]) -> set[tuple[int, int]]:
    return {
        (min(a, b), max(a, b))
        for one, other in edges
        for a in entities_at.get(one, ())
        for b in entities_at.get(other, ())
        if a != b
    }


def _nodes_of(doc: Annotated, extraction: Extraction) -> list[set[str]]:
    return [
        {m.norm for m in extraction.mentions if any(_same(span, (m.start, m.end)) for span in spans)}
        for spans in doc.entities
    ]


def _same(one: Span, other: Span) -> bool:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > 0 and shared >= LEAST_OVERLAP * max(one[1] - one[0], other[1] - other[0])
