"""Commands for work in the background: jobs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import NotFound
from ..records import SCHEMA_VERSION
from ..types import Job
from .records.jobs import JobDetail, JobRecord, JobsRecord
from .session import Session, before, command, commands
from .terminal import Column, duration, flat, instant, plural

if TYPE_CHECKING:
    from ..jobs.uploads import Uploads
    from ..knowledge_base import KnowledgeBase
    from ..protocols import Queue

app = commands()

jobs = commands(
    no_args_is_help=True,
    help="Look at work in the background, and do it.\n\n"
    "Uploads and upkeep that a server accepted wait in the data folder until a worker did them.",
)
jobs.callback()(before())
app.add_typer(jobs, name="jobs")

DEFAULT_TENANTS = ("", "default")
"""Their data are in the data folder itself."""

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
State = Literal["queued", "running", "done", "failed", "cancelled"]


@command(jobs, "list")
def jobs_list(
    session: Session,
    state: Annotated[
        State | None, typer.Option("--state", metavar="STATE", help="Only these.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="At most so many.")] = 20,
) -> int:
    """List jobs, the newest first."""
    with _queue(session) as queue:
        found, counts = queue.list(states=(state,) if state else (), limit=limit), queue.counts()
    terminal = session.terminal
    if terminal.as_json:
        record: JobsRecord = {
            "schema_version": SCHEMA_VERSION,
            "jobs": [_detail(job) for job in found],
            "counts": {str(name): count for name, count in counts.items()},
        }
        terminal.json(record)
        return 0
    columns = [Column("Job"), Column("Kind"), Column("State"), Column("Put"), Column("Progress"),
               Column("Last failure", wrap=True)]  # fmt: skip
    terminal.table(columns, [
        (job.id, job.kind, "cancelling" if job.cancelling else job.state, instant(job.created), _progress(job),
         flat(job.failures[-1].message) if job.failures else "")
        for job in found
    ])  # fmt: skip
    waiting = counts["queued"] + counts["running"]
    terminal.note(f"{plural(waiting, 'job')} not done yet, {counts['failed']} failed.")
    return 0


@command(jobs, "show")
def jobs_show(session: Session, id: Id) -> int:
    """Show a job: what it is, how far it is, why it failed."""
    with _queue(session) as queue:
        job = queue.get(id)
    return _show(session, job)


@command(jobs, "cancel")
def jobs_cancel(session: Session, id: Id) -> int:
    """Cancel a job: at once where it waits, soon where it runs."""
    from ..jobs.intake import release

    with _queue(session) as queue:
        job = queue.cancel(id)
        release(queue, _uploads(session, job.tenant), job)
    return _show(session, job)


@command(jobs, "retry")
def jobs_retry(session: Session, id: Id) -> int:
    """Run a job again that failed or was cancelled."""
    with _queue(session) as queue:
        job = queue.retry(id)
    return _show(session, job)


@command(jobs, "work")
def jobs_work(
    session: Session,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when nothing is left to do.")] = False,
) -> int:
    """Do jobs until it is stopped.

    Any number of these may run beside each other and beside a server. Stopped with Ctrl-C or SIGTERM it gives back what
    it does, and another worker goes on with it.
    """
    from ..jobs.worker import Worker
    from ..measure.judge import JOBS

    session.safe = "What was not finished is done by the next worker."
    done: list[Job] = []

    def told(job: Job) -> None:
        done.append(job)
        session.terminal.note(f"{job.kind} {job.id}: {job.state}.")

    with _queue(session, make=True) as queue, _data(session) as opened:
        for folder in _folders(session):
            _uploads_at(folder).sweep(queue.wanted)
        worker = Worker(
            queue, opened, lambda tenant: _uploads(session, tenant),
            handlers=JOBS,
            lease_seconds=session.settings.jobs.lease_seconds, told=told,
        )  # fmt: skip
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        if until_empty:
            while queue.counts()["queued"] + queue.counts()["running"]:
                worker.one(wait=1.0)
        else:
            try:
                worker.run()
            except KeyboardInterrupt:
                worker.stop()
    if session.terminal.as_json:
        record: JobsRecord = {
            "schema_version": SCHEMA_VERSION,
            "jobs": [_detail(job) for job in done],
            "counts": {state: sum(job.state == state for job in done) for state in {job.state for job in done}},
        }
        session.terminal.json(record)
    return 0


# ---------------------------------------------------------------------- inside
@contextmanager
def _queue(session: Session, *, make: bool = False) -> Iterator[Queue]:
    from ..assemble import open_queue
    from ..storage.layout import JOBS

    folder = session.settings.data.folder
    if not make and not (folder / JOBS).exists():
        raise NotFound(f"there are no jobs in {folder}.", "A server makes them; choose its folder with --data.")
    queue = open_queue(session.settings)
    try:
        yield queue
    finally:
        queue.close()


def _folder(session: Session, tenant: str) -> Path:
    from ..storage.layout import TENANTS

    data = session.settings.data.folder
    return data if tenant in DEFAULT_TENANTS else data / TENANTS / Path(tenant).name


def _folders(session: Session) -> list[Path]:
    from ..storage.layout import tenant_folders

    data = session.settings.data.folder
    return [data, *(data / place for place in tenant_folders(data))]


def _uploads(session: Session, tenant: str) -> Uploads:
    return _uploads_at(_folder(session, tenant))


def _uploads_at(folder: Path) -> Uploads:
    from ..jobs.uploads import Uploads

    return Uploads(folder)


@contextmanager
def _data(session: Session) -> Iterator[Callable[[str], AbstractContextManager[KnowledgeBase]]]:
    """What gives a tenant's knowledge base; the one used last stays open."""
    held: dict[str, KnowledgeBase] = {}

    @contextmanager
    def use(tenant: str) -> Iterator[KnowledgeBase]:
        if tenant not in held:
            while held:
                held.popitem()[1].close()
            held[tenant] = session.open_at(_folder(session, tenant), background=True)
        yield held[tenant]

    try:
        yield use
    finally:
        while held:
            held.popitem()[1].close()


