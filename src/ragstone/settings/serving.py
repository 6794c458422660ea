"""Sections of processes that stay: server, sign-in, jobs, traces, log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .declaring import MIB, setting


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`ragstone serve`. Off loopback it does not start without an admin key (`ragstone keys create`)."""

    host: str = setting("127.0.0.1", "Address that it listens on.")
    port: int = setting(8765, "Port that it listens on; 0: any free one.", low=0, high=65_535)
    workers: int = setting(1, "Processes that answer on the one port.", low=1, high=256)
    job_workers: int = setting(
        1, "Processes that do its jobs; 0: none, they are done by `ragstone jobs work`.", low=0, high=256
    )
    hosts: tuple[str, ...] = setting(
        (), "Names under which it is called, without port; more than localhost, its address and the machine's name."
    )
    https: bool = setting(False, "A proxy in front of it speaks TLS: cookies are sent over https only.")
    threads: int = setting(
        0, "Searches at once in one process; 0: two for each CPU core, over all processes.", low=0, high=1_024
    )
    answers: int = setting(
        32, "Answers that a model writes at once in one process; of extractive ones, as many as searches.", low=1
    )
    waiting: int = setting(512, "Requests of one kind that may wait in one process; more are refused at once.", low=0)
    patience: float = setting(
        0.4, "Seconds that a search or extractive answer may be expected to wait; more are refused at once.", low=0
    )
    deadline: float = setting(30.0, "Seconds a request may take, where it does not tell itself.", low=0.1)
    upload_bytes: int = setting(50 * MIB, "Largest uploaded file.", low=1, size=True)
    fetch: bool = setting(False, "Clients may have documents fetched from the web by address.")
    fetch_hosts: tuple[str, ...] = setting(
        (),
        "The only hosts that are fetched from, as name or name:port, which may have private addresses; empty: all "
        "whose addresses are public.",
    )
    fetch_seconds: float = setting(20.0, "How long fetching one document may take.", low=0.1)
    keep_originals: bool = setting(True, "Keep uploaded PDFs, so that their pages can be shown.")
    upload_files: int = setting(100, "Most files of one upload.", low=1)
    json_bytes: int = setting(1 * MIB, "Largest body of any other request.", low=1_024, size=True)
    requests_per_minute: int = setting(6_000, "Of one key, in all processes together; 0: any number.", low=0)
    failures_per_minute: int = setting(60, "Wrong keys from one address, after which it has to wait; 0: any.", low=0)
    open_tenants: int = setting(32, "Tenants whose data stay open in one process.", low=1)
    session_hours: float = setting(12.0, "How long the page stays signed in.", low=0.01)
    drain_seconds: float = setting(30.0, "How long running requests may take to end when the server stops.", low=0)
    audit_days: int = setting(365, "How long entries of the audit log are kept.", low=1)


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """People sign in to the page with an OpenID provider (extra `oidc`). Off while `issuer` is empty."""

    issuer: str = setting("", "The provider, exactly as it names itself, e.g. https://id.example.org/realms/office.")
    client_id: str = setting("", "Name under which the provider knows this server.")
    client_secret: str = setting("", "Its secret there; empty: the provider asks for none.", secret=True)
    address: str = setting(
        "", "This server as browsers call it, e.g. https://rag.example.org; the provider sends them to /login/callback."
    )
    name: str = setting("Single sign-on", "What the button says.")
    scopes: tuple[str, ...] = setting(("profile", "email"), "What is asked for besides openid.")
    tenant: str = setting("default", "Id of the tenant that people belong to, without tenant_claim.")
    tenant_claim: str = setting("", "Claim that tells the tenant, e.g. org or a.b for one inside another.")
    tenants: tuple[str, ...] = setting((), 'Values of that claim and what they stand for, as "value=tenant id".')
    scope_claim: str = setting("", "Claim that tells what somebody may do, e.g. groups; empty: everybody may read.")
    read: tuple[str, ...] = setting((), "Values of that claim with which one may read.")
    write: tuple[str, ...] = setting((), "Values with which one may write, too.")
    admin: tuple[str, ...] = setting((), "Values with which one may do everything.")


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """Work that is promised at once and done by workers: uploads, removals, upkeep."""

    most_waiting: int = setting(10_000, "Jobs that may wait; more are refused until there are fewer.", low=1)
    attempts: int = setting(5, "Times that a job is tried before it is given up.", low=1)
    losses: int = setting(10, "Times that its worker may die before a job is given up.", low=1)
    pause: float = setting(1.0, "Seconds between the first two attempts, doubled for each further one.", low=0.01)
    longest_pause: float = setting(300.0, "Most seconds between two attempts.", low=0.01)
    lease_seconds: float = setting(
        30.0, "A worker that stands still for so long loses its job to another; one that dies loses it at once.", low=1
    )
    keep_days: float = setting(7.0, "Days for which jobs that are done or cancelled are remembered.", low=0)
    keep_failed_days: float = setting(
        30.0, "Days for which jobs that failed are kept with their files, to be run again.", low=0
    )


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Spans of what the server does, to an OpenTelemetry collector (extra `otel`). They hold names and figures, never
    questions or text of documents."""

    endpoint: str = setting(
        "", "Where a collector takes OTLP over HTTP, e.g. http://127.0.0.1:4318/v1/traces; empty: nothing is sent."
    )
    headers: tuple[str, ...] = setting((), 'Headers of its requests, as "Name: value".', secret=True)
    share: float = setting(1.0, "Share of the traces that is sent; a caller's own decision goes first.", low=0, high=1)
    service: str = setting("ragstone", "Name under which the collector shows them.")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The log on stderr. Questions and document text are not logged."""

    level: Literal["debug", "info", "warning", "error"] = setting("warning", "Least severe level that is written.")
    format: Literal["human", "json"] = setting("human", "One pipe-delimited line, or one JSON object, for each event.")
