"""What it costs a call to be paid: the same model with and without the ledger before it."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ..budget.budgeted import Budgeted
from ..budget.ledger import Ledger
from ..budget.limits import parse
from ..budget.money import pico
from ..budget.prices import flat
from ..protocols import LLM
from ..testing import EchoLLM
from ..types import Call, Caller, Message
from .metrics import percentile

CALLS: Final = 3_000
THREADS: Final = 64
QUESTION: Final = [Message("user", "Wie hoch ist die Temperatur im Kessel? " * 20)]
LIMITS: Final = ("day", "month", "team * month", "person * day", "key * month")
PAYER: Final = Caller("key", "person", "team")
PRICE: Final = flat(1.25, 10)


def budget() -> dict[str, Any]:
    """Milliseconds that paying adds to a call which counts against eight budgets, of which five have a limit; and
    calls in a second from many threads at once. `of_this_machine` is a busy loop of as much processor time: what the
    other processes of the machine add to it, they add to the calls as well."""
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place:
        limits = {parse(text): pico(10_000) for text in LIMITS}
        with closing(Ledger(Path(place), limits, alerts=())) as ledger:
            bare = EchoLLM("Achtzig Grad.")
            paid = Budgeted(bare, lambda: ledger, provider="bench", price=lambda: PRICE, caller=PAYER)
            _calls(paid, CALLS // 10)
            without = _calls(bare, CALLS)
            cpu = time.process_time()
            with_ledger = _calls(paid, CALLS)
            cpu = (time.process_time() - cpu) / CALLS
            busy = [_busy(cpu) for _ in range(CALLS)]
            started = time.perf_counter()
            threads = [threading.Thread(target=_calls, args=(paid, CALLS // THREADS)) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - started
    base = percentile(without, 0.5)
    return {
        "calls": CALLS,
        "overhead_ms": _spread([value - base for value in with_ledger]),
        "processor_ms": cpu * 1e3,
        "of_this_machine_ms": _spread(busy),
        "threads": THREADS,
        "calls_per_s": CALLS // THREADS * THREADS / seconds,
    }


def _calls(llm: LLM, count: int) -> list[float]:
    """Milliseconds of each."""
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        for _ in llm.stream(QUESTION, Call(400)):
            pass
        taken.append((time.perf_counter() - started) * 1e3)
    return taken


def _busy(seconds: float) -> float:
    """Milliseconds until this thread had so much of a processor."""
    started, used = time.perf_counter(), time.thread_time()
    while time.thread_time() - used < seconds:
        pass
    return (time.perf_counter() - started) * 1e3


def _spread(values: list[float]) -> dict[str, float]:
    return {f"p{percent}": percentile(values, percent / 100) for percent in (50, 95, 99)}
