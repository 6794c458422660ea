"""A model behind the ledger: what is reserved, what is charged, and what each end of a call costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paying import ASK, Biller, Clock
from ragstone.budget.attempts import Standing
from ragstone.budget.budgeted import Budgeted
from ragstone.budget.ledger import Ledger
from ragstone.budget.limits import Budget, parse
from ragstone.budget.money import pico
from ragstone.budget.prices import FREE, Price, flat
from ragstone.budget.spending import Spending
from ragstone.budget.tokens import prompt_bound
from ragstone.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    KeyRefused,
    ModelError,
    ModelUnavailable,
    PriceUnknown,
    PromptTooLong,
    RagstoneError,
    StoreReadOnly,
)
from ragstone.types import Call, Caller, Usage

PRICE = flat(1, 10)
CALL = Call(100)
BOUND = PRICE.bound(prompt_bound(ASK, CALL), 100)
MONTH = Budget("all", "", "month")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path, {MONTH: pico(1)}, now=Clock())
    yield opened
    opened.close()


def paid(llm: Biller, ledger: Ledger, price: Price | None = PRICE) -> Budgeted:
    return Budgeted(llm, lambda: ledger, provider="p", price=lambda: price)


def month(ledger: Ledger) -> Standing:
    return next(s for s in ledger.standings() if s.budget == MONTH)


def recorded(ledger: Ledger) -> dict[str, int]:
    columns = "calls", "refused", "prompt", "cached", "completion", "cost", "uncertain"
    sums = ", ".join(f"ifnull(sum({column}), 0)" for column in columns)
    row = ledger.rows(f"SELECT {sums} FROM usage")[0]  # noqa: S608
    return dict(zip(columns, row, strict=True))


def test_a_call_costs_what_the_provider_reports(ledger: Ledger) -> None:
    held = []
    for _ in paid(Biller(Usage(30, 7, cached_tokens=10)), ledger).stream(ASK, CALL):
        held.append(month(ledger).held)
    cost = PRICE.cost(Usage(30, 7, cached_tokens=10))
    assert held == [BOUND, BOUND, 0]
    assert (month(ledger).spent, month(ledger).held) == (cost, 0)
    assert recorded(ledger) == {
        "calls": 1, "refused": 0, "prompt": 30, "cached": 10, "completion": 7, "cost": cost, "uncertain": 0,
    }  # fmt: skip


def test_a_call_that_could_cost_more_than_is_left_is_not_made(ledger: Ledger) -> None:
    llm = Biller()
    ledger.set_limit(MONTH, BOUND - 1)
    with pytest.raises(BudgetExceeded, match="`month`") as caught:
        list(paid(llm, ledger).stream(ASK, CALL))
    assert llm.calls == 0
    assert caught.value.renews is not None
    assert caught.value.renews > time.mktime((2026, 9, 30, 0, 0, 0, 0, 0, 0))
    assert "2026-10-01" in caught.value.hint
    assert recorded(ledger)["refused"] == 1
    ledger.set_limit(MONTH, BOUND)
    assert list(paid(llm, ledger).stream(ASK, CALL))


@pytest.mark.parametrize(
    ("error", "fails", "charged"),
    [
        (KeyRefused("no"), 0, False),
        (PromptTooLong("no"), 0, False),
        (ModelUnavailable("cut"), 0, True),
        (ModelUnavailable("cut"), 1, True),
        (ModelError("garbage"), 0, True),
        (DeadlineExceeded("late"), 0, True),
        (KeyRefused("no"), 1, True),  # it had begun
    ],
)
def test_what_an_error_costs(ledger: Ledger, error: RagstoneError, fails: int, charged: bool) -> None:
    with pytest.raises(type(error)):
        list(paid(Biller(error=error, fails=fails), ledger).stream(ASK, CALL))
    expected = BOUND if charged else 0
    assert (month(ledger).spent, month(ledger).held) == (expected, 0)
    assert (recorded(ledger)["cost"], recorded(ledger)["uncertain"]) == (expected, expected)


def test_a_provider_that_was_not_reached_costs_nothing(ledger: Ledger) -> None:
    from ragstone.llm.openai import OpenAIChat

    llm = Budgeted(OpenAIChat("http://127.0.0.1:9/v1", "m"), lambda: ledger, provider="p", price=lambda: PRICE)
    with pytest.raises(ModelUnavailable):
        list(llm.stream(ASK, CALL))
    assert (month(ledger).spent, month(ledger).held) == (0, 0)


def test_a_closed_stream_is_charged_at_its_bound(ledger: Ledger) -> None:
    stream = paid(Biller(), ledger).stream(ASK, CALL)
    assert next(stream).text
    stream.close()  # type: ignore[attr-defined]
    assert (month(ledger).spent, month(ledger).held) == (BOUND, 0)
    assert recorded(ledger)["uncertain"] == BOUND


def test_usage_that_is_only_estimated_is_charged_at_its_bound(ledger: Ledger) -> None:
    list(paid(Biller(Usage(3, 2, estimated=True)), ledger).stream(ASK, CALL))
    assert month(ledger).spent == BOUND
    assert (recorded(ledger)["prompt"], recorded(ledger)["completion"]) == (3, 2)


def test_a_deadline_that_has_passed_costs_nothing(ledger: Ledger) -> None:
    llm = Biller()
    with pytest.raises(DeadlineExceeded):
        list(paid(llm, ledger).stream(ASK, Call(100, deadline=time.monotonic() - 1)))
    assert (llm.calls, month(ledger).spent) == (0, 0)


def test_what_is_free_is_counted_and_never_refused(ledger: Ledger) -> None:
    ledger.set_limit(MONTH, 0)
    list(paid(Biller(), ledger, FREE).stream(ASK, CALL))
    assert recorded(ledger)["calls"] == 1
    assert recorded(ledger)["completion"] == 5


def test_an_unknown_price_is_refused_where_a_budget_limits(ledger: Ledger) -> None:
    with pytest.raises(PriceUnknown) as caught:
        list(paid(Biller(), ledger, None).stream(ASK, CALL))
    assert '"p/m"' in caught.value.hint
    ledger.set_limit(MONTH, None)
    list(paid(Biller(), ledger, None).stream(ASK, CALL))
    assert (recorded(ledger)["calls"], recorded(ledger)["cost"]) == (1, 0)


def test_who_pays(ledger: Ledger) -> None:
    llm = Budgeted(Biller(), lambda: ledger, provider="p", price=lambda: PRICE, caller=Caller(person="anna"))
    list(llm.stream(ASK, CALL))
    list(llm.stream(ASK, Call(100, caller=Caller("k1", "ben", "sales"))))
    cost = PRICE.cost(Usage(10, 5))
    spent = {str(s.budget): s.spent for s in ledger.standings()}
    assert spent == {
        "day": 2 * cost, "month": 2 * cost, "person anna day": cost, "person anna month": cost,
        "person ben day": cost, "person ben month": cost, "team sales day": cost, "team sales month": cost,
        "key k1 day": cost, "key k1 month": cost,
    }  # fmt: skip


def test_the_settings_decide_what_is_paid(tmp_path: Path) -> None:
    spending = Spending(tmp_path, limits={"month": 1}, prices={"dear": (5, 5)})
    list(spending.budgeted(Biller(), provider="ollama", model="small").stream(ASK, CALL))
    list(spending.budgeted(Biller(), provider="vllm", model="m", url="http://127.0.0.1:8000/v1").stream(ASK, CALL))
    assert month(spending.required()).spent == 0
    list(spending.budgeted(Biller(), provider="ollama", model="dear").stream(ASK, CALL))
    list(spending.budgeted(Biller(), provider="x", model="gpt-4o-mini", url="https://api.openai.com/v1").stream(ASK, CALL))
    assert month(spending.required()).spent > flat(5, 5).cost(Usage(10, 5))
    with pytest.raises(PriceUnknown):
        list(spending.budgeted(Biller(), provider="x", model="x", url="https://models.example.com/v1").stream(ASK, CALL))
    spending.close()


def test_where_nothing_can_be_written_only_what_nothing_limits_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.mkdir()
    (file / "budget").write_text("in the way")  # a folder that cannot be made, for root as well

    def asked(limits: dict[str, float]) -> int:
        spending = Spending(file, limits=limits, prices={})
        llm = Biller()
        list(spending.budgeted(llm, provider="p").stream(ASK, CALL))
        return llm.calls

    with pytest.raises(RagstoneError):
        asked({"month": 1})
    (file / "budget").unlink()
    assert asked({"month": 1}) == 1


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreReadOnly("cannot be written")

    monkeypatch.setattr("ragstone.budget.spending.Ledger", refuse)
    free = Spending(tmp_path, limits={}, prices={})
    assert list(free.budgeted(Biller(), provider="p").stream(ASK, CALL))
    with pytest.raises(StoreReadOnly):
        list(Spending(tmp_path, limits={"month": 1}, prices={}).budgeted(Biller(), provider="p").stream(ASK, CALL))
    assert parse("month") == MONTH
