"""Hints of errors, for an agent: it has tools and no command line.

A command in a hint that a tool does the work of becomes the name of the tool; any other is for the person to run, and
the hint says so.
"""

from __future__ import annotations

import re
from typing import Final

TOOLS: Final = {
    "add": "add_document", "ask": "ask", "forget": "forget", "intent": "intent", "learn": "learn",
    "graph find": "graph_find", "graph show": "graph_neighbours", "graph path": "graph_path",
    "graph merge": "graph_merge", "graph split": "graph_split",
    "list": "describe_collection", "memory projects": "list_projects", "memory create": "change_project",
    "memory switch": "change_project", "memory archive": "change_project", "recall": "recall",
    "remember": "remember", "search": "search", "status": "list_collections", "timeline": "timeline",
    "trajectory": "trajectory",
}  # fmt: skip
"""By the words of the command after `ragstone`."""
_COMMAND = re.compile(r"`ragstone ([a-z]+)(?: ([a-z]+))?([^`]*)`")
PERSON: Final = "Ask the person to do this: "


def for_agents(hint: str) -> str:
    """The hint with tools for commands; with `PERSON` before it where a command is left."""
    left = False

    def tool(found: re.Match[str]) -> str:
        nonlocal left
        name = TOOLS.get(f"{found[1]} {found[2]}", TOOLS.get(found[1]))
        left = left or name is None
        return found[0] if name is None else f"`{name}`"

    said = _COMMAND.sub(tool, hint)
    return PERSON + said if left else said
