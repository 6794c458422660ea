"""Settings that are right one by one and do not go together."""

from __future__ import annotations

from ..errors import SettingsError
from .documents import EmbeddingSettings
from .sections import Settings


def refuse_contradictions(settings: Settings) -> None:
    e, a = settings.embedding, settings.answer
    if e.path is not None and e.endpoint:
        raise SettingsError("embedding.path and embedding.endpoint are both set.", "Keep one of them.")
    if e.sha256 and e.path is None:
        raise SettingsError("embedding.sha256 is set without embedding.path.", "Packaged models are pinned already.")
    if e.precision == "int8" and e.provider != "cpu":
        raise SettingsError(
            f"embedding.precision is int8 ({settings.origin('embedding.precision')}) with provider {e.provider}.",
            "8-bit products run on the processor only: set precision to auto, or provider to cpu.",
        )
    if e.precision != "auto" and (e.path is not None or e.endpoint or e.model != EmbeddingSettings().model):
        raise SettingsError(
            f"embedding.precision is set ({settings.origin('embedding.precision')}), but not for the default model.",
            "Remove it: other models are run as they are.",
        )
    kind, colon, name = a.model.partition(":")
    named = bool(colon and name and kind in ("ollama", "openai", "gguf"))
    if a.model not in ("extractive", "auto", "gateway") and not named:
        raise SettingsError(
            f"answer.model is {a.model!r} ({settings.origin('answer.model')}).",
            "Use extractive, auto, ollama:NAME, openai:NAME, gguf:PATH or gateway.",
        )
    _gateway_contradictions(settings)
    for percent in settings.budget.alerts:
        if not percent.isdecimal() or not 0 < int(percent) <= 100:
            raise SettingsError(
                f"budget.alerts has {percent!r} ({settings.origin('budget.alerts')}).", "Write percents from 1 to 100."
            )
    for key in ("embedding.endpoint", "answer.base_url", "budget.webhook"):
        section, name = key.split(".")
        address = getattr(getattr(settings, section), name)
        if address and not address.startswith(("http://", "https://")):
            raise SettingsError(
                f"{key} is {address!r} ({settings.origin(key)}).", "It must start with http:// or https://."
            )


def _gateway_contradictions(settings: Settings) -> None:
    providers, a, g = settings.providers, settings.answer, settings.gateway
    if a.model == "gateway" and not providers:
        raise SettingsError(
            f"answer.model is gateway ({settings.origin('answer.model')}), and there is no provider.",
            "Add a section [providers.NAME].",
        )
    for purpose in ("chat", "extraction", "classification"):
        for name in getattr(g, purpose):
            if name not in providers:
                origin = settings.origin(f"gateway.{purpose}")
                raise SettingsError(
                    f"gateway.{purpose} names {name!r} ({origin}), which is no provider.",
                    f"Add a section [providers.{name}], or use one of: {', '.join(providers) or 'none yet'}.",
                )
    for name, p in providers.items():
        place = f"providers.{name}"
        if p.kind == "openai" and not p.base_url:
            raise SettingsError(f"{place}.base_url is not set.", "A server of kind openai needs its address.")
        if p.kind in ("anthropic", "gemini", "gguf") and not p.model:
            raise SettingsError(f"{place}.model is not set.", f"A provider of kind {p.kind} needs it.")
        if p.base_url and not p.base_url.startswith(("http://", "https://")):
            raise SettingsError(f"{place}.base_url is {p.base_url!r}.", "It must start with http:// or https://.")
        if (p.input_price is None) != (p.output_price is None):
            raise SettingsError(f"{place} has one of input_price and output_price.", "Set both, or none.")
