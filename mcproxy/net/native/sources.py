"""Which C sources there are, and what the library of exactly these is called.

Its file is named after the machine and a digest of the sources, which is compiled in too: whoever changes the sources has
another library, and one of other sources is never taken for it.
"""

import hashlib
import platform
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "native"
"""The folder of the C files, and of the library that is compiled from them."""
NOT_BUILT = "not-built"
"""The file there that tells, in an installation without the library, why it was not compiled."""


def digest(folder: Path = SOURCES) -> str:
    """Return what tells the C sources in a folder from others."""
    found = hashlib.sha256()
    for file in sources(folder, "*.[ch]"):
        content = file.read_bytes()
        found.update(f"{file.name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def file_name(folder: Path = SOURCES, machine: str = "") -> str:
    """Return the name of the library that belongs to the C sources in a folder, for this machine or another kind."""
    return f"core-{machine or platform.machine()}-{digest(folder)}.so"


def sources(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match a pattern, in an order that is always the same."""
    return sorted(folder.glob(pattern))
