"""Sections of language models: memory, providers and their order, what they may cost, how they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .declaring import setting


@dataclass(frozen=True, slots=True)
class ModelsSettings:
    """Language models that use this machine's memory: gguf files, and Ollama where it runs here."""

    preload: bool = setting(
        False,
        "Load the model that answers when a process that stays (the library) opens the data, before the first "
        "question; `ragstone models preload` does it at any time.",
    )
    memory_mb: int = setting(
        0,
        "Memory for all of them, in MiB. Where not all fit, calls are grouped by model and models are unloaded for "
        "each other; 0: all are kept until they are idle.",
        low=0,
    )
    slots: int = setting(
        2,
        "Calls that a gguf model works on at once, each with a window of `answer.context` tokens of its own. A "
        "conversation keeps its slot, so its next question computes only what is new.",
        low=1,
        high=64,
    )
    saved_mb: int = setting(
        512,
        "Disk for conversations that had to leave their slot, in MiB, in the data folder (mode 0600). They hold text "
        "of documents in the model's form and are deleted with any removal of documents. 0: none are saved.",
        low=0,
    )


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A model behind the gateway, under a name of your own: small letters, digits, `-` and `_`. Any number of them."""

    kind: Literal["openai", "anthropic", "gemini", "ollama", "gguf"] = setting(
        "openai",
        "What it speaks. openai: any server of that dialect (OpenAI, Groq, vLLM, llama-server, LM Studio). gguf: a "
        "model file on this machine.",
    )
    model: str = setting("", "The model's name there, or the path of a gguf file; empty: the first that a server has.")
    base_url: str = setting("", "Address, up to the version part (`/v1`); needed for openai, else the usual one.")
    api_key_env: str = setting("", "Name of the environment variable that holds the key.")
    api_key: str = setting("", "The key itself; rather use `api_key_env`.", secret=True)
    context: int = setting(0, "Window in tokens that prompt and answer have to fit; 0: the usual one.", low=0)
    threads: int = setting(0, "CPU threads of a gguf model; 0: all cores.", low=0, high=1_024)
    local: bool | None = setting(
        None, "Whether it runs on this machine. Default: gguf, and addresses of this machine."
    )
    languages: tuple[str, ...] = setting((), "Asked only for questions in these languages (`de`); empty: in any.")
    max_cost: float | None = setting(None, "Asked only where the call can cost no more than this at worst.", low=0)
    first_token: float | None = setting(
        None, "As `gateway.first_token`, for this provider; default: that one, and 0 for local ones.", low=0
    )
    input_price: float | None = setting(None, "Price of a million tokens of prompt, over the known one.", low=0)
    output_price: float | None = setting(None, "Price of a million tokens of answer, over the known one.", low=0)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """In which order the providers are asked, and when one is left for the next."""

    chat: tuple[str, ...] = setting((), "Names of the providers for questions, in order; empty: all, as they stand.")
    extraction: tuple[str, ...] = setting((), "The same for extraction in the background; empty: as for chat.")
    classification: tuple[str, ...] = setting((), "The same for classification; empty: as for chat.")
    local_only: bool = setting(False, "Ask only providers on this machine.")
    first_token: float = setting(
        1.5,
        "Seconds in which a provider has to begin while another could be asked instead, and at most half of what is "
        "left of the deadline; 0: any time.",
        low=0,
    )
    silence: float = setting(60.0, "Longest pause in a stream, in seconds.", low=0.1)
    hedge: float = setting(
        0.0,
        "Seconds without text after which the next provider is asked as well; who begins first answers. Costs a second "
        "call. 0: never.",
        low=0,
    )
    failures: int = setting(5, "Failures in a row after which a provider rests.", low=1)
    rest_seconds: float = setting(
        60.0, "How long it rests, and up to a fifth longer; then one call tries it.", low=0.1
    )
    retry_share: float = setting(0.1, "Most extra calls for each request, over all providers.", low=0, high=1)


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """What calls of language models may cost. A call is made only while the worst that it could cost is left in every
    budget that it counts against; models on machines of your own cost nothing and are counted. Days and months are
    those of UTC. `ragstone budget set` goes before `limits`."""

    limits: Mapping[str, float] | None = setting(
        None,
        'US dollars by budget: `"month"`, `"day"`, `"team NAME month"`, `"person NAME day"`, `"key NAME month"`; the '
        "name `*` is each that has none of its own.",
    )
    prices: Mapping[str, tuple[float, ...]] | None = setting(
        None,
        'US dollars a million tokens by `"PROVIDER/MODEL"` or `"MODEL"`: [prompt, completion] or [prompt, completion, '
        "cached prompt]. They go before those of the package genai-prices. A model whose price nobody knows is refused "
        "to whom a budget limits.",
    )
    alerts: tuple[str, ...] = setting(("50", "80", "90"), "Percents of a budget that are told when they are spent.")
    webhook: str = setting("", "Address to which each alert is posted as JSON; alerts are in the log either way.")
    person: str = setting("", "Who pays for the calls of this installation, where a call does not tell.")
    team: str = setting("", "Of which team that person is.")


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What counts how much when `compare` weighs models against each other; only the ratios matter."""

    quality: float = setting(40.0, "Right and well-founded answers.", low=0)
    speed: float = setting(20.0, "Time to the whole answer.", low=0)
    switch: float = setting(20.0, "Time to unload another model and load this one.", low=0)
    memory: float = setting(10.0, "Memory of the machine and of a GPU.", low=0)
    maintenance: float = setting(10.0, "How little there is to install, watch and pay.", low=0)
