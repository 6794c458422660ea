"""Conversations over HTTP: what was said, by key and the name that the asker gave, in the data folder of the tenant.

    DATA/conversations/HASH    questions and answers, and which passages they rest on; locked while one is answered

Any process may answer the next question. The one that answered the last has its prompt as well, and only adds to it,
which spares a model what it has computed; another one lays the prompt out anew from what was said. A conversation whose
passages were removed begins anew, and `purge` removes all.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from ..answer.conversation import Conversation
from ..answer.prompt import Earlier
from ..errors import Conflict
from ..protocols import Store
from ..storage.connect import os_error
from ..storage.layout import CONVERSATIONS
from ..types import Message

KEPT: Final = 256
"""Of a tenant; above, the one that was silent longest is forgotten, and its next question begins anew."""
SILENT_SECONDS: Final = 86_400.0
"""After so long one is forgotten in any case."""
TURNS: Final = 64
"""Messages that are kept of one: more than finds room in a prompt."""
_TRIES: Final = 5


class Said(msgspec.Struct):
    """`id` names it to a model's server, `questions` counts those that were answered. `passages`: (id of the chunk,
    hash of its content)."""

    id: str = ""
    questions: int = 0
    turns: list[Message] = []
    passages: list[tuple[int, bytes]] = []


class Conversations:
    """Of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[Path, tuple[int, Conversation]] = OrderedDict()

    @contextmanager
    def use(self, store: Store, key: str, name: str) -> Iterator[Conversation]:
        """For one question at a time. Raises Conflict while another one is being answered, StoreError."""
        place = store.folder / CONVERSATIONS / blake2b(f"{key}\0{name}".encode(), digest_size=16).hexdigest()
        try:
            file = _locked(place)
        except BlockingIOError:
            raise Conflict(
                "the last question of this conversation is still being answered.", "Wait for its end."
            ) from None
        except OSError as error:
            raise os_error(error, store.folder) from error
        try:
            said = _read(file)
            if not _there(store, said):
                said = Said()
            talk = self._talk(place, said)
            turns = talk.earlier.turns
            yield talk
            if talk.earlier.turns != turns:
                passages = [(hit.chunk.id, hit.chunk.content_hash) for hit in talk.earlier.hits]
                known = dict.fromkeys((*(said.passages if talk.earlier.turns[:1] == turns[:1] else ()), *passages))
                now = Said(talk.id, said.questions + 1, list(talk.earlier.turns[-TURNS:]), list(known))
                _write(file, now, store.folder)
                self._hold(place, now.questions, talk)
        finally:
            if not os.fstat(file).st_size:  # nothing was said that the next question could go on from
                place.unlink(missing_ok=True)
            os.close(file)

    def _talk(self, place: Path, said: Said) -> Conversation:
        with self._lock:
            questions, talk = self._held.get(place, (-1, None))
        if talk is not None and questions == said.questions and talk.id == said.id:
            return talk
        talk = Conversation(said.id)
        talk.earlier = Earlier(turns=tuple(said.turns))
        return talk

    def _hold(self, place: Path, questions: int, talk: Conversation) -> None:
        with self._lock:
            self._held[place] = (questions, talk)
            self._held.move_to_end(place)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)


def _locked(place: Path) -> int:
    """The file, which is made where there is none. Raises BlockingIOError where another question has it, OSError."""
    if not place.exists():
        place.parent.mkdir(mode=0o700, exist_ok=True)
        _tidy(place.parent)
    for _ in range(_TRIES):
        file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if place.exists() and os.path.samestat(os.fstat(file), place.stat()):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # it was removed a moment ago
    raise BlockingIOError


def _tidy(folder: Path) -> None:
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found.append((path.stat().st_mtime, path))
    found.sort(reverse=True)
    for number, (used, path) in enumerate(found, 1):
        if number < KEPT and time.time() - used < SILENT_SECONDS:
            continue
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not one that is being answered
            path.unlink()


def _read(file: int) -> Said:
    """Of one that a kill cut off in the middle, nothing."""
    try:
        return msgspec.msgpack.decode(os.pread(file, os.fstat(file).st_size, 0), type=Said)
    except msgspec.DecodeError:
        return Said()


def _write(file: int, said: Said, folder: Path) -> None:
    """Raises StoreError."""
    data = msgspec.msgpack.encode(said)
    try:
        os.ftruncate(file, 0)
        if os.pwrite(file, data, 0) != len(data):
            raise OSError(28, "the disk is full")
    except OSError as error:
        raise os_error(error, folder) from error


def _there(store: Store, said: Said) -> bool:
    """Whether every passage that was in it is stored still."""
    wanted = set(said.passages)
    return not wanted - {(chunk.id, chunk.content_hash) for chunk in store.chunks([id for id, _ in wanted])}
