"""One of several processes that write and ask at once, and judge every result and answer by what was acknowledged.

Run as `python fresh_process.py DATA BOARD NUMBER PROCESSES THREADS OPERATIONS SEED` (operations of each thread);
prints JSON.

A document is a number; its text is a function of number and version, and some versions are deletions. Each document is
written by one thread, which notes on the board (shared memory, two numbers for each document) the version that it
begins to write and the one that was acknowledged. Whoever asks reads the board before and after: for each document,
what is found must fit one of the versions from the one acknowledged before to the one begun after. That is the dict
model, for any number of writers at once.
"""

from __future__ import annotations

import json
import mmap
import random
import re
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ragstone.assemble import open_knowledge_base
from ragstone.knowledge_base import KnowledgeBase
from ragstone.settings import load
from ragstone.testing import HashEmbedder
from ragstone.types import SearchResult

TOPICS = "pump filter valve motor sensor bearing hose gauge".split()
DOCUMENTS = 64
COLLECTIONS = 4
WRITES = 0.05
"""Share of operations that write; they come in runs of up to 8, as files in a folder do."""
Asked = dict[tuple[str, str], SearchResult | None]
_MARK = re.compile(r"Document (\d+) in version (\d+)\b")


@dataclass(slots=True)
class Count:
    operations: int = 0
    writes: int = 0
    questions: int = 0
    repeated: int = 0
    """Questions that this process asked before, of the same collections."""
    hits: int = 0
    """Those of them that a cache answered."""
    judged: int = 0
    """Documents in results and answers that were compared with the board."""
    stale: int = 0


def topic_of(document: int, version: int) -> str | None:
    """None: this version is a deletion. The text moves between two topics, so that an edit leaves one result and
    enters another."""
    if version == 0 or version % 5 == 4:
        return None
    return TOPICS[(document // COLLECTIONS + (version % 3 == 2)) % len(TOPICS)]


def text_of(document: int, version: int) -> str:
    topic = topic_of(document, version)
    return f"Document {document} in version {version} says that the {topic} was changed in week {version}."


def collection_of(document: int) -> str:
    return f"c{document % COLLECTIONS}"


class Board:
    """begun[document] and acknowledged[document], in a file that all processes map."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        numbers = np.frombuffer(self._map, dtype=np.int64)
        self.begun, self.acknowledged = numbers[:DOCUMENTS], numbers[DOCUMENTS : 2 * DOCUMENTS]


def work(
    kb: KnowledgeBase, board: Board, mine: list[int], count: Count, operations: int, seed: int, asked: Asked
) -> None:
    random_ = random.Random(seed)
    run = 0
    while count.operations < operations:
        if run or random_.random() < WRITES / 4.5:
            run = run - 1 if run else random_.randrange(8)
            write(kb, board, random_.choice(mine))
            count.writes += 1
        else:
            # Few topics are asked for often, most seldom (Zipf's law), as in a log of questions.
            topic = TOPICS[min(int(random_.paretovariate(1.0)) - 1, len(TOPICS) - 1)]
            collection = f"c{min(int(random_.paretovariate(1.5)) - 1, COLLECTIONS - 1)}"
            question(kb, board, topic, collection, count, asked, as_answer=random_.random() < 0.5)
        count.operations += 1


def write(kb: KnowledgeBase, board: Board, document: int) -> None:
    version = int(board.begun[document]) + 1
    board.begun[document] = version
    collection = collection_of(document)
    if topic_of(document, version) is not None:
        kb.add_texts([(f"d{document}", "", text_of(document, version), {})], collection=collection)
    elif f"d{document}" in kb.store.known(collection):
        kb.remove([f"d{document}"], collection=collection)
    board.acknowledged[document] = version


def question(
    kb: KnowledgeBase, board: Board, topic: str, collection: str, count: Count, asked: Asked, *, as_answer: bool
) -> None:
    earliest = board.acknowledged.copy()
    if as_answer:
        wanted = f"When was the {topic} changed?"
        answer = kb.ask(wanted, collections=[collection])
        hit = "cache" in answer.timings
        texts = [answer.text, *(citation.text for citation in answer.citations)] if answer.answered else []
    else:
        wanted = topic
        result = kb.search(wanted, collections=[collection], k=DOCUMENTS, mode="lexical", highlights=False)
        hit = asked.get((wanted, collection)) is result
        texts = [found.chunk.text for found in result.hits]
    latest = board.begun.copy()
    count.questions += 1
    repeated = (wanted, collection) in asked
    asked[wanted, collection] = None if as_answer else result
    count.repeated += repeated
    count.hits += repeated and hit
    shown: dict[int, int] = {}
    for text in texts:
        for number, version in _MARK.findall(text):
            if shown.setdefault(int(number), int(version)) != int(version):
                count.stale += 1
                print(f"stale: {number} in two versions for {wanted!r}", file=sys.stderr)
    for document in range(DOCUMENTS):
        if collection_of(document) != collection:
            continue
        could_be = range(int(earliest[document]), int(latest[document]) + 1)
        version = shown.get(document)
        if version is not None:
            right = version in could_be and topic_of(document, version) is not None
        else:  # an answer names only some, but where there is one it does answer
            right = (as_answer and bool(texts)) or any(topic_of(document, v) != topic for v in could_be)
        count.judged += 1
        if not right:
            count.stale += 1
            print(f"stale: {document} {version} not in {could_be} for {wanted!r}", file=sys.stderr)


def main(
    folder: Path, board_path: Path, number: int, processes: int, threads: int, operations: int, seed: int
) -> None:
    board = Board(board_path)
    settings = load(overrides={"data.folder": str(folder), "embedding.background": False, "cache.entries": 200})
    counts = [Count() for _ in range(threads)]
    started = time.monotonic()
    with open_knowledge_base(settings, embedder=HashEmbedder()) as kb:
        for collection in range(COLLECTIONS):
            kb.add_texts([(f"seed {number}", "", "nothing of interest", {})], collection=f"c{collection}")
        asked: Asked = {}
        running = []
        for thread, count in enumerate(counts):
            worker = number * threads + thread
            mine = [document for document in range(DOCUMENTS) if document % (processes * threads) == worker]
            arguments = (kb, board, mine, count, operations, seed + worker, asked)
            running.append(threading.Thread(target=work, args=arguments))
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    total = {key: sum(asdict(count)[key] for count in counts) for key in asdict(counts[0])}
    print(json.dumps({**total, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:8]))
