"""Commands about the setup: config, models, completion."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import typer

from ..errors import InputError
from ..records import SCHEMA_VERSION
from ..settings import SECTIONS, TABLES, describe, find_file, user_file
from ..types import ModelStatus
from .records.configuration import ConfigRecord, PathRecord
from .records.models import ModelsRecord, ModelStatusRecord, PreloadRecord, model_record
from .session import DefaultGroup, Session, before, command, commands
from .terminal import Column, duration, flat, size

app = commands()

_MODEL_KEYS = ("name", "weights", "default", "languages", "dimension", "licence")
"""What `models` shows of a model on a terminal without much room."""

config = commands(
    help="Show settings and where each comes from; write a file.", no_args_is_help=True
)
config.callback()(before())
app.add_typer(config, name="config")


@command(config, "show")
def config_show(session: Session) -> int:
    """Show every setting, its value and where it comes from.

    Secrets that are set are shown as ***.
    """
    settings = session.settings
    rows = list(describe(settings))
    if session.terminal.as_json:
        record: ConfigRecord = {
            "schema_version": SCHEMA_VERSION,
            "file": str(settings.file) if settings.file else None,
            "settings": [{"key": key, "value": value, "origin": origin} for key, value, origin in rows],
        }
        session.terminal.json(record)
        return 0
    columns = [Column("Setting"), Column("Value", wrap=True), Column("From", wrap=True)]
    session.terminal.table(columns, [(key, _shown(value), origin) for key, value, origin in rows])
    return 0


@command(config, "path")
def config_path(session: Session) -> int:
    """Print the path of the settings file that is in force."""
    file = find_file(session.common.config, session.environ, Path.cwd())
    if session.terminal.as_json:
        record: PathRecord = {"schema_version": SCHEMA_VERSION, "path": str(file) if file else None}
        session.terminal.json(record)
    elif file is not None:
        session.terminal.line(flat(str(file)))
    else:
        session.terminal.note("No settings file: all values are defaults, environment or flags.")
    return 0


@command(config, "init")
def config_init(
    session: Session,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Default: the user's own settings file.", show_default=False),
    ] = None,
) -> int:
    """Write a settings file with every key, its default and its meaning, all commented out."""
    target = path or session.common.config or user_file(session.environ)
    if target.exists():
        raise InputError(f"{target} exists.", "Edit it, or name another file.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(_template()), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}.", "Name another file.") from error
    if session.terminal.as_json:
        record: PathRecord = {"schema_version": SCHEMA_VERSION, "path": str(target)}
        session.terminal.json(record)
    else:
        session.terminal.line(flat(str(target)))
    return 0


models = commands(
    cls=DefaultGroup,
    invoke_without_command=True,
    help="List embedding models; show and load language models.\n\n`models` is `models list`.",
)
models.callback()(before())
app.add_typer(models, name="models")


@command(models, "list")
def models_list(session: Session) -> int:
    """List embedding models: what is installed, its pinned hash, licence and dimension."""
    with TemporaryDirectory(prefix="ragstone-models-") as place, session.open_at(Path(place)) as kb:
        found = kb.models()
    if session.terminal.as_json:
        record: ModelsRecord = {"schema_version": SCHEMA_VERSION, "models": found}
        session.terminal.json(record)
        return 0
    keys = [*_MODEL_KEYS, *(key for model in found for key in model)]
    keys = list(dict.fromkeys(keys))
    columns = [
        Column(key.replace("_", " ").capitalize(), wrap=True, least=len(key), optional=key not in _MODEL_KEYS)
        for key in keys
    ]
    session.terminal.table(columns, [[_shown(model.get(key, "")) for key in keys] for model in found])
    return 0


@command(models, "status")
def models_status(session: Session) -> int:
    """Show the language models of this machine that may answer: loaded or not, memory, last use, reuse of prompts.

    Loads nothing. Which ones there are follows from the settings (answer.model); servers elsewhere are not shown.
    """
    with session.open(read_only=True) as kb:
        found = kb.model_status()
    if session.terminal.as_json:
        record: ModelStatusRecord = {"schema_version": SCHEMA_VERSION, "models": [model_record(m) for m in found]}
        session.terminal.json(record)
        return 0
    columns = [
        Column("Model", wrap=True),
        Column("Kind", optional=True),
        Column("State"),
        *(Column(name, "right") for name in ("Size", "RAM", "VRAM")),
        *(Column(name, "right", optional=True) for name in ("Window", "Load time")),
        Column("Last use"),
        Column("Prompt reused", "right"),
    ]
    session.terminal.table(columns, [_status_row(status) for status in found])
    if not found:
        session.terminal.note("No model of this machine answers (answer.model).")
    return 0


def _status_row(status: ModelStatus) -> list[str]:
    return [
        flat(status.name),
        status.kind,
        "loaded" if status.loaded else "not loaded",
        size(status.size) if status.size else "-",
        size(status.ram) if status.ram else "-",
        size(status.vram) if status.vram else "-",
        f"{status.slots} × {status.context:,}" if status.context else "-",
        duration(status.load_seconds) if status.load_seconds else "-",
        "-" if status.last_used is None else f"{duration(max(0.0, time.time() - status.last_used))} ago",
        f"{status.hit_rate:.0%}" if status.prompt_tokens else "-",
    ]


@command(models, "preload")
def models_preload(session: Session) -> int:
    """Load the language model that answers, so that the next question does not wait for it.

    It stays until it was not used for as long as answer.keep_alive (Ollama) or ten minutes (gguf).
    """
    session.safe = "A model that is being loaded goes on loading."
    with session.open(read_only=True) as kb:
        loads = dict(kb.load_models())
        found = kb.model_status()
    if session.terminal.as_json:
        record: PreloadRecord = {
            "schema_version": SCHEMA_VERSION,
            "models": [{"name": status.name, "seconds": loads.get(status.name, 0.0)} for status in found],
        }
        session.terminal.json(record)
        return 0
    for status in found:
        seconds = loads.get(status.name)
        session.terminal.line(
            f"{flat(status.name)}: {f'loaded in {duration(seconds)}' if seconds else 'was loaded already'}"
        )
    if not found:
        session.terminal.note("No model of this machine answers (answer.model).")
    return 0


@command(app)
def completion(
    session: Session,  # noqa: ARG001 - every command takes one
    shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], typer.Argument(help="Which shell.")],
) -> int:
    """Print a completion script for a shell.

    bash: ragstone completion bash > ~/.local/share/bash-completion/completions/ragstone
    """
    from typer._completion_shared import get_completion_script

    print(get_completion_script(prog_name="ragstone", complete_var="_RAGSTONE_COMPLETE", shell=shell))
    return 0


def _template() -> Iterator[str]:
    yield "# Settings of Ragstone. Uncomment what you change; `ragstone config show` tells what is in force."
    for name, cls in SECTIONS.items():
        yield ""
        yield f"# {(cls.__doc__ or '').strip().splitlines()[0]}"
        yield f"[{name}]"
        for f in fields(cls):
            yield f"# {f.metadata['doc']}"
            yield f"# {f.name} = {_toml(f.default)}"
    for name, cls in TABLES.items():
        yield ""
        yield f"# [{name}]"
        yield f"# {(cls.__doc__ or '').strip().splitlines()[0]}"
        yield from (f"# {f.name}: {f.metadata['doc']}" for f in fields(cls))
    yield ""


def _toml(value: object) -> str:
    if value is None or isinstance(value, type) or not isinstance(value, str | int | float | bool | tuple):
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)
