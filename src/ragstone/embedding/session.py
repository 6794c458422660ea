"""Sessions of the ONNX runtime, on the processor or on a GPU, and what goes wrong in opening and running them.

Left alone, the runtime opens a session on the processor when a GPU cannot be used, and says so in its log only. Here
that is an error: who set a GPU would otherwise wait a hundred times longer and never learn why.
"""

from __future__ import annotations

import ctypes
import io
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..errors import ModelError, ModelMismatch, ModelMissing, SettingsError

Provider = Literal["cpu", "cuda", "rocm", "coreml", "openvino", "directml"]

PROVIDERS: dict[Provider, tuple[str, str]] = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu[cuda,cudnn]"),
    "rocm": ("ROCMExecutionProvider", "onnxruntime-rocm"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}
PRECISE_INT8 = "session.x64quantprecision"
DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_FATAL, _WARNING = 4, 2  # levels of the runtime's log
_NO_MEMORY = re.compile(r"allocate memory|bad_alloc|bad allocation|smaller than requested bytes|out of memory", re.I)


@dataclass(frozen=True, slots=True)
class Device:
    """Where a model runs. `memory_mb` bounds what the runtime takes of a GPU for weights and activations, in MiB
    (0: no bound); CUDA's own context and libraries come on top."""

    provider: Provider = "cpu"
    memory_mb: int = 0

    @property
    def is_cpu(self) -> bool:
        return self.provider == "cpu"


CPU = Device()


def open_session(file: Path, device: Device = CPU, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` with `threads` threads to a run. Raises SettingsError where the device cannot
    be used, ModelMissing, ModelMismatch, ModelError where its memory does not suffice."""
    import onnxruntime as ort  # 0.1 s: only who embeds pays it

    name, package = PROVIDERS[device.provider]
    if name not in ort.get_available_providers():
        raise SettingsError(
            f"the ONNX runtime that is installed has no provider {device.provider!r}.",
            f'Run `pip uninstall onnxruntime` and `pip install "{package}"`, or set embedding.provider to cpu.',
        )
    if not file.is_file():
        raise ModelMissing(f"there is no model at {file}.", "Give the folder or file of an ONNX model.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL  # errors are raised
    if sums_saturate():
        options.add_session_config_entry(PRECISE_INT8, "1")
    options.enable_mem_pattern = False  # lengths vary: a plan for each would only be kept, never used again
    missing = _preload(ort) if device.provider == "cuda" else []
    if not device.is_cpu:
        ort.set_default_logger_severity(_FATAL)  # why a GPU cannot be used is said in the error
    try:
        session = ort.InferenceSession(str(file), options, providers=[(name, _options(device))], enable_fallback=0)
    except Exception as error:  # the runtime's own exceptions derive from Exception alone
        if is_out_of_memory(error):
            raise out_of_memory(error) from error
        raise ModelMismatch(
            f"the ONNX runtime cannot open {file}: {error}", "Check that the file is complete and of a supported opset."
        ) from error
    finally:
        if not device.is_cpu:
            ort.set_default_logger_severity(_WARNING)
    if name not in session.get_providers():
        raise _unusable(device.provider, package, missing)
    return session


@cache
def sums_saturate(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor may cut off sums of 8-bit products at 16 bits, as x86 without VNNI instructions does. The
    remedy (`PRECISE_INT8`) doubles the time of a run on some processors that do not need it; where nothing is known of
    the processor, right comes before fast."""
    try:
        with cpuinfo.open(encoding="ascii", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return True
    return "vnni" not in flags


def out_of_memory(error: Exception) -> ModelError:
    return ModelError(
        f"the embedding model needs more memory than there is: {' '.join(str(error).split())[:200]}",
        "Raise embedding.gpu_memory_mb, lower embedding.max_tokens, or set embedding.provider to cpu.",
    )


def is_out_of_memory(error: Exception) -> bool:
    return bool(_NO_MEMORY.search(str(error)))


def _options(device: Device) -> dict[str, str]:
    if device.provider != "cuda":
        return {}
    options = {
        "arena_extend_strategy": "kSameAsRequested",  # the other strategy doubles what is taken
        "use_tf32": "0",  # a float32 model gives the same vectors on either device, so they are of one space
    }
    if device.memory_mb:
        options["gpu_mem_limit"] = str(device.memory_mb * 2**20)
    return options


def _preload(ort: Any) -> list[str]:
    """Loads CUDA's libraries from their Python packages, which the runtime would not find by itself. The names of
    those that are missing."""
    said = io.StringIO()
    with redirect_stdout(said):  # it reports by print
        ort.preload_dlls()
    return re.findall(r"Failed to load ([\w.\-]+)", said.getvalue())


def _unusable(provider: Provider, package: str, missing: list[str]) -> SettingsError:
    """The runtime has the provider and went to the processor all the same."""
    otherwise = "or set embedding.provider to cpu."
    if missing:
        return SettingsError(
            f"embedding.provider is {provider}, but libraries are missing: {', '.join(dict.fromkeys(missing))}.",
            f'Run `pip install "{package}"`, {otherwise}',
        )
    if provider == "cuda":
        try:
            ctypes.CDLL(DRIVER)
        except OSError:
            return SettingsError(
                f"embedding.provider is cuda, but there is no driver of an NVIDIA GPU ({DRIVER}).",
                f"Install the driver (`nvidia-smi` shows whether it works), {otherwise}",
            )
    return SettingsError(
        f"embedding.provider is {provider}, but the ONNX runtime cannot use the GPU.",
        f"Check that the GPU is free and that driver and runtime fit together, {otherwise}",
    )
