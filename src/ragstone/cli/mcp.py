"""The command `mcp`."""

from __future__ import annotations

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
    import gc

    gc.disable()  # classes and modules stay: looking for garbage among them costs a tenth of the start
    from ..mcp.local import LocalReach

    settings = session.settings
    reach = LocalReach(
        lambda: session.open(read_only=read_only, background=True),
        writable=not read_only,
        answer_seconds=settings.answer.deadline,
    )
    try:
        from ..mcp.stdio import serve  # meanwhile the data are opened

        gc.freeze()
        gc.enable()
        serve(reach)
    except ModuleNotFoundError as error:
        raise InputError(f"the MCP server needs {error.name}.", "pip install 'ragstone[mcp]'") from error
    finally:
        reach.close()
    return 0
