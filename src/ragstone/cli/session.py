"""What every command shares: the options that are accepted before and after its name, and what follows from them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import InputError
from .progress import ProgressDisplay
from .terminal import Terminal

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase
    from ..settings import Settings

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True)
class Common:
    """The shared options. None or empty: not given."""

    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Data folder.", show_default=False),
    ] = None
    collection: Annotated[
        list[str] | None,
        typer.Option(
            "--collection", "-c", metavar="NAME", help="Collection; may be repeated for questions.", show_default=False
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md).")] = False
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file.", show_default=False)
    ] = None
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting.", show_default=False),
    ] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False
    no_color: Annotated[bool, typer.Option("--no-color", help="No colour.")] = False

    def over(self, earlier: Common) -> Common:
        """These options, and where they were not given those from before the command's name."""
        later = {f.name: getattr(self, f.name) or getattr(earlier, f.name) for f in fields(self)}
        later["set"] = [*(earlier.set or ()), *(self.set or ())]
        return Common(**later)


class Session:
    """One run of a command: its terminal, its settings (read when first needed) and its knowledge base."""

    def __init__(self, common: Common, environ: Mapping[str, str]) -> None:
        self.common = common
        self.environ = environ
        self.terminal = Terminal(environ, json=common.json, quiet=common.quiet, no_color=common.no_color)
        self.safe = ""
        """What holds if the command is interrupted now; one sentence."""
        self._settings: Settings | None = None
        self._overrides: dict[str, object] = {}

    def override(self, key: str, value: object) -> None:
        """A command's own flag for a setting. To be called before `settings` is read."""
        self._overrides[key] = value

    @property
    def settings(self) -> Settings:
        """Raises SettingsError, NotFound."""
        from ..settings import find_file, load  # 40 ms that `--help` does without

        if self._settings is None:
            overrides: dict[str, object] = {}
            for pair in self.common.set or ():
                key, equals, value = pair.partition("=")
                if not equals:
                    raise InputError(f"--set {pair} has no value.", "Write --set KEY=VALUE, e.g. --set search.k=20.")
                overrides[key.strip()] = value.strip()
            overrides.update(self._overrides)
            if self.common.data is not None:
                overrides["data.folder"] = self.common.data
            file = find_file(self.common.config, self.environ, Path.cwd())
            self._settings = load(file, self.environ, overrides)
        return self._settings

    @property
    def collection(self) -> str:
        """The one collection of a command that works on one. Raises InputError for several."""
        given = self.common.collection or [DEFAULT_COLLECTION]
        if len(given) > 1:
            raise InputError("this command works on one collection.", "Give --collection once.")
        return given[0]

    @property
    def collections(self) -> list[str] | None:
        """Those of a question; None: all."""
        return self.common.collection or None

    @property
    def one_or_all(self) -> str | None:
        """The collection of a command that works on all unless told otherwise."""
        return self.collection if self.common.collection else None

    def open(
        self, *, read_only: bool = False, background: bool = False, remember: bool | None = None
    ) -> KnowledgeBase:
        """The knowledge base, a context manager. Commands embed where they say so, hence not in the background.
        `remember`: whether answers are kept for the next time; default: where writing is meant."""
        return self._open(self.settings, read_only=read_only, background=background, remember=remember)

    def open_existing(self) -> KnowledgeBase:
        """The same for a command that changes only what is there, and makes no data folder. Raises NotFound."""
        from ..storage.connect import require_data

        require_data(self.settings.data.folder)
        return self.open()

    def open_with(self, model: str) -> KnowledgeBase:
        """One that answers with another model (a value of answer.model), and embeds in the background."""
        settings = self.settings
        return self._open(replace(settings, answer=replace(settings.answer, model=model)), background=True)

    def open_at(self, folder: Path, *, background: bool = False) -> KnowledgeBase:
        """A knowledge base in another folder, with the same settings."""
        from ..settings import at

        return self._open(at(folder, self.settings), background=background)

    def _open(
        self,
        settings: Settings,
        *,
        read_only: bool = False,
        background: bool = False,
        remember: bool | None = None,
    ) -> KnowledgeBase:
        from ..assemble import open_knowledge_base
        from .logs import configure

        configure(settings.log.level, settings.log.format)
        embedding = replace(settings.embedding, background=background and settings.embedding.background)
        return open_knowledge_base(
            replace(settings, embedding=embedding), read_only=read_only, remember=remember, environ=self.environ
        )

    def progress(self) -> ProgressDisplay:
        return ProgressDisplay(self.terminal)


