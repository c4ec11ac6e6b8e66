"""Compiling the native core: a plain shared library without anything of Python's, so one serves every Python.

The build hook of the package (`hatch_build.py`) uses this module before any package is installed: what it imports is of
the standard library, or of this project and imports nothing else either.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mcproxy.errors import NativeCoreError
from mcproxy.net.native.sources import SOURCES, digest, file_name, sources

_SOURCES = Path(SOURCES)
_FLAGS = (
    *("-std=c11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing"),
    *("-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-shared", "-Wl,-z,relro,-z,now"),
)
_COMPILERS = ("cc", "gcc", "clang")
_LIMIT = 120  # seconds; it takes two on a machine with nothing else to do
_KEPT = 86_400.0  # seconds that a library of other sources stays: a process that runs may start a worker with it
_WORDS = 300  # characters of what a compiler says


def compiler() -> list[str]:
    """Return the command of the C compiler: that of the variable CC, or the first one found; raises `NativeCoreError`."""
    given = os.environ.get("CC")
    if given:
        command = shlex.split(given)
        if not shutil.which(command[0]):
            raise NativeCoreError(f"there is no {command[0]}, which the variable CC names as the C compiler")
        return command
    for name in _COMPILERS:
        if shutil.which(name):
            return [name]
    raise NativeCoreError("there is no C compiler (cc, gcc or clang)")


def compile_to(library: Path, command: Sequence[str], folder: Path = _SOURCES, flags: Sequence[str] = ()) -> None:
    """Compile the C files of a folder into a library, which is there as a whole or not at all.

    Args:
        library: its file; its folder must be there.
        command: the compiler, as `compiler` returns it.
        folder: where the sources are.
        flags: more for the compiler.

    Raises:
        NativeCoreError: it can't be compiled.
    """
    build = f'-DMCP_BUILD="{digest(folder)}"'
    try:
        with tempfile.TemporaryDirectory(prefix=".build-", dir=library.parent) as scratch:
            made = Path(scratch) / library.name
            ran = subprocess.run(
                [*command, *_FLAGS, build, *flags, "-o", str(made), *sources(folder, ".c"), "-lm"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LIMIT,
                check=False,
            )
            if ran.returncode:
                raise NativeCoreError(f"{command[0]} can't compile it: {_first_error(ran.stderr)}")
            made.chmod(0o755)  # workers may run as another user
            made.replace(library)
    except OSError as error:
        raise NativeCoreError(f"{error.filename or command[0]}: {(error.strerror or str(error)).lower()}") from error
    except subprocess.TimeoutExpired as error:
        raise NativeCoreError(f"{command[0]} did not end within {_LIMIT} s") from error


def build(command: Sequence[str], folder: Path = _SOURCES) -> Path:
    """Return the library of the C sources in a folder, compiled there if it is not.

    Of several processes that want it at once one compiles it, and the others wait.

    Args:
        command: the compiler, as `compiler` returns it.
        folder: where the sources are.

    Raises:
        NativeCoreError: it can't be compiled.
    """
    library = folder / file_name(folder)
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NativeCoreError(f"{folder}: {(error.strerror or str(error)).lower()}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            compile_to(library, command, folder)
            _forget_old(folder, library)
    finally:
        os.close(lock)
    return library


def _forget_old(folder: Path, library: Path) -> None:
    """Remove the libraries of other sources that nobody has needed for a day."""
    for file in folder.glob("core-*.so"):
        if file != library and time.time() - file.stat().st_mtime > _KEPT:
            file.unlink(missing_ok=True)


def _first_error(output: str) -> str:
    """Return the line of a compiler's output that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = next((line for line in lines if "error" in line), lines[-1] if lines else "it does not say why")
    return told[:_WORDS]
