"""Sections of documents: where they live, how they are read and embedded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .declaring import MIB, setting


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where documents and indexes live."""

    folder: Path = field(
        metadata={
            "doc": "Data folder. Default: the platform's folder for user data "
            "(Linux: $XDG_DATA_HOME/ragstone or ~/.local/share/ragstone)."
        }
    )
    free_disk: int = setting(
        200_000_000,
        "Space that is left free on the disk of the data folder: below, nothing is added until there is more; "
        "searching and removing go on. 0: none.",
        low=0,
        size=True,
    )


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """What is read, and how much one source may cost. Every reader runs in a worker process under these limits."""

    file_bytes: int = setting(50 * MIB, "Largest single source.", low=1, size=True)
    text_characters: int = setting(50_000_000, "Most characters of text in one document.", low=1)
    archive_entries: int = setting(2_000, "Most members of an archive.", low=1)
    archive_bytes: int = setting(200 * MIB, "Most unpacked bytes of an archive.", low=1, size=True)
    archive_ratio: int = setting(100, "Largest ratio of unpacked to packed bytes of an archive.", low=1)
    archive_depth: int = setting(2, "How deep archives may lie in archives.", low=1, high=16)
    pdf_pages: int = setting(2_000, "Most pages of a PDF.", low=1)
    sheet_cells: int = setting(2_000_000, "Most filled cells of a workbook.", low=1)
    element_depth: int = setting(512, "Deepest nesting of elements in XML and HTML.", low=8)
    memory_bytes: int = setting(512 * MIB, "Address space of a reader's worker process.", low=64 * MIB, size=True)
    cpu_seconds: int = setting(10, "CPU seconds for one source.", low=1)
    wall_seconds: int = setting(20, "Seconds for one source.", low=1)
    seconds_per_mib: float = setting(1.0, "Seconds added for each MiB of a source above 4 MiB.", low=0)
    files_per_worker: int = setting(
        50, "Sources after which a worker process is replaced; twenty of plain text count as one.", low=1
    )
    output_bytes: int = setting(256 * MIB, "Largest result of one source on its way back.", low=1, size=True)
    passwords: tuple[str, ...] = setting((), "Passwords tried on encrypted files.", secret=True)
    ocr: bool = setting(False, "Recognise text in scanned pages (needs the extra `ocr`).")
    workers: int = setting(0, "Reader processes; 0: one for each CPU core.", low=0, high=256)
    chunk_tokens: int = setting(200, "Most tokens of a chunk.", low=32, high=8192)
    exclude: tuple[str, ...] = setting((), "Globs of paths that are never read (`**/drafts/**`).")


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """The model that turns text into vectors: a packaged one, an ONNX model of your own, or a server."""

    model: str = setting(
        "multilingual-e5-small",
        "Name of a packaged model (`ragstone models`), or the model's name at `endpoint`.",
    )
    path: Path | None = setting(None, "Folder with an ONNX model of your own (model.onnx, tokenizer.json).")
    sha256: str = setting("", "Expected SHA-256 of the ONNX file at `path`; another file is refused.")
    endpoint: str = setting("", "Base address of an embedding server, e.g. http://127.0.0.1:11434.")
    protocol: Literal["openai", "ollama"] = setting("openai", "What the server at `endpoint` speaks.")
    api_key_env: str = setting("", "Name of the environment variable that holds the server's key.")
    api_key: str = setting("", "The server's key itself; rather use `api_key_env`.", secret=True)
    query_prefix: str | None = setting(None, "Put before a question; default: what the model was trained with.")
    passage_prefix: str | None = setting(None, "Put before a passage; default: what the model was trained with.")
    pooling: Literal["mean", "cls", "none"] = setting(
        "mean", "How token vectors of the model at `path` become one; none: the model pools."
    )
    dimension: int = setting(0, "Expected length of a vector; 0: as the model gives it.", low=0, high=65_536)
    max_tokens: int = setting(512, "Window in tokens of the model at `path`.", low=16)
    memory_mb: int = setting(2_048, "Memory that embedding in parallel may take, in MiB.", low=256)
    threads: int = setting(0, "CPU threads; 0: all cores.", low=0, high=1_024)
    provider: Literal["cpu", "cuda", "rocm", "coreml", "openvino", "directml"] = setting(
        "cpu", "Where a model runs (`docs/models.md`, Hardware): the processor, or a GPU and its kind."
    )
    gpu_memory_mb: int = setting(
        2_048, "Memory of the GPU that the model may take, in MiB, the rest is the language model's; 0: all.", low=0
    )
    precision: Literal["auto", "int8", "float16"] = setting(
        "auto", "Of the default model: int8 on the processor, float16 on a GPU. Each has vectors of its own."
    )
    build_share: float = setting(
        0.5,
        "Share of the time that building another space (`ragstone spaces add`) gets in a process that answers "
        "questions meanwhile; 0: it waits until none was asked for five seconds.",
        low=0,
        high=1,
    )
    background: bool = setting(True, "Embed after text became searchable; off: only when `--embed` asks for it.")
