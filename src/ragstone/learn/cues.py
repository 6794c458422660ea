"""Words that tell what kind of thing a sentence states, in German and English, each with how far it is to be trusted.

Weights were set by hand, in steps of a twentieth: they order cues, and nothing measured them. Several cues of one type
add up as independent evidence.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from ..memory_types import Type

_DECISION: Final = (
    (0.9, r"(?<!as )\b(?:we|i)(?:'ve| have)? (?:have )?(?:decided|agreed|settled|chose|chosen|opted)\b"),
    (0.85, r"\b(?:the )?(?:decision|plan|verdict) (?:is|was|stands|is settled)\b"),
    (0.8, r"\blet'?s (?:go with|use|stick (?:with|to)|switch to|drop|take)\b"),
    (0.8, r"\bwe(?:'ll| will|'re going to| are going to) (?:use|go with|keep|add|switch|drop|move|store|ship|stick|"
          r"take|not)\b"),
    (0.85, r"\b(?:from now on|going forward|starting today),? (?:we|all|every)\b"),
    (0.75, r"\bwe (?:go|went|stick|stay) with\b"),
    (0.75, r"\b(?:agreed|settled|approved|final)\b\s*[:,]"),
    (0.9, r"\b(?:wir|ich) (?:haben|habe|hatten) (?:uns |mich )?(?:\w+ ){0,4}?(?:beschlossen|entschieden|geeinigt|"
          r"vereinbart|festgelegt)\b"),
    (0.85, r"\b(?:beschlossen|entschieden|vereinbart|festgelegt)(?: ist| wurde|:)"),
    (0.75, r"\bwir (?:nehmen|bleiben bei|verwenden (?:ab|künftig)|setzen (?:\w+ )?auf|steigen|wechseln (?:auf|zu)|"
           r"verzichten|machen es so)\b"),
    (0.75, r"\b(?:nehmen|verwerfen|hängen|legen|speichern|verwenden|benutzen|machen|behalten) wir (?:ab jetzt |"
           r"künftig |jetzt |dann |doch )?(?:die|den|das|ein|eine|einen|künftig|nur|also|doch)\b"),
    (0.8, r"\b(?:lass|lasst|lassen sie) uns (?!mal|sehen|schauen|überlegen)"),
    (0.85, r"\b(?:es bleibt (?:dabei|bei)|die entscheidung (?:ist|lautet|steht)|ab (?:jetzt|sofort) (?:\w+ )?(?:wir|"
           r"wird|werden))\b"),
)  # fmt: skip
_PROBLEM: Final = (
    (0.85, r"\b(?:the|a|one) (?:problem|issue|bug|trouble|error) (?:is|was|comes|seems|remains)\b"),
    (0.8, r"\b(?:crash(?:es|ed|ing)?|throws? (?:an?|the) (?:\w+ )?(?:\d+ )?(?:error|exception)|"
          r"fails? (?!to reproduce)|failed|failing|hangs?(?! (?:out|in|around))|times? out|runs? out of|"
          r"leaks?|freezes?|is (?:still )?(?:broken|down|stuck|corrupt(?:ed)?|too slow))\b"),
    (0.75, r"\b(?:does(?: not|n't)|do(?: not|n't)|won't|cannot|can't) (?:work|start|load|connect|open|build|compile|"
           r"respond|run|boot|find)\b"),
    (0.75, r"\b(?:has(?: not|n't)|have(?: not|n't)) (?:finished|worked|started|been able)\b"),
    (0.7, r"\b(?:something is wrong|goes wrong|get(?:s)? lost|(?:is|are) (?:missing|lost|rejected|added twice|"
          r"duplicated))\b"),
    (0.85, r"\bdas problem (?:ist|war|liegt|besteht)\b"),
    (0.8, r"\b(?:stürzt|schlägt|hängt|bricht|friert|fällt)\b.{0,60}\b(?:ab|fehl|ein|aus)\b(?! am)"),
    (0.8, r"\b(?:funktioniert|geht|läuft|startet|lädt|druckt|findet|reagiert|antwortet|"
          r"verbindet)\b.{0,50}\b(?:nicht|nicht mehr|nur noch|kein(?:e|en)?)\b"),
    (0.75, r"\b(?:bleibt\b.{0,40}\bhängen|ist (?:kaputt|defekt|abgestürzt|zu langsam|gestört)|wirft (?:einen|eine)|"
           r"klemmt|tropft)\b"),
    (0.7, r"\bseit (?:dem|der|gestern|heute|montag|dienstag|mittwoch|donnerstag|freitag)\b.{0,60}\b(?:nur|nicht|"
          r"kein\w*|falsch\w*|fehler\w*|null\w*)\b"),
    (0.65, r"\b(?:memory leak|race condition|deadlock|stack overflow|out of memory|5\d\d error|fehlermeldung)\b"),
)  # fmt: skip
_SOLUTION: Final = (
    (0.9, r"\b(?:fixe[sd]|solve[sd]|resolve[sd]|cured?) (?:it|this|that|the|by)\b"),
    (0.85, r"\b(?:(?:is|was|got) (?:fixed|solved|resolved) (?:by|with)|the (?:fix|solution|workaround|cure|"
           r"trick) (?:is|was))\b"),
    (0.75, r"\b(?:works? (?:again|now)|no longer (?:crash|fail|hang|leak|run|throw|lose)\w*|did the trick|(?:helped|"
           r"works): )"),
    (0.7, r"\b(?:after|by|since|with) (?:\w+ ){1,8}(?:it|everything|the \w+) (?:works|runs|passes|is gone|"
          r"no longer)\b"),
    (0.7, r"\bwith .{3,60}\bno longer\b"),
    (0.9, r"\b(?:die|der|das) (?:lösung|fix|abhilfe|workaround|trick) (?:ist|war|besteht)\b"),
    (0.85, r"\b(?:behoben|gelöst|repariert) (?:durch|mit|indem|wurde|ist|war)\b|\b(?:hat|"
           r"haben) (?:\w+ ){0,3}(?:geholfen|behoben|gelöst)\b"),
    (0.8, r"\b(?:läuft|geht|funktioniert|stimmt|druckt|fährt|startet|klappt)\b.{0,50}\bwieder\b"),
    (0.8, r"\b(?:ist|sind) (?:der|die|das) (?:fehler|problem|störung|meldung)\w* (?:weg|behoben|verschwunden|"
          r"gelöst)\b"),
    (0.7, r"\b(?:es|das) lag (?:an|daran)\b|\b(?:ursache|grund) (?:war|ist)\b"),
    (0.75, r"\b(?:erledigt|gelöst|behoben)[,:] .{10,}\b(?:nicht mehr|jetzt|nun|wieder)\b"),
)  # fmt: skip
_PREFERENCE: Final = (
    (0.9, r"\bi(?:'d| would)? (?:really |much |strongly )?(?:prefer|rather|favou?r)\b"),
    (0.8, r"\bi (?:really )?(?:hate|dislike|don't like|do not like|can't stand) (?!to think|that idea|it\b)"),
    (0.65, r"\bi (?:really )?(?:like|love) (?!how|that|the idea|this|those|these|our|your|seeing|it\b|to think)"),
    (0.85, r"^(?:please )?(?:(?:always|never) (?!\w+(?:ing|s)\b|fun\b|happy\b|here\b|an?\b|the\b|been\b)|"
           r"don'?t ever|do not ever|avoid)\b"),
    (0.8, r"\b(?:please|i want you to|i always want|i never want)\b.{0,40}\b(?:always|never|"
          r"the)\b.{0,60}\b(?:before|first|below|instead)\b"),
    (0.8, r"\bplease (?:always|never|don'?t|do not|avoid|keep (?:it|them|answers|your))\b"),
    (0.9, r"\b(?:ich (?:bevorzuge|hätte (?:gern|lieber)|möchte (?:lieber|immer|nie)|mag (?:kein\w*|lieber|es|gern)|"
          r"hasse)|mir (?:ist|wäre) (?:es )?lieber|am liebsten)\b"),
    (0.85, r"^(?:bitte )?(?:immer(?! wenn)|nie|niemals|vermeide)\b|\bbitte (?:immer|nie|niemals|grundsätzlich|"
           r"stets)\b"),
    (0.8, r"\b(?:bitte|benutze|verwende|schreib|nutze)\b.{0,40}\b(?:kein|keine|keinen|nie|niemals|immer|stets)\b"),
)  # fmt: skip
_PATTERN: Final = (
    (0.85, r"^(?:so |and )?(?:whenever|every time|each time|any time)\b"),
    (0.75, r"\b(?:usually|typically|as a rule|in most cases|tends? to|always (?:fails|happens|crashes|needs|takes))\b"),
    (0.7, r"\bi(?:'ve| have)? (?:noticed|observed|seen) that\b"),
    (0.85, r"^(?:immer wenn|jedes mal,? wenn|jedesmal|sobald|wann immer)\b"),
    (0.8, r"\b(?:in der regel|normalerweise|üblicherweise|meistens|erfahrungsgemäß|typischerweise|meist hilft)\b"),
    (0.7, r"\b(?:mir ist aufgefallen|uns ist aufgefallen|man sieht immer)\b"),
)  # fmt: skip
_FACT: Final = (
    (0.85, r"^(?:please )?(?:remember (?:that|the|this|my|our)|note that|keep in mind|fyi|for your information|"
           r"for the record)\b[,:]?"),
    (0.85, r"^(?:merk dir|merke dir|zur info|zur information|wichtig|beachte|notiere)\b[,:]?"),
    (0.7, r"\b(?:is|are|was|were) (?:stored|hosted|located|kept|called|named|based|due|responsible|owned|limited|"
          r"scheduled|deployed|installed|on holiday)\b"),
    (0.65, r"\b(?:runs? on|lives? (?:in|on|at)|listens on|expires? (?:after|on|in)|belongs to|depends on|ends? on|"
           r"starts? on|moved to|consists of|costs?|weighs|supports?)\b.{0,60}(?:\d|(?-i:[A-ZÄÖÜ]))"),
    (0.6, r"^(?:the|our|my|your|this|his|her) [\w' -]{2,40} (?:is|are|has|have|takes|needs) (?:\w+ ){0,6}?[\w.-]*\d"),
    (0.65, r"\b(?:steht|stehen|liegt|liegen|läuft|hängt|befindet sich|wohnt|gehört|kostet|beträgt|heißt|endet|"
           r"beginnt|fällt) (?:\w+ ){0,3}?(?:in|im|auf|unter|an|am|bei|zu|aus|bis|\d)\b"),
    (0.65, r"\b(?:ist|sind) (?:\w+ ){0,4}?(?:zuständig|verantwortlich|hinterlegt|gespeichert|installiert|erreichbar|"
           r"fällig|im urlaub)\b"),
    (0.6, r"^(?:der|die|das|unser|unsere|mein|meine|ihr|ihre) [\w' -]{2,40} (?:ist|sind|hat|haben|braucht|dauert|"
          r"lautet) (?:\w+ ){0,6}?[\w.-]*\d"),
    (0.6, r"\bfür (?:die|den|das) [\w-]+ ist (?:frau|herr|das|die|der)\b"),
)  # fmt: skip
_ALL: Final[tuple[tuple[Type, tuple[tuple[float, str], ...]], ...]] = (
    ("decision", _DECISION),
    ("problem", _PROBLEM),
    ("solution", _SOLUTION),
    ("preference", _PREFERENCE),
    ("pattern", _PATTERN),
    ("fact", _FACT),
)
_NAMED: Final[dict[str, Type]] = {
    "decision": "decision", "entscheidung": "decision", "beschluss": "decision", "problem": "problem",
    "issue": "problem", "bug": "problem", "fehler": "problem", "solution": "solution", "fix": "solution",
    "lösung": "solution", "preference": "preference", "vorliebe": "preference", "pattern": "pattern",
    "muster": "pattern", "fact": "fact", "fakt": "fact",
}  # fmt: skip
_NAME = re.compile(r"^[\s*_#>-]*(" + "|".join(_NAMED) + r")\s*\**\s*:\**\s+(?=\S)", re.I)


@cache
def _compiled() -> tuple[tuple[Type, float, re.Pattern[str]], ...]:
    return tuple((type, weight, re.compile(cue, re.I)) for type, cues in _ALL for weight, cue in cues)


def evidence(sentence: str) -> dict[Type, float]:
    """How likely the sentence states each type, by its words alone; types without a cue are left out."""
    found: dict[Type, float] = {}
    named = _NAME.match(sentence)
    if named is not None:
        found[_NAMED[named[1].casefold()]] = 0.9
    for type, weight, cue in _compiled():
        if cue.search(sentence):
            found[type] = 1 - (1 - found.get(type, 0.0)) * (1 - weight)
    return found
