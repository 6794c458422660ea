"""Turns become items that are worth remembering, without a language model: by words that tell (`cues`), and by what
was said just before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..memory_types import Type
from ..text.sentences import sentence_spans
from ..text.stopwords import STOP_WORDS
from .cues import evidence
from .turns import Turn

EXCLAIMED: Final = 0.25
"""What an exclamation mark takes from a confidence: it is mood more often than knowledge. What forbids or asks to
remember is as often written with one."""
LEAST: Final = 0.6
"""Confidence below which nothing is remembered."""
FEWEST: Final = 3
"""Words of a question or an answer."""
FEWEST_STATED: Final = 4
"""Words of a sentence that states something without a word that tells it."""
LONGEST_STATED: Final = 160
"""Characters of such a sentence: what is worth it is told briefly, and an embedding costs by the word."""
SHORTEST: Final = 12
LONGEST: Final = 400
"""Characters of a sentence; a longer one is a list, a table or code."""
MOST_SENTENCES: Final = 60
"""Of a turn that are looked at, from its beginning and its end: long answers tell what counts there."""

_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|^(?: {4}|\t).*$|^\s*(?:[>|$]|diff |[+-]{3} |@@).*$", re.S | re.M)
_NOT_PROSE = re.compile(r"[{}<>;=\\|]{2,}|https?://\S+$|^\W*$|^\s*(?:import|def|class|return|SELECT|from \w+ import)\b")
_WORD = re.compile(r"[^\W\d_]{2,}")
_WH = re.compile(
    r"^(?:(?:and|so|but|und|aber|also),? )?(what|which|who|whose|where|when|why|how|is|are|does|do|did|can we|"
    r"should we|"
    r"was|wer|wo|wann|warum|wieso|weshalb|wie|welche\w*|woher|wohin|womit|gibt|ist|sind|hat|haben|können wir|"
    r"sollen wir|"
    r"dürfen|müssen)\b",
    re.I,
)
_REQUEST = re.compile(
    r"\b(?:can you|could you|would you|will you|can i get|may i|how are you|are you|do you|what's up|how'?s it|"
    r"kannst du|könntest du|können sie|könnten sie|würdest du|wie geht|hast du|bist du|magst du|willst du|"
    r"weather|wetter|working on today|steht an)\b",
    re.I,
)
_VAGUE = re.compile(
    r"^(?:and |so |und |also )?(?:what|how|was|wie)\b.{0,25}\b(?:it|that|this|das|es|dem|now|next|jetzt)\b.{0,12}\?$",
    re.I,
)
_HYPOTHETICAL = re.compile(
    r"^(?:if|wenn|falls|maybe|perhaps|vielleicht|what if|was wäre|should|could|might)\b|\b(?:we could|we can|"
    r"you could|you can|we should|"
    r"it might|man könnte|wir könnten|wir können|wir sollten|du könntest|könnte man)\b",
    re.I,
)
_ANNOUNCED = re.compile(
    r"^(?:ok(?:ay)?[,.]? |sure[,.]? |gut[,.]? |klar[,.]? )?(?:let me|i'll|i will|i'm going to|i am going to|looking|"
    r"now i|"
    r"next,? i|ich (?:schaue|sehe|prüfe|werde|lese|fange|passe|trage|stelle)|here (?:is|are)|hier (?:ist|sind)|"
    r"schauen wir)\b",
    re.I,
)
_ACKNOWLEDGED = re.compile(
    r"^(?:yes|no|ok(?:ay)?|sure|done|thanks?|good|great|nice|understood|noted|got it|fine|ja|nein|gut|danke|alles klar|"
    r"verstanden|erledigt|in ordnung|passt|prima|super)\b[^.!]{0,30}[.!]*$",
    re.I,
)
_FIRST_PERSON = re.compile(r"\b(?:i|i'm|i've|i'll|ich|we should|let me)\b", re.I)
_SPECIFIC = re.compile(r"\d|(?<![.!?] )\b[A-ZÄÖÜ][\w-]{2,}")
_WHY = re.compile(r"^(?:and |so |und |also )?(?:why|how come|warum|wieso|weshalb)\b", re.I)
_BECAUSE = re.compile(r"^(?:because|since|due to|weil|da|wegen)\b", re.I)
_BIDDEN = re.compile(
    r"^(?:please |bitte )?(?:always|never|don'?t|do not|avoid|remember that|note that|immer|nie|niemals|merk dir|"
    r"denk daran)\b",
    re.I,
)
_PERSONAL = re.compile(
    r"\b(?:you|your|yours|everyone|anyone|somebody|guys|thoughts|feel|favou?rite|who else|what else|who's up|"
    r"what if|lately|thinking|du|dein\w*|ihr|euch|euer\w*|jemand)\b|"
    r"^(?:and |so |und )?(?:how|what) about\b|^(?:wie wäre|wie wär's)\b|^(?:any|did it|is it|is that|does that)\b",
    re.I,
)
_STOP: Final = STOP_WORDS["de"] | STOP_WORDS["en"]
_STATES = re.compile(
    r"\b(?:is|are|was|were|has|have|lets?|runs?|expires?|uses?|\w+ed|\w{3,}s|ist|sind|war|hat|haben|liegt|liegen|steht|"
    r"schaltet|nutzt|heißt|\w{3,}t)\b|\d",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a sentence states; it stands in [`start`, `end`) of the turn's text. `context`: the question that it
    answers."""

    type: Type
    text: str
    confidence: float
    start: int
    end: int
    context: str = ""


