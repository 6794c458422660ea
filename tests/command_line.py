"""The command line in this process, with an environment of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ragstone.cli.app import run


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err.splitlines()[-1])["error"]


CommandLine = Callable[..., Outcome]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "RAGSTONE_DATA": str(tmp_path / "data")}


@pytest.fixture
def ragstone(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """`ragstone("search", "words", "--json")` runs it in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(arguments, environ)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with one German and one English document."""
    return write_documents(tmp_path / "documents")


def write_documents(folder: Path) -> Path:
    folder.mkdir()
    (folder / "filter.md").write_text(
        "# Lüftung\n\n## Filterwechsel\n\nDer Luftfilter wird alle sechs Monate gewechselt. "
        "Der alte Filter kommt in den Restmüll.\n\n## Ventilator\n\nDer Ventilator läuft mit 900 Umdrehungen.\n",
        encoding="utf-8",
    )
    (folder / "boiler.txt").write_text(
        "The boiler is descaled every March.\n\nIts safety valve opens at 3.2 bar.\n", encoding="utf-8"
    )
    return folder
