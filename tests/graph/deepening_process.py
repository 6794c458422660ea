"""A process that has a model read a graph's passages, to be killed: deepening_process.py DATA URL."""

from __future__ import annotations

import sys
from pathlib import Path

from ragstone.assemble import open_knowledge_base
from ragstone.settings import load
from ragstone.testing import HashEmbedder
from ragstone.types import Progress

if __name__ == "__main__":
    folder, url = sys.argv[1:]
    chosen = {"graph.model": "openai:m", "answer.base_url": f"{url}/v1", "embedding.background": False, "graph.batch": 1}

    def told(step: Progress) -> None:
        print(step.done, flush=True)

    with open_knowledge_base(load(None, {}, {"data.folder": Path(folder), **chosen}), embedder=HashEmbedder()) as kb:
        kb.graph.deepen("default", progress=told)
