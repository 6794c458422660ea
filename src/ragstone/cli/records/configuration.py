"""The JSON of settings."""

from __future__ import annotations

from typing import Annotated, TypedDict


class SettingRecord(TypedDict):
    key: str
    value: Annotated[object, "secrets that are set are shown as ***"]
    origin: Annotated[str, '"default", "FILE: section.key", "environment NAME" or "flag"']


class ConfigRecord(TypedDict):
    """`config show`."""

    schema_version: int
    file: Annotated[str | None, "the TOML file that was read"]
    settings: list[SettingRecord]


class PathRecord(TypedDict):
    """`config path` and `config init`."""

    schema_version: int
    path: Annotated[str | None, "null: no settings file is in force"]
