"""Generated answers over a real HTTP stream: what is shown, what is kept, what happens when it breaks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answering import CHEESE_DE, TOWER_DE, TermEmbedder, hit
from model_servers import OpenAIHandler, Script, serving
from ragstone.answer.answerer import Answerer
from ragstone.answer.evidence import gather, sentences
from ragstone.answer.extractive import SCALES, Thresholds, bears, enough
from ragstone.llm.openai import OpenAIChat
from ragstone.protocols import Role, Vectors
from ragstone.types import Answer, AnswerEvent

HITS = [hit(TOWER_DE, title="Eiffelturm"), hit(CHEESE_DE, rank=1, title="Käse")]
QUESTION = "Wie hoch ist der Eiffelturm?"
GOOD = "Der Turm ist 330 Meter hoch. Er wurde von Gustave Eiffel entworfen."


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\s*\S+", text))


@contextmanager
def answering(script: Script, context: int = 4096) -> Iterator[Answerer]:
    with serving(OpenAIHandler, script) as url:
        yield Answerer(TermEmbedder(), OpenAIChat(f"{url}/v1", "big", context=context), max_tokens=100)


def last(events: list[AnswerEvent]) -> Answer:
    answer = events[-1].answer
    assert answer is not None
    assert [e.kind for e in events].count("final") == 1
    return answer


def test_tokens_are_streamed_and_sentences_cited() -> None:
    script = Script(words=words(GOOD))
    with answering(script) as answerer:
        events = list(answerer.stream(QUESTION, HITS, language="de"))
    answer = last(events)
    tokens = [e.text for e in events if e.kind == "token"]
    assert len(tokens) > 3
    assert "".join(tokens) == answer.text
    assert answer.text == "Der Turm ist 330 Meter hoch. [1] Er wurde von Gustave Eiffel entworfen. [2]"
    assert (answer.model, answer.answered, answer.notes) == ("big", True, ())
    assert [e.text for e in events if e.kind == "stage"] == ["evidence", "generate"]
    assert {"evidence", "first token", "generate"} <= set(answer.timings)
    assert answer.usage.completion_tokens == len(script.words)
    for citation in answer.citations:
        assert TOWER_DE[citation.start : citation.end] == citation.text
    sent = script.requests[-1][1]["messages"]
    assert TOWER_DE in sent[0]["content"]
    assert sent[-1]["content"].startswith(QUESTION)


def test_an_invented_sentence_is_marked() -> None:
    with answering(Script(words=words("Der Turm ist 330 Meter hoch. Er kostete 77 Millionen Francs."))) as answerer:
        answer = last(list(answerer.stream(QUESTION, HITS, language="de")))
    assert [(s.supported, bool(s.citations)) for s in answer.sentences] == [(True, True), (False, False)]
    assert answer.text.endswith("[1] Er kostete 77 Millionen Francs.")


@pytest.mark.parametrize("cut", [0, 1, 4, 9])
def test_a_model_that_breaks_off_leaves_an_extractive_answer_that_says_so(cut: int) -> None:
    with answering(Script(words=words(GOOD), cut=cut)) as answerer:
        answer = last(list(answerer.stream(QUESTION, HITS, language="de")))
    assert answer.model == "extractive"
    assert answer.answered
    assert any("330 Meter" in c.text for c in answer.citations)
    assert any(
        note.startswith("the model failed (ModelUnavailable), so the answer is extractive: ") for note in answer.notes
    )


def test_a_refusing_server() -> None:
    with answering(Script(refuse=[(400, '{"error": {"message": "context too long"}}')])) as answerer:
        answer = last(list(answerer.stream(QUESTION, HITS, language="de")))
    assert answer.model == "extractive"
    assert any("context too long" in note for note in answer.notes)


def test_a_deadline_in_the_middle() -> None:
    with answering(Script(words=("und ",) * 500, pause=0.02)) as answerer:
        started = time.monotonic()
        answer = last(list(answerer.stream(QUESTION, HITS, language="de", deadline=started + 1.5)))
    assert answer.model == "extractive"
    assert any("DeadlineExceeded" in note for note in answer.notes)


def test_an_answer_that_nothing_supports_is_replaced() -> None:
    with answering(Script(words=words("Bananen wachsen an Stauden in den Tropen."))) as answerer:
        answer = last(list(answerer.stream(QUESTION, HITS, language="de")))
    assert answer.model == "extractive"
    assert any("nothing in the model's answer" in note for note in answer.notes)


def test_a_model_that_declines() -> None:
    with answering(Script(words=("NO", " ANSWER", "."))) as answerer:
        events = list(answerer.stream(QUESTION, HITS, language="de"))
    answer = last(events)
    assert (answer.answered, answer.text, answer.model) == (False, "In den Dokumenten steht dazu nichts.", "big")
    assert "NO" not in "".join(e.text for e in events)


def test_nothing_is_asked_of_a_model_without_evidence() -> None:
    script = Script()
    with answering(script) as answerer:
        answer = last(list(answerer.stream("Was kostet eine Fahrkarte nach Hamburg?", HITS, language="de")))
    assert not answer.answered
    assert script.requests == []


def test_a_limit_and_a_small_window_are_noted() -> None:
    with answering(Script(words=words(f"{GOOD} " * 12)), context=600) as answerer:
        answer = last(list(answerer.stream(QUESTION, [hit(TOWER_DE * 3), HITS[1]], language="de")))
    assert any("limit of 100 tokens" in note for note in answer.notes)
    assert any("no room for 1" in note for note in answer.notes)


def test_leaving_stops_the_model() -> None:
    script = Script(words=("Der ", "Turm ") * 2000, pause=0.005)
    with answering(script) as answerer:
        events = answerer.stream(QUESTION, HITS, language="de")
        for event in events:
            if event.kind == "token":
                break
        events.close()  # type: ignore[attr-defined]
        assert script.stopped.wait(10)


class Scaled(TermEmbedder):
    """Chosen likenesses of texts to a question, in a space whose scale is known; holds passages of the kind that
    `held` names."""

    def __init__(self, likeness: Callable[[str], float], held: Callable[[int], bool] = lambda _: False) -> None:
        super().__init__("multilingual-e5-small", 2)
        self.likeness = likeness
        self.held = held
        self.freed = threading.Event()
        self.made: list[int] = []

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        if role == "query":
            return np.tile(np.array([1.0, 0.0], np.float32), (len(texts), 1))
        if self.held(len(texts)):
            assert self.freed.wait(30)
        self.made.append(len(texts))
        cosines = np.array([self.likeness(text) for text in texts])
        return np.stack([cosines, np.sqrt(1.0 - cosines**2)], axis=1).astype(np.float32)


def test_text_does_not_wait_for_vectors_of_all_sentences() -> None:
    embedder = Scaled(lambda _: 0.9, held=lambda count: count > 1)
    with serving(OpenAIHandler, Script(words=words(GOOD))) as url:
        answerer = Answerer(embedder, OpenAIChat(f"{url}/v1", "big", context=4096), max_tokens=100)
        events = answerer.stream(QUESTION, HITS, language="de")
        shown = next(event.text for event in events if event.kind == "token")
        assert shown
        assert GOOD.startswith(shown)
        embedder.freed.set()
        answer = last(list(events))
    assert answer.citations


@given(st.lists(st.floats(0.6, 1.0), min_size=9, max_size=9), st.sampled_from([QUESTION, "Was ist Käse?", "Warum?"]))
def test_few_vectors_tell_the_same_as_all(cosines: list[float], question: str) -> None:
    texts = [c.text for c in sentences(HITS)]
    likeness = dict(zip(texts, cosines, strict=False))
    scale, thresholds = SCALES["multilingual-e5-small"], Thresholds()
    embedder = Scaled(lambda text: likeness[text])
    whole = enough(gather(question, HITS, embedder, language="de"), scale, thresholds)
    embedder.made.clear()
    evidence = gather(question, HITS, None, language="de")
    assert bears(question, evidence, embedder, scale, thresholds) == whole
    assert not whole or sum(embedder.made) <= len(texts)
