"""What the gateway costs for each call, against a local server that answers at once.

    python benchmarks/gateway.py                          the gateway, its parts, and httpx2 alone as the base line
    python benchmarks/gateway.py --router PYTHON          LiteLLM's Router as well, in the interpreter that has it
    python benchmarks/gateway.py --faults                 time to the answer of the next provider, by kind of fault

The server is a process of its own. The subjects take turns in short rounds, so a busy machine is busy for all of them.
The gateway is the one that settings make (`language_models`), so whatever is wired into it is in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOKENS = 8
ROUND = 50
Subject = Callable[[int], None]


def _answer() -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fake"}

    def event(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"

    usage = {"prompt_tokens": 9, "completion_tokens": TOKENS, "total_tokens": 9 + TOKENS}
    body = event({"role": "assistant", "content": ""}) + event({"content": "so "}) * TOKENS + event({}, "stop")
    body += b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n"
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + chunked


async def _serve() -> None:
    answer = _answer()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                await reader.readexactly(int(fields.get(b"content-length", 0)))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def fake_server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def httpx2_alone(url: str) -> Subject:
    import httpx2

    client = httpx2.Client(trust_env=False)
    body = {"model": "fake", "max_tokens": 50, "stream": True}

    def call(number: int) -> None:
        messages = [{"role": "user", "content": f"How high? {number}"}]
        with client.stream("POST", f"{url}/v1/chat/completions", json={**body, "messages": messages}) as response:
            for _ in response.iter_bytes():
                continue

    return call


def _call_of(llm: Any) -> Subject:
    from ragstone.types import Call, Message

    def call(number: int) -> None:
        limits = Call(50, time.monotonic() + 30)
        deltas = list(llm.stream([Message("user", f"How high? {number}")], limits))
        if len(deltas) != TOKENS + 1 or deltas[-1].usage is None:
            raise SystemExit("the answer is not the one that was sent")

    return call


def adapter(url: str) -> Subject:
    from ragstone.llm.openai import OpenAIChat

    return _call_of(OpenAIChat(f"{url}/v1", "fake"))


def gateway(url: str) -> Subject:
    """Two paid providers under a limited budget: breaker, chain, single flight, reserve and settle."""
    from ragstone.language_models import language_model
    from ragstone.llm.local import LocalModels
    from ragstone.settings import load

    folder = Path(tempfile.mkdtemp(prefix="ragstone-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    wanted: dict[str, object] = {"answer.model": "gateway", "data.folder": str(folder), "budget.limits": {"month": 1e6}}
    for name in ("one", "two"):
        wanted |= {f"providers.{name}.base_url": f"{url}/v1", f"providers.{name}.model": "fake"}
        wanted |= {f"providers.{name}.input_price": 1.0, f"providers.{name}.output_price": 2.0}
    local = LocalModels(folder / "llama", memory=0, opening=lambda: None)
    assembled = language_model(load(None, {}, wanted), local, [])
    if assembled is None:
        raise SystemExit("the settings name no model")
    return _call_of(assembled)


Figures = tuple[list[float], float, float]
"""Milliseconds of each call; calls per second over all threads; milliseconds of CPU of the process for each call, which
a busy machine does not change much."""


def measured(subject: Subject, calls: int, threads: int) -> Figures:
    times: list[float] = []
    numbers = iter(range(calls))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            started = time.perf_counter()
            subject(number)
            times.append((time.perf_counter() - started) * 1e3)

    started, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    return times, calls / (time.perf_counter() - started), (time.process_time() - cpu) * 1e3 / calls


class Router:
    """LiteLLM's Router in its own interpreter, asked over pipes: `{"calls", "threads", "loop"}` → figures."""

    def __init__(self, python: str, url: str) -> None:
        command = [python, __file__, "--answer-as-router", url]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def measured(self, calls: int, threads: int, loop: bool = False) -> Figures:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps({"calls": calls, "threads": threads, "loop": loop}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return said["times"], said["rate"], said["cpu"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def answer_as_router(url: str) -> None:
    import litellm

    def deployment(name: str) -> dict[str, Any]:
        parameters = {"model": "openai/fake", "api_base": f"{url}/v1", "api_key": "none"}
        return {"model_name": name, "litellm_params": parameters}

    litellm.suppress_debug_info = True
    router = litellm.Router([deployment("one"), deployment("two")], fallbacks=[{"one": ["two"]}])

    def request(number: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"How high? {number}"}]
        return {"model": "one", "messages": messages, "max_tokens": 50, "temperature": 0, "stream": True,
                "stream_options": {"include_usage": True}, "timeout": 30}  # fmt: skip

    def call(number: int) -> None:
        for _ in router.completion(**request(number)):
            continue

    async def many(calls: int, at_once: int) -> Figures:
        times: list[float] = []
        numbers = iter(range(calls))

        async def work() -> None:
            for number in numbers:
                started = time.perf_counter()
                async for _ in await router.acompletion(**request(number)):
                    continue
                times.append((time.perf_counter() - started) * 1e3)

        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(at_once)))
        return times, calls / (time.perf_counter() - started), (time.process_time() - cpu) * 1e3 / calls

    out, sys.stdout = sys.stdout, sys.stderr
    loop = asyncio.new_event_loop()
    for line in sys.stdin:
        order = json.loads(line)
        if order["loop"]:
            times, rate, cpu = loop.run_until_complete(many(order["calls"], order["threads"]))
        else:
            times, rate, cpu = measured(call, order["calls"], order["threads"])
        print(json.dumps({"times": times, "rate": rate, "cpu": cpu}), file=out, flush=True)


