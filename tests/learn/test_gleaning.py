"""A language model reads behind the stream: what it finds has to stand there, broken answers cost nothing but
themselves, and a run that ends goes on in the next one. The model's server is a stand-in on a real socket."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_servers import OpenAIHandler, Script, serving
from ragstone import KnowledgeBase
from ragstone.assemble import open_knowledge_base
from ragstone.learn.asking import place
from ragstone.learn.gleaning import Gleaning, GleanReport
from ragstone.learn.turns import Turn
from ragstone.settings import load
from ragstone.testing import HashEmbedder

PROCESS = Path(__file__).with_name("gleaning_process.py")


class Pointing(OpenAIHandler):
    """Points at each turn that speaks of a valve, at one that does not stand there, and at what patterns find."""

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        length = int(self.headers["content-length"])
        data = self.rfile.read(length)
        prompt = json.loads(data)["messages"][-1]["content"]
        found = [
            {"turn": int(number), "type": "fact", "quote": words.upper() if "loud" in words else words, "confidence": 0.8}
            for number, words in re.findall(r"^\[(\d+)\] \w+: (.*(?:valve|decided).*)$", prompt, re.M)
        ]
        self.script.words = (json.dumps({"items": found}),)
        self.rfile = _Again(data, self.rfile)
        super().do_POST()


class _Again:
    def __init__(self, data: bytes, rest: object) -> None:
        self._data = data
        self._rest = rest

    def read(self, size: int) -> bytes:
        data, self._data = self._data, b""
        return data or self._rest.read(size)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._rest, name)


@contextmanager
def opened(folder: Path, url: str, **more: object) -> Iterator[KnowledgeBase]:
    chosen = {
        "data.folder": folder, "embedding.background": False, "memory.model": "openai:m", "answer.base_url": f"{url}/v1",
    }  # fmt: skip
    with open_knowledge_base(load(None, {}, {**chosen, **more}), embedder=HashEmbedder()) as kb:
        yield kb


def said(number: int) -> str:
    return json.dumps({"role": "user", "content": f"Valve number {number} carries the valve mark V{number * 7919}."}) + "\n"


def glean(kb: KnowledgeBase, file: Path) -> GleanReport:
    gleaning = kb.gleaner("t")
    assert gleaning is not None
    kb.learner("t", with_intents=False).learn_file(file)
    gleaning.read(file, follow=False, stop=threading.Event())
    return ended(gleaning)


def ended(gleaning: Gleaning) -> GleanReport:
    assert not gleaning.running(30)
    return gleaning.report()


def held(kb: KnowledgeBase) -> dict[str, int]:
    return {item.text: item.told for item in kb.memory.timeline(limit=1_000)}


def test_what_patterns_miss_is_found_once(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    told = [
        "Fine.  Behind the press there is a hidden valve\nfor oil. Thanks!", "We decided to close the valve.",
        "Nothing here.", "A loud valve.",
    ]  # fmt: skip
    file.write_text("".join(json.dumps({"role": "user", "content": text}) + "\n" for text in told))
    with serving(Pointing, Script()) as url, opened(tmp_path / "data", url) as kb:
        report = glean(kb, file)
        items = {item.text: item for item in kb.memory.timeline(limit=9)}
        assert report.turns == 4
        assert (report.answers, report.broken, report.stopped) == (1, 0, "")
        assert glean(kb, file).turns == 0
    found = items["We decided to close the valve."]
    assert (found.type, found.told) == ("decision", 1)  # of the patterns: the model's "fact" does not count again
    assert report.refused >= 1


def test_every_answer_of_a_model_is_held_to_the_turn() -> None:
    turn = Turn("user", "Hi. The valve sits\n behind the press. ```the secret code is here``` Bye.")
    item = place(turn, '"the valve sits behind  the press"', "fact", 1.0)
    assert item is None  # another letter
    item = place(turn, "The valve sits behind  the press", "fact", 1.0)
    assert item is not None
    assert turn.text[item.start : item.end] == item.text == "The valve sits\n behind the press."
    assert item.confidence == 0.9
    for quote in ("The valve sits behind the door", "valve", "", "…", "The press sits", "secret code is"):
        assert place(turn, quote, "fact", 0.9) is None, quote


@pytest.mark.parametrize(
    "words",
    [
        ("I found", " nothing"), ('{"items": [{"turn": 1}]}',), ('{"items": [{"turn": 1, "type": "joke", "quote": "x", "confidence": 1}]}',),
        ('{"items": [{"turn": 1, "type": "fact", "quote": "x", "confidence": 7}]}',), ("[" * 5_000,), ("",),
    ],
)  # fmt: skip
def test_broken_answers_are_asked_for_once_more_and_counted(tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1) + said(2))
    script = Script(words=words)
    with serving(OpenAIHandler, script) as url, opened(tmp_path / "data", url) as kb:
        report = glean(kb, file)
        assert (report.answers, report.broken, report.items, report.turns) == (2, 2, 0, 2)
        assert len([r for r in script.requests if r[0].endswith("completions")]) == 2


def test_finds_of_no_turn_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1))
    find = {"type": "fact", "quote": "Valve number 1 carries", "confidence": 0.7}
    answer = {"items": [{"turn": n, **find} for n in (0, -1, 2, 10**9, 1)]}
    script = Script(words=("```json\n", json.dumps(answer), "\n```"))
    with serving(OpenAIHandler, script) as url, opened(tmp_path / "data", url) as kb:
        report = glean(kb, file)
        assert (report.items, report.refused, report.broken) == (1, 4, 0)


def test_a_server_that_is_gone_leaves_the_stream_alone_and_the_next_run_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text("".join(said(n) for n in range(30)))
    with opened(tmp_path / "data", "http://127.0.0.1:9") as kb:
        report = glean(kb, file)
        assert report.turns == 0
        assert report.stopped
    with serving(Pointing, Script()) as url, opened(tmp_path / "data", url) as kb:
        assert glean(kb, file).items == 30
        assert set(held(kb).values()) == {1}


def test_no_budget_no_gleaning(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1) + said(2).replace("Valve", "We decided: valve"))
    script = Script()
    budget = {"budget.limits": {"day": 1e-6}, "budget.prices": {"m": [10.0, 10.0]}}
    with serving(Pointing, script) as url, opened(tmp_path / "data", url, **budget) as kb:
        report = glean(kb, file)
        assert "budget" in report.stopped
        assert len(held(kb)) == 1  # what patterns found
        assert not [r for r in script.requests if r[0].endswith("completions")]


def test_a_pipe_is_heard_by_the_model_too(tmp_path: Path) -> None:
    with serving(Pointing, Script()) as url, opened(tmp_path / "data", url) as kb:
        for _ in range(2):
            gleaning = kb.gleaner("pipe")
            assert gleaning is not None
            blocks = iter([said(1).encode(), (said(2) + said(3)).encode()])
            kb.learner("pipe", with_intents=False).learn_stream(gleaning.listen(blocks))
            assert ended(gleaning).answers == 1
        assert sorted(held(kb).values()) == [1, 1, 1]


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text("".join(said(n) for n in range(120)))
    with serving(Pointing, Script(pause=0.01)) as url:
        for kill in (True, True, True, False):
            process = subprocess.Popen(
                [sys.executable, str(PROCESS), str(tmp_path / "data"), str(file), url], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "begin\n"
            if kill:
                process.stdout.readline()  # some answers came
                os.kill(process.pid, signal.SIGKILL)
            process.wait(60)
        with opened(tmp_path / "data", url) as kb:
            assert set(held(kb).values()) == {1}
            assert len(held(kb)) == 120
            assert kb.verify().problems == ()
