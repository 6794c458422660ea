"""Many calls at once from several processes on one budget that can pay for a part of them, some of them killed.

A cycle is a round: every thread of every process makes one call. The provider is a model of this process that spends
as a provider would: each call writes what it costs into a file outside the ledger, which is the truth that the ledger
is compared with. After each round all calls have ended, so everything can be told exactly.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Final

import msgspec

from ..budget.attempts import Attempt
from ..budget.budgeted import Budgeted
from ..budget.history import check
from ..budget.ledger import Ledger
from ..budget.limits import Budget
from ..budget.money import in_dollars
from ..budget.prices import flat
from ..budget.tokens import prompt_bound
from ..errors import BudgetExceeded, ModelUnavailable, RagstoneError
from ..types import Call, Caller, Delta, Message, Usage
from .report import Report, Run

CALLS: Final = 200
PROCESSES: Final = 3
SHARE: Final = 0.37
KILLED: Final = 10
"""In each round of so many one process is killed somewhere in the middle."""
MONTH: Final = Budget("all", "", "month")
NOON: Final = 1_790_000_000.0
"""The moment at which everything happens, so that no budget renews meanwhile."""
PRICE: Final = flat(1.25, 10)
MOST_TOKENS: Final = 400
PROMPTS: Final = tuple("Wie hoch ist die Temperatur im Kessel? " * n for n in range(1, 6))
ONE: Final = flat(Decimal("0.000001"), 0)
"""One pico-dollar a token."""
_LENGTHS: Final = random.Random(7).sample(range(20, MOST_TOKENS + 1), 100)
"""Tokens of answers, one after the other."""


class Order(msgspec.Struct):
    """A process's part of a round. It kills itself when it comes to step `die` of all its calls together; 0: never."""

    number: int
    threads: int
    die: int


def budget(run: Run, *, processes: int = PROCESSES, calls: int = CALLS) -> Report:
    """`run.cycles` rounds."""
    folder = run.folder / "data"
    threads = [calls // processes + (n < calls % processes) for n in range(processes)]
    limit = int(run.cycles * calls * SHARE * _mean_cost())
    truth = _Truth(run.folder)
    seen = _Seen()
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(Ledger(folder, {MONTH: limit}, now=lambda: NOON, alerts=())))
        payers = [stack.enter_context(_Payer(run.folder, slot, limit)) for slot in range(processes)]

        def cycle(number: int, report: Report) -> None:
            chance = random.Random(f"{run.seed} {number}")
            victim = chance.randrange(processes) if number % KILLED == KILLED // 2 else -1
            before, _ = _used(ledger)
            for slot, payer in enumerate(payers):
                die = chance.randint(1, threads[slot] * 4) if slot == victim else 0
                payer.start(Order(number, threads[slot], die))
            problems = [problem for payer in payers for problem in payer.wait(report)]
            problems += _judge(ledger, truth, limit, before, seen)
            report.add("calls answered", seen.answered)
            report.add("calls refused", seen.refused)
            report.add("calls failed", seen.failed)
            report.add("refusals that were false", seen.false)
            report.add("calls cut by a kill", seen.cut)
            if problems:
                report.fail(number, "a kill" if victim >= 0 else "calls at once", problems)

        report = run.go("budget", cycle)
        spent, uncertain = _used(ledger)
        problems = [*check(ledger), *_last(ledger, limit)]
        if problems:
            report.fail(report.cycles, "the end", problems)
    report.figures |= {
        "limit in dollars": in_dollars(limit),
        "spent in truth": in_dollars(truth.spent),
        "spent in the ledger": in_dollars(spent),
        "of it charged at the bound": in_dollars(uncertain),
        "overspent in dollars": in_dollars(max(0, truth.spent - limit)),
        "share of the calls answered": report.figures.get("calls answered", 0) / max(1, report.cycles * calls),
    }
    return report


@dataclass(slots=True)
class _Seen:
    """What the calls of one round wrote."""

    answered: int = 0
    refused: int = 0
    failed: int = 0
    false: int = 0
    cut: int = 0
    bounds: dict[str, int] = field(default_factory=dict)
    billed: Counter[str] = field(default_factory=Counter)
    """What each call cost in truth."""
    outcomes: dict[str, tuple[str, int]] = field(default_factory=dict)
    """What became of each call that ended, and what the ledger has to charge for it."""


