"""The command `mcp`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from ..errors import InputError
from .session import Session, command, commands

app = commands()


@command(app)
def mcp(
    session: Session,
    read_only: Annotated[bool, typer.Option("--read-only", help="Without the tools that write.")] = False,
) -> int:
    """Serve documents and memory to an agent (Model Context Protocol, on standard input and output).

    The agent's program starts this command; docs/mcp.md has what to write into its settings. A running
    `ragstone serve` answers the same at /mcp.
    """
    missing = [name for name in ("anyio", "mcp", "pydantic") if find_spec(name) is None]
    if missing:
        raise InputError(f"the MCP server needs {missing[0]}.", "pip install 'ragstone[mcp]'")
    from ..mcp.local import LocalReach
    from ..mcp.stdio import serve

    settings = session.settings
    reach = LocalReach(
        lambda: session.open(read_only=read_only, background=True),
        writable=not read_only,
        answer_seconds=settings.answer.deadline,
    )
    try:
        serve(reach, reach.begin)
    finally:
        reach.close()
    return 0
