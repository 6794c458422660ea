"""Names of OpenTelemetry's semantic conventions for generative AI that spans use, in one place: they are still being
worked out, and whoever follows a change follows it here. Messages are not told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .spans import Value

CHAT: Final = "chat"
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"


def request(provider: str, model: str, max_tokens: int) -> Mapping[str, Value]:
    return {OPERATION: CHAT, PROVIDER: provider, REQUEST_MODEL: model, MAX_TOKENS: max_tokens}


def response(prompt_tokens: int, completion_tokens: int, finish: str) -> Mapping[str, Value]:
    told: dict[str, Value] = {INPUT_TOKENS: prompt_tokens, OUTPUT_TOKENS: completion_tokens}
    return told | ({FINISH_REASONS: (finish,)} if finish else {})
