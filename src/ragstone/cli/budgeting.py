"""Commands about what models cost: budget show, set, history."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import InputError
from ..records import SCHEMA_VERSION
from ..settings import Settings, at
from .records.budgets import BudgetHistoryRecord, BudgetRecord
from .session import Session, before, command, commands
from .terminal import Column, flat

if TYPE_CHECKING:
    from ..budget.attempts import Standing
    from ..budget.history import Spent
    from ..budget.ledger import Ledger

app = commands()
budget = commands(
    no_args_is_help=True,
    help="Show and set what models may cost; show what they did cost.\n\n"
    "A call is made only while the worst that it could cost is left in every budget that it counts against: "
    "everybody's, and those of its team, person and key, for the day and for the month (UTC). Models on machines of "
    "your own cost nothing and are counted.",
)
budget.callback()(before())
app.add_typer(budget, name="budget")

BAR = 24
"""Characters of a full bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"

By = Literal["day", "month", "model", "provider", "person", "team", "key", "purpose"]


@command(budget, "show")
def budget_show(
    session: Session,
    every: Annotated[bool, typer.Option("--all", help="Also those of names that nothing limits.")] = False,
) -> int:
    """Show the budgets of today and this month: limit, spent, reserved, left, and when each renews."""
    with _read(session) as ledger:
        standings = ledger.standings()
    _show(session, [s for s in standings if every or s.limit is not None or s.budget.scope == "all"])
    return 0


@command(budget, "set")
def budget_set(
    session: Session,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="BUDGET AMOUNT",
            help="day or month, after team NAME, person NAME or key NAME where it is not everybody's; then US dollars, "
            "none (no limit), or default (what the settings say). NAME * is each that has none of its own.",
        ),
    ],
) -> int:
    """Limit what calls may cost: `ragstone budget set team sales month 50`.

    It holds in every process from the next call on, and goes before the settings.
    """
    from ..budget.limits import parse
    from ..budget.money import pico

    *name, amount = words
    wanted = parse(" ".join(name)) if name else None
    if wanted is None:
        raise InputError("a budget or its amount is missing.", "Write for example: ragstone budget set month 20")
    limit = None if amount in ("none", "default") else pico(amount)
    with closing(_open(session)) as ledger:
        if amount == "default":
            ledger.unset_limit(wanted)
        else:
            ledger.set_limit(wanted, limit)
        standings = ledger.standings()
    named = (wanted.scope, wanted.name)
    _show(session, [s for s in standings if s.limit is not None or (s.budget.scope, s.budget.name) == named])
    return 0


@command(budget, "history")
def budget_history(
    session: Session,
    by: Annotated[By, typer.Option(help="What is summed up.")] = "day",
    days: Annotated[int, typer.Option(min=1, max=3_660, metavar="N", help="How many days back, today included.")] = 30,
    team: Annotated[str | None, typer.Option(metavar="NAME", help="Only this team.", show_default=False)] = None,
    person: Annotated[str | None, typer.Option(metavar="NAME", help="Only this person.", show_default=False)] = None,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Only this key.", show_default=False)] = None,
) -> int:
    """Show what calls have cost, with their tokens."""
    from ..budget.history import history
    from ..budget.money import in_dollars

    since = (datetime.now(UTC).date() - timedelta(days=days - 1)).isoformat()
    given: dict[Literal["team", "person", "key"], str | None] = {"team": team, "person": person, "key": key}
    only = {column: name for column, name in given.items() if name is not None}
    with _read(session) as ledger:
        found = history(ledger, by, since, only)
    if session.terminal.as_json:
        record: BudgetHistoryRecord = {
            "schema_version": SCHEMA_VERSION,
            "by": by,
            "since": since,
            "groups": [
                {
                    "group": g.group,
                    "calls": g.calls,
                    "refused": g.refused,
                    "prompt_tokens": g.prompt,
                    "cached_tokens": g.cached,
                    "completion_tokens": g.completion,
                    "cost": in_dollars(g.cost),
                    "uncertain": in_dollars(g.uncertain),
                }
                for g in found
            ],
        }
        session.terminal.json(record)
    elif found:
        _chart(session, by, found)
    else:
        session.terminal.note(f"No calls since {since}.")
    return 0


def _open(session: Session) -> Ledger:
    from ..language_models import open_spending
    from .logs import configure

    configure(session.settings.log.level, session.settings.log.format)
    return open_spending(session.settings).required()


@contextmanager
def _read(session: Session) -> Iterator[Ledger]:
    from .logs import configure

    configure(session.settings.log.level, session.settings.log.format)
    with read_ledger(session.settings) as ledger:
        yield ledger


