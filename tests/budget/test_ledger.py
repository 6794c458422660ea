"""The ledger over threads, processes, kills, power cuts, clocks and limits that change."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from paying import CENT, DAY, NOON, Clock, attempt
from ragstone.budget import file as budget_file
from ragstone.budget import lease
from ragstone.budget.alerts import Alert, Webhook
from ragstone.budget.attempts import Standing
from ragstone.budget.history import By, check, history
from ragstone.budget.ledger import Ledger
from ragstone.budget.limits import Budget, parse
from ragstone.errors import BudgetExceeded, RagstoneError, StoreDamaged, StoreError
from ragstone.stress.disk import Disk
from ragstone.types import Caller, Usage

MONTH = parse("month")
Opener = Callable[..., Ledger]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    ledgers: list[Ledger] = []

    def make(limits: dict[str, int] | None = None, **options: object) -> Ledger:
        parsed = {parse(text): amount for text, amount in (limits or {}).items()}
        ledgers.append(Ledger(tmp_path, parsed, **{"now": Clock(), **options}))  # type: ignore[arg-type]
        return ledgers[-1]

    yield make
    for ledger in ledgers:
        with suppress(RagstoneError):
            ledger.close()


def standing(ledger: Ledger, text: str = "month") -> Standing:
    return next(s for s in ledger.standings() if s.budget == parse(text))


def test_no_more_is_reserved_than_there_is(opened: Opener) -> None:
    ledger = opened({"month": 100})
    first, second = ledger.reserve(attempt(60)), ledger.reserve(attempt(40))
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt(1))
    assert ledger.settle(first, Usage(25, 0)) == 25
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt(36))
    third = ledger.reserve(attempt(35))
    ledger.release(second)
    ledger.settle(third, Usage(), certain=False)
    now = standing(ledger)
    assert (now.spent, now.held, now.left) == (60, 0, 40)
    assert check(ledger) == []


def test_every_budget_of_the_caller_must_have_room(opened: Opener) -> None:
    ledger = opened({"month": 1_000, "team * day": 100, "team law day": 50, "person anna month": 70})
    with pytest.raises(BudgetExceeded, match="`team law day`"):
        ledger.reserve(attempt(51, Caller(team="law")))
    with pytest.raises(BudgetExceeded, match="`person anna month`"):
        ledger.reserve(attempt(71, Caller(person="anna", team="sales")))
    ledger.reserve(attempt(70, Caller(person="anna", team="sales")))
    with pytest.raises(BudgetExceeded, match="`team sales day`"):
        ledger.reserve(attempt(31, Caller(person="ben", team="sales")))
    assert standing(ledger).held == 70, "what one budget refuses counts in none"


def test_many_threads_share_one_budget(opened: Opener) -> None:
    ledger = opened({"month": 1_000})

    def call(number: int) -> int:
        try:
            hold = ledger.reserve(attempt(7))
        except BudgetExceeded:
            return 0
        ledger.sent(hold)
        return ledger.settle(hold, Usage(1 + number % 7, 0))

    with ThreadPoolExecutor(64) as pool:
        spent = sum(pool.map(call, range(2_000)))
    now = standing(ledger)
    assert (now.spent, now.held) == (spent, 0)
    assert 993 < spent <= 1_000
    assert check(ledger) == []


def test_days_and_months_renew(opened: Opener) -> None:
    clock = Clock()
    ledger = opened({"day": 10, "month": 25}, now=clock)
    for _ in range(2):
        ledger.settle(ledger.reserve(attempt(10)), Usage(10, 0))
        with pytest.raises(BudgetExceeded, match="`day`") as caught:
            ledger.reserve(attempt(1))
        assert caught.value.renews is not None
        clock.now = caught.value.renews
    with pytest.raises(BudgetExceeded, match="`month`") as caught:
        ledger.reserve(attempt(6))
    clock.now = caught.value.renews or 0
    ledger.reserve(attempt(10))


def test_what_was_reserved_yesterday_is_spent_yesterday(opened: Opener) -> None:
    clock = Clock()
    ledger = opened({"day": 10}, now=clock)
    hold = ledger.reserve(attempt(10))
    clock.now += DAY
    ledger.settle(hold, Usage(10, 0))
    assert standing(ledger, "day").spent == 0
    assert check(ledger) == []


def test_a_clock_that_is_set_back_gives_no_old_budget_again(opened: Opener) -> None:
    clock = Clock()
    ledger = opened({"day": 10}, now=clock)
    ledger.settle(ledger.reserve(attempt(4)), Usage(4, 0))
    clock.now += DAY
    ledger.settle(ledger.reserve(attempt(10)), Usage(10, 0))
    clock.now -= DAY
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt(1))


# ---------------------------------------------------------------------- limits
def test_what_was_set_goes_before_the_settings_in_every_process(opened: Opener) -> None:
    one, other = opened({"month": 10}), opened({"month": 10})
    one.set_limit(MONTH, 20)
    other.reserve(attempt(15))
    assert (standing(other).limit, standing(other).source) == (20, "set")
    one.set_limit(MONTH, None)
    other.reserve(attempt(1_000))
    one.unset_limit(MONTH)
    with pytest.raises(BudgetExceeded):
        other.reserve(attempt(1))
    assert (standing(other).limit, standing(other).source) == (10, "settings")


def test_a_limit_below_what_is_spent_refuses_everything(opened: Opener) -> None:
    ledger = opened()
    ledger.settle(ledger.reserve(attempt(50)), Usage(50, 0))
    ledger.set_limit(MONTH, 20)
    with pytest.raises(BudgetExceeded, match=r"\$0.00 of"):
        ledger.reserve(attempt(1))
    assert standing(ledger).left == 0


# ---------------------------------------------------------------------- more than was reserved
def test_what_costs_more_than_its_bound_is_recorded_told_and_bounded_higher_from_then_on(opened: Opener) -> None:
    told: list[Alert] = []
    ledger = opened({"month": 1_000}, on_alert=told.append)
    assert ledger.settle(ledger.reserve(attempt(100)), Usage(250, 0)) == 250
    assert standing(ledger).spent == 250
    assert [a.kind for a in told] == ["exceeded"]
    assert ledger.reserve(attempt(100)).bound == 250
    assert opened({"month": 1_000}).reserve(attempt(100)).bound == 250, "in every process"
    assert ledger.reserve(attempt(100, model="other")).bound == 100


def test_what_costs_more_than_the_whole_budget_is_recorded_as_well(opened: Opener) -> None:
    ledger = opened({"month": 100})
    ledger.settle(ledger.reserve(attempt(100)), Usage(300, 0))
    assert (standing(ledger).spent, standing(ledger).left) == (300, 0)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt(1))


# ---------------------------------------------------------------------- alerts
def test_each_share_is_told_once(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Alert] = []
    one = opened({"month": 100}, on_alert=told.append)
    other = opened({"month": 100}, on_alert=told.append)
    with caplog.at_level(logging.WARNING, logger="ragstone"):
        for ledger, amount in ((one, 49), (other, 1), (one, 1), (other, 44), (one, 5)):
            ledger.settle(ledger.reserve(attempt(amount)), Usage(amount, 0))
    assert [(a.percent, a.spent) for a in told] == [(50, 50), (80, 95), (90, 95)]
    assert "50 % of the budget `month`" in caplog.text


class _Hook(BaseHTTPRequestHandler):
    bodies: list[dict[str, object]]
    status = 200

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.mark.parametrize("status", [200, 500])
def test_a_webhook_gets_the_alert(opened: Opener, caplog: pytest.LogCaptureFixture, status: int) -> None:
    handler = type("Hook", (_Hook,), {"bodies": [], "status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = Webhook(f"http://127.0.0.1:{server.server_address[1]}/budget")
        ledger = opened({"team a month": 4 * CENT}, on_alert=hook)
        with caplog.at_level(logging.WARNING, logger="ragstone"):
            ledger.settle(ledger.reserve(attempt(2 * CENT, Caller(team="a"))), Usage(2 * CENT, 0))
            hook.close()
        server.shutdown()
    (body,) = handler.bodies  # type: ignore[attr-defined]
    assert (body["kind"], body["budget"], body["percent"], body["spent"], body["limit"]) == (
        "share", "team a month", 50, 0.02, 0.04,
    )  # fmt: skip
    assert ("webhook failed" in caplog.text) is (status == 500)


# ---------------------------------------------------------------------- processes that end
PAYER = """
import os, sys
from pathlib import Path
from paying import Clock, attempt
from ragstone.budget.ledger import Ledger
from ragstone.budget.limits import parse
ledger = Ledger(Path(sys.argv[1]), {parse("month"): 1_000}, now=Clock())
sent, unsent = ledger.reserve(attempt(300)), ledger.reserve(attempt(400))
ledger.sent(sent)
print("ready", flush=True)
sys.stdin.read()
ledger.close()
"""


def started(folder: Path) -> subprocess.Popen[bytes]:
    code = f"import sys; sys.path[:] = {sys.path!r}\n{PAYER}"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("killed", [True, False])
def test_an_ended_process_is_charged_what_it_may_have_sent(opened: Opener, tmp_path: Path, killed: bool) -> None:
    process = started(tmp_path)
    ledger = opened({"month": 1_000})
    assert standing(ledger).held == 700
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt(700))
    if killed:
        process.send_signal(signal.SIGKILL)
    else:
        assert process.stdin is not None
        process.stdin.close()
    process.wait()
    ledger.reserve(attempt(700))  # nobody asked it to reconcile: it does so before it refuses
    now = standing(ledger)
    assert (now.spent, now.held) == (300, 700)
    assert ledger.rows("SELECT sum(uncertain) FROM usage") == [(300,)]
    assert check(ledger) == []
    assert len(list((tmp_path / "budget").glob("*.lease"))) == 1


def test_an_ended_process_is_settled_once_by_calls_that_arrive_together(opened: Opener, tmp_path: Path) -> None:
    process = started(tmp_path)
    ledger = opened({"month": 1_000})
    process.kill()
    process.wait()
    assert ledger._do(lambda book: [ledger._settle_ended(book), ledger._settle_ended(book)]) == [True, False]
    assert (standing(ledger).spent, standing(ledger).held) == (300, 0)
    assert check(ledger) == []


def test_a_stopped_process_keeps_what_it_reserved(opened: Opener, tmp_path: Path) -> None:
    process = started(tmp_path)
    ledger = opened({"month": 1_000})
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(attempt(301))
    process.kill()
    process.wait()


def test_a_process_whose_lease_was_removed_pays_no_more(opened: Opener, tmp_path: Path) -> None:
    one, other = opened({"month": 100}), opened({"month": 100})
    hold = one.reserve(attempt(60))
    for path in (tmp_path / "budget").glob(f"*{one._lease.name}*"):
        path.unlink()
    other.reconcile()
    assert standing(other).spent == 60
    with pytest.raises(StoreError, match="removed"):
        one.settle(hold, Usage(1, 0))
    assert check(other) == []


def test_more_calls_at_once_than_slots(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SLOTS", 4096)
    ledger = opened({"month": 10_000})
    for _ in range(4096):
        ledger._lease.take()
    beyond = ledger.reserve(attempt(10))
    assert beyond.slot == 4096
    ledger.sent(beyond)
    ledger.settle(beyond, Usage(3, 0))
    assert standing(ledger).spent == 3


# ---------------------------------------------------------------------- the machine stops
@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_lets_nobody_spend_more(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent before the cut never exceeds what the ledger counts as used after it."""
    chance = random.Random(seed)
    data = tmp_path / "data"
    data.mkdir()
    cut, limit, truth = chance.randint(20, 400), 100_000, 0
    disk = Disk(data, lambda operation, kind, name: "cut" if operation >= cut else None, "budget.db")
    with disk.mounted():
        ledger = Ledger(data, {MONTH: limit}, now=Clock())
        with suppress(RagstoneError):
            while not disk.dead:
                hold = ledger.reserve(attempt(chance.randint(1, 400)))
                truth += (used := chance.randint(0, hold.bound))  # sent, and the provider bills it
                if chance.random() < 0.9:
                    ledger.settle(hold, Usage(used, 0))
        with suppress(RagstoneError):
            ledger.close()
    if not disk.dead:
        pytest.skip("spent before the cut")
    disk.restore(chance)
    monkeypatch.setattr(budget_file, "boot_id", lambda: "another-boot")
    monkeypatch.setattr(lease, "boot_id", lambda: "another-boot")
    again = Ledger(data, {MONTH: limit}, now=Clock())
    now = standing(again)
    assert truth <= now.spent + now.lost <= limit
    assert now.lost <= 32 * 400 + limit // 100, "and little of the budget is lost"
    assert now.held == 0
    assert check(again) == []
    again.close()


