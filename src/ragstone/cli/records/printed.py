"""Every object that `--json` prints, in the order of `docs/json.md`."""

from __future__ import annotations

from ...graph_records import RECORDS as GRAPH_RECORDS
from ...learn_records import IntentRecord, LearnRecord, TrajectoryRecord
from ...memory_records import (
    ForgetRecord,
    MemoryStatsRecord,
    ProjectsRecord,
    RecallRecord,
    RememberRecord,
    TimelineRecord,
)
from ...records import AnswerRecord, SearchRecord
from ..chat_records import ChatCommandRecord, ChatRecord, ChatSessionsRecord
from .budgets import BudgetHistoryRecord, BudgetRecord
from .comparing import CompareRecord, RateRecord
from .configuration import ConfigRecord, PathRecord
from .documents import DemoRecord, IngestRecord, ListRecord, RemoveRecord, ShowRecord, TransferRecord
from .errors import ErrorRecord
from .graph_measures import EntitiesRecord, GraphEvaluationRecord
from .jobs import JobRecord, JobsRecord
from .measures import (
    AnswersRecord,
    BenchRecord,
    ComparisonRecord,
    CoverageRecord,
    EvaluationRecord,
    HopsRecord,
    MemoryEvaluationRecord,
    MergingRecord,
    ProfileRecord,
)
from .models import ModelsRecord, ModelStatusRecord, PreloadRecord
from .serving import KeysRecord, ServeRecord, TenantsRecord
from .spaces import JudgeRecord, SpacesRecord
from .stressing import LoadRecord, StressRecord
from .upkeep import (
    BackupRecord,
    BackupsRecord,
    DoctorRecord,
    DoneRecord,
    PurgeRecord,
    RestoreRecord,
    StatusRecord,
    VerifyRecord,
)

RECORDS: tuple[type, ...] = (
    SearchRecord,
    AnswerRecord,
    ChatRecord,
    ChatCommandRecord,
    ChatSessionsRecord,
    IngestRecord,
    ListRecord,
    ShowRecord,
    RemoveRecord,
    LearnRecord,
    IntentRecord,
    TrajectoryRecord,
    RememberRecord,
    RecallRecord,
    ForgetRecord,
    TimelineRecord,
    ProjectsRecord,
    MemoryStatsRecord,
    *GRAPH_RECORDS,
    StatusRecord,
    VerifyRecord,
    DoneRecord,
    TransferRecord,
    PurgeRecord,
    JobsRecord,
    JobRecord,
    BackupRecord,
    BackupsRecord,
    RestoreRecord,
    ModelsRecord,
    ModelStatusRecord,
    PreloadRecord,
    ConfigRecord,
    PathRecord,
    DoctorRecord,
    SpacesRecord,
    JudgeRecord,
    EvaluationRecord,
    MemoryEvaluationRecord,
    CoverageRecord,
    HopsRecord,
    MergingRecord,
    GraphEvaluationRecord,
    EntitiesRecord,
    AnswersRecord,
    BenchRecord,
    ComparisonRecord,
    StressRecord,
    LoadRecord,
    BudgetRecord,
    BudgetHistoryRecord,
    CompareRecord,
    RateRecord,
    ProfileRecord,
    DemoRecord,
    ServeRecord,
    KeysRecord,
    TenantsRecord,
    ErrorRecord,
)
