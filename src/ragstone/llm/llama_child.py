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
from collections.abc import Callable
from pathlib import Path
from typing import Any

POLL_SECONDS = 1.0
SAVE_SECONDS = 60.0  # for one slot


def main() -> None:
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    state = order["state"]
    if state and os.fork():
        os._exit(0)  # the grandchild belongs to nobody's process tree and outlives the command that started it
    if not state:
        threading.Thread(target=_end_with_input, daemon=True).start()
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    os.umask(0o077)  # saved slots are documents in another form
    started = time.monotonic()
    server = _serve(order)
    loaded = round(1000 * (time.monotonic() - started))
    port = int(server.listening_address.rsplit(":", 1)[1])
    sys.stdout.write(json.dumps({"pid": os.getpid(), "port": port, "load_ms": loaded}) + "\n")
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2) if not state else (0, 1, 2):
        os.dup2(null, stream)
    if state:
        _end_when_idle(Path(state), float(order["idle"]), lambda: _save_slots(order, port))
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
    params.endpoint_slots = True  # behind the key; saves and restores what a slot has computed
    params.slot_save_path = order["slots_folder"] + "/"
    params.offline = True
    params.verbosity = 0
    params.n_ctx = order["context"] * order["slots"]
    params.n_parallel = order["slots"]
    params.kv_unified = False  # a share for each slot that others cannot take
    params.ctx_shift = False  # a text that reaches the end of the window ends there; nothing is dropped silently
    params.swa_full = True  # models with a sliding window can continue a prompt only with all of it kept
    params.cache_prompt = True
    params.cache_ram_mib = 0  # slots.py says which prompt is kept where, and what of it reaches the disk
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


def _save_slots(order: dict[str, Any], port: int) -> None:
    """Conversations outlive an idle server. Best effort: what is not saved is computed again."""
    import urllib.request

    headers = {"authorization": f"Bearer {order['key']}", "content-type": "application/json"}
    folder = Path(order["slots_folder"])
    for number in range(order["slots"]):
        try:
            record = json.loads((folder / f"{number}.slot").read_bytes())
            if record["child"] != os.getpid() or not record["file"] or record["generation"] != _generation(folder):
                continue
            body = json.dumps({"filename": record["file"]}).encode()
            url = f"http://127.0.0.1:{port}/slots/{number}?action=save"
            request = urllib.request.Request(url, body, headers)
            urllib.request.urlopen(request, timeout=SAVE_SECONDS).close()  # noqa: S310
            if record["generation"] != _generation(folder):
                (folder / record["file"]).unlink(missing_ok=True)
        except (OSError, ValueError, KeyError):
            continue


def _generation(folder: Path) -> str:
    """Changes when documents are removed (slots.py)."""
    path = folder / "generation"
    return path.read_text(encoding="ascii") if path.exists() else ""


def _end_when_idle(state: Path, idle: float, save: Callable[[], None]) -> None:
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
                save()
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
