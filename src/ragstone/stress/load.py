"""Requests at a fixed rate against a running server, whether it keeps up or not.

Each request has a moment at which it is due. Its latency counts from that moment, not from when it could be sent: a
server that stands still for a second is charged that second for every request that was due meanwhile (no coordinated
omission). Connections stay open and are used again; a request that finds none idle opens one, up to `connections`, and
waits beyond. With `clients` so many are open from the beginning and take turns, as people do who ask now and then.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ..errors import InputError
from .texts import text

KINDS: Final = ("search", "ask", "upload")
TIMEOUT_SECONDS: Final = 30.0
CONNECTIONS: Final = 500
QUESTIONS: Final = ("pressure of the valve", "oil level of the pump", "Druck am Ventil", "alarm of the sensor")
_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Load:
    """`mix` are weights of KINDS. `fresh`: every question is a new one, so that no cache answers it."""

    url: str
    key: str = ""
    rate: float = 50.0
    seconds: float = 10.0
    mix: tuple[float, float, float] = (0.9, 0.08, 0.02)
    collection: str = "default"
    questions: Sequence[str] = QUESTIONS
    fresh: bool = False
    seed: int = 1
    connections: int = CONNECTIONS
    clients: int = 0


@dataclass(slots=True)
class Sample:
    """One request; seconds. `due` counts from the beginning, `late` is how long after it the request was sent."""

    kind: str
    due: float
    late: float = 0.0
    latency: float = 0.0
    status: int = 0
    """0: no answer."""


@dataclass(slots=True)
class Measured:
    load: Load
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    machine_load: tuple[float, float] = (0.0, 0.0)
    """Processes that wanted to run, the mean of a minute (of the machine that sends), at the beginning and the end."""

    def table(self) -> dict[str, dict[str, float]]:
        """Figures of each kind and of `all`; latencies are milliseconds."""
        groups = {kind: [s for s in self.samples if s.kind == kind] for kind in KINDS}
        return {name: figures(group, self.seconds) for name, group in [("all", self.samples), *groups.items()] if group}

    def statuses(self) -> dict[str, int]:
        """Answers by status; `none`: no answer."""
        return dict(sorted(Counter(str(s.status) if s.status else "none" for s in self.samples).items()))


def figures(samples: Sequence[Sample], seconds: float) -> dict[str, float]:
    """Latencies of answers below 400; 429 and 503 are `refused`, all others are `errors`."""
    good = sorted(s.latency for s in samples if 0 < s.status < 400)
    refused = sorted(s.latency for s in samples if s.status in (429, 503))
    found = {
        "requests": float(len(samples)),
        "per second": len(good) / seconds if seconds else 0.0,
        "refused": float(len(refused)),
        "refused p99": 1_000 * quantile(refused, 0.99),
        "errors": float(len(samples) - len(good) - len(refused)),
        "sent late p99": 1_000 * quantile(sorted(s.late for s in samples), 0.99),
    }
    return found | {
        name: 1_000 * quantile(good, share)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
    }


def quantile(rising: Sequence[float], share: float) -> float:
    """The smallest value that at least that share does not exceed; 0 of nothing."""
    return rising[max(0, min(len(rising) - 1, -int(-share * len(rising) // 1) - 1))] if rising else 0.0


def load(load: Load) -> Measured:
    """Raises InputError for an address that is not http://HOST[:PORT], OSError where `clients` cannot connect."""
    parts = urlsplit(load.url)
    if parts.scheme != "http" or not parts.hostname:
        raise InputError(f"{load.url!r} is not an address of the kind http://HOST:PORT.")
    return asyncio.run(_Client(load, parts.hostname, parts.port or 80).run())


class _Client:
    def __init__(self, load: Load, host: str, port: int) -> None:
        self._load = load
        self._host, self._port = host, port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._slots = asyncio.Semaphore(load.clients or load.connections)
        self._chance = random.Random(load.seed)

    async def run(self) -> Measured:
        wanted = int(self._load.rate * self._load.seconds)
        kinds = self._chance.choices(KINDS, self._load.mix, k=wanted)
        measured = Measured(self._load, [Sample(kind, n / self._load.rate) for n, kind in enumerate(kinds)])
        requests = [self._request(n, sample.kind) for n, sample in enumerate(measured.samples)]
        load_before = _machine_load()
        for _ in range(self._load.clients):
            self._idle.append(await self._connect())
        begun = time.perf_counter()
        tasks = []
        for sample, request in zip(measured.samples, requests, strict=True):
            wait = begun + sample.due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.ensure_future(self._one(sample, request, begun)))
        await asyncio.gather(*tasks)
        measured.seconds = time.perf_counter() - begun
        measured.machine_load = load_before, _machine_load()
        for _, writer in self._idle:
            writer.close()
        return measured

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, limit=_PIECE)

    def _request(self, number: int, kind: str) -> bytes:
        question = self._chance.choice(self._load.questions)
        if self._load.fresh:
            question = f"{question} {self._load.seed}{number}"
        path, kind_of, body = "/v1/search", "application/json", b""
        if kind == "upload":
            uri = f"load-{self._load.seed}-{number}.txt"
            path, kind_of = f"/v1/collections/{self._load.collection}/documents?uri={uri}", "text/plain"
            body = text(uri, 1).encode()
        elif kind == "ask":
            path, body = "/v1/ask", json.dumps({"question": question, "collections": [self._load.collection]}).encode()
        else:
            body = json.dumps({"query": question, "collections": [self._load.collection]}).encode()
        key = f"Authorization: Bearer {self._load.key}\r\n" if self._load.key else ""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{key}Content-Type: {kind_of}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _one(self, sample: Sample, request: bytes, begun: float) -> None:
        try:
            async with self._slots, asyncio.timeout(TIMEOUT_SECONDS):
                sample.late = time.perf_counter() - begun - sample.due
                sample.status = await self._exchange(request)
        except (OSError, EOFError, TimeoutError, ValueError):
            sample.status = 0
        sample.latency = time.perf_counter() - begun - sample.due

    async def _exchange(self, request: bytes) -> int:
        """One request and its answer; gives the status."""
        if self._idle:
            reader, writer = self._idle.popleft() if self._load.clients else self._idle.pop()
        else:
            reader, writer = await self._connect()
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            status = int(head.split(" ", 2)[1])
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if "content-length" in fields:
                await reader.readexactly(int(fields["content-length"]))
            elif "chunked" in fields.get("transfer-encoding", ""):
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            else:
                fields["connection"] = "close"
        except BaseException:
            writer.close()
            raise
        if fields.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return status


def _machine_load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def read_questions(file: Path) -> list[str]:
    """One a line. Raises InputError."""
    try:
        found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.", "Give a text file in UTF-8.") from error
    if not found:
        raise InputError(f"{file} holds no question.", "Write one a line.")
    return found
