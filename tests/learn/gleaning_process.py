"""A process that gleans a transcript, to be killed: gleaning_process.py DATA TRANSCRIPT URL."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from ragstone.assemble import open_knowledge_base
from ragstone.settings import load
from ragstone.testing import HashEmbedder

if __name__ == "__main__":
    folder, transcript, url = sys.argv[1:]
    chosen = {"memory.model": "openai:m", "answer.base_url": f"{url}/v1", "embedding.background": False}
    with open_knowledge_base(load(None, {}, {"data.folder": Path(folder), **chosen}), embedder=HashEmbedder()) as kb:
        gleaning = kb.gleaner(transcript)
        assert gleaning is not None
        print("begin", flush=True)
        gleaning.read(Path(transcript), follow=False, stop=threading.Event())
        seen = 0
        while gleaning.running(0.005):
            if gleaning.done >= seen + 24:
                seen = gleaning.done
                print(seen, flush=True)
        gleaning.report()
