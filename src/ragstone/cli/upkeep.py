"""Commands about the data folder as a whole: status, verify, rebuild, purge, export, import."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, ModelError, StoreDamaged
from ..records import SCHEMA_VERSION, collection_record
from .records.documents import TransferRecord
from .records.upkeep import DoneRecord, PurgeRecord, StatusRecord, VerifyRecord
from .session import Session, command, commands
from .terminal import Column, duration, flat, plural, size

app = commands()


@command(app)
def status(session: Session) -> int:
    """Show what is in the data folder.

    Collections with documents, chunks and how many of them have vectors, languages, size on disk, folders that
    `sync` follows.
    """
    with session.open(read_only=True) as kb:
        found = kb.status()
        names = session.collections
        collections = kb.collections() if names is None else [kb.collection(name) for name in names]
    terminal = session.terminal
    if terminal.as_json:
        record: StatusRecord = {
            "schema_version": SCHEMA_VERSION,
            "folder": found["folder"],
            "bytes": found["bytes"],
            "state": found["state"],
            "collections": [collection_record(c) for c in collections],
            "segments": found["segments"],
            "roots": found["roots"],
            "caches": found["caches"],
            "memory_mb": found["memory_mb"],
        }
        terminal.json(record)
        return 0
    terminal.line(f"Data folder  {flat(found['folder'])} ({size(found['bytes'])})")
    if found["state"] != "writable":
        terminal.line(f"State        {found['state']}")
    terminal.line(f"Memory       {found['memory_mb']:.0f} MB")
    for name, counts in found["caches"].items():
        if counts["entries"]:
            of = f" ({size(int(counts['bytes']))})" if "bytes" in counts else ""
            terminal.line(f"Cache        {name}: {counts['entries']:.0f}{of}")
    spaces = sorted({c.space for c in collections if c.space})
    for space in spaces:
        terminal.line(f"Vectors      {flat(space)}")
    for name, roots in found["roots"].items():
        for root in roots:
            terminal.line(f"Follows      {flat(root)} ({flat(name)})")
    if not collections:
        terminal.note("No documents yet. Add some: ragstone add PATH")
        return 0
    columns = [
        Column("Collection"),
        Column("Documents", "right"),
        Column("Chunks", "right"),
        Column("Embedded", "right"),
        Column("Waiting", "right"),
        Column("Characters", "right", optional=True),
        Column("Revision", "right", optional=True),
        Column("Languages", wrap=True),
    ]
    rows = [
        (
            c.name,
            f"{c.documents}",
            f"{c.chunks}",
            f"{c.embedded}",
            f"{c.waiting}",
            f"{c.characters}",
            f"{c.revision}",
            ", ".join(f"{code or '?'} {n}" for code, n in sorted(c.languages.items(), key=lambda x: -x[1])),
        )
        for c in collections
    ]
    terminal.table(columns, rows)
    for name, segments in found["segments"].items():
        for segment in segments:
            if segment["kind"] == "vector" and "search" in segment and name in {c.name for c in collections}:
                terminal.line(
                    f"Vector file  {flat(name)}: {segment['rows']} rows, {segment['search']} ({segment['why']})"
                )
    return 0


@command(app)
def verify(session: Session) -> int:
    """Compare documents, indexes and log.

    Exit code 5 where they disagree; `ragstone rebuild` mends indexes.
    """
    session.safe = "Checking changes nothing."
    with session.open_existing() as kb, session.progress() as progress:
        report = kb.verify(progress=progress)
    terminal = session.terminal
    if terminal.as_json:
        record: VerifyRecord = {
            "schema_version": SCHEMA_VERSION,
            "clean": report.clean,
            "checked": dict(report.checked),
            "problems": list(report.problems),
        }
        terminal.json(record)
    else:
        for problem in report.problems:
            terminal.line(flat(problem))
        what = ", ".join(plural(count, kind.removesuffix("s")) for kind, count in report.checked.items())
        if report.clean:
            terminal.line(f"All agree: {what}.")
        else:
            terminal.note(f"{plural(len(report.problems), 'problem')} in {what}. Mend indexes with `ragstone rebuild`.")
    return 0 if report.clean else StoreDamaged.exit_code


@command(app)
def rebuild(session: Session) -> int:
    """Build every index anew from the documents.

    The old indexes serve until the new ones take their place.
    """
    session.safe = "The documents and the old indexes are untouched; run the same command again."
    started = time.monotonic()
    with session.open_existing() as kb, session.progress() as progress:
        kb.rebuild(progress=progress)
    seconds = time.monotonic() - started
    if session.terminal.as_json:
        record: DoneRecord = {"schema_version": SCHEMA_VERSION, "seconds": seconds}
        session.terminal.json(record)
    else:
        session.terminal.line(f"Rebuilt in {duration(seconds)}.")
    return 0


@command(app)
def purge(session: Session) -> int:
    """Take the bytes of what was removed off the disk.

    Removed documents are never found again; until they are overwritten their bytes still lie in free parts of the
    files. This writes database and indexes anew without them. Needs room for a second copy of the database; writers
    wait meanwhile. Backups keep what they hold (`ragstone backup --anew --keep 1`).
    """
    session.safe = "Nothing was lost; run the same command again to purge all."
    started = time.monotonic()
    with session.open() as kb:
        freed = kb.purge()
        left = kb.status()["bytes"]
    seconds = time.monotonic() - started
    if session.terminal.as_json:
        record: PurgeRecord = {
            "schema_version": SCHEMA_VERSION,
            "freed": freed,
            "bytes": left,
            "seconds": seconds,
        }
        session.terminal.json(record)
    else:
        session.terminal.line(f"Purged in {duration(seconds)}: {size(freed)} freed, {size(left)} left.")
    return 0


@command(app, "export")
def export_(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write JSON lines.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> int:
    """Write documents to a file.

    Text, positions and metadata as JSON lines, for `ragstone import` elsewhere. Without --collection, all.
    """
    if str(path) == "-":
        raise InputError("an export goes to a file, not to stdout.", "Name it: ragstone export documents.jsonl")
    if path.exists() and not force:
        raise InputError(f"{path} exists.", "Choose another name, or --force.")
    session.safe = "The data is untouched; the file is not complete."
    with session.open(read_only=True) as kb, session.progress() as progress:
        count = kb.export(path, collection=session.one_or_all, progress=progress)
    _transferred(session, path, count, 0, "Exported")
    return 0


@command(app, "import")
def import_(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote.")],
    embed: Annotated[
        bool | None,
        typer.Option(
            "--embed/--no-embed", help="Embed after storing. Default: embedding.background.", show_default=False
        ),
    ] = None,
) -> int:
    """Read documents that export wrote."""
    with session.open() as kb:
        session.safe = "What was stored so far is safe and searchable; run the same command again to go on."
        with session.progress() as progress:
            count = kb.import_(path, progress=progress)
        embedded = 0
        try:
            if session.settings.embedding.background if embed is None else embed:
                with session.progress() as progress:
                    embedded = kb.embed_pending(progress=progress)
        except ModelError:
            _transferred(session, path, count, 0, "Imported")
            raise
    _transferred(session, path, count, embedded, "Imported")
    return 0


def _transferred(session: Session, path: Path, count: int, embedded: int, verb: str) -> None:
    if session.terminal.as_json:
        record: TransferRecord = {
            "schema_version": SCHEMA_VERSION,
            "path": str(path),
            "documents": count,
            "embedded": embedded,
        }
        session.terminal.json(record)
        return
    preposition = "to" if verb == "Exported" else "from"
    vectors = f"; {plural(embedded, 'chunk')} embedded" if embedded else ""
    session.terminal.line(f"{verb} {plural(count, 'document')} {preposition} {flat(str(path))}{vectors}.")