def extract(turn: Turn, before: Sequence[Turn] = ()) -> list[Extracted]:
    """Items of a turn; `before` are the turns just before it. One sentence states one thing at most."""
    if turn.role in ("tool", "system"):
        return []
    asked = _asked(before)
    found = [item for start, end in sentences(turn.text) if (item := _item(turn, start, end, asked)) is not None]
    return _distinct(found)


def untold(turn: Turn, found: Sequence[Extracted]) -> list[tuple[int, int]]:
    """Spans of the sentences that could state something without a word that tells it."""
    if turn.role in ("tool", "system"):
        return []
    return [
        (start, end)
        for start, end in sentences(turn.text)
        if not any(item.start < end and start < item.end for item in found) and _could_state(turn.text[start:end])
    ]


def _could_state(sentence: str) -> bool:
    text = _plain(sentence.strip("*_ "))
    if len(text) > LONGEST_STATED or text.endswith(("?", "!", ":")) or len(_WORD.findall(text)) < FEWEST_STATED:
        return False
    return not (_HYPOTHETICAL.search(text) or _ANNOUNCED.match(text) or _ACKNOWLEDGED.match(text))


def _item(turn: Turn, start: int, end: int, asked: str) -> Extracted | None:
    words = turn.text[start:end].strip("*_ ")
    text = _plain(words)
    if text.endswith("?"):
        return _question(turn, words, start, end)
    if _HYPOTHETICAL.search(text):
        return None
    types = evidence(text)
    announced = _ANNOUNCED.match(text) is not None
    if announced:
        types.pop("fact", None)
    if turn.role == "assistant":
        types.pop("preference", None)  # a model that tells what it likes tells nothing about the user
    if not types and asked and not announced and not _ACKNOWLEDGED.match(text) and _answers(text, asked):
        types["fact"] = 0.65
    if not types:
        return None
    if "pattern" in types:  # "usually fails after …" states the regularity, not one failure
        types.pop("problem", None)
        types.pop("solution", None)
    if "solution" in types:
        types.pop("problem", None)
    type, confidence = max(types.items(), key=lambda found: found[1])
    if text.endswith("!") and not _BIDDEN.match(text):
        confidence -= EXCLAIMED
    if confidence < LEAST:
        return None
    return Extracted(type, words, round(confidence, 3), start, end, asked if type in ("fact", "decision") else "")


def _question(turn: Turn, text: str, start: int, end: int) -> Extracted | None:
    if turn.role != "user" or not _asks(text):
        return None
    return Extracted("question", text, 0.65, start, end)


def _asks(text: str) -> bool:
    """Whether a question asks for knowledge: neither for an action nor for what somebody thinks or feels."""
    text = _plain(text)
    if not text.endswith("?") or len(_WORD.findall(text)) < FEWEST or not _WH.match(text):
        return False
    return not (_REQUEST.search(text) or _VAGUE.match(text) or _PERSONAL.search(text))


def _answers(text: str, asked: str) -> bool:
    """Whether a sentence after a question states something: a number or a name, or it takes up the question's words, or
    gives a reason where one was asked for."""
    words = _WORD.findall(text)
    if len(words) < FEWEST or text.endswith("!") or _FIRST_PERSON.search(text) or not _STATES.search(text):
        return False
    if _SPECIFIC.search(text, 1) or (_WHY.match(asked) and _BECAUSE.match(text)):
        return True
    content = {w.casefold() for w in words} - _STOP
    return bool(content & {w.casefold() for w in _WORD.findall(asked)})


def _plain(text: str) -> str:
    """With the apostrophe that the patterns have: "we’ve" is "we've"."""
    return text.replace("’", "'")


def _asked(before: Sequence[Turn]) -> str:
    """The question that the last turn of somebody ended with, "" where it ended otherwise."""
    for turn in reversed(before):
        if turn.role == "tool":
            continue
        spans = sentence_spans(turn.text[-LONGEST:])
        last = turn.text[-LONGEST:][slice(*spans[-1])].strip() if spans else ""
        return last if turn.role == "user" and _asks(last) else ""
    return ""


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Spans of sentences in prose; code, quotes and tables are blanked out beforehand, so offsets stay."""
    prose = _CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    spans = [
        (start, end)
        for start, end in sentence_spans(prose)
        if SHORTEST <= end - start <= LONGEST and not _NOT_PROSE.search(prose[start:end])
    ]
    if len(spans) > MOST_SENTENCES:
        spans = spans[: MOST_SENTENCES // 2] + spans[-MOST_SENTENCES // 2 :]
    yield from spans


def _distinct(items: list[Extracted]) -> list[Extracted]:
    kept: dict[tuple[Type, str], Extracted] = {}
    for item in items:
        key = (item.type, item.text.casefold())
        earlier = kept.get(key)
        kept[key] = item if earlier is None else replace(earlier, confidence=max(earlier.confidence, item.confidence))
    return list(kept.values())
