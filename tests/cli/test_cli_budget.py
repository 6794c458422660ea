"""Commands about what models cost, and questions that a budget pays for."""

from __future__ import annotations

import io
import sys
from contextlib import closing
from pathlib import Path

import pytest

from command_line import CommandLine, Outcome
from model_servers import OpenAIHandler, Script, serving
from paying import Clock, attempt
from ragstone.budget.ledger import Ledger
from ragstone.budget.limits import day_of
from ragstone.budget.money import pico
from ragstone.cli.records.budgets import BudgetHistoryRecord, BudgetRecord
from ragstone.types import Caller, Usage
from schema_check import mismatches


@pytest.fixture
def spent(environ: dict[str, str]) -> Path:
    """A data folder in which anna of sales spent 3 dollars today and nobody 1."""
    import time

    data = Path(environ["RAGSTONE_DATA"])
    with closing(Ledger(data, now=Clock(time.time()))) as ledger:
        for amount, caller, model in ((3, Caller("k", "anna", "sales"), "large"), (1, Caller(), "small")):
            bound = pico(amount)
            ledger.settle(ledger.reserve(attempt(bound, caller, model)), Usage(bound, 0))
    return data


def test_show_tells_nothing_and_makes_nothing_before_the_first_call(ragstone: CommandLine, environ: dict[str, str]) -> None:
    done = ragstone("budget", "show")
    assert (done.code, done.out) == (0, "")
    assert "budget set month" in done.err
    assert not (Path(environ["RAGSTONE_DATA"]) / "budget.db").exists()


def test_limits_of_the_settings_are_shown(ragstone: CommandLine) -> None:
    done = ragstone("budget", "show", "--json", "--set", 'budget.limits={"month" = 20, "team a day" = 1.5}')
    assert mismatches(done.json, BudgetRecord) == []
    assert [(b["budget"], b["limit"], b["source"]) for b in done.json["budgets"]] == [
        ("month", 20.0, "settings"), ("team a day", 1.5, "settings"),
    ]  # fmt: skip


def test_set_show_and_unset(ragstone: CommandLine, spent: Path) -> None:
    done = ragstone("budget", "set", "team", "sales", "month", "12", "--json")
    assert mismatches(done.json, BudgetRecord) == []
    found = {b["budget"]: b for b in done.json["budgets"]}["team sales month"]
    assert (found["limit"], found["spent"], found["left"], found["source"]) == (12.0, 3.0, 9.0, "set")
    assert "team sales month\t$12.00\t$3.00\t$0.00\t$9.00" in ragstone("budget", "show").out
    ragstone("budget", "set", "team", "sales", "month", "none")
    again = ragstone("budget", "set", "team", "sales", "month", "default")
    assert "team sales month\tnone\t$3.00" in again.out


@pytest.mark.parametrize("words", [("12",), ("sales", "12"), ("month", "much"), ("team", "month", "12"), ("month", "nan")])
def test_what_is_no_limit_is_refused(ragstone: CommandLine, words: tuple[str, ...]) -> None:
    done = ragstone("budget", "set", *words)
    assert done.code == 2
    assert "month" in done.err or "dollars" in done.err


def test_the_history(ragstone: CommandLine, spent: Path) -> None:
    done = ragstone("budget", "history", "--json")
    assert mismatches(done.json, BudgetHistoryRecord) == []
    import time

    assert [(g["group"], g["calls"], g["cost"]) for g in done.json["groups"]] == [(day_of(time.time()), 2, 4.0)]
    models = ragstone("budget", "history", "--by", "model").out.splitlines()
    assert [line.split("\t")[:4] for line in models] == [["p/large", "$3.00", "$0.00", "1"], ["p/small", "$1.00", "$0.00", "1"]]
    assert ragstone("budget", "history", "--person", "anna", "--json").json["groups"][0]["cost"] == 3.0
    assert "No calls" in ragstone("budget", "history", "--team", "nobody").err
    assert ragstone("budget", "history", "--by", "colour").code == 2


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("encoding", "block", "dot"), [("utf-8", "█", "·"), ("ascii", "#", ".")])
def test_charts_on_a_terminal(
    ragstone: CommandLine, spent: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, block: str, dot: str
) -> None:
    ragstone("budget", "set", "month", "8")
    shown = {}
    for command in (("show",), ("history", "--by", "model")):
        out = Terminal(io.BytesIO(), encoding=encoding, write_through=True)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setenv("COLUMNS", "130")
        assert ragstone("budget", *command).code == 0
        shown[command[0]] = out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    month = next(line for line in shown["show"].splitlines() if line.startswith("month"))
    assert block * 12 + dot * 12 in month
    assert "50%" in month
    large, small = shown["history"].splitlines()[2:4]
    assert block * 24 in large
    assert block * 8 + dot * 16 in small


def test_questions_are_paid(ragstone: CommandLine, documents: Path) -> None:
    assert ragstone("add", str(documents)).code == 0
    with serving(OpenAIHandler, Script()) as url:

        def ask(*settings: str) -> Outcome:
            chosen = ("answer.model=openai:small", f"answer.base_url={url}/v1", "budget.person=anna", *settings)
            return ragstone("ask", "Wie oft wird der Luftfilter gewechselt?", "--json", *(f"--set={s}" for s in chosen))

        assert ask().code == 0
        prices = 'budget.prices={"openai/small" = [1, 10]}'
        refused = ask(prices, 'budget.limits={"person anna day" = 0.0001}', "answer.max_tokens=100")
        assert (refused.code, refused.error["code"]) == (8, "BudgetExceeded")
        assert "person anna day" in refused.error["message"]
        paid = ask(prices, 'budget.limits={"person anna day" = 1}', "answer.max_tokens=100")
        assert paid.code == 0
    (group,) = ragstone("budget", "history", "--by", "person", "--json").json["groups"]
    assert (group["group"], group["calls"], group["refused"]) == ("anna", 2, 1)
    assert group["cost"] == pytest.approx((7 * 1 + 6 * 10) / 1e6)
