"""Uploads while the processes that take them and the workers that read them are killed: each upload that was
acknowledged ends up searchable, once, in the version that was sent last."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..assemble import open_queue
from ..jobs.uploads import Uploads
from ..protocols import Queue
from ..storage.layout import UPLOADS as FOLDER
from .job_process import COLLECTION, using
from .report import Report, Run
from .texts import mark, text
from .workload import open_folder, settings

UPLOADS: Final = 100
"""In a cycle."""
WORKERS: Final = 2
MOST_SECONDS: Final = 300.0
Sent = tuple[str, int]
"""uri and version."""


def jobs(run: Run, *, uploads: int = UPLOADS) -> Report:
    """In a cycle clients send `uploads` files, a fifth of them new versions of earlier ones, to a process that is
    killed now and then, and send again what was not acknowledged. Workers are killed and frozen meanwhile."""
    data = run.folder / "data"
    latest: dict[str, int] = {}

    def cycle(number: int, report: Report) -> None:
        chance = random.Random(f"{run.seed} {number}")
        todo: list[Sent] = []
        for place in range(uploads):
            known = sorted(latest) if chance.random() < 0.2 else []
            uri = chance.choice(known) if known else f"/{number}/{place}.txt"
            latest[uri] = latest.get(uri, 0) + 1
            todo.append((uri, latest[uri]))
        round_ = _Round(data, f"{run.seed} {number}", chance, report)
        problems = round_.send(todo)
        problems += _finish(data)
        problems += _check(data, latest, round_.acknowledged)
        report.add("uploads acknowledged", len(round_.acknowledged))
        if problems:
            report.fail(number, "killed senders and workers", problems)

    return run.go("jobs", cycle, first=run.only or 0)


class _Round:
    def __init__(self, data: Path, name: str, chance: random.Random, report: Report) -> None:
        self.acknowledged: dict[Sent, str] = {}
        self._data = data
        self._name = name
        self._chance = chance
        self._report = report
        self._workers: list[subprocess.Popen[str]] = []
        self._sending = threading.Event()

    def send(self, todo: list[Sent]) -> list[str]:
        """Versions of one document are sent one after the other, as one client would."""
        deadline = time.monotonic() + MOST_SECONDS
        waves: list[list[Sent]] = []
        for sent in todo:
            place = next((n for n, wave in enumerate(waves) if all(sent[0] != uri for uri, _ in wave)
                          and not any(sent[0] == uri for later in waves[n:] for uri, _ in later)), None)  # fmt: skip
            if place is None:
                waves.append([sent])
            else:
                waves[place].append(sent)
        try:
            while len(self._workers) < WORKERS:
                self._workers.append(self._started("worker"))
            for wave in waves:
                while left := [sent for sent in wave if sent not in self.acknowledged]:
                    if time.monotonic() > deadline:
                        return [f"{len(left)} uploads were not acknowledged in {MOST_SECONDS:.0f} seconds"]
                    self._send(left)
        finally:
            for worker in self._workers:
                worker.kill()
                worker.wait()
                self._report.add("workers killed")
        return []

    def _send(self, left: list[Sent]) -> None:
        self._sending.clear()
        sender = self._started("sender")
        reader = threading.Thread(target=self._read, args=(sender,))
        reader.start()
        with suppress(BrokenPipeError):
            assert sender.stdin is not None  # noqa: S101 - it was asked for
            for uri, version in left:
                sender.stdin.write(json.dumps([uri, version, f"{self._name} {uri} {version}"]) + "\n")
            sender.stdin.close()
        until = float("inf")
        life = self._chance.uniform(0.05, 1.0)
        while sender.poll() is None:
            time.sleep(self._chance.uniform(0.05, 0.3))
            self._trouble()
            if self._sending.is_set() and until == float("inf"):
                until = time.monotonic() + life  # starting took as long as it took
            if time.monotonic() > until and sender.poll() is None:
                sender.kill()
                self._report.add("senders killed")
        sender.wait()
        reader.join()

    def _read(self, sender: subprocess.Popen[str]) -> None:
        assert sender.stdout is not None  # noqa: S101 - it was asked for
        for line in sender.stdout:
            if line == "ready\n":
                self._sending.set()
            elif line.endswith("\n"):
                uri, version, id_ = json.loads(line)
                self.acknowledged[uri, version] = id_

    def _trouble(self) -> None:
        """Kills a worker, or freezes it for longer than its lease."""
        slot = self._chance.randrange(WORKERS)
        worker, fate = self._workers[slot], self._chance.random()
        if fate < 0.15:
            worker.kill()
            worker.wait()
            self._report.add("workers killed")
            self._workers[slot] = self._started("worker")
        elif fate < 0.25:
            worker.send_signal(signal.SIGSTOP)
            threading.Timer(self._chance.uniform(0.1, 3.0), worker.send_signal, [signal.SIGCONT]).start()
            self._report.add("workers frozen")

    def _started(self, role: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ragstone.stress.job_process", role, str(self._data)],
            stdin=subprocess.PIPE if role == "sender" else subprocess.DEVNULL,
            stdout=subprocess.PIPE if role == "sender" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def _finish(data: Path) -> list[str]:
    """One worker that nobody kills does what is left."""
    queue = open_queue(settings(data))
    try:
        with using(data) as worker:
            deadline = time.monotonic() + MOST_SECONDS
            while any(queue.counts()[state] for state in ("queued", "running")):
                if time.monotonic() > deadline:
                    return [f"jobs were not done in {MOST_SECONDS:.0f} seconds: {queue.counts()}"]
                worker.one(wait=1.0)
        Uploads(data).sweep(queue.wanted)
    finally:
        queue.close()
    return []


def _check(data: Path, latest: dict[str, int], acknowledged: dict[Sent, str]) -> list[str]:
    queue = open_queue(settings(data))
    try:
        problems = _jobs(queue, acknowledged)
    finally:
        queue.close()
    left = list((data / FOLDER).iterdir())
    if left:
        problems.append(f"{len(left)} uploads are still on the disk")
    with open_folder(data) as kb:
        stored = {document.uri: document for document in kb.documents(COLLECTION)}
        if set(stored) != set(latest):
            problems.append(f"{len(stored)} documents are stored, {len(latest)} were acknowledged")
        for uri, version in latest.items():
            if uri not in stored:
                problems.append(f"{uri} is missing")
            elif kb.text(uri, COLLECTION) != text(uri, version):
                problems.append(f"{uri} is not version {version}")
            else:
                found = kb.search(mark(uri, version), collections=[COLLECTION], mode="lexical")
                if {hit.chunk.uri for hit in found.hits} != {uri}:
                    problems.append(f"{uri} is found as {sorted({hit.chunk.uri for hit in found.hits})}")
        problems.extend(kb.verify().problems)
    return problems[:20]


def _jobs(queue: Queue, acknowledged: dict[Sent, str]) -> list[str]:
    problems = []
    if len(set(acknowledged.values())) != len(acknowledged):
        problems.append("two uploads have one job")
    for (uri, version), id_ in acknowledged.items():
        job = queue.get(id_)
        if job.state != "done":
            problems.append(f"the job of {uri} version {version} is {job.state}: {job.failures[-1:]}")
    return problems
