"""The other side of sandbox.py: a zygote that never parses anything, and the workers it forks.

The zygote starts with an empty environment in its own session, imports what workers need once, and then serves
two commands on its control channel: fork a worker (its socket comes along), and end a worker (kill its group,
wait for it, tell its status). It is the only one that waits for workers, so a process id cannot be reused under
the parent's hands. When the parent goes away, however that happens, the channel ends: the zygote kills what is
left, removes the scratch folder and exits.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import math
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ..errors import DamagedFile, LimitExceeded, ReadError
from ..types import Blob
from .confinement import confine, die_with_parent, limit_cpu
from .frames import HEADER, Result, decode_assignment, decode_blobs, encode_reply
from .limits import ReadFailure, ReadLimits

COMMAND = struct.Struct("<cI")
ANSWER = struct.Struct("<q")
FORK, END, PRELOAD = b"F", b"E", b"P"
READY = -1

Task = Callable[[Blob, object], list[Result]]

# One thread per worker: the workers themselves are the parallelism, and every thread maps 8 MiB of stack.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# Reading gives way to whoever waits for an answer; on a machine that does nothing else it costs nothing.
_NICE = 10

# Languages and structures that make every lazily loaded part of the default task load before the first fork.
_REHEARSAL = (
    "# Übung\n\nDas ist ein deutscher Satz über Dokumente und Suchmaschinen, der zweimal geübt wird.\n\n"
    "## Practice\n\nThis is an English sentence about documents and search engines, `code_name` included.\n"
)


def main(descriptor: int) -> None:
    """Runs the zygote on the control channel `descriptor` until the channel ends."""
    control = socket.socket(fileno=descriptor)
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    _give_way()
    payload = _read_frame(control.fileno())
    if payload is None:
        return
    assignment = decode_assignment(payload)
    scratch = Path(assignment.scratch)
    workers: dict[int, Path] = {}
    try:
        limits = msgspec.msgpack.decode(assignment.limits, type=ReadLimits)
        options = msgspec.msgpack.decode(assignment.options, type=_named(assignment.options_type))
        task: Task = _named(assignment.task)
        if assignment.rehearse:
            task(Blob("rehearsal.md", _REHEARSAL.encode()), options)
        gc.collect()
        gc.freeze()
        control.sendall(ANSWER.pack(READY))
        _serve_commands(control, scratch, workers, task, options, limits)
    except ConnectionError:
        pass  # the parent is gone
    finally:
        for pid in workers:
            _end(pid)
        shutil.rmtree(scratch, ignore_errors=True)


def _give_way() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))  # whoever starts it gave way too
    with contextlib.suppress(OSError):  # Linux weighs whole sessions against each other where it groups them
        Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _serve_commands(
    control: socket.socket, scratch: Path, workers: dict[int, Path], task: Task, options: object, limits: ReadLimits
) -> None:
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 1, socket.MSG_WAITALL)
        except ConnectionError:
            return
        if len(data) < COMMAND.size:
            return
        command, number = COMMAND.unpack(data)
        if command == FORK:
            folder = scratch / str(number)
            folder.mkdir()
            pid = os.fork()
            if pid == 0:
                control.close()
                _work(descriptors[0], folder, task, options, limits)
            os.close(descriptors[0])
            with contextlib.suppress(OSError):  # the child may have done it, or be gone
                os.setpgid(pid, pid)
            workers[pid] = folder
            control.sendall(ANSWER.pack(pid))
        elif command == END and number in workers:
            status = _end(number)
            shutil.rmtree(workers.pop(number), ignore_errors=True)
            control.sendall(ANSWER.pack(status))
        elif command == PRELOAD:
            _preload(number)


def _preload(number: int) -> None:
    """Imports a reader in the zygote, so that the workers forked from now on have it."""
    from .readers.registry import READER_MODULES

    with contextlib.suppress(ImportError):  # an extra that is not installed: the reader itself says so
        importlib.import_module(f"ragstone.ingest.readers.{READER_MODULES[number]}")
    gc.freeze()


def _end(pid: int) -> int:
    for kill, target in ((os.killpg, pid), (os.kill, pid)):
        with contextlib.suppress(OSError):
            kill(target, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _work(descriptor: int, scratch: Path, task: Task, options: object, limits: ReadLimits) -> NoReturn:
    """The life of a worker: confine itself, then answer blobs until the socket ends. Never returns."""
    status = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        die_with_parent()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        sys.dont_write_bytecode = True
        tempfile.tempdir = str(scratch)
        confine(scratch, limits)
        _answer_blobs(descriptor, task, options, limits)
        status = 0
    except OSError:
        status = 2  # the parent is gone
    finally:
        os._exit(status)


def _answer_blobs(descriptor: int, task: Task, options: object, limits: ReadLimits) -> None:
    while (payload := _read_frame(descriptor)) is not None:
        blobs = decode_blobs(payload)
        del payload
        blobs.reverse()
        while blobs:
            blob = blobs.pop()
            limit_cpu(limits.cpu_seconds + math.ceil(limits.extra_seconds(len(blob.data))))
            _write(descriptor, _reply(blob, task, options, limits))


def _reply(blob: Blob, task: Task, options: object, limits: ReadLimits) -> bytes:
    try:
        reply = encode_reply(task(blob, options))
        if len(reply) <= limits.output_bytes:
            return reply
        error: ReadError = LimitExceeded(
            f"The text and index terms take {len(reply):,} bytes; the limit is {limits.output_bytes:,}.",
            "Split the file, or raise ingest.output_bytes.",
        )
    except MemoryError:
        error = LimitExceeded(
            f"Reading it takes more than {limits.memory_bytes >> 20} MiB of memory.",
            "Split the file, or raise ingest.memory_bytes.",
        )
        return encode_reply([ReadFailure.of(blob.uri, error)], retiring=True)
    except ReadError as raised:
        error = raised
    except Exception as raised:  # noqa: BLE001 - the edge of the process: the parent gets it as a typed failure
        error = DamagedFile(
            f"The file could not be read ({type(raised).__name__}: {str(raised)[:200]}).",
            "Open it in its own program and save it again.",
        )
    return encode_reply([ReadFailure.of(blob.uri, error)])


def _read_frame(descriptor: int) -> bytes | None:
    """None where the other side has closed."""
    header = _read_exactly(descriptor, HEADER.size)
    return None if header is None else _read_exactly(descriptor, HEADER.unpack(header)[0])


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
