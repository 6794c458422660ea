"""Function words and verbs, German and English."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ..text.stopwords import STOP_WORDS

_CLOSED = """
    i you he she it we they me him her us them my your his its our their mine yours this that these those who whom
    which what whose where when why how a an the and or but nor so yet if then else than as at by for from in into
    of off on onto out over per to up via with within without about above across after against along among around
    before behind below beneath beside besides between beyond despite down during except inside like near outside
    past since through throughout till toward towards under until upon is are was were be been being am do does did
    done have has had having will would shall should can could may might must not no yes all any both each either
    every few many more most much neither none other others another some such only own same too very just also even
    still again once here there now ever never always often sometimes usually however therefore thus hence although
    though because while whereas unless whether etc eg ie new first second last next one two three four five six
    seven eight nine ten several various different able known used using based given made well good best better
    later early soon almost der die das den dem des ein eine einen einem einer eines und oder aber denn sondern doch
    jedoch sowie wie als ob dass weil wenn falls da damit obwohl während bevor nachdem seit bis nach vor über unter
    neben zwischen hinter für gegen ohne um durch an auf aus außer bei mit von zu zum zur im ins am vom beim ans
    aufs er sie es wir ihr ich du man sich mich dich uns euch mein dein sein unser euer kein keine keinen nicht nur
    auch noch schon immer sehr mehr viel viele wenig wenige alle jede jeder jedes jeden jedem dieser diese dieses
    diesen diesem jener jene welche welcher welches hier dort dann nun jetzt heute morgen gestern so zwei drei vier
    fünf sechs sieben acht neun zehn ist sind war waren wird werden wurde wurden worden hat haben hatte hatten kann
    können könnte muss müssen soll sollen sollte darf dürfen mag möchte bin bist seid habe wäre würde beispielsweise
    bzw sowohl weder entweder
"""
_PREPOSITIONS = """
    of in on at by for from to with into under over between through via after before against about within von im in
    an am auf aus bei mit für nach vor über unter zwischen durch zu zum zur gegen seit des der vom
"""
_ENGLISH = """
    accept access act activate add allow appear apply ask assign become begin belong block build buy call carry
    cause change check choose clear close collect combine come compare compete compute configure confirm connect
    consist contain continue control convert cover create decide define delete deliver deny depend describe design
    detect determine develop direct disable display divide drive drop employ enable end ensure enter establish
    execute exist expect explain export extend fail feed fill find finish fit follow force form found generate get
    give go grow handle help hold implement import improve include increase indicate influence inform initialize
    inject insert install integrate interrupt introduce invoke join keep know launch lead leave let limit link list
    load locate log lose maintain make manage map mark marry measure meet merge monitor mount move name need notify
    occur offer open operate own pass perform play point prevent print process produce protect prove provide publish
    pull push put raise reach read receive record reduce refer reference register reject relate release remove
    replace report represent require reset resolve respond restart result return run save say see seem select sell
    send serve set share show signal specify split start stop store study supply support switch take teach tell
    terminate test trigger turn update use validate wait want watch win work write
"""
_ENGLISH_STRONG = """
    became began bought brought built came chose drove fed fell felt found fought gave got grew held hid kept knew
    known led left lent lost made met paid ran read rose said sang sat saw sent set shot showed sold spoke spent
    stood taken taught told took thought went won wore wrote born written driven given held done begun chosen
"""
_ENGLISH_NOUNS = """
    access act block call change control cover design display drive end export feed form help hold import increase
    influence limit link list load log map mark measure need offer play point print process report result return
    record reference register release reset share signal split start store study supply support switch test trigger
    turn update use watch work
"""
_GERMAN = """
    aktivier änder anzeig arbeit befind beginn begrenz beinhalt bekomm benötig benutz berechn beschreib besitz
    besteh bestimm betreib bild biet bring definier deaktivier dien einstell empfang enthält enthalt entsprech
    entwickel erfolg erfordert erhält erhalt ermöglich erstell erzeug fehl find folg führ geb gehör gelt gewinn gib
    gilt gründ halt häng heiß hol initialisier kauf komm konfigurier kontrollier läd lad läuft lauf leb leg leit
    lern les lies lös lösch mach meld mess nehm nenn nimm nutz öffn prüf quittier reagier regel regier richt ruf
    schalt schick schließ schreib send setz sicher sieh speicher spiel sperr spring stamm start steh steuer stopp
    teil trag trenn tret trifft überprüf übertrag übernimm überwach unterbrech unterstütz verarbeit verbind
    verhinder verlier veröffentlich versorg verwalt verwend verweis vergleich wähl wart wechsel weis wirk wohn zähl
    zeig zieh zurücksetz
"""
_GERMAN_STRONG = """
    fand kam ging gab nahm stand hielt hieß lief schrieb blieb gewann verlor begann starb wuchs wurde geboren
    enthielt bekam erhielt bestand führte gründete spielte lebte arbeitete studierte leitete
"""

CLOSED: Final = STOP_WORDS["de"] | STOP_WORDS["en"] | frozenset(_CLOSED.split())
"""Words that open, close or join a noun phrase and are never in one."""
PREPOSITIONS: Final = frozenset(_PREPOSITIONS.split())


def _english() -> frozenset[str]:
    """All forms of the verbs but those that are as often nouns: a noun phrase keeps them."""
    forms = set(_ENGLISH_STRONG.split())
    for verb in _ENGLISH.split():
        stem = verb.removesuffix("e")
        third = verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
        forms |= {verb, third, stem + "ed", stem + "ing"}
        if verb[-1] == "y" and verb[-2] not in "aeiou":
            forms |= {verb[:-1] + "ies", verb[:-1] + "ied"}
        elif len(verb) > 2 and verb[-1] not in "aeiouwxy" and verb[-2] in "aeiou" and verb[-3] not in "aeiou":
            forms |= {verb + verb[-1] + "ed", verb + verb[-1] + "ing"}
    return frozenset(forms - set(_ENGLISH_NOUNS.split()))


_VERBS: Final = _english() | frozenset(_GERMAN_STRONG.split())
_STEMS: Final = frozenset(_GERMAN.split())
_ENDINGS: Final = ("t", "et", "en", "te", "ten", "ete", "eten", "n", "e", "")


@lru_cache(maxsize=50_000)
def is_verb(word: str) -> bool:
    """Whether a lower-case word is a form of a verb that relations are named by."""
    if word in _VERBS:
        return True
    for ending in _ENDINGS:
        if word.endswith(ending) and word[: len(word) - len(ending)] in _STEMS:
            return True
    if word.startswith("ge") and word.endswith(("t", "en")):
        return word[2:].removesuffix("en").removesuffix("t") in _STEMS
    return word.endswith(("iert", "ierte", "ierten", "izes", "ized", "ifies", "ified"))
