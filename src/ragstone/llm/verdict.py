"""What is said when nobody answered: one typed error that names what each provider said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BudgetExceeded, DeadlineExceeded, ModelUnavailable, RagstoneError


@dataclass(frozen=True, slots=True)
class Said:
    """Of the entry `name`: its error, or `why` it was not asked and after how many seconds it can be (0: not known)."""

    name: str
    error: RagstoneError | None
    why: str = ""
    wait: float = 0.0

    @property
    def retryable(self) -> bool:
        return self.error is not None and self.error.retryable

    def __str__(self) -> str:
        return f"{self.name}: {self.error.message if self.error is not None else self.why}"


def verdict(said: Sequence[Said], *, late: bool) -> RagstoneError:
    """DeadlineExceeded when time ran out. The common kind where all errors are of one kind (BudgetExceeded with the
    earliest renewal, KeyRefused, PromptTooLong…). ModelUnavailable otherwise, with the earliest time to try again."""
    told = "; ".join(dict.fromkeys(str(s).rstrip(".") for s in said)) or "none is configured for this purpose"
    message = f"No model answered ({told})."
    errors = [s.error for s in said if s.error is not None]
    hints = list(dict.fromkeys(e.hint for e in errors if e.hint))
    hint = " ".join(hints[:3]) or "Check [gateway] and [providers] in the settings."
    if late:
        return DeadlineExceeded(f"No model answered before the deadline ({told}).", "Allow more time.")
    kinds = {type(e) for e in errors}
    if kinds == {BudgetExceeded}:
        renews = [e.renews for e in errors if isinstance(e, BudgetExceeded) and e.renews is not None]
        return BudgetExceeded(message, hint, renews=min(renews, default=None))
    waits = [s.wait for s in said if s.wait > 0]
    waits += [e.retry_after for e in errors if isinstance(e, ModelUnavailable) and e.retry_after is not None]
    if len(kinds) == 1 and all(s.error is not None for s in said) and not kinds & {ModelUnavailable}:
        return kinds.pop()(message, hint)
    return ModelUnavailable(message, hint, retry_after=min(waits, default=None))
