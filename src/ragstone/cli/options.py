"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="extractive, auto, ollama:NAME, openai:NAME, gguf:PATH or gateway. Default: answer.model.",
        show_default=False,
    ),
]
