"""Sections of questions: searching, what is known besides documents, what is kept, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .declaring import setting


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Defaults of a search; flags of `search` override them."""

    k: int = setting(10, "Hits of a search.", low=1, high=100)
    mode: Literal["hybrid", "lexical", "dense", "mixed", "graph", "global"] = setting(
        "hybrid",
        "Which parts run. mixed: hybrid and the knowledge graph; graph: what the graph leads to; global: what the "
        "whole collection is about.",
    )
    graph: Literal["auto", "off", "always"] = setting(
        "auto",
        "When mixed asks the knowledge graph. auto: where that was measured to help; off: never, mixed, graph and "
        "global are hybrid then.",
    )
    dense_weight: float | None = setting(
        None,
        "Weight of the dense part in hybrid, 0 to 1; default: measured, by kind of question.",
        low=0,
        high=1,
    )
    diversity: float | None = setting(
        None, "Maximal marginal relevance, 0 (off) to 1 (only diversity).", low=0, high=1
    )
    candidates: int = setting(100, "Candidates of each part before fusion.", low=10, high=10_000)
    vector_index: Literal["auto", "exact", "flat", "ivf", "hnsw"] = setting(
        "auto",
        "How vectors are searched. exact: all of them. flat: 4-bit codes choose what is scored exactly. ivf: the codes "
        "stand in lists, of which the nearest are searched. hnsw: links from vector to near vector are followed. auto: "
        "by rows, exact up to 10,240 in one index file, flat up to 200,000, ivf above. Files that are there already "
        "change when they are merged, or by `ragstone rebuild`.",
    )
    vector_pca: int = setting(
        0,
        "Principal components of the vectors that flat and ivf make their codes of; 0: of the vectors themselves. What "
        "the codes choose is scored by the whole vectors. Files that are there already change as above.",
        low=0,
        high=4096,
    )
    rerank: Path | None = setting(None, "Folder with an ONNX cross-encoder that reorders the best candidates.")
    rerank_sha256: str = setting("", "Expected SHA-256 of the cross-encoder; another file is refused.")
    rerank_candidates: int = setting(30, "How many candidates are reordered.", low=1, high=1_000)


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """The knowledge graph: what texts mention and how it belongs together."""

    enabled: bool = setting(
        True,
        "Extract from every text what it mentions, where and when it is embedded in the background too; off: only "
        "when `ragstone graph build` asks for it.",
    )
    ner: tuple[str, ...] = setting(
        (), "Models that see names beside the rules: spacy:NAME (a pipeline that is installed, or its folder), "
        "onnx:FOLDER (model.onnx, tokenizer.json, config.json). Another one reads everything again.",
    )  # fmt: skip
    model: str = setting(
        "", "Language model that reads passages when `ragstone graph deepen` asks for it: answer (the one of "
        "answer.model), gateway, a provider's name, gguf:PATH, ollama:NAME or openai:NAME; empty: none.",
    )  # fmt: skip
    batch: int = setting(
        4, "Passages of one call of that model, at most; fewer where its window is small.", low=1, high=32
    )
    rounds: int = setting(0, "How often it is asked again what it missed; each costs another call.", low=0, high=5)


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """What is remembered of what is told."""

    merge_at: float = setting(
        0.95, "Similarity from which on something told repeats what is remembered; 1: only the same words.",
        low=0.5, high=1.0,
    )  # fmt: skip
    intents: str = setting(
        "", "File with intents and examples of them (docs/learn.md); empty: the set that ships, German and English."
    )
    model: str = setting(
        "", "Language model with which `learn` finds more: answer (the one of answer.model), gateway, a provider's "
        "name, gguf:PATH, ollama:NAME or openai:NAME; empty: none.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """The chat in the terminal."""

    remember: bool = setting(True, "Remember what was asked and answered, so that it can be asked for later.")
    redis: str = setting(
        "",
        "Address of a Redis by which sessions are shared (redis://HOST:6379/0, extra `redis`). They stay in the data "
        "folder as well, and what was said while the Redis was away is brought there when it is back.",
        secret=True,
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Results and answers that are kept for the next time. They are keyed by the state of what they were made from: a
    write that was acknowledged is never answered with what was there before it, whatever these settings are."""

    policy: Literal["lru", "lfu"] = setting(
        "lru", "What goes first: the least recently used (lru) or the least frequently used, with aging (lfu)."
    )
    entries: int = setting(1_000, "Most search results, and as many answers, kept in memory; 0: none.", low=0)
    megabytes: float = setting(32.0, "Most memory for search results, and as much for answers; 0: none.", low=0)
    ttl: float = setting(604_800.0, "Seconds after which anything kept is forgotten; 0: never.", low=0)
    persistent: bool = setting(
        True,
        "Keep answers and the vectors of questions in `cache.db` in the data folder, for other processes and the next "
        "start. Answers quote documents, and vectors are kept under a hash of the question. Off: nothing is kept, "
        "and a `cache.db` that is there is removed.",
    )
    disk_entries: int = setting(20_000, "Most answers and vectors in `cache.db`.", low=0)
    disk_megabytes: float = setting(64.0, "Most megabytes of them.", low=0)
    prewarm: int = setting(
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

    model: str = setting(
        "extractive",
        "extractive (sentences of the documents), auto (a model server that runs here, else extractive), "
        "ollama:NAME, openai:NAME, gguf:PATH, or gateway (the providers below, in the order of `[gateway]`).",
    )
    base_url: str = setting(
        "", "Address of the model server; needed for openai:NAME, else by default the usual one on this machine."
    )
    api_key_env: str = setting("", "Name of the environment variable that holds the server's key.")
    api_key: str = setting("", "The server's key itself; rather use `api_key_env`.", secret=True)
    max_sentences: int = setting(3, "Most sentences of an extractive answer.", low=1, high=20)
    max_tokens: int = setting(512, "Longest generated answer in tokens.", low=16, high=32_768)
    context: int = setting(8_192, "Context window of the model in tokens, where its server does not tell it.", low=512)
    threads: int = setting(0, "CPU threads of a gguf model; 0: all cores.", low=0, high=1_024)
    keep_alive: str = setting("30m", "How long a model server keeps the model in memory.")
    deadline: float = setting(120.0, "Seconds an answer may take.", low=0.1)
