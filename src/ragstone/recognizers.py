"""Names that models of others see: a spaCy pipeline or an ONNX token classifier that the user has installed.

Their names are added where the tagger sees none. They are loaded when the first text is read. Nothing is fetched: a
model that is not there is an error that says so.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from .embedding.session import open_session
from .errors import ModelMismatch, ModelMissing, SettingsError
from .protocols import Recognizer, Span

NO_NAMES: Final = frozenset(("DATE", "TIME", "CARDINAL", "ORDINAL", "PERCENT", "PERCENTAGE", "MONEY", "QUANTITY"))
"""Types that are none: rules tell dates and quantities."""
WINDOW: Final = 510
"""Tokens of a run; longer texts are read in pieces that overlap by OVERLAP."""
OVERLAP: Final = 64
_UNUSED: Final = (
    "tagger", "parser", "lemmatizer", "trainable_lemmatizer", "attribute_ruler", "morphologizer", "senter",
)  # fmt: skip
"""Parts of a pipeline that names do not need."""
_ANY: Final = "xx"


def recognizers(names: Sequence[str]) -> tuple[Recognizer, ...]:
    """Of `spacy:NAME` (an installed package or a folder) and `onnx:FOLDER`; each is loaded once in a process. Raises
    SettingsError, ModelMissing, ModelMismatch."""
    with _LOADING:
        for name in names:
            if name not in _LOADED:
                _LOADED[name] = _load(name)
        return tuple(_LOADED[name] for name in names)


_LOADING: Final = threading.Lock()
_LOADED: Final[dict[str, Recognizer]] = {}


def _load(name: str) -> Recognizer:
    kind, _, where = name.partition(":")
    if kind == "spacy" and where:
        return SpacyRecognizer(where)
    if kind == "onnx" and where:
        return OnnxRecognizer(Path(where).expanduser())
    raise SettingsError(f"graph.ner has no model {name!r}.", "Write spacy:NAME or onnx:FOLDER.")


class SpacyRecognizer:
    """Implements protocols.Recognizer, for texts in the pipeline's language. Thread-safe: threads take turns."""

    def __init__(self, name: str) -> None:
        try:
            import spacy
        except ImportError:
            raise ModelMissing("spaCy is not installed.", 'Install it: pip install "ragstone[ner]"') from None
        try:
            self._pipeline = spacy.load(name, exclude=_UNUSED)
        except OSError as error:
            raise ModelMissing(
                f"there is no spaCy pipeline {name!r}.", "Install its package, or give its folder in graph.ner."
            ) from error
        except ValueError as error:
            raise ModelMismatch(
                f"{name!r} is no pipeline that this spaCy reads: {error}", "Install one that was made for it."
            ) from error
        if not {"ner", "entity_ruler", "span_ruler"} & set(self._pipeline.pipe_names):
            raise ModelMismatch(f"the spaCy pipeline {name!r} tells no names.", "Give one with the part `ner`.")
        meta = self._pipeline.meta
        self.version: str = f"spacy:{meta['lang']}_{meta['name']}-{meta['version']}"
        self._lock = threading.Lock()

    def names(self, text: str, language: str) -> list[Span]:
        if self._pipeline.lang not in (language, _ANY):
            return []
        with self._lock:
            found = self._pipeline(text)
        return [(e.start_char, e.end_char) for e in found.ents if e.label_.upper() not in NO_NAMES]


class OnnxRecognizer:
    """Implements protocols.Recognizer for a folder with model.onnx, tokenizer.json and config.json (`id2label` with BIO
    tags), as token classifiers are exported. A word has the tag of its first token. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        file = next((f for f in (folder / "model.onnx", folder / "onnx" / "model.onnx") if f.is_file()), None)
        if file is None or not all((folder / name).is_file() for name in ("tokenizer.json", "config.json")):
            raise ModelMissing(
                f"there is no token classifier in {folder}.", "It needs model.onnx, tokenizer.json and config.json."
            )
        from tokenizers import Tokenizer

        try:
            labels = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"]
            self._labels = [str(labels[str(number)]) for number in range(len(labels))]
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises nothing narrower
            raise ModelMismatch(f"{folder} is no token classifier: {error}", "Export it with its tokenizer.") from error
        self._tokenizer.enable_truncation(WINDOW + self._tokenizer.num_special_tokens_to_add(False), stride=OVERLAP)
        self._tokenizer.no_padding()
        self._session: Any = open_session(file)
        self._inputs = {one.name for one in self._session.get_inputs()}
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        self.version = f"onnx:{folder.name}-{digest[:12]}"

    def names(self, text: str, language: str) -> list[Span]:  # noqa: ARG002 - it is asked about any language
        first = self._tokenizer.encode(text)
        tags: dict[tuple[int, int], str] = {}
        for window in (first, *first.overflowing):
            for word, tag in self._tagged(window).items():
                tags.setdefault(word, tag)  # the window before saw more of what stands before it
        return joined(text, sorted(tags.items()))

    def _tagged(self, window: Any) -> dict[tuple[int, int], str]:
        """Words, as spans of characters, with their tags."""
        given = {
            "input_ids": window.ids, "attention_mask": window.attention_mask, "token_type_ids": window.type_ids,
        }  # fmt: skip
        feed = {name: np.array([values], np.int64) for name, values in given.items() if name in self._inputs}
        best = self._session.run(None, feed)[0][0].argmax(axis=-1).tolist()
        if len(best) != len(window.ids) or max(best) >= len(self._labels):
            raise ModelMismatch("the model gives no tag for each token.", "Give a token classifier in graph.ner.")
        words: dict[int, tuple[int, int]] = {}
        tags: dict[int, str] = {}
        for word, (start, end), tag in zip(window.word_ids, window.offsets, best, strict=True):
            if word is not None and end > start:
                words[word] = words.get(word, (start, end))[0], end
                tags.setdefault(word, self._labels[tag])
        return {span: tags[word] for word, span in words.items()}


def joined(text: str, tagged: Sequence[tuple[Span, str]]) -> list[Span]:
    """Spans of names, of words with BIO tags. A name goes on over an I of its type where nothing but white space or a
    hyphen lies between."""
    found: list[Span] = []
    open_ = ""
    for (start, end), tag in tagged:
        mark, _, kind = tag.partition("-")
        kind = kind or mark
        if mark == "O" or kind.upper() in NO_NAMES:
            open_ = ""
            continue
        if open_ == kind and mark != "B" and not text[found[-1][1] : start].strip(" \t\n-"):
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
        open_ = kind
    return found
