"""What a server process holds: settings as plain values, accounts, tenants' data, and the lanes to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.types import Scope as AsgiScope

from ..assemble import read_limits
from ..bridge import Bridge
from ..errors import Forbidden, NotSignedIn, TooManyRequests
from ..jobs.uploads import Uploads
from ..knowledge_base import KnowledgeBase
from ..language_models import budget_figures
from ..protocols import Queue
from ..settings import Settings
from . import gauges, pages
from .accounts import DEFAULT_TENANT, Accounts, Tenant
from .auth import Authority, Doors, Principal, is_loopback, local_token
from .changes import Changes
from .conversations import Conversations
from .encoded import Encoded
from .metrics import Metrics
from .oidc import Provider
from .operations import Call, Headers, Operation, Router
from .rates import Rates
from .rendering import Renderer
from .tenants import Tenants, tenant_folder

if TYPE_CHECKING:
    from .agents import Agents


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What a server is made of. `open_at` opens the knowledge base of a data folder for questions, `open_upkeep` for
    jobs, `open_queue` the jobs of all."""

    settings: Settings
    open_at: Callable[[Path], KnowledgeBase]
    open_upkeep: Callable[[Path], KnowledgeBase]
    open_queue: Callable[[], Queue]


class Service:
    """Opened in the process that serves. Raises StoreError, SettingsError."""

    def __init__(self, parts: ServerParts, operations: Sequence[Operation]) -> None:
        settings = parts.settings
        chosen = settings.server
        self.settings = settings
        self.data = settings.data.folder
        self.json_bytes = chosen.json_bytes
        self.deadline = chosen.deadline
        self.answer_deadline = settings.answer.deadline
        self.loopback = is_loopback(chosen.host)
        self.accounts = Accounts(self.data)
        self.authority = Authority(
            self.accounts,
            local=local_token(self.data) if self.loopback else "",
            session_seconds=chosen.session_hours * 3600,
        )
        self.provider = Provider(settings.oidc, self.accounts.secret) if settings.oidc.issuer else None
        self.doors = Doors(chosen.host, chosen.hosts, https=chosen.https)
        self.router = Router(operations)
        self.operations = tuple(operations)
        self.rates = Rates(self.data)
        cores = os.cpu_count() or 1
        self.bridge = Bridge(
            searches=chosen.threads or -(-2 * cores // chosen.workers), answers=chosen.answers,
            works=max(4, cores), waiting=chosen.waiting,
            patience=chosen.patience, computed=settings.answer.model == "extractive",
        )  # fmt: skip
        self.encoded = Encoded()
        self.conversations = Conversations()
        self.queue = parts.open_queue()
        self.renderer = Renderer(read_limits(settings))
        self.changes: Changes
        self.agents: Agents
        self.tenants = Tenants(parts.open_at, self.data, chosen.open_tenants)
        self.metrics = Metrics(
            self.data / pages.FOLDER,
            {
                "data": gauges.data(lambda: self.tenants.use(DEFAULT_TENANT)),
                "budget": gauges.budgets(lambda: budget_figures(settings, self.data)),
                "jobs": gauges.jobs(self.queue),
                "keys": gauges.keys(self.accounts),
                "lanes": gauges.lanes(self.bridge),
            },
        )

    def admit(self, headers: Mapping[str, str], scope: AsgiScope, operation: Operation) -> tuple[Principal, Headers]:
        """Who asks, and what is left of the rate. Raises NotSignedIn, Forbidden, TooManyRequests."""
        chosen = self.settings.server
        address = scope["client"][0] if scope.get("client") else ""
        if self.rates.full("failures", address, chosen.failures_per_minute):
            raise TooManyRequests("too many wrong keys from this address.", "Wait a minute.", retry_after=60)
        try:
            principal = self.authority.authorise(headers, scope["method"], operation.scope or "read")
        except NotSignedIn:
            self.rates.take("failures", address, chosen.failures_per_minute)
            raise
        if operation.default_tenant and principal.tenant != DEFAULT_TENANT:
            raise Forbidden("only the default tenant may do that.", "Use a key of the default tenant.")
        limits = self.rates.take("requests", principal.id, chosen.requests_per_minute)
        quota = self.accounts.tenant(principal.tenant).quotas.requests_per_minute
        return principal, self.rates.take("tenant", principal.tenant, quota) or limits

    def uploads(self, tenant: str) -> Uploads:
        return Uploads(tenant_folder(self.data, tenant))

    def tenant(self, call: Call) -> Tenant:
        return self.accounts.tenant(call.tenant)

    def with_data(self, call: Call, run: Callable[[Call, KnowledgeBase], Any]) -> Any:
        """In a thread: `run` with the data of whoever asks."""
        with self.tenants.use(call.tenant) as kb:
            return run(call, kb)

    def close(self) -> None:
        self.changes.close()
        self.metrics.close()
        self.bridge.close()
        self.renderer.close()
        self.queue.close()
        self.tenants.close()
        self.accounts.close()
        self.rates.close()