def test_a_ledger_that_was_closed_loses_nothing_with_the_power(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened({"month": 1_000})
    ledger.settle(ledger.reserve(attempt(10)), Usage(10, 0))
    ledger.close()
    monkeypatch.setattr(budget_file, "boot_id", lambda: "another-boot")
    again = standing(opened({"month": 1_000}))
    assert (again.spent, again.lost, again.held) == (10, 0, 0)


def test_what_a_stop_of_the_machine_may_have_hidden_is_told(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened({"month": 100_000})
    ledger.settle(ledger.reserve(attempt(10)), Usage(10, 0))
    monkeypatch.setattr(budget_file, "boot_id", lambda: "another-boot")
    again = standing(opened({"month": 100_000}))
    assert (again.spent, again.lost) == (10, 1_000)


# ---------------------------------------------------------------------- the file
def test_a_damaged_ledger_stops_calls(tmp_path: Path) -> None:
    (tmp_path / "budget.db").write_bytes(b"this is no database" * 500)
    with pytest.raises(StoreDamaged) as caught:
        Ledger(tmp_path)
    assert caught.value.hint


def test_another_version_is_refused(opened: Opener, tmp_path: Path) -> None:
    opened().close()
    import apsw

    connection = apsw.Connection(str(tmp_path / "budget.db"))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreError, match="another version"):
        opened()


def test_a_closed_ledger_says_so(opened: Opener) -> None:
    ledger = opened()
    ledger.close()
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.reserve(attempt(1))


def test_only_the_owner_reads_it(opened: Opener, tmp_path: Path) -> None:
    opened()
    assert (tmp_path / "budget.db").stat().st_mode & 0o077 == 0
    assert (tmp_path / "budget").stat().st_mode & 0o077 == 0
    assert os.listdir(tmp_path / "budget")


# ---------------------------------------------------------------------- history
@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("day", [("2026-09-21", 3), ("2026-09-22", 1)]),
        ("month", [("2026-09", 4)]),
        ("model", [("p/m", 3), ("p/n", 1)]),
        ("provider", [("p", 4)]),
        ("person", [("anna", 3), ("", 1)]),
        ("team", [("law", 3), ("", 1)]),
        ("key", [("", 4)]),
        ("purpose", [("chat", 4)]),
    ],
)
def test_the_history_by_each_group(opened: Opener, by: By, groups: list[tuple[str, int]]) -> None:
    clock = Clock(NOON)
    ledger = opened(now=clock)
    anna = Caller(person="anna", team="law")
    for caller, model in ((anna, "m"), (anna, "m"), (anna, "n")):
        ledger.settle(ledger.reserve(attempt(9, caller, model)), Usage(9, 0))
    clock.now += DAY
    ledger.settle(ledger.reserve(attempt(1)), Usage(1, 0))
    assert [(g.group, g.calls) for g in history(ledger, by, "2026-09-01", {})] == groups
    assert history(ledger, by, "2026-09-23", {}) == []
    assert sum(g.cost for g in history(ledger, by, "2026-09-01", {"person": "anna"})) == 27


def test_a_budget_of_each_is_shown(opened: Opener) -> None:
    ledger = opened({"person * day": 5})
    ledger.reserve(attempt(2, Caller(person="anna")))
    shown = {str(s.budget): (s.limit, s.held) for s in ledger.standings() if s.limit is not None}
    assert shown == {"person * day": (5, 0), "person anna day": (5, 2)}
    assert Budget("person", "*", "day") == parse("person * day")
