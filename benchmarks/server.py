"""A real server under load: rates, latencies, processor time for a request, memory, uploads, first bytes.

    python benchmarks/server.py --data FOLDER --json benchmarks/results/server.json

FOLDER gets a collection of `--chunks` chunks where it holds none yet; uploads of this benchmark stay in it. The load
maker (`ragstone.stress.load`: a fixed rate, latency from when a request was due, 500 clients that take turns) shares
the machine with the server, and whatever else runs: each line tells the machine's load. Processor time is that of all
processes of the server, the jobs' one too: what it still embeds of earlier uploads counts. Questions are half words of
real sentences, half words of the collection.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
from gateway import fake_server

from ragstone.assemble import open_knowledge_base
from ragstone.measure.fill import fill
from ragstone.measure.machine import machine
from ragstone.measure.samples import sample_sentences
from ragstone.measure.synthetic import TextMaker
from ragstone.settings import at
from ragstone.stress.load import Load, load

QUESTIONS = "benchmark-questions.txt"
UPLOAD_BYTES = 1_000_000
CLIENTS = 500
LAG = re.compile(r'ragstone_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')
GOOD_P99 = 500.0
ADDED_TOGETHER = 100
ENOUGH = 0.99


def prepare(folder: Path, chunks: int) -> None:
    if (folder / QUESTIONS).exists():
        return
    maker = TextMaker(7)
    with open_knowledge_base(at(folder)) as kb:
        texts = fill(kb, chunks, maker)
    real = [" ".join(words[i : i + 4]) for words in map(str.split, sample_sentences()) for i in range(0, len(words), 4)]
    own = itertools.cycle(texts)
    questions = [f"{some} {' '.join(maker.question(next(own)).split()[:3])}" for some in real]
    (folder / QUESTIONS).write_text("\n".join(questions), encoding="utf-8")


@dataclass
class Server:
    url: str
    key: str
    process: psutil.Process
    questions: list[str]

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60)

    def _of_each(self, figure: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # a reader that was replaced; its parent counts its time
                total += figure(process)
        return total

    def seconds(self) -> float:
        """Of processor time so far."""
        return self._of_each(lambda process: sum(process.cpu_times()[:4]))

    def megabytes(self) -> float:
        """Resident; what several processes have mapped counts in shares (Linux: Pss)."""
        return self._of_each(lambda process: process.memory_full_info().pss / 1e6)

    def lag(self) -> dict[str, float]:
        with self.client() as client:
            return {bound: float(count) for bound, count in LAG.findall(client.get("/metrics").text)}


@contextmanager
def serving(folder: Path, workers: int, **settings: str) -> Iterator[Server]:
    more = {f"RAGSTONE_{name}": value for name, value in settings.items()}
    environ = {**os.environ, "RAGSTONE_SERVER__REQUESTS_PER_MINUTE": "0", **more}
    command = [sys.executable, "-m", "ragstone", "--data", str(folder), "--json"]
    command += ["serve", "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        url = json.loads(process.stdout.readline())["url"].partition("/#")[0]
        questions = (folder / QUESTIONS).read_text(encoding="utf-8").splitlines()
        server = Server(url, (folder / "server.token").read_text().strip(), psutil.Process(process.pid), questions)
        try:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                try:
                    with server.client() as client:
                        client.post("/v1/search", json={"query": "is it ready"}).raise_for_status()
                    break
                except httpx2.TransportError:
                    time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(60)


def under_load(server: Server, rate: float, seconds: float, *, fresh: bool, seed: int) -> dict[str, Any]:
    questions = server.questions if fresh else server.questions[:100]
    lag, spent = server.lag(), server.seconds()
    wanted = Load(
        server.url, server.key, rate, seconds, (1, 0, 0), questions=questions, fresh=fresh, seed=seed, clients=CLIENTS
    )
    measured = load(wanted)
    spent, after = server.seconds() - spent, server.lag()
    figures = measured.table()["all"]
    names = ("per second", "refused", "refused p99", "errors", "p50", "p95", "p99")
    return {
        "rate": rate, **{name: figures[name] for name in names},
        "processor ms": 1_000 * spent / max(1.0, figures["requests"] - figures["refused"]),
        "loop lag p99 below": 1_000 * _bound({b: n - lag.get(b, 0.0) for b, n in after.items()}, 0.99),
        "megabytes": server.megabytes(), "load": max(measured.machine_load),
    }  # fmt: skip


def _bound(counts: dict[str, float], share: float) -> float:
    """The bucket's upper bound, in seconds."""
    return next((float(bound) for bound, count in counts.items() if count >= share * counts["+Inf"]), float("inf"))


