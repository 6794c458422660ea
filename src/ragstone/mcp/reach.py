"""What tools need of the place they run in: data, threads, rights. On stdio that is one knowledge base of the person
who started the process; over HTTP it is the tenant of the key, with its quotas and its audit log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Protocol, TypedDict, TypeVar

from ..types import AnswerEvent, Mode

if TYPE_CHECKING:
    from ..knowledge_base import KnowledgeBase

T = TypeVar("T")
LaneName = Literal["search", "work"]


class Fault(TypedDict):
    """An error of a tool, for programs; its text for models says the same."""

    code: str
    detail: str
    hint: str
    retryable: bool
    id: NotRequired[str]


class Reach(Protocol):
    @property
    def writable(self) -> bool:
        """Whether tools that write are there."""
        ...

    async def run(self, lane: LaneName, work: Callable[[KnowledgeBase], T]) -> T:
        """In a thread. Cancelled, it no longer waits; what was begun ends by itself. Raises Overloaded,
        DeadlineExceeded, what `work` raises."""
        ...

    def ask(
        self, question: str, collections: Sequence[str] | None, mode: Mode
    ) -> AsyncGenerator[AnswerEvent | Mapping[str, Any], None]:
        """Stages and tokens, then the answer's record. Closed early, the answer is no longer written."""
        ...

    def may_add(self, kb: KnowledgeBase, collection: str) -> None:
        """`room`, before a document is added to a collection, which is made where it is not there. Raises InputError
        too."""
        ...

    def room(self, kb: KnowledgeBase) -> None:
        """In a thread, before something is remembered. Raises DiskFull, and TooManyRequests where a quota is used
        up."""
        ...

    def record(self, action: str, target: str) -> None:
        """In a thread: what was changed, for the audit log where there is one."""
        ...

    def fault(self, error: Exception) -> Fault:
        """What the client may know of an error."""
        ...


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool. `arguments` are what the tool says they are. `tell` reports progress from any thread: how
    much is done, of how much (None: not known), and a word about it."""

    reach: Reach
    arguments: Any
    tell: Callable[[float, float | None, str], None]


Run = Callable[[ToolCall], Awaitable[Any]]
