"""The sandbox with workers that misbehave in every way a hostile file could make them."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from worker_tasks import TaskOptions, said

from ragstone.ingest.frames import Result, decode_reply, encode_reply
from ragstone.ingest.limits import ReadFailure, ReadLimits
from ragstone.ingest.sandbox import Sandbox
from ragstone.text.analysis import pack
from ragstone.types import Blob, Page, PreparedDocument, Turn

LINUX = sys.platform == "linux"


@pytest.fixture
def options(tmp_path: Path) -> TaskOptions:
    (tmp_path / "keep").write_text("kept")
    return TaskOptions(ReadLimits(cpu_seconds=1, wall_seconds=3, output_bytes=2 << 20), str(tmp_path / "forbidden"))


@pytest.fixture
def sandbox(options: TaskOptions) -> Iterator[Sandbox]:
    with Sandbox(options, 2, task="worker_tasks:task") as made:
        yield made


def outcome(results: list[Result]) -> str:
    (result,) = results
    if isinstance(result, ReadFailure):
        return result.code
    return result.chunks[0].text


def run(sandbox: Sandbox, *names: str) -> dict[str, str]:
    return {blob.uri: outcome(results) for blob, results in sandbox.run(Blob(name, b"fine") for name in names)}


def test_results_arrive_whole(sandbox: Sandbox) -> None:
    ((blob, results),) = sandbox.run([Blob("good", "Größe".encode())])
    (document,) = results
    assert isinstance(document, PreparedDocument)
    assert (blob.uri, document.uri, document.title, document.modified) == ("good", "good", "Title", 2.5)
    assert document.metadata == {"n": 1, "b": True}
    assert document.chunks[0].text == "Größe"
    assert document.chunks[0].terms.keys == pack(["term"])


def test_a_misbehaving_file_costs_only_itself(sandbox: Sandbox) -> None:
    expected = {
        "exit": "ReaderCrashed",
        "segfault": "ReaderCrashed",
        "abort": "ReaderCrashed",
        "garbage": "ReaderCrashed",
        "memory": "LimitExceeded",
        "huge": "LimitExceeded",
        "spin": "LimitExceeded",
        "sleep": "LimitExceeded",
        "raise": "DamagedFile",
        "recurse": "DamagedFile",
        "empty": "EmptyFile",
    }
    names = [name for deed in expected for name in (f"good-{deed}", deed)]
    found = run(sandbox, *names, "good-last")
    assert {deed: found[deed] for deed in expected} == expected
    assert all(text == "fine" for name, text in found.items() if name.startswith("good-"))
    assert len(found) == len(names) + 1


def test_messages_say_what_happened(sandbox: Sandbox) -> None:
    failures = {b.uri: r[0] for b, r in sandbox.run([Blob(n, b"") for n in ("segfault", "exit", "spin", "memory")])}
    assert all(isinstance(f, ReadFailure) and f.hint for f in failures.values())
    assert "SIGSEGV" in failures["segfault"].message  # type: ignore[union-attr]
    assert "status 3" in failures["exit"].message  # type: ignore[union-attr]
    assert "MiB" in failures["memory"].message  # type: ignore[union-attr]
    assert failures["spin"].error().code == "LimitExceeded"  # type: ignore[union-attr]


def test_nothing_reaches_the_terminal(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    run(sandbox, "print", "garbage", "exit")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_no_network_no_programs_no_writing(sandbox: Sandbox, options: TaskOptions, tmp_path: Path) -> None:
    found = run(sandbox, "socket", "program", "write", "remove", "link", "scratch")
    assert found == {
        "socket": "refused: PermissionError",
        "program": "refused: PermissionError",
        "write": "refused: PermissionError",
        "remove": "refused: PermissionError",
        "link": "refused: PermissionError",
        "scratch": "scratch",
    }
    assert not Path(options.forbidden).exists()
    assert sorted(os.listdir(tmp_path)) == ["keep"]


@pytest.mark.skipif(not LINUX, reason="enforced by the Linux kernel")
def test_native_code_is_held_too(sandbox: Sandbox, options: TaskOptions) -> None:
    kept = Path(options.forbidden).with_name("keep")
    before = kept.stat()
    found = run(sandbox, "nativesocket", "nativefork", "nativewrite", "kill", "nativemode", "nativetime", "pidfd")
    assert set(found.values()) == {"-1"}
    assert not Path(options.forbidden).exists()
    assert (kept.stat().st_mode, kept.stat().st_mtime) == (before.st_mode, before.st_mtime)


@pytest.mark.skipif(not LINUX, reason="enforced by the Linux kernel")
@pytest.mark.parametrize("deed", ["queuedsignal", "ownedsignal", "socketsignal"])
def test_native_code_cannot_signal_others_by_a_detour(sandbox: Sandbox, deed: str) -> None:
    """The zygote is of the same user as everything that a hostile file would like to end."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert run(sandbox, f"{deed}-{other.pid}") == {f"{deed}-{other.pid}": "-1"}
        assert other.poll() is None
        other.communicate(b"\n")
    assert other.returncode == 0