def overhead(rounds: int, threads: int, router: str) -> dict[str, Any]:
    with fake_server() as url:
        made: dict[str, Callable[[int, int], Figures]] = {}
        for name, make in {"httpx2": httpx2_alone, "adapter": adapter, "gateway": gateway}.items():
            subject = make(url)
            made[name] = lambda calls, at_once, subject=subject: measured(subject, calls, at_once)  # type: ignore[misc]
        other = Router(router, url) if router else None
        if other is not None:
            made["LiteLLM router"] = other.measured
            made["LiteLLM router, event loop"] = lambda calls, at_once: other.measured(calls, at_once, loop=True)
        times: dict[str, list[float]] = {name: [] for name in made}
        rates: dict[str, list[float]] = {name: [] for name in made}
        cpus: dict[str, list[float]] = {name: [] for name in made}
        for turn in range(rounds + 1):
            for name, run in made.items():
                alone, _, cpu = run(ROUND, 1)
                _, rate, _ = run(ROUND, threads)
                if turn:  # the first round warms up
                    times[name] += alone
                    rates[name].append(rate)
                    cpus[name].append(cpu)
        if other is not None:
            other.close()
    base = _quantiles(times["httpx2"])
    report: dict[str, Any] = {}
    for name, found in times.items():
        p50, p95 = _quantiles(found)
        report[name] = {
            "calls": len(found),
            "p50_ms": p50,
            "p95_ms": p95,
            "overhead_p50_ms": p50 - base[0],
            "overhead_p95_ms": p95 - base[1],
            "cpu_ms": statistics.median(cpus[name]),
            "overhead_cpu_ms": statistics.median(cpus[name]) - statistics.median(cpus["httpx2"]),
            f"calls_per_s_{threads}": statistics.median(rates[name]),
        }
    return report


def _quantiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]


def faults() -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "tests"))
    from typing import get_args

    from fault_proxy import Fault, breaking
    from ragstone.llm.chain import Chain, Entry, Policy
    from ragstone.llm.openai import OpenAIChat
    from ragstone.types import Call, Message

    report: dict[str, Any] = {}
    with fake_server() as url, breaking(url) as proxy:
        healthy = OpenAIChat(f"{url}/v1", "healthy")
        proxy.at = 100
        for fault in ("dns", "tls", *(f for f in get_args(Fault) if f not in ("none", "reset-late", "stall-late"))):
            proxy.fault = "garbage" if fault == "tls" else "none" if fault == "dns" else fault
            address = {"dns": "http://nobody.invalid", "tls": proxy.url.replace("http:", "https:")}
            broken = OpenAIChat(f"{address.get(fault, proxy.url)}/v1", "broken")
            chain = Chain([Entry("broken", broken), Entry("healthy", healthy)], Policy())
            times = []
            for _ in range(20):
                started = time.perf_counter()
                last = list(chain.stream([Message("user", "?")], Call(50, time.monotonic() + 10)))[-1]
                times.append((time.perf_counter() - started) * 1e3)
                if last.model != "healthy/healthy":
                    raise SystemExit(f"{fault}: {last.model} answered")
            alone = Chain([Entry("broken", OpenAIChat(f"{address.get(fault, proxy.url)}/v1", "broken"))], Policy())
            deadline = time.monotonic() + 1.0
            try:
                list(alone.stream([Message("user", "?")], Call(50, deadline)))
                raise SystemExit(f"{fault}: it answered")
            except Exception as error:  # noqa: BLE001 - which one is told
                ended = f"{type(error).__name__}, {(time.monotonic() - deadline) * 1e3:+.0f} ms"
            report[fault] = {"breaker closed, worst ms": max(times[:5]), "breaker open, worst ms": max(times[5:]),
                             "alone, deadline 1 s": ended}  # fmt: skip
            chain_state = chain.states()["broken"]
            if chain_state != "open":
                raise SystemExit(f"{fault}: the breaker is {chain_state}")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help=f"of {ROUND} calls for each subject")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--router", default="", metavar="PYTHON")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--answer-as-router", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(_serve())
    elif chosen.answer_as_router:
        answer_as_router(chosen.answer_as_router)
    else:
        found = faults() if chosen.faults else overhead(chosen.rounds, chosen.threads, chosen.router)
        shown = json.dumps({"load": os.getloadavg()[0], **found}, indent=1)
        sys.stdout.write(f"{shown}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
