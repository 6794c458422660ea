"""Many MCP clients at once on one folder, half of them with processes of their own and half over one HTTP server: what
was acknowledged is there, once, and found by whoever wrote it."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..assemble import open_knowledge_base
from ..errors import RagstoneError
from ..memory_types import GENERAL
from ..settings import Settings, at, load
from .mcp_clients import Client, HttpClient, Server, StdioClient
from .report import Report, Run

DOCUMENTS: Final = 500
ITEMS: Final = 200
"""There before the clients come."""
MIX: Final = {"search": 45, "recall": 20, "timeline": 5, "remember": 20, "add_document": 10}
AGAIN: Final = 0.2
"""Share of what is told that another client was told before, under the same idempotency key."""
_THINGS: Final = ("pump", "boiler", "valve", "turbine", "crane", "lathe", "kiln", "press", "mill", "conveyor")
_PLACES: Final = ("Hamburg", "Leeds", "Graz", "Porto", "Turin", "Lyon", "Basel", "Gdansk", "Oslo", "Cork")
_DEEDS: Final = ("was repaired by", "is maintained by", "was ordered by", "was sold to", "is watched by")
_NAMES: Final = ("Anna", "Bela", "Carl", "Dora", "Emil", "Frida", "Gustav", "Hanna", "Igor", "Jana")


class Told:
    """What was acknowledged, by all clients."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.items: dict[str, tuple[str, set[str]]] = {}
        """Idempotency key → text, and ids that were given for it."""
        self.documents: dict[str, str] = {}
        self.seconds: dict[str, list[float]] = {}
        self.outcomes: Counter[str] = Counter()
        self.problems: list[str] = []


def mcp(run: Run, *, clients: int, rate: float, seconds: float) -> Report:
    """`rate`: calls a second of all clients together; each waits for its answer before it calls again."""

    def cycle(number: int, report: Report) -> None:
        data = run.folder / f"data-{number}"
        settings = at(data, load(None, {}, {}))
        _fill(settings, random.Random(f"{run.seed} {number}"))
        told = Told()
        _work(data, told, clients, rate, seconds, f"{run.seed} {number}")
        problems = [*told.problems, *_check(settings, told)]
        _figures(report, told, seconds)
        report.add("lost", sum(problem.startswith("lost") for problem in problems))
        report.add("duplicates", sum(problem.startswith("twice") for problem in problems))
        if problems:
            report.fail(number, f"{clients} clients", problems[:20])

    return run.go("mcp", cycle, first=run.only or 0)


def sentence(chance: random.Random, mark: str) -> str:
    what = f"The {chance.choice(_THINGS)} {mark} in {chance.choice(_PLACES)}"
    return f"{what} {chance.choice(_DEEDS)} {chance.choice(_NAMES)} for {chance.randint(100, 99_999)} euros."


def _fill(settings: Settings, chance: random.Random) -> None:
    with open_knowledge_base(settings) as kb:
        kb.add_texts(
            (f"made/{n}", "", " ".join(sentence(chance, f"m{n}x{part}") for part in range(6)), {})
            for n in range(DOCUMENTS)
        )
        kb.embed_pending()
        for n in range(ITEMS):
            kb.memory.remember(sentence(chance, f"k{n}"), idempotency_key=f"made {n}")


def _work(data: Path, told: Told, clients: int, rate: float, seconds: float, seed: str) -> None:
    server = Server(data)
    made: list[StdioClient | HttpClient] = []
    try:
        ready, begin = threading.Barrier(clients + 1), threading.Event()
        threads = []
        for place in range(clients):
            one = StdioClient(data) if place % 2 else server.client()
            made.append(one)
            arguments = (one, told, f"{seed} {place}", clients / rate, seconds, ready, begin)
            threads.append(threading.Thread(target=_client, args=arguments))
            threads[-1].start()
        ready.wait()
        begin.set()
        for thread in threads:
            thread.join()
    finally:
        for one in made:
            one.close()
        server.close()


