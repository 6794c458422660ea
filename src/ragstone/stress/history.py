"""What was asked of a data folder and what was acknowledged, and therefore what may be found in it.

A journal is a file of JSON lines that a working process appends to, outside of the data folder. A line is written
before a request is made (`begin`) and after it was answered (`done`, `failed`); a killed process leaves requests of
which nobody knows whether they took effect. Times are those of the machine's monotonic clock, which all its processes
share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import RagstoneError


class Key(NamedTuple):
    collection: str
    uri: str


class Line(msgspec.Struct, omit_defaults=True):
    """`changes` maps uris to the version asked for, None for a removal. `whole`: all of it or nothing takes effect.
    `stands`: of `changes`, what stands on a document of the collection `on` (its uri) and goes with it. `done` with
    `uris` answers for these only."""

    kind: str
    process: int
    request: int
    at: float
    collection: str = ""
    changes: dict[str, int | None] = {}
    whole: bool = False
    stands: dict[str, str] = {}
    on: str = ""
    uris: list[str] = []
    text: str = ""


class Journal:
    """The writing side. Each line is one write call, so a kill leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._process = os.getpid()
        self._request = 0

    def begin(
        self,
        collection: str,
        changes: Mapping[str, int] | Mapping[str, None],
        *,
        whole: bool = False,
        stands: Mapping[str, str] | None = None,
        on: str = "",
    ) -> int:
        self._request += 1
        self._write(
            Line(
                "begin", self._process, self._request, time.monotonic(), collection, dict(changes), whole,
                dict(stands or {}), on,
            )
        )  # fmt: skip
        return self._request

    @contextmanager
    def failing(self, request: int) -> Iterator[None]:
        """Inside, an error of Ragstone is written down as the request's."""
        try:
            yield
        except RagstoneError:
            self.failed(request)
            raise

    def done(self, request: int, uris: Iterable[str]) -> None:
        self._write(Line("done", self._process, request, time.monotonic(), uris=list(uris)))

    def failed(self, request: int) -> None:
        """The request raised an error: what of it was not acknowledged may have taken effect or not."""
        self._write(Line("failed", self._process, request, time.monotonic()))

    def embedded(self, collection: str, since: float) -> None:
        """Everything that was acknowledged in the collection before `since` has its vector."""
        self._write(Line("embedded", self._process, 0, since, collection))

    def problem(self, text: str) -> None:
        """The working process itself saw something wrong."""
        self._write(Line("problem", self._process, 0, time.monotonic(), text=text))

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: Line) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")


@dataclass(slots=True)
class _Attempt:
    version: int | None
    begun: float
    ended: float = float("inf")
    acknowledged: bool = False


@dataclass(slots=True)
class _Request:
    process: int
    collection: str
    whole: bool
    attempts: dict[Key, _Attempt]


