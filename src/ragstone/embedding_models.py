"""Settings become embedding models: beside assemble.py the place that names concrete classes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .embedding.session import Device
from .errors import SettingsError
from .models import LocalModel, ModelRegistry
from .settings import Settings
from .types import Recipe

if TYPE_CHECKING:
    from .protocols import Embedder
    from .types import Space


def model_registry(settings: Settings, processes: int = 1) -> ModelRegistry:
    """Embedding models as the settings have them; each is loaded once, when it is first needed. The processor's cores
    are shared among that many processes."""
    chosen = settings.embedding
    device = Device(chosen.provider, chosen.gpu_memory_mb)
    threads = chosen.threads or -(-(cpu_count() or 1) // processes)
    return ModelRegistry(threads=threads, device=device, precision=chosen.precision)


def default_recipe(settings: Settings) -> Recipe:
    """How the embedder that the settings name is made."""
    chosen = settings.embedding
    shape: dict[str, Any] = {
        "max_tokens": chosen.max_tokens,
        "dimension": chosen.dimension,
        "query_prefix": chosen.query_prefix or "",
        "passage_prefix": chosen.passage_prefix or "",
    }
    if chosen.endpoint:
        return Recipe(
            "endpoint",
            chosen.model,
            endpoint=chosen.endpoint,
            protocol=chosen.protocol,
            api_key_env=chosen.api_key_env,
            **shape,
        )
    if chosen.path is None:
        return Recipe("packaged", chosen.model)
    return Recipe(
        "file",
        chosen.path.name,
        path=str(chosen.path.absolute()),
        sha256=chosen.sha256,
        pooling=chosen.pooling,
        **shape,
    )


class EmbeddingModels:
    """Embedders by recipe. A server is asked for its space once for each recipe."""

    def __init__(
        self,
        settings: Settings,
        registry: ModelRegistry,
        closers: list[Callable[[], None]],
        environ: Mapping[str, str],
    ) -> None:
        self._chosen = settings.embedding
        self._registry = registry
        self._closers = closers
        self._environ = environ
        self._servers: dict[Recipe, Embedder] = {}
        self._lock = threading.Lock()

    def open(self, recipe: Recipe) -> Embedder:
        """Raises ModelError, SettingsError."""
        if recipe.kind == "packaged":
            return self._registry.load(recipe.model)
        if recipe.kind == "file":
            return self._registry.load(_local_model(recipe))
        with self._lock:
            if recipe not in self._servers:
                self._servers[recipe] = self._server(recipe)
            return self._servers[recipe]

    def space(self, recipe: Recipe) -> Space:
        """A packaged model is not loaded for that. Raises ModelError, SettingsError."""
        return self._registry.space(recipe.model) if recipe.kind == "packaged" else self.open(recipe).space

    def _server(self, recipe: Recipe) -> Embedder:
        from .embedding.remote import RemoteEmbedder

        remote = RemoteEmbedder(
            recipe.endpoint,
            recipe.model,
            protocol=recipe.protocol,
            api_key=self._key(recipe),
            dimension=recipe.dimension,
            max_tokens=recipe.max_tokens,
            query_prefix=recipe.query_prefix,
            passage_prefix=recipe.passage_prefix,
        )
        self._closers.append(remote.close)
        return remote

    def _key(self, recipe: Recipe) -> str:
        """From the variable that was recorded; the settings' key is for the settings' server only."""
        if recipe.endpoint == self._chosen.endpoint and recipe.api_key_env == self._chosen.api_key_env:
            return self._chosen.api_key
        if recipe.api_key_env and recipe.api_key_env not in self._environ:
            raise SettingsError(
                f"the key of {recipe.endpoint} is to be in the environment variable {recipe.api_key_env}, which is not "
                "set.",
                "Set it (a program passes it as `environ`).",
            )
        return self._environ.get(recipe.api_key_env, "")


def _local_model(recipe: Recipe) -> LocalModel:
    return LocalModel(
        Path(recipe.path),
        sha256=recipe.sha256,
        dimension=recipe.dimension,
        max_tokens=recipe.max_tokens,
        pooling=recipe.pooling,
        query_prefix=recipe.query_prefix,
        passage_prefix=recipe.passage_prefix,
    )
