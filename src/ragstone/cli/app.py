"""The root command: a table of commands whose modules load when they are called, and the mapping of errors to
lines and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import RagstoneError
from .session import Common, Runtime, Session, before, commands
from .terminal import Terminal, stream_safely

COMPLETION_VARIABLE = "_RAGSTONE_COMPLETE"
INTERRUPTED = 130
BROKEN_PIPE = 141
USAGE = 2
INTERNAL = 1

SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Start here": {
        "demo": ("demo", "Ask the bundled sample documents two questions."),
        "add": ("documents", "Add files and folders; they are searchable on return."),
        "ask": ("questions", "Answer a question with citations."),
        "search": ("questions", "Find passages."),
        "chat": ("chat", "Ask in a conversation that can be resumed, with memory."),
    },
    "Documents": {
        "sync": ("documents", "Bring the data to the state of the folders that were added."),
        "watch": ("documents", "Add folders and follow their changes."),
        "list": ("documents", "List documents."),
        "show": ("showing", "Show a document, a page or a span of it."),
        "remove": ("documents", "Remove documents from the data; files stay."),
    },
    "Memory": {
        "remember": ("memory", "Remember a decision, a fact, an episode."),
        "recall": ("memory", "Find what was remembered."),
        "forget": ("memory", "Forget items of memory."),
        "timeline": ("memory", "Show what happened and was learned, newest first."),
        "memory": ("memory", "Look at what is remembered, and keep it in projects."),
        "learn": ("learning", "Remember what matters of a transcript as it grows."),
        "intent": ("learning", "Tell what a turn wants."),
        "trajectory": ("learning", "Tell where a conversation goes."),
    },
    "Knowledge graph": {
        "graph": ("graph", "Look at what documents name, and how it belongs together."),
    },
    "Data": {
        "status": ("upkeep", "Show what is in the data folder."),
        "verify": ("upkeep", "Compare documents, indexes and log."),
        "rebuild": ("upkeep", "Build every index anew from the documents."),
        "export": ("upkeep", "Write documents to a file."),
        "import": ("upkeep", "Read documents that export wrote."),
        "purge": ("upkeep", "Take the bytes of what was removed off the disk."),
        "backup": ("backups", "Store what changed since the last backup; list and check backups."),
        "restore": ("backups", "Make the data what it was at a backup."),
        "jobs": ("jobs", "Look at work in the background, and do it."),
    },
    "Server": {
        "serve": ("serve", "Serve the HTTP API on this machine, or to others."),
        "mcp": ("mcp", "Serve documents and memory to an agent over MCP."),
        "keys": ("keys", "Make, list and revoke keys of the server."),
        "tenants": ("keys", "Make, list and remove tenants of the server."),
    },
    "Setup": {
        "config": ("configuration", "Show settings and where each comes from; write a file."),
        "models": ("configuration", "List embedding models; show and load language models."),
        "spaces": ("spaces", "Change the embedding model without a stop: build, compare, switch, go back."),
        "budget": ("budgeting", "Show and set what models may cost; show what they did cost."),
        "doctor": ("doctor", "Check this installation and say what to do."),
        "completion": ("configuration", "Print a completion script for a shell."),
    },
    "Measuring": {
        "eval": ("evaluating", "Measure retrieval or answers on judged questions."),
        "bench": ("benchmarking", "Measure speed and memory; compare two reports."),
        "profile": ("profiling", "Watch what a running server does; draw a flame graph."),
        "compare": ("comparing", "Compare language models and say which to use."),
        "stress": ("stressing", "Kill it, cut its power, fill its disk, and check that nothing is lost."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class LazyGroup(TyperGroup):
    """Knows its commands by name and one line; the module of a command is imported when it is called, so that
    help and completion of names cost only the parser."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the parser's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            module = import_module(f".{COMMANDS[cmd_name][0]}", __package__)
            group = typer.main.get_group(module.app)
            self.commands.update(group.commands)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"There is no command {args[0]}." + (f" Did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, line) for name, (_, line) in entries.items()])


def build() -> typer.Typer:
    app = commands(
        name="ragstone",
        cls=LazyGroup,
        help="Documents in, answers with checkable citations out, offline.",
        epilog="`ragstone COMMAND --help` explains a command. The options above may stand before or after its name.",
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(before(version=_print_version))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ragstone {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs one command line and returns its exit code. Never raises for errors that Ragstone knows."""
    stream_safely(sys.stdout)
    stream_safely(sys.stderr)
    runtime = Runtime(environ, Common())
    try:
        code = _run(list(arguments), runtime)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of our output is gone: nothing to say, and the interpreter's last flush must not say it either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _run(arguments: list[str], runtime: Runtime) -> int:
    try:
        if COMPLETION_VARIABLE in runtime.environ:  # a shell asks what could come next
            from typer._completion_classes import completion_init

            completion_init()
        command = typer.main.get_command(build())
        code = command.main(arguments, prog_name="ragstone", standalone_mode=False, obj=runtime)
        if code == INTERRUPTED:  # the parser turns an interrupt into this code
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        session = runtime.session
        safe = session.safe if session is not None and session.safe else "Nothing was changed."
        _terminal(runtime, arguments).error("Interrupted.", safe, "Interrupted", INTERRUPTED)
        return INTERRUPTED
    except RagstoneError as error:
        _terminal(runtime, arguments).error(error.message, error.hint, error.code, error.exit_code)
        return error.exit_code
    except SystemExit as leaving:  # the parser turns a broken pipe into one
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None
        raise
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence, which tells what to do
        if (usage := _usage(error)) is not None:
            if type(error).__name__ == "NoArgsIsHelpError":
                print(usage[0])
                return USAGE
            _terminal(runtime, arguments).error(*usage, "UsageError", USAGE)
            return USAGE
        return _defect(error, _terminal(runtime, arguments), runtime.session)


def _usage(error: Exception) -> tuple[str, str] | None:
    """(message, hint) of a mistake that the parser found. Its exception classes are internal to the parser; all
    of them, and nothing else, can format a message and know a context."""
    if not (hasattr(error, "format_message") and hasattr(error, "ctx")):
        return None
    context = error.ctx
    path = context.command_path if context is not None else "ragstone"
    message = error.format_message().strip().replace("Value error, ", "")
    if not message.endswith((".", "?")):
        message += "."
    name = " If it is a name, write -- before it." if type(error).__name__ == "NoSuchOption" else ""
    return message, f"`{path} --help` explains.{name}"


def _defect(error: Exception, terminal: Terminal, session: Session | None) -> int:
    """An error nobody expected. The traceback is for those who asked for it."""
    try:
        debugging = session is not None and session.settings.log.level == "debug"
    except RagstoneError:
        debugging = False
    if debugging:
        import traceback

        traceback.print_exception(error)
    terminal.error(
        f"Ragstone failed unexpectedly: {type(error).__name__}: {error}",
        "This is a defect; please report it with what `--set log.level=debug` adds.",
        type(error).__name__,
        INTERNAL,
    )
    return INTERNAL


def _terminal(runtime: Runtime, arguments: Sequence[str]) -> Terminal:
    """The command's terminal, or, when it did not come so far, one that follows the bare arguments."""
    if runtime.session is not None:
        return runtime.session.terminal
    return Terminal(
        runtime.environ, json="--json" in arguments, quiet="--quiet" in arguments, no_color="--no-color" in arguments
    )
