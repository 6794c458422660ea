"""What a collection is made of, as far as it decides how it is searched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..protocols import CollectionView, Ids, Owners, Store

_CODE_MEMORY: Final = 10_000  # chunks of which is remembered whether they look like code
_CODE_MARKS: Final = re.compile(r"[(){}\[\]=;_<>]")
_SPACES: Final = re.compile(r"\s")
MAX_LANGUAGES: Final = 3
"""Languages of a collection in which a question is analysed; the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Languages of a collection, most frequent first, and whether most of it is program code (by an even sample)."""

    collection: str
    revision: int
    languages: tuple[str, ...]
    code: bool
    held: list[Owners]

    def owners(self, store: Store) -> Owners:
        """Read when first needed."""
        if not self.held:
            self.held.append(store.owners(self.collection))
        return self.held[0]


class Profiles:
    """Those of all collections, kept while the collection stays as it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._profiles: dict[str, Profile] = {}
        self._code: dict[int, bool] = {}

    def of(self, collection: str, view: CollectionView) -> Profile:
        """What the collection is made of, found out once for each revision."""
        revision = view.at()[0]
        known = self._profiles.get(collection)
        if known is None or known.revision != revision:
            code = self._is_code(view.lexical.sample())
            known = self._profiles[collection] = Profile(collection, revision, self._languages(collection), code, [])
        return known

    def _languages(self, collection: str) -> tuple[str, ...]:
        counts = self._store.languages(collection)
        ranked = sorted((lang for lang in counts if lang), key=lambda lang: (-counts[lang], lang))
        total = sum(counts.values())
        return tuple(lang for lang in ranked if counts[lang] >= 0.01 * total)[:MAX_LANGUAGES] or ("en",)

    def _is_code(self, sample: Ids) -> bool:
        """Whether most of the sample looks like code. The sample hardly changes with a write, and what a chunk looks
        like never does."""
        new = [int(i) for i in sample if int(i) not in self._code]
        if new:
            if len(self._code) > _CODE_MEMORY:
                self._code = {}
            self._code.update((chunk.id, looks_like_code(chunk.text)) for chunk in self._store.chunks(new))
        return sum(self._code.get(int(i), False) for i in sample) > 0.5 * len(sample)


def looks_like_code(text: str) -> bool:
    """Whether brackets, operators and underscores are more than 5 % of what is not white space: the median is 7.5 % in
    Python functions with their comments, 4 % in manuals of function blocks, below 0.5 % in prose."""
    return len(_CODE_MARKS.findall(text)) > 0.05 * max(1, len(text) - len(_SPACES.findall(text)))
