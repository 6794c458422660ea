"""A process that learns a transcript, to be killed: learning_process.py DATA TRANSCRIPT."""

from __future__ import annotations

import sys
from pathlib import Path

from ragstone.assemble import open_knowledge_base
from ragstone.settings import load
from ragstone.testing import HashEmbedder

if __name__ == "__main__":
    folder, transcript = map(Path, sys.argv[1:])
    settings = load(None, {}, {"data.folder": folder, "embedding.background": False})
    with open_knowledge_base(settings, embedder=HashEmbedder()) as kb:
        print("begin", flush=True)
        report = kb.learner(str(transcript), with_intents=False).learn_file(transcript)
        print(f"end {report.lines} {report.resumed}", flush=True)
