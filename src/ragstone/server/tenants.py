"""Each tenant has a data folder of its own: nothing that one stores, counts or caches is in reach of another."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import NotFound
from ..knowledge_base import KnowledgeBase
from ..storage.layout import TENANTS
from .accounts import DEFAULT_TENANT


def tenant_folder(data: Path, tenant: str) -> Path:
    """The default tenant's is the data folder itself. Tenants' ids are made by the server, never by a request."""
    return data if tenant == DEFAULT_TENANT else data / TENANTS / tenant


class Tenants:
    """Open knowledge bases, the one used last kept longest. One that is in use is never closed."""

    def __init__(self, open_at: Callable[[Path], KnowledgeBase], data: Path, most: int) -> None:
        self._open_at = open_at
        self._data = data
        self._most = most
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Held] = OrderedDict()

    def peek(self, tenant: str) -> KnowledgeBase | None:
        """The one that is open already; for the event loop, which does not wait for one to open, and only until it
        next waits for anything."""
        held = self._open.get(tenant)
        return held.kb if held is not None else None

    @contextlib.contextmanager
    def use(self, tenant: str) -> Iterator[KnowledgeBase]:
        """In a thread of a lane. Raises StoreError."""
        with self._lock:
            held = self._open.get(tenant)
            if held is None:
                held = self._open[tenant] = _Held()
            self._open.move_to_end(tenant)
            held.users += 1
        try:
            yield held.opened(lambda: self._open_at(tenant_folder(self._data, tenant)))
        finally:
            for idle in self._release(tenant, held):
                idle.close()

    def _release(self, tenant: str, held: _Held) -> list[_Held]:
        """Those that have to go."""
        with self._lock:
            held.users -= 1
            if held.kb is None and not held.users:  # it could not be opened: the next one tries again
                self._open.pop(tenant, None)
            going = []
            for name in list(self._open):
                if len(self._open) <= self._most:
                    break
                if not self._open[name].users:
                    going.append(self._open.pop(name))
            return going

    def forget(self, tenant: str) -> None:
        """The tenant is gone. Whoever uses its data now may finish. Raises NotFound where it is busy."""
        with self._lock:
            held = self._open.get(tenant)
            if held is not None and held.users:
                raise NotFound("the tenant's data are in use.", "Try again in a moment.")
            self._open.pop(tenant, None)
        if held is not None:
            held.close()

    def opened(self) -> int:
        return len(self._open)

    def close(self) -> None:
        with self._lock:
            held, self._open = list(self._open.values()), OrderedDict()
        with contextlib.ExitStack() as stack:
            for one in held:
                stack.callback(one.close)


class _Held:
    def __init__(self) -> None:
        self.kb: KnowledgeBase | None = None
        self.users = 0
        self._lock = threading.Lock()

    def opened(self, make: Callable[[], KnowledgeBase]) -> KnowledgeBase:
        with self._lock:
            if self.kb is None:
                self.kb = make()
            return self.kb

    def close(self) -> None:
        with self._lock:
            kb, self.kb = self.kb, None
        if kb is not None:
            kb.close()
