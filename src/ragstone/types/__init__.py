"""The vocabulary: every value that crosses a module boundary, frozen and slotted.

Offsets (`start`, `end`) count Python characters (Unicode code points) of `Document.text`;
`text[start:end]` is the span. Pages and lines count from 1. Times are POSIX seconds (UTC).
"""

from __future__ import annotations

from .answers import Answer, AnswerEvent, Citation, Filter, Hit, Mode, ScoreParts, SearchResult, Sentence, Usage
from .documents import (
    Blob,
    Change,
    Chunk,
    ChunkSpan,
    Document,
    Heading,
    Metadata,
    MetadataValue,
    Page,
    ParsedDocument,
    PreparedChunk,
    PreparedDocument,
    Terms,
    Turn,
    Upload,
)
from .jobs import ENDED, Job, JobFailure, JobLease, JobProgress, JobState
from .models import Call, Caller, Delta, Message, ModelStatus, Purpose
from .reports import (
    CacheStatistics,
    CollectionStatus,
    FileReport,
    FileState,
    IngestReport,
    Progress,
    ProgressCallback,
    VerifyReport,
)
from .spaces import Recipe, Space, SpaceRole, SpaceStatus, SpaceUse

__all__ = [
    "ENDED",
    "Answer",
    "AnswerEvent",
    "Blob",
    "CacheStatistics",
    "Call",
    "Caller",
    "Change",
    "Chunk",
    "ChunkSpan",
    "Citation",
    "CollectionStatus",
    "Delta",
    "Document",
    "FileReport",
    "FileState",
    "Filter",
    "Heading",
    "Hit",
    "IngestReport",
    "Job",
    "JobFailure",
    "JobLease",
    "JobProgress",
    "JobState",
    "Message",
    "Metadata",
    "MetadataValue",
    "Mode",
    "ModelStatus",
    "Page",
    "ParsedDocument",
    "PreparedChunk",
    "PreparedDocument",
    "Progress",
    "ProgressCallback",
    "Purpose",
    "Recipe",
    "ScoreParts",
    "SearchResult",
    "Sentence",
    "Space",
    "SpaceRole",
    "SpaceStatus",
    "SpaceUse",
    "Terms",
    "Turn",
    "Upload",
    "Usage",
    "VerifyReport",
]
