"""Texts of Ragstone's own for the measure of merging: what is said, the same in other words, and what sounds alike."""

from __future__ import annotations

import random
import re
from typing import Final

OWN: Final = (
    ("We decided to use PostgreSQL for billing.", "We have decided to use PostgreSQL for billing.",
     "We decided not to use PostgreSQL for billing."),
    ("The nightly backup runs at two.", "The nightly backup is run at 2.", "The nightly backup runs at three."),
    ("Anna owns the payment service.", "The payment service is owned by Anna.", "Anna owns the login service."),
    ("Use tabs instead of spaces.", "Please use tabs instead of spaces!", "Use spaces instead of tabs."),
    ("The cache must be cleared after each deployment.", "After each deployment, the cache must be cleared.",
     "The cache must be cleared before each deployment."),
    ("Der Luftfilter wird alle sechs Monate gewechselt.", "Alle 6 Monate wird der Luftfilter gewechselt.",
     "Der Luftfilter wird alle acht Monate gewechselt."),
    ("Die Pumpe ist seit Montag defekt.", "Seit Montag ist die Pumpe defekt.", "Die Pumpe ist seit Dienstag defekt."),
    ("Wir treffen uns am Freitag um zehn.", "Am Freitag um 10 treffen wir uns.",
     "Wir treffen uns am Donnerstag um zehn."),
    ("The parser crashes on empty files.", "On empty files the parser crashes.", "The parser crashes on large files."),
    ("Restarting the worker solved the timeout.", "The timeout was solved by restarting the worker.",
     "Restarting the worker did not solve the timeout."),
    ("Customers prefer monthly invoices.", "The customers prefer monthly invoices.",
     "Customers prefer yearly invoices."),
    ("The port of the staging server is 8081.", "The staging server's port is 8081.",
     "The port of the staging server is 8082."),
    ("Feature flags live in the settings file.", "The feature flags are kept in the settings file.",
     "Passwords live in the key store."),
    ("Every merge request needs two reviewers.", "Two reviewers are needed for every merge request.",
     "Every merge request needs a green pipeline."),
    ("The login page loads slowly on mobile phones.", "On mobile phones the login page is slow to load.",
     "The login page looks broken on mobile phones."),
    ("Tom prefers dark mode in the editor.", "In the editor Tom prefers dark mode.",
     "Tom prefers light mode in the editor."),
    ("The queue fills up whenever the mail server is down.", "Whenever the mail server is down, the queue fills up.",
     "The queue empties whenever the mail server is up."),
    ("Deleting the lock file fixed the failed build.", "The failed build was fixed by deleting the lock file.",
     "Deleting the build folder freed the disk."),
    ("We will release the new version on Thursday.", "The new version will be released on Thursday.",
     "We will release the new version on Friday."),
    ("The sensor in tank 4 reports wrong values.", "Wrong values are reported by the sensor in tank 4.",
     "The sensor in tank 5 reports wrong values."),
    ("The contract with the supplier ends in December.", "In December the contract with the supplier ends.",
     "The contract with the supplier begins in December."),
    ("Maria is responsible for the data warehouse.", "Responsible for the data warehouse is Maria.",
     "Peter is responsible for the data warehouse."),
    ("Logs are kept for thirty days.", "We keep logs for 30 days.", "Logs are kept for ninety days."),
    ("The API returns 429 when a client asks too often.", "When a client asks too often, the API returns 429.",
     "The API returns 404 when a document is missing."),
    ("Our team meets every Tuesday in room twelve.", "Every Tuesday our team meets in room 12.",
     "Our team meets every Wednesday in room twelve."),
    ("The invoice template uses the old logo.", "The old logo is used in the invoice template.",
     "The invoice template uses the old address."),
    ("Uploads larger than 20 megabytes are rejected.", "We reject uploads larger than 20 megabytes.",
     "Uploads larger than 50 megabytes are rejected."),
    ("The password must be changed once a year.", "Once a year the password must be changed.",
     "The certificate must be changed once a year."),
    ("We chose Redis because it is fast.", "Redis was chosen because it is fast.",
     "We chose Kafka because it is durable."),
    ("The test suite takes nine minutes on the old machine.", "On the old machine the test suite takes 9 minutes.",
     "The test suite takes four minutes on the new machine."),
    ("Remote work is allowed on three days a week.", "On 3 days a week remote work is allowed.",
     "Remote work is allowed on two days a week."),
    ("The printer on the second floor is out of toner.", "There is no toner in the printer on the second floor.",
     "The printer on the third floor is out of paper."),
    ("Who approves the travel expenses?", "Who is it that approves travel expenses?", "Who pays the travel expenses?"),
    ("How do I reset the controller?", "How can I reset the controller?", "How do I replace the controller?"),
    ("Why does the compressor stop at night?", "Why is it that the compressor stops at night?",
     "When does the compressor stop at night?"),
    ("Where are the nightly reports stored?", "Where do we store the nightly reports?",
     "Who reads the nightly reports?"),
    ("Wir haben uns gegen Kubernetes entschieden.", "Gegen Kubernetes haben wir uns entschieden.",
     "Wir haben uns für Kubernetes entschieden."),
    ("Der Kessel wird jedes Jahr im März entkalkt.", "Jedes Jahr im März wird der Kessel entkalkt.",
     "Der Kessel wird jedes Jahr im Mai entkalkt."),
    ("Frau Weber betreut den Einkauf.", "Der Einkauf wird von Frau Weber betreut.", "Frau Weber betreut den Verkauf."),
    ("Das Ventil öffnet bei drei Bar.", "Bei 3 Bar öffnet das Ventil.", "Das Ventil schließt bei drei Bar."),
    ("Nach dem Neustart lief der Dienst wieder.", "Der Dienst lief nach dem Neustart wieder.",
     "Vor dem Neustart lief der Dienst noch."),
    ("Die Rechnung muss bis Ende Juni bezahlt werden.", "Bis Ende Juni muss die Rechnung bezahlt werden.",
     "Die Rechnung muss bis Ende Juli bezahlt werden."),
    ("Die Sicherung läuft jede Nacht um drei Uhr.", "Jede Nacht um 3 Uhr läuft die Sicherung.",
     "Die Sicherung läuft jede Nacht um vier Uhr."),
    ("Der Aufzug im Nordflügel ist gesperrt.", "Gesperrt ist der Aufzug im Nordflügel.",
     "Der Aufzug im Südflügel ist gesperrt."),
    ("Kunden wollen die Rechnung als PDF.", "Die Kunden wollen die Rechnung als PDF.",
     "Kunden wollen die Rechnung auf Papier."),
    ("Der Fehler tritt nur unter Windows auf.", "Nur unter Windows tritt der Fehler auf.",
     "Der Fehler tritt nur unter Linux auf."),
    ("Wer hat den Schlüssel für das Lager?", "Wer hat denn den Schlüssel für das Lager?",
     "Wer hat den Schlüssel für das Büro?"),
    ("Warum stoppt das Band nach dem Start?", "Warum stoppt das Band nach dem Start wieder?",
     "Warum startet das Band nach dem Stopp nicht?"),
    ("The meeting is on Monday at nine.", "Das Treffen ist am Montag um neun.", "The meeting is on Monday at eleven."),
    ("The pump needs a new seal.", "Die Pumpe braucht eine neue Dichtung.", "The pump needs a new motor."),
    ("We store all times in UTC.", "Wir speichern alle Zeiten in UTC.", "We show all times in local time."),
    ("The old server will be switched off in May.", "Der alte Server wird im Mai abgeschaltet.",
     "The old server will be switched on in May."),
    ("Julia leads the project in Hamburg.", "Julia leitet das Projekt in Hamburg.",
     "Julia leads the project in Munich."),
    ("The filter must be cleaned every week.", "Der Filter muss jede Woche gereinigt werden.",
     "The filter must be replaced every month."),
)  # fmt: skip
"""A sentence, the same again, and another thing."""

