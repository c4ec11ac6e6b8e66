"""Mounts of single files, as containers make them."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.require import missing

_MS_BIND, _MNT_DETACH = 4096, 2
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """Mount a file over another one."""
    if _libc.mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND, None):
        missing("leave to mount", os.strerror(ctypes.get_errno()))
    try:
        yield
    finally:
        _libc.umount2(os.fsencode(target), _MNT_DETACH)
