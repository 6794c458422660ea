"""A graph in a form that two data folders can be compared by, and texts whose graphs overlap."""

from __future__ import annotations

from typing import Any

from ragstone.knowledge_base import KnowledgeBase

SENTENCES = (
    "Der Timer TON der IEC 61131-3 startet die Pumpensteuerung der Firma Siemens AG in München.",
    "Die speicherprogrammierbare Steuerung (SPS) liest den Sensor S1.",
    "Eine SPS der Siemens AG steuert die Pumpe P101 und den Motor M1.",
    "Der Motor M1 kommt von Bosch aus Stuttgart.",
    "Die Motoren treiben Pumpen an, und die Steuerung der Pumpen überwacht sie.",
    "A programmable logic controller starts the motor M2 in Stuttgart.",
    "Motors of Bosch are tested by Anna Schneider in Munich.",
    "Anna Schneider and Paul Weber wrote about the Timer TON.",
    "Ein Timer ist ein Zeitglied. Zeitglieder verzögern Signale.",
    "Die Fa. Müller-Lüdenscheidt liefert Sensoren an die Müller Lüdenscheidt GmbH.",
    "FB_Timer1 ruft FB_Timer2 auf, wenn %IX0.0 gesetzt ist.",
    "Der Motor M1 kommt von Bosch aus Stuttgart. Der Sensor S1 meldet den Motor M2.",
)


def told(kb: KnowledgeBase, collection: str = "default") -> dict[str, Any]:
    """Everything that the graph says, with chunks by document and place."""
    view = kb.graph.view(collection)
    entities = list(view.entities)
    chunks = {chunk.id: (chunk.uri, chunk.ordinal) for chunk in kb.store.chunks(view.chunks.tolist())}
    places = [chunks[id_] for id_ in view.chunks.tolist()]
    return {
        "entities": entities,
        "forms": {form: [entities[n].id for n in view.forms[form]] for form in view.forms},
        "edges": [
            (entities[a].id, entities[b].id, float(s))
            for a, b, s in zip(view.heads, view.tails, view.strengths, strict=True)
        ],
        "members": {
            place: [
                (entities[n].id, float(share))
                for n, share in zip(
                    view.members[view.starts[i] : view.starts[i + 1]],
                    view.shares[view.starts[i] : view.starts[i + 1]],
                    strict=True,
                )
            ]
            for i, place in enumerate(places)
        },
    }
