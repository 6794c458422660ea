"""Settings: frozen sections, read once, with the origin of every value.

Sources, each overriding the one before: defaults, one TOML file (`--config`, else RAGSTONE_CONFIG, else
./ragstone.toml, else the user's own ~/.config/ragstone/config.toml), environment variables
(RAGSTONE_SECTION__KEY, and RAGSTONE_DATA for `data.folder`), flags. An unknown key, a wrong type, a value out of
range or a contradiction raises SettingsError, which names the key and the place. Nothing here reads the process
environment: callers pass it in.

`docs/settings.md` is generated from the sections below.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .errors import NotFound, SettingsError

MIB = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}


def _setting(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    size: bool = False,
    secret: bool = False,
) -> Any:
    """A field of a section. `low` and `high` are inclusive; `size` also takes "50 MiB"; a `secret` is never shown."""
    metadata = {"doc": doc, "low": low, "high": high, "size": size, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where documents and indexes live."""

    folder: Path = field(
        metadata={
            "doc": "Data folder. Default: the platform's folder for user data "
            "(Linux: $XDG_DATA_HOME/ragstone or ~/.local/share/ragstone)."
        }
    )
    free_disk: int = _setting(
        200_000_000,
        "Space that is left free on the disk of the data folder: below, nothing is added until there is more; "
        "searching and removing go on. 0: none.",
        low=0,
        size=True,
    )


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """What is read, and how much one source may cost. Every reader runs in a worker process under these limits."""

    file_bytes: int = _setting(50 * MIB, "Largest single source.", low=1, size=True)
    text_characters: int = _setting(50_000_000, "Most characters of text in one document.", low=1)
    archive_entries: int = _setting(2_000, "Most members of an archive.", low=1)
    archive_bytes: int = _setting(200 * MIB, "Most unpacked bytes of an archive.", low=1, size=True)
    archive_ratio: int = _setting(100, "Largest ratio of unpacked to packed bytes of an archive.", low=1)
    archive_depth: int = _setting(2, "How deep archives may lie in archives.", low=1, high=16)
    pdf_pages: int = _setting(2_000, "Most pages of a PDF.", low=1)
    sheet_cells: int = _setting(2_000_000, "Most filled cells of a workbook.", low=1)
    element_depth: int = _setting(512, "Deepest nesting of elements in XML and HTML.", low=8)
    memory_bytes: int = _setting(512 * MIB, "Address space of a reader's worker process.", low=64 * MIB, size=True)
    cpu_seconds: int = _setting(10, "CPU seconds for one source.", low=1)
    wall_seconds: int = _setting(20, "Seconds for one source.", low=1)
    seconds_per_mib: float = _setting(1.0, "Seconds added for each MiB of a source above 4 MiB.", low=0)
    files_per_worker: int = _setting(
        50, "Sources after which a worker process is replaced; twenty of plain text count as one.", low=1
    )
    output_bytes: int = _setting(256 * MIB, "Largest result of one source on its way back.", low=1, size=True)
    passwords: tuple[str, ...] = _setting((), "Passwords tried on encrypted files.", secret=True)
    ocr: bool = _setting(False, "Recognise text in scanned pages (needs the extra `ocr`).")
    workers: int = _setting(0, "Reader processes; 0: one for each CPU core.", low=0, high=256)
    chunk_tokens: int = _setting(200, "Most tokens of a chunk.", low=32, high=8192)
    exclude: tuple[str, ...] = _setting((), "Globs of paths that are never read (`**/drafts/**`).")


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """The model that turns text into vectors: a packaged one, an ONNX model of your own, or a server."""

    model: str = _setting(
        "multilingual-e5-small",
        "Name of a packaged model (`ragstone models`), or the model's name at `endpoint`.",
    )
    path: Path | None = _setting(None, "Folder with an ONNX model of your own (model.onnx, tokenizer.json).")
    sha256: str = _setting("", "Expected SHA-256 of the ONNX file at `path`; another file is refused.")
    endpoint: str = _setting("", "Base address of an embedding server, e.g. http://127.0.0.1:11434.")
    protocol: Literal["openai", "ollama"] = _setting("openai", "What the server at `endpoint` speaks.")
    api_key_env: str = _setting("", "Name of the environment variable that holds the server's key.")
    api_key: str = _setting("", "The server's key itself; rather use `api_key_env`.", secret=True)
    query_prefix: str | None = _setting(None, "Put before a question; default: what the model was trained with.")
    passage_prefix: str | None = _setting(None, "Put before a passage; default: what the model was trained with.")
    pooling: Literal["mean", "cls", "none"] = _setting(
        "mean", "How token vectors of the model at `path` become one; none: the model pools."
    )
    dimension: int = _setting(0, "Expected length of a vector; 0: as the model gives it.", low=0, high=65_536)
    max_tokens: int = _setting(512, "Window in tokens of the model at `path`.", low=16)
    memory_mb: int = _setting(2_048, "Memory that embedding in parallel may take, in MiB.", low=256)
    threads: int = _setting(0, "CPU threads; 0: all cores.", low=0, high=1_024)
    provider: Literal["cpu", "cuda", "rocm", "coreml", "openvino", "directml"] = _setting(
        "cpu", "Where a model runs (`docs/models.md`, Hardware): the processor, or a GPU and its kind."
    )
    gpu_memory_mb: int = _setting(
        2_048, "Memory of the GPU that the model may take, in MiB, the rest is the language model's; 0: all.", low=0
    )
    precision: Literal["auto", "int8", "float16"] = _setting(
        "auto", "Of the default model: int8 on the processor, float16 on a GPU. Each has vectors of its own."
    )
    build_share: float = _setting(
        0.5,
        "Share of the time that building another space (`ragstone spaces add`) gets in a process that answers "
        "questions meanwhile; 0: it waits until none was asked for five seconds.",
        low=0,
        high=1,
    )
    background: bool = _setting(True, "Embed after text became searchable; off: only when `--embed` asks for it.")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Defaults of a search; flags of `search` override them."""

    k: int = _setting(10, "Hits of a search.", low=1, high=100)
    mode: Literal["hybrid", "lexical", "dense", "mixed", "graph", "global"] = _setting(
        "hybrid",
        "Which parts run. mixed: hybrid and the knowledge graph; graph: what the graph leads to; global: what the "
        "whole collection is about.",
    )
    graph: Literal["auto", "off", "always"] = _setting(
        "auto",
        "When mixed asks the knowledge graph. auto: where that was measured to help; off: never, mixed, graph and "
        "global are hybrid then.",
    )
    dense_weight: float | None = _setting(
        None,
        "Weight of the dense part in hybrid, 0 to 1; default: measured, by kind of question.",
        low=0,
        high=1,
    )
    diversity: float | None = _setting(
        None, "Maximal marginal relevance, 0 (off) to 1 (only diversity).", low=0, high=1
    )
    candidates: int = _setting(100, "Candidates of each part before fusion.", low=10, high=10_000)
    vector_index: Literal["auto", "exact", "flat", "ivf", "hnsw"] = _setting(
        "auto",
        "How vectors are searched. exact: all of them. flat: 4-bit codes choose what is scored exactly. ivf: the codes "
        "stand in lists, of which the nearest are searched. hnsw: links from vector to near vector are followed. auto: "
        "by rows, exact up to 10,240 in one index file, flat up to 200,000, ivf above. Files that are there already "
        "change when they are merged, or by `ragstone rebuild`.",
    )
    vector_pca: int = _setting(
        0,
        "Principal components of the vectors that flat and ivf make their codes of; 0: of the vectors themselves. What "
        "the codes choose is scored by the whole vectors. Files that are there already change as above.",
        low=0,
        high=4096,
    )
    rerank: Path | None = _setting(None, "Folder with an ONNX cross-encoder that reorders the best candidates.")
    rerank_sha256: str = _setting("", "Expected SHA-256 of the cross-encoder; another file is refused.")
    rerank_candidates: int = _setting(30, "How many candidates are reordered.", low=1, high=1_000)


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """What is remembered of what is told."""

    merge_at: float = _setting(
        0.95, "Similarity from which on something told repeats what is remembered; 1: only the same words.",
        low=0.5, high=1.0,
    )  # fmt: skip
    intents: str = _setting(
        "", "File with intents and examples of them (docs/learn.md); empty: the set that ships, German and English."
    )
    model: str = _setting(
        "", "Language model with which `learn` finds more: answer (the one of answer.model), gateway, a provider's "
        "name, gguf:PATH, ollama:NAME or openai:NAME; empty: none.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """The chat in the terminal."""

    remember: bool = _setting(True, "Remember what was asked and answered, so that it can be asked for later.")
    redis: str = _setting(
        "",
        "Address of a Redis by which sessions are shared (redis://HOST:6379/0, extra `redis`). They stay in the data "
        "folder as well, and what was said while the Redis was away is brought there when it is back.",
        secret=True,
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Results and answers that are kept for the next time. They are keyed by the state of what they were made from: a
    write that was acknowledged is never answered with what was there before it, whatever these settings are."""

    policy: Literal["lru", "lfu"] = _setting(
        "lru", "What goes first: the least recently used (lru) or the least frequently used, with aging (lfu)."
    )
    entries: int = _setting(1_000, "Most search results, and as many answers, kept in memory; 0: none.", low=0)
    megabytes: float = _setting(32.0, "Most memory for search results, and as much for answers; 0: none.", low=0)
    ttl: float = _setting(604_800.0, "Seconds after which anything kept is forgotten; 0: never.", low=0)
    persistent: bool = _setting(
        True,
        "Keep answers and the vectors of questions in `cache.db` in the data folder, for other processes and the next "
        "start. Answers quote documents, and vectors are kept under a hash of the question. Off: nothing is kept, "
        "and a `cache.db` that is there is removed.",
    )
    disk_entries: int = _setting(20_000, "Most answers and vectors in `cache.db`.", low=0)
    disk_megabytes: float = _setting(64.0, "Most megabytes of them.", low=0)
    prewarm: int = _setting(
        0,
        "How many of the most frequent questions a process that stays (`watch`, the library) searches for at its "
        "start. Above 0, and only with `persistent`, the text of questions and how often each was asked are kept in "
        "`cache.db`.",
        low=0,
        high=1_000,
    )


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """What writes answers."""

    model: str = _setting(
        "extractive",
        "extractive (sentences of the documents), auto (a model server that runs here, else extractive), "
        "ollama:NAME, openai:NAME, gguf:PATH, or gateway (the providers below, in the order of `[gateway]`).",
    )
    base_url: str = _setting(
        "", "Address of the model server; needed for openai:NAME, else by default the usual one on this machine."
    )
    api_key_env: str = _setting("", "Name of the environment variable that holds the server's key.")
    api_key: str = _setting("", "The server's key itself; rather use `api_key_env`.", secret=True)
    max_sentences: int = _setting(3, "Most sentences of an extractive answer.", low=1, high=20)
    max_tokens: int = _setting(512, "Longest generated answer in tokens.", low=16, high=32_768)
    context: int = _setting(8_192, "Context window of the model in tokens, where its server does not tell it.", low=512)
    threads: int = _setting(0, "CPU threads of a gguf model; 0: all cores.", low=0, high=1_024)
    keep_alive: str = _setting("30m", "How long a model server keeps the model in memory.")
    deadline: float = _setting(120.0, "Seconds an answer may take.", low=0.1)


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """The knowledge graph: what texts mention and how it belongs together."""

    enabled: bool = _setting(
        True,
        "Extract from every text what it mentions, where and when it is embedded in the background too; off: only "
        "when `ragstone graph build` asks for it.",
    )
    model: str = _setting(
        "", "Language model that reads passages when `ragstone graph deepen` asks for it: answer (the one of "
        "answer.model), gateway, a provider's name, gguf:PATH, ollama:NAME or openai:NAME; empty: none.",
    )  # fmt: skip
    batch: int = _setting(
        4, "Passages of one call of that model, at most; fewer where its window is small.", low=1, high=32
    )
    rounds: int = _setting(0, "How often it is asked again what it missed; each costs another call.", low=0, high=5)


