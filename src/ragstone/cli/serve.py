"""The command `serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import InputError
from ..records import SCHEMA_VERSION
from .logs import configure
from .records.serving import ServeRecord
from .session import Session, command, commands

app = commands()


@command(app)
def serve(
    session: Session,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Default: server.host.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=65_535, help="Default: server.port.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=256, help="Default: server.workers.", show_default=False)
    ] = None,
) -> int:
    """Serve the HTTP API.

    On this machine alone it works at once: the address that is printed signs the browser in, and programs send the
    token in DATA/server.token as `Authorization: Bearer`. For other machines (--host 0.0.0.0) an admin key is needed
    first: `ragstone keys create`. SIGHUP replaces the processes one after the other; SIGTERM lets requests end.
    """
    for name, value in (("host", host), ("port", port), ("workers", workers)):
        if value is not None:
            session.override(f"server.{name}", value)
    try:
        from ..server.process import listen, run, show
    except ModuleNotFoundError as error:
        raise InputError(f"the server needs {error.name}.", "pip install 'ragstone[server]'") from error
    settings = session.settings
    socket = listen(settings)
    line, token = show(settings, socket)
    if session.terminal.as_json:
        record: ServeRecord = {"schema_version": SCHEMA_VERSION, "url": line, "token_file": token}
        session.terminal.json(record)
    else:
        print(line, flush=True)
    return run(settings, dict(session.environ), socket, configure)
