"""Entities, edges and passages of the knowledge graph as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .. import graph_records as records
from ..graph_types import Edge, Entity, Evidence, GraphStatus
from .terminal import Column, Terminal, flat, plural

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase
    from ..types import Chunk

SHOWN = 160
"""Characters of a passage that are shown on a line."""


def found(kb: KnowledgeBase, name: str, collection: str) -> Entity:
    """The entity that is called so. Raises NotFound, InputError."""
    from ..graph.naming import called

    return called(kb.graph, name, collection)


def step(edge: Edge, near: Entity, far: Entity) -> str:
    """`A —startet→ B (manual.pdf, page 12)`: an arrow the way the words lead, a line where there are none."""
    shown = edge.evidence[0] if edge.evidence else None
    line = arrow(edge.label, forward=edge.head == near.id)
    return f"{near.name} {line} {far.name}" + (f" ({place(shown)})" if shown is not None else "")


def arrow(label: str, *, forward: bool) -> str:
    if not label:
        return "——"
    return f"—{label}→" if forward else f"←{label}—"


def chunks_of(kb: KnowledgeBase, evidence: Iterable[Evidence]) -> dict[int, Chunk]:
    return {chunk.id: chunk for chunk in kb.store.chunks(sorted({one.chunk_id for one in evidence}))}


def described(entity: Entity) -> str:
    return f"{entity.kind} · {plural(entity.chunks, 'passage')}, {plural(entity.mentions, 'mention')}"


def place(one: Evidence) -> str:
    name = one.document.rsplit("/", 1)[-1]
    return f"{name}, page {one.page}" if one.page is not None else name


def quoted(one: Evidence) -> str:
    text = flat(" ".join(one.text.split()))
    return f"“{text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}”"


def show_passages(terminal: Terminal, places: Sequence[Evidence]) -> None:
    if places:
        terminal.line()
    for one in places:
        terminal.line(f"{flat(place(one))}: {quoted(one)}")


def show_statuses(terminal: Terminal, statuses: Sequence[GraphStatus]) -> None:
    if terminal.as_json:
        terminal.json(records.status_record(statuses))
        return
    if not statuses:
        terminal.note("No documents yet. Add some: ragstone add PATH")
        return
    terminal.table(
        [
            Column("Collection"),
            Column("Passages", "right"),
            Column("Waiting", "right"),
            Column("Entities", "right"),
            Column("Edges", "right"),
            Column("Mentions", "right"),
            Column("Merged", "right", optional=True),
            Column("Decisions", "right", optional=True),
            Column("Deepened", "right", optional=True),
        ],
        [
            (
                s.collection,
                *(f"{n:,}" for n in (s.chunks, s.waiting, s.entities, s.edges, s.mentions, s.merged, s.decisions,
                                     s.deepened)),
            )
            for s in statuses
        ],
    )  # fmt: skip
    for s in statuses:
        for failure in s.failures:
            why = f"nothing was extracted from passage {failure.chunk_id}: {flat(failure.error)}"
            terminal.note(f"{flat(failure.uri)}: {why}")
        if s.failed > len(s.failures):
            terminal.note(f"{s.failed - len(s.failures):,} more passages of {s.collection} could not be read.")
