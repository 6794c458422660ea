"""`ragstone chat` through a pipe: sessions, commands, memory, and what is kept when documents go."""

from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_line import CommandLine, Outcome, write_documents
from ragstone.cli.app import run
from ragstone.cli.chat.asking import about_earlier
from ragstone.cli.chat.rendering import complete_blocks
from ragstone.cli.chat.showing import surroundings

QUESTION = "How often is the boiler descaled?"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two documents, to be copied."""
    folder = tmp_path_factory.mktemp("chat")
    assert run(["add", str(write_documents(folder / "documents")), "--data", str(folder / "data")], {}) == 0
    return folder / "data"


@pytest.fixture
def chat(ragstone: CommandLine, data: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """`chat("a line", "another", "--json")`: lines through the pipe, options behind them."""
    shutil.copytree(data, environ["RAGSTONE_DATA"])

    def call(*lines: str, session: str = "s") -> Outcome:
        options = [line for line in lines if line.startswith("--")]
        asked = "\n".join(line for line in lines if not line.startswith("--"))
        monkeypatch.setattr("sys.stdin", io.StringIO(asked + "\n"))
        return ragstone("chat", *([] if {"--resume"} & set(options) else ["--session", session]), *options)

    return call


def test_a_question_on_each_line(chat, ragstone: CommandLine) -> None:
    done = chat(QUESTION, "Wann wird der Luftfilter gewechselt?", "/open 1", "/why")
    assert done.code == 0, done.err
    assert "The boiler is descaled every March. [1]" in done.out
    assert "alle sechs Monate gewechselt. [1]" in done.out
    assert "»Der Luftfilter wird alle sechs Monate gewechselt.«" in done.out
    assert "filter.md:5 (characters" in done.out
    assert "meaning" in done.out
    assert "\x1b" not in done.out + done.err
    listed = ragstone("chat", "--list", "--json").json["sessions"]
    assert [(one["name"], one["questions"], one["first"]) for one in listed] == [("s", 2, QUESTION)]


def test_the_first_error_is_the_exit_code_and_the_rest_is_asked(chat) -> None:
    done = chat("/nosuch", "???", "/open 7", QUESTION)
    assert done.code == 2
    assert done.err.count("error:") == 3
    assert "every March" in done.out
    assert chat("/sessions nowhere").code == 3
    assert chat("/quit", "/nosuch").code == 0


def test_json_has_a_line_for_each(chat) -> None:
    done = chat(QUESTION, "/sessions", "--json")
    answer, command = map(json.loads, done.out.splitlines())
    assert answer["state"] == "answered"
    assert answer["citations"][0]["uri"].endswith("boiler.txt")
    assert command["command"] == "/sessions"
    assert len(command["lines"]) == 1


def test_a_session_goes_on(chat) -> None:
    chat(QUESTION)
    chat("What is the safety valve's pressure?", session="other")
    assert "every March" in chat("/retry").out
    assert chat("/retry", "--resume").out.count("every March") == 1
    gone = chat("/new third", "/retry")
    assert gone.code == 3
    assert "error: there is a session" in chat("/new other").err


def test_a_removed_passage_takes_its_answers_along(chat, ragstone: CommandLine, environ) -> None:
    chat(QUESTION)
    assert ragstone("remove", "**/boiler.txt", "--purge").code == 0
    assert chat("/export kept.md").code == 0
    assert "(withdrawn)" in Path("kept.md").read_text(encoding="utf-8")
    assert "every March" not in Path("kept.md").read_text(encoding="utf-8")
    for path in Path(environ["RAGSTONE_DATA"]).rglob("*"):
        assert not path.is_file() or b"descaled every March" not in path.read_bytes(), path


def test_forgetting_a_session_forgets_what_was_said(chat, ragstone: CommandLine, environ) -> None:
    chat("When is the Grimsby boiler descaled?")
    assert "Grimsby" in ragstone("timeline").out  # remembered as an episode
    done = chat("/forget session", "/sessions")
    assert "Forgot the session s with 1 question." in done.out
    assert "No session is stored yet." in done.out
    assert "Grimsby" not in ragstone("timeline").out
    assert ragstone("purge").code == 0
    for path in Path(environ["RAGSTONE_DATA"]).rglob("*"):
        assert not path.is_file() or b"Grimsby" not in path.read_bytes(), path


def test_memory_answers_when_it_is_asked(chat) -> None:
    chat("/remember We decided to buy the blue pump", "/remember pressure limit = 7 bar")
    done = chat("What did we decide about the pump?", "/open 1", "/recall pressure limit", "/timeline", session="later")
    assert done.code == 0, done.err
    assert "We decided to buy the blue pump [1]" in done.out
    assert "[1] memory: fact," in done.out
    assert "»We decided to buy the blue pump«" in done.out
    assert "7 bar [1]" in done.out
    item = done.out.splitlines()[-1].split("\t")[2]
    assert "Forgot 1 item." in chat(f"/forget {item}").out
    assert "memory holds nothing about it" in chat("Did we talk about descaling the boiler in Paris?").out


def test_a_time_chooses_what_is_told(chat, ragstone: CommandLine) -> None:
    week_ago = (datetime.now(UTC) - timedelta(days=7)).date().isoformat()
    assert ragstone("remember", "We decided to move to Leipzig", "--type", "decision", "--at", week_ago).code == 0
    done = chat("/remember We decided to buy a pump", "Was haben wir letzte Woche beschlossen?", "What did we decide today?")
    german, english = done.out.split("Daran erinnere ich mich:")[1].split("This is what I remember:")
    assert "Leipzig" in german
    assert "pump" not in german
    assert "pump" in english
    assert "Leipzig" not in english


def test_another_model_answers(chat) -> None:
    done = chat("/model auto", "/model extractive", "/model nonsense", "/model", QUESTION, "/collection", "/collection no")
    assert done.code == 2
    assert "answer.model = 'nonsense'" in done.err
    assert "there is no collection 'no'" in done.err
    assert done.out.count("Answers: extractive") == 2
    assert "Asked: default (all)" in done.out
    assert "every March. [1]" in done.out


def test_export_overwrites_nothing(chat) -> None:
    chat(QUESTION, "/export out.md")
    text = Path("out.md").read_text(encoding="utf-8")
    assert text.startswith(f"# s\n\n## {QUESTION}")
    assert "- [1] boiler" in text
    assert Path("out.md").stat().st_mode & 0o777 == 0o600
    assert chat("/export out.md").code == 2


def test_what_stands_around_a_citation() -> None:
    text = "First paragraph.\n\nSecond one. " + "word " * 200 + "HERE" + " word" * 200
    at = text.index("HERE")
    before, cited, after = surroundings(text, at, at + 4)
    assert cited == "HERE"
    assert before.startswith("… word")
    assert after.endswith("word …")
    assert surroundings("a\n\nb c d\n\ne", 5, 6) == ("a\n\nb ", "c", " d\n\ne")


def test_blocks_that_are_complete() -> None:
    text = "One.\n\n- a\n- b\n\nTwo"
    assert text[: complete_blocks(text)].strip() == "One.\n\n- a\n- b"
    assert complete_blocks("```\ncode\n\nmore") == 0
    assert complete_blocks("") == 0


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What did we decide last week?", True),
        ("Was haben wir letzte Woche beschlossen?", True),
        ("Worauf haben wir uns geeinigt?", True),
        ("Erinnerst du dich an die Pumpe?", True),
        ("do you remember the pump?", True),
        ("Was hat der Vorstand beschlossen?", False),
        ("When was the tower built?", False),
        ("Was haben Pumpen gemeinsam?", False),
    ],
)
def test_questions_about_what_was_said(question: str, expected: bool) -> None:
    assert about_earlier(question) is expected
