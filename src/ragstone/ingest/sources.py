"""Which files there are, and their bytes.

Nothing is followed and nothing is opened that is not a regular file: symbolic links, pipes, devices and sockets
are passed over and reported where a person would wonder. A file that cannot be read is a Source with a `problem`;
the walk goes on.
"""

# Paths stay plain strings: a walk over 100,000 files must not make as many Path objects.
# ruff: noqa: PTH100, PTH112, PTH118, PTH120, PTH207

from __future__ import annotations

import errno
import glob
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import InputError, LimitExceeded, NotFound, ReadError, Unreadable
from ..text.globs import has_magic, path_matcher
from ..types import Blob
from .names import uri_of

IGNORE_FILE: Final = ".ragstoneignore"
VERSION_CONTROL: Final = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"})
_OWN_FILES: Final = frozenset({"ragstone.db", "write.lock"})
"""A folder with these is a data folder of Ragstone and never a source."""
_IGNORE_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 20
_BESIDE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
SETTLE_MS: Final = 1_600
"""Changes that follow each other faster than this are yielded together (`watch`)."""
STEP_MS: Final = 100
READY_MS: Final = 200
"""After that time without a change the watch is known to stand, and a stop is noticed."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """`exclude` are path patterns (text/globs.py). `hidden` also takes names that begin with a dot, except those of
    version control. `file_bytes` is the largest file that is loaded."""

    exclude: tuple[str, ...] = ()
    hidden: bool = False
    ignore_files: bool = True
    file_bytes: int = 50 << 20


DEFAULTS: Final = SourceOptions()


@dataclass(frozen=True, slots=True)
class Source:
    """A file. `uri` names it in the store; `root` is the folder from which it is opened, without following links.
    With a `problem` it cannot be loaded: `skipped` tells refusal by rule from failure, `folder` that it stands for
    everything below; `media_type` is what somebody said it is."""

    path: str
    uri: str
    root: str
    problem: ReadError | None = None
    skipped: bool = False
    folder: bool = False
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened under the watched `roots`, as absolute paths: `changed` exist, `removed` do not."""

    roots: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


# ---------------------------------------------------------------------- finding
def discover(paths: Sequence[str | os.PathLike[str]], options: SourceOptions = DEFAULTS) -> Iterator[Source]:
    """Every file of the given files, folders and globs, each once, in order of the arguments and then of names.
    Raises NotFound at once where an argument names nothing."""
    given = [found for path in paths for found in _expand(os.fspath(path))]
    return _discover(given, options)


def _expand(path: str) -> list[str]:
    if not path or "\0" in path:
        raise InputError(f"{path!r} is not a path.", "Name a file or a folder.")
    absolute = resolved(path)
    if os.path.lexists(absolute):
        return [absolute]
    if has_magic(path):
        matching = sorted(glob.glob(path, recursive=True))
        if matching:
            return [resolved(match) for match in matching]
        raise NotFound(f"nothing matches {uri_of(path)}.", "Check the spelling; ** crosses folders.")
    raise NotFound(f"{uri_of(path)} does not exist.", "Check the spelling; put quotes around a pattern.")


def resolved(path: str) -> str:
    """The absolute path with links resolved in all parts but the last: one file, one name."""
    parent, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(parent), name) if name else os.path.realpath(parent)


def _discover(given: Iterable[str], options: SourceOptions) -> Iterator[Source]:
    seen: set[str] = set()
    for path in given:
        for source in _explicit(path, options):
            if source.path not in seen:
                seen.add(source.path)
                yield source


def _explicit(path: str, options: SourceOptions) -> Iterator[Source]:
    """A path that was asked for by name: it is taken even where its name is hidden."""
    parent = os.path.dirname(path)
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        yield _failed(path, parent, error)
        return
    if stat.S_ISDIR(mode):
        yield from _walk(path, path, _Rules.of(options), options)
    else:
        yield _file(path, parent, mode)


