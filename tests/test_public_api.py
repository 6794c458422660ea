"""`ragstone.__all__` is the public API: all of it is there, and importing the package costs next to nothing."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

import ragstone
from ragstone import errors


@pytest.mark.parametrize("name", ragstone.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ragstone, name) is not None


def test_all_is_what_dir_shows_and_nothing_else_is_visible() -> None:
    assert dir(ragstone) == sorted(ragstone.__all__)
    assert len(set(ragstone.__all__)) == len(ragstone.__all__)
    own = {name for name, value in vars(ragstone).items() if not (name.startswith("_") or inspect.ismodule(value))}
    assert own - {"TYPE_CHECKING", "annotations", "Any"} <= set(ragstone.__all__)


def test_every_error_is_public() -> None:
    kinds = {n for n, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, errors.RagstoneError)}
    assert kinds <= set(ragstone.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = ragstone.nothing_like_this


def _python(script: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)


def test_import_loads_nothing_heavy() -> None:
    script = "import sys, ragstone; print(*sorted(sys.modules))"
    loaded = _python(script).stdout.split()
    heavy = {"numpy", "onnxruntime", "faiss", "apsw", "typer", "rich", "msgspec", "tokenizers"}
    heavy.add("ragstone.knowledge_base")
    assert heavy.isdisjoint(loaded)


def test_command_line_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from ragstone.cli.app import run\n"
        "assert run(['--help'], {}) == 0\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = _python(script)
    heavy = {"numpy", "onnxruntime", "faiss", "apsw", "rich", "msgspec", "tokenizers", "httpx2", "pydantic"}
    heavy |= {"ragstone.knowledge_base", "ragstone.cli.documents"}
    assert heavy.isdisjoint(done.stderr.split())
