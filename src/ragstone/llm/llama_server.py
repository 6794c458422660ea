"""A running llama.cpp server as its users see it: prompts counted exactly, calls in slots."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..types import Call, Delta, Message
from .openai import OpenAIChat
from .slots import Slots
from .transport import client, get_json
from .warm import Warm

LABEL = "The local model"
ANSWER_SECONDS = 30.0
ACT_SECONDS = 120.0
"""Saving and restoring move gigabytes at worst."""

log = logging.getLogger(__name__)


class Running:
    """The server of a state file. `found`: it ran before anyone here asked. Safe from several threads."""

    def __init__(self, warm: Warm, name: str, folder: Path, *, saved_bytes: int, found: bool) -> None:
        self.warm = warm
        self.found = found
        self._name = name
        self._url = f"http://127.0.0.1:{warm.port}"
        self._http = client({"authorization": f"Bearer {warm.key}"})
        self._window = 0
        self.slots = Slots(
            folder,
            warm.slots,
            child=warm.pid,
            model=f"{warm.model}\0{warm.stamp}",
            act=self._act,
            saved_bytes=saved_bytes,
        )
        self._chats = [
            OpenAIChat(
                f"{self._url}/v1", name, api_key=warm.key, extra={"id_slot": n, "cache_prompt": True}, label=LABEL
            )
            for n in range(warm.slots)
        ]

    @property
    def window(self) -> int:
        """Of one slot; what is there, never more than the model was trained with."""
        if not self._window:
            answer = get_json(self._http, f"{self._url}/v1/models", name=LABEL, seconds=ANSWER_SECONDS)
            meta = answer["data"][0]["meta"]
            self._window = min(int(meta["n_ctx"]), int(meta["n_ctx_train"]))
        return self._window

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt exactly as it will be computed: by the model's own template and vocabulary."""
        listed = [{"role": m.role, "content": m.content} for m in messages]
        prompt = self._post("/apply-template", {"messages": listed})["prompt"]
        body = {"content": prompt, "add_special": True, "parse_special": True}
        return len(self._post("/tokenize", body)["tokens"])

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        with self.slots.hold(call) as held:
            for delta in self._chats[held.number].stream(messages, call):
                if delta.usage is not None:
                    held.count(delta.usage)
                yield delta

    def prepare(self, messages: Sequence[Message]) -> None:
        """Computes the beginning that prompts share in every slot that nobody used yet: in one of them, from which the
        others copy it."""
        fresh = self.warm.slots - len(self.slots.records())
        with contextlib.ExitStack() as stack:
            for copy in range(fresh):
                held = stack.enter_context(self.slots.hold(Call(1)))
                if not (copy and self.slots.copied_to(held.number)):
                    for _delta in self._chats[held.number].stream(messages, Call(1)):
                        pass
                    if copy + 1 < fresh:
                        stack.enter_context(self.slots.copying(held.number))

    def save(self) -> None:
        self.slots.save()

    def erase(self) -> None:
        for number in range(self.warm.slots):
            try:
                self._act(number, "erase", "")
            except ModelError as error:
                log.debug("slot %d was not erased: %s", number, error)  # it is before its next use

    def close(self) -> None:
        for chat in self._chats:
            chat.close()
        self._http.close()

    def _act(self, number: int, action: str, file: str) -> None:
        get_json(
            self._http,
            f"{self._url}/slots/{number}?action={action}",
            name=LABEL,
            body={"filename": file},
            seconds=ACT_SECONDS,
        )

    def _post(self, path: str, body: object) -> dict[str, Any]:
        answer = get_json(self._http, f"{self._url}{path}", name=LABEL, body=body, seconds=ANSWER_SECONDS)
        if not isinstance(answer, dict):
            raise ModelError(f"{LABEL} answered {path} with something else.", "Update xllamacpp.")
        return answer