def _file(path: str, root: str, mode: int) -> Source:
    if stat.S_ISREG(mode):
        return Source(path, uri_of(path), root)
    if stat.S_ISLNK(mode):
        target = uri_of(os.path.realpath(path))
        problem = Unreadable("it is a symbolic link; links are not followed.", f"Add its target: {target}")
    else:
        problem = Unreadable("it is not a regular file (a pipe, a device or a socket).", "Only files can be added.")
    return Source(path, uri_of(path), root, problem, skipped=True)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder whose turn it is, with the rules that hold in it."""

    path: str
    rules: _Rules


def _walk(folder: str, root: str, rules: _Rules, options: SourceOptions) -> Iterator[Source]:
    """Everything below, in order of names. Folders may be nested deeper than calls may."""
    open_folders = [_listed(_Folder(folder, rules), root, options)]
    while open_folders:
        for found in open_folders[-1]:
            if isinstance(found, _Folder):
                open_folders.append(_listed(found, root, options))
                break
            yield found
        else:
            open_folders.pop()


def _listed(folder: _Folder, root: str, options: SourceOptions) -> Iterator[Source | _Folder]:
    try:
        with os.scandir(folder.path) as entries:
            listed = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield _failed(folder.path, root, error, folder=True)
        return
    names = {entry.name for entry in listed}
    if names >= _OWN_FILES:
        return
    rules = folder.rules
    if options.ignore_files and IGNORE_FILE in names:
        rules = rules.within(folder.path)
    for entry in listed:
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError as error:
            yield _failed(entry.path, root, error)
            continue
        if rules.refuse(entry.path, entry.name, is_folder=stat.S_ISDIR(mode)):
            continue
        if stat.S_ISDIR(mode):
            yield _Folder(entry.path, rules)
        elif not stat.S_ISLNK(mode) or not _inside(os.path.realpath(entry.path), root):
            # A link to a place inside is passed over silently: its target is found by itself.
            yield _file(entry.path, root, mode)


def _is_data_folder(folder: str) -> bool:
    return all(os.path.lexists(os.path.join(folder, name)) for name in _OWN_FILES)


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _failed(path: str, root: str, error: OSError, *, folder: bool = False) -> Source:
    return Source(path, uri_of(path), root, _unreadable(error), folder=folder)


# ---------------------------------------------------------------------- rules
@dataclass(frozen=True, slots=True)
class _Line:
    """One line of an ignore file: later lines win, `!` takes back."""

    base: str
    pattern: str
    folders_only: bool
    takes_back: bool

    def fits(self, path: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        return path_matcher(self.pattern)(path[len(self.base.rstrip("/")) :])


@dataclass(frozen=True, slots=True)
class _Rules:
    hidden: bool
    exclude: tuple[str, ...]
    lines: tuple[_Line, ...] = ()

    @classmethod
    def of(cls, options: SourceOptions) -> _Rules:
        return cls(options.hidden, options.exclude)

    def within(self, folder: str) -> _Rules:
        return _Rules(self.hidden, self.exclude, (*self.lines, *_ignore_lines(folder)))

    def refuse(self, path: str, name: str, *, is_folder: bool) -> bool:
        if name in VERSION_CONTROL or (name.startswith(".") and not self.hidden):
            return True
        if self.exclude and any(path_matcher(pattern)(path) for pattern in self.exclude):
            return True
        refused = False
        for line in self.lines:
            if line.takes_back == refused and line.fits(path, is_folder):
                refused = not line.takes_back
        return refused


def _ignore_lines(folder: str) -> list[_Line]:
    """As .gitignore in its plain parts: comments, `!`, a final `/` for folders, and a `/` elsewhere binds the
    pattern to this folder. An ignore file that cannot be read ignores nothing."""
    try:
        text = _read(folder, (IGNORE_FILE,), _IGNORE_BYTES)[0].decode("utf-8", "surrogateescape")
    except (OSError, ReadError):
        return []
    lines = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        takes_back = line.startswith("!")
        pattern = line.removeprefix("!")
        folders_only = pattern.endswith("/")
        pattern = pattern.rstrip("/")
        if "/" in pattern:
            pattern = "/" + pattern.lstrip("/")
        if pattern:
            lines.append(_Line(folder, pattern, folders_only, takes_back))
    return lines


# ---------------------------------------------------------------------- loading
def load(source: Source, max_bytes: int = DEFAULTS.file_bytes) -> Blob:
    """The bytes of the file. Raises Unreadable (vanished, no permission, no longer a regular file), LimitExceeded,
    or the source's own problem."""
    if source.problem is not None:
        raise source.problem
    parts = tuple(os.path.relpath(source.path, source.root).split("/"))
    try:
        data, modified = _read(source.root, parts, max_bytes)
    except OSError as error:
        raise _unreadable(error) from error
    return Blob(source.uri, data, source.media_type, modified)


