"""Answers: what a search finds, written down with its places; and kept, while it would be found again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..answer.conversation import Conversation
from ..cache.answers import evidence_key, keep
from ..errors import InputError, ModelError
from ..observe import spans
from ..observe.instruments import ANSWER_STAGES, ANSWERS, UNANSWERED, looked_up, stages
from ..text.language import detect_query
from ..types import Answer, AnswerEvent, Filter, Hit, Mode
from .names import chosen
from .parts import Parts
from .searching import Asked, Searching


@dataclass(frozen=True, slots=True)
class Question:
    """As it was asked; see `KnowledgeBase.ask`."""

    text: str
    collections: tuple[str, ...] | None
    filter: Filter | None
    deadline: float | None
    cache: bool
    conversation: Conversation | None
    mode: Mode


class Asking:
    """Thread-safe."""

    def __init__(self, parts: Parts, searching: Searching) -> None:
        self._parts = parts
        self._searching = searching

    def answer(self, question: Question) -> Answer:
        final = None
        for event in self.stream(question):
            final = event.answer or final
        if final is None:
            raise InputError("the answer ended without a result.")
        return final

    def stream(self, question: Question) -> Iterator[AnswerEvent]:
        span, began, started = spans.start("ask"), spans.now(), time.perf_counter()
        for event in spans.following(span, self._answering(question)):
            if event.answer is not None:
                _answered(span, began, time.perf_counter() - started, event.answer)
            yield event

    def end(self, conversation: Conversation) -> None:
        conversation.restart()
        self._parts.language_models().end(conversation.id)

    def prepare(self, asked: Asked) -> None:
        """Searches, and brings the answer into memory where it is kept; none is made anew, because a model may cost
        money."""
        found = self._searching.find(asked)
        if (asked.k, asked.highlights) == (self._parts.evidence_depth, False):
            language, space = _language(asked.query), self._space(asked.collections)
            key = self._key(asked.query, language, space, found.hits, asked.mode)
            if key is not None:
                self._parts.answers.get(key)

    def _answering(self, question: Question) -> Iterator[AnswerEvent]:
        yield AnswerEvent("stage", "search")
        started = time.perf_counter()
        depth = self._parts.evidence_depth
        asked = Asked(question.text, question.collections, depth, question.mode, highlights=False)
        found = self._searching.search(asked, question.filter, question.deadline, cache=question.cache)
        searched = _milliseconds(started)
        language, space = _language(question.text), self._space(question.collections)
        if question.conversation is not None:
            self._check(question.conversation)
        key = None
        if question.cache and question.conversation is None:
            key = self._key(question.text, language, space, found.hits, question.mode)
        if key is not None:
            kept = self._parts.answers.get(key)
            looked_up("answers", kept)
            if kept is not None:
                timings = {"search": searched, "cache": _milliseconds(started) - searched}
                notes = (*found.notes, *kept.answer.notes)
                yield AnswerEvent("stage", "cache")
                yield AnswerEvent("token", kept.answer.text, citations=kept.answer.citations)
                yield AnswerEvent("final", answer=replace(kept.answer, timings=timings, notes=notes))
                return
        events = self._parts.answerer(space).stream(
            question.text, found.hits, language=language, deadline=question.deadline,
            conversation=question.conversation, survey=question.mode == "global",
        )  # fmt: skip
        for event in events:
            if event.answer is None:
                yield event
                continue
            if key is not None and event.answer.complete and found.complete:
                self._parts.answers.put(key, keep(event.answer, found.hits))
            timings = {"search": found.timings["total"], **event.answer.timings}
            notes = (*found.notes, *event.answer.notes)
            yield AnswerEvent("final", answer=replace(event.answer, timings=timings, notes=notes))

    def _check(self, conversation: Conversation) -> None:
        """A conversation does not go on from a passage that was removed meanwhile."""
        wanted = {(hit.chunk.id, hit.chunk.content_hash) for hit in conversation.earlier.hits}
        held = self._parts.store.chunks([id for id, _ in wanted])
        if wanted - {(chunk.id, chunk.content_hash) for chunk in held}:
            conversation.restart()

    def _space(self, collections: Sequence[str] | None) -> str:
        """Whose model judges passages."""
        return self._parts.spaces.active(chosen(self._parts.store, collections)[0]).id

    def _key(
        self, question: str, language: str, space: str, hits: Sequence[Hit], mode: Mode
    ) -> bytes | None:
        """None where a model server that has to say what it runs does not answer."""
        try:
            made_by = self._parts.made_by(space) + (repr([hit.highlights for hit in hits]) if mode == "global" else "")
            return evidence_key(question, language, made_by, hits)
        except ModelError:
            return None


def _language(question: str) -> str:
    return detect_query(question, ("de", "en"))


def _answered(span: spans.Span, began: int, seconds: float, answer: Answer) -> None:
    """Counts an answer by how it was made."""
    kind = "cached" if "cache" in answer.timings else "generated" if "first token" in answer.timings else "extractive"
    if not answer.answered:
        UNANSWERED.add(1.0)
    ANSWERS.observe(seconds, kind)
    stages(ANSWER_STAGES, answer.timings, without=("search",))
    after = {stage: ms for stage, ms in answer.timings.items() if stage not in ("search", "first token")}
    spans.stages(span, after, began=began + int(answer.timings.get("search", 0.0) * 1e6))
    span.set({"ragstone.kind": kind, "ragstone.answered": answer.answered, "ragstone.citations": len(answer.citations)})


def _milliseconds(since: float) -> float:
    return (time.perf_counter() - since) * 1000.0
