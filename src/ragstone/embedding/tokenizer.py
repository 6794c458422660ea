"""A `tokenizer.json` beside a model, as the `Tokenizer` of an `OnnxEmbedder`."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelMismatch, ModelMissing


class JsonTokenizer:
    """Marks around a text (such as [CLS] and [SEP]) are taken from the file's own template."""

    def __init__(self, path: Path) -> None:
        """Raises ModelMissing, ModelMismatch."""
        from tokenizers import Tokenizer  # half a second for large vocabularies: only for models that need it

        if not path.is_file():
            raise ModelMissing(f"there is no {path}.", "Put the model's tokenizer.json beside the ONNX file.")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # what the library raises derives from Exception alone
            raise ModelMismatch(f"{path} cannot be read: {error}", "Give the tokenizer.json of the model.") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        sample = self._tokenizer.encode("a")
        marks = list(sample.special_tokens_mask)
        inside = marks.index(0) if 0 in marks else len(marks)
        after = len(marks) - marks[::-1].index(0) if 0 in marks else len(marks)
        self.prefix: tuple[int, ...] = tuple(sample.ids[:inside])
        self.suffix: tuple[int, ...] = tuple(sample.ids[after:])

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
