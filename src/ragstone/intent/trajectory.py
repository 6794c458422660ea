"""Where a conversation goes, told from its last turns, with the turns that say so.

    looping     the same words, or the same failing call, come back again and again
    stuck       failures and corrections without progress between them
    drifting    the turns of the last part are about something else than the task they began with
    exploring   looking around and planning; nothing was made yet
    on track    work and signs of progress

They are tried in this order. Everything follows from the turns alone: words shared between turns, failures that tools
told, intents where there are some, and words of progress and of trouble in German and English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ..text.stopwords import STOP_WORDS

Course = Literal["exploring", "on track", "stuck", "looping", "drifting"]

WINDOW: Final = 12
"""Turns at the end that decide, but for drifting."""
REPEATED: Final = 0.8
"""Share of words in common from which a turn repeats another."""
LOOPS: Final = 3
"""Times that one thing is said or done, with this it is a loop."""
TROUBLES: Final = 3
"""Signs of trouble without one of progress after the first of them."""
DRIFT: Final = 0.04
"""Share of a late turn's words that the task's first turns had, below which it is about something else."""
LEAST_FOR_DRIFT: Final = 8
TASK: Final = 4
"""Turns in which the task is told."""

_TROUBLE = re.compile(
    r"\b(?:still (?:fails?|failing|broken|not|doesn't|crash\w*)|same (?:error|problem|issue)|(?:doesn't|"
    r"does not|didn't|did not) "
    r"(?:work|help)|fails? again|error again|not working|no,? that|that'?s (?:wrong|not)|wrong (?:file|place|"
    r"one)|revert|"
    r"undo|immer noch|schon wieder|noch immer|derselbe fehler|gleiche(?:r|n)? fehler|"
    r"(?:geht|funktioniert|hilft|klappt|läuft) (?:\w+ ){0,2}nicht|hat nicht geholfen|schlägt (?:\w+ ){0,3}fehl|"
    r"nein,? das|"
    r"das ist falsch|rückgängig)",
    re.I,
)
_PROGRESS = re.compile(
    r"\b(?:(?:all|the) tests? pass(?:es|ed)?|passes now|works? (?:now|again)|(?:is|are|that) (?:done|finished|"
    r"fixed|ready)|"
    r"done[.,!]|fixed (?:it|the)|solved|implemented|merged|deployed|committed|completed|(?:tests? )?(?:laufen|läuft) "
    r"(?:\w+ ){0,2}(?:durch|wieder)|funktioniert (?:\w+ )?(?:jetzt|wieder|nun)|fertig|erledigt|behoben|gelöst|"
    r"umgesetzt|"
    r"abgeschlossen|eingespielt|ist weg|passed)\b",
    re.I,
)
_NEGATED = re.compile(r"\b(?:not|n't|nicht|never|nie|kein\w*)\b", re.I)
_LOOKS = re.compile(
    r"\b(?:where|which|what|how|why|show|list|read|look|search|find|overview|explain|options?|plan|wo|"
    r"welche\w*|was|wie|"
    r"warum|zeig\w*|lies|schau\w*|such\w*|überblick|erklär\w*|möglichkeiten)\b|\?",
    re.I,
)
_MAKES = re.compile(
    r"\b(?:add|write|implement|create|change|edit|update|rename|remove|fix|refactor|patch|deploy|füge|"
    r"schreib\w*|erstell\w*|"
    r"änder\w*|ergänz\w*|entfern\w*|benenn\w*|beheb\w*|bau\w*|setz\w* um)\b",
    re.I,
)
_WORD = re.compile(r"[^\W\d_]{3,}|\d+")
_STOP = STOP_WORDS["de"] | STOP_WORDS["en"]


@dataclass(frozen=True, slots=True)
class Said:
    """A turn as the trajectory sees it. `failed`: a tool told an error. `intent` of the set that ships, or ""."""

    text: str
    role: str = "user"
    intent: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """`turns`: indices of the turns that show it."""

    reason: str
    turns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """`course` with what speaks for it; `others` speaks for other courses that did not decide."""

    course: Course
    evidence: tuple[Evidence, ...]
    others: tuple[tuple[Course, Evidence], ...] = ()


def trajectory(turns: Sequence[Said]) -> Trajectory:
    """Of a conversation, from its first turn to its last. Linear in the turns."""
    found: list[tuple[Course, Evidence]] = []
    for course, look in (("looping", _loop), ("stuck", _stuck), ("drifting", _drift), ("exploring", _exploring)):
        found += [(course, evidence) for evidence in look(turns)]  # type: ignore[misc]
    if not found:
        return Trajectory("on track", _on_track(turns))
    course = found[0][0]
    return Trajectory(
        course, tuple(e for c, e in found if c == course), tuple((c, e) for c, e in found if c != course)
    )


def _loop(turns: Sequence[Said]) -> list[Evidence]:
    first = max(0, len(turns) - WINDOW)
    groups: list[tuple[frozenset[str], list[int]]] = []
    for i in range(first, len(turns)):
        words = _words(turns[i].text)
        if len(words) < 2:  # "ok" and "yes" come back in every conversation
            continue
        for known, members in groups:
            if _overlap(words, known) >= REPEATED and turns[members[0]].role == turns[i].role:
                members.append(i)
                break
        else:
            groups.append((words, [i]))
    found = []
    for _, members in groups:
        if len(members) >= LOOPS and not any(_progress(turns[i]) for i in range(members[-2], len(turns))):
            what = "error" if turns[members[0]].failed else "call" if turns[members[0]].role == "tool" else "words"
            found.append(Evidence(f"the same {what} {len(members)} times", tuple(members)))
    return found


def _stuck(turns: Sequence[Said]) -> list[Evidence]:
    first = max(0, len(turns) - WINDOW)
    troubles = [i for i in range(first, len(turns)) if _trouble(turns[i])]
    progress = [i for i in range(first, len(turns)) if _progress(turns[i])]
    since = [i for i in troubles if not progress or i > progress[-1]]
    if len(since) < TROUBLES:
        return []
    return [Evidence(f"{len(since)} failures or corrections and no progress since", tuple(since))]


def _drift(turns: Sequence[Said]) -> list[Evidence]:
    spoken = [i for i, turn in enumerate(turns) if turn.role == "user" and len(_words(turn.text)) >= 2]
    if len(turns) < LEAST_FOR_DRIFT or len(spoken) < 4:
        return []
    task = frozenset[str]().union(*(words for turn in turns[:TASK] if len(words := _words(turn.text)) > 1))
    late = [i for i in spoken[-3:] if i >= TASK]
    away = [i for i in late if len(_words(turns[i].text) & task) / len(_words(turns[i].text)) <= DRIFT]
    if len(late) < 3 or len(away) < len(late):
        return []
    # a later part of the task still shares words with what was said just before it
    middle = frozenset[str]().union(*(_words(turn.text) for turn in turns[TASK : late[0]]))
    if any(_words(turns[i].text) & middle for i in away):
        return []
    return [Evidence("the last turns share no word with the task", tuple(away))]


def _exploring(turns: Sequence[Said]) -> list[Evidence]:
    first = max(0, len(turns) - WINDOW)
    looks = [i for i in range(first, len(turns)) if _of(turns[i], ("explore", "plan", "recall"), _LOOKS)]
    made = [i for i in range(first, len(turns)) if _of(turns[i], ("implement", "decide", "report_progress"), _MAKES)]
    made += [i for i in range(first, len(turns)) if _progress(turns[i])]
    if made or not looks or 2 * len(looks) < len([t for t in turns[first:] if t.role != "assistant"]):
        return []
    return [Evidence(f"{len(looks)} turns look around or plan, none makes something", tuple(looks))]


def _on_track(turns: Sequence[Said]) -> tuple[Evidence, ...]:
    first = max(0, len(turns) - WINDOW)
    progress = tuple(i for i in range(first, len(turns)) if _progress(turns[i]))
    work = tuple(i for i in range(first, len(turns)) if _of(turns[i], ("implement", "verify", "decide"), _MAKES))
    found = []
    if progress:
        found.append(Evidence("progress was told", progress))
    if work:
        found.append(Evidence("something is being made", work))
    return tuple(found) or (Evidence("nothing speaks against it", ()),)


def _trouble(turn: Said) -> bool:
    return turn.failed or turn.intent == "correct" or _TROUBLE.search(turn.text) is not None


def _progress(turn: Said) -> bool:
    if turn.failed or turn.role == "tool" or _TROUBLE.search(turn.text):
        return False
    found = _PROGRESS.search(turn.text)
    return found is not None and not _NEGATED.search(turn.text[max(0, found.start() - 20) : found.start()])


def _of(turn: Said, intents: tuple[str, ...], words: re.Pattern[str]) -> bool:
    if turn.role == "tool":
        return False
    return turn.intent in intents if turn.intent else words.search(turn.text) is not None


def _words(text: str) -> frozenset[str]:
    return frozenset(w for w in _WORD.findall(text[:2_000].casefold()) if w not in _STOP)


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / max(1, len(a | b))


