"""Functions of the C library that Python has no module for; beside `net/openssl` and `net/native` the one module that uses ctypes."""

import ctypes
import os
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_IS_SET = 1
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522  # two 32-bit words for each of the sets

_libc = ctypes.CDLL(None, use_errno=True)


def malloc_trim() -> Callable[[], int | None]:
    """Return what gives free memory of the heap back to the system, or does nothing where the C library has no such function."""
    trim = getattr(_libc, "malloc_trim", None)
    return (lambda: None) if trim is None else lambda: int(trim(0))


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """Change one thing about the calling thread, or ask for it, as its manual page says; raises OSError."""
    zero = ctypes.c_ulong(0)
    return _checked(_libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(second), zero, zero))


def clear_capabilities() -> None:
    """Empty the calling thread's effective, permitted and inheritable sets: capset(2); raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise _error()


def permitted_capabilities() -> int:
    """Return the calling thread's permitted set, bit n for capability n: capget(2); raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: the lower words, then the upper ones
    if _libc.capget(header, sets):
        raise _error()
    return int(sets[1]) | int(sets[4]) << 32


def inotify_init() -> int:
    """Return the descriptor of a new instance of inotify that waits for nothing: inotify_init1(2); raises OSError."""
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add_watch(instance: int, path: str, mask: int) -> int:
    """Have an instance watch a file or folder, and return the number of the watch; inotify(7), raises OSError."""
    return _checked(_libc.inotify_add_watch(instance, os.fsencode(path), ctypes.c_uint32(mask)))


def inotify_rm_watch(instance: int, watch: int) -> None:
    """End a watch of an instance; inotify(7), raises OSError."""
    _checked(_libc.inotify_rm_watch(instance, watch))


def _checked(result: int) -> int:
    if result < 0:
        raise _error()
    return result


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
