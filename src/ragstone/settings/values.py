"""From what a file, a variable or a flag says to the value of a setting, and the words for what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from ..errors import SettingsError
from .keys import declared, generic
from .places import home_folder

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


def convert(key: str, raw: object, place: str, *, base: Path | None, environ: Mapping[str, str]) -> Any:
    """`raw` as the type of `key`. Text is parsed where the type is another, so that one rule serves environment
    variables and flags; a TOML file's text is taken as text (a quoted number is a mistake worth telling)."""
    f, kind = declared()[generic(key)]
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
        value = home_folder(environ) / text[2:] if text.startswith("~/") else value
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
            raw = _as_toml(raw)
        else:
            raw = [part.strip() for part in raw.split(",") if part.strip()]
    if isinstance(raw, list | tuple) and all(isinstance(item, str) for item in raw):
        return tuple(raw)
    return None


def _as_table(raw: object, loose: bool, kind: Any) -> dict[str, Any] | None:
    """A table of numbers, or of lists of them; from an environment variable written as in TOML."""
    if loose and isinstance(raw, str):
        raw = _as_toml(raw)
    if not isinstance(raw, dict):
        return None
    lists = {name: value if isinstance(value, list) else [value] for name, value in raw.items()}
    if any(isinstance(n, bool) or not isinstance(n, int | float) for numbers in lists.values() for n in numbers):
        return None
    if kind is float:
        return None if any(isinstance(value, list) for value in raw.values()) else raw
    return {name: tuple(numbers) for name, numbers in lists.items()}


def _as_toml(text: str) -> object:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None


def expected(key: str) -> str:
    """What "section.key" takes, in words."""
    f, kind = declared()[generic(key)]
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
