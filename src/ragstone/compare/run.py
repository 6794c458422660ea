"""Asks every model every question and measures it.

In each round every model is loaded once, in an order that is shuffled anew; a round's questions come in one shuffled
order for all models. A model that is loaded answers a short question first, which is not counted. So each round also
measures loading and switching, and first tokens are measured with the prompt cache as empty as after a start.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..answer.answerer import Answerer
from ..errors import InputError, RagstoneError
from ..protocols import LLM, Embedder
from ..types import Call, Message, Progress, ProgressCallback, Usage
from . import journal
from .cases import Case
from .scores import Reader, Shown, score
from .usage import Use, children, listening, use

EXTRACTIVE = "extractive"
WARM_UP = (Message("user", "Reply with the word ready."),)
WARM_UP_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Contestant:
    """`open` gives the model, or None where answers are extractive; `url` is its server's, where it has one. `keep`
    is what one has to look after to run it (decision.py: MAINTENANCE), `what` the model in words."""

    name: str
    open: Callable[[], LLM | None]
    url: str = ""
    keep: str = "service"
    what: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_tokens` of an answer, `deadline` in seconds."""

    repeats: int
    seed: int
    max_tokens: int
    deadline: float
    max_sentences: int = 3


def windows(contestants: Sequence[Contestant]) -> dict[str, int]:
    """The window of each model in tokens; 0 for extractive. Every model is loaded and answers once, so a model that
    does not exist is found before anything is measured, and files lie in the disk cache for all. Raises ModelError."""
    return {contestant.name: _window(contestant) for contestant in contestants}


def _window(contestant: Contestant) -> int:
    llm = contestant.open()
    if llm is None:
        return 0
    try:
        context = llm.context
        _drain(llm, time.monotonic() + 300)
        return context
    except RagstoneError as error:
        raise type(error)(f"{contestant.name}: {error.message}", error.hint) from error
    finally:
        llm.close()


def measure(
    folder: Path,
    contestants: Sequence[Contestant],
    cases: Sequence[Case],
    embedder: Embedder,
    limits: Limits,
    progress: ProgressCallback | None = None,
) -> None:
    """Everything of the plan that `folder` does not hold yet, each answer durable before the next begins. A model that
    fails on a question has failed there: that counts, and it goes on. Raises InputError where nothing is writable."""
    runs = journal.Journal(folder / journal.RUNS)
    done = {(r["model"], r["round"], r["question"]) for r in runs.read() if r["kind"] == "answer"}
    total = len(contestants) * limits.repeats * len(cases)
    bench = _Bench(runs, embedder, limits, Reader(embedder))
    try:
        for number in range(1, limits.repeats + 1):
            chance = random.Random(f"{limits.seed}/{number}")
            asked = chance.sample(cases, len(cases))
            for contestant in chance.sample(contestants, len(contestants)):
                missing = [c for c in asked if (contestant.name, number, c.question.id) not in done]
                if not missing:
                    continue
                bench.switch_to(contestant, number)
                for case in missing:
                    runs.append({"kind": "answer", "round": number, **bench.ask(case)})
                    done.add((contestant.name, number, case.question.id))
                    if progress:
                        progress(Progress("compare", len(done), total, f"{contestant.name}: {case.question.id}"))
    finally:
        bench.leave()


