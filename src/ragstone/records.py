"""The JSON of hits, answers, documents and collections, as the command line prints and the server sends it.

Offsets count Unicode code points of the document's text, pages and lines count from 1, times are POSIX seconds,
timings milliseconds. A field that goes or changes its meaning raises SCHEMA_VERSION.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from .types import Answer, Citation, CollectionStatus, Document, Hit, MetadataValue, SearchResult

SCHEMA_VERSION = 1

Span = list[int]


class PartsRecord(TypedDict):
    lexical: Annotated[float | None, "BM25; null: that part did not run or did not see the chunk"]
    dense: Annotated[float | None, "cosine of question and chunk"]
    rerank: Annotated[float | None, "score of the cross-encoder"]
    graph: Annotated[float | None, "share of a walk through the knowledge graph, 1 for the most visited passage"]


class HitRecord(TypedDict):
    rank: Annotated[int, "from 1"]
    uri: Annotated[str, "absolute path or other stable name of the document"]
    title: str
    collection: str
    media_type: str
    language: Annotated[str, "ISO 639-1, or empty"]
    page: Annotated[int | None, "page, slide or sheet where the span begins"]
    line: Annotated[int, "line of the text where the span begins"]
    section: Annotated[list[str], "headings above the span, outermost first"]
    start: Annotated[int, "offset of the span's first character in the document's text"]
    end: Annotated[int, "offset after its last character"]
    text: Annotated[str, "the span itself"]
    score: Annotated[float, "what the order follows"]
    parts: PartsRecord
    reason: Annotated[str, "the way through the knowledge graph that led here, or empty"]
    highlights: Annotated[list[Span], "[start, end] of words of the question, in the document's text"]
    metadata: dict[str, MetadataValue]


class SearchRecord(TypedDict):
    """`search`. With `--batch`, one such object a line for each question."""

    schema_version: int
    query: str
    hits: list[HitRecord]
    revision: Annotated[int, "state of the documents that were searched; rises with every write"]
    timings: Annotated[dict[str, float], "milliseconds by stage"]
    notes: Annotated[list[str], "what was left out, and why"]
    spaces: Annotated[dict[str, list[str]], "vector spaces that were searched, by collection; empty: words only"]


class CitationRecord(TypedDict):
    number: Annotated[int, "what [n] in the answer refers to"]
    uri: Annotated[str, "absolute path or other stable name of the document"]
    title: str
    page: Annotated[int | None, "page, slide or sheet where the span begins"]
    line: Annotated[int, "line of the text where the span begins"]
    section: Annotated[list[str], "headings above the span, outermost first"]
    start: Annotated[int, "offset of the span's first character in the document's text"]
    end: Annotated[int, "offset after its last character"]
    text: Annotated[str, "the span itself"]
    score: float


class SentenceRecord(TypedDict):
    text: str
    citations: Annotated[list[int], "numbers of the citations that support it"]
    support: Annotated[float, "0 to 1"]
    supported: Annotated[bool, "false: nothing found supports it, and the answer marks it"]


class TokensRecord(TypedDict):
    prompt: int
    completion: int
    estimated: Annotated[bool, "true where the model's server did not report them"]


class AnswerRecord(TypedDict):
    """`ask`."""

    schema_version: int
    question: str
    answer: Annotated[str, "text with [n] after each supported sentence"]
    language: Annotated[str, "ISO 639-1"]
    answered: Annotated[bool, "false: nothing found supports an answer, and the text says so"]
    sentences: list[SentenceRecord]
    citations: list[CitationRecord]
    model: Annotated[str, '"extractive" or the name of the model']
    tokens: TokensRecord
    timings: Annotated[dict[str, float], "milliseconds by stage"]
    notes: Annotated[list[str], "what was left out, and why"]


class DocumentRecord(TypedDict):
    uri: str
    title: str
    collection: str
    media_type: str
    language: str
    bytes: int
    characters: int
    chunks: int
    pages: int
    modified: float
    added: float
    content_hash: Annotated[str, "hexadecimal"]
    metadata: dict[str, MetadataValue]


class CollectionRecord(TypedDict):
    name: str
    documents: int
    chunks: int
    characters: int
    revision: int
    embedded: Annotated[int, "chunks that have a vector"]
    waiting: Annotated[int, "chunks that wait for one"]
    space: Annotated[str, "the vectors' space: model, revision, dimension, normalisation, prefix, quantisation"]
    languages: Annotated[dict[str, int], "chunks by language"]


def search_record(result: SearchResult) -> SearchRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "query": result.query,
        "hits": [_hit(rank, hit) for rank, hit in enumerate(result.hits, 1)],
        "revision": result.revision,
        "timings": dict(result.timings),
        "notes": list(result.notes),
        "spaces": {name: list(spaces) for name, spaces in result.spaces.items()},
    }


def _hit(rank: int, hit: Hit) -> HitRecord:
    chunk = hit.chunk
    return {
        "rank": rank,
        "uri": chunk.uri,
        "title": chunk.title,
        "collection": chunk.collection,
        "media_type": chunk.media_type,
        "language": chunk.language,
        "page": chunk.page,
        "line": chunk.line,
        "section": list(chunk.section),
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "score": float(hit.score),
        "parts": {
            "lexical": hit.parts.lexical,
            "dense": hit.parts.dense,
            "rerank": hit.parts.rerank,
            "graph": hit.parts.graph,
        },
        "reason": hit.reason,
        "highlights": [[start, end] for start, end in hit.highlights],
        "metadata": dict(chunk.metadata),
    }


def answer_record(answer: Answer) -> AnswerRecord:
    return {
        "schema_version": SCHEMA_VERSION,
        "question": answer.question,
        "answer": answer.text,
        "language": answer.language,
        "answered": answer.answered,
        "sentences": [
            {
                "text": s.text,
                "citations": list(s.citations),
                "support": float(s.support),
                "supported": s.supported,
            }
            for s in answer.sentences
        ],
        "citations": [citation_record(c) for c in answer.citations],
        "model": answer.model,
        "tokens": {
            "prompt": answer.usage.prompt_tokens,
            "completion": answer.usage.completion_tokens,
            "estimated": answer.usage.estimated,
        },
        "timings": dict(answer.timings),
        "notes": list(answer.notes),
    }


def citation_record(citation: Citation) -> CitationRecord:
    return {
        "number": citation.number,
        "uri": citation.uri,
        "title": citation.title,
        "page": citation.page,
        "line": citation.line,
        "section": list(citation.section),
        "start": citation.start,
        "end": citation.end,
        "text": citation.text,
        "score": float(citation.score),
    }


def document_record(document: Document) -> DocumentRecord:
    return {
        "uri": document.uri,
        "title": document.title,
        "collection": document.collection,
        "media_type": document.media_type,
        "language": document.language,
        "bytes": document.size,
        "characters": document.characters,
        "chunks": document.chunks,
        "pages": len(document.pages),
        "modified": document.modified,
        "added": document.added,
        "content_hash": document.content_hash.hex(),
        "metadata": dict(document.metadata),
    }


def collection_record(status: CollectionStatus) -> CollectionRecord:
    return {
        "name": status.name,
        "documents": status.documents,
        "chunks": status.chunks,
        "characters": status.characters,
        "revision": status.revision,
        "embedded": status.embedded,
        "waiting": status.waiting,
        "space": status.space,
        "languages": dict(status.languages),
    }
