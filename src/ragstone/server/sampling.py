"""What the threads of this process do, sampled: how often each stack of calls was seen."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from ..errors import Conflict, InputError

RATE: Final = 97
"""Samples a second; no round number, so that it does not beat with what happens every 10 ms."""
MOST_SECONDS: Final = 120.0
DEEPEST: Final = 120
_WAITS: Final = frozenset(
    {
        ("threading.py", "wait"), ("threading.py", "_wait_for_tstate_lock"), ("threading.py", "join"),
        ("selectors.py", "select"), ("queue.py", "get"), ("socket.py", "accept"), ("connection.py", "poll"),
        ("thread.py", "_worker"), ("runners.py", "run"), ("bell.py", "_serve"),
        ("popen_fork.py", "poll"), ("subprocess.py", "_try_wait"),
    }
)  # fmt: skip
"""File and function in which a thread that has nothing to do stands; an event loop waits below `run`."""
_profiling = threading.Lock()

Stacks = Counter[tuple[str, ...]]
"""Names of functions from the outermost, which is the thread's, to the innermost."""


def sample(seconds: float, *, rate: int = RATE, idle: bool = False, own: bool = False) -> Stacks:
    """Watches all threads but the calling one for so long. Threads that wait are left out unless `idle`; `own`: the
    calling thread is told too. Only Python's frames are seen: time inside an extension counts for who called it.
    Raises Conflict where a profile is being made already."""
    if not 0 < seconds <= MOST_SECONDS:
        raise InputError(f"a profile takes up to {MOST_SECONDS:g} seconds.", "Ask for less.")
    if not _profiling.acquire(blocking=False):
        raise Conflict("a profile is being made already.", "Wait until it is done.")
    try:
        return _sampled(seconds, 1.0 / rate, idle, own)
    finally:
        _profiling.release()


def _sampled(seconds: float, pause: float, idle: bool, own: bool) -> Stacks:
    stacks: Stacks = Counter()
    names: dict[CodeType, str] = {}
    me = threading.get_ident()
    end = time.monotonic() + seconds
    due = time.monotonic()
    while due < end:
        threads = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident == me and not own:
                continue
            if not idle and _waiting(frame):
                continue
            stacks[(_thread(threads.get(ident, "thread")), *_stack(frame, names))] += 1
        due += pause
        time.sleep(max(0.0, due - time.monotonic()))
        if due < time.monotonic() - 1.0:  # the machine was busy: no burst afterwards
            due = time.monotonic()
    return stacks


def _stack(frame: FrameType | None, names: dict[CodeType, str]) -> tuple[str, ...]:
    found: list[str] = []
    while frame is not None and len(found) < DEEPEST:
        code = frame.f_code
        name = names.get(code)
        if name is None:
            name = names[code] = f"{_module(code.co_filename)}:{code.co_qualname}"
        found.append(name)
        frame = frame.f_back
    return tuple(reversed(found))


def _waiting(frame: FrameType) -> bool:
    code = frame.f_code
    return (Path(code.co_filename).name, code.co_name) in _WAITS


def _thread(name: str) -> str:
    """Threads of a pool are one."""
    return name.rstrip("0123456789").rstrip("_-") or name


def _module(filename: str) -> str:
    """The last parts of a path, without where it is installed: ragstone/search/retriever."""
    parts = Path(filename).with_suffix("").parts
    for mark in ("site-packages", "src"):
        if mark in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(mark) :])
    return "/".join(parts[-2:]) if len(parts) > 1 else filename
