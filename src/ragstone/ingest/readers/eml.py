"""E-mail: headers, the readable body, and attachments by name, with their text where a reader is at hand."""

from __future__ import annotations

import re
from datetime import UTC
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime

from ...errors import LimitExceeded, ReadError
from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .html import read_html
from .outline import Outline
from .text import decode, decode_as, tidy

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_MBOX_LINE = re.compile(rb"(?:\A|\n)From [^\r\n]*\r?\n(?=[\w-]+:)")
_MAX_PARTS = 1_000
_LONG_HEADER = 20_000  # characters
_MAX_NESTED = 3


def read(blob: Blob, limits: ReadLimits) -> ParsedDocument:
    source = blob.data
    if source[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in source[:200]:
        source = decode(source)[0].encode("utf-8", "replace")  # saved as UTF-16 by some program
    messages = [m for m in _MBOX_LINE.split(source) if m.strip()] if source[:5] == b"From " else [source]
    outline = Outline()
    metadata: dict[str, MetadataValue] = {}
    title = language = ""
    for number, data in enumerate(messages):
        message = BytesParser(policy=policy.default).parsebytes(_without_preamble(data))
        subject = _header(message, "Subject")
        if number == 0:
            title, metadata = subject, _metadata(message)
            language = _header(message, "Content-Language")[:2].lower()
        if len(messages) > 1:
            outline.heading(1, subject or f"({number + 1})")
        _message(message, outline, limits, nested=0)
    return ParsedDocument(
        text=outline.text(),
        title=title,
        media_type="message/rfc822",
        language=language if len(language) == 2 and language.isalpha() else "",
        headings=tuple(outline.headings),
        metadata=metadata,
    )


def _without_preamble(data: bytes) -> bytes:
    """Apple's .emlx begins with a line that holds the length."""
    first, _, rest = data.partition(b"\n")
    return rest if first.strip().isdigit() else data.lstrip(b"\r\n")


def _header(message: EmailMessage, name: str) -> str:
    """A decoded header, "" where it is missing or beyond repair."""
    raw = next((str(v) for k, v in message.raw_items() if k.lower() == name.lower()), "")
    try:
        # the standard parser takes seconds for headers of hundreds of kilobytes
        value = message.get(name) if len(raw) < _LONG_HEADER else raw[:_LONG_HEADER]
        return " ".join(tidy(str(value)).split()) if value is not None else ""
    except (ValueError, IndexError, AttributeError, KeyError, TypeError, LookupError):
        # it also trips over some malformed addresses; the raw value is better than none
        return " ".join(tidy(raw).split())


def _metadata(message: EmailMessage) -> dict[str, MetadataValue]:
    names = {"From": "author", "To": "to", "Cc": "cc", "Message-ID": "message_id"}
    metadata: dict[str, MetadataValue] = {key: _header(message, name) for name, key in names.items()}
    date = _header(message, "Date")
    if date:
        metadata["date"] = date
        try:
            metadata["date"] = parsedate_to_datetime(date).astimezone(UTC).isoformat()
        except (ValueError, TypeError, OverflowError):
            pass  # not a date: as it stands
    return {key: value for key, value in metadata.items() if value}


def _message(message: EmailMessage, outline: Outline, limits: ReadLimits, nested: int) -> None:
    lines = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    outline.block("\n".join(lines))
    body = _body(message)
    if body is not None:
        outline.block(_text_of(body, limits))
    for count, part in enumerate(_leaves(message, skip=body)):
        if count >= _MAX_PARTS:
            raise LimitExceeded(f"The message has more than {_MAX_PARTS:,} parts.", "Split the message.")
        _part(part, outline, limits, nested)


def _body(message: EmailMessage) -> EmailMessage | None:
    """What a mail program shows: the plain text, or the HTML where there is no plain text (or an empty one)."""
    try:
        plain = message.get_body(("plain",))
        rich = message.get_body(("html",))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # structure and declared types contradict each other; the parts are read one by one
    if isinstance(plain, EmailMessage) and (rich is None or _content(plain).strip()):
        return plain
    return rich if isinstance(rich, EmailMessage) else None


def _leaves(message: EmailMessage, skip: EmailMessage | None) -> list[EmailMessage]:
    """Parts that are neither the body nor another form of it; an enclosed message counts as one."""
    found: list[EmailMessage] = []
    todo: list[EmailMessage] = [message]
    while todo:
        part = todo.pop()
        if part is skip:
            continue
        kind = part.get_content_type()
        if part.is_multipart() and kind != "message/rfc822":
            inner = [p for p in part.get_payload() if isinstance(p, EmailMessage)]
            if kind == "multipart/alternative" and skip is not None and skip in part.walk():
                inner = [p for p in inner if not p.get_content_type().startswith("text/")]
            todo += reversed(inner)
        elif part is not message or skip is None:
            found.append(part)
    return found


def _part(part: EmailMessage, outline: Outline, limits: ReadLimits, nested: int) -> None:
    kind = part.get_content_type()
    if kind == "message/rfc822":
        for inner in part.get_payload() if part.is_multipart() else ():
            if nested < _MAX_NESTED and isinstance(inner, EmailMessage):
                outline.heading(2, _header(inner, "Subject") or "message/rfc822")
                _message(inner, outline, limits, nested + 1)
        return
    try:
        name = " ".join(tidy(part.get_filename() or "").split())
    except (ValueError, TypeError, LookupError):
        name = ""
    attached = part.get_content_disposition() == "attachment" or name
    if kind in ("text/plain", "text/html") and not attached:
        outline.block(_text_of(part, limits))
        return
    data = part.get_payload(decode=True)
    pgp = isinstance(data, bytes) and data.lstrip().startswith(b"-----BEGIN PGP")
    if (
        not isinstance(data, bytes)
        or pgp
        or kind.startswith(("image/", "audio/", "video/", "application/pgp", "text/calendar"))
    ):
        _name_only(outline, name)
        return
    _attachment(name, kind, data, outline, limits)


def _name_only(outline: Outline, name: str) -> None:
    if name:
        outline.block(f"[{name}]")


def _attachment(name: str, kind: str, data: bytes, outline: Outline, limits: ReadLimits) -> None:
    """The attachment's name, and its text where one of the readers takes it. What cannot be read stays a name: the
    message itself was read."""
    from . import read_as
    from .registry import choose

    blob = Blob(name or "attachment", data, kind)
    try:
        chosen = choose(blob)
        if chosen.module in ("zip_", "eml", "ocr"):
            _name_only(outline, name)
            return
        parsed = read_as(chosen, blob, limits)
    except ReadError:
        _name_only(outline, name)
        return
    outline.heading(2, name or parsed.title or kind)
    start = outline.block(parsed.text)
    shift = start - (len(parsed.text) - len(parsed.text.lstrip("\n")))
    outline.headings += [Heading(h.level + 2, h.title, max(start, h.start + shift)) for h in parsed.headings]


def _text_of(part: EmailMessage, limits: ReadLimits) -> str:
    content = _content(part)
    return read_html(content, limits).text if part.get_content_type() == "text/html" else content


def _content(part: EmailMessage) -> str:
    """The text of a part in its declared charset where that works, else as plain text of unknown encoding."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return tidy(str(part.get_payload()))
    charset = part.get_content_charset("") or ""
    if charset and charset != "us-ascii":
        text = decode_as(data, charset)
        if text is not None:
            return text
    try:
        return decode(data)[0]
    except ReadError:
        return ""