@contextmanager
def read_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger; where there is none yet, an empty one that leaves nothing behind."""
    from ..budget.file import DATABASE
    from ..language_models import open_spending

    if (settings.data.folder / DATABASE).exists():
        with closing(open_spending(settings).required()) as ledger:
            yield ledger
        return
    with (
        TemporaryDirectory(prefix="ragstone-budget-") as place,
        closing(open_spending(at(Path(place), settings)).required()) as ledger,
    ):
        yield ledger


def _show(session: Session, standings: Sequence[Standing]) -> None:
    from ..budget.limits import EACH
    from ..budget.money import in_dollars, shown

    terminal = session.terminal
    if terminal.as_json:
        record: BudgetRecord = {
            "schema_version": SCHEMA_VERSION,
            "budgets": [
                {
                    "budget": str(s.budget),
                    "scope": s.budget.scope,
                    "name": s.budget.name,
                    "period": s.budget.period,
                    "of": s.key,
                    "limit": None if s.limit is None else in_dollars(s.limit),
                    "source": s.source,
                    "spent": in_dollars(s.spent),
                    "held": in_dollars(s.held),
                    "lost": in_dollars(s.lost),
                    "left": None if s.left is None else in_dollars(s.left),
                    "renews": s.renews,
                }
                for s in standings
            ],
        }
        terminal.json(record)
        return
    if not standings:
        terminal.note("No budget is set, and no call was counted yet: `ragstone budget set month 20` limits them.")
        return
    columns = [
        Column("Budget", wrap=True),
        Column("Limit", "right"),
        Column("Spent", "right"),
        Column("Reserved", "right", optional=True),
        Column("Left", "right"),
        *([Column("Used")] if terminal.out_is_terminal else []),
        Column("Renews (UTC)", optional=True),
        Column("Limit from", optional=True),
    ]
    rows = []
    for s in standings:
        used = s.spent + s.held + s.lost
        share = 0.0 if s.limit is None else used / s.limit if s.limit else 1.0
        bar = "" if s.limit is None or s.budget.name == EACH else f"{_bar(share)} {share:4.0%}"
        rows.append(
            (
                str(s.budget),
                "none" if s.limit is None else shown(s.limit),
                shown(s.spent + s.lost) if s.budget.name != EACH else "each",
                shown(s.held) if s.budget.name != EACH else "",
                "" if s.left is None or s.budget.name == EACH else shown(s.left),
                *([bar] if terminal.out_is_terminal else []),
                datetime.fromtimestamp(s.renews, UTC).strftime("%Y-%m-%d"),
                s.source,
            )
        )
    terminal.table(columns, rows)
    if lost := sum(s.lost for s in standings if s.budget.scope == "all" and s.budget.period == "month"):
        terminal.note(f"{shown(lost)} of what is spent are counted because the machine stopped before it was recorded.")


def _chart(session: Session, by: str, found: Sequence[Spent]) -> None:
    """Bars are of the cost; where nothing had a cost, of the calls."""
    from ..budget.money import shown

    terminal = session.terminal
    costs = any(g.cost for g in found)
    sizes = [g.cost if costs else g.calls for g in found]
    most = max(sizes) or 1
    columns = [
        Column(by.capitalize(), wrap=True),
        *([Column("")] if terminal.out_is_terminal else []),
        Column("Cost", "right"),
        Column("Uncertain", "right", optional=True),
        Column("Calls", "right"),
        Column("Refused", "right", optional=True),
        Column("Prompt tokens", "right", optional=True),
        Column("Answer tokens", "right", optional=True),
    ]
    rows = [
        (
            flat(g.group) or "–",
            *([_bar(size / most)] if terminal.out_is_terminal else []),
            shown(g.cost),
            shown(g.uncertain),
            f"{g.calls:,}",
            f"{g.refused:,}",
            f"{g.prompt:,}",
            f"{g.completion:,}",
        )
        for g, size in zip(found, sizes, strict=True)
    ]
    terminal.table(columns, rows)
    cost, calls = sum(g.cost for g in found), sum(g.calls for g in found)
    terminal.note(f"{shown(cost)} for {calls:,} calls.")


def _bar(share: float) -> str:
    """BAR characters; what is above zero shows at least a sliver, and only what is full looks full."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    eighths = min(BAR * 8, max(int(share * BAR * 8), 1 if share > 0 else 0))
    full, rest = divmod(eighths, 8)
    if not unicode:
        return ("#" * (full + (rest >= 4))).ljust(BAR, ".")
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(BAR, "·")
