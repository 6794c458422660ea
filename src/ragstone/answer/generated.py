"""A model's text while it streams: cleaned, cut into sentences, each one aligned as soon as it is whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from ..text.sentences import sentence_spans
from ..types import Citation, Sentence
from .citations import Aligned
from .extractive import citation
from .prompt import NOTHING

# Whether a full stop ends a sentence shows in what follows ("am 3. Mai"): text after a stop is held back until this
# many characters are there.
LOOKAHEAD = 24
_STOP = re.compile(r"[.!?\n]")
_REFERENCE = re.compile(r"[ \t]*\[\d[\d,;\s]*\]")
_OPEN = re.compile(r"[ \t]*\[[\d,;\s]*$|[ \t]+$")
_THOUGHT = re.compile(r"\s*<think>.*?(</think>\s*|\Z)", re.DOTALL)


class Align(Protocol):
    def __call__(self, sentence: str) -> Aligned: ...


class Cleaner:
    """Takes out what is no answer: a leading block of thoughts, and references that the model made up."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = False

    def feed(self, text: str, last: bool = False) -> str:
        """What can be shown now; with `last`, everything that was held."""
        self._held += text
        if not self._begun:
            self._held = self._held.lstrip()
            thought = _THOUGHT.match(self._held)
            if thought is not None and thought.group(1):
                self._held = self._held[thought.end() :]
            elif not last and (thought is not None or "<think>".startswith(self._held)):
                return ""
            elif thought is not None:
                self._held = ""
            self._begun = bool(self._held)
        self._held = _REFERENCE.sub("", self._held)
        open_end = None if last else _OPEN.search(self._held)
        cut = len(self._held) if open_end is None else open_end.start()
        ready, self._held = self._held[:cut], self._held[cut:]
        return ready


class Transcript:
    """What was shown so far, and the sentences and citations in it. The shown pieces together are `text`."""

    def __init__(self, align: Align) -> None:
        self._align = align
        self._cleaner = Cleaner()
        self._opening = ""
        self._opened = False
        self._pending = ""
        self._shown = 0
        self._pieces: list[str] = []
        self._numbers: dict[tuple[str, int, int], int] = {}
        self.sentences: list[Sentence] = []
        self.citations: list[Citation] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces).strip()

    @property
    def declined(self) -> bool:
        """Whether the model said that the documents do not tell, or said nothing at all."""
        return not self._opened

    def feed(self, text: str, last: bool = False) -> Iterator[str]:
        """Pieces to show for more text of the model; `last` when it has ended."""
        text = self._cleaner.feed(text, last)
        if not self._opened:
            self._opening += text
            if self._declines(last):
                return
            text, self._opened = self._opening, True
        yield from self._advance(text)
        if last:
            while spans := sentence_spans(self._pending):
                yield from self._finish(spans[0])

    def _declines(self, last: bool) -> bool:
        """Holds the beginning back while it may still become the words for "no answer"."""
        said = self._opening.strip().strip(".*\"'").upper()
        return said == "" or said.startswith(NOTHING) or (not last and NOTHING.startswith(said))

    def _advance(self, text: str) -> Iterator[str]:
        self._pending += text
        while True:
            spans = sentence_spans(self._pending)
            if len(spans) < 2 or len(self._pending) - spans[0][1] < LOOKAHEAD:
                break
            yield from self._finish(spans[0])
        safe = len(self._pending)
        for stop in _STOP.finditer(self._pending, max(0, safe - LOOKAHEAD)):
            safe = stop.start()
            break
        if safe > self._shown:
            yield self._show(self._pending[self._shown : safe])
            self._shown = safe

    def _finish(self, span: tuple[int, int]) -> Iterator[str]:
        start, end = span
        if end > self._shown:
            yield self._show(self._pending[self._shown : end])
        sentence = " ".join(self._pending[start:end].split())
        self._pending, self._shown = self._pending[end:], 0
        aligned = self._align(sentence)
        numbers = self._cite(aligned) if aligned.supported else ()
        self.sentences.append(Sentence(sentence, numbers, aligned.support, aligned.supported))
        if numbers:
            yield self._show(" " + "".join(f"[{n}]" for n in numbers))

    def _cite(self, aligned: Aligned) -> tuple[int, ...]:
        numbers = []
        for candidate in aligned.cited:
            key = (candidate.chunk.uri, candidate.start, candidate.end)
            if key not in self._numbers:
                self._numbers[key] = len(self._numbers) + 1
                self.citations.append(citation(self._numbers[key], candidate))
            numbers.append(self._numbers[key])
        return tuple(sorted(numbers))

    def _show(self, piece: str) -> str:
        self._pieces.append(piece)
        return piece
