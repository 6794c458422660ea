"""The knowledge graph at size: a made collection with extractions in a real store, and what its graph costs a process.

    python benchmarks/graph.py --folder DIR --chunks 100000      fill DIR (once), then measure every part
    python benchmarks/graph.py --folder DIR --only opened edited

Each part is measured in a process of its own. Extractions are made, not found: as many mentions and relations of a
chunk as in German technical texts, names drawn with 1 / rank, a fifth of them in several inflections; that gives three
times as many different edges as such texts do. Rows go through the store's own writes. Processor time; memory as the
system counts it: `held` is what a process does not share with files, `resident` has mapped pages that were looked at,
those of the database as well.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ragstone.assemble import open_knowledge_base
from ragstone.graph.codec import encode
from ragstone.graph.layers import RULES
from ragstone.graph.linking import linked
from ragstone.graph.retrieval import GraphRetrieval
from ragstone.graph.sealing import published
from ragstone.graph.walk import walk
from ragstone.graph_types import Extraction, Mention, Relation
from ragstone.knowledge_base import KnowledgeBase
from ragstone.protocols import Extracted
from ragstone.search.mixing import Ranking, consult, with_reasons
from ragstone.settings import at, load
from ragstone.testing import HashEmbedder
from ragstone.text.passage import chunk_hash
from ragstone.types import ChunkSpan, Hit, PreparedChunk, PreparedDocument, ScoreParts, Terms

COLLECTION = "default"
MENTIONS, RELATIONS = 48, 85
CHUNKS_OF_DOCUMENT = 20
STEMS = ("Steuerung", "Pumpe", "Motor", "Sensor", "Ventil", "Regler", "Antrieb", "Filter", "Anlage", "Leitung")
ENDINGS = ("", "", "", "en", "s")
SHARES = {"term": 0.62, "name": 0.16, "identifier": 0.08, "heading": 0.04, "number": 0.06, "date": 0.04}
SEARCHES = 300
HITS = 100


def opened(folder: Path) -> KnowledgeBase:
    chosen = load(overrides={"embedding.background": False, "cache.persistent": False})
    return open_knowledge_base(at(folder, chosen), embedder=HashEmbedder())


class Names:
    """The vocabulary: `count` names, of which the first are the common ones."""

    def __init__(self, count: int) -> None:
        draw = np.random.default_rng(11)
        letters = np.array(list("bdfgklmnprstvwz"))
        vowels = np.array(list("aeiou"))
        pairs = zip(draw.choice(letters, 999), draw.choice(vowels, 999), strict=True)
        self._syllables = ["".join(pair) for pair in pairs]
        self._kinds = draw.choice(list(SHARES), count, p=list(SHARES.values()))
        self._draw = draw
        self.count = count

    def of(self, numbers: np.ndarray) -> list[tuple[str, str]]:
        """Text and kind."""
        endings = self._draw.integers(len(ENDINGS), size=len(numbers)).tolist()
        return [self._name(number, ENDINGS[ending]) for number, ending in zip(numbers.tolist(), endings, strict=True)]

    def _name(self, number: int, ending: str) -> tuple[str, str]:
        kind = str(self._kinds[number])
        rest, stem = divmod(number, len(STEMS))
        parts = [self._syllables[rest % 999], self._syllables[rest // 999 % 999], self._syllables[(rest * 7) % 999]]
        if kind == "identifier":
            return f"{parts[0].upper()}_{stem}{rest}", kind
        if kind in ("number", "date"):
            return f"{number} mm", kind
        return "".join(parts).capitalize() + STEMS[stem].lower() + (ending if number % 5 == 0 else ""), kind


def said(names: Names, draw: np.random.Generator) -> Extraction:
    numbers = np.minimum(names.count ** draw.random(MENTIONS), names.count - 1).astype(np.int64)  # as 1 / rank
    mentions, start = [], 0
    for text, kind in names.of(numbers):
        mentions.append(Mention(start, start + len(text), text, text.casefold(), kind, 0.7))  # type: ignore[arg-type]
        start += len(text) + 5
    relations = []
    labels = ("", "", "", "steuert", "liest", "ist Teil von")
    for head in draw.integers(MENTIONS - 1, size=RELATIONS).tolist():
        tail = min(MENTIONS - 1, head + 1 + int(draw.integers(6)))
        label = labels[int(draw.integers(len(labels)))]
        relations.append(Relation(head, tail, label, mentions[head].start, mentions[tail].end, 0.5))
    return Extraction("rules-made", tuple(mentions), tuple(relations))


def documents(chunks: int, names: Names, prefix: str = "") -> Iterator[tuple[PreparedDocument, dict[bytes, Extracted]]]:
    draw = np.random.default_rng(5)
    for number in range(chunks // CHUNKS_OF_DOCUMENT):
        parts, found = [], {}
        for ordinal in range(CHUNKS_OF_DOCUMENT):
            text = f"{prefix}{number} {ordinal}"
            hash_ = chunk_hash("", text, "de")
            found[hash_] = Extracted(encode(said(names, draw), "de"))
            span = ChunkSpan(ordinal * 9, ordinal * 9 + len(text), None, ordinal)
            parts.append(PreparedChunk(span, text, "", hash_, Terms(b"", 0)))
        digest = hashlib.blake2b(f"{prefix}{number}".encode(), digest_size=32).digest()
        uri, size = f"{prefix}d{number}", CHUNKS_OF_DOCUMENT * 9
        yield PreparedDocument(uri, digest, size, 0.0, "", "text/plain", "de", {}, (), tuple(parts)), found


def fill(folder: Path, chunks: int, vocabulary: int) -> None:
    with opened(folder) as kb:
        kb.store.create_collection(COLLECTION)
        documents_, rows = [], {}
        for document, found in documents(chunks, Names(vocabulary)):
            documents_.append(document)
            rows |= found
            if len(documents_) == 50:  # 1,000 chunks
                kb.store.put(COLLECTION, documents_)
                kb.store.graph.put(RULES, "rules-made", rows)
                documents_, rows = [], {}


# ---------------------------------------------------------------------- parts, each in its own process
def memory() -> dict[str, float]:
    gc.collect()
    told = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    mb = {name: int(told[name].split()[0]) / 1e3 for name in ("RssAnon", "VmRSS")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"held_mb": round(mb["RssAnon"]), "resident_mb": round(mb["VmRSS"]), "peak_mb": round(peak)}


class Peak:
    """The most that this process held while the block ran, looked at every 10 ms."""

    def __enter__(self) -> Peak:
        self.held_mb, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            self.held_mb = max(self.held_mb, held())


def held() -> float:
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * resource.getpagesize() / 1e6


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    result = work()
    return result, round(time.process_time() - began, 3)


def made(folder: Path) -> dict[str, Any]:
    """Without a file: read from the store, then sealed."""
    with opened(folder) as kb:
        kb.store.publish(COLLECTION, "graph", "", [])
        before = memory()
        with Peak() as peak:
            frame, seconds = timed(lambda: kb.graph._frame(COLLECTION))
        read, chunks = {**memory(), "held_peak_mb": round(peak.held_mb)}, frame.chunk_count
        del frame
        _, sealing = timed(lambda: kb.graph.seal(COLLECTION))
        file = published(kb.store, COLLECTION)
        return {
            "seconds": seconds, "before": before, "read": read, "sealing_seconds": sealing, "sealed": memory(),
            "file_mb": round(file.size / 1e6) if file else 0, "chunks": chunks,
        }  # fmt: skip


def opened_(folder: Path) -> dict[str, Any]:
    """From the file."""
    with opened(folder) as kb:
        before = memory()
        frame, seconds = timed(lambda: kb.graph._frame(COLLECTION))
        first = memory()
        return {"seconds": seconds, "before": before, "opened": first, "entities": len(frame.numbers)}


def searched(folder: Path) -> dict[str, Any]:
    """Linking of a question that names two entities, and the walk from these and eight hits; and all that a search adds
    for the graph to a hundred hits, reasons of the first ten included."""
    with opened(folder) as kb:
        frame = kb.graph._frame(COLLECTION)
        retrieval = GraphRetrieval(lambda: kb.graph)
        draw = np.random.default_rng(3)
        linking: list[float] = []
        walking: list[float] = []
        staging: list[float] = []
        for _ in range(SEARCHES):
            places = draw.choice(len(frame.alive), HITS, replace=False)
            _, entities, _ = frame.members(places[:8])
            some = [frame.entity(int(number)).name for number in draw.choice(entities, 2)]
            question = f"Was hat {some[0]} mit der Leistung von {some[1]} zu tun?"
            links = linked(frame, question, "de")
            linking.append(seconds_of(lambda q=question: linked(frame, q, "de")))
            seeds = {link.entity: link.weight for link in links}
            eight = dict.fromkeys(places[:8].tolist(), 0.125)
            walking.append(seconds_of(lambda s=seeds, p=eight: walk(frame, s, p)))
            scores = np.linspace(1.0, 0.2, HITS, dtype=np.float32)
            ranking = frame.chunk_ids(places), scores, scores, scores
            staging.append(seconds_of(lambda q=question, r=ranking: staged(kb, retrieval, q, r)))
        return {
            "linking_ms": spread(linking), "walk_ms": spread(walking), "stage_ms": spread(staging), "after": memory(),
        }  # fmt: skip


def staged(kb: KnowledgeBase, graph: GraphRetrieval, question: str, ranking: Ranking) -> None:
    revisions = {COLLECTION: kb.store.revision(COLLECTION)}
    found = consult(
        graph, kb.store, question, "de", revisions, ranking, "mixed", "always", {COLLECTION: None}, spread=True
    )
    ids, scores, lexical, dense = (values[:10].tolist() for values in found.ranking)
    chunks = {chunk.id: chunk for chunk in kb.store.chunks(ids)}
    shares = [None if np.isnan(share) else float(share) for share in found.graph[:10]]
    parts = [ScoreParts(lex, near, graph=share) for lex, near, share in zip(lexical, dense, shares, strict=True)]
    hits = [Hit(chunks[i], score, part) for i, score, part in zip(ids, scores, parts, strict=True)]
    with_reasons(hits, graph, question, "de")


def seconds_of(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def spread(seconds: list[float]) -> dict[str, float]:
    return {f"p{p}": round(1e3 * float(np.percentile(seconds, p)), 2) for p in (50, 95)}


def edited(folder: Path) -> dict[str, Any]:
    """One paragraph of a document: the next state of the graph, also where 900 chunks came since the file was written;
    and the whole in arrays, which maps and communities ask for."""
    with opened(folder) as kb:
        kb.graph._frame(COLLECTION)
        _, whole = timed(lambda: kb.graph.view(COLLECTION))
        edges = kb.graph.status(COLLECTION)[0].edges
        held = memory()
        few = edits(kb, 50)
        some = list(documents(900, Names(1_000), "beside"))
        kb.store.put(COLLECTION, [document for document, _ in some])
        kb.store.graph.put(RULES, "rules-made", {hash_: row for _, found in some for hash_, row in found.items()})
        _, much = timed(lambda: kb.graph._frame(COLLECTION))
        many = edits(kb, 20)
        kb.store.delete(COLLECTION, [document.uri for document, _ in some])
        return {
            "followed_ms": few, "900_followed_seconds": much, "beside_900_ms": many, "edges": edges,
            "whole_seconds": whole, "with_the_whole": held,
        }  # fmt: skip


def edits(kb: KnowledgeBase, count: int) -> dict[str, float]:
    names, draw = Names(1_000), np.random.default_rng(time.time_ns())
    following = []
    for turn in range(count):
        text = f"new {turn} {draw.integers(1 << 40)}"
        hash_ = chunk_hash("", text, "de")
        chunk = PreparedChunk(ChunkSpan(0, len(text), None, 0), text, "", hash_, Terms(b"", 0))
        digest = hashlib.blake2b(text.encode(), digest_size=32).digest()
        one = PreparedDocument("edited", digest, len(text), 0.0, "", "text/plain", "de", {}, (), (chunk,))
        kb.store.put(COLLECTION, [one])
        kb.store.graph.put(RULES, "rules-made", {hash_: Extracted(encode(said(names, draw), "de"))})
        following.append(seconds_of(lambda: kb.graph._frame(COLLECTION)))
    return spread(following)


def pictured(folder: Path) -> dict[str, Any]:
    """The first picture after a change: the communities, the 30 largest as they are listed, and a map."""
    with opened(folder) as kb:
        kb.graph._frame(COLLECTION)
        edits(kb, 1)
        _, whole = timed(lambda: kb.graph.view(COLLECTION))
        _, found = timed(lambda: kb.graph.themes(COLLECTION))
        _, listed = timed(lambda: kb.graph.communities(collection=COLLECTION, limit=30))
        _, placed = timed(lambda: kb.graph.overview(COLLECTION, limit=10_000, most=30_000))
        return {
            "whole_seconds": whole, "communities_seconds": found, "listed_seconds": listed, "map_seconds": placed,
            "after": memory(),
        }  # fmt: skip


PARTS = {"made": made, "opened": opened_, "searched": searched, "edited": edited, "pictured": pictured}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--names", type=int, default=400_000, help="different names, before inflection")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        sys.stdout.write(json.dumps(PARTS[given.part](given.folder)))
        return
    if not (given.folder / "ragstone.db").exists():
        fill(given.folder, given.chunks, given.names)
    for part in given.only:
        command = [sys.executable, __file__, "--folder", str(given.folder), "--part", part]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        sys.stdout.write(f"{part} {done.stdout or done.stderr}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
