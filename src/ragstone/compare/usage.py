"""What the process that serves a model takes: memory, CPU seconds, memory of a GPU where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from ..llm import loopback

MIB = 1 << 20
GPU_SECONDS = 5.0
"""Longest wait for nvidia-smi."""


@dataclass(frozen=True, slots=True)
class Use:
    """Bytes resident, bytes on GPUs (None: no GPU, or not told) and CPU seconds so far of a process tree."""

    memory: int
    gpu: int | None
    cpu: float


def children() -> set[int]:
    """Process ids below this process."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def listening(url: str) -> set[int]:
    """The process on this machine that listens at `url`; empty where it is elsewhere or not ours to see."""
    if not loopback(url):
        return set()
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return set()
    listeners = (c for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port)
    return {c.pid for c in listeners if c.pid}


def use(pids: Sequence[int]) -> Use | None:
    """Of these processes and those below them; None where none of them is there to be seen."""
    tree: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            tree |= {p.pid: p for p in (process, *process.children(recursive=True))}
        except psutil.Error:
            continue
    memory, cpu, seen = 0, 0.0, False
    for process in tree.values():
        try:
            memory += process.memory_info().rss
            times = process.cpu_times()
        except psutil.Error:
            continue
        cpu += times.user + times.system
        seen = True
    return Use(memory, gpu_memory(set(tree)), cpu) if seen else None


def gpu_memory(pids: set[int]) -> int | None:
    """Bytes that these processes hold on NVIDIA GPUs; None without such a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GPU_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else parse_gpu(done.stdout, pids)


def parse_gpu(table: str, pids: set[int]) -> int:
    """Sum of the rows "pid, MiB" that belong to `pids`. Rows without a figure ("[N/A]") count nothing."""
    total = 0
    for row in table.splitlines():
        pid, _, amount = (part.strip() for part in row.partition(","))
        if pid.isdigit() and amount.isdigit() and int(pid) in pids:
            total += int(amount) * MIB
    return total