@dataclass(frozen=True, slots=True)
class ModelsSettings:
    """Language models that use this machine's memory: gguf files, and Ollama where it runs here."""

    preload: bool = _setting(
        False,
        "Load the model that answers when a process that stays (the library) opens the data, before the first "
        "question; `ragstone models preload` does it at any time.",
    )
    memory_mb: int = _setting(
        0,
        "Memory for all of them, in MiB. Where not all fit, calls are grouped by model and models are unloaded for "
        "each other; 0: all are kept until they are idle.",
        low=0,
    )
    slots: int = _setting(
        2,
        "Calls that a gguf model works on at once, each with a window of `answer.context` tokens of its own. A "
        "conversation keeps its slot, so its next question computes only what is new.",
        low=1,
        high=64,
    )
    saved_mb: int = _setting(
        512,
        "Disk for conversations that had to leave their slot, in MiB, in the data folder (mode 0600). They hold text "
        "of documents in the model's form and are deleted with any removal of documents. 0: none are saved.",
        low=0,
    )


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """What calls of language models may cost. A call is made only while the worst that it could cost is left in every
    budget that it counts against; models on machines of your own cost nothing and are counted. Days and months are
    those of UTC. `ragstone budget set` goes before `limits`."""

    limits: Mapping[str, float] | None = _setting(
        None,
        'US dollars by budget: `"month"`, `"day"`, `"team NAME month"`, `"person NAME day"`, `"key NAME month"`; the '
        "name `*` is each that has none of its own.",
    )
    prices: Mapping[str, tuple[float, ...]] | None = _setting(
        None,
        'US dollars a million tokens by `"PROVIDER/MODEL"` or `"MODEL"`: [prompt, completion] or [prompt, completion, '
        "cached prompt]. They go before those of the package genai-prices. A model whose price nobody knows is refused "
        "to whom a budget limits.",
    )
    alerts: tuple[str, ...] = _setting(("50", "80", "90"), "Percents of a budget that are told when they are spent.")
    webhook: str = _setting("", "Address to which each alert is posted as JSON; alerts are in the log either way.")
    person: str = _setting("", "Who pays for the calls of this installation, where a call does not tell.")
    team: str = _setting("", "Of which team that person is.")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A model behind the gateway, under a name of your own: small letters, digits, `-` and `_`. Any number of them."""

    kind: Literal["openai", "anthropic", "gemini", "ollama", "gguf"] = _setting(
        "openai",
        "What it speaks. openai: any server of that dialect (OpenAI, Groq, vLLM, llama-server, LM Studio). gguf: a "
        "model file on this machine.",
    )
    model: str = _setting("", "The model's name there, or the path of a gguf file; empty: the first that a server has.")
    base_url: str = _setting("", "Address, up to the version part (`/v1`); needed for openai, else the usual one.")
    api_key_env: str = _setting("", "Name of the environment variable that holds the key.")
    api_key: str = _setting("", "The key itself; rather use `api_key_env`.", secret=True)
    context: int = _setting(0, "Window in tokens that prompt and answer have to fit; 0: the usual one.", low=0)
    threads: int = _setting(0, "CPU threads of a gguf model; 0: all cores.", low=0, high=1_024)
    local: bool | None = _setting(
        None, "Whether it runs on this machine. Default: gguf, and addresses of this machine."
    )
    languages: tuple[str, ...] = _setting((), "Asked only for questions in these languages (`de`); empty: in any.")
    max_cost: float | None = _setting(None, "Asked only where the call can cost no more than this at worst.", low=0)
    first_token: float | None = _setting(
        None, "As `gateway.first_token`, for this provider; default: that one, and 0 for local ones.", low=0
    )
    input_price: float | None = _setting(None, "Price of a million tokens of prompt, over the known one.", low=0)
    output_price: float | None = _setting(None, "Price of a million tokens of answer, over the known one.", low=0)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """In which order the providers are asked, and when one is left for the next."""

    chat: tuple[str, ...] = _setting((), "Names of the providers for questions, in order; empty: all, as they stand.")
    extraction: tuple[str, ...] = _setting((), "The same for extraction in the background; empty: as for chat.")
    classification: tuple[str, ...] = _setting((), "The same for classification; empty: as for chat.")
    local_only: bool = _setting(False, "Ask only providers on this machine.")
    first_token: float = _setting(
        1.5,
        "Seconds in which a provider has to begin while another could be asked instead, and at most half of what is "
        "left of the deadline; 0: any time.",
        low=0,
    )
    silence: float = _setting(60.0, "Longest pause in a stream, in seconds.", low=0.1)
    hedge: float = _setting(
        0.0,
        "Seconds without text after which the next provider is asked as well; who begins first answers. Costs a second "
        "call. 0: never.",
        low=0,
    )
    failures: int = _setting(5, "Failures in a row after which a provider rests.", low=1)
    rest_seconds: float = _setting(
        60.0, "How long it rests, and up to a fifth longer; then one call tries it.", low=0.1
    )
    retry_share: float = _setting(0.1, "Most extra calls for each request, over all providers.", low=0, high=1)


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What counts how much when `compare` weighs models against each other; only the ratios matter."""

    quality: float = _setting(40.0, "Right and well-founded answers.", low=0)
    speed: float = _setting(20.0, "Time to the whole answer.", low=0)
    switch: float = _setting(20.0, "Time to unload another model and load this one.", low=0)
    memory: float = _setting(10.0, "Memory of the machine and of a GPU.", low=0)
    maintenance: float = _setting(10.0, "How little there is to install, watch and pay.", low=0)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`ragstone serve`. Off loopback it does not start without an admin key (`ragstone keys create`)."""

    host: str = _setting("127.0.0.1", "Address that it listens on.")
    port: int = _setting(8765, "Port that it listens on; 0: any free one.", low=0, high=65_535)
    workers: int = _setting(1, "Processes that answer on the one port.", low=1, high=256)
    job_workers: int = _setting(
        1, "Processes that do its jobs; 0: none, they are done by `ragstone jobs work`.", low=0, high=256
    )
    hosts: tuple[str, ...] = _setting(
        (), "Names under which it is called, without port; more than localhost, its address and the machine's name."
    )
    https: bool = _setting(False, "A proxy in front of it speaks TLS: cookies are sent over https only.")
    threads: int = _setting(
        0, "Searches at once in one process; 0: two for each CPU core, over all processes.", low=0, high=1_024
    )
    answers: int = _setting(
        32, "Answers that a model writes at once in one process; of extractive ones, as many as searches.", low=1
    )
    waiting: int = _setting(512, "Requests of one kind that may wait in one process; more are refused at once.", low=0)
    patience: float = _setting(
        0.4, "Seconds that a search or extractive answer may be expected to wait; more are refused at once.", low=0
    )
    deadline: float = _setting(30.0, "Seconds a request may take, where it does not tell itself.", low=0.1)
    upload_bytes: int = _setting(50 * MIB, "Largest uploaded file.", low=1, size=True)
    fetch: bool = _setting(False, "Clients may have documents fetched from the web by address.")
    fetch_hosts: tuple[str, ...] = _setting(
        (),
        "The only hosts that are fetched from, as name or name:port, which may have private addresses; empty: all "
        "whose addresses are public.",
    )
    fetch_seconds: float = _setting(20.0, "How long fetching one document may take.", low=0.1)
    keep_originals: bool = _setting(True, "Keep uploaded PDFs, so that their pages can be shown.")
    upload_files: int = _setting(100, "Most files of one upload.", low=1)
    json_bytes: int = _setting(1 * MIB, "Largest body of any other request.", low=1_024, size=True)
    requests_per_minute: int = _setting(6_000, "Of one key, in all processes together; 0: any number.", low=0)
    failures_per_minute: int = _setting(60, "Wrong keys from one address, after which it has to wait; 0: any.", low=0)
    open_tenants: int = _setting(32, "Tenants whose data stay open in one process.", low=1)
    session_hours: float = _setting(12.0, "How long the page stays signed in.", low=0.01)
    drain_seconds: float = _setting(30.0, "How long running requests may take to end when the server stops.", low=0)
    audit_days: int = _setting(365, "How long entries of the audit log are kept.", low=1)


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """People sign in to the page with an OpenID provider (extra `oidc`). Off while `issuer` is empty."""

    issuer: str = _setting("", "The provider, exactly as it names itself, e.g. https://id.example.org/realms/office.")
    client_id: str = _setting("", "Name under which the provider knows this server.")
    client_secret: str = _setting("", "Its secret there; empty: the provider asks for none.", secret=True)
    address: str = _setting(
        "", "This server as browsers call it, e.g. https://rag.example.org; the provider sends them to /login/callback."
    )
    name: str = _setting("Single sign-on", "What the button says.")
    scopes: tuple[str, ...] = _setting(("profile", "email"), "What is asked for besides openid.")
    tenant: str = _setting("default", "Id of the tenant that people belong to, without tenant_claim.")
    tenant_claim: str = _setting("", "Claim that tells the tenant, e.g. org or a.b for one inside another.")
    tenants: tuple[str, ...] = _setting((), 'Values of that claim and what they stand for, as "value=tenant id".')
    scope_claim: str = _setting("", "Claim that tells what somebody may do, e.g. groups; empty: everybody may read.")
    read: tuple[str, ...] = _setting((), "Values of that claim with which one may read.")
    write: tuple[str, ...] = _setting((), "Values with which one may write, too.")
    admin: tuple[str, ...] = _setting((), "Values with which one may do everything.")


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """Work that is promised at once and done by workers: uploads, removals, upkeep."""

    most_waiting: int = _setting(10_000, "Jobs that may wait; more are refused until there are fewer.", low=1)
    attempts: int = _setting(5, "Times that a job is tried before it is given up.", low=1)
    losses: int = _setting(10, "Times that its worker may die before a job is given up.", low=1)
    pause: float = _setting(1.0, "Seconds between the first two attempts, doubled for each further one.", low=0.01)
    longest_pause: float = _setting(300.0, "Most seconds between two attempts.", low=0.01)
    lease_seconds: float = _setting(
        30.0, "A worker that stands still for so long loses its job to another; one that dies loses it at once.", low=1
    )
    keep_days: float = _setting(7.0, "Days for which jobs that are done or cancelled are remembered.", low=0)
    keep_failed_days: float = _setting(
        30.0, "Days for which jobs that failed are kept with their files, to be run again.", low=0
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The log on stderr. Questions and document text are not logged."""

    level: Literal["debug", "info", "warning", "error"] = _setting("warning", "Least severe level that is written.")
    format: Literal["human", "json"] = _setting("human", "One pipe-delimited line, or one JSON object, for each event.")


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Spans of what the server does, to an OpenTelemetry collector (extra `otel`). They hold names and figures, never
    questions or text of documents."""

    endpoint: str = _setting(
        "", "Where a collector takes OTLP over HTTP, e.g. http://127.0.0.1:4318/v1/traces; empty: nothing is sent."
    )
    headers: tuple[str, ...] = _setting((), 'Headers of its requests, as "Name: value".', secret=True)
    share: float = _setting(1.0, "Share of the traces that is sent; a caller's own decision goes first.", low=0, high=1)
    service: str = _setting("ragstone", "Name under which the collector shows them.")


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections. `origins` tells for "section.key" where its value came from; a key that is missing there
    has its default. `file` is the TOML file that was read."""

    data: DataSettings
    ingest: IngestSettings = IngestSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    search: SearchSettings = SearchSettings()
    memory: MemorySettings = MemorySettings()
    graph: GraphSettings = GraphSettings()
    chat: ChatSettings = ChatSettings()
    cache: CacheSettings = CacheSettings()
    answer: AnswerSettings = AnswerSettings()
    models: ModelsSettings = ModelsSettings()
    gateway: GatewaySettings = GatewaySettings()
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    budget: BudgetSettings = BudgetSettings()
    compare: CompareSettings = CompareSettings()
    server: ServerSettings = ServerSettings()
    oidc: OidcSettings = OidcSettings()
    jobs: JobsSettings = JobsSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    file: Path | None = field(default=None, compare=False)

    def origin(self, key: str) -> str:
        """Where the value of "section.key" came from: "default", "FILE: section.key", "environment NAME" or "flag"."""
        return self.origins.get(key, "default")


