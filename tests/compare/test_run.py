"""The runner: same prompts for all, failures count, what is interrupted goes on with what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compared import LIMITS, QUESTIONS, Scripted, cases_of, contestant, lines, plan_of
from ragstone.compare import journal
from ragstone.compare.run import measure, windows
from ragstone.compare.usage import children, listening, parse_gpu, use
from ragstone.errors import DamagedFile, InputError, ModelUnavailable
from ragstone.knowledge_base import KnowledgeBase


def test_every_model_gets_the_same_messages_in_the_same_rounds(kb: KnowledgeBase, tmp_path: Path) -> None:
    one, two = Scripted("Every 4,000 hours."), Scripted("I do not know.")
    cases = cases_of(kb)
    measure(tmp_path, [contestant("one", one), contestant("two", two)], cases, kb.embedder(), LIMITS)
    assert one.asked == two.asked
    assert len(one.asked) == 2 * (1 + len(cases))  # a warm-up in each round
    answers = [r for r in lines(tmp_path) if r["kind"] == "answer"]
    assert {(r["model"], r["round"], r["question"]) for r in answers} == {
        (m, n, q.id) for m in ("one", "two") for n in (1, 2) for q in QUESTIONS
    }
    orders = [[r["question"] for r in answers if r["model"] == "one" and r["round"] == n] for n in (1, 2)]
    assert orders[0] != orders[1]
    assert all(r["tokens"] and r["seconds"] >= r["first_token_seconds"] for r in answers)


def test_a_follow_up_carries_its_conversation(kb: KnowledgeBase) -> None:
    follow_up = cases_of(kb)[2]
    assert [m.role for m in follow_up.messages] == ["system", "user", "assistant", "user"]
    assert follow_up.messages[2].content == "Every 4,000 hours."


def test_a_failure_counts_and_the_rest_goes_on(kb: KnowledgeBase, tmp_path: Path) -> None:
    failing = Scripted("Ten drops.", fails_on="How many drops")
    measure(tmp_path, [contestant("failing", failing)], cases_of(kb), kb.embedder(), LIMITS)
    failed = [r for r in lines(tmp_path) if r["kind"] == "answer" and r["error"]]
    assert [r["question"] for r in failed] == ["seal", "seal"]
    assert all(r["scores"] == {"quality": 0.0} and r["error"]["code"] == "ModelUnavailable" for r in failed)


def test_a_model_that_does_not_load_in_a_round_fails_on_all_of_it(kb: KnowledgeBase, tmp_path: Path) -> None:
    measure(tmp_path, [contestant("gone", Scripted("", fails_on="Reply"))], cases_of(kb), kb.embedder(), LIMITS)
    answers = [r for r in lines(tmp_path) if r["kind"] == "answer"]
    assert len(answers) == 8
    assert all(r["error"] for r in answers)


def test_what_was_interrupted_goes_on_with_what_is_missing(kb: KnowledgeBase, tmp_path: Path) -> None:
    stopping, cases = Scripted("Ten.", stops_on="How many drops"), cases_of(kb)
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, [contestant("m", stopping)], cases, kb.embedder(), LIMITS)
    kept = [r for r in lines(tmp_path) if r["kind"] == "answer"]
    with (tmp_path / journal.RUNS).open("ab") as file:
        file.write(b'{"kind": "answer", "mod')  # as a kill leaves it
    going_on = Scripted("Ten.")
    measure(tmp_path, [contestant("m", going_on)], cases, kb.embedder(), LIMITS)
    answers = [r for r in lines(tmp_path) if r["kind"] == "answer"]
    assert answers[: len(kept)] == kept
    assert len(answers) == 8
    assert len({(r["round"], r["question"]) for r in answers}) == 8
    measure(tmp_path, [contestant("m", Scripted("", fails_on="e"))], cases, kb.embedder(), LIMITS)
    assert len([r for r in lines(tmp_path) if r["kind"] == "answer"]) == 8


def test_another_comparison_is_not_mixed_in(kb: KnowledgeBase, tmp_path: Path) -> None:
    cases = cases_of(kb)
    assert not journal.begin(tmp_path / "c", plan_of(cases, ["m"]))
    assert journal.begin(tmp_path / "c", plan_of(cases, ["m"]))
    with pytest.raises(InputError, match="models differ"):
        journal.begin(tmp_path / "c", plan_of(cases, ["other"]))


def test_a_damaged_journal_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text('{"a": 1}\nnonsense\n{"b": 2}\n')
    with pytest.raises(DamagedFile, match="line 2"):
        journal.Journal(tmp_path / "runs.jsonl").read()


def test_a_model_that_is_not_there_is_found_before_anything_is_measured() -> None:
    with pytest.raises(ModelUnavailable, match="gone: It went away"):
        windows([contestant("extractive", None), contestant("gone", Scripted("", fails_on="Reply"))])
    assert windows([contestant("extractive", None), contestant("m", Scripted("x"))]) == {"extractive": 0, "m": 4096}


def test_gold_that_no_document_has_is_refused(kb: KnowledgeBase) -> None:
    from dataclasses import replace

    from ragstone.compare.cases import prepare
    from ragstone.compare.questions import Gold

    for gold, what in ((Gold("pump.txt", "The oil is blue."), "does not contain"), (Gold("no.txt", "x"), "no document")):
        with pytest.raises(InputError, match=what):
            prepare(kb, [replace(QUESTIONS[0], gold=(gold,))], passages=1, context=4096, max_tokens=8)


def test_what_a_process_takes() -> None:
    mine = use([os.getpid()])
    assert mine is not None
    assert mine.memory > 1 << 20
    assert mine.cpu > 0
    assert use([]) is None
    assert os.getpid() not in children()


def test_the_server_of_a_loopback_address_is_found() -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert os.getpid() in listening(f"http://127.0.0.1:{server.getsockname()[1]}/v1")
    assert listening("http://models.example/v1") == set()


def test_rows_of_a_gpu_are_read() -> None:
    assert parse_gpu("12, 500\n13, 20\n14, [N/A]\n\n", {12, 14}) == 500 << 20