@dataclass
class _Bench:
    """The model that is loaded now."""

    runs: journal.Journal
    embedder: Embedder
    limits: Limits
    reader: Reader
    contestant: Contestant | None = None
    llm: LLM | None = None
    pids: Sequence[int] = ()
    failure: RagstoneError | None = None
    extractive: Answerer | None = field(default=None)

    def leave(self) -> float:
        """Unloads what is loaded; seconds."""
        started = time.perf_counter()
        llm, self.llm, self.contestant, self.pids = self.llm, None, None, ()
        if llm is not None:
            llm.close()
        return time.perf_counter() - started

    def switch_to(self, contestant: Contestant, number: int) -> None:
        """Unloads the one before, loads this one, waits for its first token."""
        before = self.contestant.name if self.contestant is not None else None
        unloaded = self.leave()
        here = children()
        self.contestant, self.failure = contestant, None
        started = time.perf_counter()
        try:
            self.llm = contestant.open()
            first = None if self.llm is None else _drain(self.llm, time.monotonic() + 300)
        except RagstoneError as error:
            self.failure, first = error, None
        loaded = 0.0 if first is None else first - started
        if self.llm is None:
            self.extractive = Answerer(self.embedder, None, max_sentences=self.limits.max_sentences)
        else:
            self.pids = sorted(listening(contestant.url) if contestant.url else children() - here)
        record = {
            "kind": "load",
            "round": number,
            "model": contestant.name,
            "after": before,
            "unload_seconds": unloaded,
            "load_seconds": loaded,
            **_held(use(self.pids)),
            "error": _told(self.failure),
        }
        self.runs.append(record)

    def ask(self, case: Case) -> dict[str, Any]:
        """The record of one answer. Scoring is not in its times."""
        assert self.contestant is not None  # noqa: S101 - switch_to comes first
        head = {"model": self.contestant.name, "question": case.question.id}
        if self.failure is not None:
            return {**head, **_failed(self.failure)}
        try:
            return {**head, **(self._generated(self.llm, case) if self.llm is not None else self._extracted(case))}
        except RagstoneError as error:
            return {**head, **_failed(error)}

    def _extracted(self, case: Case) -> dict[str, Any]:
        assert self.extractive is not None  # noqa: S101 - switch_to made it
        cpu, started = time.process_time(), time.perf_counter()
        answer = None
        for event in self.extractive.stream(case.question.text, case.hits, language=case.question.language):
            answer = event.answer or answer
        seconds = time.perf_counter() - started
        if answer is None:
            raise InputError("the answer ended without a result.")
        shown = Shown(answer.text, answer.sentences, answer.citations, declined=not answer.answered)
        return {
            **_record(case, shown, answer.text, "stop", Usage()),
            "first_token_seconds": seconds,
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            "memory_bytes": 0,
            "gpu_bytes": None,
        }

    def _generated(self, llm: LLM, case: Case) -> dict[str, Any]:
        before = use(self.pids)
        pieces: list[str] = []
        usage, finish, first = Usage(), "", None
        started = time.perf_counter()
        call = Call(self.limits.max_tokens, time.monotonic() + self.limits.deadline)
        with contextlib.closing(_generator(llm.stream(case.messages, call))) as deltas:
            for delta in deltas:
                if first is None and delta.text:
                    first = time.perf_counter() - started
                pieces.append(delta.text)
                usage, finish = delta.usage or usage, delta.finish or finish
        seconds = time.perf_counter() - started
        after = use(self.pids)
        text = "".join(pieces)
        return {
            **_record(case, self.reader.read(case, text), text, finish, usage),
            "first_token_seconds": seconds if first is None else first,
            "seconds": seconds,
            "cpu_seconds": None if before is None or after is None else max(0.0, after.cpu - before.cpu),
            **_held(after),
        }


def _record(case: Case, shown: Shown, text: str, finish: str, usage: Usage) -> dict[str, Any]:
    return {
        "text": text,
        "shown": shown.text,
        "citations": [{"document": c.uri.rsplit("/", 1)[-1], "text": c.text} for c in shown.citations],
        "finish": finish,
        "tokens": usage.completion_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "estimated": usage.estimated,
        "scores": score(case, shown).as_dict(),
        "error": None,
    }


def _failed(error: RagstoneError) -> dict[str, Any]:
    return {"text": "", "shown": "", "citations": [], "scores": {"quality": 0.0}, "error": _told(error)}


def _told(error: RagstoneError | None) -> Mapping[str, str] | None:
    return None if error is None else {"code": error.code, "message": str(error)}


def _held(used: Use | None) -> dict[str, int | None]:
    return {
        "memory_bytes": None if used is None else used.memory,
        "gpu_bytes": None if used is None else used.gpu,
    }


def _drain(llm: LLM, deadline: float) -> float:
    """Answers the question that is not counted; `time.perf_counter()` of its first token."""
    first = 0.0
    with contextlib.closing(_generator(llm.stream(WARM_UP, Call(WARM_UP_TOKENS, deadline)))) as deltas:
        for delta in deltas:
            first = first or (time.perf_counter() if delta.text else 0.0)
    return first or time.perf_counter()


def _generator(deltas: Iterator[Any]) -> Any:
    """One that can be closed, whatever the model gives: leaving early stops the model at once."""
    try:
        yield from deltas
    finally:
        close = getattr(deltas, "close", None)
        if close is not None:
            close()
