"""Words that frame a question and say little about its subject: "which *type* of", "wie *nennt* man", "what *year*".

They are rare among the sentences of the hits, so their inverse frequency alone would make them look important. Given
as plain words and stored as index terms, so that they match whatever the analysis makes of them.
"""

from __future__ import annotations

from functools import cache

from ..text.analysis import analyzer

_WORDS = {
    "en": """name names named call called known kind kinds type types sort year years date day time times people
        person someone many much number amount percent percentage part parts use used using mean means meant word
        term happen happened happens give given gives take took taken make made makes become became get got find
        found say said says tell show shown begin began start started end ended large largest big main first last
        also according example different main most more less least long far old often like want think believe
        consider considered describe described refer referred include included including play played live lived
        occur occurred cause caused reason way ways place country city located form would could should
        e g i etc ca approximately about""",
    "de": """name namen nennen nennt genannt genannte heißen heißt hieß bezeichnet bezeichnung bekannt art arten typ
        typen sorte jahr jahre jahren jahres datum tag zeit zeiten zeitpunkt mensch menschen person personen leute
        anzahl zahl menge prozent prozentsatz teil teile verwenden verwendet benutzt nutzen genutzt bedeuten bedeutet
        bedeutung wort begriff passieren passiert passierte geschehen geschah geben gibt gab gegeben nehmen nahm
        genommen machen macht machte gemacht finden fand gefunden sagen sagt sagte gesagt zeigen zeigt gezeigt
        beginnen begann begonnen anfangen ende enden endete groß größte größten wichtigste erste ersten letzte
        laut gemäß beispiel verschieden verschiedene meisten mehr weniger lange weit oft glauben gehören gehört
        beschreiben beschrieben beinhalten enthalten spielen spielte leben lebte lebten entstehen entstand
        verursacht grund weise ort land stadt liegen liegt lag form kommen kam gekommen gehen ging stehen stand
        z b d h u usw bzw ca etwa ungefähr""",
}


@cache
def frame() -> frozenset[str]:
    """The index terms of these words, in every form the analysis gives them."""
    return frozenset(t for language, words in _WORDS.items() for t in analyzer(language).words(words))
