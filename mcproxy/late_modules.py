"""What other packages do when they are imported, and that a worker seldom needs, or never: without it the worker starts sooner.

Modules that they import at once wait until something of them is used, and so do the regular expressions that they compile at once.
"""

import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

from mcproxy.late_patterns import late

NEVER = "typing_extensions"
"""Where this is, msgspec takes from it what `typing` has as well."""
LATE = ("locale", "msgspec.inspect", "msgspec.json", "msgspec.toml", "msgspec.yaml", "textwrap")
"""What is loaded when something of it is used."""


class _LateFinder:
    """Finds the modules that are late; a finder of `sys.meta_path`."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how such a module is loaded late, None for all others."""
        spec = PathFinder.find_spec(name, path, target) if name in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def put_off() -> None:
    """Let all that wait, in a process that has imported neither msgspec nor logging yet, and has one thread."""
    sys.meta_path.insert(0, _LateFinder)
    at_once, re.compile = re.compile, late  # type: ignore[assignment]  # a pattern that compiles itself when it is used
    sys.modules[NEVER] = None  # type: ignore[assignment]  # so an import of it fails, and msgspec has an answer to that
    try:
        import logging  # noqa: F401, PLC0415 - that they are imported now is the point

        import msgspec  # noqa: F401, PLC0415 - likewise
    finally:
        re.compile = at_once
        del sys.modules[NEVER]


def load() -> None:
    """Load the modules that are still late, for a process that may not be allowed to read them later."""
    for name in LATE:
        dir(sys.modules.get(name))
