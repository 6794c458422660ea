"""A stream is learned once: over resumptions, rotations, broken lines and kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragstone import KnowledgeBase
from ragstone.assemble import open_knowledge_base
from ragstone.learn.lines import Place, pipe_blocks, read_lines
from ragstone.settings import load
from ragstone.testing import HashEmbedder

PROCESS = Path(__file__).with_name("learning_process.py")


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with opened(tmp_path / "data") as opened_kb:
        yield opened_kb


def opened(folder: Path) -> KnowledgeBase:
    settings = load(None, {}, {"data.folder": folder, "embedding.background": False})
    return open_knowledge_base(settings, embedder=HashEmbedder())


def said(number: int) -> str:
    """A line with one decision that no other line has."""
    words = f"We decided to use {'abcdefghij'[number % 10] * 3}{number} for part {number * 7919}."
    return json.dumps({"role": "user", "content": words}) + "\n"


def held(kb: KnowledgeBase) -> dict[str, int]:
    """Text → how often it was told."""
    return {item.text: item.told for item in kb.memory.timeline(limit=1_000)}


def test_each_line_once(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1) + said(2))
    first = kb.learner("t", with_intents=False).learn_file(file)
    assert (first.items, first.outcomes["added"], first.resumed) == (2, 2, 0)
    again = kb.learner("t", with_intents=False).learn_file(file)
    assert (again.lines, again.items, again.resumed) == (0, 0, 2)
    with file.open("a") as more:
        more.write(said(3))
    third = kb.learner("t", with_intents=False).learn_file(file)
    assert (third.lines, third.items, third.resumed) == (1, 1, 2)
    assert set(held(kb).values()) == {1}
    assert len(held(kb)) == 3


def test_a_pipe_that_sends_everything_again(kb: KnowledgeBase) -> None:
    data = (said(1) + said(2)).encode()
    kb.learner("pipe", with_intents=False).learn_stream(iter([data]))
    report = kb.learner("pipe", with_intents=False).learn_stream(iter([data[:30], data[30:], said(3).encode()]))
    assert report.outcomes == {"unchanged": 2, "added": 1}
    assert set(held(kb).values()) == {1}


def test_equal_lines_are_two_tellings(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1) + said(2) + said(1))
    kb.learner("t", with_intents=False).learn_file(file)
    assert sorted(held(kb).values()) == [1, 2]


def test_broken_lines_are_counted_and_the_rest_goes_on(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    lines = [said(1).encode(), b"{broken\n", b"\xff\xfe\n", b'{"a": 1}\n', b"[" * 9_000_000 + b"\n", said(2).encode()]
    file.write_bytes(b"".join(lines))
    report = kb.learner("t", with_intents=False).learn_file(file)
    assert (report.lines, report.items, report.broken) == (6, 2, 4)
    assert [line for line, _ in report.problems] == [2, 3, 4, 5]
    assert kb.learner("t", with_intents=False).learn_file(file).lines == 0


def test_sources_name_the_lines(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"role": "user", "content": "Grüße"}\n' + said(2))
    kb.learner("file:t", project="press", with_intents=False).learn_file(file)
    (item,) = kb.memory.timeline(limit=5, project="press")
    (source,) = item.sources
    assert file.read_text()[source.start : source.end] == said(2)
    assert (source.uri, item.who, item.type) == ("file:t", "user", "decision")


def test_plain_text_turns_go_on(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text("user: Hallo.\nWir haben beschlossen,\ndie Logs 30 Tage aufzuheben.\n\nagent: Gut.\n")
    report = kb.learner("t", with_intents=False).learn_file(file)
    assert report.turns == 2
    assert [i.type for i in kb.memory.timeline(limit=5)] == ["decision"]
    assert kb.learner("t", with_intents=False).learn_file(file).items == 0


def test_an_unfinished_line_is_read_again(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1) + said(2)[:20])
    report = kb.learner("t", with_intents=False).learn_file(file)
    assert (report.items, report.broken) == (1, 0)
    file.write_text(said(1) + said(2))
    assert kb.learner("t", with_intents=False).learn_file(file).outcomes == {"added": 1}


def test_a_file_that_begins_otherwise_is_read_from_its_beginning(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1) + said(2))
    kb.learner("t", with_intents=False).learn_file(file)
    file.rename(tmp_path / "t.jsonl.1")
    with (tmp_path / "t.jsonl.1").open("a") as late:  # written after the last look, before the rotation
        late.write(said(3))
    file.write_text(said(4))
    kb.learner("t", with_intents=False).learn_file(file)
    assert set(held(kb).values()) == {1}
    assert len(held(kb)) == 4


def test_follows_over_a_rotation(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(said(1))
    stop = threading.Event()
    learner = kb.learner("t", with_intents=False)
    thread = threading.Thread(target=lambda: learner.learn_file(file, follow=True, stop=stop))
    thread.start()
    try:
        until(lambda: len(held(kb)) == 1)
        with file.open("a") as more:
            more.write(said(2)[:25])
            more.flush()
            time.sleep(0.4)  # half a line stands there while it looks
            more.write(said(2)[25:])
        until(lambda: len(held(kb)) == 2)
        file.rename(tmp_path / "t.jsonl.1")
        file.write_text(said(3))
        until(lambda: len(held(kb)) == 3)
        file.write_text(said(4))  # cut and written anew
        until(lambda: len(held(kb)) == 4)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert set(held(kb).values()) == {1}


def test_a_pipe_waits_for_who_reads() -> None:
    reading, writing = os.pipe()
    written = [0]

    def write() -> None:
        with os.fdopen(writing, "wb") as out:
            for number in range(400):
                out.write(said(number).encode() * 500)
                written[0] = number

    stop = threading.Event()
    thread = threading.Thread(target=write)
    blocks = pipe_blocks(lambda size: os.read(reading, size), stop)
    lines = read_lines(blocks, Place())
    thread.start()
    next(lines)
    time.sleep(0.5)
    assert written[0] < 399  # 4 MiB are read ahead, 14 were to be written
    assert sum(line is not None for line in lines) == 400 * 500 - 1
    thread.join(20)
    os.close(reading)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    wanted = 900
    file.write_text("".join(said(n) for n in range(wanted)))
    chance = random.Random(7)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, str(PROCESS), str(tmp_path / "data"), str(file)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        if kills < 5:
            time.sleep(chance.uniform(0.0, 0.25))
            process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            assert rest.startswith("end ")
            break
        kills += 1
    with opened(tmp_path / "data") as kb:
        told = held(kb)
        assert kb.verify().problems == ()
    assert kills >= 2
    assert sum(told.values()) == wanted  # nothing lost, nothing told twice
