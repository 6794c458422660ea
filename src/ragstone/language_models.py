"""Settings become the language model that answers, behind its budget: with assemble.py the place that names concrete
classes of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SettingsError
from .settings import ProviderSettings, Settings
from .types import Caller, Purpose

if TYPE_CHECKING:
    from .budget.spending import Spending
    from .llm.chain import Entry
    from .llm.local import LocalModels
    from .protocols import LLM


def language_model(settings: Settings, local: LocalModels, closers: list[Callable[[], None]]) -> LLM | None:
    """The setting answer.model is "extractive", "auto", "gateway", or KIND:NAME."""
    from .llm import OLLAMA_URL, find_llm

    answer = settings.answer
    kind, _, name = answer.model.partition(":")
    shared: dict[str, Any] = {"api_key": answer.api_key, "context": answer.context}
    if answer.model == "extractive":
        return None
    spending = open_spending(settings)
    closers.append(spending.close)
    if answer.model == "auto":
        found = find_llm("auto", base_url=answer.base_url, **shared)
    elif answer.model == "gateway":
        found = gateway(settings, spending, local)
    elif kind == "ollama" and name:
        base_url = answer.base_url or OLLAMA_URL
        found = find_llm(
            "ollama", model=name, base_url=base_url, keep_alive=answer.keep_alive, threads=answer.threads, **shared
        )
    elif kind == "openai" and name:
        found = find_llm("openai", model=name, base_url=answer.base_url, **shared)
    elif kind == "gguf" and name:
        found = _file(Path(name), settings, local, threads=answer.threads, context=answer.context)
    else:
        raise SettingsError(
            f"answer.model = {answer.model!r} is not a way to answer.",
            "Write extractive, auto, ollama:NAME, openai:NAME, gguf:PATH or gateway.",
        )
    if found is None:
        return None
    closers.insert(len(closers) - 1, found.close)  # a model that ends settles what it spent
    if answer.model == "gateway":  # which pays for each attempt
        return found
    url = answer.base_url if kind == "openai" else None
    return spending.budgeted(local.take(found), provider=kind, model=name, url=url)


def _file(path: Path, settings: Settings, local: LocalModels, *, threads: int, context: int) -> LLM | None:
    from .llm import find_llm

    models = settings.models
    return find_llm(
        "llama",
        gguf=path,
        threads=threads,
        context=context,
        state=local.state(path),
        slots=models.slots,
        saved_bytes=models.saved_mb << 20,
    )


def open_spending(settings: Settings) -> Spending:
    """The ledger of the data folder with the limits and prices of the settings; it opens when first needed. Whoever
    makes it closes it. Raises SettingsError."""
    from .budget.spending import Spending

    budget = settings.budget
    return Spending(
        settings.data.folder,
        limits=budget.limits or {},
        prices=budget.prices or {},
        alerts=[int(percent) for percent in budget.alerts],
        webhook=budget.webhook,
        caller=Caller(person=budget.person, team=budget.team),
    )


def gateway(settings: Settings, spending: Spending, local: LocalModels) -> LLM:
    """The providers of the settings behind one another, each attempt paid from the ledger. Asks none of them."""
    from .llm.breaker import BreakerFigures
    from .llm.chain import Chain, Policy
    from .llm.single_flight import SingleFlight

    g = settings.gateway
    orders: dict[Purpose, tuple[str, ...]] = {
        "chat": g.chat,
        "extraction": g.extraction or g.chat,
        "classification": g.classification or g.chat,
    }
    policy = Policy(
        breaker=BreakerFigures(g.failures, g.rest_seconds),
        retry_share=g.retry_share,
        first_token=g.first_token,
        silence=g.silence,
        hedge=g.hedge,
        local_only=g.local_only,
    )
    entries = [_entry(name, provider, settings, spending, local) for name, provider in settings.providers.items()]
    return SingleFlight(Chain(entries, policy, orders=orders))


def _entry(name: str, p: ProviderSettings, settings: Settings, spending: Spending, models: LocalModels) -> Entry:
    from .budget.money import DOLLAR
    from .budget.prices import FREE, flat
    from .llm import OLLAMA_URL, find_llm, loopback
    from .llm import anthropic as anthropic_api
    from .llm import gemini as gemini_api
    from .llm.chain import DEFAULT_CONTEXT, Conditions, Entry
    from .llm.openai import OpenAIChat

    usual = {"anthropic": anthropic_api.DEFAULT_URL, "gemini": gemini_api.DEFAULT_URL, "ollama": OLLAMA_URL}
    url = p.base_url or usual.get(p.kind, "")
    context = p.context or DEFAULT_CONTEXT
    shared: dict[str, Any] = {"api_key": p.api_key, "context": context}
    llm: LLM | None
    if p.kind == "anthropic":
        llm = anthropic_api.AnthropicChat(p.model, base_url=url, label=name, api_key=p.api_key, context=p.context)
        context = llm.context
    elif p.kind == "gemini":
        llm = gemini_api.GeminiChat(p.model, base_url=url, label=name, api_key=p.api_key, context=p.context)
        context = llm.context
    elif p.kind == "gguf":
        llm = _file(Path(p.model), settings, models, threads=p.threads, context=context)
    elif p.kind == "ollama":
        llm = find_llm("ollama", model=p.model, base_url=url, threads=p.threads, **shared)
    else:
        llm = OpenAIChat(url, p.model, label=name, **shared)
    if llm is None:
        raise SettingsError(f"providers.{name} is no model.", "Check its kind.")
    local = p.local if p.local is not None else p.kind == "gguf" or loopback(url)

    price = flat(p.input_price, p.output_price) if p.input_price is not None and p.output_price is not None else None
    terms: dict[str, Any] = {"model": p.model, "url": None if p.kind == "gguf" else url}
    terms["price"] = price or (FREE if local else None)

    def cost(prompt: int, written: int) -> float | None:
        known = spending.price(name, **terms)
        return None if known is None else known.bound(prompt, written) / DOLLAR

    conditions = Conditions(context, p.languages, local, p.max_cost, p.first_token)
    return Entry(name, spending.budgeted(models.take(llm), provider=name, **terms), conditions, cost)
