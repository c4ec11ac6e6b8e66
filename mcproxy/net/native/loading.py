"""Loading the native core into this process."""

import ctypes
from pathlib import Path

from mcproxy.errors import NativeCoreError
from mcproxy.net.native.core import Library, declare
from mcproxy.net.native.sources import SOURCES, digest


def load(path: str | Path, build: str = "") -> Library:
    """Load the native core, whose functions are called without giving up Python's lock: none of them waits.

    Args:
        path: its file.
        build: the digest of the sources that it must have been compiled from; that of those that are there now by default.

    Raises:
        NativeCoreError: it can't be loaded, or was compiled from other sources.
    """
    try:
        library = ctypes.PyDLL(str(path), use_errno=True)
        told = library.mcp_build
        told.argtypes, told.restype = (), ctypes.c_char_p
        if told() == (build or digest()).encode():
            return declare(library)
    except (OSError, AttributeError) as error:
        raise NativeCoreError(f"it can't be loaded: {error}") from error
    raise NativeCoreError(f"{path} was compiled from other sources than those in {SOURCES}")
