"""The ledger against a model of a few lines, over any order of calls, ends, limits, days and processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paying import DAY, Clock, attempt
from ragstone.budget.attempts import Hold
from ragstone.budget.history import check
from ragstone.budget.ledger import Ledger
from ragstone.budget.limits import PERIODS, Budget, accounts, current_day, key_of, limit_of
from ragstone.errors import BudgetExceeded
from ragstone.types import Caller, Usage

CALLERS = [Caller(), Caller(person="anna"), Caller(person="anna", team="law"), Caller("k", "ben", "law")]
BUDGETS = [
    Budget("all", "", "month"), Budget("all", "", "day"), Budget("person", "*", "day"),
    Budget("person", "anna", "month"), Budget("team", "law", "month"), Budget("key", "k", "day"),
]  # fmt: skip
Key = tuple[str, str, str]


class Spends(RuleBasedStateMachine):
    """`used` is what is spent and reserved by (scope, name, day or month)."""

    @initialize(limits=st.dictionaries(st.sampled_from(BUDGETS), st.integers(0, 300)))
    def begin(self, limits: dict[Budget, int]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.settings = limits
        self.set: dict[Budget, int | None] = {}
        self.used: dict[Key, int] = {}
        self.day = ""
        self.ledgers = [self.opened(), self.opened()]
        self.holds: list[tuple[int, Hold, bool]] = []

    def opened(self) -> Ledger:
        return Ledger(Path(self.folder.name), self.settings, now=self.clock)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for ledger in self.ledgers:
                ledger.close()
            self.folder.cleanup()

    def keys(self, caller: Caller, day: str) -> list[tuple[Key, int | None]]:
        limits = {**self.settings, **self.set}
        return [
            ((scope, name, key_of(day, period)), limit_of(limits, scope, name, period))
            for scope, name in accounts(caller)
            for period in PERIODS
        ]

    def add(self, caller: Caller, day: str, amount: int) -> None:
        for key, _ in self.keys(caller, day):
            self.used[key] = self.used.get(key, 0) + amount

    @rule(which=st.integers(0, 1), amount=st.integers(1, 120), caller=st.sampled_from(CALLERS))
    def reserve(self, which: int, amount: int, caller: Caller) -> None:
        self.day = current_day(self.clock(), self.day)
        fits = all(limit is None or self.used.get(key, 0) + amount <= limit for key, limit in self.keys(caller, self.day))
        try:
            hold = self.ledgers[which].reserve(attempt(amount, caller))
        except BudgetExceeded:
            assert not fits
            return
        assert fits
        self.add(caller, self.day, amount)
        self.holds.append((which, hold, False))

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.holds) - 1))
        which, hold, _ = self.holds[place]
        self.ledgers[which].sent(hold)
        self.holds[place] = (which, hold, True)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        which, hold, _ = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        used = data.draw(st.integers(0, hold.bound))
        kind = data.draw(st.sampled_from(("settle", "uncertain", "release")))
        if kind == "release":
            self.ledgers[which].release(hold)
            used = 0
        else:
            used = used if kind == "settle" else hold.bound
            assert self.ledgers[which].settle(hold, Usage(used, 0), certain=kind == "settle") == used
        self.add(hold.attempt.caller, hold.day, used - hold.bound)

    @rule(which=st.integers(0, 1))
    def end_process(self, which: int) -> None:
        self.ledgers[which].close()
        for _, hold, sent in [h for h in self.holds if h[0] == which]:
            if not sent:
                self.add(hold.attempt.caller, hold.day, -hold.bound)
        self.holds = [h for h in self.holds if h[0] != which]
        self.ledgers[which] = self.opened()

    @rule(budget=st.sampled_from(BUDGETS), amount=st.none() | st.integers(0, 400), which=st.integers(0, 1))
    def limit(self, budget: Budget, amount: int | None, which: int) -> None:
        self.ledgers[which].set_limit(budget, amount)
        self.set[budget] = amount

    @rule(budget=st.sampled_from(BUDGETS), which=st.integers(0, 1))
    def unlimit(self, budget: Budget, which: int) -> None:
        self.ledgers[which].unset_limit(budget)
        self.set.pop(budget, None)

    @rule(days=st.sampled_from((-3, -1, 1, 10)))
    def time_goes(self, days: int) -> None:
        self.clock.now += days * DAY

    @invariant()
    def balances_are_the_models(self) -> None:
        if hasattr(self, "folder"):
            rows = self.ledgers[0].rows("SELECT scope, name, period, spent + held FROM balances")
            assert {(s, n, p): used for s, n, p, used in rows if used} == {k: v for k, v in self.used.items() if v}
            assert check(self.ledgers[1]) == []


TestSpends = Spends.TestCase
TestSpends.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