def _read(root: str, parts: tuple[str, ...], max_bytes: int) -> tuple[bytes, float]:
    """Opened from the root on, one part after the other, so that no part can turn into a link in between; a pipe
    put in the file's place does not block."""
    descriptor = os.open(root, _BESIDE | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _BESIDE | os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        inner = os.open(parts[-1], _BESIDE | os.O_NONBLOCK, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("it is no longer a regular file.", "Only files can be added.")
        data = bytearray()
        while status.st_size <= max_bytes >= len(data):
            piece = os.read(descriptor, _READ_BYTES)
            if not piece:
                return bytes(data), status.st_mtime
            data += piece
        size = max(status.st_size, len(data))
        raise LimitExceeded(
            f"it has {size:,} bytes; the limit is {max_bytes:,}.", "Split it, or raise ingest.file_bytes."
        )
    finally:
        os.close(descriptor)


def _unreadable(error: OSError) -> Unreadable:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Unreadable("it vanished before it was read.", "Run the command again if it should be there.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unreadable("there is no permission to read it.", "Check its owner and permissions.")
    if error.errno == errno.ELOOP:
        return Unreadable("it is a symbolic link; links are not followed.", "Add its target instead.")
    return Unreadable(f"it cannot be read ({os.strerror(error.errno or 0)}).", "Check the file and its disk.")


# ---------------------------------------------------------------------- following
def watch(
    paths: Sequence[str | os.PathLike[str]],
    options: SourceOptions = DEFAULTS,
    *,
    stop: threading.Event | None = None,
) -> Iterator[Changes]:
    """Changes under files and folders, gathered until they settle, until `stop` is set. The first item is empty and
    comes when the watch stands: what changes after it is not missed, however late it is asked for. Raises NotFound."""
    roots = tuple(found for path in paths for found in _expand(os.fspath(path)))
    return _watch(roots, options, stop)


def _watch(roots: tuple[str, ...], options: SourceOptions, stop: threading.Event | None) -> Iterator[Changes]:
    import watchfiles

    standing = False
    for events in watchfiles.watch(
        *roots, watch_filter=None, debounce=SETTLE_MS, step=STEP_MS, stop_event=stop, raise_interrupt=True,
        rust_timeout=READY_MS, yield_on_timeout=True,
    ):  # fmt: skip
        if not standing:
            standing = True
            yield Changes(roots, (), ())
        if not events:
            continue
        there: set[str] = set()
        gone: set[str] = set()
        for _, path in events:
            if "\ufffd" in path and not os.path.lexists(path):
                path = os.path.dirname(path)  # the name was not decodable: look at the whole folder
            (there if os.path.lexists(path) else gone).add(path)
        there = {path for path in there if _admitted(path, roots, options)}
        if there or gone:
            yield Changes(roots, tuple(sorted(there)), tuple(sorted(gone)))


def changed(changes: Changes, options: SourceOptions = DEFAULTS) -> Iterator[Source]:
    """The files to read again after `changes`, by the same rules as `discover`."""
    seen: set[str] = set()
    for path in changes.changed:
        admitted = _admitted(path, changes.roots, options)
        if admitted is None:
            continue
        root, rules = admitted
        try:
            mode = os.lstat(path).st_mode
        except OSError as error:
            found: Iterable[Source] = [_failed(path, root, error)]
        else:
            is_folder = stat.S_ISDIR(mode)
            found = _walk(path, root, rules, options) if is_folder else [_file(path, root, mode)]
        for source in found:
            if source.path not in seen:
                seen.add(source.path)
                yield source


def _admitted(path: str, roots: Iterable[str], options: SourceOptions) -> tuple[str, _Rules] | None:
    """The root and the rules that hold where `path` is, or None where a rule refuses it or a folder above it, or where
    it lies in a data folder: its files change with every write, the one that this change leads to included."""
    for root in roots:
        if path == root:
            return (root if os.path.isdir(root) else os.path.dirname(root)), _Rules.of(options)
        if not _inside(path, root):
            continue
        rules = _Rules.of(options)
        parts = os.path.relpath(path, root).split("/")
        at = root
        for position, part in enumerate(parts):
            if options.ignore_files:
                rules = rules.within(at)
            at = os.path.join(at, part)
            is_folder = position + 1 < len(parts) or os.path.isdir(at)
            if rules.refuse(at, part, is_folder=is_folder) or _is_data_folder(os.path.dirname(at)):
                return None
        return root, rules
    return None
