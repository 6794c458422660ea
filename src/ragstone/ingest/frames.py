"""What travels between the parent and a parser worker: length-prefixed MessagePack, each frame with a known type.

A frame from a worker is untrusted (the worker parses hostile bytes): its length is checked before anything is read,
and it decodes into the declared types, with values that can be true (soundness.py), or not at all.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ..types import Blob, PreparedDocument
from .limits import ReadFailure
from .soundness import require_sound

HEADER = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page of a PDF: `png` is empty where no picture was asked for, `rectangles` are left, top, right and bottom as
    shares of the page. `uri` is that of the blob."""

    uri: str
    png: bytes
    width: int
    height: int
    rectangles: list[tuple[float, float, float, float]]


Result = PreparedDocument | ReadFailure | PageImage


@dataclass(frozen=True, slots=True)
class Assignment:
    """First frame on a zygote's control channel: what its workers are to do. `options_type` is `module:name`;
    `scratch` is the folder in which each worker gets one of its own."""

    task: str
    options_type: str
    options: bytes
    limits: bytes
    scratch: str
    rehearse: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One result: exactly one of them is set (a union of dataclasses does not decode). All must be there: of
    items with nothing in them a frame could hold so many that the parent has no memory for them."""

    document: PreparedDocument | None
    failure: ReadFailure | None
    page: PageImage | None


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to one blob. `retiring`: the worker hit its memory limit and will take no more."""

    items: list[Item]
    retiring: bool = False


_encoder = msgspec.msgpack.Encoder()
_blobs = msgspec.msgpack.Decoder(list[Blob])
_reply = msgspec.msgpack.Decoder(Reply)
_assignment = msgspec.msgpack.Decoder(Assignment)


def frame(payload: bytes) -> bytes:
    return HEADER.pack(len(payload)) + payload


def encode_blobs(blobs: Sequence[Blob]) -> bytes:
    return frame(_encoder.encode(blobs))


def decode_blobs(payload: bytes) -> list[Blob]:
    return _blobs.decode(payload)


def encode_reply(results: Sequence[Result], *, retiring: bool = False) -> bytes:
    items = [
        Item(
            r if isinstance(r, PreparedDocument) else None,
            r if isinstance(r, ReadFailure) else None,
            r if isinstance(r, PageImage) else None,
        )
        for r in results
    ]
    return frame(_encoder.encode(Reply(items, retiring)))


def decode_reply(payload: bytes | bytearray) -> tuple[list[Result], bool]:
    """Raises ValueError on anything but a reply."""
    try:
        reply = _reply.decode(payload)
    except RecursionError as error:
        raise msgspec.ValidationError("the values are nested too deep") from error
    results: list[Result] = []
    for item in reply.items:
        if item.document is not None:
            require_sound(item.document)
            results.append(item.document)
        elif item.failure is not None:
            results.append(item.failure)
        elif item.page is not None:
            results.append(item.page)
        else:
            raise msgspec.ValidationError("an item is neither document nor failure nor page")
    return results, reply.retiring


def encode_assignment(assignment: Assignment) -> bytes:
    return frame(_encoder.encode(assignment))


def decode_assignment(payload: bytes) -> Assignment:
    return _assignment.decode(payload)


def encode_value(value: object) -> bytes:
    return _encoder.encode(value)
