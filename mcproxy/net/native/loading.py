"""Loading the native core into this process."""

import ctypes
from pathlib import Path

from mcproxy.errors import NativeCoreError
from mcproxy.net.native.core import declare
from mcproxy.net.native.sources import SOURCES, digest


def load(path: str | Path) -> ctypes.PyDLL:
    """Load the native core, whose functions are called without giving up Python's lock: none of them waits.

    Raises:
        NativeCoreError: it can't be loaded, or was compiled from other sources.
    """
    try:
        library = ctypes.PyDLL(str(path), use_errno=True)
        told, _ = library.mcp_build, library.mcp_core_new
    except (OSError, AttributeError) as error:
        raise NativeCoreError(f"it can't be loaded: {error}") from error
    told.argtypes, told.restype = (), ctypes.c_char_p
    if told() != digest().encode():
        raise NativeCoreError(f"{path} was compiled from other sources than those in {SOURCES}")
    try:
        return declare(library)
    except (OSError, AttributeError) as error:
        raise NativeCoreError(f"it can't be used: {error}") from error
