"""Imports point one way (`[tool.importlinter]` in pyproject.toml), modules read in one sitting, and only entry points touch
the environment."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "src/ragstone").rglob("*.py"))
ENTRY_POINTS = {"ragstone/__main__.py", "ragstone/ingest/parser_process.py"}
"""Where a process begins; a parser process sets its own environment before it loads libraries."""
MOST_LINES = 400
"""Of a module: what reads in one sitting. One that grows beyond is split by what its parts mean, not by their length."""
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "base", "common", "misc"}


def test_import_contracts_hold() -> None:
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", script, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_module_habits(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < MOST_LINES, "split it by meaning"
    tree = ast.parse(text)
    if tree.body:
        assert ast.get_docstring(tree), "a module says what it is"
    if path.relative_to(ROOT / "src").as_posix() in ENTRY_POINTS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in ("environ", "getenv", "environb"), f"line {node.lineno} reads the environment"
