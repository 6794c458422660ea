"""The ledger: reserve the worst case of a call, then record what it cost. No budget is ever exceeded.

Several threads and several processes use one ledger. Calls that arrive together are recorded together: whoever gets
the lock does the work of all who wait for it. A killed process's calls are found before anybody is refused, and when a
ledger is opened: those that may have been sent are charged at their bound, the others are given back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from ..errors import BudgetExceeded, RagstoneError, StoreError
from ..types import Caller, Usage
from .alerts import Alert, tell
from .attempts import Attempt, Hold, Standing
from .file import FOLDER, Book, LedgerFile, mapped
from .lease import Lease, ended, sweep
from .limits import EACH, PERIODS, Budget, accounts, current_day, key_of, limit_of, parse, renews
from .money import shown
from .prices import Price
from .together import Request, Together

T = TypeVar("T")
AHEAD_SHARE: Final = 100
AHEAD_CALLS: Final = 32
"""A budget may run ahead of what is synced by a hundredth of its limit, or by 32 calls where that is more: a power
cut costs at most so much of it, and a call in 32 waits for the disk (docs/decisions/0014-budget.md)."""


class Ledger:
    """DATA/budget.db. `limits` are those of the settings, in pico-dollars; what `set_limit` wrote goes before them.
    `alerts` are percents. `now` gives POSIX seconds. Raises StoreError and its kinds."""

    def __init__(
        self,
        folder: Path,
        limits: Mapping[Budget, int] | None = None,
        *,
        alerts: Sequence[int] = (50, 80, 90),
        on_alert: Callable[[Alert], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings: dict[Budget, int | None] = dict(limits or {})
        self._percents = sorted(alerts)
        self._on_alert = on_alert
        self._now = now
        self._folder = folder
        self._together: Together[Book] = Together(self._commit)
        self._alerts: list[Alert] = []
        self._read_at = -1
        self._limits: dict[Budget, int | None] = {}
        self._set: dict[Budget, int | None] = {}
        self._factors: dict[tuple[str, str], tuple[int, int]] = {}
        self._closed = False
        self._file = LedgerFile(folder)
        try:
            with mapped(folder):
                self._lease = Lease(folder / FOLDER)
        except BaseException:
            self._file.close()
            raise
        self.reconcile()

    # ------------------------------------------------------------------ calls
    def reserve(self, attempt: Attempt) -> Hold:
        """Raises BudgetExceeded where the worst case of the attempt is more than is left of any of its budgets."""
        if self._closed:
            raise _closed()
        slot = self._lease.take()
        try:
            return self._do(lambda book: self._reserve(book, attempt, slot))
        except RagstoneError:  # after an interrupt nobody knows whether it is reserved; then the slot stays taken
            self._lease.give(slot)
            raise

    def sent(self, hold: Hold) -> None:
        """To be called before the first byte of the call leaves: from then on it may cost."""
        self._lease.sent(hold.slot)

    def settle(self, hold: Hold, usage: Usage, *, certain: bool = True) -> int:
        """Records what the attempt used and gives the rest back; returns its cost. Where that is not `certain`, it is
        charged at its bound, and `usage` is only counted."""
        cost = self._do(lambda book: self._settle(book, hold, usage, certain))
        self._lease.give(hold.slot)
        return cost

    def release(self, hold: Hold) -> None:
        """The attempt certainly cost nothing."""
        self._do(lambda book: self._release(book, hold))
        self._lease.give(hold.slot)

    def count(self, attempt: Attempt, usage: Usage) -> None:
        """Records a call for which nothing had to be reserved: one that is free, or whose price nobody knows while
        nothing limits it."""
        self._do(lambda book: self._record(book, self._today(book), attempt, usage, cost=0))

    def limited(self, caller: Caller) -> bool:
        """Whether any budget limits this caller's calls."""
        self._do(lambda _: None)  # the limits as they are now
        return any(self._limit(s, n, p) is not None for s, n in accounts(caller) for p in PERIODS)

    def _reserve(self, book: Book, attempt: Attempt, slot: int) -> Hold:
        day = self._today(book)
        bound = self._bound(attempt)
        of_caller = [(scope, name, period) for scope, name in accounts(attempt.caller) for period in PERIODS]
        limited = [(key, limit) for key in of_caller if (limit := self._limit(*key)) is not None]

        def refusing() -> tuple[Budget, int, int] | None:
            for (scope, name, period), limit in limited:
                used = book.balance(scope, name, key_of(day, period)).used
                if used + bound > limit:
                    return Budget(scope, name, period), limit, used
            return None

        refused = refusing()
        if refused and self._settle_ended(book):
            refused = refusing()
        if refused:
            self._record(book, day, attempt, None, cost=0)
            raise _exceeded(*refused, bound, attempt, day)
        for scope, name, period in of_caller:
            book.balance(scope, name, key_of(day, period)).held += bound
        step = AHEAD_CALLS * bound
        for (scope, name, period), limit in limited:
            book.secure(book.balance(scope, name, key_of(day, period)), limit, max(step, limit // AHEAD_SHARE))
        who = attempt.caller
        book.hold(
            self._lease.name, slot, bound, self._now(), day, who.person, who.team, who.key,
            attempt.provider, attempt.model, attempt.purpose,
        )  # fmt: skip
        return Hold(attempt, self._lease.name, slot, bound, day)

    def _settle(self, book: Book, hold: Hold, usage: Usage, certain: bool) -> int:
        attempt = hold.attempt
        cost = attempt.price.cost(usage) if certain else hold.bound
        if certain:
            self._adapt(book, attempt, usage)
        if cost > hold.bound:
            budget = Budget("all", "", "month")
            model = f"{attempt.provider}/{attempt.model}"
            self._alerts.append(Alert("exceeded", budget, hold.day[:7], cost, hold.bound, model=model))
        self._close_hold(book, hold, cost)
        self._record(book, hold.day, attempt, usage, cost=cost, certain=certain)
        return cost

    def _release(self, book: Book, hold: Hold) -> None:
        self._close_hold(book, hold, 0)

    def _close_hold(self, book: Book, hold: Hold, cost: int) -> None:
        book.end_hold(hold.owner, hold.slot)
        for scope, name in accounts(hold.attempt.caller):
            for period in PERIODS:
                key = key_of(hold.day, period)
                balance = book.balance(scope, name, key)
                balance.held -= hold.bound
                balance.spent += cost
                limit = self._limit(scope, name, period)
                if limit is not None and cost:
                    book.secure(balance, limit, limit // AHEAD_SHARE)
                    self._pass_marks(book, Budget(scope, name, period), key, balance.spent - cost, balance.spent, limit)

    def _pass_marks(self, book: Book, budget: Budget, key: str, before: int, after: int, limit: int) -> None:
        """Each percent is told once, whichever process passes it."""
        for percent in self._percents:
            if before * 100 < percent * limit <= after * 100 or (before == 0 == limit < after):
                mark = (budget.scope, budget.name, key, percent)
                book.connection.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?)", mark)
                if book.connection.changes():
                    self._alerts.append(Alert("share", budget, key, after, limit, percent))

    def _record(
        self, book: Book, day: str, attempt: Attempt, usage: Usage | None, *, cost: int, certain: bool = True
    ) -> None:
        """Adds to the history; without `usage` a call that was refused."""
        who, used = attempt.caller, usage or Usage()
        book.record(
            (day, who.person, who.team, who.key, attempt.provider, attempt.model, attempt.purpose),
            usage is not None, usage is None, used.prompt_tokens, used.cached_tokens, used.completion_tokens,
            cost, 0 if certain else cost,
        )  # fmt: skip

    def _bound(self, attempt: Attempt) -> int:
        prompt, completion = self._factors.get((attempt.provider, attempt.model), (1_000, 1_000))
        return attempt.price.bound(
            -(-attempt.prompt_bound * prompt // 1_000), -(-attempt.completion_bound * completion // 1_000)
        )

    def _adapt(self, book: Book, attempt: Attempt, usage: Usage) -> None:
        """Where a provider counts more tokens than the bound, that model's next bounds are larger by as much."""
        key = (attempt.provider, attempt.model)
        known = self._factors.get(key, (1_000, 1_000))
        prompt = -(-usage.prompt_tokens * 1_000 // max(1, attempt.prompt_bound))
        completion = -(-usage.completion_tokens * 1_000 // max(1, attempt.completion_bound))
        factors = (max(known[0], prompt), max(known[1], completion))
        if factors != known:
            book.connection.execute("INSERT OR REPLACE INTO factors VALUES (?, ?, ?, ?)", (*key, *factors))
            book.announce()

    # ------------------------------------------------------------------ ended processes
    def reconcile(self) -> None:
        """Settles the calls of processes that ended without doing it."""
        self._do(self._settle_ended)
        needed = {owner for (owner,) in self.rows("SELECT DISTINCT owner FROM holds")}
        with mapped(self._folder):
            sweep(self._folder / FOLDER, needed)

    def _settle_ended(self, book: Book) -> bool:
        """Whether there was anything to settle. Leases are removed by `reconcile` only, after the commit."""
        settled = False
        for (owner,) in book.rows("SELECT DISTINCT owner FROM holds"):
            if owner != self._lease.name and (slots := ended(self._folder / FOLDER, owner)) is not None:
                settled = self._settle_owner(book, owner, slots) or settled
        return settled

    def _settle_owner(self, book: Book, owner: str, slots: bytes) -> bool:
        """Charges what may have been sent, gives back the rest. Whether there was anything."""
        holds = book.holds_of(owner)
        for slot, bound, day, person, team, key, provider, model, purpose in holds:
            attempt = Attempt(provider, model, _NO_PRICE, 0, 0, Caller(key, person, team), purpose)
            sent = slot >= len(slots) or slots[slot] != 0
            self._close_hold(book, Hold(attempt, owner, slot, bound, day), bound if sent else 0)
            if sent:
                self._record(book, day, attempt, Usage(), cost=bound, certain=False)
        return bool(holds)

    # ------------------------------------------------------------------ limits
    def set_limit(self, budget: Budget, amount: int | None) -> None:
        """Goes before the settings, in every process, from the next call on. None: no limit."""

        def work(book: Book) -> None:
            book.connection.execute("INSERT OR REPLACE INTO limits VALUES (?, ?)", (str(budget), amount))
            book.announce()

        self._do(work)

    def unset_limit(self, budget: Budget) -> None:
        """What the settings say holds again."""

        def work(book: Book) -> None:
            book.connection.execute("DELETE FROM limits WHERE budget = ?", (str(budget),))
            book.announce()

        self._do(work)

    def _limit(self, scope: str, name: str, period: str) -> int | None:
        return limit_of(self._limits, cast(Any, scope), name, cast(Any, period))

    def _read(self, book: Book) -> None:
        """Limits and factors, where they changed since they were read."""
        if book.changed == self._read_at:
            return
        rows = book.rows("SELECT budget, amount FROM limits")
        self._set = {parse(text): amount for text, amount in rows}
        self._limits = {**self._settings, **self._set}
        rows = book.rows("SELECT provider, model, prompt, completion FROM factors")
        self._factors = {(provider, model): (p, c) for provider, model, p, c in rows}
        self._read_at = book.changed

    def _today(self, book: Book) -> str:
        book.turn(current_day(self._now(), book.day))
        return str(book.day)

    # ------------------------------------------------------------------ reading
    def standings(self) -> list[Standing]:
        """Every budget of today and this month that has a limit or was used. One of EACH name is listed as such, and
        for the names that used it."""
        self.reconcile()

        def work(book: Book) -> list[Standing]:
            day = self._today(book)
            rows = book.rows(
                "SELECT scope, name, period, spent, held, lost FROM balances WHERE period IN (?, ?)", day, day[:7]
            )
            found = {(scope, name, key): amounts for scope, name, key, *amounts in rows}
            for budget, amount in self._limits.items():
                if amount is not None:
                    found.setdefault((budget.scope, budget.name, key_of(day, budget.period)), [0, 0, 0])
            standings = []
            for (scope, name, key), amounts in found.items():
                budget = Budget(scope, name, "month" if len(key) == 7 else "day")
                limit = self._limit(scope, name, budget.period)
                each = replace(budget, name=EACH)
                named = budget if budget in self._limits else each
                source = "" if limit is None else "set" if named in self._set else "settings"
                standings.append(Standing(budget, key, limit, source, *amounts))
            order = ("all", "team", "person", "key")
            return sorted(standings, key=lambda s: (order.index(s.budget.scope), s.budget.name, s.budget.period))

        return self._do(work)

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Of a SELECT."""
        return self._do(lambda book: book.rows(sql, *values))

    # ------------------------------------------------------------------ together
    def _do(self, work: Callable[[Book], T]) -> T:
        return self._together.do(work)

    def _commit(self, group: Sequence[Request[Book, Any]]) -> None:
        """Does the work of a group in one transaction."""

        def work(book: Book) -> None:
            self._lease.require()
            self._alerts.clear()
            self._read(book)
            for request in group:
                changed = book.changed
                try:
                    request.run(book)
                except BudgetExceeded as error:
                    request.error = error
                if book.changed != changed:
                    self._read(book)

        try:
            if self._closed:
                raise _closed()
            self._file.transact(work)
            tell(self._alerts, self._on_alert)
        except BaseException:
            self._read_at = -1
            raise
        finally:
            self._alerts.clear()

    def close(self) -> None:
        """What is still reserved is settled as that of an ended process. Nothing else may use the ledger any more."""
        if self._closed:
            return
        with ExitStack() as stack:
            stack.callback(self._lease.close)
            stack.callback(self._file.close)
            try:
                self._do(lambda book: self._settle_owner(book, self._lease.name, self._lease.slots()))
            finally:
                self._closed = True
            self._file.rest()


def _closed() -> StoreError:
    return StoreError("the ledger was closed.", "Open it again.")


_NO_PRICE: Final = Price((), ())


def _exceeded(budget: Budget, limit: int, used: int, bound: int, attempt: Attempt, day: str) -> BudgetExceeded:
    moment = renews(key_of(day, budget.period))
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
    return BudgetExceeded(
        f"A call of {attempt.provider}/{attempt.model} could cost {shown(bound)}, and {shown(max(0, limit - used))} of "
        f"{shown(limit)} are left in the budget `{budget}`.",
        f"It renews at {when}. Ask for fewer tokens, use a cheaper model, or raise it with `ragstone budget set`.",
        renews=moment,
    )
