"""Questions of a comparison, from YAML.

A file is a list of entries, or a mapping with `questions:` and, for all of them, `name:` and `language:`. An entry:

    - id: ton                         optional; names the entry for `after` and in reports
      question: Was macht TON?        required
      tier: 1                         1 a fact, 2 an explanation, 3 several facts together, follow-up
      language: de                    ISO 639-1; default: that of the file, else it is detected
      topics: [Einschalten, [5 s, fünf Sekunden]]     what an answer should say; a list inside: any one of these
      gold: [{document: a.txt, quote: "…"}]           exact quotes of the documents that answer it
      after: other-id                 follow-up: that entry's question and `answer` are the conversation before it
      answer: …                       a reference answer, shown to raters; required where a follow-up refers to it
      refuse: true                    the documents do not tell; the right answer is to say so
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DamagedFile, InputError, ModelMissing, NotFound
from ..text.language import detect_query

SETS = Path(__file__).with_name("sets")
TIERS = ("1", "2", "3", "follow-up")
_FIELDS = {"id", "question", "tier", "language", "topics", "gold", "after", "answer", "refuse"}
_HINT = "docs/compare.md shows the fields of a question."


@dataclass(frozen=True, slots=True)
class Gold:
    """An exact quote (white space aside) of the document whose uri ends with `document`."""

    document: str
    quote: str


@dataclass(frozen=True, slots=True)
class Question:
    """`topics`: each is met by any one of its spellings. `after` is the id of the question before this one."""

    id: str
    text: str
    tier: str
    language: str
    topics: tuple[tuple[str, ...], ...] = ()
    gold: tuple[Gold, ...] = ()
    after: str = ""
    answer: str = ""
    refuse: bool = False


def shipped() -> list[str]:
    """Names of the sets that come with Ragstone; they ask the sample documents."""
    return sorted(path.stem for path in SETS.glob("*.yaml"))


def load_questions(name: str) -> list[Question]:
    """Questions of a shipped set or of a file. Raises NotFound, DamagedFile (with the line), ModelMissing where the
    extra `compare` is not installed."""
    path = SETS / f"{name}.yaml" if name in shipped() else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = f"Name a YAML file, or a set that comes with Ragstone: {', '.join(shipped())}."
        raise NotFound(f"There are no questions {name}.", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedFile(f"{path} cannot be read: {error}.", "It must be a text file in UTF-8.") from error
    return _questions(text, str(path))


def join(sets: Sequence[Sequence[Question]]) -> list[Question]:
    """Several sets as one. Raises InputError where they share an id."""
    joined = [question for questions in sets for question in questions]
    seen: set[str] = set()
    for question in joined:
        if question.id in seen:
            raise InputError(f"Two questions have the id {question.id}.", "Rename one of them.")
        seen.add(question.id)
    return joined


class _Broken(Exception):
    """What is wrong, and the line (from 1) where."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what, self.line = what, line


def _questions(text: str, place: str) -> list[Question]:
    try:
        root, line_of = _parsed(text)
        found = list(_entries(root, line_of))
        _follow_ups(found)
    except _Broken as broken:
        raise DamagedFile(f"{place}, line {broken.line}: {broken.what}.", _HINT) from broken
    if not found:
        raise DamagedFile(f"There is no question in {place}.", _HINT)
    return [question for question, _ in found]


def _parsed(text: str) -> tuple[Any, Mapping[int, int]]:
    """The values, and the line of each mapping by its `id()`. Nothing but plain data is constructed."""
    try:
        import yaml
    except ImportError as error:
        raise ModelMissing(
            "Questions are YAML, which needs the compare extra.", 'Install it: pip install "ragstone[compare]"'
        ) from error
    lines: dict[int, int] = {}

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: ARG002 - whole at once
            seen: set[str] = set()
            for key, _ in node.value:
                if str(key.value) in seen:
                    raise _Broken(f"{key.value} stands twice in one entry", key.start_mark.line + 1)
                seen.add(str(key.value))
            return super().construct_mapping(node, deep=True)

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        value: dict[Any, Any] = loader.construct_mapping(node)
        lines[id(value)] = node.start_mark.line + 1
        return value

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader), lines  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise _Broken(f"this is not YAML ({what})", mark.line + 1 if mark is not None else 1) from error


def _entries(root: Any, line_of: Mapping[int, int]) -> Iterator[tuple[Question, int]]:
    language = ""
    if isinstance(root, dict):
        if unknown := set(root) - {"name", "language", "questions"}:
            raise _Broken(f"there is no field {sorted(map(str, unknown))[0]}", line_of.get(id(root), 1))
        language, root = str(root.get("language") or ""), root.get("questions")
    if not isinstance(root, list):
        raise _Broken("a list of questions is expected", 1)
    seen: dict[str, int] = {}
    for number, entry in enumerate(root, 1):
        if not isinstance(entry, dict):
            raise _Broken(f"entry {number} is not a mapping with question", 1)
        line = line_of[id(entry)]
        question = _question(entry, number, language, line)
        if question.id in seen:
            raise _Broken(f"the id {question.id} was used in line {seen[question.id]} already", line)
        seen[question.id] = line
        yield question, line


def _question(entry: Mapping[str, Any], number: int, language: str, line: int) -> Question:
    if unknown := set(map(str, entry)) - _FIELDS:
        raise _Broken(f"there is no field {sorted(unknown)[0]}", line)
    text = entry.get("question")
    if not isinstance(text, str) or not text.strip():
        raise _Broken("question is missing or no text", line)
    after = str(entry.get("after") or "")
    tier = str(entry.get("tier") or ("follow-up" if after else "1"))
    if tier not in TIERS or (tier == "follow-up") != bool(after):
        what = "needs after" if tier == "follow-up" else f"must be one of {', '.join(TIERS)}, with after: follow-up"
        raise _Broken(f"tier {tier} {what}", line)
    return Question(
        id=str(entry.get("id") or f"q{number}"),
        text=text.strip(),
        tier=tier,
        language=str(entry.get("language") or language or detect_query(text, ("de", "en")) or "en"),
        topics=tuple(_topic(topic, line) for topic in _list(entry, "topics", line)),
        gold=tuple(_gold(gold, line) for gold in _list(entry, "gold", line)),
        after=after,
        answer=" ".join(str(entry.get("answer") or "").split()),
        refuse=entry.get("refuse") is True,
    )


def _list(entry: Mapping[str, Any], key: str, line: int) -> list[Any]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise _Broken(f"{key} must be a list", line)
    return value


def _topic(topic: Any, line: int) -> tuple[str, ...]:
    spellings = tuple(str(t).strip() for t in (topic if isinstance(topic, list) else [topic]))
    if not spellings or not all(spellings) or any(isinstance(t, dict) for t in spellings):
        raise _Broken("a topic is a text or a list of spellings", line)
    return spellings


def _gold(gold: Any, line: int) -> Gold:
    if not isinstance(gold, dict) or set(gold) != {"document", "quote"}:
        raise _Broken("gold needs document and quote", line)
    return Gold(str(gold["document"]), str(gold["quote"]).strip())


def _follow_ups(found: Sequence[tuple[Question, int]]) -> None:
    by_id = {question.id: question for question, _ in found}
    for question, line in found:
        if not question.after:
            continue
        earlier = by_id.get(question.after)
        if earlier is None or earlier is question:
            raise _Broken(f"after names {question.after}, which is no other question here", line)
        if earlier.after:
            raise _Broken(f"after names {question.after}, which is a follow-up itself", line)
        if not earlier.answer:
            raise _Broken(f"after names {question.after}, which has no answer to follow up", line)
