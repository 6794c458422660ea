"""The load maker, against a small server over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import CommandLine
from ragstone.cli.records.stressing import LoadRecord
from ragstone.stress.load import Load, Sample, figures, load, quantile
from schema_check import mismatches


class Server:
    """Answers every POST; every `refuses`-th with 503. Stands still once for `stall` seconds."""

    def __init__(self, refuses: int = 0, stall: float = 0.0) -> None:
        self.refuses, self.stall = refuses, stall
        self.paths: list[str] = []
        self.asked_by: dict[int, int] = {}
        """Requests by connection."""
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _serve(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = len(self.asked_by)
        self.asked_by[connection] = 0
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            length = next(line for line in head.split("\r\n") if line.startswith("Content-Length"))
            await reader.readexactly(int(length.split(": ")[1]))
            self.paths.append(head.split(" ")[1])
            self.asked_by[connection] += 1
            if self.stall and len(self.paths) == 20:
                threading.Event().wait(self.stall)  # the whole server stands
            refused = self.refuses and len(self.paths) % self.refuses == 0
            status = "503 Busy" if refused else "200 OK"
            if len(self.paths) % 2:
                body = b"Content-Length: 2\r\n\r\n{}"
            else:
                body = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n".encode() + body)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(**getattr(request, "param", {}))
    yield server
    server.close()


def test_every_request_is_sent_and_counted(server: Server) -> None:
    measured = load(Load(f"http://127.0.0.1:{server.port}", "key", 200, 1.0, (0.6, 0.3, 0.1)))
    assert measured.statuses() == {"200": 200}
    assert len(server.paths) == 200
    table = measured.table()
    assert sum(table[kind]["requests"] for kind in ("search", "ask", "upload")) == 200
    assert table["all"]["errors"] == 0


def test_clients_are_connected_from_the_beginning_and_take_turns(server: Server) -> None:
    measured = load(Load(f"http://127.0.0.1:{server.port}", rate=200, seconds=1.0, clients=40))
    assert measured.statuses() == {"200": 200}
    assert sorted(server.asked_by.values()) == [5] * 40


@pytest.mark.parametrize("server", [{"stall": 0.5}], indirect=True)
def test_a_server_that_stands_still_is_charged_for_all_that_was_due(server: Server) -> None:
    """With one request at a time per connection and nothing sent meanwhile, one request would be slow; here all
    that were due in that half second are."""
    measured = load(Load(f"http://127.0.0.1:{server.port}", rate=200, seconds=1.0))
    slow = sum(sample.latency > 0.1 for sample in measured.samples)
    assert slow >= 60


@pytest.mark.parametrize("server", [{"refuses": 4}], indirect=True)
def test_refusals_are_counted_apart_and_the_report_is_written(
    server: Server, ragstone: CommandLine, tmp_path: Path
) -> None:
    page = tmp_path / "load.html"
    done = ragstone(
        "stress", "load", "--url", f"http://127.0.0.1:{server.port}", "--rate", "100", "--seconds", "1",
        "--report", str(page), "--json",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert not mismatches(done.json, LoadRecord)
    assert done.json["figures"]["all"]["refused"] == 25
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "http" not in text.split("</style>")[1]


def test_no_server_is_an_error_for_each_request() -> None:
    measured = load(Load("http://127.0.0.1:9", rate=50, seconds=0.2))
    assert measured.statuses() == {"none": 10}


def test_quantiles_and_figures() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.25, 0.5, 0.99, 1.0)] == [1, 2, 4, 4]
    assert quantile([], 0.5) == 0
    found = figures([Sample("search", 0, 0, 0.1, 200), Sample("search", 0, 0, 9.0, 500)], 1.0)
    assert (found["p50"], found["errors"], found["requests"]) == (100.0, 1.0, 2.0)
