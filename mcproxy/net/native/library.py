"""Which file is the native core, and why there is none.

An installation has brought its library, or says why not. In a source tree it is compiled when it is first needed, and kept
beside the sources, as Python keeps the modules that it compiles.
"""

import os
from pathlib import Path

from mcproxy.errors import NativeCoreError
from mcproxy.net.native.building import build, compiler
from mcproxy.net.native.sources import NOT_BUILT, SOURCES, file_name

_SOURCES = Path(SOURCES)
VARIABLE = "MCPROXY_NATIVE_LIBRARY"
"""Names another file that was compiled from the same sources: with sanitizers, for instance."""

_failed: dict[Path, str] = {}  # libraries that the compiler refuses, and why: it is not asked again at every reload


def find(folder: Path = _SOURCES, *, compiles: bool = True) -> Path:
    """Return the file of the native core; in a source tree it is compiled now, if it is not there yet.

    Args:
        folder: where the C sources are.
        compiles: whether it may be; if not, a file is returned that is yet to be made.

    Raises:
        NativeCoreError: there is none; the message says why.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    library = folder / file_name(folder)
    if library.exists():
        return library
    if not (folder.parents[1] / "pyproject.toml").exists():
        raise NativeCoreError(_why_not_installed(folder))
    command = compiler()
    if library in _failed:
        raise NativeCoreError(_failed[library])
    if compiles:
        try:
            build(command, folder)
        except NativeCoreError as error:
            _failed[library] = str(error)
            raise
    return library


def _why_not_installed(folder: Path) -> str:
    try:
        told = (folder / NOT_BUILT).read_text(encoding="utf-8").strip()
    except OSError:
        return "this installation came without one for this kind of machine"
    return f"it was not compiled when mcproxy was installed: {told}"
