"""The process that holds a local model: llama.cpp's server from xllamacpp, on loopback, behind a random key.

Run as a file, never imported: it needs the standard library and xllamacpp alone, so it starts without the rest of
Ragstone. Its first line of standard input is a JSON object (`Order` in llama.py), so that the key is neither in the
arguments nor in the environment; its only line of standard output is `{"pid": …, "port": …}` once it answers.

It ends by itself: without a state file when standard input closes or its parent is gone (a death signal would come
with the end of the *thread* that started it, which may be a short one), with a state file when nobody used it for
`idle` seconds (users hold a lock, and touch the file when they leave), or when the file is gone or names another one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

POLL_SECONDS = 1.0
HOST_CACHE_MIB = 512  # earlier prompts kept in memory beside the slot; llama.cpp's own default is 8 GiB


def main() -> None:
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    state = order["state"]
    if state and os.fork():
        os._exit(0)  # the grandchild belongs to nobody's process tree and outlives the command that started it
    if not state:
        threading.Thread(target=_end_with_input, daemon=True).start()
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    server = _serve(order)
    port = int(server.listening_address.rsplit(":", 1)[1])
    sys.stdout.write(json.dumps({"pid": os.getpid(), "port": port}) + "\n")
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2) if not state else (0, 1, 2):
        os.dup2(null, stream)
    if state:
        _end_when_idle(Path(state), float(order["idle"]))
    else:
        threading.Event().wait()


def _serve(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    # Its CORS default is "*": a page in the user's browser could then talk to it.
    params.cors_origins = "http://127.0.0.1"
    params.ui = False
    params.endpoint_slots = False
    params.offline = True
    params.verbosity = 0
    params.n_ctx = order["context"]
    params.n_parallel = 1
    params.cache_prompt = True
    params.cache_ram_mib = HOST_CACHE_MIB
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = order["threads"] or cores
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    return xllamacpp.Server(params)


def _end_with_input() -> None:
    while sys.stdin.buffer.read(4096):
        continue
    os._exit(0)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(0)


def _end_when_idle(state: Path, idle: float) -> None:
    # The parent writes the state file after it has read our line: until then it may be missing.
    born = time.time()
    while True:
        time.sleep(POLL_SECONDS)
        try:
            touched = state.stat().st_mtime
            mine = json.loads(state.read_bytes())["pid"] == os.getpid()
        except (OSError, ValueError, KeyError):
            touched, mine = born, False
        if not mine and time.time() - born > 10 and _unused(state.with_suffix(".use")):
            os._exit(0)
        if time.time() - touched > idle and _unused(state.with_suffix(".use")):
            if mine:
                state.unlink(missing_ok=True)
            os._exit(0)


def _unused(lock: Path) -> bool:
    """Whether no process holds the lock of a user. It stays held until this process ends, so none can begin."""
    import fcntl

    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    return True


if __name__ == "__main__":
    main()
