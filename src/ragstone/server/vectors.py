"""Vectors for tenants whose data nobody has open: an upload that was done before a restart, or by a process that has
closed the tenant since.

Only processes that work embed, and of those one at a time in each data folder (embedding/turn.py).
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Final

from ..errors import RagstoneError
from ..storage.connect import DATABASE, connect_reader, let_go, mapped
from ..storage.layout import tenant_folders
from ..storage.migrations import queries
from .accounts import DEFAULT_TENANT
from .tenants import Tenants, tenant_folder

LOOK_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 60.0
"""A tenant whose vectors do not become more for so long gives way to the next one: its model cannot be had, or another
process makes them."""

log = logging.getLogger(__name__)


class WaitingVectors:
    """One thread. What is open already embeds by itself."""

    def __init__(self, data: Path, tenants: Tenants) -> None:
        self._data = data
        self._tenants = tenants
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ragstone-vectors", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            for tenant in (DEFAULT_TENANT, *(place.rpartition("/")[2] for place in tenant_folders(self._data))):
                if self._stop.is_set():
                    return
                try:
                    if self._tenants.peek(tenant) is None and self._waiting(tenant):
                        self._embed(tenant)
                except RagstoneError as error:
                    log.warning("vectors wait: %s", error)
            if self._stop.wait(LOOK_SECONDS):
                return

    def _embed(self, tenant: str) -> None:
        with self._tenants.use(tenant) as kb:
            kb.embed_soon()
            left, until = self._waiting(tenant), time.monotonic() + PATIENCE_SECONDS
            while left and time.monotonic() < until and not self._stop.wait(0.5):
                now = self._waiting(tenant)
                if now < left:
                    until = time.monotonic() + PATIENCE_SECONDS
                left = now

    def _waiting(self, tenant: str) -> int:
        """0.2 ms where nothing waits."""
        folder = tenant_folder(self._data, tenant)
        if not (folder / DATABASE).exists():
            return 0
        with mapped(folder):
            connection = connect_reader(folder)
            try:
                return int(connection.execute(queries()["count_every_waiting"]).get)
            finally:
                let_go(connection)
