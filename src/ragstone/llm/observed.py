"""A language model whose calls are counted, timed and told as spans."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence

from ..errors import RagstoneError
from ..observe import genai, spans
from ..observe.instruments import CALL_SECONDS, CALLS, FIRST_TOKENS, TOKENS
from ..protocols import LLM
from ..types import Call, Delta, Message, Usage


class Observed:
    """`llm` under the name `label` (a provider of the settings, or its kind)."""

    def __init__(self, llm: LLM, label: str) -> None:
        self._llm = llm
        self._label = label

    @property
    def name(self) -> str:
        return self._llm.name

    @property
    def context(self) -> int:
        return self._llm.context

    def close(self) -> None:
        self._llm.close()

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        span = spans.start(
            f"{genai.CHAT} {self._label}", genai.request(self._label, self.name, call.max_tokens), kind="client"
        )
        yield from spans.following(span, self._counted(span, messages, call))

    def _counted(self, span: spans.Span, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        started, usage, finish, outcome = time.perf_counter(), Usage(), "", "closed"
        began = False
        deltas = self._llm.stream(messages, call)
        try:
            for delta in deltas:
                if delta.text and not began:
                    began = True
                    FIRST_TOKENS.observe(time.perf_counter() - started, self._label)
                usage, finish = delta.usage or usage, delta.finish or finish
                if finish:
                    outcome = "ok"
                yield delta
        except RagstoneError as error:
            outcome = error.code
            raise
        finally:
            if isinstance(deltas, Generator):
                deltas.close()
            CALLS.add(1.0, self._label, outcome)
            CALL_SECONDS.observe(time.perf_counter() - started, self._label)
            for kind, count in (
                ("prompt", usage.prompt_tokens),
                ("cached", usage.cached_tokens),
                ("completion", usage.completion_tokens),
            ):
                if count:
                    TOKENS.add(count, self._label, kind)
            span.set(genai.response(usage.prompt_tokens, usage.completion_tokens, finish))
