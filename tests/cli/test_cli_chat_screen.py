"""`ragstone chat` in a real terminal: keys in, the picture out."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import write_documents
from fault_proxy import FaultProxy
from model_servers import OpenAIHandler, Script, serving
from ragstone.cli.app import run
from terminal import in_terminal

SAID = "The boiler is **descaled** every March.\n\nIts safety valve opens at 3.2 bar.\n\n" * 400
QUESTION = "When is the boiler descaled?"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    assert run(["add", str(write_documents(folder / "documents")), "--data", str(folder / "data")], {}) == 0
    return folder / "data"


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def environ(data: Path, tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "RAGSTONE_DATA": str(data)}


@pytest.fixture
def model() -> Iterator[tuple[FaultProxy, Script, list[str]]]:
    """A model that writes slowly and long, behind a proxy that can break; what it writes, and the options that use it."""
    script = Script(words=tuple(re.findall(r"\S+\s*", SAID)), pause=0.03)
    with serving(OpenAIHandler, script) as url:
        proxy = FaultProxy(url)
        try:
            yield proxy, script, ["--model", "openai:slow", "--set", f"answer.base_url={proxy.url}/v1"]
        finally:
            proxy.close()


def stored(data: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str = "s") -> str:
    """The session as `/export` writes it."""
    import io

    target = data.parent / f"{os.urandom(4).hex()}.md"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"/export {target}\n"))
    assert run(["chat", "--session", name, "--data", str(data)], {}) == 0
    capfd.readouterr()
    return target.read_text(encoding="utf-8")


def test_a_model_that_writes_while_somebody_types_and_is_stopped(data, environ, model, capfd, monkeypatch) -> None:
    _, _, options = model
    with in_terminal(["chat", "--session", "s", *options], environ, columns=60) as terminal:
        terminal.until("/help shows what there is.")
        terminal.keys(f"{QUESTION}\r")
        terminal.until("Its safety valve opens at 3.2 bar. [2]")  # the first block stands, more comes
        assert "**" not in terminal.text  # markdown is rendered
        terminal.keys("typed meanwhile")
        terminal.until("meanwhile")
        terminal.resize(40, 20)
        terminal.keys("\x03")
        terminal.until("(stopped)")
        terminal.until("meanwhile")  # is still there
        terminal.keys("\x03")
        terminal.until("Ctrl-C again")
        terminal.keys("\x03/open 2\r")
        terminal.until("boiler.txt")
        terminal.until("(characters")
        terminal.keys("\x1b[A\x1b[A")  # Up: the command, and what was cleared before
        terminal.until("typed meanwhile")
        terminal.keys("\x03\x03\x03")
        terminal.until("Ctrl-D")
        assert terminal.ended("\x04") == 0
    session = stored(data, capfd, monkeypatch)
    assert "every March. [1]" in session.replace("**", "")
    assert "*(stopped)*" in session


@pytest.mark.parametrize("moment", ["with its question", "before its words", "in the middle", "late"])
def test_what_is_typed_while_an_answer_comes_and_is_stopped_is_kept(
    data, environ, model, capfd, monkeypatch, moment
) -> None:
    """Keys go on without a pause, whatever is printed; among them Ctrl-F, which moves nothing at the end of a line, and
    which a kernel would echo."""
    _, script, options = model
    script.pause = 0.002
    typed: list[str] = []
    with in_terminal(["chat", "--session", "s", *options], environ) as terminal:
        terminal.until("/help shows")
        for line in ("Which team won the ice hockey world cup", "Which enzyme splits the lactose in milk today"):
            terminal.keys(f"{QUESTION}\r" + "\x03" * (moment == "with its question"))
            if moment not in ("with its question", "before its words"):
                terminal.until("3.2 bar. [2]")
            words = [f"{word} " for word in (line.split() * 16)[:122]]
            for n, word in enumerate(words):
                if n == {"before its words": 0, "in the middle": 20, "late": 121}.get(moment):
                    terminal.keys("\x03")
                for key in f"{word}\x06":
                    terminal.keys(key)
                terminal.read()
            terminal.until("(stopped)")
            terminal.keys("\r")
            whole = "".join(words).strip()
            typed += [f"## {QUESTION}", f"## {whole[:200]}", f"> {whole}"]
            terminal.until("The documents say nothing about this.")
        assert not terminal.given_back
        assert "^" not in terminal.text
        assert terminal.ended("\x04") == 0
    session = stored(data, capfd, monkeypatch)
    assert [line for line in session.splitlines() if line.startswith(("## ", "> "))] == typed


def test_the_last_question_is_put_back_and_changed(data, environ, capfd, monkeypatch) -> None:
    with in_terminal(["chat", "--session", "s"], environ) as terminal:
        terminal.until("/help shows")
        terminal.keys("When is the boilr descaled?\r")
        terminal.until("[1] boiler.txt")
        terminal.keys("/edit\r")
        terminal.until("descaled?")  # it stands in the input
        terminal.keys("\x7f" * len("r descaled?") + "er descaled in a year?\r")
        terminal.until("> When is the boiler descaled in a year?")
        terminal.until("every March")
        assert terminal.ended("\x04") == 0
    session = stored(data, capfd, monkeypatch)
    assert [line for line in session.splitlines() if line.startswith("## ")] == [
        "## When is the boilr descaled?", "## When is the boiler descaled in a year?",
    ]  # fmt: skip


def test_a_line_that_was_begun_is_not_replaced_by_the_last_question(data, environ) -> None:
    with in_terminal(["chat", "--session", "s"], environ) as terminal:
        terminal.until("/help shows")
        terminal.keys("When is the boiler descaled?\r")
        terminal.until("[1] boiler.txt")
        terminal.keys("/edit\rAnd the")
        terminal.until("/edit wants an empty line")
        terminal.keys(" pump?\r")
        terminal.until("> And the pump?")
        assert terminal.ended("\x04") == 0


def test_the_network_of_the_provider_is_cut(data, environ, model, capfd, monkeypatch) -> None:
    proxy, _, options = model
    proxy.at, proxy.fault = 3000, "cut"
    with in_terminal(["chat", "--session", "s", *options], environ) as terminal:
        terminal.until("/help shows")
        terminal.keys(f"{QUESTION}\r")
        terminal.until("(the model broke off")
        terminal.until("The boiler is descaled every March. [1]")  # from the documents instead
        terminal.until("Note: the model failed")
        proxy.at, proxy.fault = 2000, "stall-late"  # and one that falls silent
        asked = proxy.connections
        terminal.keys("And the safety valve?\r")
        terminal.until("> And the safety valve?")
        while proxy.connections == asked:
            time.sleep(0.01)
        terminal.keys("\x03")
        terminal.until("(stopped)")
        assert terminal.ended("\x04") == 0
    session = stored(data, capfd, monkeypatch)
    assert session.count("## ") == 2


def test_five_hundred_lines_are_pasted(data, environ, capfd, monkeypatch) -> None:
    with in_terminal(["chat", "--session", "s"], {**environ, "NO_COLOR": "1"}, columns=40) as terminal:
        terminal.until("/help shows")
        terminal.paste("\n".join(f"boiler {n}" for n in range(500)))
        terminal.keys("\r")
        terminal.until("… 488 lines more")
        terminal.until("The documents say nothing about this.")
        terminal.paste("\n".join(f"a line that is too long to search for {n}" for n in range(500)))
        terminal.keys("\r")
        terminal.until("is longer than")
        terminal.until("499")  # it is back where it was typed
        terminal.keys("\x03first\x1b\rsecond\r")
        terminal.until("> first")
        terminal.until("second")
        terminal.keys("\x12")  # Ctrl-R
        terminal.until("I-search")
        terminal.keys("boiler 4")
        terminal.keys("\x07")
        assert terminal.ended("\x04") == 0
        assert not re.search(r"\x1b\[[0-9;]*(3[1-7]|4[1-7])m", terminal.raw)  # no colour
    session = stored(data, capfd, monkeypatch)
    assert "> boiler 0\n" in session
    assert "> boiler 499" in session
    assert "for 499" in session


def test_killed_in_the_middle_nothing_that_was_asked_is_lost(data, environ, model, capfd, monkeypatch) -> None:
    _, _, options = model
    with in_terminal(["chat", "--session", "s", *options], environ) as terminal:
        terminal.until("/help shows")
        terminal.keys("/remember Anna owns the boiler\r")
        terminal.until("Remembered: Anna")
        terminal.keys(f"{QUESTION}\r")
        terminal.until("Its safety valve")
        terminal.kill()
    with in_terminal(["chat", "--resume"], environ) as terminal:
        terminal.until("Session s, 1 question")
        terminal.until("no answer was stored")
        terminal.keys("/retry\r")
        terminal.until("[1] boiler.txt")
        terminal.keys("/quit\r")
        assert terminal.ended() == 0
    assert stored(data, capfd, monkeypatch).count("## ") == 2
    assert run(["timeline", "--data", str(data)], {}) == 0
    assert "Anna owns the boiler" in capfd.readouterr().out