def holds(step: dict[str, Any]) -> bool:
    return not step["errors"] and step["p99"] < GOOD_P99 and step["per second"] >= ENOUGH * step["rate"] - 1


def searches(server: Server, rates: list[float], cached: list[float], seconds: float) -> dict[str, Any]:
    """Rising rates until one does not hold; then three times the best, and the best half again at once."""
    under_load(server, 40, 10, fresh=True, seed=1)  # warm: models, memory maps, words met before
    under_load(server, 100, 10, fresh=False, seed=1)  # each process has met each of these questions
    report: dict[str, Any] = {"uncached": [], "cached": []}
    for kind, wanted in (("uncached", rates), ("cached", cached)):
        for seed, rate in enumerate(wanted, 10):
            step = under_load(server, rate, seconds, fresh=kind == "uncached", seed=seed)
            report[kind].append(step)
            if not holds(step):
                break
    best = max((step["rate"] for step in report["uncached"] if holds(step)), default=rates[0])
    report["three times the best rate"] = under_load(server, 3 * best, seconds, fresh=True, seed=90)
    report["half of it, at once after that"] = under_load(server, best / 2, seconds, fresh=True, seed=91)
    return report


def found(client: httpx2.Client, word: str) -> bool:
    hits = client.post("/v1/search", json={"query": word, "mode": "lexical", "k": 1}).json()["hits"]
    return bool(hits) and hits[0]["uri"] == f"{word}.md"


