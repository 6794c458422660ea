"""A language model reads after the rules: what it names has to stand in the passage, what it says badly costs nothing
but itself, each passage is asked about once, and a run that ends goes on in the next one. The model's server is a
stand-in on a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from graphs import SENTENCES, told
from model_servers import serving
from passage_reader import Reading, calls, script
from ragstone import KnowledgeBase
from ragstone.assemble import open_knowledge_base
from ragstone.errors import BudgetExceeded, Conflict, InputError, ModelError, SettingsError
from ragstone.graph.codec import decode, encode
from ragstone.graph.deepening_asking import extraction, point
from ragstone.graph.layers import MODEL, RULES
from ragstone.graph_types import Extraction
from ragstone.protocols import Extracted
from ragstone.settings import load
from ragstone.testing import HashEmbedder
from ragstone.types import Progress

PROCESS = Path(__file__).with_name("deepening_process.py")
EMPTY = json.dumps({"entities": [], "relations": []})


def text(number: int) -> str:
    return f"In the plant, valve {number} throttles tank {number + 500} at night."


@contextmanager
def opened(folder: Path, url: str = "http://127.0.0.1:9", **more: object) -> Iterator[KnowledgeBase]:
    chosen = {
        "data.folder": folder, "embedding.background": False, "graph.model": "openai:m", "answer.base_url": f"{url}/v1",
    }  # fmt: skip
    with open_knowledge_base(load(None, {}, {**chosen, **more}), embedder=HashEmbedder()) as kb:
        yield kb


def fill(kb: KnowledgeBase, count: int, first: int = 0) -> None:
    kb.add_texts([(f"doc:{number}", "", text(number), {}) for number in range(first, first + count)])
    kb.graph.build()


def layer(kb: KnowledgeBase) -> dict[str, Extraction]:
    """By uri."""
    ids = kb.store.chunk_ids("default").tolist()
    found = dict(kb.store.graph.extractions(ids, MODEL))
    return {chunk.uri: decode(found[chunk.id]) for chunk in kb.store.chunks(ids) if found.get(chunk.id)}


def test_a_model_adds_names_and_words_that_stand_in_the_text(tmp_path: Path) -> None:
    asked = script()
    with serving(Reading, asked) as url, opened(tmp_path, url) as kb:
        fill(kb, 6)
        before = told(kb)
        (report,) = kb.graph.deepen("default")
        assert (report.read, report.failed, report.waiting, report.broken) == (6, 0, 0, 0)
        assert (report.mentions, report.relations, report.labelled, report.refused) == (12, 6, 6, 6)
        assert report.answers == len(calls(asked)) == 2  # four passages of one call, and two
        assert calls(asked)[0]["response_format"]["type"] == "json_schema"
        assert kb.graph.status("default")[0].deepened == 6
        for uri, said_of in layer(kb).items():
            said = text(int(uri.removeprefix("doc:")))
            assert [said[m.start : m.end] for m in said_of.mentions] == [m.text for m in said_of.mentions]
            (relation,) = said_of.relations
            assert (said[relation.start : relation.end], relation.label) == (said, "throttles")
        valve, tank = kb.graph.find("valve 3")[0], kb.graph.find("tank 503")[0]
        assert valve.name == "valve 3"
        edge = kb.graph.edge(valve.id, tank.id)
        assert edge.label == "throttles"
        assert edge.evidence[0].text == text(3)
        assert told(kb) != before
        assert kb.graph.deepen("default")[0].read == 0
        kb.add_texts([("copy", "", text(3), {})])
        assert kb.graph.deepen("default")[0].read == 0
        assert len(calls(asked)) == 2
        assert kb.verify().problems == ()
        kb.rebuild()
        kb.remove([*(f"doc:{n}" for n in range(6)), "copy"])
        assert kb.graph.find("valve 3") == []
        assert kb.verify().problems == ()  # no extraction without its text
        kb.purge()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"throttles" in path.read_bytes()]


def test_both_layers_count_and_the_same_finds_once(tmp_path: Path) -> None:
    with opened(tmp_path) as kb:
        kb.add_texts([(f"doc:{i}", "", sentence, {}) for i, sentence in enumerate(SENTENCES)])
        kb.graph.build()
        before, mentions = told(kb), kb.graph.status("default")[0].mentions
        unread = kb.store.graph.waiting("default", MODEL, "same", 100)
        rules = dict(kb.store.graph.extractions([one.chunk_id for one in unread], RULES))
        kb.store.graph.put(MODEL, "same", {one.content_hash: Extracted(rules[one.chunk_id]) for one in unread})
        assert told(kb) == before
        one = next(one for one in unread if "Paul Weber" in one.text)
        relations = [("Paul Weber", "wrote about", "Schneider"), ("Anna Schneider", "wrote", "Timer TON")]
        pointed = point(one.text, "en", [], relations)
        found = {one.content_hash: Extracted(encode(extraction(pointed, "more"), "en"))}
        kb.store.graph.put(MODEL, "more", found)
        added = {m.norm for m in pointed.mentions} - {m.norm for m in decode(rules[one.chunk_id]).mentions}
        assert added == {"schneider"}
        assert kb.graph.status("default")[0].mentions == mentions + 1
        assert kb.verify().problems == ()
        with opened(tmp_path) as other:
            assert told(other) == told(kb) != before


@pytest.mark.parametrize(
    "words",
    [
        ("I found", " nothing"), ('{"entities": [',), ('{"entities": []}',), ("[" * 5_000,), ("",),
        ('{"entities": [{"passage": 1, "name": "valve 0", "kind": "joke"}], "relations": []}',),
        ('{"entities": [{"passage": 1, "name": "Loch Ness", "kind": "name"}], "relations": []}',),
        ('{"entities": [{"passage": 7, "name": "valve 0", "kind": "name"}], "relations": []}',),
    ],
)  # fmt: skip
def test_answers_of_no_use_are_counted_asked_for_once_more_and_left_at_that(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    asked = script(*words)
    with serving(Reading, asked) as url, opened(tmp_path, url) as kb:
        fill(kb, 1)
        before = told(kb)
        (report,) = kb.graph.deepen("default")
        assert (report.read, report.failed, report.answers, report.broken, report.mentions) == (1, 1, 2, 2, 0)
        assert told(kb) == before
        assert kb.graph.status("default")[0].deepened == 0
        assert kb.graph.deepen("default")[0].read == 0
        assert len(calls(asked)) == 2
        asked.stubborn = False  # type: ignore[attr-defined]
        (report,) = kb.graph.deepen("default", again=True)
        assert (report.read, report.failed) == (1, 0)
        assert kb.graph.status("default")[0].deepened == 1
        assert kb.verify().problems == ()


def test_of_a_bad_answer_for_several_each_is_asked_about_alone(tmp_path: Path) -> None:
    class Once(Reading):
        """One passage of several is forgotten; and one makes it stammer."""

        def answer(self, passages: list[tuple[str, str]], *, more: bool) -> dict[str, Any]:
            if any("valve 2 " in text for _, text in passages):
                return {"entities": "valve"}
            return super().answer(passages[:2], more=more)

    asked = script()
    with serving(Once, asked) as url, opened(tmp_path, url) as kb:
        fill(kb, 3)
        (report,) = kb.graph.deepen("default")
        assert (report.read, report.failed, report.broken) == (3, 1, 2)
        assert set(layer(kb)) == {"doc:0", "doc:1"}
        assert len(calls(asked)) == 4
        fill(kb, 3, first=10)
        assert kb.graph.deepen("default")[0].failed == 0
        assert len(calls(asked)) == 6  # three at once, and the forgotten one alone


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    asked = script(EMPTY)
    with serving(Reading, asked) as url, opened(tmp_path, url, **{"graph.batch": 1}) as kb:
        fill(kb, 2)
        before = told(kb)
        (report,) = kb.graph.deepen("default")
        assert (report.read, report.failed, report.answers, report.broken) == (2, 0, 2, 0)
        assert told(kb) == before
        assert kb.graph.status("default")[0].deepened == 2


def test_of_an_answer_that_finds_no_end_what_came_whole_counts(tmp_path: Path) -> None:
    entity = '{"passage": 1, "name": "valve 0", "kind": "term"}'
    relation = '{"passage": 1, "head": "valve 0", "label": "throttles", "tail": "tank 500"}'
    endless = [" "] * 600
    asked = script(f'{{"entities": [{entity}, {{"passage": 1, "na', *endless)
    with serving(Reading, asked) as url, opened(tmp_path, url) as kb:
        fill(kb, 1)
        (report,) = kb.graph.deepen("default")
        assert (report.answers, report.broken, report.mentions, report.relations) == (1, 0, 1, 0)
        assert calls(asked)[0]["max_tokens"] == 500
        asked.words = (f'{{"entities": [{entity}], "relations": [{relation}, {{"pass', *endless)
        kb.add_texts([("doc:0", "", text(0) + " So.", {})])
        (report,) = kb.graph.deepen("default")
        assert (report.answers, report.broken, report.mentions, report.labelled) == (1, 0, 2, 1)


def test_rounds_ask_for_what_was_missed(tmp_path: Path) -> None:
    asked = script()
    with serving(Reading, asked) as url, opened(tmp_path, url, **{"graph.rounds": 1}) as kb:
        fill(kb, 2)
        (report,) = kb.graph.deepen("default")
        assert (report.answers, report.mentions) == (2, 6)
        assert [m["role"] for m in calls(asked)[1]["messages"]] == ["system", "user", "assistant", "user"]
        assert "plant" in {m.norm for m in layer(kb)["doc:1"].mentions}


def test_a_limit_and_a_stop_end_it(tmp_path: Path) -> None:
    asked = script()
    stop = threading.Event()

    def told_(step: Progress) -> None:
        assert step.total == 7
        if step.done:
            assert "s each" in step.state
            stop.set()

    with serving(Reading, asked) as url, opened(tmp_path, url, **{"graph.batch": 2}) as kb:
        fill(kb, 10)
        (report,) = kb.graph.deepen("default", limit=3)
        assert (report.read, report.waiting, len(calls(asked))) == (3, 7, 2)
        assert set(layer(kb)) == {"doc:9", "doc:8", "doc:7"}  # the newest first
        (report,) = kb.graph.deepen("default", progress=told_, stop=stop)
        assert (report.read, report.waiting) == (2, 5)


def test_another_model_reads_everything_again(tmp_path: Path) -> None:
    asked = script()
    with serving(Reading, asked) as url:
        with opened(tmp_path, url) as kb:
            fill(kb, 2)
            kb.graph.deepen("default")
        with opened(tmp_path, url, **{"graph.model": "openai:better"}) as kb:
            assert kb.graph.status("default")[0].deepened == 2
            assert kb.graph.deepen("default")[0].read == 2
    assert [body["model"] for body in calls(asked)] == ["m", "better"]


def test_a_server_that_goes_in_the_middle_costs_one_answer(tmp_path: Path) -> None:
    class Going(Reading):
        """After two answers it breaks off within each."""

        def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
            if len(calls(self.script)) >= 2:
                self.script.cut = 2
            super().do_POST()

    asked, back = script(), script()
    with serving(Going, asked) as url, opened(tmp_path, url, **{"graph.batch": 1}) as kb:
        fill(kb, 5)
        with pytest.raises(ModelError):
            kb.graph.deepen("default")
        assert kb.graph.status("default")[0].deepened == 2
    with opened(tmp_path) as kb, pytest.raises(ModelError):  # nobody is there
        kb.graph.deepen("default")
    with serving(Reading, back) as url, opened(tmp_path, url, **{"graph.batch": 1}) as kb:
        assert kb.graph.deepen("default")[0].read == 3
        assert len(calls(back)) == 3
        assert kb.verify().problems == ()


def test_a_spent_budget_ends_it_and_what_was_done_stays(tmp_path: Path) -> None:
    asked = script()
    budget = {"budget.limits": {"day": 0.05}, "budget.prices": {"m": [10.0, 10.0]}, "graph.batch": 1}
    with serving(Reading, asked) as url:
        with opened(tmp_path, url, **budget) as kb:
            fill(kb, 400)
            with pytest.raises(BudgetExceeded):
                kb.graph.deepen("default")
            done = kb.graph.status("default")[0].deepened
            assert 0 < done == len(calls(asked)) < 400
        with opened(tmp_path, url, **{**budget, "budget.limits": {"day": 1000.0}}) as kb:
            assert kb.graph.deepen("default", limit=3)[0].read == 3
            assert kb.graph.status("default")[0].deepened == done + 3


def test_kills_ask_nothing_twice_but_what_was_under_way(tmp_path: Path) -> None:
    asked = script(pause=0.005)
    with opened(tmp_path) as kb:
        fill(kb, 40)
    with serving(Reading, asked) as url:
        for kill in (True, True, False):
            process = subprocess.Popen(
                [sys.executable, str(PROCESS), str(tmp_path), url], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            for line in process.stdout:
                if kill and int(line) >= 5:
                    os.kill(process.pid, signal.SIGKILL)
                    break
            assert process.wait(60) == (-signal.SIGKILL if kill else 0)
    with opened(tmp_path) as kb:
        assert kb.graph.status("default")[0].deepened == len(layer(kb)) == 40
        assert kb.verify().problems == ()
    shown = [body["messages"][-1]["content"] for body in calls(asked)]
    assert len(set(shown)) == 40
    assert len(shown) <= 42


def test_one_at_a_time_and_only_with_a_model(tmp_path: Path) -> None:
    with opened(tmp_path / "none", **{"graph.model": ""}) as kb:
        fill(kb, 1)
        with pytest.raises(SettingsError, match="no language model"):
            kb.graph.deepen()
    with open_knowledge_base(
        load(None, {}, {"data.folder": tmp_path / "none"}), embedder=HashEmbedder(), read_only=True
    ) as kb, pytest.raises(InputError):
        kb.graph.deepen()
    with serving(Reading, script()) as url, opened(tmp_path / "two", url) as kb:
        fill(kb, 1)

        def meanwhile(step: Progress) -> None:
            with opened(tmp_path / "two", url) as other, pytest.raises(Conflict):
                other.graph.deepen("default")

        assert kb.graph.deepen("default", progress=meanwhile)[0].read == 1


def test_every_find_is_held_to_the_text() -> None:
    said = "Die Steuerung startet den Timer TON.\nDer Timer  TON wird  von der  SPS gelesen. TONNE."
    kinds = [("den Timer TON", "identifier"), ("TON", "term"), ("sps", "name"), ("Tonnen", "term"), ("der", "term")]
    found = point(said, "de", kinds, [])  # type: ignore[arg-type]
    assert [(said[m.start : m.end], m.kind) for m in found.mentions] == [
        ("Timer TON", "identifier"), ("TON", "term"), ("Timer  TON", "identifier"), ("TON", "term"), ("SPS", "name"),
    ]  # fmt: skip
    assert found.refused == 2
    relations = [
        ("Steuerung", "starten", "Timer TON"), ("SPS", "verkauft", "Timer TON"), ("SPS", "(", "Timer TON"),
        ("SPS", "liest", "Mond"), ("SPS", "ist", "sps"), ("Timer TON", "von der", "SPS"),
    ]  # fmt: skip
    found = point(said, "de", [], relations)
    assert [
        (found.mentions[r.head].norm, r.label, found.mentions[r.tail].norm, said[r.start : r.end].rstrip())
        for r in found.relations
    ] == [
        ("steuerung", "starten", "timer ton", "Die Steuerung startet den Timer TON."),
        ("timer ton", "von der", "sps", "Der Timer  TON wird  von der  SPS gelesen."),
        ("sps", "", "timer ton", "Der Timer  TON wird  von der  SPS gelesen."),
    ]