_OPENINGS: Final = ("Hi, ", "Hello! ", "Quick question: ", "Excuse me, ", "Please tell me: ")
_CLOSINGS: Final = (" Thanks!", " Thank you.", " Please help.")
_OTHER_WORDS: Final = tuple(
    (re.compile(rf"\b{pattern}\b", re.IGNORECASE), other)
    for pattern, other in (
        ("how do i", "how can I"), ("how can i", "how do I"), ("do not", "don't"), ("don't", "do not"),
        ("can't", "cannot"), ("cannot", "can't"), ("what is", "what's"), ("what's", "what is"), ("i am", "I'm"),
        ("i'm", "I am"), ("i have", "I've"), ("i've", "I have"), ("hasn't", "has not"), ("haven't", "have not"),
        ("isn't", "is not"), ("it's", "it is"), ("get", "obtain"), ("buy", "purchase"), ("purchase", "buy"),
        ("i want to", "I would like to"), ("i would like to", "I want to"), ("i need to", "I have to"),
        ("help me", "assist me"), ("wrong", "incorrect"), ("show", "display"), ("money", "funds"),
        ("phone", "mobile phone"), ("start", "begin"), ("was told", "was informed"), ("can i", "am I able to"),
        ("tried", "attempted"), ("strange", "odd"), ("charged", "billed"), ("fee", "charge"), ("verify", "confirm"),
        ("need", "require"), ("located", "situated"), ("largest", "biggest"), ("began", "started"),
    )
)  # fmt: skip


def reworded(text: str, chance: random.Random) -> str:
    """The same in other words; "" where no rule changes a word of it."""
    changed = text
    for pattern, other in _OTHER_WORDS:
        if pattern.search(text) and (pattern.search(changed)):
            changed = pattern.sub(other, changed, count=1)
    if changed == text:
        return ""
    if chance.random() < 0.3:
        changed = chance.choice(_OPENINGS) + changed[:1].lower() + changed[1:]
    if chance.random() < 0.3:
        changed += chance.choice(_CLOSINGS)
    return changed[:1].upper() + changed[1:]
