"""A stand-in for a model that reads passages for the graph, on a real socket."""

from __future__ import annotations

import json
import re
from typing import Any

from model_servers import OpenAIHandler, Script


class Reading(OpenAIHandler):
    """Names the valve and the tank of each passage, something that stands nowhere, and how they belong together. Its
    script counts what was asked; `script.words` other than the usual ones are said instead."""

    def _body(self) -> dict[str, Any]:
        body = super()._body()
        if "messages" in body and not getattr(self.script, "stubborn", False):
            prompt = next(m["content"] for m in reversed(body["messages"]) if "[1]" in m["content"])
            more = body["messages"][-1]["content"].startswith("Some were missed")
            passages = re.findall(r"\[(\d+)\][^\n]*\n(.*?)(?=\n\n\[|\Z)", prompt, re.S)
            self.script.words = (json.dumps(self.answer(passages, more=more), ensure_ascii=False),)
        return body

    def answer(self, passages: list[tuple[str, str]], *, more: bool) -> dict[str, Any]:
        entities: list[dict[str, Any]] = []
        relations: list[dict[str, Any]] = []
        for number, text in passages:
            found = re.search(r"(valve \d+) (\w+) (tank \d+)", text)
            if found is None:
                continue
            if more:
                entities.append({"passage": int(number), "name": "Plant", "kind": "term"})
                continue
            valve, verb, tank = found.groups()
            names = (f"the {valve}", tank.upper(), "Loch Ness")
            entities += [{"passage": int(number), "name": name, "kind": "identifier"} for name in names]
            relations.append({"passage": int(number), "head": valve, "label": verb, "tail": tank})
        return {"entities": entities, "relations": relations}


def script(*words: str, **more: Any) -> Script:
    """With `words`, it says nothing else."""
    made = Script(**more)
    if words:
        made.words = words
        made.stubborn = True  # type: ignore[attr-defined]
    return made


def calls(script: Script) -> list[dict[str, Any]]:
    return [body for path, body, _ in script.requests if path.endswith("completions")]