SECTIONS: Mapping[str, type] = {
    "data": DataSettings,
    "ingest": IngestSettings,
    "embedding": EmbeddingSettings,
    "search": SearchSettings,
    "memory": MemorySettings,
    "graph": GraphSettings,
    "chat": ChatSettings,
    "cache": CacheSettings,
    "answer": AnswerSettings,
    "models": ModelsSettings,
    "gateway": GatewaySettings,
    "budget": BudgetSettings,
    "compare": CompareSettings,
    "server": ServerSettings,
    "oidc": OidcSettings,
    "jobs": JobsSettings,
    "tracing": TracingSettings,
    "log": LogSettings,
}

TABLES: Mapping[str, type] = {"providers.NAME": ProviderSettings}
"""Sections of which there are as many as the user names."""

ENVIRONMENT_PREFIX = "RAGSTONE_"
DATA_VARIABLE = "RAGSTONE_DATA"
CONFIG_VARIABLE = "RAGSTONE_CONFIG"


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Settings from `file` (None: no file), `environ` and `overrides` ("section.key" → value; strings are converted
    as for environment variables). Raises NotFound for a missing file, SettingsError for everything wrong in it."""
    environ = environ or {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        for key, raw in _read_toml(file):
            values[key] = _convert(key, raw, str(file), base=file.parent, environ=environ)
            origins[key] = f"{file}: {key}"
    for name, key, text in _from_environment(environ):
        place = f"environment {name}"
        values[key] = _convert(key, text, place, base=None, environ=environ)
        origins[key] = place
    for key, raw in (overrides or {}).items():
        _known(key, "flag")
        values[key] = _convert(key, raw, "flag", base=None, environ=environ)
        origins[key] = "flag"
    if "data.folder" not in values:
        values["data.folder"] = default_data_folder(environ)
    providers = [f"providers.{name}" for name in _names(values)]
    for section in ("embedding", "answer", *providers):
        _resolve_key(section, values, origins, environ)

    def made(name: str, cls: type) -> Any:
        return cls(**{f.name: values[f"{name}.{f.name}"] for f in fields(cls) if f"{name}.{f.name}" in values})

    settings = Settings(
        **{name: made(name, cls) for name, cls in SECTIONS.items()},
        providers={section.partition(".")[2]: made(section, ProviderSettings) for section in providers},
        origins=origins,
        file=file,
    )
    _contradictions(settings)
    return settings


def find_file(explicit: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    """The TOML file to read: `explicit`, else RAGSTONE_CONFIG, else ragstone.toml in `folder`, else the user's."""
    if explicit is not None:
        return explicit
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    return next((p for p in (folder / "ragstone.toml", user_file(environ)) if p.is_file()), None)


