"""What a parser worker gives up before it sees the first byte of a document.

Three layers, each used where the platform has it: resource limits (POSIX); Landlock and a seccomp filter (Linux on
x86-64 and aarch64), which hold against native code too; and a Python audit hook (everywhere), which also gives the
readable error. After `confine` the process cannot open sockets, start programs or processes, signal others, or
write outside its scratch folder. None of it can be undone from inside.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from pathlib import Path

from .limits import ReadLimits

# Linux constants, from the kernel's uapi headers (prctl.h, seccomp.h, filter.h, audit.h, landlock.h).
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38
_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ARGUMENT_0, _ARGUMENT_1, _ARCHITECTURE, _NUMBER = 16, 24, 4, 0
_CLONE_THREAD = 0x00010000
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446

# Second arguments of fcntl (F_SETOWN, F_SETOWN_EX) and ioctl (FIOSETOWN, SIOCSPGRP) that have the kernel signal the
# process they name, with whatever signal, when there is something to read.
_OWNERS = ((8, 15), (0x8901, 0x8902))

# Refused system calls: sockets, programs, other processes, name spaces, kernel interfaces, and what changes modes,
# owners, times and attributes of files, about which Landlock says nothing.
_X86_64 = {
    "refused": (
        *(41, 42, 43, 49, 50, 53, 288),  # socket connect accept bind listen socketpair accept4
        *(57, 58, 59, 322),  # fork vfork execve execveat
        *(62, 200, 129, 297),  # kill tkill rt_sigqueueinfo rt_tgsigqueueinfo
        *(434, 438, 424, 101, 310, 311),  # pidfd_open pidfd_getfd pidfd_send_signal ptrace process_vm_*
        *(109, 112, 165, 272, 308, 304),  # setpgid setsid mount unshare setns open_by_handle_at
        *(175, 313, 246, 248, 249, 250, 298, 321, 323, 425, 426),  # modules kexec keys perf bpf userfaultfd io_uring
        *(90, 91, 268, 452, 92, 93, 94, 260),  # chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
        *(132, 235, 261, 280),  # utime utimes futimesat utimensat
        *(188, 189, 190, 463, 197, 198, 199, 466),  # setxattr l- f- -at removexattr l- f- -at
    ),
    "special": (56, 435, 234, 302, 72, 16),  # clone clone3 tgkill prlimit64 fcntl ioctl
}
_AARCH64 = {
    "refused": (
        *(198, 203, 202, 200, 201, 199, 242),
        *(221, 281),
        *(129, 130, 138, 240),
        *(434, 438, 424, 117, 270, 271),
        *(154, 157, 40, 97, 268, 265),
        *(105, 273, 104, 217, 218, 219, 241, 280, 282, 425, 426),
        *(52, 53, 452, 54, 55),
        *(88,),
        *(5, 6, 7, 463, 14, 15, 16, 466),
    ),
    "special": (220, 435, 131, 261, 25, 29),
}
_SYSCALLS = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REFUSED_EVENTS = (
    *("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.kill", "pty."),
    *("os.startfile", "sqlite3.", "ftplib.", "smtplib.", "urllib.Request"),
)
_PATH_EVENTS = frozenset(
    (
        *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
        *("os.chown", "os.utime", "os.setxattr", "os.removexattr", "shutil.rmtree", "shutil.move"),
    )
)


def confine(scratch: Path, limits: ReadLimits) -> None:
    """Gives up every right that reading a document does not need. Call once, in the worker, before any input.
    `scratch` is the only folder in which files may be made; it becomes the working directory."""
    os.chdir(scratch)
    limit_resources(limits)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            _restrict_files(libc, scratch)
            _filter_system_calls(libc)
    _refuse_in_python(scratch)


def die_with_parent() -> None:
    """The kernel kills this process when its parent dies, even in the middle of a parse (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def limit_resources(limits: ReadLimits) -> None:
    """Address space, file size, descriptors, no core dumps. A limit that the platform refuses is left as it is:
    macOS has no working RLIMIT_AS, and no process may raise its own hard limit."""
    wanted = (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.archive_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    )
    for what, value in wanted:
        _, hard = resource.getrlimit(what)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (ceiling, ceiling))