def _client(
    client: StdioClient | HttpClient, told: Told, name: str, pause: float, seconds: float,
    ready: threading.Barrier, begin: threading.Event,
) -> None:  # fmt: skip
    chance = random.Random(name)
    try:
        client.hello()
        client.call("search", {"query": "turbine in Graz"})
        client.call("recall", {"question": "turbine in Graz"})
    except (RagstoneError, OSError, ValueError) as error:
        told.problems.append(f"client {name} could not begin: {error}")
    ready.wait()
    begin.wait()
    until = time.monotonic() + seconds
    due = time.monotonic() + chance.uniform(0, pause)
    count = 0
    while due < until:
        time.sleep(max(0.0, due - time.monotonic()))
        kind = chance.choices(list(MIX), list(MIX.values()))[0]
        count += 1
        try:
            _one(client, told, kind, chance, f"c{name.rpartition(' ')[2]}n{count}")
        except (RagstoneError, OSError, ValueError) as error:
            with told.lock:
                told.problems.append(f"error in {kind}: {error}")
        due = max(time.monotonic(), due + chance.uniform(0.5, 1.5) * pause)


def _one(client: Client, told: Told, kind: str, chance: random.Random, mark: str) -> None:
    text = sentence(chance, mark)
    if kind == "remember":
        with told.lock:
            known = sorted(told.items) if chance.random() < AGAIN else []
        key = chance.choice(known) if known else mark
        with told.lock:
            text = told.items[key][0] if key in told.items else text
        given = _timed(told, kind, client, {"text": text, "idempotency_key": key})
        with told.lock:
            told.items.setdefault(key, (text, set()))[1].add(given["item"]["id"])
            told.outcomes[given["outcome"]] += 1
        found = _timed(told, "recall", client, {"question": text, "k": 5})
        if not any(hit["item"]["id"] == given["item"]["id"] for hit in found["hits"]):
            with told.lock:
                told.problems.append(f"not found by its writer: {text}")
    elif kind == "add_document":
        _timed(told, kind, client, {"uri": f"told/{mark}", "text": text})
        with told.lock:
            told.documents[f"told/{mark}"] = text
        found = _timed(told, "search", client, {"query": mark, "k": 5})
        if not any(one["uri"] == f"told/{mark}" for one in found["passages"]):
            with told.lock:
                told.problems.append(f"not found by its writer: document {mark}")
    else:
        asking: dict[str, dict[str, Any]] = {
            "search": {"query": text}, "recall": {"question": text}, "timeline": {"limit": 10},
        }  # fmt: skip
        _timed(told, kind, client, asking[kind])


def _timed(told: Told, kind: str, client: Client, arguments: dict[str, Any]) -> Any:
    started = time.perf_counter()
    given = client.call(kind, arguments)
    spent = time.perf_counter() - started
    with told.lock:
        told.seconds.setdefault(kind, []).append(spent)
    return given


def _check(settings: Settings, told: Told) -> list[str]:
    problems = []
    with open_knowledge_base(settings) as kb:
        items, before = [], None
        while page := kb.memory.timeline(project=GENERAL, limit=100, before=before):
            items += page
            before = page[-1].at
        held = {item.id: item for item in items}
        texts = Counter(item.text for item in held.values())
        for text, ids in told.items.values():
            if len(ids) > 1:
                problems.append(f"twice: {text} was given the ids {', '.join(sorted(ids))}")
            if not ids & held.keys():
                problems.append(f"lost: {text}")
            if texts[text] > 1:
                problems.append(f"twice: {text} stands {texts[text]} times")
        stored = Counter(document.uri for document in kb.documents())
        for uri, text in told.documents.items():
            if not stored[uri] or kb.text(uri) != text:
                problems.append(f"lost: document {uri}")
            if stored[uri] > 1:
                problems.append(f"twice: document {uri}")
        problems += [f"verify: {problem}" for problem in kb.verify().problems]
    return problems


def _figures(report: Report, told: Told, seconds: float) -> None:
    every = [spent for times in told.seconds.values() for spent in times]
    for kind, times in (("all calls", every), *sorted(told.seconds.items())):
        report.add(f"{kind}: count", len(times))
        for share in (50, 95, 99):
            report.add(f"{kind}: p{share} ms", _quantile(times, share / 100) * 1000)
    report.add("calls a second", len(every) / seconds)
    for outcome, count in sorted(told.outcomes.items()):
        report.add(f"remembered: {outcome}", count)
    report.add("documents added", len(told.documents))


def _quantile(times: Sequence[float], share: float) -> float:
    """The smallest time that `share` of them do not exceed."""
    ordered = sorted(times)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