@dataclass(slots=True)
class History:
    """The reading side."""

    acknowledged: int = 0
    """Documents whose addition, change or removal was acknowledged."""
    problems: list[str] = field(default_factory=list)
    _settled: dict[Key, int | None] = field(default_factory=dict)
    _open: dict[Key, list[_Attempt]] = field(default_factory=dict)
    _requests: dict[tuple[int, int], _Request] = field(default_factory=dict)
    _standing: dict[Key, set[Key]] = field(default_factory=dict)
    """By document, what was told to stand on it."""
    _embedded: set[Key] = field(default_factory=set)
    _offsets: dict[Path, int] = field(default_factory=dict)

    def read(self, *paths: Path) -> None:
        """Takes in what was appended to journals since the last call, in the order of time."""
        lines: list[Line] = []
        for path in paths:
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._offsets[path] = self._offsets.get(path, 0) + whole
            lines += msgspec.json.Decoder(Line).decode_lines(data[:whole])
        for line in sorted(lines, key=lambda line: line.at):
            self._take(line)

    def _take(self, line: Line) -> None:
        known = self._requests.get((line.process, line.request))
        if line.kind == "begin":
            attempts = {Key(line.collection, uri): _Attempt(v, line.at) for uri, v in line.changes.items()}
            for key in [key for key, attempt in attempts.items() if attempt.version is None]:
                attempts |= {other: _Attempt(None, line.at) for other in self._standing_on(key)}
            for uri, document in line.stands.items():
                self._standing.setdefault(Key(line.on, document), set()).add(Key(line.collection, uri))
            request = _Request(line.process, line.collection, line.whole and len(attempts) > 1, attempts)
            self._requests[line.process, line.request] = request
            for key, attempt in attempts.items():
                self._open.setdefault(key, []).append(attempt)
                self._embedded.discard(key)
        elif line.kind == "done" and known is not None:
            for uri in line.uris:
                key = Key(known.collection, uri)
                for attempt in _answered(known.attempts, key, self._standing_on(key)):
                    attempt.ended, attempt.acknowledged = line.at, True
            self.acknowledged += len(line.uris)
        elif line.kind == "failed" and known is not None:
            _end(known, line.at)
        elif line.kind == "embedded":
            self._embedded |= {
                key for key in self.keys() if key.collection == line.collection and self._stood(key, line.at)
            }
        elif line.kind == "problem":
            self.problems.append(line.text)

    def died(self, process: int) -> None:
        """The process is gone: its open requests take no effect from now on."""
        now = time.monotonic()
        for request in self._requests.values():
            if request.process == process:
                _end(request, now)

    def keys(self) -> set[Key]:
        """Every document that was ever asked for, apart from those that are settled as removed."""
        return {key for key, version in self._settled.items() if version is not None} | self._open.keys()

    def touched(self) -> set[Key]:
        """Documents with requests since the last `settle`."""
        return set(self._open)

    def allowed(self, key: Key) -> set[int | None]:
        """The versions (None: absent) that may be found now: of those asked for, each that no acknowledged request
        followed which began after it had ended."""
        settled = _Attempt(self._settled.get(key), float("-inf"), float("-inf"), True)
        attempts = [settled, *self._open.get(key, ())]
        last = max(attempt.begun for attempt in attempts if attempt.acknowledged)
        return {attempt.version for attempt in attempts if attempt.ended >= last}

    def replaced(self, key: Key) -> set[int]:
        """Versions that nobody may find any more."""
        attempted = {self._settled.get(key), *(attempt.version for attempt in self._open.get(key, ()))}
        return {version for version in attempted - self.allowed(key) if version is not None}

    def embedded(self) -> set[Key]:
        """Documents that must have all their vectors."""
        return self._embedded & self.keys()

    def settle(self, found: Mapping[Key, int]) -> list[str]:
        """Takes what was found as what is there. Returns requests that took effect by half."""
        halves = []
        for request in self._requests.values():
            if request.whole and not any(attempt.acknowledged for attempt in request.attempts.values()):
                took = [found.get(key) == attempt.version for key, attempt in request.attempts.items()]
                alone = all(len(self._open.get(key, ())) == 1 for key in request.attempts)
                if alone and any(took) and not all(took):
                    halves.append(f"one request for {len(took)} documents took effect for {sum(took)} of them")
        for key in self._open:
            self._settled[key] = found.get(key)
        self._open.clear()
        self._requests.clear()
        return halves

    def _standing_on(self, document: Key) -> set[Key]:
        """What was told to stand on it and may be there."""
        return self._standing.get(document, set()) & self.keys()

    def _stood(self, key: Key, at: float) -> bool:
        """Whether the document was there before `at` and nobody asked for a change since."""
        allowed = self.allowed(key)
        return len(allowed) == 1 and None not in allowed and all(a.ended < at for a in self._open.get(key, ()))


def _answered(attempts: Mapping[Key, _Attempt], key: Key, standing: Iterable[Key]) -> Iterator[_Attempt]:
    """The attempt of a key, and of a removed document those of what stood on it."""
    yield attempts[key]
    if attempts[key].version is None:
        yield from (attempts[other] for other in standing if other in attempts)


def _end(request: _Request, at: float) -> None:
    for attempt in request.attempts.values():
        attempt.ended = min(attempt.ended, at)