def uploads(server: Server, count: int) -> dict[str, Any]:
    """Seconds from the first byte sent to found by a word that stands nowhere else, text of 1 MB."""
    maker, seconds, spent = TextMaker(23), [], server.seconds()
    with server.client() as client:
        for _ in range(count):
            word = "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(16))  # like no other: typos are mended
            body = f"{maker.markdown(UPLOAD_BYTES)}\n\nThe mark is {word}.\n".encode()
            began = time.perf_counter()
            name = {"uri": f"{word}.md"}
            job = client.post("/v1/collections/default/documents", params=name, content=body,
                              headers={"Content-Type": "text/markdown"}).raise_for_status().json()["id"]  # fmt: skip
            while not found(client, word):
                if time.perf_counter() - began > 60:
                    raise RuntimeError(f"not found after a minute: {client.get(f'/v1/jobs/{job}').text}")
                time.sleep(0.005)
            seconds.append(time.perf_counter() - began)
    return {"first": seconds[0], "median of the others": sorted(seconds[1:])[(count - 1) // 2], "of": count,
            "load": os.getloadavg()[0], "processor s for each": (server.seconds() - spent) / count}  # fmt: skip


def first_bytes(server: Server, count: int) -> dict[str, Any]:
    """Milliseconds until the first byte and the first text of streamed answers to new questions, one after another."""
    first: list[float] = []
    text: list[float] = []
    with server.client() as client:
        for number in range(count + 5):
            asked = {"question": f"{server.questions[number]} {number}?", "stream": True}
            began = time.perf_counter()
            with client.stream("POST", "/v1/ask", json=asked) as answer:
                got = b""
                for piece in answer.iter_bytes():
                    if not got:
                        first.append(1_000 * (time.perf_counter() - began))
                    if b"event: token" not in got and b"event: token" in got + piece:
                        text.append(1_000 * (time.perf_counter() - began))
                    got += piece

    def at_share(values: list[float], share: float) -> float:
        return sorted(values[5:])[int(share * (len(values) - 5))]

    return {
        "first byte p50": at_share(first, 0.5), "first byte p95": at_share(first, 0.95),
        "first text p50": at_share(text, 0.5), "first text p95": at_share(text, 0.95),
        "of": count, "load": os.getloadavg()[0],
    }  # fmt: skip


def while_adding(server: Server, documents: int, rate: float, seconds: float) -> dict[str, Any]:
    """The same rate idle and while documents of 4 kB come over the API and are read and embedded. All that was added
    is searchable at the end, or this fails."""
    maker = TextMaker(31)
    texts = [maker.markdown(4_000) for _ in range(documents)]  # made before: this process shares the machine
    under_load(server, rate, 5, fresh=True, seed=69)  # warm
    idle = under_load(server, rate, seconds, fresh=True, seed=70)
    jobs: dict[str, int] = {}
    began = time.perf_counter()

    def send() -> None:
        with server.client() as client:
            for first in range(0, documents, ADDED_TOGETHER):
                part = texts[first : first + ADDED_TOGETHER]
                batch = [{"uri": f"b{began}-{first + n}", "text": text} for n, text in enumerate(part)]
                answer = client.post("/v1/collections/default/documents:batch", json={"documents": batch})
                jobs[answer.raise_for_status().json()["id"]] = len(part)

    def added(*states: str) -> int:
        with server.client() as client:
            return sum(n for id, n in jobs.items() if client.get(f"/v1/jobs/{id}").json()["state"] in states)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        busy = under_load(server, rate, seconds, fresh=True, seed=71)
        while_measured = added("done")
        sending.result()
    while added("queued", "running"):
        time.sleep(0.5)
    if added("done") != documents:
        raise RuntimeError("not every document was added")
    return {"idle": idle, "while adding": busy, "p50 ratio": busy["p50"] / idle["p50"],
            "p99 ratio": busy["p99"] / idle["p99"], "loop lag p99 below": busy["loop lag p99 below"],
            "documents": documents, "added while it was measured": while_measured,
            "seconds until all were added": time.perf_counter() - began}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--chunks", type=int, default=100_000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--seconds", type=float, default=20.0, help="of each step")
    options.add_argument("--rates", type=float, nargs="+", default=[25, 50, 75, 100, 150, 200])
    options.add_argument("--cached", type=float, nargs="+", default=[250, 500, 1_000, 1_500, 2_000])
    options.add_argument("--uploads", type=int, default=8)
    options.add_argument("--answers", type=int, default=60)
    options.add_argument("--documents", type=int, default=1_000)
    options.add_argument("--ingest", type=int, metavar="N", help="only searches while N documents are added")
    options.add_argument("--adding-rate", type=float, default=20)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    prepare(chosen.data, chosen.chunks)
    report: dict[str, Any] = {**machine(), "chunks": chosen.chunks, "workers": chosen.workers}
    if chosen.ingest:
        with serving(chosen.data, chosen.workers) as server:
            report["adding"] = while_adding(server, chosen.ingest, chosen.adding_rate, chosen.seconds)
    else:
        measure(chosen, report)
    text = json.dumps(report, indent=1)
    sys.stdout.write(text + "\n")
    if chosen.json is not None:
        chosen.json.write_text(text + "\n", encoding="utf-8")


def measure(chosen: argparse.Namespace, report: dict[str, Any]) -> None:
    with serving(chosen.data, chosen.workers) as server:
        report["first bytes of extractive answers, ms"] = first_bytes(server, chosen.answers)
        report["searches"] = searches(server, chosen.rates, chosen.cached, chosen.seconds)
        report["uploads of 1 MB until found, s"] = uploads(server, chosen.uploads)
        report["adding"] = while_adding(server, chosen.documents, chosen.adding_rate, chosen.seconds)
    with fake_server() as model:
        gateway = {"ANSWER__MODEL": "gateway", "PROVIDERS__FAKE__MODEL": "fake", "SERVER__JOB_WORKERS": "0"}
        gateway["PROVIDERS__FAKE__BASE_URL"] = f"{model}/v1"
        with serving(chosen.data, 1, **gateway) as server:
            report["first bytes of generated answers, ms"] = first_bytes(server, chosen.answers)


if __name__ == "__main__":
    main()
