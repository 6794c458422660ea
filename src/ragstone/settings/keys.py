"""The keys that sections have: "section.key", "providers.NAME.key"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field, fields
from functools import cache
from typing import Any, get_type_hints

from ..errors import SettingsError
from .sections import SECTIONS, TABLES

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@cache
def declared() -> Mapping[str, tuple[Field[Any], Any]]:
    """ "section.key" → (field, resolved type)."""
    return {
        f"{name}.{f.name}": (f, hints[f.name])
        for name, cls in {**SECTIONS, **TABLES}.items()
        for hints in (get_type_hints(cls),)
        for f in fields(cls)
    }


def generic(key: str) -> str:
    """ "providers.NAME.key" for the key of any provider whose name is one."""
    section, _, rest = key.partition(".")
    name, dot, last = rest.rpartition(".")
    return f"providers.NAME.{last}" if section == "providers" and dot and _NAME.fullmatch(name) else key


def provider_names(values: Mapping[str, object]) -> list[str]:
    """Of the providers, in the order in which they were first named."""
    return list(dict.fromkeys(key.split(".")[1] for key in values if key.startswith("providers.")))


def require_known(key: str, place: str) -> None:
    known = declared()
    if generic(key) not in known:
        raise SettingsError(f"{place}: there is no setting {key}.", suggest(key, known))


def suggest(word: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    if not near and "." in word:  # the right key in the wrong section
        near = [k for k in known if k.rpartition(".")[2] == word.rpartition(".")[2]][:1]
    return f"Did you mean {near[0]}?" if near else "`ragstone config show` lists every setting."
