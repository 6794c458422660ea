"""Vector spaces: what there is, and changes of them, which are jobs: building one takes as long as embedding does."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypedDict

from msgspec import Meta, Struct, to_builtins

from ...errors import InputError
from ...jobs.intake import JUDGE, SPACE, submit
from ...jobs.worker import space_record
from ...knowledge_base import KnowledgeBase
from ...types import Job, Recipe
from ..operations import Call, Operation, Reply
from ..wire import Text
from .jobs import JobItem, queue_tenant
from .uploads import JOB, WaitQuery, idempotency_key, promised


class SpaceItem(TypedDict):
    collection: str
    space: Annotated[str, "id: model, revision, dimension, normalisation, prefix, quantisation"]
    role: Annotated[str, "active, preferred, building, kept or dropping"]
    model: str
    chunks: int
    embedded: int
    waiting: int


class ModelItem(TypedDict):
    name: str
    languages: str
    installed: bool
    requirement: Annotated[str, "what `pip install` takes"]


class SpaceList(TypedDict):
    items: list[SpaceItem]
    models: Annotated[list[ModelItem], "packaged ones; an installed one can be added"]


Space = Annotated[str, Meta(min_length=1, max_length=1_000, description="id of a space, its beginning, or its model")]


class SpaceChange(Struct, forbid_unknown_fields=True):
    """`add` takes a `model`, `drop` a `space`; `judge`, `switch` and `prefer` take one where there are several."""

    action: Literal["add", "judge", "switch", "rollback", "prefer", "drop"]
    space: Space | None = None
    model: Annotated[str, Meta(min_length=1, max_length=200, description="a packaged model")] | None = None
    partial: bool = False
    questions: Annotated[list[Text], Meta(max_length=1_000)] = []


def spaces(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    return {
        "items": [space_record(status) for status in kb.spaces()],
        "models": [
            {
                "name": model["name"], "languages": model["languages"], "installed": model["weights"] == "ok",
                "requirement": model["requirement"],
            }
            for model in kb.models()
        ],
    }  # fmt: skip


async def change(call: Call) -> Reply:
    """Models of a file or at an address are added on the server's machine: a client chooses none."""
    body: SpaceChange = call.body
    collection = call.path["collection"]
    for name, action in (("model", "add"), ("space", "drop")):
        if body.action == action and getattr(body, name) is None:
            raise InputError(f"{action} takes a {name}.", "Name it.")
    payload: dict[str, Any] = {"collection": collection, "action": body.action, "space": body.space}
    kind = SPACE
    if body.action == "judge":
        kind, payload = JUDGE, {"collection": collection, "space": body.space, "questions": body.questions}
    elif body.action == "add":
        payload["recipe"] = to_builtins(Recipe("packaged", body.model or ""))
    elif body.action == "switch":
        payload["partial"] = body.partial

    def put(call: Call, kb: KnowledgeBase) -> Job:
        kb.collection(collection)
        if body.action == "rollback":
            payload["active"] = next((s.space for s in kb.spaces(collection) if s.role == "active"), "")
        job = submit(
            call.service.queue, kind, payload, tenant=queue_tenant(call.tenant), idempotency_key=idempotency_key(call)
        )
        call.record(f"space.{body.action}", collection)
        return job

    service = call.service
    return await promised(call, await service.bridge.work.run(lambda: service.with_data(call, put), call.deadline))


_RULE: Final = {
    "oneOf": [
        {"properties": {"action": {"enum": ["judge", "switch", "rollback", "prefer"]}}},
        {"properties": {"action": {"const": "add"}, "model": {"type": "string"}}, "required": ["model"]},
        {"properties": {"action": {"const": "drop"}, "space": {"type": "string"}}, "required": ["space"]},
    ]
}

OPERATIONS = [
    Operation(
        "GET", "/v1/spaces", "listSpaces", "The vector spaces of every collection.", spaces, result=SpaceList,
        conditional=True, group="spaces",
    ),
    Operation(
        "POST", "/v1/collections/{collection}/spaces", "changeSpace",
        "Add a space, judge it, switch to it, go back, prefer or drop one: as a job.", change, scope="admin",
        lane="loop", query=WaitQuery, body=SpaceChange, rule=_RULE, result=JobItem, status=202, group="spaces",
        errors=(404, 409, 503), example={"action": "rollback"}, links=JOB,
        description="The result of the job has the spaces that there are then; that of `judge` the comparison with the "
        "active space, on `questions` or on what was asked most often. With Idempotency-Key the same request makes one "
        "job.",
    ),
]  # fmt: skip