def user_file(environ: Mapping[str, str]) -> Path:
    """Where the user's own settings file is looked for."""
    return (
        _platform_folder(environ, "XDG_CONFIG_HOME", ".config", "Library/Application Support", "APPDATA")
        / "config.toml"
    )


def default_data_folder(environ: Mapping[str, str]) -> Path:
    """The platform's folder for the data of one user."""
    return _platform_folder(environ, "XDG_DATA_HOME", ".local/share", "Library/Application Support", "LOCALAPPDATA")


def describe(settings: Settings) -> Iterator[tuple[str, object, str]]:
    """("section.key", value, origin) of every setting in order. Secrets that are set are given as "***"."""
    sections: dict[str, Any] = {name: getattr(settings, name) for name in SECTIONS}
    sections |= {f"providers.{name}": provider for name, provider in settings.providers.items()}
    for name, section in sections.items():
        for f in fields(section):
            value = getattr(section, f.name)
            if f.metadata.get("secret") and value:
                value = "***"
            elif isinstance(value, Path):
                value = str(value)
            elif isinstance(value, tuple):
                value = list(value)
            yield f"{name}.{f.name}", value, settings.origin(f"{name}.{f.name}")


def at(folder: Path, settings: Settings | None = None) -> Settings:
    """`settings` (default: all defaults) with another data folder."""
    if settings is None:
        return Settings(data=DataSettings(folder=folder))
    return replace(settings, data=replace(settings.data, folder=folder))


