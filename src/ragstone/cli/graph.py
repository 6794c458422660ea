"""Commands of the knowledge graph: build it, look at it, say what is one thing and what is two, write it to a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import graph_records as records
from ..errors import InputError, NotFound
from ..records import SCHEMA_VERSION
from .graph_lines import arrow, chunks_of, described, found, quoted, show_passages, show_statuses, step
from .session import Session, before, command, commands
from .terminal import Column, flat, plural

app = commands()
graph = commands(
    no_args_is_help=True,
    help="Look at what documents name, and how it belongs together.\n\n"
    "The graph is made of the documents alone: what is removed from them is in it no longer. Entities are named as "
    "texts write them, or by id.",
)
graph.callback()(before())
app.add_typer(graph, name="graph")

Name = Annotated[str, typer.Argument(metavar="NAME", help="An entity: any of its forms, or its id.")]
Other = Annotated[str, typer.Argument(metavar="NAME", help="The other one.")]


@command(graph)
def build(session: Session) -> int:
    """Read every passage that waits, now.

    Passages are read in the background after they were added; this waits for all of them. Without --collection, all
    collections.
    """
    session.safe = "What was read so far is kept; the same command goes on there."
    with session.open_existing() as kb, session.progress() as progress:
        statuses = kb.graph.build(session.one_or_all, progress=progress)
    show_statuses(session.terminal, statuses)
    return 0


@command(graph)
def deepen(
    session: Session,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", metavar="N", min=1, help="Passages of a collection, at most.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also those for which its answers were no use.")] = False,
) -> int:
    """Have a language model read passages too, for more names and words between them.

    It is the one of the setting graph.model. Each passage is read once, the newest first; its calls count against the
    budget. Names that do not stand in the passage are dropped. Without --collection, all collections.
    """
    session.safe = "What was read so far is kept; the same command goes on there."
    with session.open_existing() as kb, session.progress() as progress:
        kb.graph.build(session.one_or_all, progress=progress)
        reports = kb.graph.deepen(session.one_or_all, progress=progress, limit=limit, again=again)
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(records.deepen_record(reports))
        return 0
    for report in reports:
        each = f", {report.seconds / report.read:.1f} s each" if report.read else ""
        terminal.line(
            f"{flat(report.collection)}: {plural(report.read, 'passage')} read by {flat(report.model)}{each}; "
            f"{plural(report.mentions, 'mention')}, {plural(report.relations, 'relation')}, "
            f"{report.labelled:,} of them with words; {report.waiting:,} waiting"
        )
        if report.broken or report.refused or report.failed:
            terminal.note(
                f"{plural(report.broken, 'answer')} of {report.answers:,} no use, {plural(report.refused, 'name')} or "
                f"words not in the text, {plural(report.failed, 'passage')} left to the rules (--again asks once more)"
            )
    return 0


@command(graph)
def status(session: Session) -> int:
    """How large the graph is, and how many passages wait to be read."""
    with session.open(read_only=True) as kb:
        statuses = kb.graph.status(session.one_or_all)
    show_statuses(session.terminal, statuses)
    return 0


@command(graph)
def find(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, or the beginning or a part of one.")],
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, max=1000, help="Entities.")] = 20,
) -> int:
    """Find entities by name."""
    with session.open(read_only=True) as kb:
        entities = kb.graph.find(name, collection=session.collection, limit=limit)
    if session.terminal.as_json:
        session.terminal.json(records.entities_record(entities))
        return 0
    if not entities:
        session.terminal.note("Nothing is called like that. `ragstone graph status` tells whether passages wait.")
    session.terminal.table(
        [Column("Entity", wrap=True, least=20), Column("Kind"), Column("Passages", "right"),
         Column("Also", wrap=True, optional=True), Column("Id", optional=True)],
        [(e.name, e.kind, f"{e.chunks:,}", ", ".join(e.aliases[:5]), e.id) for e in entities],
    )  # fmt: skip
    return 0


@command(graph)
def show(
    session: Session,
    name: Name,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, max=1000, help="Neighbours.")] = 12,
    labelled: Annotated[bool, typer.Option("--labelled", help="Only edges that words of a text name.")] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only neighbours of this kind; may be repeated.",
                     show_default=False),
    ] = None,
    passages: Annotated[int, typer.Option(metavar="N", min=0, max=1000, help="Passages that name it.")] = 5,
) -> int:
    """Show an entity, what belongs to it and the passages that name it."""
    collection = session.collection
    with session.open(read_only=True) as kb:
        entity = found(kb, name, collection)
        around = kb.graph.neighbours(
            [entity.id], collection=collection, limit=limit, kinds=records.kinds(kind or ()), labelled=labelled
        )
        places = kb.graph.mentions(entity.id, collection=collection, limit=passages) if passages else []
        chunks = chunks_of(kb, places)
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(records.show_record(entity, around, places, chunks))
        return 0
    terminal.line(flat(entity.name), style="bold")
    terminal.line(f"{described(entity)} · id {entity.id}", style="dim")
    if entity.aliases:
        terminal.line(f"also {', '.join(map(flat, entity.aliases))}")
    names = {one.id: one for one in around.entities}
    rows = []
    for edge in around.edges:
        if entity.id in (edge.head, edge.tail):
            other = names.get(edge.tail if edge.head == entity.id else edge.head)
            if other is not None:
                label = arrow(edge.label, forward=edge.head == entity.id)
                rows.append((label, other.name, other.kind, f"{edge.chunks:,}", f"{edge.weight:.2f}"))
    if rows:
        terminal.line()
        terminal.table(
            [Column("As", wrap=True), Column("Belongs to", wrap=True, least=20), Column("Kind"),
             Column("Passages", "right"), Column("Weight", "right", optional=True)],
            rows,
        )  # fmt: skip
    if around.truncated:
        terminal.note(f"There are more; --limit {min(1000, 4 * limit)} shows them.")
    show_passages(terminal, places)
    return 0


@command(graph)
def path(
    session: Session,
    start: Annotated[str, typer.Argument(metavar="NAME", help="Where it begins.")],
    end: Annotated[str, typer.Argument(metavar="NAME", help="Where it ends.")],
    longest: Annotated[int, typer.Option(metavar="N", min=1, max=12, help="Steps at most.")] = 6,
) -> int:
    """Show how two entities belong together, step by step with the passages.

    Exit code 3 where no path is found.
    """
    collection = session.collection
    with session.open(read_only=True) as kb:
        a, b = found(kb, start, collection), found(kb, end, collection)
        way = kb.graph.path(a.id, b.id, collection=collection, longest=longest)
        chunks = chunks_of(kb, (one for edge in way.edges for one in edge.evidence))
    if not way.entities:
        raise NotFound(
            f"no path of at most {plural(longest, 'step')} leads from {a.name} to {b.name}.",
            "Allow more with --longest, or look at both with `ragstone graph show`.",
        )
    terminal = session.terminal
    if terminal.as_json:
        terminal.json(records.path_record(way, chunks))
        return 0
    for edge, near, far in zip(way.edges, way.entities, way.entities[1:], strict=False):
        terminal.line(flat(step(edge, near, far)))
        for one in edge.evidence[:1]:
            terminal.line(f"   {quoted(one)}", style="dim")
    if not way.edges:
        terminal.line(f"Both are {flat(a.name)}.")
    return 0


@command(graph)
def merge(session: Session, a: Name, b: Other) -> int:
    """Say that two entities are one thing. `ragstone graph withdraw` takes it back."""
    collection = session.collection
    with session.open_existing() as kb:
        one, two = found(kb, a, collection), found(kb, b, collection)
        made = kb.graph.merge(one.id, two.id, collection=collection)
    if session.terminal.as_json:
        session.terminal.json(records.entities_record([made]))
    else:
        session.terminal.line(f"{flat(made.name)}: {described(made)}")
    return 0


@command(graph)
def split(
    session: Session,
    name: Name,
    alias: Annotated[str, typer.Argument(metavar="FORM", help="The form that is something else.")],
) -> int:
    """Say that a form of an entity is something else. `ragstone graph withdraw` takes it back."""
    collection = session.collection
    with session.open_existing() as kb:
        parts = kb.graph.split(found(kb, name, collection).id, alias, collection=collection)
    if session.terminal.as_json:
        session.terminal.json(records.entities_record(parts))
    else:
        for part in parts:
            session.terminal.line(f"{flat(part.name)}: {described(part)}")
    return 0


@command(graph)
def decisions(session: Session) -> int:
    """List what was said with merge and split, the newest last."""
    with session.open(read_only=True) as kb:
        made = kb.graph.decisions(session.collection)
    if session.terminal.as_json:
        session.terminal.json(records.decisions_record(made))
        return 0
    if not made:
        session.terminal.note("Nothing was decided by hand.")
    session.terminal.table(
        [Column("What"), Column("Form", wrap=True), Column("Form", wrap=True), Column("By", optional=True)],
        [(one.kind, one.a_name or one.a, one.b_name or one.b, one.by) for one in made],
    )
    return 0


@command(graph)
def withdraw(
    session: Session,
    a: Annotated[str, typer.Argument(metavar="FORM", help="As `ragstone graph decisions` lists it.")],
    b: Annotated[
        str, typer.Argument(metavar="[FORM]", help="The other one. Default: every other.", show_default=False)
    ] = "",
) -> int:
    """Take back what merge or split said about a form, or about two."""
    from ..graph.decided import about

    collection = session.collection
    with session.open_existing() as kb:
        gone = about(kb.graph.decisions(collection), a, b)
        for one in gone:
            kb.graph.withdraw(one.a, one.b, collection=collection)
        left = kb.graph.decisions(collection)
    if session.terminal.as_json:
        session.terminal.json(records.decisions_record(left))
    else:
        session.terminal.line(f"Withdrawn: {plural(len(gone), 'decision')}; {len(left):,} left.")
    return 0


@command(graph)
def explain(session: Session, a: Name, b: Other) -> int:
    """Show why two forms are one entity, or are not."""
    with session.open(read_only=True) as kb:
        told = kb.graph.explain(a, b, collection=session.collection)
    if session.terminal.as_json:
        from ..graph.decided import explanation_record

        session.terminal.json(explanation_record(told))
    else:
        session.terminal.line(flat(str(told)))
        for link in told.path:
            sure = "by hand" if link.similarity is None else f"{link.similarity:.2f}"
            session.terminal.line(f"   {flat(link.a)} = {flat(link.b)} ({sure})", style="dim")
    return 0


@command(graph)
def communities(
    session: Session,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, max=1000, help="Communities.")] = 10,
) -> int:
    """List groups of entities that belong together more than with others."""
    collection = session.collection
    with session.open(read_only=True) as kb:
        groups = kb.graph.communities(collection=collection, limit=limit)
        names = {id: kb.graph.entity(id, collection=collection).name for id in records.first_entities(groups)}
        chunks = {c.id: c for c in kb.store.chunks([s.chunk_id for one in groups for s in one.sentences])}
    if session.terminal.as_json:
        session.terminal.json(records.communities_record(groups, names, chunks))
        return 0
    if not groups:
        session.terminal.note("There are no communities yet.")
    for number, one in enumerate(groups, 1):
        title = f"{number}. {flat(one.name)} ({plural(len(one.entities), 'entity').replace('entitys', 'entities')})"
        session.terminal.line(title, style="bold")
        shown = [names[id] for id in one.entities[: records.SHOWN_NAMES] if id in names]
        more = " …" if len(one.entities) > len(shown) else ""
        session.terminal.line(f"   {', '.join(map(flat, shown))}{more}")
        if one.summary:
            session.terminal.line(f"   {flat(one.summary)}", style="dim")
    return 0


@command(graph, "export")
def export_(
    session: Session,
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", help="Where to write; - is standard output.")
    ],
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="graphml or json. Default: as the file's name ends.",
                          show_default=False),
    ] = "",
    evidence: Annotated[bool, typer.Option("--evidence", help="With the passages that show each edge.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> int:
    """Write the graph to a file: GraphML for other programs, or JSON."""
    chosen = _format(format_, file)
    piped = str(file) == "-"
    if not piped and file.exists() and not force:
        raise InputError(f"{file} exists.", "Choose another name, or --force.")
    session.safe = "The data is untouched; nothing was written to that name."
    with session.open(read_only=True) as kb:
        from ..graph.export import Counted, exported

        counted = Counted()
        parts = exported(kb.graph, kb.store, session.collection, chosen, evidence=evidence, counted=counted)
        if piped:
            for part in parts:
                sys.stdout.write(part)
            return 0
        partial = file.with_name(file.name + ".part")
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(parts)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    if session.terminal.as_json:
        record: records.GraphExportRecord = {
            "schema_version": SCHEMA_VERSION, "path": str(file), "format": chosen,
            "entities": counted.entities, "edges": counted.edges,
        }  # fmt: skip
        session.terminal.json(record)
    else:
        session.terminal.line(
            f"Wrote {counted.entities:,} entities and {plural(counted.edges, 'edge')} to {flat(str(file))}."
        )
    return 0


def _format(given: str, file: Path) -> Literal["graphml", "json"]:
    """Raises InputError."""
    chosen = given or file.suffix.removeprefix(".").lower()
    if chosen == "graphml":
        return "graphml"
    if chosen == "json":
        return "json"
    raise InputError("the format is not known." if given else "the format is not named.", "--format graphml, or json.")
