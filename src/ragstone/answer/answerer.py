"""Question and hits in, a cited answer out, as a stream of events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import DeadlineExceeded, ModelError, ModelUnavailable, PromptTooLong
from ..protocols import LLM, Embedder
from ..types import Answer, AnswerEvent, Call, Citation, Delta, Hit, Sentence, Usage
from .citations import Aligner
from .conversation import Conversation
from .evidence import Candidate, Evidence, gather, highlighted, sentences
from .extractive import SCALES, Thresholds, bears, cite, enough, refusal, select
from .generated import Transcript
from .prompt import Earlier, build

EXTRACTIVE = "extractive"
RESERVE_SECONDS = 1.0  # of a deadline, kept for aligning the last sentence or for falling back


class Answerer:
    """Answers from hits. Without `llm`, and where it fails, the answer is extractive. Safe from several threads."""

    def __init__(
        self,
        embedder: Embedder | None,
        llm: LLM | None,
        *,
        max_sentences: int = 3,
        max_tokens: int = 512,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._embedder = embedder
        self._llm = llm
        self._max_sentences = max_sentences
        self._max_tokens = max_tokens
        self._thresholds = thresholds or Thresholds()
        self._scale = SCALES.get(embedder.space.model) if embedder is not None else None

    def stream(
        self,
        question: str,
        hits: Sequence[Hit],
        *,
        language: str,
        deadline: float | None = None,
        conversation: Conversation | None = None,
        survey: bool = False,
    ) -> Iterator[AnswerEvent]:
        """Stages and tokens as they come; the last event is `final`.

        With `survey` the hits are of mode global: no passage alone bears on the question, so it is answered whatever
        they say, and an extractive answer is made of their highlights.

        `language` is the question's (ISO 639-1, or "" for that of the hits), `deadline` is `time.monotonic()`
        seconds. A generating model answers `conversation` as its next question, and adds it there. A generated answer
        that breaks off, or that the documents do not support at all, is void: the final answer is then extractive and
        its notes say why.
        """
        run = _Run(question, hits, language or _language_of(hits), language)
        yield AnswerEvent("stage", "evidence")
        generating = self._llm is not None and not _late(deadline)
        marked = highlighted(hits) if survey else ()
        if marked and not generating:
            yield AnswerEvent("stage", "extract")
            yield from _whole(run.cited(marked))
            return
        if marked:
            supported = True
        elif not generating:
            evidence = self._evidence(run, deadline)
            supported = enough(evidence, self._scale, self._thresholds)
        else:
            supported = self._bears(run)
        if not supported:
            yield from _whole(self._refused(run))
            return
        if self._llm is not None and generating:
            yield AnswerEvent("stage", "generate")
            answer = yield from self._generate(self._llm, run, deadline, conversation)
            if answer is not None:
                yield AnswerEvent("final", answer=answer)
                return
            if marked:
                yield from _whole(run.cited(marked))
                return
            evidence = self._evidence(run, deadline)
        elif self._llm is not None:
            run.cut("deadline: extractive answer, nothing was generated")
        yield AnswerEvent("stage", "extract")
        yield from _whole(self._extract(run, evidence))

    def _bears(self, run: _Run) -> bool:
        """Whether there is anything to answer from. A model's text waits for this, so it takes few vectors."""
        with run.timed("evidence"):
            evidence = gather(run.question, run.hits, None, language=run.language, spoken=run.spoken)
            try:
                return bears(run.question, evidence, self._embedder, self._scale, self._thresholds)
            except ModelUnavailable as error:
                run.cut(f"no answer: sentences were chosen by words only ({error.message})")
                return enough(evidence, self._scale, self._thresholds)

    def _evidence(self, run: _Run, deadline: float | None) -> Evidence:
        embedder = self._embedder
        if embedder is not None and _late(deadline):
            embedder = None
            run.cut("deadline: sentences were chosen by words only")
        with run.timed("evidence"):
            try:
                gap = self._scale.gap if self._scale is not None else 0.0
                return gather(
                    run.question, run.hits, embedder, language=run.language, spoken=run.spoken, gap=gap
                )
            except ModelUnavailable as error:
                run.cut(f"no answer: sentences were chosen by words only ({error.message})")
                return gather(run.question, run.hits, None, language=run.language, spoken=run.spoken)

    def _refused(self, run: _Run) -> Answer:
        return run.answer(refusal(run.language), answered=False)

    def _extract(self, run: _Run, evidence: Evidence) -> Answer:
        with run.timed("extract"):
            chosen = select(evidence, self._max_sentences, self._thresholds)
        if not chosen:
            return self._refused(run)
        return run.cited(chosen)

    def _generate(
        self, llm: LLM, run: _Run, deadline: float | None, conversation: Conversation | None
    ) -> Generator[AnswerEvent, None, Answer | None]:
        """The generated answer; None where it failed or has no support, with the reason in the run's notes."""
        started = time.perf_counter()
        try:
            prompt = build(
                run.question,
                run.hits,
                language=run.language,
                context=llm.context,
                max_tokens=self._max_tokens,
                earlier=Earlier() if conversation is None else conversation.earlier,
            )
            if prompt.left_out:
                run.notes.append(f"the model's window had no room for {prompt.left_out} of the passages")
            aligner = Aligner(
                sentences(prompt.hits, len(prompt.hits)), run.question, [run.language], self._embedder, self._scale
            )
            aligner.prepare()
            transcript = Transcript(lambda sentence: aligner.align(sentence, run.language))
            usage, finish, name, raw = Usage(), "", "", ""
            name_of = "" if conversation is None else conversation.id
            call = Call(self._max_tokens, _before(deadline), conversation=name_of)
            for delta in _closing(llm.stream(prompt.messages, call)):
                raw += delta.text
                if not run.timings.get("first token") and delta.text:
                    run.timings["first token"] = (time.perf_counter() - started) * 1000.0
                usage, finish = delta.usage or usage, delta.finish or finish
                for piece in transcript.feed(delta.text, last=bool(delta.finish)):
                    yield AnswerEvent("token", piece, citations=tuple(transcript.citations))
                name = delta.model or name
            name = name or llm.name
        except (ModelError, DeadlineExceeded, PromptTooLong) as error:
            run.cut(f"the model failed ({error.code}), so the answer is extractive: {error}")
            return None
        finally:
            run.timings["generate"] = (time.perf_counter() - started) * 1000.0
        if conversation is not None:
            conversation.add(run.question, prompt, raw)
        if finish == "length":
            run.cut(f"the model reached its limit of {self._max_tokens} tokens: the last sentence may be cut")
        if transcript.declined:
            return run.answer(refusal(run.language), answered=False, model=name, usage=usage)
        if not any(s.supported for s in transcript.sentences):
            run.cut("nothing in the model's answer is supported by the documents; the answer is extractive")
            return None
        return run.answer(
            transcript.text,
            answered=True,
            sentences=tuple(transcript.sentences),
            citations=tuple(transcript.citations),
            model=name,
            usage=usage,
        )