def _platform_folder(environ: Mapping[str, str], xdg: str, unix: str, mac: str, windows: str) -> Path:
    if sys.platform == "win32" and (base := environ.get(windows)):
        return Path(base) / "ragstone"
    if base := environ.get(xdg):
        return Path(base) / "ragstone"
    return _home(environ) / (mac if sys.platform == "darwin" else unix) / "ragstone"


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(home) if home else Path.home()


def _read_toml(file: Path) -> Iterator[tuple[str, object]]:
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except FileNotFoundError:
        raise NotFound(
            f"There is no settings file {file}.",
            "Check --config and RAGSTONE_CONFIG, or write one with `ragstone config init`.",
        ) from None
    except OSError as error:
        raise SettingsError(
            f"The settings file {file} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", "Mend the line that is named.") from error
    tables = table.pop("providers", {})
    if not isinstance(tables, dict) or not all(isinstance(content, dict) for content in tables.values()):
        raise SettingsError(f"{file}: providers are sections.", "Write [providers.NAME] on a line of its own.")
    for section, content in {**table, **{f"providers.{name}": content for name, content in tables.items()}}.items():
        if section not in SECTIONS and not section.startswith("providers."):
            raise SettingsError(f"{file}: there is no section [{section}].", _suggest(section, SECTIONS))
        if not isinstance(content, dict):
            raise SettingsError(f"{file}: {section} must be a section.", f"Write [{section}] on a line of its own.")
        for key, value in content.items():
            _known(f"{section}.{key}", str(file))
            yield f"{section}.{key}", value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(variable, "section.key", text). Names with the prefix but without "__" belong to others and are left alone
    (a container platform makes RAGSTONE_PORT and the like for a service of that name)."""
    if DATA_VARIABLE in environ:
        yield DATA_VARIABLE, "data.folder", environ[DATA_VARIABLE]
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1)
            if key.startswith("providers."):
                key = key.replace("__", ".", 1)
            _known(key, f"environment {name}")
            yield name, key, environ[name]


def _known(key: str, place: str) -> None:
    known = _fields()
    if _generic(key) not in known:
        raise SettingsError(f"{place}: there is no setting {key}.", _suggest(key, known))


def _suggest(word: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    if not near and "." in word:  # the right key in the wrong section
        near = [k for k in known if k.rpartition(".")[2] == word.rpartition(".")[2]][:1]
    return f"Did you mean {near[0]}?" if near else "`ragstone config show` lists every setting."


def _generic(key: str) -> str:
    """ "providers.NAME.key" for the key of any provider whose name is one."""
    section, _, rest = key.partition(".")
    name, dot, last = rest.rpartition(".")
    return f"providers.NAME.{last}" if section == "providers" and dot and _NAME.fullmatch(name) else key


def _names(values: Mapping[str, object]) -> list[str]:
    """Of the providers, in the order in which they were first named."""
    return list(dict.fromkeys(key.split(".")[1] for key in values if key.startswith("providers.")))


@cache
def _fields() -> Mapping[str, tuple[Field[Any], Any]]:
    """ "section.key" → (field, resolved type)."""
    return {
        f"{name}.{f.name}": (f, hints[f.name])
        for name, cls in {**SECTIONS, **TABLES}.items()
        for hints in (get_type_hints(cls),)
        for f in fields(cls)
    }


def _convert(key: str, raw: object, place: str, *, base: Path | None, environ: Mapping[str, str]) -> Any:
    """`raw` as the type of `key`. Text is parsed where the type is another, so that one rule serves environment
    variables and flags; a TOML file's text is taken as text (a quoted number is a mistake worth telling)."""
    f, kind = _fields()[_generic(key)]
    loose = base is None and isinstance(raw, str)
    options = [a for a in get_args(kind) if a is not NoneType] if NoneType in get_args(kind) else [kind]
    if loose and raw == "" and options != [kind]:
        return None
    value = _as(options[0], raw, loose, f.metadata)
    if value is None:
        raise SettingsError(
            f"{place}: {key} must be {expected(key)}, not {_shown(raw, f)}.",
            f"See `{key}` in docs/settings.md.",
        )
    if isinstance(value, Path):
        text = str(value)
        value = _home(environ) / text[2:] if text.startswith("~/") else value
        return (base / value) if base is not None else Path.cwd() / value
    low, high = f.metadata.get("low"), f.metadata.get("high")
    too_low = low is not None and not value >= low
    too_high = high is not None and not value <= high
    if too_low or too_high:
        raise SettingsError(f"{place}: {key} is {value}, which is out of range.", f"It must be {expected(key)}.")
    return value


