"""Commands that try to break it: stress."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..records import SCHEMA_VERSION
from .records.stressing import LoadRecord, StressRecord
from .session import Session, before, command, commands
from .terminal import Column, duration, flat

if TYPE_CHECKING:
    from ..stress.report import Failure, Report, Run

app = commands()

FAILED = 1
"""Exit code where a cycle failed."""

WHOLE = ("api", "tenants")
"""Tests that are repeated from their beginning."""

stress = commands(
    no_args_is_help=True,
    help="Kill it, cut its power, fill its disk, and check that nothing is lost.\n\n"
    "Works in a folder of its own with made documents and an embedder that needs no model; your data is untouched. "
    "After each cycle the store, the indexes, the caches and the log are compared with what was acknowledged. "
    "A failure is told with the seed and the cycle that repeat it, and its data is kept.",
)
stress.callback()(before())
app.add_typer(stress, name="stress")

Cycles = Annotated[int, typer.Option(min=1, metavar="N", help="How many cycles.")]
Seed = Annotated[int, typer.Option(metavar="S", help="Where chance begins.")]
Keep = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Work in this new or empty folder and keep it.", show_default=False),
]
Only = Annotated[
    int | None, typer.Option(min=0, metavar="C", help="Repeat this cycle of the seed.", show_default=False)
]


@command(stress, "crash")
def stress_crash(
    session: Session, cycles: Cycles = 200, seed: Seed = 1, keep: Keep = None, only_cycle: Only = None
) -> int:
    """Kill processes that write, at random moments and at every named point of the write path.

    All cycles work on one growing folder. A cycle that is repeated alone begins with an empty one.
    """
    from ..stress.crash import crash

    return _run(session, crash, cycles, seed, keep, only_cycle)


@command(stress, "learn")
def stress_learn(
    session: Session, cycles: Cycles = 200, seed: Seed = 1, keep: Keep = None, only_cycle: Only = None
) -> int:
    """Kill processes that learn from a transcript, at random moments and at every named point.

    The transcript grows over all cycles, with broken lines, half lines and things said again. Each thing has to be
    remembered as often as it was said. A cycle that is repeated alone is led up to by those before it.
    """
    from ..stress.learning import learning

    return _run(session, learning, cycles, seed, keep, only_cycle)


@command(stress, "power")
def stress_power(
    session: Session, cycles: Cycles = 200, seed: Seed = 1, keep: Keep = None, only_cycle: Only = None
) -> int:
    """Cut the power: lose, tear and reorder what was not synced.

    Of the database and of the index files, their names in the folder included.
    """
    from ..stress.power import power

    return _run(session, power, cycles, seed, keep, only_cycle)


@command(stress, "disk")
def stress_disk(
    session: Session,
    cycles: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many, evenly spread.", show_default=False)
    ] = None,
    seed: Seed = 1,
    keep: Keep = None,
    only_cycle: Only = None,
) -> int:
    """Fail each operation of the disk once: no space, an error, half a write.

    For one operation only, and until space is freed. Without --cycles: every operation, every fault.
    """
    from ..stress.full import ALL, faulty_disk

    return _run(session, faulty_disk, ALL if cycles is None else cycles, seed, keep, only_cycle)


@command(stress, "flip")
def stress_flip(
    session: Session, cycles: Cycles = 200, seed: Seed = 1, keep: Keep = None, only_cycle: Only = None
) -> int:
    """Flip bytes of index files: results stay the same."""
    from ..stress.flips import flips

    return _run(session, flips, cycles, seed, keep, only_cycle)


@command(stress, "multi")
def stress_multi(
    session: Session,
    cycles: Cycles = 10,
    processes: Annotated[int, typer.Option(min=2, max=64, metavar="N", help="Processes at once.")] = 4,
    seed: Seed = 1,
    keep: Keep = None,
    only_cycle: Only = None,
) -> int:
    """Let processes write at once, kill some and freeze some.

    In a cycle each does 50 operations.
    """
    from ..stress.multi import multi

    return _run(session, lambda run: multi(run, processes=processes), cycles, seed, keep, only_cycle)


@command(stress, "churn")
def stress_churn(session: Session, cycles: Cycles = 100, seed: Seed = 1, keep: Keep = None) -> int:
    """Add and remove for long: memory, descriptors, threads, log and files stay bounded."""
    from ..stress.churn import churn

    return _run(session, churn, cycles, seed, keep, None)


@command(stress, "budget")
def stress_budget(session: Session, cycles: Cycles = 1_000, seed: Seed = 1, keep: Keep = None) -> int:
    """Let 200 calls at once from 3 processes use up one budget, and kill some.

    It can pay for 37 % of all calls. After each round, which is a cycle, what the calls cost in truth is compared with
    the ledger, and each refusal with what was left.
    """
    from ..stress.budget import budget

    return _run(session, budget, cycles, seed, keep, None)


@command(stress, "jobs")
def stress_jobs(session: Session, cycles: Cycles = 10, seed: Seed = 1, keep: Keep = None) -> int:
    """Kill those who take uploads and those who read them.

    A cycle is 100 uploads. Each that was acknowledged must end up searchable, once, in the version that was sent last.
    """
    from ..stress.jobs import jobs

    return _run(session, jobs, cycles, seed, keep, None)


@command(stress, "serve")
def stress_serve(session: Session, cycles: Cycles = 10, seed: Seed = 1, keep: Keep = None) -> int:
    """Kill a whole server, all its processes at once, while clients upload.

    A cycle is 100 uploads, three kills of everything and three of a single process. Each upload that was acknowledged
    must end up searchable, once, in the version that was sent last; requests are repeated with their idempotency key,
    streams of events resumed, documents removed, jobs cancelled and dead letters run again meanwhile.
    """
    from ..stress.serve import serve

    if find_spec("uvicorn") is None:
        raise InputError("the server needs uvicorn.", "pip install 'ragstone[server]'")
    return _run(session, serve, cycles, seed, keep, None)


@command(stress, "api")
def stress_api(
    session: Session,
    cases: Annotated[int, typer.Option("--cases", min=1, metavar="N", help="How many requests.")] = 20_000,
    seed: Seed = 1,
    keep: Keep = None,
) -> int:
    """Send requests made from the API's own description: right ones, wrong ones, and such as follow from answers.

    None may be answered with a status of 500, and every answer has to be what the description says. The server is one
    of its own. Needs the extra `stress`.
    """
    from ..stress.api import api

    return _run(session, api, cases, seed, keep, None)


@command(stress, "tenants")
def stress_tenants(
    session: Session,
    cycles: Cycles = 10,
    tenants: Annotated[int, typer.Option("--tenants", min=2, max=1_000, metavar="N", help="How many there are.")] = 50,
    seed: Seed = 1,
    keep: Keep = None,
) -> int:
    """Let many tenants use one server at once, with ids and words of each other.

    No answer may have a word of another tenant's documents, and every count is of one's own. The server is one of its
    own.
    """
    from ..stress.tenants import tenants as test

    return _run(session, lambda run: test(run, count=tenants), cycles, seed, keep, None)


@command(stress, "mcp")
def stress_mcp(
    session: Session,
    clients: Annotated[int, typer.Option("--clients", min=2, max=200, metavar="N", help="How many at once.")] = 20,
    rate: Annotated[float, typer.Option("--rate", min=0.1, metavar="R", help="Calls a second, all together.")] = 20.0,
    seconds: Annotated[float, typer.Option("--seconds", min=1, metavar="S", help="For so long.")] = 30.0,
    cycles: Cycles = 1,
    seed: Seed = 1,
    keep: Keep = None,
    only_cycle: Only = None,
) -> int:
    """Let many MCP clients read and write one folder, over processes of their own and one server.

    Half have a process each, half share the server. All number their calls alike, some tell what another told, and
    each looks for what it wrote. It works with the embedding model that ships.
    """
    from functools import partial

    from ..stress.mcp import mcp

    return _run(session, partial(mcp, clients=clients, rate=rate, seconds=seconds), cycles, seed, keep, only_cycle)


@command(stress, "load")
def stress_load(
    session: Session,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="The server's address.")] = "http://127.0.0.1:8765",
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="An API key, or the server's token.")] = "",
    rate: Annotated[float, typer.Option("--rate", metavar="R", min=0.1, help="Requests a second.")] = 50.0,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", min=0.1, help="For so long.")] = 10.0,
    search: Annotated[float, typer.Option("--search", min=0, metavar="W", help="Weight of searches.")] = 0.9,
    ask: Annotated[float, typer.Option("--ask", min=0, metavar="W", help="Weight of questions.")] = 0.08,
    upload: Annotated[float, typer.Option("--upload", min=0, metavar="W", help="Weight of uploads.")] = 0.02,
    clients: Annotated[
        int,
        typer.Option(
            "--clients", min=0, max=10_000, metavar="N", help="Connected from the beginning; they take turns."
        ),
    ] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Each question is new: no cache answers it.")] = False,
    questions: Annotated[
        Path | None, typer.Option("--questions", metavar="FILE", help="What is asked, one a line.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a page with charts.", show_default=False)
    ] = None,
    seed: Seed = 1,
) -> int:
    """Send requests to a running server at a fixed rate.

    Latency counts from the moment a request was due, also where the server could not take it yet. Exit code 1 where an
    answer was an error; refusals (429, 503) are counted apart. Uploads stay in the server's data.
    """
    from ..stress.load import QUESTIONS, Load, load, read_questions
    from ..stress.load_report import as_json, page

    if not search + ask + upload:
        raise InputError("all weights are 0.", "Give one of --search, --ask and --upload a weight.")
    asked = read_questions(questions) if questions is not None else QUESTIONS
    mix = (search, ask, upload)
    try:
        measured = load(Load(url, key, rate, seconds, mix, session.collection, asked, fresh, seed, clients=clients))
    except OSError as error:
        raise InputError(f"{url} cannot be reached: {error}.", "Start it with `ragstone serve`.") from error
    if report is not None:
        report.write_text(page(measured), encoding="utf-8")
    table = measured.table()
    if session.terminal.as_json:
        record: LoadRecord = {"schema_version": SCHEMA_VERSION, **as_json(measured)}  # type: ignore[typeddict-item]
        session.terminal.json(record)
    else:
        names = [name for name in table.get("all", {}) if name != "sent late p99"]
        session.terminal.table(
            [Column("Kind"), *(Column(name, "right") for name in names)],
            [(kind, *(f"{row[name]:,.1f}" for name in names)) for kind, row in table.items()],
        )
        session.terminal.note("Latencies in milliseconds. Answers by status: " + str(measured.statuses()))
    return FAILED if table.get("all", {}).get("errors") else 0


def _run(
    session: Session, test: Callable[[Run], Report], cycles: int, seed: int, keep: Path | None, only: int | None
) -> int:
    from ..stress.report import Run
    from .logs import configure

    configure("error", session.settings.log.format)  # what the faults make it warn of is expected
    session.safe = "The test works in a folder of its own; the data is untouched."
    folder = _folder(keep)
    finished = False
    try:
        with session.progress() as progress:
            report = test(Run(folder, seed, cycles, only, progress))
        finished = True
    finally:
        kept = keep is not None or (finished and bool(report.failures))
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    _tell(session, report, folder if kept else None)
    return FAILED if report.failures else 0


def _repeat(report: Report, failure: Failure) -> str:
    command = f"ragstone stress {report.test} --seed {failure.seed}"
    return command if report.test in WHOLE else f"{command} --only-cycle {failure.cycle}"


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="ragstone-stress-"))
    try:
        keep.mkdir(parents=True, exist_ok=True)
        empty = not any(keep.iterdir())
    except OSError as error:
        raise InputError(f"{keep} cannot be used: {error.strerror}.", "Choose another folder.") from error
    if not empty:
        raise InputError(f"{keep} is not empty.", "Choose a new folder: the test fills it and empties it.")
    return keep.absolute()


def _tell(session: Session, report: Report, kept: Path | None) -> None:
    terminal = session.terminal
    if terminal.as_json:
        record: StressRecord = {
            "schema_version": SCHEMA_VERSION,
            "test": report.test,
            "seed": report.seed,
            "cycles": report.cycles,
            "seconds": report.seconds,
            "figures": report.figures,
            "failures": [
                {"seed": f.seed, "cycle": f.cycle, "what": f.what, "problems": list(f.problems)}
                for f in report.failures
            ],
            "folder": None if kept is None else str(kept),
        }
        terminal.json(record)
        return
    rows = [
        ("cycles", f"{report.cycles:,}"),
        ("time", duration(report.seconds)),
        *((name, f"{value:,.4g}" if value % 1 else f"{value:,.0f}") for name, value in report.figures.items()),
        ("failures", f"{len(report.failures):,}"),
    ]
    terminal.table([Column("Figure", wrap=True), Column("Value", "right")], rows)
    for failure in report.failures:
        terminal.line(flat(f"{failure.what}: {'; '.join(failure.problems)} (repeat: {_repeat(report, failure)})"))
    if kept is not None:
        terminal.note(f"The data is in {kept}.")
