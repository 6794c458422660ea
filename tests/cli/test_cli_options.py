"""Shared options, help, usage errors, completion: what needs no documents."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import CommandLine
from ragstone import __version__, errors
from ragstone.cli import app
from ragstone.cli.app import COMMANDS, run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(ragstone: CommandLine, name: str) -> None:
    outcome = ragstone(name, "--help")
    assert outcome.code == 0
    assert f"ragstone {name}" in outcome.out
    assert outcome.err == ""


def test_root_help_names_every_command(ragstone: CommandLine) -> None:
    outcome = ragstone("--help")
    assert outcome.code == 0
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in outcome.out
        assert line.split(";")[0][:20] in outcome.out


def test_version(ragstone: CommandLine) -> None:
    assert ragstone("--version").out.strip() == f"ragstone {__version__}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--json", "--data", "X", "config", "show"),
        ("config", "--data", "X", "show", "--json"),
        ("config", "--json", "show", "--data", "X"),
        ("config", "show", "--json", "--data", "X"),
        ("--data", "wrong", "--json", "config", "show", "--data", "X"),
    ],
)
def test_shared_options_before_and_after(ragstone: CommandLine, arguments: tuple[str, ...]) -> None:
    values = {s["key"]: s for s in ragstone(*arguments).json["settings"]}
    assert Path(values["data.folder"]["value"]).name == "X"
    assert values["data.folder"]["origin"] == "flag"


def test_set_overrides_and_later_wins(ragstone: CommandLine) -> None:
    late = ("--set", "search.k=4", "--set", "log.level=error", "--json")
    outcome = ragstone("--set", "search.k=3", "config", "show", *late)
    values = {s["key"]: s["value"] for s in outcome.json["settings"]}
    assert (values["search.k"], values["log.level"]) == (4, "error")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serach", "x"), "Did you mean search?"),
        (("search", "x", "--jsno"), "--jsno"),
        (("search",), "give a question"),
        (("add",), "PATH"),
        (("show", "x", "--page", "0"), "--page"),
        (("config", "show", "--set", "nonsense"), "KEY=VALUE"),
        (("config", "show", "--set", "search.kk=1"), "search.kk"),
        (("ask", "x", "--meta", "nonsense"), "KEY=VALUE"),
        (("ask", "x", "--after", "soon"), "is not a date"),
        (("remove",), "--all"),
        (("remove", "--all"), "--collection"),
        (("add", "-"), "--uri"),
        (("sync", "-c", "a", "-c", "b"), "one collection"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(ragstone: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    outcome = ragstone(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert said.lower() in outcome.err.lower()
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    as_json = ragstone(*arguments, "--json")
    assert as_json.code == as_json.error["exit_code"] == 2
    assert as_json.out == ""


def test_bare_command_shows_help(ragstone: CommandLine) -> None:
    outcome = ragstone()
    assert outcome.code == 2
    assert "Start here" in outcome.out


def test_missing_settings_file(ragstone: CommandLine) -> None:
    outcome = ragstone("config", "show", "--config", "nowhere.toml")
    assert outcome.code == errors.NotFound.exit_code
    assert "nowhere.toml" in outcome.err
    Path("wrong.toml").write_text("[search]\nk = 'many'\n", encoding="utf-8")
    wrong = ragstone("config", "show", "--config", "wrong.toml").err
    assert wrong.startswith("error: wrong.toml: search.k must be a whole number")


def test_config_init_writes_a_file_that_changes_nothing(ragstone: CommandLine) -> None:
    before = ragstone("config", "show").out
    assert ragstone("config", "init", "ragstone.toml").code == 0
    assert ragstone("config", "path").out.strip().endswith("ragstone.toml")
    assert ragstone("config", "show").out == before
    again = ragstone("config", "init", "ragstone.toml")
    assert again.code == 2
    assert "exists" in again.err


def test_config_init_is_valid_when_uncommented(ragstone: CommandLine) -> None:
    ragstone("config", "init", "ragstone.toml")
    file = Path("ragstone.toml")
    lines = file.read_text(encoding="utf-8").splitlines()
    bare = [line.removeprefix("# ") if " = " in line and not line.endswith('""') else line for line in lines]
    file.write_text("\n".join(bare), encoding="utf-8")
    assert ragstone("config", "show").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts(ragstone: CommandLine, shell: str) -> None:
    outcome = ragstone("completion", shell)
    assert outcome.code == 0
    assert "_RAGSTONE_COMPLETE" in outcome.out


def test_shell_gets_completions() -> None:
    environ = {"_RAGSTONE_COMPLETE": "complete_bash", "COMP_WORDS": "ragstone s", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "ragstone"],
        env={**environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == {"search", "serve", "show", "spaces", "sync", "status", "stress"}


@pytest.mark.parametrize("kind", [errors.NotFound, errors.DiskFull, errors.StoreNewer, errors.ModelMismatch])
def test_errors_keep_their_exit_codes(
    ragstone: CommandLine, monkeypatch: pytest.MonkeyPatch, kind: type[errors.RagstoneError]
) -> None:
    def fails(*_: object) -> None:
        raise kind("This went\nwrong.", "Do that.")

    monkeypatch.setattr("ragstone.cli.configuration.find_file", fails)
    outcome = ragstone("config", "path")
    assert outcome.code == kind.exit_code
    assert outcome.err == "error: This went wrong. Do that.\n"
    assert ragstone("config", "path", "--json").error == {
        "code": kind.__name__,
        "message": "This went\nwrong.",
        "hint": "Do that.",
        "exit_code": kind.exit_code,
    }


def test_defects_are_one_line_unless_debugging(ragstone: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("ragstone.cli.configuration.find_file", fails)
    outcome = ragstone("config", "path")
    assert outcome.code == 1
    assert "ZeroDivisionError: oops" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in ragstone("config", "path", "--set", "log.level=debug").err


def test_interrupt_is_one_line_and_130(ragstone: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ragstone.cli.configuration.find_file", interrupted)
    outcome = ragstone("config", "path")
    assert outcome.code == app.INTERRUPTED == 130
    assert outcome.err == "error: Interrupted. Nothing was changed.\n"


def test_usage_is_said_in_whole_sentences(ragstone: CommandLine) -> None:
    outcome = ragstone("search", "x", "--mode", "fuzzy")
    assert outcome.err.startswith("error: Invalid value for '--mode': 'fuzzy' is not one of 'hybrid', ")
    assert "'global'. `ragstone search --help`" in outcome.err
    outcome = ragstone("add", "-rf.txt")
    assert outcome.err.startswith("error: No such option: -r. `ragstone add --help` explains. ")
    assert outcome.err.endswith("If it is a name, write -- before it.\n")


def test_a_pipe_that_breaks_within_a_command_is_141() -> None:
    """`show | head -1` is no failure of `show`, and the parser would make code 1 of it."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-u", "-m", "ragstone", "config", "show"]
    environ = {"PYTHONPATH": ":".join(sys.path), "HOME": "/nonexistent"}
    done = subprocess.run(command, env=environ, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (app.BROKEN_PIPE, "")


def test_broken_pipe_is_quiet() -> None:
    script = f"'{sys.executable}' -m ragstone config show --set search.k=3; echo \"code $?\" >&2"
    done = subprocess.run(
        ["bash", "-c", f"({script}) | true"],
        env={"PYTHONPATH": ":".join(sys.path), "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr in ("code 141\n", "code 0\n")


def test_run_needs_no_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--json"], {}) == 0
    assert capsys.readouterr().err == ""