def _as(kind: Any, raw: object, loose: bool, metadata: Mapping[str, Any]) -> Any:
    """The value, or None where `raw` cannot be one of `kind`."""
    if get_origin(kind) is Literal:
        return raw if raw in get_args(kind) else None
    if kind is Path:
        return Path(raw) if isinstance(raw, str | Path) and str(raw) else None
    if kind is bool:
        words = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        return (
            raw if isinstance(raw, bool) else words.get(raw.strip().lower()) if loose and isinstance(raw, str) else None
        )
    if kind is str:
        return raw if isinstance(raw, str) else None
    if isinstance(raw, bool):
        return None
    if kind is int:
        return _as_int(raw, loose, size=bool(metadata.get("size")))
    if kind is float:
        return _as_float(raw, loose)
    if get_origin(kind) is Mapping:
        return _as_table(raw, loose, get_args(kind)[1])
    return _as_texts(raw, loose)


def _as_int(raw: object, loose: bool, *, size: bool) -> int | None:
    if isinstance(raw, int):
        return raw
    if not isinstance(raw, str) or not (loose or size):
        return None
    number = raw.strip().rstrip("BbKkMmGgIi ")
    unit = raw.strip()[len(number) :].strip().lower()
    if not size and unit:
        return None
    try:
        return int(float(number) * _UNITS[unit]) if unit else int(number)
    except (ValueError, KeyError, OverflowError):
        return None


