"""What somebody decided about entities, found by the names that people use, and the JSON of why two forms are one."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import NotFound
from ..graph_records import GraphExplanationRecord
from ..graph_types import GraphDecision
from ..records import SCHEMA_VERSION
from .mentions import norm
from .resolve import Explanation


def about(decisions: Sequence[GraphDecision], a: str, b: str = "") -> list[GraphDecision]:
    """Those about a form, or about two, given by key or as texts write them. Raises NotFound where there is none."""
    found = [one for one in decisions if _names(one, a) and (not b or _names(one, b))]
    if not found:
        told = f"{a!r} and {b!r}" if b else repr(a)
        raise NotFound(f"nothing was decided about {told}.", "`ragstone graph decisions` lists what was.")
    return found


def _names(decision: GraphDecision, form: str) -> bool:
    folded = norm(form)
    return form in (decision.a, decision.b) or folded in (norm(decision.a_name), norm(decision.b_name))


def explanation_record(found: Explanation) -> GraphExplanationRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "same": found.same,
        "similarity": found.similarity,
        "by_hand": found.by_hand,
        "reasons": [{"what": r.what, "about": r.about, "odds": r.odds} for r in found.reasons],
        "path": [{"a": link.a, "b": link.b, "similarity": link.similarity} for link in found.path],
        "text": str(found),
    }
