"""Modules that other packages import at once, and that a worker seldom needs, or never: without them it starts sooner."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

NEVER = "typing_extensions"
"""Where this is, msgspec takes from it what `typing` has as well."""
LATE = ("locale", "msgspec.inspect")
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
    """Let these modules wait; before msgspec is imported."""
    sys.meta_path.insert(0, _LateFinder)
    if NEVER not in sys.modules:
        sys.modules[NEVER] = None  # type: ignore[assignment]  # so an import of it fails, and msgspec has an answer to that
        import msgspec  # noqa: F401, PLC0415 - that it is imported now is the point

        del sys.modules[NEVER]


def load() -> None:
    """Load those that are still late, for a process that may not be allowed to read them later."""
    for name in LATE:
        dir(sys.modules.get(name))