def _as_float(raw: object, loose: bool) -> float | None:
    if isinstance(raw, int | float):
        return float(raw)
    if not (loose and isinstance(raw, str)):
        return None
    try:
        return float(raw)
    except ValueError:
        return None


def _as_texts(raw: object, loose: bool) -> tuple[str, ...] | None:
    """A list of texts; from an environment variable either a TOML array or words parted by commas."""
    if loose and isinstance(raw, str):
        if raw.lstrip().startswith("["):
            try:
                raw = tomllib.loads(f"value = {raw}")["value"]
            except tomllib.TOMLDecodeError:
                return None
        else:
            raw = [part.strip() for part in raw.split(",") if part.strip()]
    if isinstance(raw, list | tuple) and all(isinstance(item, str) for item in raw):
        return tuple(raw)
    return None


def _as_table(raw: object, loose: bool, kind: Any) -> dict[str, Any] | None:
    """A table of numbers, or of lists of them; from an environment variable written as in TOML."""
    if loose and isinstance(raw, str):
        try:
            raw = tomllib.loads(f"value = {raw}")["value"]
        except tomllib.TOMLDecodeError:
            return None
    if not isinstance(raw, dict):
        return None
    lists = {name: value if isinstance(value, list) else [value] for name, value in raw.items()}
    if any(isinstance(n, bool) or not isinstance(n, int | float) for numbers in lists.values() for n in numbers):
        return None
    if kind is float:
        return None if any(isinstance(value, list) for value in raw.values()) else raw
    return {name: tuple(numbers) for name, numbers in lists.items()}


