"""The command that checks an installation: doctor."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from ..errors import NotFound, RagstoneError
from ..records import SCHEMA_VERSION
from .records.upkeep import DoctorRecord
from .session import Session, command, commands
from .terminal import Column, plural, size

app = commands()

LOW_DISK = 1_000_000_000
"""Bytes; SQLite and the indexes need room to rewrite a segment."""

LOW_MEMORY = 1_000_000_000
"""Bytes; the default model and a query take about 700 MB."""

FAILED = 1

_LIBRARIES = ("apsw", "onnxruntime", "faiss", "numpy", "pypdfium2", "selectolax", "tokenizers", "Stemmer")
_DISTRIBUTIONS = {"faiss": "faiss-cpu", "Stemmer": "PyStemmer"}
_EXTRAS = {"ocr": ("rapidocr", "scanned pages are reported as having no text"), "llama": ("xllamacpp", "gguf models")}


@dataclass(frozen=True, slots=True)
class Check:
    """`note` is worth knowing and stops nothing."""

    name: str
    state: Literal["ok", "note", "mended", "failed"]
    detail: str
    hint: str = ""


@command(app)
def doctor(
    session: Session,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without losing anything.")] = False,
) -> int:
    """Check this installation and say what to do.

    Libraries, SQLite, data folder, disk and memory, settings, every row of the database and every index file, the
    embedding model (its hash and one real embedding), extras. With --fix: permissions, interrupted restores and
    upgrades, temporary files, the log, indexes of the database, stray rows, index files. Exit code 1 where a check
    failed. Nothing is sent anywhere, but to servers that the settings name.
    """
    session.safe = "Each thing is mended at once or not at all; run the same command again."
    checks = list(_checks(session, fix))
    failed = sum(check.state == "failed" for check in checks)
    terminal = session.terminal
    if terminal.as_json:
        record: DoctorRecord = {
            "schema_version": SCHEMA_VERSION,
            "checks": [{"name": c.name, "state": c.state, "detail": c.detail, "hint": c.hint} for c in checks],
        }
        terminal.json(record)
    else:
        columns = [Column("Check"), Column("State"), Column("Detail", wrap=True), Column("What to do", wrap=True)]
        terminal.table(columns, [(c.name, c.state, c.detail, c.hint) for c in checks])
        terminal.note("All is well." if not failed else f"{plural(failed, 'check')} failed.")
    return FAILED if failed else 0


def _checks(session: Session, fix: bool) -> Iterator[Check]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Check("python", "ok", f"{python} on {platform.system()} {platform.machine()}")
    yield from (_library(name) for name in _LIBRARIES)
    yield from (_extra(name, *needs) for name, needs in _EXTRAS.items())
    yield _memory()
    try:
        settings = session.settings
    except RagstoneError as error:
        yield Check("settings", "failed", error.message, error.hint)
        return
    yield Check("settings", "ok", str(settings.file) if settings.file else "no file; defaults and environment")
    yield from _data(settings.data.folder, fix)
    yield _folder(settings.data.folder)
    yield _disk(settings.data.folder)
    yield _attempt("documents", lambda: _documents(session))
    yield _attempt("model", lambda: _model(session))
    yield _attempt("spaces", lambda: _spaces(session))


def _library(name: str) -> Check:
    try:
        module = import_module(name)
    except ImportError as error:
        return Check(name, "failed", str(error), "Install Ragstone again: pip install --force-reinstall ragstone")
    try:
        detail = version(_DISTRIBUTIONS.get(name, name))
    except PackageNotFoundError:
        detail = str(getattr(module, "__version__", "installed"))
    if name == "apsw":
        detail += f", SQLite {module.sqlite_lib_version()}"
    return Check(name, "ok", detail)


def _extra(name: str, module: str, without: str) -> Check:
    if find_spec(module) is not None:
        return Check(f"extra {name}", "ok", "installed")
    meaning = without if name == "ocr" else f"needed for {without}"
    return Check(f"extra {name}", "note", f"not installed: {meaning}", f"pip install 'ragstone[{name}]'")


def _memory() -> Check:
    import psutil

    free = psutil.virtual_memory().available
    detail = f"{size(free)} available, {plural(os.cpu_count() or 1, 'core')}"
    if free < LOW_MEMORY:
        return Check("memory", "note", detail, "Close other programs, or set embedding.memory_mb lower.")
    return Check("memory", "ok", detail)


def _folder(folder: Path) -> Check:
    existing = _nearest(folder)
    if not existing.is_dir():
        return Check("data folder", "failed", f"{existing} is not a folder", "Choose another with --data.")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check("data folder", "failed", f"{existing} cannot be written", "Choose another with --data.")
    if sys.platform != "win32" and existing == folder and folder.stat().st_mode & 0o077:
        return Check("data folder", "note", f"{folder} can be read by other users", f"chmod 700 {folder}")
    return Check("data folder", "ok", f"{folder}" if existing == folder else f"{folder} (will be made)")


def _nearest(folder: Path) -> Path:
    """The folder, or what there is above it; what may not be looked at counts as not there."""
    return next(p for p in (folder, *folder.absolute().parents) if os.path.exists(p))  # noqa: PTH110 - never raises


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(_nearest(folder)).free
    if free < LOW_DISK:
        return Check("disk", "note", f"{size(free)} free", "Make room, or choose another disk with --data.")
    return Check("disk", "ok", f"{size(free)} free")


def _data(folder: Path, fix: bool) -> Iterator[Check]:
    """What is wrong with the data folder, mended where `fix` says so."""
    from ..storage.mending import findings

    for finding in findings(folder):
        if finding.mend is None:
            yield Check(finding.name, "failed", finding.detail, finding.hint)
        elif not fix:
            yield Check(finding.name, "note", finding.detail, "ragstone doctor --fix")
        else:
            try:
                finding.mend()
            except RagstoneError as error:
                yield Check(finding.name, "failed", f"{finding.detail}; {error.message}", error.hint)
            else:
                yield Check(finding.name, "mended", finding.detail)


def _attempt(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except RagstoneError as error:
        return Check(name, "failed", error.message, error.hint)


def _documents(session: Session) -> Check:
    try:
        with session.open(read_only=True) as kb:
            collections = kb.collections()
    except NotFound:
        return Check("documents", "note", "none yet", "ragstone add PATH")
    total = sum(c.documents for c in collections)
    waiting = sum(c.waiting for c in collections)
    detail = f"{plural(total, 'document')} in {plural(len(collections), 'collection')}"
    if waiting:
        detail += f", {plural(waiting, 'chunk')} without vectors"
        return Check("documents", "note", detail, "ragstone sync --embed")
    return Check("documents", "ok", detail)


def _model(session: Session) -> Check:
    """Loads the model, which checks its hash, and embeds one sentence in a folder of its own."""
    with TemporaryDirectory(prefix="ragstone-doctor-") as place, session.open_at(Path(place)) as kb:
        kb.add_texts([("doctor:1", "", "Der Filter wird jährlich gewechselt.", {})])
        started = time.perf_counter()
        kb.embed_pending()
        hits = kb.search("How often is the filter replaced?", mode="dense").hits
        seconds = time.perf_counter() - started
    chosen = session.settings.embedding
    name = chosen.endpoint or str(chosen.path or chosen.model)
    if not hits:
        return Check("model", "failed", f"{name} gave no vector", "See `ragstone models`.")
    return Check("model", "ok", f"{name}, loaded and asked in {seconds:.1f} s")


def _spaces(session: Session) -> Check:
    """Loads the model of every space that a collection uses, and embeds a question with it."""
    try:
        with session.open(read_only=True) as kb:
            used = [status for status in kb.spaces() if status.recorded and status.role != "dropping"]
            for space in dict.fromkeys(status.space for status in used):
                kb.model(space).embed(["How often is the filter replaced?"], "query")
            default = kb.embedder().space.id
    except NotFound:
        return Check("spaces", "ok", "none yet")
    others = [s for s in used if s.role == "active" and s.space != default]
    if others:
        detail = f"{others[0].collection} is searched in {others[0].space}, which the settings do not name"
        return Check("spaces", "note", detail, "It stays so; `ragstone spaces add` changes the model.")
    return Check("spaces", "ok", f"{plural(len({s.space for s in used}), 'model')} loaded and asked")
