"""MCP over standard input and output: one process for one client."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from .greeting import Greeting
from .lines import BLOCK, Lines, write
from .reach import Reach
from .tools import offered


def serve(reach: Reach, begin: Callable[[], None]) -> None:
    """Until standard input ends. What else writes to standard output goes to standard error meanwhile. `begin` is
    called when the client has said something: what takes long begins behind the first answer."""
    gc.disable()  # classes and modules stay: looking for garbage among them costs a tenth of the start
    greeting, lines = Greeting(offered(reach.writable)), Lines()

    def prepare() -> None:
        beginning = threading.Thread(target=begin, name="ragstone-open", daemon=True)
        beginning.start()
        from . import session  # noqa: F401 - the protocol's package

        beginning.join()
        gc.freeze()
        gc.enable()

    preparing = threading.Thread(target=prepare, name="ragstone-prepare", daemon=True)
    with _wire() as (source, sink):
        waiting = _greet(source, sink, lines, greeting, preparing)
        if waiting:
            from .session import serve  # waits for the import that was begun

            serve(reach, source, sink, lines, greeting, waiting)
    if preparing.ident is not None:
        preparing.join()


def _greet(
    source: BinaryIO, sink: BinaryIO, lines: Lines, greeting: Greeting, preparing: threading.Thread
) -> list[bytes | None]:
    """Gives the lines that the greeting has no answer for; none at the end of input."""
    while block := source.read(BLOCK):
        come = list(lines.of(block))
        for n, line in enumerate(come):
            said = greeting.answer(line)
            if said:
                write(sink, said)
            if preparing.ident is None:
                preparing.start()
            if said is None:
                return come[n:]
    return []


@contextlib.contextmanager
def _wire() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The client's two ends, which nothing else in the process can reach."""
    with os.fdopen(os.dup(0), "rb", buffering=0) as source, os.fdopen(os.dup(1), "wb", buffering=0) as sink:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        yield source, sink