def _show(session: Session, job: Job) -> int:
    terminal = session.terminal
    if terminal.as_json:
        record: JobRecord = {"schema_version": SCHEMA_VERSION, "job": _detail(job)}
        terminal.json(record)
        return 0
    rows = [
        ("job", job.id),
        ("kind", job.kind),
        ("state", "cancelling" if job.cancelling else job.state),
        ("put", instant(job.created)),
        ("attempts", f"{job.attempts}"),
        ("progress", _progress(job)),
    ]
    if job.ended is not None:
        rows.append(("ended", f"{instant(job.ended)}, after {duration(job.ended - job.created)}"))
    rows += [("failure", flat(f"{instant(f.at)} {f.code}: {f.message} {f.hint}".strip())) for f in job.failures]
    terminal.table([Column("Field"), Column("Value", wrap=True)], rows)
    return 0


def _progress(job: Job) -> str:
    progress = job.progress
    return f"{progress.done:,} of {progress.total:,}" if progress.total else ""


def _detail(job: Job) -> JobDetail:
    progress = job.progress
    return {
        "id": job.id,
        "tenant": job.tenant,
        "kind": job.kind,
        "state": job.state,
        "cancelling": job.cancelling,
        "priority": job.priority,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "not_before": job.not_before,
        "attempts": job.attempts,
        "losses": job.losses,
        "progress": {
            "stage": progress.stage, "done": progress.done, "total": progress.total, "note": progress.note
        },
        "failures": [{"code": f.code, "message": f.message, "hint": f.hint, "at": f.at} for f in job.failures],
        "result": None if job.result is None else dict(job.result),
    }  # fmt: skip