def _judge(ledger: Ledger, truth: _Truth, limit: int, before: int, seen: _Seen) -> list[str]:
    """Nothing is reserved any more once the ended processes are settled; each call is charged what it has to be, and
    one that a kill cut between what the provider billed and its bound; and no call was refused although all that was
    accepted in this round, at its worst, left room for it."""
    seen.bounds, seen.billed, seen.outcomes = {}, Counter(), {}
    truth.read(seen)
    outcomes = [outcome for outcome, _ in seen.outcomes.values()]
    seen.answered, seen.failed = outcomes.count("answered"), outcomes.count("failed")
    refused = [call for call, (outcome, _) in seen.outcomes.items() if outcome == "refused"]
    cut = seen.bounds.keys() - seen.outcomes.keys()
    seen.refused, seen.cut = len(refused), len(cut)
    accepted = sum(seen.bounds[call] for call in seen.bounds.keys() - set(refused))
    ended = sum(charge for _, charge in seen.outcomes.values())
    least, most = ended + sum(seen.billed[call] for call in cut), ended + sum(seen.bounds[call] for call in cut)
    seen.false = sum(before + accepted + seen.bounds[call] <= limit for call in refused)
    ledger.reconcile()
    spent, _ = _used(ledger)
    standing = next(s for s in ledger.standings() if s.budget == MONTH)
    problems = []
    if seen.false:
        problems.append(f"{seen.false} calls were refused although there was room")
    if standing.held or ledger.rows("SELECT count(*) FROM holds")[0][0]:
        problems.append(f"{standing.held} pico-dollars are reserved for nothing")
    if truth.spent > limit:
        problems.append(f"{truth.spent - limit} pico-dollars too much were spent")
    if spent > limit:
        problems.append(f"the ledger has {spent - limit} pico-dollars more than the limit")
    if not least <= spent - before <= most:
        problems.append(f"{spent - before} pico-dollars were charged, it had to be {least} to {most}")
    return problems


def _used(ledger: Ledger) -> tuple[int, int]:
    """Spent, and how much of it was charged at its bound."""
    spent, uncertain = ledger.rows("SELECT ifnull(sum(cost), 0), ifnull(sum(uncertain), 0) FROM usage")[0]
    return int(spent), int(uncertain)


def _last(ledger: Ledger, limit: int) -> list[str]:
    """At the end exactly what is left can still be reserved, and nothing more."""
    left = limit - _used(ledger)[0]
    problems = []
    for amount, fits in ((left, True), (left + 1, False)):
        attempt = Attempt("stress", "exact", ONE, amount, 0)
        try:
            ledger.release(ledger.reserve(attempt))
            accepted = True
        except BudgetExceeded:
            accepted = False
        if accepted != fits:
            problems.append(f"{amount} of {left} pico-dollars left were {'accepted' if accepted else 'refused'}")
    return problems


def _mean_cost() -> float:
    """Pico-dollars of a call."""
    costs = [PRICE.cost(_usage(prompt, length)) for prompt in PROMPTS for length in _LENGTHS]
    return sum(costs) / len(costs)


