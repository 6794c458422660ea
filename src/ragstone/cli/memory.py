"""Commands of memory: remember, recall, forget, timeline, and memory stats, projects, history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, cast, get_args

import typer

from ..errors import InputError, NotFound
from ..memory_records import (
    ForgetRecord,
    memory_stats_record,
    projects_record,
    recall_record,
    remember_record,
    timeline_record,
)
from ..memory_types import ANSWERED, Kind, MemoryItem, Project, SourceSpan, Type
from ..records import SCHEMA_VERSION
from ..text.dates import parse_date
from .session import Session, before, command, commands
from .terminal import Column, Terminal, flat, plural, size

app = commands()
memory = commands(
    no_args_is_help=True,
    help="Look at what is remembered, and keep it in projects.\n\n"
    "What is remembered stands in the data folder beside the documents, and is backed up, purged and verified with "
    "them. Without --project, the current one is meant (`memory switch`).",
)
memory.callback()(before())
app.add_typer(memory, name="memory")

ProjectName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help='Default: the current one; "" is the general one.', show_default=False),
]
Everywhere = Annotated[bool, typer.Option("--all-projects", help="Every project that is not archived.")]
KindNames = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="fact, episode or knowledge; may be repeated.", show_default=False),
]
Since = Annotated[
    str | None, typer.Option(metavar="DATE", help="From then on, e.g. 2026-01-31.", show_default=False)
]
Until = Annotated[str | None, typer.Option(metavar="DATE", help="Before then.", show_default=False)]


@command(app)
def remember(
    session: Session,
    text: Annotated[str | None, typer.Argument(help="What is to be remembered.", show_default=False)] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="fact, episode or knowledge. Default: fact with --key.", show_default=False),
    ] = None,
    type_: Annotated[
        str, typer.Option("--type", metavar="TYPE", help=f"Of knowledge: {', '.join(get_args(Type))}.")
    ] = "fact",
    key: Annotated[str, typer.Option(help="Of a fact: what the value is of.", show_default=False)] = "",
    value: Annotated[str, typer.Option(help="Of a fact; it replaces the one before.", show_default=False)] = "",
    project: ProjectName = None,
    at: Annotated[
        str | None, typer.Option(metavar="DATE", help="When it happened. Default: now.", show_default=False)
    ] = None,
    who: Annotated[str, typer.Option(help="Who said or did it.", show_default=False)] = "",
    participant: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME", help="Who else took part.", show_default=False)
    ] = None,
    outcome: Annotated[str, typer.Option(help="How it ended.", show_default=False)] = "",
    confidence: Annotated[float, typer.Option(min=0, max=1, help="How sure it is.")] = 1.0,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI[#START-END]", help="The document it stands on; it is forgotten with it.", show_default=False
        ),
    ] = None,
) -> int:
    """Remember something: knowledge, a fact (--key, --value) or an episode (--kind episode).

    What repeats something is merged into it, what says the contrary is linked, and a key's new value replaces the one
    before; all of it can be seen with `ragstone memory history` and `ragstone recall --history`.
    """
    sources = [_source(given, session.collection) for given in source or ()]
    with session.open() as kb:
        told = kb.memory.remember(
            text or "",
            kind=_kind(kind) if kind else "fact" if key or value else "knowledge",
            type=_type(type_),
            key=key,
            value=value,
            project=project,
            at=parse_date(at) if at else None,
            who=who,
            participants=participant or (),
            outcome=outcome,
            confidence=confidence,
            sources=sources,
        )
    if session.terminal.as_json:
        session.terminal.json(remember_record(told))
        return 0
    done = {
        "added": "Remembered",
        "merged": f"Known already, told {plural(told.item.told, 'time')} now",
        "replaced": "Remembered; it replaces the value before",
        "unchanged": "Known already",
    }[told.outcome]
    session.terminal.line(f"{done}: {flat(told.item.text)}")
    session.terminal.note(f"id {told.item.id}")
    if told.contradicted:
        session.terminal.note(f"It says the contrary of {', '.join(told.contradicted)}, which no longer holds.")
    return 0


@command(app)
def recall(
    session: Session,
    question: Annotated[str, typer.Argument(help="Words or a question, with times: last week, before the release.")],
    k: Annotated[int, typer.Option("-k", "--hits", metavar="N", min=1, max=100, help="Items.")] = 10,
    kind: KindNames = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Of knowledge.", show_default=False)
    ] = None,
    project: ProjectName = None,
    everywhere: Everywhere = False,
    since: Since = None,
    until: Until = None,
    history: Annotated[bool, typer.Option("--history", help="Also what no longer holds.")] = False,
) -> int:
    """Find what was remembered. Words for a time are understood in German and English."""
    with session.open(read_only=True) as kb:
        found = kb.memory.recall(
            question,
            k=k,
            kinds=[_kind(name) for name in kind or ()],
            types=[_type(name) for name in type_ or ()],
            project=project,
            all_projects=everywhere,
            since=parse_date(since) if since else None,
            until=parse_date(until) if until else None,
            history=history,
        )
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(recall_record(found))
        return 0
    if not found.hits:
        terminal.line("Nothing like that is remembered.")
    for number, hit in enumerate(found.hits, 1):
        terminal.line(f"{number}. {flat(hit.item.text)}", style="bold" if number == 1 else "")
        terminal.line(f"   {_about(hit.item, everywhere)} · score {hit.score:.2f}", style="dim")
    for note in found.notes:
        terminal.note(note)
    if found.since is not None or found.until is not None:
        terminal.note(f"time: {_day(found.since) or '…'} to {_day(found.until) or 'now'}")
    if found.hits:
        if found.answerable < ANSWERED:
            terminal.note("Few of the question's words are in it: it may not be the answer.")
        terminal.note(f"{found.timings.get('total', 0):.0f} ms")
    return 0


@command(app)
def forget(
    session: Session,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Items.", show_default=False)] = None,
    key: Annotated[str, typer.Option(help="Every value of this key.", show_default=False)] = "",
    project: ProjectName = None,
    kind: KindNames = None,
    before_: Annotated[
        str | None, typer.Option("--before", metavar="DATE", help="What is older.", show_default=False)
    ] = None,
) -> int:
    """Forget items by id, or those that all the options given choose.

    `ragstone purge` takes their bytes off the disk.
    """
    if bool(ids) == bool(key or kind or before_ or project is not None):
        raise InputError("give ids, or options that say which items.", "`ragstone timeline` shows ids.")
    with session.open_existing() as kb:
        if ids:
            missing = [id_ for id_ in ids if not kb.memory.forget(id_)]
            count = len(ids) - len(missing)
        else:
            missing = []
            count = kb.memory.forget_matching(
                project=project,
                kinds=[_kind(name) for name in kind or ()],
                key=key,
                before=parse_date(before_) if before_ else None,
            )
    if missing and not count:
        raise NotFound(f"there is no memory {missing[0]!r}.", "`ragstone timeline` shows ids.")
    record: ForgetRecord = {"schema_version": SCHEMA_VERSION, "forgotten": count}
    if session.terminal.as_json:
        session.terminal.json(record)
    else:
        session.terminal.line(f"Forgot {plural(count, 'item')}.")
        for id_ in missing:
            session.terminal.warn(f"{id_} was not there.")
    return 0


@command(app)
def timeline(
    session: Session,
    since: Since = None,
    until: Until = None,
    project: ProjectName = None,
    everywhere: Everywhere = False,
    kind: KindNames = None,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, max=1000, help="Items.")] = 50,
) -> int:
    """What happened and was learned, newest first."""
    with session.open(read_only=True) as kb:
        items = kb.memory.timeline(
            since=parse_date(since) if since else None,
            until=parse_date(until) if until else None,
            project=project,
            all_projects=everywhere,
            kinds=[_kind(name) for name in kind or ()],
            limit=limit,
        )
    _show_items(session.terminal, items)
    return 0


@command(memory, "stats")
def memory_stats(session: Session) -> int:
    """Items by kind, type and state; what was merged, what is stale, and how large it is."""
    with session.open(read_only=True) as kb:
        counts = kb.memory.statistics()
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(memory_stats_record(counts))
        return 0
    rows = [(f"{title} {name}", f"{count:,}") for title, group in (
        ("kind", counts.by_kind), ("type", counts.by_type), ("state", counts.by_state)
    ) for name, count in group.items() if count]  # fmt: skip
    terminal.table([Column("Items"), Column(f"{counts.items:,}", "right")], rows)
    terminal.line(f"told {counts.told:,} times, {counts.merged:,} repetitions merged")
    terminal.line(f"stale {counts.stale:.0%}, {plural(counts.contradictions, 'contradiction')}")
    terminal.line(f"{plural(counts.projects, 'project')}, {size(counts.bytes)}")
    return 0


@command(memory, "projects")
def memory_projects(
    session: Session, archived: Annotated[bool, typer.Option("--archived", help="Also archived ones.")] = False
) -> int:
    """List projects; the current one is marked."""
    with session.open(read_only=True) as kb:
        found = kb.memory.projects(archived=archived)
    _show_projects(session.terminal, found)
    return 0


@command(memory, "create")
def memory_create(session: Session, name: Annotated[str, typer.Argument(help="Its name.")]) -> int:
    """Make a project, or bring an archived one back."""
    with session.open() as kb:
        made = kb.memory.create_project(name)
    _show_projects(session.terminal, [made])
    return 0


@command(memory, "switch")
def memory_switch(
    session: Session, name: Annotated[str, typer.Argument(help='Its name; "" is the general one.')]
) -> int:
    """Make a project the current one, for every process on this data folder."""
    with session.open_existing() as kb:
        current = kb.memory.switch_project(name)
    _show_projects(session.terminal, [current])
    return 0


@command(memory, "archive")
def memory_archive(session: Session, name: Annotated[str, typer.Argument(help="Its name.")]) -> int:
    """Leave a project out where all are asked; `memory create` brings it back."""
    with session.open_existing() as kb:
        done = kb.memory.archive_project(name)
    _show_projects(session.terminal, [done])
    return 0


@command(memory, "history")
def memory_history(
    session: Session, key: Annotated[str, typer.Argument(help="Of facts.")], project: ProjectName = None
) -> int:
    """Every value that a key had, newest first: when, from whom, and until when it held."""
    with session.open(read_only=True) as kb:
        items = kb.memory.history(key, project)
    if not items:
        raise NotFound(f"there is no fact {key!r}.", "`ragstone timeline --kind fact` shows facts.")
    _show_items(session.terminal, items)
    return 0


def _show_items(terminal: Terminal, items: Sequence[MemoryItem]) -> None:
    if terminal.as_json:
        terminal.json(timeline_record(items))
        return
    columns = [
        Column("When"), Column("Kind"), Column("What", wrap=True, least=24), Column("Who", optional=True),
        Column("State", optional=True), Column("Id"),
    ]  # fmt: skip
    terminal.table(
        columns,
        [
            (
                _moment(item.at), item.type or item.kind, flat(item.text), item.who,
                item.state if item.told == 1 else f"{item.state}, told {item.told}×", item.id,
            )
            for item in items
        ],
    )  # fmt: skip


def _show_projects(terminal: Terminal, projects: Sequence[Project]) -> None:
    if terminal.as_json:
        terminal.json(projects_record(projects))
        return
    terminal.table(
        [Column("Project"), Column("Items", "right"), Column("")],
        [
            (p.name or "(general)", f"{p.items:,}", "current" if p.current else "archived" if p.archived else "")
            for p in projects
        ],
    )


def _about(item: MemoryItem, with_project: bool) -> str:
    parts = [_moment(item.at), item.type or item.kind, item.who, item.project if with_project else ""]
    parts.append("" if item.state == "valid" else item.state)
    parts.append(f"told {item.told}×" if item.told > 1 else "")
    parts.append(", ".join(source.uri for source in item.sources[:2]))
    return " · ".join([*filter(None, map(flat, parts)), item.id])


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _day(at: float | None) -> str:
    return "" if at is None else _moment(at)


def _kind(name: str) -> Kind:
    if name not in get_args(Kind):
        raise InputError(f"there is no kind {name!r}.", f"Kinds are {', '.join(get_args(Kind))}.")
    return cast("Kind", name)


def _type(name: str) -> Type:
    if name not in get_args(Type):
        raise InputError(f"there is no type {name!r}.", f"Types are {', '.join(get_args(Type))}.")
    return cast("Type", name)


def _source(given: str, collection: str) -> SourceSpan:
    from .session import existing

    uri, mark, span = given.rpartition("#")
    start, dash, end = span.partition("-")
    if mark and dash and start.isdigit() and end.isdigit():
        return SourceSpan(collection, existing(uri), int(start), int(end))
    return SourceSpan(collection, existing(given))

