from __future__ import annotations

import msgspec

from ragstone.ingest.limits import ReadFailure, ReadLimits
from ragstone.ingest.prepare import PrepareOptions, context_of, prepare, prepare_parsed, source_hash
from ragstone.text.analysis import analyzer
from ragstone.types import Blob, ChunkSpan, Heading, ParsedDocument, PreparedDocument

TEXT = "Wartung\n\nDer Kessel wird jedes Jahr gewartet. Die Pumpen und das Ventil werden dabei geprüft und gereinigt.\n"
PARSED = ParsedDocument(
    text=TEXT, title="Handbuch  der\nAnlage", headings=(Heading(1, "Wartung", 0),), metadata={"a": 1}
)


def prepared(parsed: ParsedDocument = PARSED, **options: object) -> PreparedDocument:
    settings = PrepareOptions(**options)  # type: ignore[arg-type]
    return prepare_parsed("/a.txt", parsed, b"h" * 32, 120, 5.0, settings)


def test_a_document_ready_for_the_store() -> None:
    document = prepared(metadata={"b": "x"})
    assert (document.uri, document.title, document.language) == ("/a.txt", "Handbuch der Anlage", "de")
    assert document.metadata == {"a": 1, "b": "x"}
    (chunk,) = document.chunks
    assert chunk.text == TEXT
    assert chunk.context == "Handbuch der Anlage › Wartung"
    assert chunk.terms == analyzer("de").analyze(chunk.context) + analyzer("de").analyze(TEXT)
    assert len(chunk.content_hash) == 16


def test_chunk_hash_covers_context_text_and_language() -> None:
    base = prepared().chunks[0].content_hash
    assert prepared().chunks[0].content_hash == base
    others = [
        ParsedDocument(text=TEXT + "x", title=PARSED.title, headings=PARSED.headings),
        ParsedDocument(text=TEXT, title="Anderes", headings=PARSED.headings),
        ParsedDocument(text=TEXT, title=PARSED.title),
        ParsedDocument(text=TEXT, title=PARSED.title, headings=PARSED.headings, language="en"),
    ]
    assert len({base, *(prepared(o).chunks[0].content_hash for o in others)}) == 5


def test_source_hash_covers_settings() -> None:
    data = b"same bytes"
    variants = [
        PrepareOptions(),
        PrepareOptions(max_tokens=300),
        PrepareOptions(metadata={"team": "a"}),
        PrepareOptions(limits=ReadLimits(ocr=True)),
    ]
    assert len({source_hash(data, v) for v in variants}) == 4
    assert source_hash(b"other", variants[0]) != source_hash(data, variants[0])
    assert len(source_hash(data, variants[0])) == 32


def test_context_is_compact() -> None:
    span = ChunkSpan(0, 1, section=("Title", "A" * 300, "Part", *("Section " + "b" * 60 for _ in range(9)), "Last"))
    context = context_of("title", span)
    assert len(context) <= 300
    assert context.startswith("title › ")
    assert context.endswith("Last")
    assert context_of("", ChunkSpan(0, 1)) == ""


def test_it_crosses_a_pipe_unchanged() -> None:
    document = prepared()
    data = msgspec.msgpack.encode(document)
    assert msgspec.msgpack.decode(data, type=PreparedDocument) == document
    options = PrepareOptions(metadata={"a": 1, "b": "x", "c": True, "d": 0.5})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(options), type=PrepareOptions) == options


def test_prepare_reads_and_reports_what_cannot_be_read() -> None:
    (good,) = prepare(Blob("/notes.txt", TEXT.encode(), modified=7.0), PrepareOptions())
    assert isinstance(good, PreparedDocument)
    assert "".join(c.text for c in good.chunks) == TEXT
    assert good.content_hash == source_hash(TEXT.encode(), PrepareOptions())
    assert (good.size, good.modified) == (len(TEXT.encode()), 7.0)
    (bad,) = prepare(Blob("/empty.txt", b""), PrepareOptions())
    assert isinstance(bad, ReadFailure)
    assert bad.uri == "/empty.txt"
    assert bad.message
