"""How much of what a reference answer says stands in the passages that are found: questions whose answer is spread."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import DamagedFile, InputError
from ..text.analysis import analyzer
from ..text.language import detect
from ..text.stopwords import stop_words
from ..types import Mode, Progress, ProgressCallback, SearchResult
from .beir import lines, locate, wrong
from .evaluate import COLLECTION, SCHEMA_VERSION, OpenKnowledgeBase, _folder
from .hops import split
from .machine import machine
from .memory import Asked

MODES: Final[tuple[Mode, ...]] = ("hybrid", "mixed", "global")
DEPTHS: Final = (5, 10)


@dataclass(frozen=True, slots=True)
class _Question:
    id: str
    question: str
    kind: str
    language: str
    facts: frozenset[str]


def evaluate_coverage(
    folder: Path,
    *,
    open_at: OpenKnowledgeBase,
    kinds: Sequence[str] = (),
    part: str | None = None,
    work: Path | None = None,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Share of the content words of the reference answers, those of the question left out, that stand in the first 5
    and 10 passages of hybrid, mixed and global mode together; in the sentences that global cites (`cited`), and in as
    many characters of the first hybrid passages (`as_long`). By kind of question.

    `folder` has contexts (JSON lines: id, text, title?) and questions (id, question, answers, type or category).
    `kinds`, `part`: only these; the parts are those of `hops.split`. Raises NotFound, DamagedFile, InputError."""
    contexts = locate(folder, None, "contexts", ("contexts*.jsonl*", "corpus*.jsonl*"))
    file = locate(folder, None, "questions", ("qa*.jsonl*",))
    everything = list(_questions(file))
    parts = split([Asked(one.id, one.question, "", one.kind, None) for one in everything])
    asked = [
        one for one in everything
        if one.facts and (not kinds or one.kind in kinds) and (part is None or parts[one.id] == part)
    ]  # fmt: skip
    if not asked:
        raise InputError(f"no question of {file.name} has a reference answer.", "It needs questions with answers.")
    with _folder(work) as place, open_at(place) as kb:
        records = (_read(contexts, number, line) for number, line in lines(contexts))
        kb.add_texts(
            ((str(r["id"]), str(r.get("title") or ""), str(r["text"]), {}) for r in records),
            collection=COLLECTION, progress=progress,
        )  # fmt: skip
        kb.embed_pending(collection=COLLECTION, progress=progress)
        kb.graph.build(COLLECTION, progress=progress)
        shares: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for number, one in enumerate(asked, 1):
            found = {
                mode: kb.search(one.question, collections=[COLLECTION], mode=mode, k=max(DEPTHS), cache=False)
                for mode in MODES
            }
            for name, share in _covered(one, found).items():
                shares[name][one.kind].append(share)
            if progress:
                progress(Progress("eval", number, len(asked), folder.name))
    return {
        "schema_version": SCHEMA_VERSION,
        **machine(),
        "set": folder.resolve().name,
        "questions": len(asked),
        "coverage": {
            name: {kind: {"questions": len(v), "share": sum(v) / len(v)} for kind, v in sorted(of.items())}
            for name, of in shares.items()
        },
    }


def _covered(one: _Question, found: Mapping[Mode, SearchResult]) -> dict[str, float]:
    facts, language = one.facts, one.language
    shares: dict[str, float] = {}
    for mode, result in found.items():
        for depth in DEPTHS:
            text = "\n".join(hit.chunk.text for hit in result.hits[:depth])
            shares[f"{mode}@{depth}"] = _share(facts, text, language)
    cited = [
        hit.chunk.text[start - hit.chunk.start : end - hit.chunk.start]
        for hit in found["global"].hits
        for start, end in hit.highlights
    ]
    said = "\n".join(cited)
    shares["cited"] = _share(facts, said, language)
    as_long = "\n".join(hit.chunk.text for hit in found["hybrid"].hits)[: len(said)]
    shares["as_long"] = _share(facts, as_long, language)
    return shares


def _share(facts: frozenset[str], text: str, language: str) -> float:
    return len(facts & _words(text, language)) / len(facts)


def _words(text: str, language: str) -> frozenset[str]:
    """Content words as the index has them."""
    stops = stop_words(language)
    plain = " ".join(word for word in text.split() if word.strip(".,;:!?()\"'").casefold() not in stops)
    return frozenset(analyzer(language).words(plain))


def _questions(path: Path) -> list[_Question]:
    found = []
    for number, line in lines(path):
        record = _read(path, number, line)
        try:
            id_, question = str(record["id"]), str(record["question"])
            answers = [str(answer) for answer in record.get("answers") or ()]
        except (KeyError, TypeError) as error:
            raise DamagedFile(f"{path}, line {number}: {wrong(error)}.") from error
        kind = str(record.get("type") or record.get("category") or "")
        language = detect(f"{question}\n{' '.join(answers)}") or "en"
        facts = _words("\n".join(answers), language) - _words(question, language)
        found.append(_Question(id_, question, kind, language, facts))
    return found


def _read(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or not {"text", "question"} & record.keys():
            raise ValueError("neither a text nor a question")
    except ValueError as error:
        raise DamagedFile(f"{path}, line {number}: {error}.", "Each line is a JSON object.") from error
    return record
