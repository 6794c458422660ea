"""What is one thing in the graph of a collection and what is two, as people say it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ...graph.decided import about, explanation_record
from ...graph_records import (
    GraphDecisionsRecord,
    GraphEntitiesRecord,
    GraphExplanationRecord,
    decisions_record,
    entities_record,
)
from ...knowledge_base import KnowledgeBase
from ..operations import Call, Operation
from .graph import GRAPH, LEADS, Id, collection_of

Form = Annotated[str, Meta(min_length=1, max_length=1_000, description="as texts write it, or its key")]


class PairQuery(Struct, forbid_unknown_fields=True):
    a: Form
    b: Form


class MergeBody(Struct, forbid_unknown_fields=True):
    a: Id
    b: Id


class SplitBody(Struct, forbid_unknown_fields=True):
    entity: Id
    alias: Annotated[str, Meta(min_length=1, max_length=1_000, description="the form that is something else")]


class WithdrawBody(Struct, forbid_unknown_fields=True):
    a: Form
    b: Annotated[str, Meta(max_length=1_000, description="empty: all that was decided about `a`")] = ""


def decisions(call: Call, kb: KnowledgeBase) -> Any:
    return decisions_record(kb.graph.decisions(collection_of(call)))


def explain(call: Call, kb: KnowledgeBase) -> Any:
    query: PairQuery = call.query
    return explanation_record(kb.graph.explain(query.a, query.b, collection=collection_of(call)))


def merge(call: Call, kb: KnowledgeBase) -> Any:
    body: MergeBody = call.body
    made = kb.graph.merge(body.a, body.b, collection=collection_of(call), by=call.who.key.name)
    call.record("graph.merge", f"{body.a} {body.b}")
    return entities_record([made])


def split(call: Call, kb: KnowledgeBase) -> Any:
    body: SplitBody = call.body
    parts = kb.graph.split(body.entity, body.alias, collection=collection_of(call), by=call.who.key.name)
    call.record("graph.split", f"{body.entity} {body.alias}")
    return entities_record(parts)


def withdraw(call: Call, kb: KnowledgeBase) -> Any:
    body: WithdrawBody = call.body
    collection = collection_of(call)
    for one in about(kb.graph.decisions(collection), body.a, body.b):
        kb.graph.withdraw(one.a, one.b, collection=collection)
    call.record("graph.withdraw", f"{body.a} {body.b}".strip())
    return decisions_record(kb.graph.decisions(collection))


OPERATIONS = [
    Operation(
        "GET", f"{GRAPH}/explanation", "explainEntities", "Why two forms are one entity, or are not.", explain,
        query=PairQuery, result=GraphExplanationRecord, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "GET", f"{GRAPH}/decisions", "graphDecisions", "What was merged and split by hand.", decisions,
        result=GraphDecisionsRecord, conditional=True, group="graph", errors=(404,),
    ),
    Operation(
        "POST", f"{GRAPH}:merge", "mergeEntities", "Say that two entities are one thing.", merge, scope="write",
        body=MergeBody, result=GraphEntitiesRecord, group="graph", errors=(404,), links=LEADS,
        example={"a": "659d1d523ebe83da62104e34", "b": "47d3def0de9b2f0aa87cd77a"},
        description="It holds for documents that come later too.",
    ),
    Operation(
        "POST", f"{GRAPH}:split", "splitEntity", "Say that a form of an entity is something else.", split,
        scope="write", body=SplitBody, result=GraphEntitiesRecord, group="graph", errors=(404,), links=LEADS,
        example={"entity": "659d1d523ebe83da62104e34", "alias": "Pumpen"},
    ),
    Operation(
        "POST", f"{GRAPH}:withdraw", "withdrawDecision", "Take back what a merge or a split said.", withdraw,
        scope="write", body=WithdrawBody, result=GraphDecisionsRecord, group="graph", errors=(404,),
        example={"a": "Pumpe", "b": "Pumpen"},
    ),
]  # fmt: skip
