"""Requests made from the server's own OpenAPI document, right ones, wrong ones and such as follow from the answers of
others: none may be answered with a status of 500, and each answer has to be what the document says."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx2

from ..errors import InputError, RagstoneError
from ..types import Progress
from .report import MOST_FAILURES, Report, Run
from .serving import Served, served

EXAMPLES: Final = 60
"""Cases of one operation and kind in a round. The server begins anew with each round: what a round did to it (quotas,
tenants, keys) must not answer for the next one."""
TIMEOUT_SECONDS: Final = 60.0
REFUSALS: Final = ("2xx", "3xx", "400", "401", "403", "404", "409", "412", "422", "429", "503", "504", "507")
"""What a request may be answered with that is as the document says, which cannot say all: a cursor of another list, a
time that has passed, a space that is not there."""
WRONG: Final = ("405", "406", "413", "415", "428")
LASTING: Final = "/v1/profile"
"""Left out: it watches the server for as long as it is asked to, two minutes at most."""
SEEDED: Final = (
    ("notes/pump", "The pump in hall B needs new seals every spring. Its motor takes five kilowatts."),
    ("notes/battery", "The battery lasts eleven hours. It charges in two hours."),
)
FIRST_SECONDS: Final = 30.0


def api(run: Run) -> Report:
    """`run.cycles` requests at least. Raises InputError without the extra."""
    try:
        import schemathesis  # noqa: F401 - whether it is there
    except ModuleNotFoundError as error:
        raise InputError(
            "the requests are made by Schemathesis, which is not installed.", "pip install 'ragstone[stress]'"
        ) from error
    report = Report("api", run.seed)
    started = time.monotonic()
    number = 0
    while report.cycles < run.cycles and len(report.failures) < MOST_FAILURES:
        left = run.cycles - report.cycles
        with served(run.folder / f"round-{number}") as server:
            _fill(server)
            _round(run, server, report, number, left)
        number += 1
    report.seconds = time.monotonic() - started
    return report


def check(run: Run, server: Served, examples: int) -> Report:
    """A short round against a server that runs already: so many cases of each operation, and of what follows from
    answers, without the systematic ones."""
    report = Report("api", run.seed)
    _round(run, server, report, 0, run.cycles, examples, systematic=False)
    return report


def _round(
    run: Run, server: Served, report: Report, number: int, most: int, examples: int = EXAMPLES, *,
    systematic: bool = True,
) -> None:  # fmt: skip
    seen: set[tuple[str, str]] = set()
    limit = report.cycles + most
    seed = random.Random(f"{run.seed} {number}").getrandbits(64)
    for label, status, problems in _exchanges(server, seed, examples, systematic=systematic):
        report.cycles += 1
        report.add(f"answered {status}" if status else "not answered")
        for name, text in problems:
            if (name, label) in seen:
                report.add("the same again")
                continue
            seen.add((name, label))
            report.fail(report.cycles, f"{label}: {name}", [text])
        if run.progress and report.cycles % 20 == 0:
            failure = report.failures[-1] if problems else None
            item = f"{failure.what}: {'; '.join(failure.problems)}" if failure else ""
            total = max(run.cycles, report.cycles)
            run.progress(Progress("stress", report.cycles, total, item, "failed" if failure else ""))
        if report.cycles >= limit or len(report.failures) >= MOST_FAILURES:
            return


def _exchanges(
    server: Served, seed: int, examples: int, *, systematic: bool
) -> Iterator[tuple[str, int, list[tuple[str, str]]]]:
    """Operation, status (0: no answer) and what was wrong (check, text) of each request."""
    from schemathesis import openapi
    from schemathesis.engine import events, from_schema

    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx2.Client(base_url=server.url, headers=headers, trust_env=False, timeout=TIMEOUT_SECONDS) as http:
        document = http.get("/v1/openapi.json").raise_for_status().json()
    schema = openapi.from_dict(document, config=_config(seed)).exclude(path=LASTING)
    _configure(schema.config, server, headers, examples)
    schema.config.phases.coverage.enabled = systematic
    with _quiet():
        stream = from_schema(schema).execute()
        for event in stream:
            if isinstance(event, events.FatalError):
                raise RagstoneError(f"the requests could not be made: {event.exception}") from event.exception
            if isinstance(event, events.NonFatalError):
                yield event.label, 0, [("no answer", f"{type(event.value).__name__}: {event.value}")]
            if isinstance(event, events.ScenarioFinished):
                yield from _told(event.recorder)


def _config(seed: int) -> Any:
    from schemathesis import Config

    return Config(seed=seed)


def _configure(config: Any, server: Served, headers: Mapping[str, str], examples: int) -> None:
    config.base_url = server.url
    config.headers = dict(headers)
    config.request_timeout = TIMEOUT_SECONDS
    config.continue_on_failure = True
    config.checks.positive_data_acceptance.expected_statuses = list(REFUSALS)
    config.checks.negative_data_rejection.expected_statuses = [*REFUSALS[2:], *WRONG]
    for generation in (config.generation, config.phases.fuzzing.generation, config.phases.stateful.generation):
        generation.max_examples = examples
        generation.no_shrink = True
        generation.database = "none"


def _told(recorder: Any) -> Iterator[tuple[str, int, list[tuple[str, str]]]]:
    for id, exchange in recorder.interactions.items():
        response, case = exchange.response, recorder.cases[id].value
        problems = []
        for made in recorder.checks.get(id, ()):
            if made.failure_info is not None:
                failure = made.failure_info.failure
                sent = f"{exchange.request.method} {exchange.request.uri}"[:300]
                body = "" if response is None else response.content[:300].decode("utf-8", "replace")
                problems.append((made.name, f"{failure.title}: {failure.message[:300]} | {sent} | {body}"))
        yield case.operation.label, 0 if response is None else response.status_code, problems


@contextmanager
def _quiet() -> Iterator[None]:
    """What the generator of requests warns of concerns nobody who reads the report."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _fill(server: Served) -> None:
    """Documents, so that there is something to find."""
    headers = {"Authorization": f"Bearer {server.key}"}
    documents = [{"uri": uri, "text": text} for uri, text in SEEDED]
    with httpx2.Client(base_url=server.url, headers=headers, trust_env=False, timeout=FIRST_SECONDS) as http:
        answer = http.post("/v1/collections/default/documents:batch?wait=20", json={"documents": documents})
        answer.raise_for_status()

