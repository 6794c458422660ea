"""Where conversations go, labelled by hand: twenty short ones, ten in each language, written for this test."""

from __future__ import annotations

import pytest

from ragstone.intent.trajectory import Said, trajectory

CONVERSATIONS: tuple[tuple[str, str], ...] = (
    ("exploring", "u:Show me how the importer works.|a:It reads rows and writes them.|u:Where is the batch size set?|a:In settings.py.|u:What are our options to make it faster?"),
    ("exploring", "u:Give me an overview of this project.|a:It has three parts.|u:Which part reads files?|a:The reader.|u:How does it choose a format?"),
    ("exploring", "u:Zeig mir die Struktur des Projekts.|a:Es gibt drei Ordner.|u:Was macht der erste?|a:Er enthält die Leser.|u:Wo ist die Konfiguration?"),
    ("exploring", "u:Welche Möglichkeiten haben wir für den Cache?|a:Redis oder ein Wörterbuch.|u:Wie groß wäre das?|a:Etwa 30 MB."),
    ("on track", "u:Add a retry to the upload.|a:I added it in upload.py.|u:Run the tests.|t:214 passed|a:All tests pass.|u:Great, update the changelog."),
    ("on track", "u:The page is blank.|a:The template was missing.|u:Fix it please.|a:Done, the page shows again.|u:Thanks, now rename the title."),
    ("on track", "u:Schreib eine Funktion für den Kopf.|a:Ist fertig, mit Tests.|u:Ergänze noch die Doku.|a:Erledigt.|u:Gut, weiter mit dem Fuß."),
    ("on track", "u:Der Build bricht ab.|t!:error: node 18|a:Mit Node 22 läuft der Build wieder.|u:Super, setze das überall um."),
    ("stuck", "u:The build fails.|a:Try a clean build.|u:It still fails.|a:Then update node.|u:That does not help, error again.|a:Remove the lock file.|u:Still broken."),
    ("stuck", "u:Deploy it.|t!:exit code 1: no space|a:I will free some space first.|t!:permission denied on disk 2|a:Let me use sudo.|t!:sudo: a password is required"),
    ("stuck", "u:Der Login geht nicht.|a:Cookies löschen.|u:Das hilft nicht.|a:Anderen Browser nehmen.|u:Geht immer noch nicht.|a:Neu starten.|u:Schon wieder dasselbe."),
    ("stuck", "u:Änder die Überschrift.|a:Ist geändert.|u:Nein, das war die falsche.|a:Jetzt die zweite.|u:Das ist falsch.|a:Und nun?|u:Nein, das auch nicht, mach es rückgängig."),
    ("looping", "t:pytest -x tests/a.py|t!:KeyError: name in row two|a:I change the row.|t:pytest -x tests/a.py|t!:KeyError: name in row two|a:I change the header.|t:pytest -x tests/a.py|t!:KeyError: name in row two"),
    ("looping", "u:Open the settings page.|a:Which one do you mean?|u:Open the settings page.|a:Which one do you mean?|u:Open the settings page.|a:Which one do you mean?"),
    ("looping", "u:Lies die Datei config.toml.|t:cat config.toml|a:Ich lese die Datei noch einmal.|t:cat config.toml|a:Ich lese die Datei noch einmal.|t:cat config.toml|a:Ich lese die Datei noch einmal."),
    ("looping", "u:Die Pumpe startet nicht.|a:Bitte prüfen Sie den Schalter der Pumpe.|u:Der ist an.|a:Bitte prüfen Sie den Schalter der Pumpe.|u:Habe ich.|a:Bitte prüfen Sie den Schalter der Pumpe."),
    ("drifting", "u:Add a retry to the upload code.|a:I will look at upload.py.|u:Use exponential backoff there.|a:Fine.|u:By the way, have you seen the football match?|a:No, tell me.|u:Madrid scored three goals yesterday evening.|a:Nice.|u:My brother bought tickets for Saturday."),
    ("drifting", "u:We need an index on the orders table.|a:On which column?|u:On the customer column of orders.|a:Good.|u:Which restaurant serves good pizza nearby?|a:Luigi.|u:Would they deliver vegan dessert too?|a:Probably.|u:Let me call grandma about her birthday."),
    ("drifting", "u:Der Sensor liefert falsche Werte.|a:Ich sehe mir den Sensor an.|u:Die Werte springen um zehn Grad.|a:Verstanden.|u:Gestern war ich übrigens am See baden.|a:Schön.|u:Meine Tochter lernt gerade Geige spielen.|a:Toll.|u:Am Samstag grillen unsere Nachbarn."),
    ("drifting", "u:Übersetze bitte die Anleitung der Presse.|a:Ins Englische?|u:Ja, die Anleitung komplett übersetzen.|a:Gut.|u:Welche Aktien steigen momentan besonders?|a:Das weiß ich nicht.|u:Bitcoin verlor letzte Woche viel.|a:Aha.|u:Mein Onkel spekuliert gern damit."),
)  # fmt: skip
ROLES = {"u": "user", "a": "assistant", "t": "tool"}


def turns(told: str) -> list[Said]:
    parts = (part.partition(":") for part in told.split("|"))
    return [Said(text, ROLES[who[0]], failed=who.endswith("!")) for who, _, text in parts]


@pytest.mark.parametrize(("course", "told"), CONVERSATIONS)
def test_labelled_conversations(course: str, told: str) -> None:
    said = turns(told)
    found = trajectory(said)
    assert found.course == course, found
    for evidence in found.evidence:
        assert evidence.reason
        assert all(0 <= i < len(said) for i in evidence.turns)


def test_progress_ends_a_loop() -> None:
    told = dict(CONVERSATIONS)["looping"]
    ended = trajectory([*turns(told), Said("It is fixed, the pump runs.", "assistant")])
    assert ended.course != "looping"


def test_evidence_names_the_turns() -> None:
    found = trajectory(turns(next(told for course, told in CONVERSATIONS if course == "looping")))
    assert any(e.turns == (1, 4, 7) and e.reason == "the same error 3 times" for e in found.evidence)


def test_intents_decide_where_they_are_known() -> None:
    said = [Said("mhm, the importer", "user", intent="explore"), Said("the reader then", "user", intent="explore")]
    assert trajectory(said).course == "exploring"
    assert trajectory([]).course == "on track"
