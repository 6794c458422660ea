"""A process of its own that works on a data folder: `python index_process.py FOLDER KIND NUMBER`.

`writer` adds and removes documents and vectors, sealing after each; `sealer` seals and merges without end, and says
"ready" before it begins. Tests stop or kill it.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np

from prepared import content_hash, prepared
from ragstone.errors import NotFound
from ragstone.index.sync import CollectionIndex
from ragstone.storage.sqlite import SqliteStore
from ragstone.text.analysis import pack
from ragstone.types import Chunk, Space, Terms

SPACE = Space("model", "1", 8)


def terms_of(chunk: Chunk) -> Terms:
    """As tests/prepared.py makes them."""
    words = tuple(chunk.text.lower().split())
    return Terms(pack(words), len(words))


def vector_of(text: str) -> bytes:
    values = np.random.default_rng(list(text.encode())).standard_normal(8)
    return (values / np.linalg.norm(values)).astype("<f2").tobytes()


def embed(store: SqliteStore, texts: list[str]) -> None:
    store.put_embeddings(SPACE.id, {content_hash(text): vector_of(text) for text in texts})


def open_index(store: SqliteStore, **options: int) -> CollectionIndex:
    return CollectionIndex(store, "c", [SPACE], terms_of=terms_of, **options)


def write(store: SqliteStore, number: int) -> None:
    index = open_index(store, seal_rows=5)
    for step in range(25):
        texts = [f"word{number} step{step} part{part} " for part in range(3)]
        store.put("c", [prepared(f"{number}/{step}", texts)])
        if step % 3:
            embed(store, texts)
        if step % 4 == 3:
            store.delete("c", [f"{number}/{step - 2}"])
        index.refresh()
        assert set(index.lexical.ids().tolist()) >= set(own_chunks(store, number))
        index.seal()


def own_chunks(store: SqliteStore, number: int) -> list[int]:
    return [
        chunk.id
        for document in store.documents("c")
        if document.uri.startswith(f"{number}/")
        for chunk in store.document_chunks(document.id)
    ]


def seal_for_ever(store: SqliteStore) -> None:
    chance = random.Random(1)
    index = open_index(store)
    print("ready", flush=True)
    for step in range(1_000_000):
        text = f"sealed {step} text "
        store.put("c", [prepared(f"s{step % 40}", [text])])
        embed(store, [text])
        index.refresh()
        index.seal(rows=1)
        if chance.random() < 0.05:
            index.rebuild()


if __name__ == "__main__":
    opened = SqliteStore(Path(sys.argv[1]))
    try:
        if sys.argv[2] == "writer":
            write(opened, int(sys.argv[3]))
        else:
            seal_for_ever(opened)
    except NotFound:
        sys.exit(3)
    finally:
        opened.close()
