"""What two texts say literally: numbers, names, negation. Vectors of a sentence model hardly tell "opens at 3 bar" from
"opens at 5 bar", or "is on" from "is not on"; memory must."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ..text.analysis import analyzer, fold
from ..text.language import detect_query
from ..text.stopwords import stop_words
from .spelling import Grams, grams_of_four

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_POSSESSIVE = re.compile(r"['’]s$")
_WORD = re.compile(r"[^\W_]+(?:['’_.-][^\W_]+)*")
_NUMBER_WORDS: Final = {
    word: str(number)
    for number, words in {
        0: "zero null", 2: "two zwei both beide beiden second zweite zweiten zweiter zweites ii",
        3: "three drei third dritte dritten dritter drittes iii", 4: "four vier fourth vierte vierten vierter iv",
        5: "five fünf fifth fünfte fünften", 6: "six sechs sixth sechste sechsten vi", 7: "seven sieben seventh vii",
        8: "eight acht eighth viii", 9: "nine neun ninth ix", 10: "ten zehn tenth", 11: "eleven elf",
        12: "twelve zwölf",
        15: "fifteen fünfzehn", 20: "twenty zwanzig", 30: "thirty dreißig", 40: "forty vierzig", 50: "fifty fünfzig",
        60: "sixty sechzig", 70: "seventy siebzig", 80: "eighty achtzig",
        90: "ninety neunzig", 100: "hundred hundert", 1000: "thousand tausend",
    }.items()
    for word in words.casefold().split()
}  # fmt: skip
"""Without "one" and "ein", which are articles as often."""
_DENYING = (
    "not no never none nothing nobody neither nor without cannot cant dont doesnt didnt isnt arent wasnt werent wont "
    "wouldnt shouldnt couldnt hasnt havent hadnt mustnt refuse refused "
    "nicht kein keine keinen keiner keinem keines nie niemals nichts niemand ohne weder"
)
_NEGATIONS: Final = frozenset(_DENYING.split())
_OPPOSITES: Final = tuple(
    (frozenset(a.casefold().split()), frozenset(b.casefold().split()))
    for a, b in (
        ("on an enable enabled enables aktiv aktiviert eingeschaltet",
         "off aus disable disabled disables inaktiv deaktiviert ausgeschaltet"),
        ("before vor", "after nach"), ("for für", "against gegen"), ("with mit", "without ohne"),
        ("buy buys bought einkauf kauf kaufen", "sell sells sold verkauf verkaufen"),
        ("win wins won gewann gewonnen gewinnt schlug schlugen", "lose loses lost verlor verloren verliert"),
        ("import imports imported", "export exports exported"),
        ("old alt alte alten alter altes", "new neu neue neuen"),
        ("income einnahmen", "expense expenses ausgaben"), ("upload uploads", "download downloads"),
        ("internal intern interne", "external extern externe"), ("public öffentlich", "private privat"),
        ("rich richest wohlhabend wohlhabenden", "poor poorest arm armen"),
        ("open opens opened offen öffnet geöffnet", "closed closes close geschlossen schließt"),
        ("increase increases increased higher more raise raised steigt erhöht mehr höher",
         "decrease decreases decreased lower less reduce reduced sinkt gesenkt weniger niedriger"),
        ("start starts started begin begins beginnt gestartet", "stop stops stopped end ends endet gestoppt beendet"),
        ("allow allowed allows erlaubt", "forbid forbidden deny denied denies verboten untersagt"),
        ("accept accepted approved angenommen genehmigt", "reject rejected declined abgelehnt verworfen"),
        ("like likes love loves mag liebt", "dislike dislikes hate hates hasst"),
        ("min minimum mindestens", "max maximum höchstens"),
        ("left links", "right rechts"),
        ("first erste ersten", "last letzte letzten"),
        ("succeeded works passed funktioniert erfolgreich", "failed fails broken fehlgeschlagen kaputt"),
        ("light hell helle hellen", "dark dunkel dunkle dunklen"), ("new neu neue neuen", "previous vorige vorigen"),
        ("large big groß große großen", "small little klein kleine kleinen"), ("fast quick schnell", "slow langsam"),
        ("high hoch hohe hohen", "low niedrig niedrige niedrigen"), ("hot warm heiß", "cold kalt"),
        ("oldest ältesten älteste", "youngest newest jüngsten jüngste"),
        ("send sends sent", "receive receives received"),
        ("largest biggest most größte größten meisten", "smallest least kleinste kleinsten wenigsten"),
        ("early früh", "late spät"), ("full voll", "empty leer"), ("true wahr", "false falsch"),
        ("synchronous sync", "asynchronous async"),
        ("upgrade upgraded", "downgrade downgraded"),
        ("add added hinzugefügt", "remove removed entfernt"),
    )
)  # fmt: skip


_BETWEEN = "instead over than from to statt anstatt als von nach before after vor"
_TURNING: Final = frozenset(_BETWEEN.split())
"""Words whose two sides cannot change places."""
_SHORT: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), full)
    for pattern, full in (
        (r"\b(ca)n['’]?t\b|\bcannot\b", "can not"), (r"\bwon['’]?t\b", "will not"), (r"\b(\w+)n['’]t\b", r"\1 not"),
        (r"['’]m\b", " am"), (r"['’]ve\b", " have"), (r"['’]ll\b", " will"), (r"['’]re\b", " are"),
        (r"\bi['’]d\b", "I would"), (r"\b(what|who|where|when|how|it|that|there|here|he|she)['’]s\b", r"\1 is"),
    )
)  # fmt: skip
_OPENING = re.compile(
    r"^\s*(?:(?:hi|hello|hey|excuse me|quick question|please tell me|please|sorry|good (?:morning|day|evening)|hallo|"
    r"guten (?:morgen|tag|abend)|entschuldigung|kurze frage|bitte|moin)\b[\s,!.:-]*)+",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"[\s,]*\b(?:thanks|thank you|thanks a lot|please help|please|danke|vielen dank|bitte)[\s!.]*$", re.IGNORECASE
)


_VALUES: Final = tuple(
    {word: number for number, words in enumerate(group.casefold().split(", ")) for word in words.split()}
    for group in (
        "monday mondays montag montags, tuesday dienstag, wednesday mittwoch, thursday donnerstag, friday freitag, "
        "saturday samstag sonnabend, sunday sonntag",
        "january januar, february februar, march märz, april, may mai, june juni, july juli, august, september, "
        "october oktober, november, december dezember",
        "red rot rote roter rotes roten, green grün grüne grüner grünes grünen, blue blau blaue blauer blaues blauen, "
        "yellow gelb gelbe gelber gelbes gelben, black schwarz schwarze schwarzer schwarzes schwarzen, "
        "white weiß weiße weißer weißes weißen, brown braun braune, grey gray grau graue grauer, orange, purple lila",
        "north nord norden, south süd süden, east ost osten, west westen",
        "spring frühling frühjahr, summer sommer, autumn herbst, winter",
        "daily täglich, weekly wöchentlich, monthly monatlich, yearly annually jährlich, hourly stündlich",
        "morning morgens, noon mittags, evening abends, night nachts",
    )
)
"""Words of which one excludes the others: another one of them says another thing, as another number does."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What is known of a text before its words are looked at: `spoken`: all words in their order, folded; `letters`:
    sequences of four of them. Greetings and thanks are left out, "I'm" is "I am"."""

    text: str
    language: str
    spoken: tuple[str, ...]
    letters: Grams


@lru_cache(maxsize=4096)
def heard(text: str) -> Heard:
    text = _plain(text)
    words = tuple(_folded(match.group()) for match in _WORD.finditer(text))
    return Heard(text, detect_query(text, ("en", "de")) or "en", words, grams_of_four(" ".join(words)))


def _folded(word: str) -> str:
    return _POSSESSIVE.sub("", word.casefold()).replace("'", "").replace("’", "")


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """`numbers` with words for small ones; `names`: words written with a capital inside a sentence, or with digits,
    underscores or capitals in them, folded; `content`: the other words that are no stop words, in their order, `stems`
    their stems; `denials`: how many words deny; the rest as in `Heard`."""

    language: str
    numbers: frozenset[str]
    names: frozenset[str]
    stems: frozenset[str]
    content: tuple[str, ...]
    spoken: tuple[str, ...]
    words: frozenset[str]
    letters: Grams
    denials: int
    asks: bool


@lru_cache(maxsize=1024)
def literal(text: str) -> Literal:
    said = heard(text)
    text, language, folded = said.text, said.language, said.spoken
    numbers = {match.group().replace(",", ".") for match in _NUMBER.finditer(text)}
    found = list(_WORD.finditer(text))
    words = [match.group() for match in found]
    numbers |= {_NUMBER_WORDS[word] for word in folded if word in _NUMBER_WORDS}
    names = {
        fold(word.removesuffix("'s").removesuffix("’s"))
        for match, word in zip(found, words, strict=True)
        if _is_label(word) or _is_name(word, _begins(text, match.start()), language)
    }
    stops = stop_words(language)
    content = tuple(
        low for low in folded if low not in stops and low not in _COURTESY and low not in _COMPARED_APART
    )
    stems = frozenset(analyzer(language).words(" ".join(word for word in content if not word.isdigit())))
    denials = sum(word in _NEGATIONS or (word.endswith("nt") and word[:-2] in _AUXILIARIES) for word in folded)
    return Literal(
        language, frozenset(numbers), frozenset(names), stems, content, folded, frozenset(folded), said.letters,
        denials, text.rstrip().endswith("?"),
    )  # fmt: skip


def _plain(text: str) -> str:
    for pattern, full in _SHORT:
        text = pattern.sub(full, text)
    said = _CLOSING.sub("", _OPENING.sub("", text))
    return said if any(map(str.isalnum, said)) else text


_SAID = (
    "please thanks thank you hello hi hey excuse quick question tell know like want wanted wondering "
    "bitte danke hallo könnten könntest würde gerne frage"
)
_COURTESY: Final = frozenset(_SAID.split())
_COMPARED_APART: Final = frozenset().union(_NUMBER_WORDS, _NEGATIONS, *_VALUES)
"""What says another thing when it differs; the other words tell whether the subject is the same."""
_AUXILIARY = "is are was were do does did has have had ca wo would should could must need"
_AUXILIARIES: Final = frozenset(_AUXILIARY.split())


def _is_label(word: str) -> bool:
    """Of gauge B, step c."""
    return len(word) == 1 and word.isalpha() and word not in ("a", "i", "I", "A")


def _begins(text: str, place: int) -> bool:
    """Whether a sentence begins there."""
    before = text[:place].rstrip(" \t\"'“„(")
    return not before or before[-1] in ".!?:;\n"


def _is_name(word: str, begins: bool, language: str) -> bool:
    if word[1:] != word[1:].lower() or any(c.isdigit() or c == "_" for c in word):
        return any(c.isalpha() for c in word)
    # German writes every noun with a capital: there only what is odd otherwise counts
    return not begins and language != "de" and word[:1].isupper() and len(word) > 2


def overlap(a: frozenset[str], b: frozenset[str]) -> float:
    """Share of the larger set that both have, as if it had one more: one common word says little."""
    return len(a & b) / (1 + max(len(a), len(b)))


def opposed(a: Literal, b: Literal) -> bool:
    """Whether one denies what the other says: one more denial, a word of the opposite meaning, another day."""
    if a.denials % 2 != b.denials % 2:
        return True
    if any(_other_value(a.words, b.words, group) for group in _VALUES):
        return True
    if a.language == b.language and _turned(a.spoken, b.spoken):
        return True
    only_a, only_b = a.words - b.words, b.words - a.words
    return any((only_a & x and only_b & y) or (only_a & y and only_b & x) for x, y in _OPPOSITES)


def _turned(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """"Tabs instead of spaces" and "spaces instead of tabs"."""
    for word in _TURNING.intersection(a).intersection(b):
        (left_a, right_a), (left_b, right_b) = _sides(a, word), _sides(b, word)
        if left_a & right_b - left_b and right_a & left_b - right_b:
            return True
    return False


def _sides(words: tuple[str, ...], word: str) -> tuple[set[str], set[str]]:
    """The content words on its two sides."""
    place = words.index(word)
    stops = stop_words("en") | stop_words("de")
    return set(words[:place]) - stops, set(words[place + 1 :]) - stops


def _other_value(a: frozenset[str], b: frozenset[str], group: Mapping[str, int]) -> bool:
    in_a, in_b = {group[word] for word in a & group.keys()}, {group[word] for word in b & group.keys()}
    return bool(in_a - in_b and in_b - in_a)


def names_differ(a: Literal, b: Literal) -> bool:
    """Whether each of two texts of one language names something that the other does not have in any spelling."""
    words_a, words_b = {fold(word) for word in a.words}, {fold(word) for word in b.words}
    return bool(a.names - words_b and b.names - words_a)
