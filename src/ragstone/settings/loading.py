"""The sources of settings, each overriding the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import NotFound, SettingsError
from .contradictions import refuse_contradictions
from .keys import provider_names, require_known, suggest
from .models import ProviderSettings
from .places import default_data_folder
from .sections import SECTIONS, Settings
from .values import convert

ENVIRONMENT_PREFIX = "RAGSTONE_"
DATA_VARIABLE = "RAGSTONE_DATA"


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Settings from `file` (None: no file), `environ` and `overrides` ("section.key" → value; strings are converted
    as for environment variables). Raises NotFound for a missing file, SettingsError for everything wrong in it."""
    environ = environ or {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        for key, raw in _read_toml(file):
            values[key] = convert(key, raw, str(file), base=file.parent, environ=environ)
            origins[key] = f"{file}: {key}"
    for name, key, text in _from_environment(environ):
        place = f"environment {name}"
        values[key] = convert(key, text, place, base=None, environ=environ)
        origins[key] = place
    for key, raw in (overrides or {}).items():
        require_known(key, "flag")
        values[key] = convert(key, raw, "flag", base=None, environ=environ)
        origins[key] = "flag"
    if "data.folder" not in values:
        values["data.folder"] = default_data_folder(environ)
    providers = [f"providers.{name}" for name in provider_names(values)]
    for section in ("embedding", "answer", *providers):
        _resolve_key(section, values, origins, environ)

    def made(name: str, cls: type) -> Any:
        return cls(**{f.name: values[f"{name}.{f.name}"] for f in fields(cls) if f"{name}.{f.name}" in values})

    settings = Settings(
        **{name: made(name, cls) for name, cls in SECTIONS.items()},
        providers={section.partition(".")[2]: made(section, ProviderSettings) for section in providers},
        origins=origins,
        file=file,
    )
    refuse_contradictions(settings)
    return settings


def _read_toml(file: Path) -> Iterator[tuple[str, object]]:
    import tomllib  # 3 ms of the start, where there is a file

    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except FileNotFoundError:
        raise NotFound(
            f"There is no settings file {file}.",
            "Check --config and RAGSTONE_CONFIG, or write one with `ragstone config init`.",
        ) from None
    except OSError as error:
        raise SettingsError(
            f"The settings file {file} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", "Mend the line that is named.") from error
    tables = table.pop("providers", {})
    if not isinstance(tables, dict) or not all(isinstance(content, dict) for content in tables.values()):
        raise SettingsError(f"{file}: providers are sections.", "Write [providers.NAME] on a line of its own.")
    for section, content in {**table, **{f"providers.{name}": content for name, content in tables.items()}}.items():
        if section not in SECTIONS and not section.startswith("providers."):
            raise SettingsError(f"{file}: there is no section [{section}].", suggest(section, SECTIONS))
        if not isinstance(content, dict):
            raise SettingsError(f"{file}: {section} must be a section.", f"Write [{section}] on a line of its own.")
        for key, value in content.items():
            require_known(f"{section}.{key}", str(file))
            yield f"{section}.{key}", value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(variable, "section.key", text). Names with the prefix but without "__" belong to others and are left alone
    (a container platform makes RAGSTONE_PORT and the like for a service of that name)."""
    if DATA_VARIABLE in environ:
        yield DATA_VARIABLE, "data.folder", environ[DATA_VARIABLE]
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1)
            if key.startswith("providers."):
                key = key.replace("__", ".", 1)
            require_known(key, f"environment {name}")
            yield name, key, environ[name]


def _resolve_key(section: str, values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]) -> None:
    name = values.get(f"{section}.api_key_env", "")
    if not name or values.get(f"{section}.api_key"):
        return
    if name not in environ:
        raise SettingsError(
            f"{origins[f'{section}.api_key_env']}: the environment variable {name} is not set.",
            f"Set it, or unset {section}.api_key_env.",
        )
    values[f"{section}.api_key"] = environ[name]
    origins[f"{section}.api_key"] = f"environment {name}"
