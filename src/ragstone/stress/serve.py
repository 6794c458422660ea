"""A whole server (supervisor, processes that answer, processes that work) killed while clients upload, remove, cancel
and run again: after each restart what was acknowledged is there, once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from ..assemble import open_knowledge_base, open_queue
from ..errors import StoreError
from ..jobs.uploads import Uploads
from ..settings import load
from ..storage.layout import UPLOADS as FOLDER
from .report import Report, Run
from .server_process import ServerProcess
from .texts import mark, text

UPLOADS: Final = 100
"""In a cycle."""
KILLS: Final = 3
"""Of the whole server, in a cycle; as many more of a single process."""
CLIENTS: Final = 8
COLLECTION: Final = "uploads"
MOST_SECONDS: Final = 300.0
ENDED: Final = ("done", "failed", "cancelled")
SETTINGS: Final = """
[embedding]
background = false
[server]
requests_per_minute = 0
failures_per_minute = 0
workers = 2
job_workers = 2
[jobs]
lease_seconds = 2
losses = 100
"""
"""A job is not given up because its workers were killed. Words are enough to find what was uploaded."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one client does with one document. `kind`: add, remove (after it was added), cancel (at once), broken
    (cannot be read, run again once)."""

    kind: str
    uri: str
    version: int
    key: str
    watched: bool
    repeated: bool


@dataclass(slots=True)
class World:
    """What was acknowledged. `may` are uris of which a removal or the end of a job was not told in time."""

    latest: dict[str, int] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    may: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    """Job ids by what they have to end as."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def serve(run: Run, *, uploads: int = UPLOADS, kills: int = KILLS) -> Report:
    """All cycles work on one growing folder."""
    data, config = run.folder / "data", run.folder / "config.toml"
    config.write_text(SETTINGS, encoding="utf-8")
    world = World()

    def cycle(number: int, report: Report) -> None:
        chance = random.Random(f"{run.seed} {number}")
        tasks = _tasks(number, uploads, world, chance, f"{run.seed} {number}")
        with ServerProcess(data, config) as server:
            problems = _Round(server, world, report, chance, kills).go(tasks)
            if not problems:
                problems = _finish(server, world) or _check(server, world, number, chance)
        problems += _check_folder(data, config)
        if problems:
            report.fail(number, "killed servers", problems[:20])

    return run.go("serve", cycle, first=run.only or 0)


def _tasks(number: int, count: int, world: World, chance: random.Random, name: str) -> list[Task]:
    """A document has one task in a cycle; a fifth are new versions of what is there."""
    tasks, used = [], set()
    known = sorted(world.latest)
    for place in range(count):
        draw = chance.random()
        kind = "remove" if draw < 0.08 else "cancel" if draw < 0.14 else "broken" if draw < 0.18 else "add"
        uri = f"{number}/{place}.{'pdf' if kind == 'broken' else 'txt'}"
        if kind in ("add", "remove") and known and chance.random() < 0.2:
            chosen = chance.choice(known)
            uri = uri if chosen in used else chosen
        used.add(uri)
        tasks.append(
            Task(kind, uri, world.latest.get(uri, 0) + 1, f"{name} {uri}", chance.random() < 0.2, chance.random() < 0.2)
        )
    return tasks


