"""Everything that a process counts and times, declared once: name, meaning, labels. Times are seconds.

A count costs a look-up and an addition under a lock (docs/decisions/0020-operations.md). Labels are few and known
beforehand: stages, caches, routes, the models of the settings. Text that came from outside is never one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from .page import Page

BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0016, 0.0025, 0.004, 0.0063, 0.01, 0.016, 0.025, 0.04, 0.063, 0.1, 0.16, 0.25,
    0.4, 0.63, 1.0, 1.6, 2.5, 4.0, 6.3, 10.0, 16.0, 25.0, 60.0,
)  # fmt: skip
"""Upper bounds of the buckets of every histogram: five for each power of ten, so that a percentile that is read from
them is at most a quarter off where it matters."""

PAGE: Final = Page()
"""This process's figures."""

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A counter or a gauge has one slot for each set of labels; a histogram one for each bucket, the last for what is
    above all bounds, and one for the sum."""

    kind: Kind
    name: str
    doc: str
    labels: tuple[str, ...] = ()
    _slots: dict[tuple[str, ...], int] = field(default_factory=dict, compare=False, repr=False)

    def add(self, amount: float, *labels: str) -> None:
        """`labels`: a value for each label, in order."""
        PAGE.add(self._slot(labels, 1), amount)

    def observe(self, seconds: float, *labels: str) -> None:
        """For a histogram."""
        slot = self._slot(labels, len(BOUNDS) + 2)
        if slot:
            PAGE.add_two(slot + bisect_left(BOUNDS, seconds), slot + len(BOUNDS) + 1, seconds)

    def _slot(self, labels: tuple[str, ...], count: int) -> int:
        slot = self._slots.get(labels)
        if slot is None:
            slot = self._slots[labels] = PAGE.slot((self.name, *labels), count)
        return slot


INSTRUMENTS: Final[dict[str, Instrument]] = {}
"""By name."""


def _new(kind: Kind, name: str, doc: str, *labels: str) -> Instrument:
    made = INSTRUMENTS[name] = Instrument(kind, name, doc, labels)
    return made


SEARCHES = _new("histogram", "ragstone_search_seconds", "Searches, and whether memory had the result.", "cached")
SEARCH_STAGES = _new("histogram", "ragstone_search_stage_seconds", "Stages of a search that was made.", "stage")
ANSWERS = _new(
    "histogram", "ragstone_answer_seconds", "Answers from question to end: extractive, generated, cached.", "kind"
)
ANSWER_STAGES = _new("histogram", "ragstone_answer_stage_seconds", "Stages of an answer behind its search.", "stage")
UNANSWERED = _new("counter", "ragstone_unanswered_total", "Questions that the documents did not answer.")
CACHES = _new("counter", "ragstone_cache_requests_total", "Look-ups in caches: hit or miss.", "cache", "outcome")
CALLS = _new("counter", "ragstone_llm_calls_total", "Calls of language models: ok, or the error.", "model", "outcome")
CALL_SECONDS = _new("histogram", "ragstone_llm_seconds", "Calls of language models to their end.", "model")
FIRST_TOKENS = _new("histogram", "ragstone_llm_first_token_seconds", "Until the first text of a call.", "model")
TOKENS = _new("counter", "ragstone_tokens_total", "Tokens: prompt, cached (of it), completion.", "model", "kind")
COST = _new("counter", "ragstone_cost_dollars_total", "What calls of language models cost.", "model")
DOCUMENTS = _new("counter", "ragstone_documents_total", "Documents by what became of them when taken in.", "state")
EMBEDDED = _new("counter", "ragstone_chunks_embedded_total", "Chunks that got a vector.")
REQUESTS = _new("counter", "ragstone_http_requests_total", "Requests that were answered.", "route", "method", "status")
REQUEST_SECONDS = _new("histogram", "ragstone_http_seconds", "Requests to the end of their answer.", "route")
FIRST_BYTES = _new("histogram", "ragstone_http_first_byte_seconds", "Requests to the start of their answer.", "route")
IN_FLIGHT = _new("gauge", "ragstone_http_in_flight", "Requests that are being answered.")
LOOP_LAG = _new("histogram", "ragstone_event_loop_lag_seconds", "How late the event loop comes to what is due.")


def stages(instrument: Instrument, timings: Mapping[str, float], *, without: Sequence[str] = ("total",)) -> None:
    """Observes each stage of `timings` (milliseconds)."""
    for stage, milliseconds in timings.items():
        if stage not in without:
            instrument.observe(milliseconds / 1000.0, stage)


def looked_up(cache: str, held: object) -> None:
    """Counts a look-up; `held` None: it was not there."""
    CACHES.add(1.0, cache, "miss" if held is None else "hit")


def quantile(buckets: Sequence[float], share: float) -> float:
    """Seconds below which `share` of what a histogram counted lies, even spread within a bucket supposed. 0 for
    nothing; the highest bound for what lies above it. `buckets`: its slots but the sum."""
    total = sum(buckets)
    if not total:
        return 0.0
    wanted, below = share * total, 0.0
    for place, count in enumerate(buckets[: len(BOUNDS)]):
        if count and below + count >= wanted:
            low = BOUNDS[place - 1] if place else 0.0
            return low + (BOUNDS[place] - low) * (wanted - below) / count
        below += count
    return BOUNDS[-1]