def expected(key: str) -> str:
    """What "section.key" takes, in words."""
    f, kind = _fields()[_generic(key)]
    options = [a for a in get_args(kind) if a is not NoneType] if NoneType in get_args(kind) else [kind]
    kind = options[0]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    words = {
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        Path: "a path",
        Mapping[str, float]: "a table of numbers",
        Mapping[str, tuple[float, ...]]: "a table of lists of numbers",
    }.get(kind, "a list of texts")
    if f.metadata.get("size"):
        words = "bytes, or a size such as 50 MiB"
    low, high = f.metadata.get("low"), f.metadata.get("high")
    if low is not None and high is not None:
        return f"{words} from {low:g} to {high:g}"
    return f"{words} of at least {low:g}" if low is not None and low > 1 else words


def _shown(raw: object, f: Field[Any]) -> str:
    if f.metadata.get("secret"):
        return "what is there"
    return f"{raw!r}" if len(repr(raw)) < 60 else f"a {type(raw).__name__}"


def _resolve_key(section: str, values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]) -> None:
    name = values.get(f"{section}.api_key_env", "")
    if not name or values.get(f"{section}.api_key"):
        return
    if name not in environ:
        raise SettingsError(
            f"{origins[f'{section}.api_key_env']}: the environment variable {name} is not set.",
            f"Set it, or unset {section}.api_key_env.",
        )
    values[f"{section}.api_key"] = environ[name]
    origins[f"{section}.api_key"] = f"environment {name}"


def _contradictions(settings: Settings) -> None:
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
