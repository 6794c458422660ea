"""Figures that are looked up when somebody asks: processes, data, budgets. Each function is a source of `Metrics`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil

from ..errors import RagstoneError
from ..observe.instruments import Kind

if TYPE_CHECKING:
    from ..bridge import Bridge
    from ..knowledge_base import KnowledgeBase
    from ..protocols import Queue
    from .accounts import Accounts

KEPT_SECONDS: Final = 30.0
"""How long figures are told again that cost more than a look."""

ACTIVE_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    value: float
    labels: Mapping[str, str]


Source = Callable[[], Iterable[Sample]]

FIGURES: Final[dict[str, tuple[Kind, str]]] = {
    "ragstone_up": ("gauge", "1: this source of figures works."),
    "ragstone_processes": ("gauge", "Server processes that are alive."),
    "ragstone_process_cpu_seconds_total": ("counter", "CPU time of a server process and of what it started."),
    "ragstone_process_resident_bytes": ("gauge", "Resident memory of a server process and of what it started."),
    "ragstone_process_threads": ("gauge", "Threads of a server process."),
    "ragstone_process_open_files": ("gauge", "Open descriptors of a server process."),
    "ragstone_machine_memory_bytes": ("gauge", "Memory of the machine."),
    "ragstone_machine_memory_available_bytes": ("gauge", "Memory of the machine that is free to be used."),
    "ragstone_data_free_bytes": ("gauge", "Free space on the disk of the data folder."),
    "ragstone_data_writable": ("gauge", "1: documents can be added."),
    "ragstone_collection_documents": ("gauge", "Documents of a collection."),
    "ragstone_collection_chunks": ("gauge", "Chunks of a collection: embedded, waiting for a vector."),
    "ragstone_index_bytes": ("gauge", "Index files of a collection."),
    "ragstone_index_unsealed_rows": ("gauge", "Rows of a collection's word index that stand in no file yet."),
    "ragstone_index_behind": ("gauge", "Writes that a collection's indexes have not seen yet."),
    "ragstone_budget_limit_dollars": ("gauge", "What may be spent in a period."),
    "ragstone_budget_spent_dollars": ("gauge", "What was spent in a period, with what is held for calls under way."),
    "ragstone_jobs": ("gauge", "Jobs by state."),
    "ragstone_jobs_oldest_seconds": ("gauge", "How long the oldest job that waits has waited."),
    "ragstone_active_keys": ("gauge", "Keys that were used in the last five minutes."),
    "ragstone_lane_busy": ("gauge", "Requests that run or wait in a lane of one process."),
    "ragstone_budget_left_dollars": ("gauge", "What may still be spent in a period."),
}
"""Kind and meaning by name; where other modules give samples of their own, they add them."""


def processes(pids: Iterable[int]) -> Iterator[Sample]:
    """Of server processes, each with the readers and models that it started."""
    count = 0
    for pid in pids:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(pid)
            for role, cpu, resident in _family(process):
                labels = {"pid": str(pid), "role": role}
                yield Sample("ragstone_process_cpu_seconds_total", cpu, labels)
                yield Sample("ragstone_process_resident_bytes", resident, labels)
            yield Sample("ragstone_process_threads", process.num_threads(), {"pid": str(pid)})
            yield Sample("ragstone_process_open_files", process.num_fds(), {"pid": str(pid)})
            count += 1
    memory = psutil.virtual_memory()
    yield Sample("ragstone_processes", count, {})
    yield Sample("ragstone_machine_memory_bytes", memory.total, {})
    yield Sample("ragstone_machine_memory_available_bytes", memory.available, {})


def _family(process: psutil.Process) -> Iterator[tuple[str, float, float]]:
    """Role, CPU seconds, resident bytes: of the server itself, and together of what it started."""
    with process.oneshot():
        times = process.cpu_times()
        yield "server", times.user + times.system, process.memory_info().rss
    cpu = times.children_user + times.children_system
    resident = 0
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied), child.oneshot():
            spent = child.cpu_times()
            cpu += spent.user + spent.system
            resident += child.memory_info().rss
    yield "started", cpu, resident


def data(use: Callable[[], AbstractContextManager[KnowledgeBase]]) -> Source:
    """Collections, indexes and disk of one knowledge base."""

    def look() -> Iterator[Sample]:
        with use() as knowledge_base:
            yield from _data(knowledge_base)

    return kept(look)


def _data(knowledge_base: KnowledgeBase) -> Iterator[Sample]:
    store = knowledge_base.store
    yield Sample("ragstone_data_free_bytes", psutil.disk_usage(str(store.folder)).free, {})
    try:
        store.require_room()
        writable = 1
    except RagstoneError:
        writable = 0
    yield Sample("ragstone_data_writable", writable, {})
    for name in store.collections():
        labels = {"collection": name}
        with suppress(RagstoneError):  # dropped meanwhile
            status = knowledge_base.collection(name)
            yield Sample("ragstone_collection_documents", status.documents, labels)
            yield Sample("ragstone_collection_chunks", status.embedded, {**labels, "state": "embedded"})
            yield Sample("ragstone_collection_chunks", status.waiting, {**labels, "state": "waiting"})
            segments = store.segments(name)
            for kind in ("lexical", "vectors"):
                size = sum(s.size for s in segments if s.kind == kind)
                yield Sample("ragstone_index_bytes", size, {**labels, "kind": kind})
            index = knowledge_base.index(name)
            yield Sample("ragstone_index_unsealed_rows", index.lexical.tail_size(), labels)
            yield Sample("ragstone_index_behind", max(0, store.revision(name) - index.at()[0]), labels)


def budgets(figures: Callable[[], list[dict[str, Any]]]) -> Source:
    """Budgets of all together and of teams; persons and keys are too many, and nobody else's business."""

    def look() -> Iterator[Sample]:
        for figure in figures():
            if figure["budget"].startswith(("person", "key")):
                continue
            labels = {"budget": figure["budget"]}
            yield Sample("ragstone_budget_spent_dollars", figure["spent"] + figure["held"], labels)
            if figure["limit"] is not None:
                yield Sample("ragstone_budget_limit_dollars", figure["limit"], labels)
                yield Sample("ragstone_budget_left_dollars", figure["left"], labels)

    return kept(look)


def jobs(queue: Queue) -> Source:
    def look() -> Iterator[Sample]:
        for state, count in queue.counts().items():
            yield Sample("ragstone_jobs", count, {"state": state})
        oldest = queue.oldest()
        yield Sample("ragstone_jobs_oldest_seconds", 0.0 if oldest is None else max(0.0, time.time() - oldest), {})

    return look


def keys(accounts: Accounts) -> Source:
    """Keys that were used lately stand for people."""

    def look() -> Iterator[Sample]:
        since = time.time() - ACTIVE_SECONDS
        yield Sample("ragstone_active_keys", sum((key.used or 0.0) >= since for key in accounts.list_keys()), {})

    return look


def lanes(bridge: Bridge) -> Source:
    """Of the process that is asked."""

    def look() -> Iterator[Sample]:
        for lane in bridge.lanes():
            yield Sample("ragstone_lane_busy", lane.busy, {"lane": lane.name, "pid": str(os.getpid())})

    return look


def kept(source: Source, seconds: float = KEPT_SECONDS) -> Source:
    """The same samples, looked up at most every so many seconds."""
    held: list[Sample] = []
    at = -seconds

    def look() -> Iterable[Sample]:
        nonlocal held, at
        if time.monotonic() - at >= seconds:
            held = list(source())
            at = time.monotonic()
        return held

    return look