def test_environment_and_descriptors_are_not_inherited(
    options: TaskOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    with open(tmp_path / "keep"), Sandbox(options, 1, task="worker_tasks:task") as sandbox:
        found = run(sandbox, "environment", *(["descriptors"] if LINUX else []))
    assert "SECRET_TOKEN" not in found["environment"]
    assert "HOME" not in found["environment"]
    assert str(tmp_path) not in found.get("descriptors", "")


def test_a_leak_is_no_later_files_fault(sandbox: Sandbox) -> None:
    """The third file that leaks finds the memory taken; in a fresh worker it is read."""
    found = run(sandbox, *(f"leak-{n}" for n in range(8)))
    assert all(text.isdigit() for text in found.values())


def test_a_worker_that_gets_no_processor_is_waited_for(options: TaskOptions) -> None:
    """Workers give way to everything else, so the wall clock alone must not end them."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        with Sandbox(options, 1, task="worker_tasks:task") as sandbox:
            assert run(sandbox, "work") == {"work": "done"}
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def test_workers_are_recycled(options: TaskOptions) -> None:
    few = TaskOptions(ReadLimits(files_per_worker=5))
    with Sandbox(few, 1, task="worker_tasks:task") as sandbox:
        pids = list(run(sandbox, *(f"pid-{n}" for n in range(20))).values())
    counts = {pid: pids.count(pid) for pid in pids}
    assert max(counts.values()) <= 5
    assert len(counts) >= 4


def test_processes_and_scratch_are_gone_after_close(options: TaskOptions) -> None:
    sandbox = Sandbox(options, 2, task="worker_tasks:task")
    found = run(sandbox, "where", "pid")
    scratch, pid = Path(found["where"]), int(found["pid"])
    assert scratch.is_dir()
    sandbox.close()
    sandbox.close()
    assert not scratch.exists()
    assert not scratch.parent.exists()
    assert not psutil.pid_exists(pid)


def test_a_closed_sandbox_starts_again(sandbox: Sandbox) -> None:
    assert run(sandbox, "good") == {"good": "fine"}
    sandbox.close()
    assert run(sandbox, "good") == {"good": "fine"}


def test_a_dead_zygote_is_replaced(sandbox: Sandbox) -> None:
    found = run(sandbox, "pid", "where")
    worker = psutil.Process(int(found["pid"]))
    zygote = worker.parent()
    assert zygote is not None
    assert zygote.pid != os.getpid()
    zygote.kill()
    zygote.wait(5)
    assert run(sandbox, *(f"good-{n}" for n in range(100))).keys() == {f"good-{n}" for n in range(100)}
    assert not Path(found["where"]).parent.exists()


def test_blobs_are_pulled_lazily_and_the_caller_may_stop(sandbox: Sandbox) -> None:
    pulled = 0

    def endless() -> Iterator[Blob]:
        nonlocal pulled
        while True:
            pulled += 1
            yield Blob(f"good-{pulled}", b"x" * (1 << 20))

    results = sandbox.run(endless())
    for _ in range(3):
        next(results)
    results.close()
    assert pulled < 80
    assert run(sandbox, "good") == {"good": "fine"}


def test_reading_waits_for_what_was_read_to_be_taken(options: TaskOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little the files are and however much their text: what waits in the parent is bounded, and the time
    that a worker waits is not its own."""
    monkeypatch.setattr("ragstone.ingest.sandbox._MAX_CHARACTERS_WAITING", 3 << 20)
    hasty = replace(options, limits=replace(options.limits, wall_seconds=1))
    with Sandbox(hasty, 2, task="worker_tasks:task") as sandbox:
        results = sandbox.run(Blob(f"page-{n}", b"") for n in range(20))
        first = outcome(next(results)[1])
        time.sleep(2.5)
        taken = time.monotonic()
        pages = [first, *(outcome(found) for _, found in results)]
    read = [float(page.partition(" ")[0]) for page in pages]
    assert len(read) == 20
    assert sum(at < taken for at in read) <= 10


def test_a_file_over_the_limit_is_not_sent(options: TaskOptions) -> None:
    small = TaskOptions(ReadLimits(file_bytes=1_000))
    with Sandbox(small, 1, task="worker_tasks:task") as sandbox:
        found = {b.uri: outcome(r) for b, r in sandbox.run([Blob("large", b"x" * 1_001), Blob("small", b"x" * 1_000)])}
    assert found["large"] == "LimitExceeded"
    assert found["small"] == "x" * 1_000


def test_large_and_small_blobs_together(sandbox: Sandbox) -> None:
    """A worker blocked on its output while the parent sends must not stop either side."""
    blobs = [Blob(f"good-{n}", b"x" * (700_000 if n % 7 == 0 else 50)) for n in range(200)]
    sizes = {blob.uri: len(outcome(results)) for blob, results in sandbox.run(blobs)}
    assert sizes == {blob.uri: len(blob.data) for blob in blobs}


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_address_space_is_limited(sandbox: Sandbox, options: TaskOptions) -> None:
    pid = int(run(sandbox, "pid")["pid"])
    limits = Path(f"/proc/{pid}/limits").read_text()
    line = next(row for row in limits.splitlines() if row.startswith("Max address space"))
    assert int(line.split()[3]) == options.limits.memory_bytes


@pytest.mark.skipif(not LINUX, reason="the kernel kills workers with their parent")
def test_workers_die_with_the_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; sys.path[:0] = sys.argv[1:3]\n"
        "from worker_tasks import TaskOptions\n"
        "from ragstone.ingest.sandbox import Sandbox\n"
        "from ragstone.types import Blob\n"
        "sandbox = Sandbox(TaskOptions(), 2, task='worker_tasks:task')\n"
        "for blob, results in sandbox.run([Blob('pid', b''), Blob('where', b''), Blob('sleep', b'')]):\n"
        "    print(results[0].chunks[0].text, flush=True)\n"
    )
    here = str(Path(__file__).parent)
    source = str(Path(__file__).parents[2] / "src")
    with subprocess.Popen([sys.executable, "-c", program, here, source], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        said = [parent.stdout.readline().strip() for _ in range(2)]
        parent.kill()
    pid = int(next(text for text in said if text.isdigit()))
    scratch = Path(next(text for text in said if not text.isdigit()))
    deadline = time.monotonic() + 10
    while (psutil.pid_exists(pid) or scratch.parent.exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid)
    assert not scratch.parent.exists()


def test_frames_refuse_what_is_no_reply() -> None:
    failure = ReadFailure("a", "DamagedFile", "m", "h")
    assert decode_reply(encode_reply([failure], retiring=True)[8:]) == ([failure], True)
    for payload in (b"", b"\xc1", b"\x90", encode_reply([failure])[8:-1]):
        with pytest.raises(ValueError, match=r".*"):
            decode_reply(payload)


def test_frames_refuse_what_cannot_be_true() -> None:
    """A worker that was taken over must not reach the store with positions, hashes or numbers of its own making."""
    (good,) = said("a", "Größe")
    assert isinstance(good, PreparedDocument)
    (chunk,) = good.chunks
    span = chunk.span
    wrong = [
        *(replace(chunk, span=replace(span, **change)) for change in WRONG_SPANS),
        replace(chunk, content_hash=b"\x01" * 16),
        replace(chunk, text="Grosse"),
        replace(chunk, context="of another document"),
    ]
    forged = [
        *(replace(good, chunks=(one,)) for one in wrong),
        replace(good, chunks=(chunk, chunk)),
        replace(good, pages=(Page(1, 0, 6),)),
        replace(good, pages=(Page(1, 0, 4), Page(2, 3, 5))),
        replace(good, metadata={"n": math.nan}),
        replace(good, modified=math.inf),
        replace(good, size=2**63),
    ]
    assert decode_reply(encode_reply([good])[8:]) == ([good], False)
    for document in forged:
        with pytest.raises(ValueError, match=r"chunk|page|number"):
            decode_reply(encode_reply([document])[8:])


WRONG_SPANS: list[dict[str, Any]] = [
    *({"start": 1}, {"end": 4}, {"page": 2**63}, {"page": -1}, {"line": 0}),
    *({"turns": (Turn(6, None, ()),)}, {"turns": (Turn(3, None, ()), Turn(2, None, ()))}),
]


def test_a_frame_cannot_make_the_parent_run_out_of_stack_or_memory() -> None:
    nested = b"\x82\xa1x" + b"\x91" * 100_000 + b"\xc0\xa5items\x90"
    empty = b"\x81\xa5items\xdd" + struct.pack(">I", 5_000_000) + b"\x80" * 5_000_000
    for payload in (nested, empty, encode_reply([said("a", "b")[0]])[8:].replace(b"Title", b"\xff" * 5)):
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"nested|missing|decode"):
            decode_reply(payload)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 << 20