class _Round:
    def __init__(
        self, server: ServerProcess, world: World, report: Report, chance: random.Random, kills: int
    ) -> None:
        self._server = server
        self._world = world
        self._report = report
        self._chance = chance
        self._kills = kills
        self._done = 0
        self._problems: list[str] = []
        self._until = time.monotonic() + MOST_SECONDS

    def go(self, tasks: list[Task]) -> list[str]:
        points = sorted(self._chance.randrange(1, max(2, len(tasks))) for _ in range(2 * self._kills))
        whole = [place % 2 == 0 for place in range(len(points))]
        with ThreadPoolExecutor(CLIENTS) as pool:
            doing = [pool.submit(self._one, task) for task in tasks]
            while not all(future.done() for future in doing):
                time.sleep(0.005)
                if points and self._done >= points[0] and self._server.ready():
                    points.pop(0)
                    if whole.pop(0):
                        time.sleep(self._chance.uniform(0, 0.3))
                        self._server.kill()
                        self._add("servers killed")
                        self._server.start()
                    elif self._server.kill_one(self._chance):
                        self._add("single processes killed")
                if time.monotonic() > self._until:
                    self._server.kill()
                    break
        for future in doing:
            error = future.exception()
            if error is not None:
                self._problems.append(f"a client failed: {error!r}")
        return self._problems

    def _add(self, name: str) -> None:
        with self._world.lock:
            self._report.add(name)

    def _one(self, task: Task) -> None:
        with self._server.client() as client:
            job = self._upload(client, task)
            self._done += 1
            if job is None:
                return
            self._add("uploads acknowledged")
            if task.repeated:
                again = self._upload(client, task)
                self._add("requests repeated")
                if again != job:
                    self._problems.append(f"{task.uri}: a repeated request made another job")
            if task.kind == "cancel":
                self._cancel(client, task, job)
                return
            state = self._watch(client, job) if task.watched or task.kind != "add" else ""
            with self._world.lock:
                self._world.jobs[job] = "failed" if task.kind == "broken" else "done"
                if task.kind == "broken":
                    self._world.absent.add(task.uri)
                else:
                    self._world.latest[task.uri] = task.version
                    self._world.absent.discard(task.uri)
                    self._world.may.pop(task.uri, None)
            if task.kind == "broken" and state == "failed":
                self._asked(client, "POST", f"/v1/jobs/{job}/retry", fine=(200, 409))  # 409: it was heard before
                self._add("dead letters run again")
            if task.kind == "remove" and state == "done":
                self._remove(client, task)

    def _upload(self, client: httpx2.Client, task: Task) -> str | None:
        body = b"%PDF-1.7 this is none" if task.kind == "broken" else text(task.uri, task.version).encode()
        answer = self._asked(
            client, "POST", f"/v1/collections/{COLLECTION}/documents", fine=(202,), content=body,
            headers={
                "Idempotency-Key": task.key, "X-Document-Uri": task.uri,
                "Content-Type": "application/pdf" if task.kind == "broken" else "text/plain",
            },
        )  # fmt: skip
        return None if answer is None else str(answer.json()["id"])

    def _cancel(self, client: httpx2.Client, task: Task, job: str) -> None:
        answer = self._asked(client, "POST", f"/v1/jobs/{job}/cancel", fine=(200,))
        if answer is None:
            return
        state = self._watch(client, job)
        self._add(f"jobs that were to be cancelled and ended {state}")
        with self._world.lock:
            if state == "cancelled":
                self._world.jobs[job] = "cancelled"
                self._world.may[task.uri] = task.version  # a worker may have added it a moment before it was told
                if not answer.json()["attempts"]:
                    self._world.may.pop(task.uri)
                    self._world.absent.add(task.uri)
            elif state == "done":
                self._world.jobs[job] = "done"
                self._world.latest[task.uri] = task.version

    def _watch(self, client: httpx2.Client, job: str) -> str:
        """The state that the job's stream of events ends with, over as many connections as that takes."""
        connections = 0
        while time.monotonic() < self._until:
            connections += 1
            try:
                with client.stream("GET", self._server.url(f"/v1/jobs/{job}/events")) as answer:
                    for line in answer.iter_lines():
                        if line.startswith("data: ") and (state := json.loads(line[6:]).get("state")) in ENDED:
                            if connections > 1:
                                self._add("streams resumed")
                            return str(state)
            except httpx2.HTTPError:
                pass
            time.sleep(0.1)
        self._problems.append(f"the events of job {job} did not come to an end")
        return ""

    def _remove(self, client: httpx2.Client, task: Task) -> None:
        found = _documents(lambda path: self._asked(client, "GET", path))
        if task.uri not in found:
            self._problems.append(f"{task.uri} was added, and is not listed")
            return
        answer = self._asked(client, "DELETE", f"/v1/documents/{found[task.uri]}", fine=(204, 404))
        with self._world.lock:
            del self._world.latest[task.uri]
            if answer is None:
                self._world.may[task.uri] = task.version
            else:
                self._world.absent.add(task.uri)
        self._add("documents removed")

    def _asked(
        self, client: httpx2.Client, method: str, path: str, *, fine: tuple[int, ...] = (200,), **sent: Any
    ) -> httpx2.Response | None:
        """The same request again until it is answered; None where time is over or the answer is a wrong one."""
        while time.monotonic() < self._until:
            try:
                answer = client.request(method, self._server.url(path), **sent)
            except httpx2.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code in fine:
                return answer
            if answer.status_code in (429, 503):
                time.sleep(0.1)
                continue
            self._problems.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return None
        self._problems.append(f"{method} {path} was not answered in time")
        return None


