"""Where and with what a measurement was made."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from .. import __version__


def machine() -> dict[str, Any]:
    """Version, commit ("" outside of a checkout; "+" where it has changes), time, and the machine."""
    import psutil

    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    commit = _git("rev-parse", "--short", "HEAD")
    return {
        "version": __version__,
        "commit": commit + ("+" if commit and _git("status", "--porcelain", "--", ".") else ""),
        "time": int(time.time()),
        "machine": {
            "processor": processor,
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
    }


def _git(*arguments: str) -> str:
    """What git says of the sources; nothing where there is no git or no checkout."""
    command = ["git", "-C", str(Path(__file__).parents[1]), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
