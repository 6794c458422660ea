"""Collections."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta, Struct

from ...errors import NotFound
from ...knowledge_base import KnowledgeBase
from ...records import CollectionRecord, collection_record
from ..operations import Call, Operation, Reply


class NewCollection(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^\w[\w .@+-]*$")]


class Collections(TypedDict):
    items: list[CollectionRecord]


def list_collections(call: Call, kb: KnowledgeBase) -> Any:  # noqa: ARG001 - every operation has one shape
    items = []
    for name in kb.store.collections():
        try:
            items.append(collection_record(kb.collection(name)))
        except NotFound:
            continue  # dropped meanwhile
    return {"items": items}


def create(call: Call, kb: KnowledgeBase) -> Reply:
    name = call.body.name
    kb.store.create_collection(name)
    call.record("collection.create", name)
    return Reply(collection_record(kb.collection(name)), 201)


def show(call: Call, kb: KnowledgeBase) -> Any:
    return collection_record(kb.collection(call.path["collection"]))


def drop(call: Call, kb: KnowledgeBase) -> Reply:
    name = call.path["collection"]
    kb.drop_collection(name)
    call.record("collection.delete", name)
    return Reply(None, 204)


OPERATIONS = [
    Operation(
        "GET", "/v1/collections", "listCollections", "List collections.", list_collections, result=Collections,
        conditional=True, group="collections",
    ),
    Operation(
        "POST", "/v1/collections", "createCollection", "Make a collection; no effect where it exists.", create,
        scope="write", body=NewCollection, result=CollectionRecord, status=201, group="collections",
        example={"name": "manuals"},
        links={
            name: {"collection": "$response.body#/name"}
            for name in ("showCollection", "deleteCollection", "listDocuments", "upload", "uploadTexts")
        },
    ),
    Operation(
        "GET", "/v1/collections/{collection}", "showCollection", "Show a collection.", show, result=CollectionRecord,
        conditional=True, group="collections", errors=(404,),
    ),
    Operation(
        "DELETE", "/v1/collections/{collection}", "deleteCollection", "Remove a collection with its documents.", drop,
        scope="write", status=204, group="collections", errors=(404,),
    ),
]  # fmt: skip
