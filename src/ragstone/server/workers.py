"""The processes that do a server's jobs, beside those that answer: reading and embedding take no time from answers."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from ..jobs.uploads import Uploads
from ..jobs.worker import Worker
from ..observe.instruments import PAGE
from .accounts import DEFAULT_TENANT
from .pages import FOLDER, Pages
from .service import ServerParts
from .tenants import Tenants, tenant_folder

RESTART_SECONDS: Final = 1.0
OPEN_TENANTS: Final = 4
PARENT_DEATH: Final = 1
"""PR_SET_PDEATHSIG."""

log = logging.getLogger(__name__)


def work(parts: ServerParts) -> None:
    """In a process of its own: does jobs until SIGTERM."""
    data = parts.settings.data.folder
    counted = Pages(data / FOLDER)
    counted.join(PAGE)
    tenants = Tenants(parts.open_at, data, OPEN_TENANTS)
    queue = parts.open_queue()
    worker = Worker(
        queue,
        lambda tenant: tenants.use(tenant or DEFAULT_TENANT),
        lambda tenant: Uploads(tenant_folder(data, tenant or DEFAULT_TENANT)),
        lease_seconds=parts.settings.jobs.lease_seconds,
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=worker.stop).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    try:
        worker.run()
    finally:
        tenants.close()
        queue.close()
        counted.leave()


class Workers:
    """Starts `count` of them, and another one for each that ends. They end with this process, however that ends."""

    def __init__(self, make: Callable[[], ServerParts], count: int) -> None:
        self._make = make
        self._context = multiprocessing.get_context("spawn")
        self._stop = threading.Event()
        self._processes: list[Any] = [None] * count
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
            if process is not None:
                log.error("a worker ended with %s; another one is started", process.exitcode)
            self._processes[place] = self._context.Process(target=_child, args=(self._make, os.getpid()), daemon=False)
            self._processes[place].start()


def _child(make: Callable[[], ServerParts], parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGTERM)
    if os.getppid() == parent:  # else it ended before it could be followed
        work(make())
