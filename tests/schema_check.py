"""Holds a JSON value to a record type: every documented field, no other, of the documented type."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict


def mismatches(value: Any, hint: Any, path: str = "$") -> list[str]:
    """Empty exactly when `value` is as `hint` says."""
    if get_origin(hint) is Annotated:
        return mismatches(value, get_args(hint)[0], path)
    if hint is object:
        return []
    if is_typeddict(hint):
        if not isinstance(value, dict):
            return [f"{path} is no object"]
        fields = get_type_hints(hint, include_extras=True)
        problems = [f"{path}.{name} is missing" for name in fields.keys() - value.keys()]
        problems += [f"{path}.{name} is not documented" for name in value.keys() - fields.keys()]
        for name in fields.keys() & value.keys():
            problems += mismatches(value[name], fields[name], f"{path}.{name}")
        return problems
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return [] if any(not mismatches(value, a, path) for a in arguments) else [f"{path} is {value!r}, not {hint}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{path} is no list"]
        return [p for i, item in enumerate(value) for p in mismatches(item, arguments[0], f"{path}[{i}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{path} is no object"]
        return [p for key, item in value.items() for p in mismatches(item, arguments[1], f"{path}.{key}")]
    if hint is float:
        right = isinstance(value, int | float) and not isinstance(value, bool)
    elif hint is int:
        right = isinstance(value, int) and not isinstance(value, bool)
    else:
        right = isinstance(value, hint)
    return [] if right else [f"{path} is {value!r}, not {hint.__name__}"]
