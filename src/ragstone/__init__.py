"""Ragstone: documents in, answers with checkable citations out, offline.

    import ragstone

    with ragstone.open("data") as kb:
        kb.add(["manuals/"])
        kb.embed_pending()
        answer = kb.ask("Wie oft wird der Filter gewechselt?")
        print(answer.text)
        for citation in answer.citations:
            print(citation.number, citation.uri, citation.page, citation.text)

Names are loaded when they are first used, so that `import ragstone` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .assemble import open_knowledge_base
    from .errors import (
        AccessError,
        BackupDamaged,
        BudgetExceeded,
        Conflict,
        DamagedFile,
        DeadlineExceeded,
        DiskFull,
        EmptyFile,
        EncryptedFile,
        Forbidden,
        InputError,
        KeyRefused,
        LeaseLost,
        LimitExceeded,
        ModelError,
        ModelMismatch,
        ModelMissing,
        ModelUnavailable,
        NoTextLayer,
        NotFound,
        NotSignedIn,
        Overloaded,
        PriceUnknown,
        PromptTooLong,
        QueryError,
        QueueFull,
        RagstoneError,
        ReaderCrashed,
        ReadError,
        SettingsError,
        SignInUnavailable,
        StoreBusy,
        StoreDamaged,
        StoreError,
        StoreNewer,
        StoreReadOnly,
        TooLarge,
        TooManyRequests,
        Unreadable,
        UnsupportedFormat,
        WrongHost,
    )
    from .knowledge_base import KnowledgeBase
    from .settings import Settings
    from .settings import load as load_settings
    from .types import (
        Answer,
        AnswerEvent,
        Chunk,
        Citation,
        CollectionStatus,
        Document,
        FileReport,
        Filter,
        Hit,
        IngestReport,
        Progress,
        Recipe,
        ScoreParts,
        SearchResult,
        Sentence,
        SpaceStatus,
        Usage,
        VerifyReport,
    )

__version__ = "0.1.0"

_HOMES = ("types", "errors", "settings", "knowledge_base", "assemble")  # cheapest first

__all__ = [
    "AccessError",
    "Answer",
    "AnswerEvent",
    "BackupDamaged",
    "BudgetExceeded",
    "Chunk",
    "Citation",
    "CollectionStatus",
    "Conflict",
    "DamagedFile",
    "DeadlineExceeded",
    "DiskFull",
    "Document",
    "EmptyFile",
    "EncryptedFile",
    "FileReport",
    "Filter",
    "Forbidden",
    "Hit",
    "IngestReport",
    "InputError",
    "KeyRefused",
    "KnowledgeBase",
    "LeaseLost",
    "LimitExceeded",
    "ModelError",
    "ModelMismatch",
    "ModelMissing",
    "ModelUnavailable",
    "NoTextLayer",
    "NotFound",
    "NotSignedIn",
    "Overloaded",
    "PriceUnknown",
    "Progress",
    "PromptTooLong",
    "QueryError",
    "QueueFull",
    "RagstoneError",
    "ReadError",
    "ReaderCrashed",
    "Recipe",
    "ScoreParts",
    "SearchResult",
    "Sentence",
    "Settings",
    "SettingsError",
    "SignInUnavailable",
    "SpaceStatus",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreNewer",
    "StoreReadOnly",
    "TooLarge",
    "TooManyRequests",
    "Unreadable",
    "UnsupportedFormat",
    "Usage",
    "VerifyReport",
    "WrongHost",
    "__version__",
    "load_settings",
    "open",
    "open_knowledge_base",
]


def open(
    folder: str | Path | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    read_only: bool = False,
) -> KnowledgeBase:
    """The knowledge base of a data folder, with default settings but for `overrides` ("section.key" → value).
    Without `folder`, the platform's folder for user data. Use it as a context manager, or call `close`.
    Neither a settings file nor the environment is read: for those, pass `load_settings(...)` to
    `open_knowledge_base`."""
    from .assemble import open_knowledge_base
    from .settings import load

    values = dict(overrides or {})
    if folder is not None:
        values["data.folder"] = str(folder)
    return open_knowledge_base(load(overrides=values), read_only=read_only)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "load_settings":
        return import_module(".settings", __name__).load
    if name in __all__:
        for home in _HOMES:
            module = import_module(f".{home}", __name__)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
