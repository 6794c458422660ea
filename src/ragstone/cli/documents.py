"""Commands about documents: add, sync, watch, list, remove."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from ..errors import InputError, ModelError, NotFound, ReadError
from ..ingest.names import path_of
from ..records import SCHEMA_VERSION, document_record
from ..types import FileState, IngestReport
from .filters import After, Before, Languages, MediaTypes, MetaFilter, PathGlobs, chosen, key_values
from .records.documents import IngestRecord, ListRecord, RemoveRecord, ingest_record
from .session import Session, command, commands, existing
from .terminal import Column, duration, flat, moment, plural, size

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase

app = commands()

STORED_IS_SAFE = "Everything stored so far is safe and searchable; run the same command again to go on."

Embed = Annotated[
    bool | None,
    typer.Option(
        "--embed/--no-embed", help="Embed after storing. Default: embedding.background.", show_default=False
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Name every file, not only those that failed.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 4 when any file failed, not only when all did.")]
Meta = Annotated[
    list[str] | None,
    typer.Option("--meta", metavar="KEY=VALUE", help="Attach metadata; may be repeated.", show_default=False),
]


@command(app)
def add(
    session: Session,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, folders or globs; - reads text from stdin.")
    ],
    meta: Meta = None,
    uri: Annotated[str, typer.Option(help="Name of the text from stdin.", show_default=False)] = "",
    title: Annotated[str, typer.Option(help="Title of the text from stdin.", show_default=False)] = "",
    remember: Annotated[
        bool, typer.Option("--remember/--no-remember", help="Let `sync` follow the folders.")
    ] = True,
    embed: Embed = None,
    verbose: Verbose = False,
    strict: Strict = False,
) -> int:
    """Add files and folders.

    Text is durable and searchable when it is stored; vectors follow. Unchanged files cost a hash. A file that
    cannot be read is named with its reason, and the rest goes on.
    """
    metadata = key_values(meta)
    if "-" in paths and (len(paths) > 1 or not uri):
        raise InputError("- reads one text from stdin.", "Name it: ragstone add - --uri note:today < FILE")
    with session.open() as kb:
        session.safe = STORED_IS_SAFE
        with session.progress() as progress:
            if paths == ["-"]:
                text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
                given = [(uri, title, text, metadata)]
                report = kb.add_texts(given, collection=session.collection, progress=progress)
            else:
                report = kb.add(
                    paths, collection=session.collection, metadata=metadata, progress=progress, remember=remember
                )
        if not report.files:
            raise NotFound(
                f"there are no files to read in {', '.join(paths)}.",
                "Check the path; hidden files and what ingest.exclude names are left out.",
            )
        _name_files(session, report, verbose=verbose)
        _embed_and_report(session, kb, report, embed, session.collection)
    return _outcome(report, strict=strict)


@command(app)
def sync(session: Session, embed: Embed = None, verbose: Verbose = False, strict: Strict = False) -> int:
    """Bring the data to the state of the folders that were added.

    New and changed files are read, vanished ones removed. Without --collection, all collections.
    """
    collection = session.one_or_all
    with session.open_existing() as kb:
        session.safe = STORED_IS_SAFE
        with session.progress() as progress:
            report = kb.sync(collection=collection, progress=progress)
        followed = any(kb.status()["roots"].values())
        _name_files(session, report, verbose=verbose)
        _embed_and_report(session, kb, report, embed, collection)
    if not followed:
        session.terminal.note("No folder is followed. `ragstone add FOLDER` reads one and remembers it.")
    return _outcome(report, strict=strict)


@command(app)
def watch(
    session: Session,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Folders to add and follow.")],
) -> int:
    """Add folders and follow their changes until interrupted.

    Prints what changed; with --json, one object a line. Vectors follow in the background.
    """
    stop = threading.Event()
    session.safe = "Everything reported is stored and searchable."
    with session.open(background=True) as kb, _stopped_by_termination(stop):
        with session.progress() as progress:
            reports = kb.watch(paths, collection=session.collection, progress=progress, stop=stop)
            first = next(reports)
        _name_files(session, first, verbose=False)
        _report(session, first, 0, session.collection)
        session.terminal.note("Watching. Stop with Ctrl-C.")
        try:
            for report in reports:
                if report.files:
                    _name_files(session, report, verbose=True)
                    _report(session, report, 0, session.collection)
                    sys.stdout.flush()
        except KeyboardInterrupt:  # the way to end it that the note above names
            session.terminal.note(f"Stopped. {session.safe}")
    return 0


@command(app, "list")
def list_(
    session: Session,
    path: PathGlobs = None,
    media_type: MediaTypes = None,
    language: Languages = None,
    meta: MetaFilter = None,
    after: After = None,
    before: Before = None,
) -> int:
    """List documents.

    On a terminal a table; elsewhere one line for each document with tabs between: uri, title, type, language,
    characters, chunks, modification time, collection.
    """
    with session.open(read_only=True) as kb:
        names = session.collections or [c.name for c in kb.collections()]
        wanted = chosen(path, media_type, language, meta, after, before)
        documents = [d for name in names for d in kb.documents(name, wanted)]
    if session.terminal.as_json:
        record: ListRecord = {
            "schema_version": SCHEMA_VERSION,
            "documents": [document_record(d) for d in documents],
        }
        session.terminal.json(record)
        return 0
    if not documents:
        session.terminal.note("No documents match." if wanted else "No documents yet. Add some: ragstone add PATH")
    columns = [
        Column("Document", wrap=True, least=32),
        Column("Title", wrap=True, least=20),
        Column("Type", wrap=True, optional=True),
        Column("Language"),
        Column("Characters", "right"),
        Column("Chunks", "right", optional=True),
        Column("Modified", optional=True),
        Column("Collection", optional=len({d.collection for d in documents}) < 2),
    ]
    rows = [
        (d.uri, d.title, d.media_type, d.language, str(d.characters), str(d.chunks), moment(d.modified), d.collection)
        for d in documents
    ]
    if rows:
        session.terminal.table(columns, rows)
    return 0


@command(app)
def remove(
    session: Session,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="DOCUMENT", help="Uris, paths, folders or globs.", show_default=False),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The whole collection, which must be named.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Also take their bytes off the disk.")] = False,
) -> int:
    """Remove documents from the data; the files themselves stay.

    A pattern that matches nothing is an error, and then nothing is removed. What lies in a folder that is still
    followed comes back with the next `sync`; removing the folder ends that.
    """
    if all_ == bool(patterns):
        raise InputError("name documents, or a collection and --all.", "`ragstone list` shows what is there.")
    if all_ and not session.common.collection:
        raise InputError("--all needs the name of the collection.", "Give --collection NAME.")
    with session.open_existing() as kb:
        if all_:
            removed = [d.uri for d in kb.documents(session.collection)]
            kb.drop_collection(session.collection)
        else:
            removed = kb.remove([*map(existing, patterns or ())], collection=session.collection)
        followed = [] if all_ else kb.store.roots(session.collection)
        if purge:
            session.safe = "The documents are removed; `ragstone purge` takes their bytes off the disk."
            kb.purge()
    if session.terminal.as_json:
        record: RemoveRecord = {
            "schema_version": SCHEMA_VERSION,
            "collection": session.collection,
            "removed": removed,
        }
        session.terminal.json(record)
        return 0
    for name in removed:
        session.terminal.line(flat(name))
    session.terminal.note(f"Removed {plural(len(removed), 'document')} from {session.collection}.")
    for root in followed:
        if any(uri.startswith(root.rstrip("/") + "/") and Path(path_of(uri)).exists() for uri in removed):
            session.terminal.note(
                f"`ragstone sync` follows {root} and brings back what is still there; ingest.exclude keeps it out."
            )
    return 0


def _embed_and_report(
    session: Session, kb: KnowledgeBase, report: IngestReport, wanted: bool | None, collection: str | None
) -> None:
    """Reports what is stored also where the model then fails."""
    embedded = 0
    try:
        if session.settings.embedding.background if wanted is None else wanted:
            session.safe = (
                "All text is stored and searchable by its words; the vectors that are missing follow with the next "
                "`ragstone sync` or `ragstone add`."
            )
            with session.progress() as progress:
                embedded = kb.embed_pending(collection=session.one_or_all, progress=progress)
                if session.settings.graph.enabled:
                    kb.graph.build(session.one_or_all, progress=progress)
    except ModelError:
        _report(session, report, 0, collection)
        session.terminal.note(session.safe)
        raise
    _report(session, report, embedded, collection)


def _name_files(session: Session, report: IngestReport, *, verbose: bool) -> None:
    """Names files with their reasons: before vectors are made, so that interrupting those hides no failure."""
    shown = [f for f in report.files if verbose or f.state in ("failed", "skipped")]
    if shown and not session.terminal.as_json:
        columns = [Column("State"), Column("File", wrap=True), Column("Reason", wrap=True)]
        rows = [(f.state, f.uri, f.reason[:1].upper() + f.reason[1:]) for f in shown]
        session.terminal.table(columns, rows)
        sys.stdout.flush()


def _report(session: Session, report: IngestReport, embedded: int, collection: str | None) -> None:
    terminal = session.terminal
    if terminal.as_json:
        record: IngestRecord = ingest_record(report, collection, embedded)
        terminal.json(record)
        return
    counts = [f"{n:,} {state}" for state in get_args(FileState) if (n := report.count(state))]
    summary = ", ".join(counts) or "nothing to do"
    speed = report.bytes_read / report.seconds if report.seconds > 0 else 0
    amount = f" ({size(report.bytes_read)} in {duration(report.seconds)}, {size(speed)}/s)" if report.bytes_read else ""
    vectors = f"; {plural(embedded, 'chunk')} embedded" if embedded else ""
    terminal.line(f"{summary[:1].upper()}{summary[1:]}{amount}{vectors}.")


def _outcome(report: IngestReport, *, strict: bool) -> int:
    """4 where nothing that was given could be read, and with `strict` where any file failed."""
    failed = report.count("failed")
    left_out = failed + report.count("skipped")
    return ReadError.exit_code if (strict and failed) or (report.files and left_out == len(report.files)) else 0


@contextmanager
def _stopped_by_termination(stop: threading.Event) -> Iterator[None]:
    """A service manager's SIGTERM ends `watch` as gently as it deserves."""
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
