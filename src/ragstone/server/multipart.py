"""Bodies of `multipart/form-data` as they arrive: files go to the disk piece by piece, small fields to memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..errors import InputError, TooLarge

FIELD_BYTES: Final = 64 << 10
FIELDS: Final = 20
BOUNDARY_BYTES: Final = 70


class File(Protocol):
    def write(self, data: bytes) -> None: ...


class Form:
    """Feed it with `write`, then call `end`. `opened` is called for each file with its name and media type, and gives
    what takes the bytes. Raises InputError for a body that is no form or is cut off."""

    def __init__(self, content_type: str, opened: Callable[[str, str], File], *, most_files: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 1 <= len(boundary) <= BOUNDARY_BYTES:
            raise InputError("the form has no boundary.", "Send multipart/form-data as an HTTP library makes it.")
        self.fields: dict[str, bytes] = {}
        self.files = 0
        self._opened = opened
        self._most_files = most_files
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[str, bytes] = {}
        self._name = ""
        self._file: File | None = None
        self._done = False
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError:
            raise InputError("the form cannot be read.", "Let an HTTP library make it.") from None

    def end(self) -> None:
        try:
            self._parser.finalize()
        except FormParserError:
            self._done = False
        if not self._done:
            raise InputError("the form ends too early.", "Send it again.")

    def _begin(self) -> None:
        self._headers, self._name, self._file = {}, "", None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            self.files += 1
            if self.files > self._most_files:
                raise TooLarge(f"a form has at most {self._most_files} files.", "Send several.")
            kind = self._headers.get("content-type", b"").decode("latin-1").partition(";")[0].strip()
            self._file = self._opened(options[b"filename"].decode("utf-8", "replace"), kind)
        elif len(self.fields) >= FIELDS:
            raise TooLarge(f"a form has at most {FIELDS} fields.")
        else:
            self.fields[self._name] = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        value = self.fields[self._name] + data[start:end]
        if len(value) > FIELD_BYTES:
            raise TooLarge(f"a field of a form has at most {FIELD_BYTES} bytes.")
        self.fields[self._name] = value

    def _end(self) -> None:
        self._done = True
