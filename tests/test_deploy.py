"""deploy/Dockerfile, which is not built here, against what the package needs and has."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = [
    line.strip()
    for line in (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
STAGES = [index for index, line in enumerate(LINES) if line.startswith("FROM ")]


def arguments(line: str) -> list[str]:
    return [word for word in shlex.split(line)[1:] if not word.startswith("--")]


def copied() -> list[str]:
    """What comes from the build context."""
    lines = [line for line in LINES if line.startswith(("COPY ", "ADD ")) and "--from=" not in line]
    return [path for line in lines for path in arguments(line)[:-1]]


@pytest.mark.parametrize("path", copied())
def test_what_is_copied_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_what_the_wheel_is_made_of_is_copied() -> None:
    project, wheel = PACKAGE["project"], PACKAGE["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [project["readme"], *project["license-files"], *wheel["force-include"], "src", "pyproject.toml"]
    assert set(needed) <= set(copied())
    assert (ROOT / "src" / "ragstone" / "server" / "web" / "index.html").exists()


def test_the_extras_that_a_server_uses_are_installed() -> None:
    (line,) = [line for line in LINES if "pip install" in line]
    extras = re.search(r"\.\[([\w,]+)\]", line)
    assert extras is not None
    names = set(extras[1].split(","))
    assert names <= set(PACKAGE["project"]["optional-dependencies"])
    assert {"server", "oidc", "mcp", "otel"} <= names


def test_versions_of_python_agree() -> None:
    bases = {arguments(LINES[index])[0] for index in STAGES}
    assert len(bases) == 1
    version = re.fullmatch(r"python:3\.(\d+)-slim-\w+", bases.pop())
    lowest = re.fullmatch(r">=3\.(\d+)", PACKAGE["project"]["requires-python"])
    assert version is not None
    assert lowest is not None
    assert int(version[1]) >= int(lowest[1])


def test_the_image_runs_as_somebody_without_rights() -> None:
    last = LINES[STAGES[-1] :]
    (user,) = [line for line in last if line.startswith("USER ")]
    assert user.split()[1] not in ("root", "0")
    assert f"useradd --system --no-log-init --uid 10001 --gid {user.split()[1]}" in " ".join(" ".join(last).split())
    assert sum(line.startswith("HEALTHCHECK ") for line in last) == 1
    assert all(line.split()[0] in {"FROM", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL",
                                   "ENTRYPOINT", "CMD", "WORKDIR"} for line in LINES)  # fmt: skip
