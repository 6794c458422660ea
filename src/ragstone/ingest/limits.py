"""How much one source may cost, and what a source that could not be read leaves behind.

Both cross the pipe between the parent and a parser worker, so both are plain frozen dataclasses that msgspec
encodes without help.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import errors
from ..errors import ReadError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Ceilings for reading. Sizes in bytes of *actual* (counted) data: what a header claims is never trusted.

    `file_bytes`        a single source, compressed or not
    `text_characters`   text of one document; a reader that would give more raises LimitExceeded
    `archive_*`         members, sum of unpacked bytes, unpacked/packed ratio and nesting of ZIP-like files
                        (a DOCX, ODT or EPUB counts as an archive of its own, outside of `archive_depth`)
    `pdf_pages`, `sheet_cells`, `element_depth`  pages of a PDF, filled cells of a workbook, nested elements
    `memory_bytes`, `cpu_seconds`, `wall_seconds`  of a worker process: address space, and time for one source
    `seconds_per_mib`   processor time added for each MiB of a source above 4 MiB (and twice that of wall time): a
                        small file that takes long is suspicious, a large one is large
    `files_per_worker`  sources after which a worker is replaced; twenty files of plain text count as one
    `output_bytes`      encoded result of one source
    `passwords`         tried in order on encrypted files
    `ocr`               recognise text in pictures where a page has none
    """

    file_bytes: int = 50 * MIB
    text_characters: int = 50_000_000
    archive_entries: int = 2_000
    archive_bytes: int = 200 * MIB
    archive_ratio: int = 100
    archive_depth: int = 2
    pdf_pages: int = 2_000
    sheet_cells: int = 2_000_000
    element_depth: int = 512
    memory_bytes: int = 512 * MIB
    cpu_seconds: int = 10
    wall_seconds: int = 20
    seconds_per_mib: float = 1.0
    files_per_worker: int = 50
    output_bytes: int = 256 * MIB
    passwords: tuple[str, ...] = ()
    ocr: bool = False

    def extra_seconds(self, size: int) -> float:
        """Processor time that a source of `size` bytes may take beyond `cpu_seconds`."""
        return max(0, size - 4 * MIB) / MIB * self.seconds_per_mib


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """A source (or a member of an archive) that gave no text. `code` names the class in errors.py."""

    uri: str
    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, uri: str, error: ReadError) -> ReadFailure:
        return cls(uri, error.code, error.message, error.hint)

    def error(self) -> ReadError:
        """The typed error again, in the process that receives the failure."""
        kind = getattr(errors, self.code, ReadError)
        if not (isinstance(kind, type) and issubclass(kind, ReadError)):
            kind = ReadError
        return kind(self.message, self.hint)