class Command(TyperCommand):
    """A command whose help lists the shared options apart from its own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments: list[tuple[str, str]] = []
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        names = {f.name for f in fields(Common)} | {"help"}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                (arguments if is_argument else common if parameter.name in names else own).append(record)
        for title, records in (("Arguments", arguments), ("Options", own), ("Shared options", common)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class DefaultGroup(TyperGroup):
    """A group whose first command runs when no command is named, so that `eval DIR` means `eval retrieval DIR`.
    A folder that is called like a command is written ./answers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in ctx.help_option_names:
            names = list(self.commands)
            at = next((i for i, arg in enumerate(args) if arg in names and not _is_value(args, i)), None)
            args = [names[0], *args] if at is None else [args[at], *args[:at], *args[at + 1 :]]
        elif not args and self.invoke_without_command:
            args = [next(iter(self.commands))]
        return super().parse_args(ctx, args)


_FLAGS = ("--json", "--quiet", "-q", "--no-color")


def _is_value(args: list[str], index: int) -> bool:
    """Whether the word belongs to the option before it. Every option of these groups but the flags takes one."""
    earlier = args[index - 1] if index else ""
    return earlier.startswith("-") and "=" not in earlier and earlier not in _FLAGS


def commands(**settings: Any) -> typer.Typer:
    """A group of commands with plain help, which needs no import and reads the same everywhere."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, **settings)


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Makes `function(session, ...)`, which returns the exit code, a command of `app`: its own parameters, then
    the shared options."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        own = inspect.signature(function, eval_str=True)
        parameters = [p for key, p in own.parameters.items() if key != "session"]

        def run(ctx: typer.Context, **values: Any) -> int:
            common = Common(**{f.name: values.pop(f.name) for f in fields(Common)})
            runtime: Runtime = ctx.obj
            session = runtime.session = Session(common.over(runtime.common), runtime.environ)
            return function(session, **values)

        described = _described(run, function, [*parameters, *_common_parameters()])
        app.command(name, cls=Command)(described)
        return function

    return register


def before(*, version: Callable[[bool], None] | None = None) -> Callable[..., None]:
    """A callback for groups that takes the shared options in front of the command's name, and --version where
    `version` prints it."""

    def callback(ctx: typer.Context, **values: Any) -> None:
        values.pop("version", None)
        runtime: Runtime = ctx.obj
        runtime.common = Common(**values).over(runtime.common)

    parameters = _common_parameters()
    if version is not None:
        option = typer.Option("--version", help="Print the version.", is_eager=True, callback=version)
        annotation = Annotated[bool, option]
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter("version", keyword, default=False, annotation=annotation))
    described: Callable[..., None] = _described(callback, None, parameters)
    return described


@dataclass(slots=True)
class Runtime:
    """What the root context carries from the options before the command's name to the command, and back to the
    place that reports errors."""

    environ: Mapping[str, str]
    common: Common
    session: Session | None = None


def _common_parameters() -> list[inspect.Parameter]:
    signature = inspect.signature(Common, eval_str=True)
    return [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]


def _described(wrapper: Any, function: Callable[..., Any] | None, parameters: list[inspect.Parameter]) -> Any:
    """`wrapper` with the signature that the parser reads."""
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    wrapper.__signature__ = inspect.Signature([context, *keywords])
    wrapper.__annotations__ = {}
    if function is not None:
        wrapper.__name__ = function.__name__
        wrapper.__doc__ = function.__doc__
    return wrapper


def existing(path: str) -> str:
    """The uri of `path` where it names something that exists, else unchanged (it may be a uri)."""
    if not os.path.lexists(path):
        return path
    from ..ingest.names import uri_of

    return uri_of(str(Path(path).absolute()))
