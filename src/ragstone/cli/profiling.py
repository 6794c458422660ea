"""The command profile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError, NotFound
from .session import Session, command, commands

app = commands()

DEFAULT_URL = "http://127.0.0.1:8765"
TOKEN_FILE = "server.token"  # noqa: S105 - a file's name


@command(app, "profile")
def profile(
    session: Session,
    seconds: Annotated[float, typer.Option(min=0.1, max=120, metavar="N", help="How long to watch.")] = 10.0,
    url: Annotated[str, typer.Option(metavar="URL", help="The running server.")] = DEFAULT_URL,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with an admin key; default: this data's token.", show_default=False),
    ] = None,
    pid: Annotated[
        int | None,
        typer.Option(metavar="PID", help="Watch a process of this machine instead (needs py-spy).", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the graph goes.")] = Path(
        "profile.svg"
    ),
    idle: Annotated[bool, typer.Option("--idle", help="Show threads that wait as well.")] = False,
) -> int:
    """Watch what a running server does and draw it as a flame graph (SVG).

    The server samples its own threads, which costs it about 1 % meanwhile. With several worker processes the one that
    takes the request is watched; --pid chooses a process.
    """
    from ..server.flame import collapsed, flame_graph

    session.safe = "Nothing was changed."
    session.terminal.note(f"Watching for {seconds:g} seconds.")
    if pid is not None:
        what, text = f"process {pid}", _spied(pid, seconds, idle)
    else:
        what, text = url, _served(url, _key(session, key_file), seconds, idle)
    stacks = collapsed(text)
    output.write_text(flame_graph(stacks, f"ragstone profile of {what}", seconds=seconds), encoding="utf-8")
    counts = _innermost(stacks)
    total = sum(stacks.values())
    if session.terminal.as_json:
        top = [{"name": name, "samples": count} for name, count in counts[:20]]
        session.terminal.json({"file": str(output), "samples": total, "seconds": seconds, "top": top})
        return 0
    session.terminal.line(f"{output}: {total:,} samples")
    for name, count in counts[:5]:
        session.terminal.line(f"{count / total:6.1%}  {name}")
    return 0


def _innermost(stacks: dict[tuple[str, ...], int]) -> list[tuple[str, int]]:
    """Where the samples were taken, most frequent first."""
    counts: dict[str, int] = {}
    for stack, count in stacks.items():
        counts[stack[-1]] = counts.get(stack[-1], 0) + count
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _key(session: Session, file: Path | None) -> str:
    path = file or session.settings.data.folder / TOKEN_FILE
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise NotFound(
            f"there is no key in {path}.", "Is the server running on this data? Else give --key-file or --pid."
        ) from error


def _served(url: str, key: str, seconds: float, idle: bool) -> str:
    import httpx2

    address = f"{url.rstrip('/')}/v1/profile"
    parameters: dict[str, Any] = {"seconds": seconds, "idle": str(idle).lower()}
    try:
        with httpx2.Client(timeout=seconds + 30, trust_env=False) as client:
            answer = client.get(address, params=parameters, headers={"Authorization": f"Bearer {key}"})
    except httpx2.HTTPError as error:
        raise NotFound(f"there is no server at {url}: {error}.", "Is it the address of a running server?") from error
    if answer.status_code != 200:
        raise InputError(
            f"the server answered {answer.status_code} to the profile.", "It takes a key with the scope admin."
        )
    return answer.text


def _spied(pid: int, seconds: float, idle: bool) -> str:
    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise InputError("py-spy is not installed.", "pip install py-spy, or watch the server through --url.")
    arguments = [program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))), "--format", "raw"]
    arguments += ["--output", "/dev/stdout", "--nonblocking", "--rate", "97", *(["--idle"] if idle else [])]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"process {pid} cannot be watched: {reason}", "It takes the right to trace the process.")
    return "".join(line + "\n" for line in done.stdout.splitlines() if line.rpartition(" ")[2].isdigit())
