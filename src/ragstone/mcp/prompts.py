"""Prompts: what people often ask an agent to do with this server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mcp import types

from ..errors import InputError, NotFound

MOST_ARGUMENT: Final = 4_000


@dataclass(frozen=True, slots=True)
class _Prompt:
    title: str
    description: str
    arguments: Mapping[str, tuple[str, bool]]
    """Name → (what it is, whether it has to be given)."""
    text: Callable[[Mapping[str, str]], str]


def _answer(given: Mapping[str, str]) -> str:
    return (
        f"Answer this question from my documents: {given['question']}\n\n"
        "Call search, with other words again where the passages do not suffice, and get_span where more text around a "
        "passage is needed. Say for every statement which document it is from. Where the documents do not answer it, "
        "say so instead of guessing."
    )


def _keep(given: Mapping[str, str]) -> str:
    about = f" about {given['topic']}" if given.get("topic") else ""
    return (
        f"Keep what we found out{about} in this conversation: call remember once for each decision, fact, problem, "
        "solution and preference that will matter later, each in one whole sentence that can be understood alone. Use "
        "a key and a value for facts that can change. Leave out what only a document claimed. Then list what you kept."
    )


def _brief(given: Mapping[str, str]) -> str:
    since = given.get("since") or "the last seven days"
    return (
        f"Brief me on what happened and was decided since {since}: call timeline and list_projects, and recall for "
        "what is still open. Tell decisions, open problems and what changed, newest first, in at most ten lines."
    )


def _begin(given: Mapping[str, str]) -> str:
    return (
        f"Before we begin with this task: {given['task']}\n\nCall recall for decisions, preferences and known problems "
        "that concern it, and search for documents that do. Tell me in a few lines what is known and what contradicts "
        "the task, then propose how to begin."
    )


PROMPTS: Final[Mapping[str, _Prompt]] = {
    "answer_from_documents": _Prompt(
        "Answer from my documents", "Answer a question with sources.", {"question": ("The question.", True)}, _answer
    ),
    "keep_what_we_learned": _Prompt(
        "Keep what we learned", "Remember the results of this conversation.",
        {"topic": ("Only what concerns this.", False)}, _keep,
    ),
    "brief_me": _Prompt(
        "Brief me", "What happened and was decided lately.", {"since": ("A date or words for a time.", False)}, _brief
    ),
    "begin_task": _Prompt(
        "Begin a task", "Look up what is known before work begins.", {"task": ("What is to be done.", True)}, _begin
    ),
}  # fmt: skip


def listed() -> types.ListPromptsResult:
    return types.ListPromptsResult(
        prompts=[
            types.Prompt(
                name=name, title=one.title, description=one.description,
                arguments=[
                    types.PromptArgument(name=argument, description=said, required=needed)
                    for argument, (said, needed) in one.arguments.items()
                ],
            )
            for name, one in PROMPTS.items()
        ]
    )  # fmt: skip


def got(name: str, arguments: Mapping[str, str]) -> types.GetPromptResult:
    """Raises NotFound, InputError."""
    prompt = PROMPTS.get(name)
    if prompt is None:
        raise NotFound("there is no such prompt.", f"Prompts are {', '.join(PROMPTS)}.")
    for argument, (_, needed) in prompt.arguments.items():
        if needed and not arguments.get(argument, "").strip():
            raise InputError(f"the prompt needs {argument}.", "Give it.")
    for argument, value in arguments.items():
        if argument not in prompt.arguments:
            raise InputError(f"the prompt has no argument {argument[:40]!r}.", f"It has {', '.join(prompt.arguments)}.")
        if len(value) > MOST_ARGUMENT:
            raise InputError(f"{argument} is longer than {MOST_ARGUMENT} characters.", "Shorten it.")
    message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=prompt.text(arguments)))
    return types.GetPromptResult(description=prompt.description, messages=[message])
