"""Which C sources there are, and what the library of exactly these is called.

Its file is named after the machine and a digest of the sources, which is compiled in too: whoever changes the sources has
another library, and one of other sources is never taken for it.
"""

import os
from collections.abc import Callable

from mcproxy.errors import NativeCoreError

SOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "native")
"""The folder of the C files, and of the library that is compiled from them."""
NOT_BUILT = "not-built"
"""The file there that tells, in an installation without the library, why it was not compiled."""


def digest(folder: str | os.PathLike[str] = SOURCES) -> str:
    """Return what tells the C sources in a folder from others."""
    import hashlib  # noqa: PLC0415 - slow to import, and a worker that relays nothing has no other use for it

    found = hashlib.sha256()
    for path in sources(folder, ".c", ".h"):
        with open(path, "rb") as file:
            content = file.read()
        found.update(f"{os.path.basename(path)} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def digest_later(folder: str | os.PathLike[str] = SOURCES) -> Callable[[], str]:
    """Return what returns the digest of the C sources that are there now, which takes a millisecond, when it is wanted.

    It raises `NativeCoreError` when they are others by then: what this process has loaded does not go with them.
    """
    before = _times(folder)

    def found() -> str:
        told = digest(folder)
        if _times(folder) != before:
            raise NativeCoreError(f"the sources in {folder} have changed since the start")
        return told

    return found


def file_name(folder: str | os.PathLike[str] = SOURCES, machine: str = "") -> str:
    """Return the name of the library that belongs to the C sources in a folder, for this machine or another kind."""
    return f"core-{machine or os.uname().machine}-{digest(folder)}.so"


def sources(folder: str | os.PathLike[str], *suffixes: str) -> list[str]:
    """Return the paths of the files of a folder that end so, in an order that is always the same."""
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(suffixes))


def _times(folder: str | os.PathLike[str]) -> list[tuple[str, int, int]]:
    """Return when the sources were changed last, and their sizes."""
    found = ((path, os.stat(path)) for path in sources(folder, ".c", ".h"))
    return [(path, status.st_mtime_ns, status.st_size) for path, status in found]
