"""The process that the fault tests kill: a zygote that forks a writer for each line it reads, so that a kill costs
milliseconds instead of a start of Python. Run as `python killed_writer.py DATA put|ingest`.

Each line of input is a cycle's number. Lines of output, written only after the store's call returned: "put URI",
"deleted URI"; before a deletion "deleting URI"; "pid N" when the writer was forked, "dead" when it is gone.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np
from faults_document import document

from ragstone.ingest.pipeline import Ready, ingest_prepared
from ragstone.storage.sqlite import SqliteStore
from ragstone.types import Progress

SPACE = "killed@1/4/unit//none"


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def write(store: SqliteStore, cycle: int) -> None:
    seeded = random.Random(cycle)
    number = 0
    while True:
        uris = [f"/{cycle}/{number + step}" for step in range(seeded.randint(1, 5))]
        number += len(uris)
        store.put("c", [document(uri) for uri in uris])
        for uri in uris:
            say(f"put {uri}")
        if seeded.random() < 0.3:
            say(f"deleting {uris[0]}")
            store.delete("c", uris[:1])
            say(f"deleted {uris[0]}")
        if seeded.random() < 0.3:
            vector = np.ones(4, "<f2").tobytes()
            store.put_embeddings(SPACE, {p.content_hash: vector for p in store.pending("c", SPACE, 20)})
        if seeded.random() < 0.05:
            store.trim_log(store.last_seq() - 50)


def ingest(store: SqliteStore, cycle: int) -> None:
    def acknowledge(step: Progress) -> None:
        if step.state == "added":
            say(f"put {step.item}")

    def items():  # type: ignore[no-untyped-def]
        number = 0
        while True:
            made = document(f"/{cycle}/{number}")
            yield Ready(made.uri, made.content_hash, made.size, lambda made=made: made)
            number += 1

    ingest_prepared(store, items(), "c", progress=acknowledge)


def main(folder: Path, work: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                store = SqliteStore(folder)
                store.create_collection("c")
                {"put": write, "ingest": ingest}[work](store, int(line))
            finally:
                os._exit(1)
        say(f"pid {child}")
        _, status = os.waitpid(child, 0)
        say("dead" if os.WIFSIGNALED(status) else "failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
