"""Where the settings file and the data folder are looked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

CONFIG_VARIABLE = "RAGSTONE_CONFIG"


def find_file(explicit: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    """The TOML file to read: `explicit`, else RAGSTONE_CONFIG, else ragstone.toml in `folder`, else the user's."""
    if explicit is not None:
        return explicit
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    return next((p for p in (folder / "ragstone.toml", user_file(environ)) if p.is_file()), None)


def user_file(environ: Mapping[str, str]) -> Path:
    """Where the user's own settings file is looked for."""
    return (
        _platform_folder(environ, "XDG_CONFIG_HOME", ".config", "Library/Application Support", "APPDATA")
        / "config.toml"
    )


def default_data_folder(environ: Mapping[str, str]) -> Path:
    """The platform's folder for the data of one user."""
    return _platform_folder(environ, "XDG_DATA_HOME", ".local/share", "Library/Application Support", "LOCALAPPDATA")


def _platform_folder(environ: Mapping[str, str], xdg: str, unix: str, mac: str, windows: str) -> Path:
    if sys.platform == "win32" and (base := environ.get(windows)):
        return Path(base) / "ragstone"
    if base := environ.get(xdg):
        return Path(base) / "ragstone"
    return home_folder(environ) / (mac if sys.platform == "darwin" else unix) / "ragstone"


def home_folder(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(home) if home else Path.home()