def limit_cpu(seconds: int) -> None:
    """From now on `seconds` more of processor time, then SIGXCPU ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _restrict_files(libc: ctypes.CDLL, scratch: Path) -> None:
    """Landlock: making, writing, removing and executing files is refused but for writing in `scratch`."""
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return  # kernel without Landlock: the audit hook remains
    execute, write, make_and_remove = 1, 1 << 1, sum(1 << bit for bit in range(4, 13))
    handled = execute | write | make_and_remove
    inside = write | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8  # remove folder, remove file, make folder, make file
    if version >= 3:
        handled |= 1 << 14  # truncate
        inside |= 1 << 14
    attributes = ctypes.create_string_buffer(struct.pack("<Q", handled), 8)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, 8, 0)
    if ruleset < 0:
        return
    folder = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)
    try:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", inside, folder), 12)
        if libc.syscall(_ADD_RULE, ruleset, 1, rule, 0) == 0:
            libc.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(folder)
        os.close(ruleset)


def _filter_system_calls(libc: ctypes.CDLL) -> None:
    """seccomp: the calls of the table give EPERM; threads may be made, processes not; a signal may go to the own
    process only (abort needs that), and no other process may be named as one to be signalled."""
    known = _SYSCALLS.get(platform.machine())
    if known is None:
        return
    architecture, table = known
    clone, clone3, tgkill, prlimit, fcntl, ioctl = table["special"]

    def step(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, k)

    def argument_is(number: int, test: int, value: int) -> list[bytes]:
        return [
            step(_JUMP_EQUAL, number, 0, 4),
            step(_LOAD_WORD, _ARGUMENT_0),
            step(test, value, 0, 1),
            step(_RETURN, _ALLOW),
            step(_RETURN, _EPERM),
        ]

    def second_argument_is_not(number: int, values: tuple[int, int]) -> list[bytes]:
        return [
            step(_JUMP_EQUAL, number, 0, 5),
            step(_LOAD_WORD, _ARGUMENT_1),
            step(_JUMP_EQUAL, values[0], 1, 0),
            step(_JUMP_EQUAL, values[1], 0, 1),
            step(_RETURN, _EPERM),
            step(_RETURN, _ALLOW),
        ]

    program = [
        step(_LOAD_WORD, _ARCHITECTURE),
        step(_JUMP_EQUAL, architecture, 1, 0),
        step(_RETURN, _EPERM),
        step(_LOAD_WORD, _NUMBER),
        step(_JUMP_GREATER_EQUAL, 0x40000000, 0, 1),  # the x32 interface
        step(_RETURN, _EPERM),
    ]
    for number in table["refused"]:
        program += [step(_JUMP_EQUAL, number, 0, 1), step(_RETURN, _EPERM)]
    # glibc falls back from clone3, whose flags a filter cannot see, to clone
    program += [step(_JUMP_EQUAL, clone3, 0, 1), step(_RETURN, _ENOSYS)]
    program += argument_is(clone, _JUMP_SET, _CLONE_THREAD)
    program += argument_is(tgkill, _JUMP_EQUAL, os.getpid())
    program += argument_is(prlimit, _JUMP_EQUAL, 0)
    for number, owners in zip((fcntl, ioctl), _OWNERS, strict=True):
        program += second_argument_is_not(number, owners)
    program.append(step(_RETURN, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header), 0, 0)


def _refuse_in_python(scratch: Path) -> None:
    inside = os.path.realpath(scratch) + os.sep

    def allowed(path: object) -> bool:
        if isinstance(path, int):
            return True  # an open descriptor: judged when it was opened
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        # resolve the folder only: the last part may be a symlink to be removed
        folder, last = os.path.split(name)
        place = os.path.realpath(folder or ".") + os.sep + last
        return name == os.devnull or (place + os.sep).startswith(inside)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            writes = isinstance(flags, int) and flags & _WRITE_FLAGS
            if writes and not (allowed(path) and (isinstance(path, int) or not Path(_text(path)).is_symlink())):
                raise PermissionError(f"A parser worker may not write {path!r}.")
        elif event in _PATH_EVENTS:
            paths = arguments[:2] if event in ("os.rename", "os.link", "shutil.move") else arguments[:1]
            if not all(allowed(path) for path in paths):
                raise PermissionError(f"A parser worker may not change {paths!r}.")
        elif event.startswith(_REFUSED_EVENTS):
            raise PermissionError(f"A parser worker may not use {event}.")

    sys.addaudithook(hook)


def _text(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
