"""Results and answers that come again: never stale, only whole ones, across restarts, and gone with what they quote."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ragstone.answer.answerer import Answerer
from ragstone.assemble import open_knowledge_base
from ragstone.cache.file import CACHE
from ragstone.errors import ModelUnavailable
from ragstone.knowledge_base import KnowledgeBase
from ragstone.protocols import LLM
from ragstone.settings import load
from ragstone.testing import EchoLLM, HashEmbedder
from ragstone.types import AnswerEvent, Call, Delta, Message

QUESTION = "When is the filter of the pump changed?"
TEXT = "The filter of the pump is changed every two weeks. Its housing is blue."


@contextmanager
def opened(folder: Path, *, read_only: bool = False, remember: bool | None = None, **given: object) -> Iterator[KnowledgeBase]:
    overrides = {"data.folder": str(folder), "embedding.background": False}
    overrides |= {name.replace("__", "."): value for name, value in given.items()}
    chosen = load(overrides=overrides)
    with open_knowledge_base(chosen, embedder=HashEmbedder(), read_only=read_only, remember=remember) as kb:
        yield kb


def with_llm(kb: KnowledgeBase, llm: LLM) -> None:
    answerer = Answerer(HashEmbedder(), llm)
    kb._asking._parts = replace(kb._parts, answerer=lambda _: answerer, made_by=lambda _: f"test {llm.name}")


def filled(kb: KnowledgeBase) -> None:
    kb.add_texts([("manual", "Pump", TEXT, {}), ("other", "Boat", "The boat has a red sail.", {})])
    kb.embed_pending()


def cached(events: Sequence[AnswerEvent]) -> bool:
    return "cache" in [event.text for event in events if event.kind == "stage"]


def test_an_answer_comes_again_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        first = kb.ask(QUESTION)
        events = list(kb.ask_stream(QUESTION))
        assert cached(events)
        assert [event.kind for event in events] == ["stage", "stage", "token", "final"]
        again = events[-1].answer
        assert again is not None
        assert first.answered
        assert replace(again, timings={}) == replace(first, timings={})
        assert set(again.timings) == {"search", "cache"}
        assert events[2].text == first.text
        assert not cached(list(kb.ask_stream(QUESTION, cache=False)))
        assert not cached(list(kb.ask_stream(QUESTION + " Really?")))


def test_after_a_restart_too_also_for_readers(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        first = kb.ask(QUESTION)
    with opened(tmp_path) as kb:
        events = list(kb.ask_stream(QUESTION))
        assert cached(events)
        assert events[-1].answer is not None
        assert replace(events[-1].answer, timings={}) == replace(first, timings={})
    with opened(tmp_path, read_only=True) as kb:
        assert cached(list(kb.ask_stream(QUESTION)))
        kb.ask("What is red?")
    with opened(tmp_path, read_only=True, remember=True) as kb:
        assert not cached(list(kb.ask_stream("What is red?")))
    with opened(tmp_path, read_only=True) as kb:
        assert cached(list(kb.ask_stream("What is red?")))
    with opened(tmp_path, answer__max_sentences=1) as kb:
        assert not cached(list(kb.ask_stream(QUESTION)))


def test_another_write_leaves_the_answer_a_change_of_its_passages_does_not(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        for number in range(12):
            kb.add_texts([(f"pump {number}", "Pump", f"The pump {number} is cleaned with a filter brush.", {})])
        kb.ask(QUESTION)
        kb.add_texts([("far", "Cheese", "Emmental ripens for four months.", {})])
        assert cached(list(kb.ask_stream(QUESTION)))
        kb.add_texts([("manual", "Pump", TEXT.replace("two weeks", "three days"), {})])
        answer = kb.ask(QUESTION)
        assert "three days" in answer.text
        assert "two weeks" not in answer.text + "".join(citation.text for citation in answer.citations)
        kb.remove(["manual"])
        assert "three days" not in kb.ask(QUESTION).text


def test_a_new_better_passage_is_seen(tmp_path: Path) -> None:
    with opened(tmp_path) as kb, opened(tmp_path) as other:
        filled(kb)
        assert not kb.ask("Who painted the bridge of Kessel?").answered
        other.add_texts([("art", "Bridge", "The bridge of Kessel was painted by Anna Holm.", {})])
        assert "Anna Holm" in kb.ask("Who painted the bridge of Kessel?").text


def test_deleted_text_leaves_the_file_before_the_delete_returns(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        kb.ask(QUESTION)
        kb._parts.persistent.flush()  # type: ignore[union-attr]
        assert b"every two weeks" in on_disk(tmp_path)
        kb.remove(["manual"])
        assert b"every two weeks" not in on_disk(tmp_path)
        kb.ask("What is red?")
        kb._parts.persistent.flush()  # type: ignore[union-attr]
        assert b"red sail" in on_disk(tmp_path)
        kb.purge_caches()
        assert b"red sail" not in on_disk(tmp_path)
        assert not cached(list(kb.ask_stream("What is red?")))


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{CACHE}*"))


class Failing:
    """Says `text`, then does what is asked."""

    name = "failing"
    context = 4096

    def __init__(self, text: str, then: str) -> None:
        self.text = text
        self.then = then
        self.calls = 0

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        self.calls += 1
        yield Delta(self.text)
        if self.then == "error":
            raise ModelUnavailable("gone")
        yield Delta(finish="length" if self.then == "length" else "stop")

    def close(self) -> None: ...


SUPPORTED = "The filter of the pump is changed every two weeks."


@pytest.mark.parametrize(("text", "then", "kept"), [
    (SUPPORTED, "stop", True), (SUPPORTED, "error", False), (SUPPORTED, "length", False),
    ("Bananas are grown on the moon of Jupiter.", "stop", False),
])  # fmt: skip
def test_only_whole_answers_of_a_model_are_kept(tmp_path: Path, text: str, then: str, kept: bool) -> None:
    model = Failing(text, then)
    with opened(tmp_path) as kb:
        filled(kb)
        with_llm(kb, model)
        first = kb.ask(QUESTION)
        assert first.complete is kept
        again = list(kb.ask_stream(QUESTION))
        assert cached(again) is kept
        assert model.calls == (1 if kept else 2)
        with_llm(kb, EchoLLM(SUPPORTED))
        assert not cached(list(kb.ask_stream(QUESTION)))  # another model answers for itself


def test_a_stream_that_is_left_is_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        with_llm(kb, EchoLLM(SUPPORTED + " " + SUPPORTED))
        for event in (events := kb.ask_stream(QUESTION)):
            if event.kind == "token":
                break
        events.close()  # type: ignore[attr-defined]
        assert not cached(list(kb.ask_stream(QUESTION)))


def test_an_answer_under_a_deadline_that_left_something_out_is_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        hurried = kb.ask(QUESTION, deadline=time.monotonic() - 1)
        assert hurried.notes
        assert not cached(list(kb.ask_stream(QUESTION)))
        assert kb.ask(QUESTION).notes == ()


def test_settings_turn_caches_off(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        kb.ask(QUESTION)
    assert (tmp_path / CACHE).exists()
    with opened(tmp_path, cache__persistent=False, cache__entries=0) as kb:
        assert not (tmp_path / CACHE).exists()
        kb.ask(QUESTION)
        assert not cached(list(kb.ask_stream(QUESTION)))
        assert kb.search("pump") is not kb.search("pump")
    assert not (tmp_path / CACHE).exists()


def test_questions_are_kept_only_to_prepare_for_them(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        filled(kb)
        kb.ask(QUESTION)
        kb._parts.persistent.flush()  # type: ignore[union-attr]
        assert kb.status()["caches"]["questions on disk"]["entries"] == 0
    with opened(tmp_path, cache__prewarm=5) as kb:
        for _ in range(3):
            kb.ask(QUESTION)
        kb.search("red sail", k=3)
        kb.search("with a filter", filter=None, cache=False)
    with opened(tmp_path, cache__prewarm=1, embedding__background=True) as kb:
        kb._ahead.wait()
        assert kb.status()["caches"]["results"]["entries"] == 1
        assert kb.status()["caches"]["answers"]["entries"] == 1
        misses = kb.status()["caches"]["results"]["misses"]
        assert cached(list(kb.ask_stream(QUESTION)))
        assert kb.status()["caches"]["results"]["misses"] == misses
        assert kb._parts.persistent.frequent(9)[0].count(QUESTION) == 1  # type: ignore[union-attr]


def test_questions_from_threads_while_another_writes(tmp_path: Path) -> None:
    """Whatever was acknowledged before a question began is in its result."""
    with opened(tmp_path) as kb, opened(tmp_path) as other:
        filled(kb)
        acknowledged = [0]
        stale: list[tuple[int, int]] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                before = acknowledged[0]
                found = max((int(hit.chunk.text.split()[-1]) for hit in kb.search("beacon", mode="lexical").hits), default=0)
                if found < before:
                    stale.append((before, found))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(1, 60):
            (kb if number % 2 else other).add_texts([("beacon", "", f"beacon number {number}", {})])
            acknowledged[0] = number
        done.set()
        for thread in threads:
            thread.join()
        assert stale == []
