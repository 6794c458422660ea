"""Care of the data folder: compared with itself, made anew, rid of what was removed, copied."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from ..errors import NotFound
from ..graph.graph import KnowledgeGraph
from ..index.sealing import purge_files
from ..ingest.roots import needed_metadata
from ..storage import backup as backups
from ..storage.layout import CONVERSATIONS, own_bytes
from ..storage.purge import purge_database
from ..transfer import export_documents, import_documents
from ..types import ProgressCallback, VerifyReport
from .adding import Adding
from .names import named
from .parts import Parts
from .running import Running


def verify(running: Running, graph: KnowledgeGraph, progress: ProgressCallback | None) -> VerifyReport:
    checked: dict[str, int] = {"collections": 0}
    problems = list(running.store.check())
    for name in running.store.every_collection():
        report = running.index(name).verify(progress=progress)
        extractions, wrong = graph.verify(name)
        checked["extractions"] = checked.get("extractions", 0) + extractions
        problems.extend(f"{name}: {problem}" for problem in wrong)
        checked["collections"] += 1
        for kind, count in report.checked.items():
            checked[kind] = checked.get(kind, 0) + count
        problems.extend(f"{name}: {problem}" for problem in report.problems)
    return VerifyReport(checked, tuple(problems))


def rebuild(running: Running, graph: KnowledgeGraph, progress: ProgressCallback | None) -> None:
    for name in running.store.every_collection():
        running.index(name).rebuild(progress=progress)
        graph.rebuild(name)
    running.parts.results.clear()


def purge_caches(parts: Parts) -> None:
    parts.results.clear()
    parts.answers.clear()
    parts.language_models().forget(erase=True)
    if parts.persistent is not None:
        parts.persistent.purge()


def purge(running: Running, graph: KnowledgeGraph, adding: Adding) -> int:
    folder = running.store.folder
    before = own_bytes(folder)
    for name in running.store.every_collection():
        with suppress(NotFound):  # dropped meanwhile
            running.parts.spaces.finish_drops(name)
            running.index(name).purge()
            graph.purge(name)
    purge_files(running.store)
    adding.sweep()
    shutil.rmtree(folder / CONVERSATIONS, ignore_errors=True)
    purge_caches(running.parts)
    purge_database(folder, needed=needed_metadata(running.store))
    return max(0, before - own_bytes(folder))


def export(running: Running, path: Path, collection: str | None, progress: ProgressCallback | None) -> int:
    return export_documents(running.store, path, named(running.store, collection), progress)


def import_(running: Running, path: Path, progress: ProgressCallback | None) -> int:
    count, names = import_documents(running.store, path, progress)
    for name in names:
        running.after_write(name, removed=True)  # what was there is replaced
    return count


def backup(
    running: Running, path: Path, keep: int, progress: ProgressCallback | None, *, anew: bool, check: bool
) -> backups.BackupReport:
    if running.store.get_state(backups.IDENTITY) is None:
        running.store.set_state(backups.IDENTITY, secrets.token_hex(16))
    return backups.backup(running.store.folder, path, keep=keep, anew=anew, check=check, progress=progress)
