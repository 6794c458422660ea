"""Generated documents are what the code says now, links lead somewhere, samples are what their script makes."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import is_typeddict

import pytest

from ragstone.cli import records
from ragstone.cli.records.printed import RECORDS

ROOT = Path(__file__).resolve().parent.parent


def test_generated_documents_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "tools/gen_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/cli.md", "docs/settings.md", "docs/json.md", "docs/mcp.md"])
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_what_the_readme_names_as_checks_exists() -> None:
    for target in re.findall(r"`(tests/[\w/.]+)`", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_readme_has_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .*$", readme, flags=re.M)
    assert len(commands) == 2
    assert commands[0].endswith("ragstone demo")
    assert commands[1].endswith("tools/check.py")
    assert "<!-- bench:start -->" in readme


def test_samples_are_what_their_script_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "tools/make_samples.py", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    made = sorted(tmp_path.iterdir())
    assert len(made) == 2
    for path in made:
        assert path.read_bytes() == (ROOT / "samples" / path.name).read_bytes(), path.name


def test_every_printed_object_is_documented() -> None:
    modules = [import_module(f"{records.__name__}.{found.name}") for found in iter_modules(records.__path__)]
    others = [import_module(f"ragstone.{name}") for name in ("graph_records", "memory_records", "learn_records")]
    whole = {
        name
        for module in (*modules, *others)
        for name, held in vars(module).items()
        if is_typeddict(held) and "schema_version" in held.__annotations__
    }
    assert whole - {record.__name__ for record in RECORDS} == {"MeasuredRecord"}  # what measurements share
