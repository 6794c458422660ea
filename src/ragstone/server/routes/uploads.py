"""Documents in: files are on the disk, and their job is durable, before the answer says so."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct

from ...errors import InputError, TooManyRequests
from ...jobs.intake import Arrived, Text, submit_files, submit_texts
from ...jobs.uploads import Incoming
from ...knowledge_base import KnowledgeBase
from ...types import Job, MetadataValue
from ..multipart import Form
from ..operations import Call, Operation, Reply, too_large
from .jobs import JobItem, ended_in_time, job_item, queue_tenant

URI_LENGTH: Final = 2_048
WAIT_SECONDS: Final = 60.0
OVERHEAD: Final = 64 << 10
"""Of a form around one file."""

DocumentMetadata = dict[Annotated[str, Meta(min_length=1, max_length=200)], MetadataValue]
Uri = Annotated[str, Meta(min_length=1, max_length=URI_LENGTH)]


class UploadQuery(Struct, forbid_unknown_fields=True):
    uri: Annotated[str, Meta(max_length=URI_LENGTH, description="name of a raw body; else X-Document-Uri")] = ""
    wait: Annotated[float, Meta(ge=0, le=WAIT_SECONDS, description="seconds to wait for the job's end")] = 0.0


class BatchDocument(Struct, forbid_unknown_fields=True):
    uri: Uri
    text: str
    title: Annotated[str, Meta(max_length=1_000)] = ""
    metadata: DocumentMetadata = {}


class Batch(Struct, forbid_unknown_fields=True):
    documents: Annotated[list[BatchDocument], Meta(min_length=1, max_length=10_000)]


class WaitQuery(Struct, forbid_unknown_fields=True):
    wait: Annotated[float, Meta(ge=0, le=WAIT_SECONDS, description="seconds to wait for the job's end")] = 0.0


async def upload(call: Call) -> Reply:
    """A form with any number of files and a field `metadata` (a JSON object), or one file as it is."""
    service = call.service
    collection = call.path["collection"]
    chosen = service.settings.server
    await service.bridge.work.run(lambda: service.with_data(call, admitted), call.deadline)
    kind = call.headers.get("content-type", "")
    form = kind.lower().startswith("multipart/form-data")
    metadata: Mapping[str, MetadataValue] = {}
    with ExitStack() as stack:
        arrived: list[Arrived] = []

        def opened(name: str, media_type: str) -> Incoming:
            uri = document_uri(name.replace("\\", "/").rpartition("/")[2])
            incoming = stack.enter_context(service.uploads(call.tenant).incoming(chosen.upload_bytes))
            arrived.append(Arrived(incoming, uri, media_type))
            return incoming

        if form:
            reader = Form(kind, opened, most_files=chosen.upload_files)
            await _read(call, reader, chosen.upload_files * (chosen.upload_bytes + OVERHEAD))
            reader.end()
            metadata = _metadata(reader.fields.get("metadata", b"{}"))
        else:
            uri = document_uri(call.query.uri or unquote(call.headers.get("x-document-uri", "")))
            incoming = stack.enter_context(service.uploads(call.tenant).incoming(chosen.upload_bytes))
            arrived.append(Arrived(incoming, uri, kind.partition(";")[0].strip()))
            await _read(call, incoming, chosen.upload_bytes)
        job = await service.bridge.work.run(
            lambda: submit_files(
                service.queue, arrived, tenant=queue_tenant(call.tenant), collection=collection, metadata=metadata,
                keep=chosen.keep_originals, idempotency_key=idempotency_key(call),
            ),
            call.deadline,
        )  # fmt: skip
    return await promised(call, job)


async def batch(call: Call) -> Reply:
    service = call.service
    body: Batch = call.body
    texts = [Text(document_uri(d.uri), d.text, d.title, d.metadata) for d in body.documents]

    def put(call: Call, kb: KnowledgeBase) -> Job:
        admitted(call, kb)
        return submit_texts(
            service.queue, service.uploads(call.tenant), texts, tenant=queue_tenant(call.tenant),
            collection=call.path["collection"], most_bytes=2 * service.settings.server.upload_bytes,
            idempotency_key=idempotency_key(call),
        )  # fmt: skip

    return await promised(call, await service.bridge.work.run(lambda: service.with_data(call, put), call.deadline))


def idempotency_key(call: Call) -> str:
    """Raises InputError."""
    key = call.headers.get("idempotency-key", "")
    if len(key) > 255 or not key.isprintable():
        raise InputError("Idempotency-Key has at most 255 printable characters.")
    return key


def admitted(call: Call, kb: KnowledgeBase) -> None:
    """Before anything is read: there is room, the collection may be called so, and the quota has something left."""
    admit_upload(call, kb, call.path["collection"])


def admit_upload(call: Call, kb: KnowledgeBase, collection: str) -> None:
    """Raises DiskFull, InputError, TooManyRequests."""
    room(call, kb)
    kb.store.create_collection(collection)


def room(call: Call, kb: KnowledgeBase) -> None:
    """There is room on the disk and in the tenant's quota, where an item of memory is a document as well. Raises
    DiskFull, TooManyRequests."""
    kb.store.require_room()
    quotas = call.service.tenant(call).quotas
    if not (quotas.documents or quotas.bytes):
        return
    documents = size = 0
    for name in kb.store.every_collection():
        for document in kb.store.documents(name):
            documents += 1
            size += document.size
    for what, used, most in (("documents", documents, quotas.documents), ("bytes", size, quotas.bytes)):
        if most and used >= most:
            raise TooManyRequests(
                f"the tenant has all the {what} that it may have ({most}).", "Remove some, or ask for more.",
                retry_after=3_600,
            )  # fmt: skip


async def _read(call: Call, target: Form | Incoming, most: int) -> None:
    """Raises TooLarge, InputError where the client went away: then nothing is kept."""
    length = call.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large(most)
    size = 0
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise InputError("the upload ended before its body did.", "Send it again.")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(most)
        if part:
            target.write(part)
        if not message.get("more_body", False):
            return


def document_uri(text: str) -> str:
    """Raises InputError."""
    if not text.strip() or len(text) > URI_LENGTH or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise InputError(
            f"a document needs a name of 1 to {URI_LENGTH} characters.",
            "Name the file in the form, or send ?uri= or X-Document-Uri.",
        )
    return text


def _metadata(raw: bytes) -> Mapping[str, MetadataValue]:
    """Raises InputError."""
    try:
        return msgspec.json.decode(raw or b"{}", type=DocumentMetadata)
    except msgspec.DecodeError as error:
        raise InputError(f"the field metadata is not what it should be: {error}.", "Send a JSON object.") from None


async def promised(call: Call, job: Job) -> Reply:
    if call.query.wait:
        job = await ended_in_time(call, job, call.query.wait)
    location = (b"location", f"/v1/jobs/{job.id}".encode())
    return Reply(job_item(call, job), 202, [location])


_FORM: Final[dict[str, Any]] = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {
                "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                "metadata": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "integer", "number", "boolean"]},
                    "description": "a JSON object, for every file of the form",
                },
            },
            "required": ["files"],
        }
    },
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}

JOB: Final = {name: {"job": "$response.body#/id"} for name in ("showJob", "jobEvents", "cancelJob", "retryJob")}

OPERATIONS = [
    Operation(
        "POST", "/v1/collections/{collection}/documents", "upload", "Upload files.", upload, scope="write",
        lane="loop", query=UploadQuery, upload=True, content=_FORM, result=JobItem, status=202, group="documents",
        errors=(404, 409, 422, 507), links=JOB,
        description="A form with files, or one file as the body with any media type and ?uri= (or X-Document-Uri). "
        "What is answered with a job is durable. The collection is made where it does not exist. With Idempotency-Key "
        "the same request makes one job, however often it is sent.",
    ),
    Operation(
        "POST", "/v1/collections/{collection}/documents:batch", "uploadTexts", "Add documents that are text already.",
        batch, scope="write", lane="loop", query=WaitQuery, body=Batch, large=True, result=JobItem, status=202,
        group="documents", errors=(404, 409, 422, 507), links=JOB,
        example={"documents": [{"uri": "notes/1", "title": "First note", "text": "The pump stands in hall B."}]},
    ),
]  # fmt: skip
