"""Commands about vector spaces: list, add, judge, switch, rollback, prefer, drop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..errors import InputError
from ..records import SCHEMA_VERSION
from ..types import Recipe, SpaceStatus
from .records.spaces import SpaceRecord, SpacesRecord
from .session import Session, before, command, commands
from .terminal import Column, flat, plural

app = commands()
group = commands(
    no_args_is_help=True,
    help="Vector spaces of a collection: build a new one while the old one serves, compare them, switch, go back.",
)
group.callback()(before())
app.add_typer(group, name="spaces")

ROLES = {
    "active": "searched",
    "preferred": "searched together with the active one",
    "building": "gets vectors, is not searched",
    "kept": "for `rollback`",
    "dropping": "is being removed",
}
Named = Annotated[
    str | None,
    typer.Argument(metavar="[SPACE]", help="Id of the space, its beginning, or the model's name.", show_default=False),
]


@command(group, "list")
def list_(session: Session) -> int:
    """The spaces of every collection, what each is used for, and how far it is."""
    with session.open(read_only=True) as kb:
        names = session.collections
        found = kb.spaces() if names is None else [status for name in names for status in kb.spaces(name)]
    return _show(session, found)


@command(group)
def add(
    session: Session,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A packaged model (`ragstone models`), a path, or the model's name at --endpoint."
        ),
    ],
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="URL", help="Embedding server.")] = "",
    protocol: Annotated[
        Literal["openai", "ollama"], typer.Option("--protocol", help="What the server speaks.")
    ] = "openai",
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", metavar="NAME", help="Environment variable with the server's key.")
    ] = "",
    sha256: Annotated[str, typer.Option("--sha256", metavar="HEX", help="Expected SHA-256 of the ONNX file.")] = "",
    pooling: Annotated[
        Literal["mean", "cls", "none"], typer.Option("--pooling", help="Of the model at a path.")
    ] = "mean",
    dimension: Annotated[
        int, typer.Option("--dimension", min=0, metavar="N", help="Expected length of a vector; 0: any.")
    ] = 0,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=16, metavar="N", help="Window of the model in tokens.")
    ] = 512,
    query_prefix: Annotated[str, typer.Option("--query-prefix", metavar="TEXT", help="Put before a question.")] = "",
    passage_prefix: Annotated[
        str, typer.Option("--passage-prefix", metavar="TEXT", help="Put before a passage.")
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when all is embedded, or leave it to whatever embeds.")
    ] = True,
) -> int:
    """Build a space with another model while the present one is searched.

    Interrupted, it keeps what is there: the same command goes on, and so does `add --embed`, `watch` or any process
    that embeds. How the model is made is recorded, so that every process that opens the data can load it.
    """
    session.safe = "What was embedded is kept; run the same command again to go on."
    path = Path(model)
    own: dict[str, Any] = {
        "dimension": dimension,
        "max_tokens": max_tokens,
        "query_prefix": query_prefix,
        "passage_prefix": passage_prefix,
    }
    if endpoint:
        recipe = Recipe("endpoint", model, endpoint=endpoint, protocol=protocol, api_key_env=api_key_env, **own)
    elif path.exists():
        absolute = path.absolute()
        recipe = Recipe("file", absolute.name, path=str(absolute), sha256=sha256, pooling=pooling, **own)
    else:
        recipe = Recipe("packaged", model)
    with session.open_existing() as kb, session.progress() as progress:
        kb.add_space(recipe, collection=session.collection, wait=wait, progress=progress)
        found = kb.spaces(session.collection)
    return _show(session, found)


@command(group)
def judge(
    session: Session,
    space: Named = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plain lines, or JSON lines (text or question, id). Default: what was asked most often.",
            show_default=False,
        ),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Judgments (TSV: query-id, document, score).", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Only the first N questions.")] = 200,
) -> int:
    """Compare a space with the active one on your own questions.

    How many hits they share, how far their order agrees, nDCG, recall and MRR where there are judgments, and how long
    a question takes. Says so where the data do not decide.
    """
    from ..measure.beir import Record, judgments
    from ..measure.judge import judge as compare
    from ..measure.judge import pair, questions_of

    session.safe = "Comparing changes nothing."
    with session.open(read_only=True) as kb, session.progress() as progress:
        active, new = pair(kb.spaces(session.collection), space)
        if questions is None:
            asked = [Record(str(n), "", text) for n, text in enumerate(kb.frequent_questions(limit))]
        else:
            asked = questions_of(questions)[:limit]
        judged = judgments(qrels) if qrels is not None else None
        result = compare(kb, session.collection, (active, new), asked, judged, progress=progress)
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(result)
        return 0
    terminal.line(f"Old  {flat(active)}")
    terminal.line(f"New  {flat(new)}")
    columns = [Column("Mode"), Column("Figure"), Column("Old", "right"), Column("New", "right")]
    rows: list[tuple[str, ...]] = []
    for mode, figures in result["modes"].items():
        rows += [(mode, name, "", f"{figures[name]:.3f}") for name in ("overlap@10", "agreement@10")]
        if figures["judged"] is not None:
            own = figures["judged"]
            rows += [(mode, name, f"{own['old'][name]:.4f}", f"{own['new'][name]:.4f}") for name in own["old"]]
    for name in ("p50", "p95"):
        old, later = (result["latency_ms"][s][name] for s in (active, new))
        rows.append(("hybrid", f"{name} ms", f"{old:.1f}", f"{later:.1f}"))
    terminal.table(columns, rows)
    for text in result["modes"]["hybrid"]["least_agreeing"]:
        terminal.line(f"Differs most: {flat(text)}")
    terminal.line(result["recommendation"])
    return 0


@command(group)
def switch(
    session: Session,
    space: Named = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Where chunks have no vector there yet: prefer the space instead.")
    ] = False,
) -> int:
    """Search in another space from now on, in every process at once.

    Without a name: in the only one that is being built. Refused where chunks have no vector there. The former space is
    kept and stays up to date, for `rollback`.
    """
    session.safe = "Nothing was changed: a switch is one transaction."
    with session.open_existing() as kb:
        kb.switch_space(space, collection=session.collection, partial=partial)
        found = kb.spaces(session.collection)
    return _show(session, found)


@command(group)
def rollback(session: Session) -> int:
    """Search in the former space again, at once; nothing is embedded for it."""
    session.safe = "Nothing was changed: a rollback is one transaction."
    with session.open_existing() as kb:
        status = kb.rollback_space(collection=session.collection)
        found = kb.spaces(session.collection)
    if status.waiting:
        session.terminal.note(
            f"{plural(status.waiting, 'chunk')} of later have no vector there yet and are found by their words only."
        )
    return _show(session, found)


@command(group)
def prefer(
    session: Session,
    space: Named = None,
    off: Annotated[bool, typer.Option("--off", help="Search in the active space alone again.")] = False,
) -> int:
    """Search in two spaces together.

    A chunk that has a vector in the preferred space is ranked by it, the others by the active one: a small model at
    once, a larger one for what it has reached.
    """
    session.safe = "Nothing was changed: a change of roles is one transaction."
    if (space is None) != off:
        raise InputError("prefer takes the name of a space or --off.", "`ragstone spaces list` shows the names.")
    with session.open_existing() as kb:
        kb.prefer_space(space, collection=session.collection)
        found = kb.spaces(session.collection)
    return _show(session, found)


@command(group)
def drop(
    session: Session,
    space: Annotated[str, typer.Argument(metavar="SPACE", help="Id of the space, its beginning, or the model's name.")],
) -> int:
    """Remove a space that is not active, with its vectors.

    Interrupted, the same command goes on. Their bytes leave the disk with `ragstone purge`.
    """
    session.safe = "The space is not used any more; run the same command again to remove the rest of it."
    with session.open_existing() as kb, session.progress() as progress:
        found = kb.drop_space(space, collection=session.collection, progress=progress)
    return _show(session, found)


def _show(session: Session, found: list[SpaceStatus]) -> int:
    terminal = session.terminal
    if terminal.as_json:
        record: SpacesRecord = {"schema_version": SCHEMA_VERSION, "spaces": [_record(status) for status in found]}
        terminal.json(record)
        return 0
    if not found:
        terminal.note("No documents yet. Add some: ragstone add PATH")
        return 0
    columns = [
        Column("Collection"),
        Column("Role"),
        Column("Chunks", "right"),
        Column("Waiting", "right"),
        Column("Meaning", wrap=True, optional=True),
        Column("Space", wrap=True),
    ]
    rows = [
        (
            s.collection,
            s.role,
            f"{s.embedded}",
            f"{s.waiting}",
            ROLES[s.role] if s.recorded else "of the settings, nothing embedded yet",
            flat(s.space),
        )
        for s in found
    ]
    terminal.table(columns, rows)
    return 0


def _record(status: SpaceStatus) -> SpaceRecord:
    recipe = status.recipe
    return {
        "collection": status.collection,
        "space": status.space,
        "role": status.role,
        "model": recipe.model,
        "source": recipe.path or recipe.endpoint or recipe.kind,
        "chunks": status.chunks,
        "embedded": status.embedded,
        "waiting": status.waiting,
        "revision": status.revision,
        "since": status.since,
        "recorded": status.recorded,
    }