def _documents(get: Callable[[str], httpx2.Response | None]) -> dict[str, str]:
    """Ids by uri. Raises StoreError where a name is there twice."""
    found: dict[str, str] = {}
    cursor = ""
    while True:
        answer = get(f"/v1/collections/{COLLECTION}/documents?limit=200{cursor}")
        if answer is None:
            return found
        page = answer.json()
        for item in page["items"]:
            if item["uri"] in found:
                raise StoreError(f"{item['uri']} is listed twice.")
            found[item["uri"]] = item["id"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def _finish(server: ServerProcess, world: World) -> list[str]:
    """Nobody is killed any more: every job ends, and as it has to."""
    until = time.monotonic() + MOST_SECONDS
    problems = []
    with server.client() as client:
        for job, wanted in world.jobs.items():
            while True:
                shown = client.get(server.url(f"/v1/jobs/{job}")).json()
                state = shown["state"]
                if state in ENDED or time.monotonic() > until:
                    break
                time.sleep(0.1)
            if state != wanted:
                problems.append(f"job {job} is {state} and not {wanted}: {shown['failures'][-1:]}")
    world.jobs.clear()
    return problems[:20]


def _check(server: ServerProcess, world: World, number: int, chance: random.Random) -> list[str]:
    problems = []
    with server.client() as client:
        found = _documents(lambda path: client.get(server.url(path)))
        problems += [f"{uri} is missing" for uri in world.latest if uri not in found]
        problems += [f"{uri} is there" for uri in found if uri in world.absent]
        problems += [f"{u} was never sent" for u in found if u not in world.latest and u not in world.may]
        own = [uri for uri in world.latest if uri.startswith(f"{number}/")]
        older = [uri for uri in sorted(world.latest) if not uri.startswith(f"{number}/")]
        for uri in [*own, *chance.sample(older, min(20, len(older)))]:
            version = world.latest[uri]
            if uri in found:
                shown = client.get(server.url(f"/v1/documents/{found[uri]}/text")).json()["text"]
                if shown != text(uri, version):
                    problems.append(f"{uri} is not version {version}")
            body = {"query": mark(uri, version), "collections": [COLLECTION], "mode": "lexical"}
            hits = client.post(server.url("/v1/search"), json=body).json()["hits"]
            if {hit["uri"] for hit in hits} != {uri}:
                problems.append(f"{uri} is found as {sorted({hit['uri'] for hit in hits})}")
    return problems


def _check_folder(data: Path, config: Path) -> list[str]:
    """After the server ended: store and indexes agree, and each upload that is left is of a job that can be run
    again."""
    settings = load(config, overrides={"data.folder": data})
    with open_knowledge_base(settings) as kb:
        problems = list(kb.verify().problems)
    queue = open_queue(settings)
    try:
        Uploads(data).sweep(queue.wanted)
        kept = [name for job in queue.list(states=("failed",), limit=100_000) for name in job.files]
    finally:
        queue.close()
    left = {path.name for path in (data / FOLDER).glob("*")}
    if left != set(kept):
        problems.append(f"{len(left)} uploads are on the disk, {len(kept)} belong to jobs that failed")
    return problems
