"""Settings become the language model that answers, behind its budget: with assemble.py the place that names concrete
classes of models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import SettingsError
from .settings import ProviderSettings, Settings, at
from .types import Caller, Purpose

if TYPE_CHECKING:
    from .budget.spending import Spending
    from .llm.chain import Entry
    from .llm.local import LocalModels
    from .protocols import LLM


def language_model(settings: Settings, local: LocalModels, closers: list[Callable[[], None]]) -> LLM | None:
    """The setting answer.model is "extractive", "auto", "gateway", or KIND:NAME."""
    from .llm import OLLAMA_URL, find_llm
    from .llm.observed import Observed

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
    return Observed(spending.budgeted(local.take(found), provider=kind, model=name, url=url), kind)


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


def open_model(settings: Settings, model: str, spending: Spending) -> LLM | None:
    """A language model apart from any knowledge base, paid from the ledger: None for "extractive", else the name of a
    provider of the settings, ollama:NAME, openai:NAME (or NAME@URL) or gguf:PATH. A gguf file gets a process of its
    own, which ends with `close`. The key of the settings goes to no other address than `answer.base_url`. Raises
    SettingsError; ModelError where it cannot be had."""
    from .llm import OLLAMA_URL, find_llm

    if model == "extractive":
        return None
    answer = settings.answer
    found: LLM | None = None
    terms: dict[str, Any]
    if model in settings.providers:
        provider = settings.providers[model]
        url = address(provider)
        found = _provider(model, provider, url, lambda path: _apart(path, provider.threads, _window(provider)))
        terms = {"provider": model, **_terms(provider, url)}
        return spending.budgeted(found, **terms)
    kind, _, name = model.partition(":")
    name, _, url = (name, "", "") if kind == "gguf" else name.partition("@")
    key = answer.api_key if not url or url == answer.base_url else ""
    url = url or answer.base_url
    if kind == "gguf" and name:
        found = _apart(Path(name), answer.threads, answer.context)
    elif kind == "ollama" and name:
        url = url or OLLAMA_URL
        found = find_llm("ollama", model=name, base_url=url, context=answer.context, keep_alive=answer.keep_alive)
    elif kind == "openai" and name:
        found = find_llm("openai", model=name, base_url=url, api_key=key, context=answer.context)
    if found is None:
        known = ", ".join(["extractive", *settings.providers])
        raise SettingsError(
            f"{model!r} is not a model.", f"Write {known}, gguf:PATH, ollama:NAME[@URL] or openai:NAME[@URL]."
        )
    return spending.budgeted(found, provider=kind, model=name, url=url if kind == "openai" else None)


def background_model(
    settings: Settings,
    key: Literal["memory.model", "graph.model"],
    local: Callable[[], LocalModels],
    answering: Callable[[], LLM | None],
    closers: list[Callable[[], None]],
) -> LLM | None:
    """Of a setting for work that nobody waits for. Raises SettingsError, ModelError."""
    chosen = settings.memory.model if key == "memory.model" else settings.graph.model
    if chosen in ("", "answer"):
        return answering() if chosen else None
    if chosen == "gateway" and not settings.providers:
        raise SettingsError(
            f"{key} is gateway ({settings.origin(key)}), and there is no provider.", "Add a section [providers.NAME]."
        )
    spending = open_spending(settings)
    closers.append(spending.close)
    found = gateway(settings, spending, local()) if chosen == "gateway" else open_model(settings, chosen, spending)
    if found is not None:
        closers.insert(len(closers) - 1, found.close)
    return found


def _apart(path: Path, threads: int, context: int) -> LLM | None:
    from .llm import find_llm

    return find_llm("llama", gguf=path, threads=threads, context=context)


def _entry(name: str, p: ProviderSettings, settings: Settings, spending: Spending, models: LocalModels) -> Entry:
    from .budget.money import DOLLAR
    from .llm.chain import Conditions, Entry
    from .llm.observed import Observed

    url = address(p)
    context = _window(p)
    llm = _provider(name, p, url, lambda path: _file(path, settings, models, threads=p.threads, context=context))
    if p.kind in ("anthropic", "gemini"):
        context = llm.context
    terms = _terms(p, url)

    def cost(prompt: int, written: int) -> float | None:
        known = spending.price(name, **terms)
        return None if known is None else known.bound(prompt, written) / DOLLAR

    conditions = Conditions(context, p.languages, _local(p, url), p.max_cost, p.first_token)
    paid = Observed(spending.budgeted(models.take(llm), provider=name, **terms), name)
    return Entry(name, paid, conditions, cost)


def _provider(name: str, p: ProviderSettings, url: str, from_file: Callable[[Path], LLM | None]) -> LLM:
    from .llm import anthropic, find_llm, gemini
    from .llm.openai import OpenAIChat

    if p.kind == "anthropic":
        return anthropic.AnthropicChat(p.model, base_url=url, label=name, context=p.context, api_key=p.api_key)
    if p.kind == "gemini":
        return gemini.GeminiChat(p.model, base_url=url, label=name, context=p.context, api_key=p.api_key)
    if p.kind == "openai":
        return OpenAIChat(url, p.model, label=name, context=_window(p), api_key=p.api_key)
    if p.kind == "gguf":
        llm = from_file(Path(p.model))
    else:
        llm = find_llm("ollama", model=p.model, base_url=url, threads=p.threads, context=_window(p))
    if llm is None:
        raise SettingsError(f"providers.{name} is no model.", "Check its kind.")
    return llm


def address(p: ProviderSettings) -> str:
    """Where a provider is asked; "" for a file."""
    from .llm import OLLAMA_URL, anthropic, gemini

    usual = {"anthropic": anthropic.DEFAULT_URL, "gemini": gemini.DEFAULT_URL, "ollama": OLLAMA_URL}
    return p.base_url or usual.get(p.kind, "")


def _window(p: ProviderSettings) -> int:
    from .llm.chain import DEFAULT_CONTEXT

    return p.context or DEFAULT_CONTEXT


def _local(p: ProviderSettings, url: str) -> bool:
    from .llm import loopback

    return p.local if p.local is not None else p.kind == "gguf" or loopback(url)


def _terms(p: ProviderSettings, url: str) -> dict[str, Any]:
    """What `Spending` has to know to price its calls."""
    from .budget.prices import FREE, flat

    priced = p.input_price is not None and p.output_price is not None
    price = flat(p.input_price or 0.0, p.output_price or 0.0) if priced else FREE if _local(p, url) else None
    return {"model": p.model, "url": None if p.kind == "gguf" else url, "price": price}


def budget_figures(settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """Each budget of the data in `folder`, in US dollars: budget, limit, spent, held, left, renews. Nothing where no
    call was ever counted."""
    from .budget.file import DATABASE
    from .budget.money import in_dollars

    if not (folder / DATABASE).exists():
        return []
    with closing(open_spending(at(folder, settings))) as spending:
        return [
            {
                "budget": str(s.budget),
                "limit": None if s.limit is None else in_dollars(s.limit),
                "spent": in_dollars(s.spent + s.lost),
                "held": in_dollars(s.held),
                "left": None if s.left is None else in_dollars(s.left),
                "renews": s.renews,
            }
            for s in spending.required().standings()
        ]
