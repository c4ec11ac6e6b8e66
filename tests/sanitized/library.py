"""The native core with AddressSanitizer and UndefinedBehaviorSanitizer compiled in."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mcproxy.net.native.building import compile_to
from mcproxy.net.native.library import VARIABLE

_COMPILER = "gcc"
_FLAGS = (
    *("-g", "-O1", "-fno-omit-frame-pointer", "-U_FORTIFY_SOURCE"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
_REPORT = "report"  # the begin of the names of what sanitizers write


def compile_sanitized(folder: Path) -> Path:
    """Compile it into a folder, where reports are written too, by whichever user; return the library."""
    folder.chmod(0o777)
    library = folder / "core-sanitized.so"
    compile_to(library, [_COMPILER], flags=_FLAGS)
    return library


def environment(library: Path) -> Mapping[str, str]:
    """Return what a program that loads it must find in its environment.

    Memory that is never given back is not looked for: an interpreter ends without giving back what it has.
    """
    found = subprocess.run([_COMPILER, "-print-file-name=libasan.so"], stdout=subprocess.PIPE, text=True, check=True)
    options = f"abort_on_error=1:log_path={library.parent / _REPORT}"
    return {
        VARIABLE: str(library),
        "LD_PRELOAD": str(Path(found.stdout.strip()).resolve()),
        "ASAN_OPTIONS": f"{options}:detect_leaks=0",
        "UBSAN_OPTIONS": f"{options}:print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # what Python hands over lies in memory that the sanitizer watches
    }


def reports(library: Path) -> list[str]:
    """Return what the sanitizers have complained of."""
    return [path.read_text(encoding="utf-8", errors="replace") for path in library.parent.glob(f"{_REPORT}*")]
