"""An embedding server as an `Embedder`: OpenAI-compatible (`POST /v1/embeddings`) or Ollama (`POST /api/embed`)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx2
import numpy as np

from ..errors import ModelError, ModelMismatch, ModelMissing, ModelUnavailable
from ..protocols import Role, Vectors
from ..types import Space

RemoteProtocol = Literal["openai", "ollama"]

BATCH_TEXTS = 32
PARALLEL = 2  # requests of one call under way at once: one is computed while the other travels
ATTEMPTS = 5
QUESTION_ATTEMPTS = 2  # somebody waits, and words can be searched without
FIRST_PAUSE = 0.5  # seconds; doubles with each attempt
LONGEST_PAUSE = 30.0
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
BYTES_PER_TOKEN = 3  # fewer than in any usual language (English 4.5, German 4, Chinese 3), so windows rarely overflow
_QUOTED = 300  # characters of a server's own message that an error repeats


class RemoteEmbedder:
    """Safe from several threads. Where a text is longer than `max_tokens` by a careful estimate it is cut at spaces,
    and the vectors of its windows are averaged by length."""

    def __init__(
        self,
        endpoint: str,
        model: str,
        *,
        protocol: RemoteProtocol = "openai",
        api_key: str = "",
        query_prefix: str = "",
        passage_prefix: str = "",
        dimension: int = 0,
        max_tokens: int = 512,
        timeout: float = 120.0,
        attempts: int = ATTEMPTS,
    ) -> None:
        """`endpoint` is the server's base address, with or without a final `/v1`. `dimension` 0 asks the server at the
        first need. `timeout` is seconds of silence within one request."""
        self._base = endpoint.rstrip("/").removesuffix("/v1")
        self._model = model
        self._protocol = protocol
        self._prefixes = {"query": query_prefix, "passage": passage_prefix}
        self._dimension = dimension
        self._room = max(1, max_tokens * BYTES_PER_TOKEN)
        self._attempts = max(1, attempts)
        self._lock = threading.Lock()
        self._space: Space | None = None
        self._http = httpx2.Client(
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            trust_env=False,
            timeout=httpx2.Timeout(timeout, connect=5.0),
        )

    @property
    def space(self) -> Space:
        """Asks the server at the first need. Raises as `embed`."""
        return self._told(self._attempts)

    def _told(self, attempts: int) -> Space:
        with self._lock:
            if self._space is None:
                self._space = Space(
                    model=self._model,
                    revision=self._revision(attempts),
                    dimension=self._dimension or len(self._request(["a"], attempts)[0]),
                    prefix="|".join(self._prefixes.values()) if any(self._prefixes.values()) else "",
                )
            return self._space

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        """See `Embedder.embed`. Raises ModelUnavailable when the server stays away or busy, ModelMissing when it does
        not know the model, ModelMismatch when its vectors have another dimension than before."""
        attempts = self._attempts if role == "passage" else min(QUESTION_ATTEMPTS, self._attempts)
        dimension = self._told(attempts).dimension
        prefix = self._prefixes[role]
        windows = [(i, part) for i, text in enumerate(texts) for part in split(text, self._room)]
        batches = [windows[i : i + BATCH_TEXTS] for i in range(0, len(windows), BATCH_TEXTS)]

        def run(batch: list[tuple[int, str]]) -> Vectors:
            sent = [(prefix + part).encode("utf-8", "replace").decode() for _, part in batch]  # no lone surrogates
            return self._checked(self._request(sent, attempts), dimension)

        if len(batches) > 1:
            with ThreadPoolExecutor(PARALLEL) as pool:
                answers = list(pool.map(run, batches))
        else:
            answers = [run(batch) for batch in batches]
        sums = np.zeros((len(texts), dimension), np.float32)
        for batch, vectors in zip(batches, answers, strict=True):
            for (i, part), vector in zip(batch, vectors, strict=True):
                sums[i] += vector * max(1, len(part))
        lengths: Vectors = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.asarray(sums / np.maximum(lengths, 1e-12), np.float32)

    def close(self) -> None:
        self._http.close()

    def _checked(self, rows: list[list[float]], dimension: int) -> Vectors:
        if any(len(row) != dimension for row in rows):
            found = next(len(row) for row in rows if len(row) != dimension)
            raise ModelMismatch(
                f"{self._name} gave a vector of {found} numbers, {dimension} were expected.",
                "Another model answers under this name: correct embedding.model or embedding.dimension.",
            )
        try:
            vectors = np.asarray(rows, np.float32)
        except (TypeError, ValueError) as error:
            raise self._nonsense() from error
        if vectors.shape != (len(rows), dimension):
            raise self._nonsense()
        if not np.isfinite(vectors).all():
            raise ModelMismatch(f"{self._name} gave a vector that is not finite.", "The model on the server is broken.")
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)

    @property
    def _name(self) -> str:
        return f"{self._model} at {self._base}"

    def _request(self, texts: list[str], attempts: int) -> list[list[float]]:
        """Vectors of the texts, in their order, as the server gives them."""
        if self._protocol == "ollama":
            body: dict[str, Any] = {"model": self._model, "input": texts, "truncate": False}
            rows = self._call("POST", "/api/embed", body, attempts).get("embeddings")
        else:
            body = {"model": self._model, "input": texts, "encoding_format": "float"}
            data = self._call("POST", "/v1/embeddings", body, attempts).get("data")
            try:
                rows = [item["embedding"] for item in sorted(data or [], key=lambda item: item["index"])]
            except (TypeError, KeyError, AttributeError) as error:
                raise self._nonsense() from error
        if not isinstance(rows, list) or len(rows) != len(texts) or not all(isinstance(r, list) and r for r in rows):
            raise self._nonsense()
        return rows

    def _revision(self, attempts: int) -> str:
        """The digest where the server tells one, so that a model that was replaced is a new space."""
        if self._protocol != "ollama":
            return "server"
        models = self._call("GET", "/api/tags", None, attempts).get("models")
        wanted = self._model if ":" in self._model else f"{self._model}:latest"
        for model in models if isinstance(models, list) else []:
            if isinstance(model, dict) and model.get("name") == wanted:
                return str(model.get("digest", "server")).removeprefix("sha256:")[:12]
        raise ModelMissing(
            f"the server at {self._base} has no model {self._model}.", f"Run `ollama pull {self._model}`."
        )

    def _call(self, method: str, path: str, body: dict[str, Any] | None, attempts: int) -> dict[str, Any]:
        """One exchange in JSON, repeated while the server is busy or away."""
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                response = self._http.request(method, self._base + path, json=body)
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                raise ModelError(
                    f"{self._base!r} is not the address of a server.", "Use the form http://127.0.0.1:11434."
                ) from error
            except httpx2.RequestError as error:
                if last:
                    raise ModelUnavailable(
                        f"{self._name} does not answer ({type(error).__name__}).",
                        "Check that the server runs and that embedding.endpoint is right.",
                    ) from error
                time.sleep(pause(attempt, ""))
                continue
            if response.status_code in RETRIED and not last:
                time.sleep(pause(attempt, response.headers.get("retry-after", "")))
                continue
            return self._content(response)
        raise AssertionError("the last attempt returns or raises")

    def _content(self, response: httpx2.Response) -> dict[str, Any]:
        status = response.status_code
        if status == 200:
            try:
                content = response.json()
            except (ValueError, RecursionError) as error:
                raise self._nonsense() from error
            if isinstance(content, dict):
                return content
            raise self._nonsense()
        said = " ".join(response.text.split())[:_QUOTED]
        message = f"{self._name} answered with status {status}: {said}"
        if status in RETRIED:
            raise ModelUnavailable(message, "Try again later.")
        if status in (401, 403):
            raise ModelError(message, "Set embedding.api_key_env to the variable that holds a valid key.")
        if status == 404:
            raise ModelMissing(message, "Check embedding.model, embedding.endpoint and embedding.protocol.")
        raise ModelError(
            message, "Check the server's log; a smaller embedding.max_tokens helps when texts are too long."
        )

    def _nonsense(self) -> ModelMismatch:
        return ModelMismatch(
            f"{self._name} answered with something that is not a list of vectors.",
            f"Check that it is an embedding model and that the server speaks the {self._protocol} protocol.",
        )


def pause(attempt: int, retry_after: str) -> float:
    """Seconds before the next attempt: what the server asks for (seconds or a date), else growing."""
    wanted = FIRST_PAUSE * 2.0 ** (attempt - 1)
    if re.fullmatch(r"\d+(\.\d+)?", retry_after.strip()):
        wanted = float(retry_after)
    elif retry_after:
        try:
            wanted = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return min(wanted, LONGEST_PAUSE)
    return min(max(wanted, 0.0), LONGEST_PAUSE)


def split(text: str, room: int) -> Iterator[str]:
    """Pieces of at most `room` bytes (UTF-8), cut behind a space where there is one in the second half of a piece.
    Together they are the text."""
    if len(text.encode("utf-8", "replace")) <= room:
        yield text
        return
    start = 0
    while start < len(text):
        end = start + len(text[start : start + room].encode("utf-8", "replace")[:room].decode("utf-8", "ignore"))
        end = max(end, start + 1)
        if end < len(text):
            space = text.rfind(" ", start + (end - start) // 2, end)
            end = space + 1 if space >= 0 else end
        yield text[start:end]
        start = end
