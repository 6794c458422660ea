"""Vector spaces and what collections use them for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Space:
    """A vector space. Vectors of two spaces are never compared, even where the dimensions agree."""

    model: str
    revision: str
    dimension: int
    normalised: bool = True
    prefix: str = ""
    quantisation: str = "none"

    @property
    def id(self) -> str:
        """One string that is equal exactly when every field is."""
        norm = "unit" if self.normalised else "raw"
        return f"{self.model}@{self.revision}/{self.dimension}/{norm}/{self.prefix}/{self.quantisation}"


SpaceRole = Literal["active", "preferred", "building", "kept", "dropping"]
"""What a collection uses a space for. `active` is searched; `preferred` is searched together with it and wins where a
chunk has a vector there; `building` gets vectors and is not searched; `kept` was active and stays for going back;
`dropping` is being removed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the embedder of a space is made, for whoever opens the folder. `packaged`: `model` by its name in the
    registry. `file`: an ONNX model at `path`. `endpoint`: a server; its key is in the environment variable
    `api_key_env`. `given`: by a program, which has to give it again. An empty field says: as the model has it."""

    kind: Literal["packaged", "file", "endpoint", "given"]
    model: str
    path: str = ""
    sha256: str = ""
    pooling: Literal["mean", "cls", "none"] = "mean"
    max_tokens: int = 512
    dimension: int = 0
    query_prefix: str = ""
    passage_prefix: str = ""
    endpoint: str = ""
    protocol: Literal["openai", "ollama"] = "openai"
    api_key_env: str = ""


@dataclass(frozen=True, slots=True)
class SpaceUse:
    """That a collection uses a space. `revision` of the collection and time (`since`) gave it this role."""

    space: Space
    role: SpaceRole
    recipe: Recipe
    revision: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """A space of a collection as `KnowledgeBase.spaces` tells it. `recorded` is False for the one that the settings
    name and that holds nothing yet."""

    collection: str
    space: str
    role: SpaceRole
    recipe: Recipe
    chunks: int
    embedded: int
    waiting: int
    revision: int
    since: float
    recorded: bool
