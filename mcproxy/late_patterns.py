"""Regular expressions that are compiled when they are first used.

Compiling one takes as long as loading a small module, and a worker that starts loads many that it seldom needs, or never: those by
which texts of the configuration are read, and what a connection may send that has not come yet.
"""

import re
from re import compile as compile_now
from typing import Any, AnyStr, cast


class _LatePattern:
    """Stands for a compiled pattern, whose methods it takes over when one of them is asked for."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        """Compile it; what is found in the object itself does not come here again."""
        pattern: re.Pattern[Any] = compile_now(self._source, self._flags)
        self.fullmatch, self.match, self.search = pattern.fullmatch, pattern.match, pattern.search
        self.sub, self.split = pattern.sub, pattern.split
        self.findall, self.finditer = pattern.findall, pattern.finditer
        return getattr(pattern, name)


def late(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what ``re.compile`` does, but compile it when it is used; what is wrong with it is raised then (re.error)."""
    return cast("re.Pattern[AnyStr]", _LatePattern(source, flags))
