"""Collections and documents as callers name them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ..errors import NotFound
from ..ingest import sources
from ..ingest.names import MEMBER, uri_of
from ..memory_types import MEMORY, not_memory
from ..protocols import Store
from ..text.globs import has_magic, path_matcher
from ..types import Document

DEFAULT_COLLECTION = "default"


def named(store: Store, collection: str | None) -> list[str]:
    """None: all of documents. Raises NotFound."""
    if collection is None:
        return store.collections()
    store.revision(not_memory(collection))
    return [collection]


def chosen(store: Store, collections: Sequence[str] | None) -> list[str]:
    """None: all of documents. Raises NotFound, also where there are none."""
    if collections is None:
        names = store.collections()
        if not names:
            raise NotFound("there are no documents yet.", "Add some with `ragstone add PATH`.")
        return names
    return [name for one in collections for name in named(store, one)]


def fixed(collections: Sequence[str] | None) -> tuple[str, ...] | None:
    """As a key."""
    return None if collections is None else tuple(collections)


def with_id(store: Store, id: int) -> Document:
    """Raises NotFound."""
    found = store.documents_by_id([id])
    if not found or found[0].collection == MEMORY:
        raise NotFound("there is no such document.", "It was removed, or never was here; list the documents.")
    return found[0]


def called(store: Store, uri: str, collection: str) -> Document:
    """By uri, or by path, or by the end of a uri where only one document ends so. Raises NotFound."""
    known = store.known(not_memory(collection))
    fitting = [uri] if uri in known else matching(uri, known)
    if not fitting:
        fitting = [u for u in known if u.endswith("/" + uri)]
    if len(fitting) != 1:
        what = "no document is" if not fitting else f"{len(fitting)} documents are"
        raise NotFound(f"{what} called {uri!r} in {collection!r}.", "`ragstone list` shows what is there.")
    return store.document(collection, fitting[0])


def matching(pattern: str, known: Iterable[str]) -> list[str]:
    """uris that equal the pattern or the path that it is, lie in that folder or archive, or fit it as a glob
    (text/globs.py). A glob with folders in it begins where the caller stands, unless with `/` or `**`."""
    names = [pattern]
    if "\0" not in pattern:
        names += [uri_of(os.path.abspath(pattern)), uri_of(sources.resolved(pattern))]  # noqa: PTH100 - with links
    inside = tuple(name.rstrip("/") + end for name in names[1:] for end in ("/", MEMBER))
    exact = [uri for uri in known if uri in names or uri.startswith(inside)]
    if exact or not has_magic(pattern):
        return exact
    anywhere = "/" not in pattern or pattern.startswith(("/", "**")) or "://" in pattern
    fits = path_matcher(pattern if anywhere else names[1])
    return [uri for uri in known if fits(uri)]