@dataclass(slots=True)
class _Run:
    """One question on its way to an answer."""

    question: str
    hits: Sequence[Hit]
    language: str
    """Of the answer."""
    spoken: str
    """Of the question; "" where that cannot be told."""
    timings: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    def cut(self, note: str) -> None:
        """Something was left out that another time may give."""
        if note not in self.notes:
            self.notes.append(note)
        self.complete = False

    def cited(self, chosen: Sequence[Candidate]) -> Answer:
        text, parts, citations = cite(chosen)
        return self.answer(text, answered=True, sentences=parts, citations=citations)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - started) * 1000.0
            self.timings[stage] = self.timings.get(stage, 0.0) + spent

    def answer(
        self,
        text: str,
        *,
        answered: bool,
        sentences: tuple[Sentence, ...] = (),
        citations: tuple[Citation, ...] = (),
        model: str = EXTRACTIVE,
        usage: Usage = Usage(),  # noqa: B008 - frozen
    ) -> Answer:
        return Answer(
            question=self.question,
            text=text,
            language=self.language,
            answered=answered,
            sentences=sentences,
            citations=citations,
            model=model,
            usage=usage,
            timings=dict(self.timings),
            notes=tuple(self.notes),
            complete=self.complete,
        )


def _whole(answer: Answer) -> Iterator[AnswerEvent]:
    yield AnswerEvent("token", answer.text, citations=answer.citations)
    yield AnswerEvent("final", answer=answer)


def _closing(deltas: Iterator[Delta]) -> Iterator[Delta]:
    """The same deltas; leaving the loop early stops the model at once, not when the garbage is collected."""
    try:
        yield from deltas
    finally:
        if isinstance(deltas, Generator):
            deltas.close()


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _before(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - RESERVE_SECONDS


def _language_of(hits: Sequence[Hit]) -> str:
    return next((h.chunk.language for h in hits if h.chunk.language), "en")
