"""All sections together."""

# ruff: noqa: RUF009 - sections are frozen, so that all may share the one with defaults
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .documents import DataSettings, EmbeddingSettings, IngestSettings
from .models import BudgetSettings, CompareSettings, GatewaySettings, ModelsSettings, ProviderSettings
from .questions import AnswerSettings, CacheSettings, ChatSettings, GraphSettings, MemorySettings, SearchSettings
from .serving import JobsSettings, LogSettings, OidcSettings, ServerSettings, TracingSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections. `origins` tells for "section.key" where its value came from; a key that is missing there
    has its default. `file` is the TOML file that was read."""

    data: DataSettings
    ingest: IngestSettings = IngestSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    search: SearchSettings = SearchSettings()
    memory: MemorySettings = MemorySettings()
    graph: GraphSettings = GraphSettings()
    chat: ChatSettings = ChatSettings()
    cache: CacheSettings = CacheSettings()
    answer: AnswerSettings = AnswerSettings()
    models: ModelsSettings = ModelsSettings()
    gateway: GatewaySettings = GatewaySettings()
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    budget: BudgetSettings = BudgetSettings()
    compare: CompareSettings = CompareSettings()
    server: ServerSettings = ServerSettings()
    oidc: OidcSettings = OidcSettings()
    jobs: JobsSettings = JobsSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    file: Path | None = field(default=None, compare=False)

    def origin(self, key: str) -> str:
        """Where the value of "section.key" came from: "default", "FILE: section.key", "environment NAME" or "flag"."""
        return self.origins.get(key, "default")


SECTIONS: Mapping[str, type] = {
    "data": DataSettings,
    "ingest": IngestSettings,
    "embedding": EmbeddingSettings,
    "search": SearchSettings,
    "memory": MemorySettings,
    "graph": GraphSettings,
    "chat": ChatSettings,
    "cache": CacheSettings,
    "answer": AnswerSettings,
    "models": ModelsSettings,
    "gateway": GatewaySettings,
    "budget": BudgetSettings,
    "compare": CompareSettings,
    "server": ServerSettings,
    "oidc": OidcSettings,
    "jobs": JobsSettings,
    "tracing": TracingSettings,
    "log": LogSettings,
}

TABLES: Mapping[str, type] = {"providers.NAME": ProviderSettings}
"""Sections of which there are as many as the user names."""


def at(folder: Path, settings: Settings | None = None) -> Settings:
    """`settings` (default: all defaults) with another data folder."""
    if settings is None:
        return Settings(data=DataSettings(folder=folder))
    return replace(settings, data=replace(settings.data, folder=folder))


def describe(settings: Settings) -> Iterator[tuple[str, object, str]]:
    """("section.key", value, origin) of every setting in order. Secrets that are set are given as "***"."""
    sections: dict[str, Any] = {name: getattr(settings, name) for name in SECTIONS}
    sections |= {f"providers.{name}": provider for name, provider in settings.providers.items()}
    for name, section in sections.items():
        for f in fields(section):
            value = getattr(section, f.name)
            if f.metadata.get("secret") and value:
                value = "***"
            elif isinstance(value, Path):
                value = str(value)
            elif isinstance(value, tuple):
                value = list(value)
            yield f"{name}.{f.name}", value, settings.origin(f"{name}.{f.name}")