def _usage(prompt: str, length: int) -> Usage:
    return Usage(len(prompt) // 4 + 8, length)


# ---------------------------------------------------------------------- the truth
class _Truth:
    """The files of the payers: one line for each thing that a call does, written at once, so a kill cuts none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.spent = 0

    def read(self, seen: _Seen) -> None:
        for path in sorted(self._folder.glob("*.truth")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                lines = file.read()
            self._read[path] = self._read.get(path, 0) + len(lines)
            for line in lines.decode("ascii").splitlines():
                call, what, amount = line.split()
                if what == "tries":
                    seen.bounds[call] = int(amount)
                elif what == "spends":
                    self.spent += int(amount)
                    seen.billed[call] += int(amount)
                else:
                    seen.outcomes[call] = (what, int(amount))


class _Payer:
    """The caller's side of one process; a killed one is started again with the next round."""

    def __init__(self, folder: Path, slot: int, limit: int) -> None:
        self._arguments = [str(folder), str(slot), str(limit)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, order: Order) -> None:
        if self._process is None:
            code = f"import sys; sys.path[:] = {sys.path!r}; from ragstone.stress.budget import serve; serve()"
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, *self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        stdin = _stream(self._process.stdin)
        stdin.write(msgspec.json.encode(order) + b"\n")
        stdin.flush()

    def wait(self, report: Report) -> list[str]:
        """Until its part of the round is done; what went wrong."""
        assert self._process is not None  # noqa: S101 - it was started
        line = _stream(self._process.stdout).readline()
        if line:
            return [str(problem) for problem in msgspec.json.decode(line)]
        status = self._process.wait()
        self._end()
        if status == -signal.SIGKILL:
            report.add("kills")
            return []
        return [f"a process ended with status {status}"]

    def _end(self) -> None:
        if self._process is not None:
            _stream(self._process.stdin).close()
            self._process.wait()
            _stream(self._process.stdout).close()
            self._process = None

    def __enter__(self) -> _Payer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with suppress(BrokenPipeError):
                _stream(self._process.stdin).close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait()
            _stream(self._process.stdout).close()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - it was opened as a pipe
    return stream


# ---------------------------------------------------------------------- in a process that pays
class _Provider:
    """A model that bills: the prompt as soon as it is sent, the answer as it comes. Some calls fail before and some
    after that, and some reports are missing."""

    name = "model"
    context = 8_192

    def __init__(self, note: _Note) -> None:
        self._note = note

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        chance = random.Random(call.conversation)
        fate = chance.random()
        if fate < 0.02:
            refused = ModelUnavailable("The provider has no time.", "Try again.")
            refused.cost_nothing = True
            raise refused
        usage = _usage(messages[-1].content, chance.choice(_LENGTHS))
        self._note(call.conversation, "spends", PRICE.cost(Usage(usage.prompt_tokens, 0)))
        if fate < 0.04:
            raise ModelUnavailable("The connection was reset.", "Try again.")
        yield Delta("Sehr")
        time.sleep(chance.uniform(0, 0.002))
        self._note(call.conversation, "spends", PRICE.cost(Usage(0, usage.completion_tokens)))
        yield Delta(" warm.")
        yield Delta(finish="stop", usage=Usage(usage.prompt_tokens, usage.completion_tokens, estimated=fate > 0.99))

    def close(self) -> None:
        """Holds nothing."""


class _Note:
    """Writes lines to the truth; dies at step `die`."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.steps_left = 0

    def __call__(self, call: str, what: str, amount: int) -> None:
        os.write(self._file, f"{call} {what} {amount}\n".encode("ascii"))
        self.step()

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    """Rounds until its input ends."""
    folder, slot, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    note = _Note(folder / f"{slot}-{os.getpid()}.truth")
    with closing(Ledger(folder / "data", {MONTH: limit}, now=lambda: NOON, alerts=())) as ledger:
        llm = Budgeted(_Provider(note), lambda: ledger, provider="stress", price=lambda: PRICE)
        with ThreadPoolExecutor(CALLS) as pool:
            for line in sys.stdin.buffer:
                order = msgspec.json.decode(line, type=Order)
                note.steps_left = order.die
                names = [f"{order.number}-{slot}-{thread}" for thread in range(order.threads)]
                problems = [problem for problem in pool.map(lambda name: _call(llm, note, name), names) if problem]
                os.write(1, msgspec.json.encode(problems) + b"\n")


def _call(llm: Budgeted, note: _Note, name: str) -> str:
    """One call; what went wrong, or ""."""
    chance = random.Random(f"{name} caller")
    caller = Caller(f"key-{chance.randrange(4)}", f"person-{chance.randrange(20)}", f"team-{chance.randrange(3)}")
    messages = [Message("user", chance.choice(PROMPTS))]
    call = Call(MOST_TOKENS, caller=caller, conversation=name)
    bound = PRICE.bound(prompt_bound(messages, call), call.max_tokens)
    note(name, "tries", bound)
    outcome, charge = "answered", 0
    try:
        for delta in llm.stream(messages, call):
            note.step()
            if delta.usage is not None:
                charge = bound if delta.usage.estimated else PRICE.cost(delta.usage)
    except BudgetExceeded:
        outcome = "refused"
    except ModelUnavailable as error:
        outcome, charge = "failed", 0 if error.cost_nothing else bound
    except RagstoneError as error:
        return f"{name}: {error.code}: {error}"
    note(name, outcome, charge)
    return ""
