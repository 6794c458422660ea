"""The sample documents, wherever Ragstone is installed."""

from __future__ import annotations

from pathlib import Path

from ..errors import NotFound
from ..text.sentences import sentence_spans

_SHORTEST = 40  # characters of a sentence that says something
_PLAIN = (".md", ".rst", ".txt")


def sample_folder() -> Path:
    """Samples lie in the installed package, or beside src in a checkout. Raises NotFound."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "samples", package.parent.parent / "samples"):
        if folder.is_dir():
            return folder
    raise NotFound("the sample documents are not installed.", "Install Ragstone again.")


def sample_sentences() -> list[str]:
    """German and English sentences of the samples that are plain text, each once."""
    found: dict[str, None] = {}
    for path in sorted(p for p in sample_folder().iterdir() if p.suffix in _PLAIN):
        text = path.read_text(encoding="utf-8")
        for start, end in sentence_spans(text):
            if end - start >= _SHORTEST:
                found[" ".join(text[start:end].split())] = None
    return list(found)
