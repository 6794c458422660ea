"""The processes that do a server's jobs, beside those that answer: reading and embedding take no time from answers."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..errors import RagstoneError
from ..jobs.uploads import Uploads
from ..jobs.worker import Worker
from ..measure.judge import JOBS
from ..observe.instruments import PAGE
from ..protocols import Queue
from ..storage.layout import tenant_folders
from .accounts import DEFAULT_TENANT
from .pages import FOLDER, Pages
from .service import ServerParts
from .tenants import Tenants, tenant_folder
from .vectors import WaitingVectors

RESTART_SECONDS: Final = 1.0
LONGEST_RESTART_SECONDS: Final = 60.0
"""Between two starts in a place whose processes end as soon as they start: each waits twice as long as the last."""
SHORT_LIFE_SECONDS: Final = 30.0
OPEN_TENANTS: Final = 4
UPKEEP_SECONDS: Final = 5.0
"""Between two looks for new collections."""
NICENESS: Final = 10
"""Of processes that do jobs: a tenth of the share of one that answers, where both want the processor
(docs/decisions/0021-speed.md)."""
PARENT_DEATH: Final = 1
"""PR_SET_PDEATHSIG."""

log = logging.getLogger(__name__)


def work(parts: ServerParts) -> None:
    """In a process of its own: does jobs until SIGTERM, and embeds what others left. The default tenant's data stay
    open: whoever adds to them from the command line leaves the vectors to this process."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    data = parts.settings.data.folder
    counted = Pages(data / FOLDER)
    counted.join(PAGE)
    tenants = Tenants(parts.open_upkeep, data, OPEN_TENANTS)
    queue = parts.open_queue()
    stop = threading.Event()
    upkeep = threading.Thread(target=_upkeep, args=(tenants, stop), name="ragstone-upkeep", daemon=True)
    upkeep.start()
    worker = Worker(
        queue,
        lambda tenant: tenants.use(tenant or DEFAULT_TENANT),
        lambda tenant: Uploads(tenant_folder(data, tenant or DEFAULT_TENANT)),
        handlers=JOBS,
        lease_seconds=parts.settings.jobs.lease_seconds,
        tidy=lambda: _sweep(data, queue),
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=worker.stop).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    vectors = WaitingVectors(data, tenants)
    if parts.settings.embedding.background:
        vectors.start()
    try:
        worker.run()
    finally:
        vectors.stop()
        stop.set()
        upkeep.join()
        tenants.close()
        queue.close()
        counted.leave()


def _sweep(data: Path, queue: Queue) -> None:
    """Uploads of requests and jobs that a kill cut off."""
    for place in ("", *tenant_folders(data)):
        Uploads(data / place).sweep(queue.wanted)


def _upkeep(tenants: Tenants, stop: threading.Event) -> None:
    """Keeps the default tenant's indexes and a reading process ready; embeds and merges in the background there."""
    while not stop.is_set():
        try:
            with tenants.use(DEFAULT_TENANT) as kb:
                kb.warm_reader()
                while not stop.is_set():
                    for name in kb.store.every_collection():
                        kb.index(name)
                    stop.wait(UPKEEP_SECONDS)
        except RagstoneError as error:
            log.warning("upkeep waits: %s", error)
            stop.wait(UPKEEP_SECONDS)


class Workers:
    """Starts `count` of them, and another one for each that ends. They end with this process, however that ends."""

    def __init__(self, make: Callable[[], ServerParts], count: int) -> None:
        self._make = make
        self._context = multiprocessing.get_context("spawn")
        self._stop = threading.Event()
        self._processes: list[Any] = [None] * count
        self._started = [0.0] * count
        self._ended: list[Any] = [None] * count  # of which the end was told
        self._pauses = [0.0] * count
        self._thread = threading.Thread(target=self._watch, name="ragstone-workers", daemon=True)

    def start(self) -> None:
        self._start_missing()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Those that do not end in time are killed: their jobs go to others, or are done at the next start."""
        self._stop.set()
        self._thread.join()
        running = [process for process in self._processes if process is not None]
        for process in running:
            process.terminate()
        for process in running:
            process.join(seconds)
            if process.is_alive():
                process.kill()
                process.join()

    def _watch(self) -> None:
        while not self._stop.wait(RESTART_SECONDS):
            self._start_missing()

    def _start_missing(self) -> None:
        for place, process in enumerate(self._processes):
            if process is not None and process.is_alive():
                continue
            if process is not None and not self._due(place, process.exitcode):
                continue
            self._started[place] = time.monotonic()
            self._processes[place] = self._context.Process(target=_child, args=(self._make, os.getpid()), daemon=False)
            self._processes[place].start()

    def _due(self, place: int, code: int) -> bool:
        """Whether another process is to be started there; the pause is told once."""
        now = time.monotonic()
        if self._processes[place] is not self._ended[place]:
            self._ended[place] = self._processes[place]
            failed = code > 0 and now - self._started[place] < SHORT_LIFE_SECONDS  # below 0 it was killed
            longer = min(LONGEST_RESTART_SECONDS, max(RESTART_SECONDS, 2 * self._pauses[place]))
            self._pauses[place] = longer if failed else 0.0
            self._started[place] = now
            log.error("a worker ended with %s; another one is started in %.0f s", code, self._pauses[place])
        return now - self._started[place] >= self._pauses[place]


def _child(make: Callable[[], ServerParts], parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGTERM)
    if os.getppid() == parent:  # else it ended before it could be followed
        work(make())
