"""Proxies that serve one test or module after the other."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import msgspec

from tests.support.l4 import serve
from tests.support.proxy import Proxy

_IDLE = 2
"""How many may be idle at a time: half a percent of a core each."""


class _Member(msgspec.Struct, eq=False):
    """A proxy, its environment, and what ends it."""

    proxy: Proxy
    environment: Mapping[str, str]
    stack: ExitStack


class Fleet:
    """Proxies that run: a config is served by a reload of an idle one, which takes a tenth of the time of a start.

    For tests of what a proxy does with connections and requests. What tests count over the life of a process, change by the
    admin API, or ask of a process that has just begun, needs a process of its own.
    """

    def __init__(self) -> None:
        self._idle: list[_Member] = []

    @contextmanager
    def serve(self, text: str, files: Mapping[str, str] | None = None) -> Iterator[Proxy]:
        """Serve a config, on ports of its own, with ``files`` beside it, by their names."""
        member = self._take(text, files or {})
        try:
            yield member.proxy
        finally:
            if member.proxy.process.returncode is None:
                self._idle.append(member)
            else:
                member.stack.close()
            while len(self._idle) > _IDLE:
                self._idle.pop(0).stack.close()

    def _take(self, text: str, files: Mapping[str, str]) -> _Member:
        environment = Proxy.ENVIRONMENT
        member = next((each for each in reversed(self._idle) if each.environment == environment), None)
        if member is None:
            with ExitStack() as stack:
                proxy = stack.enter_context(serve(text, files))
                return _Member(proxy, environment, stack.pop_all())
        self._idle.remove(member)
        with ExitStack() as stack:
            stack.push(member.stack)
            for name, content in files.items():
                (member.proxy.folder / name).write_text(content, encoding="utf-8")
            member.proxy.serve_instead(text)
            stack.pop_all()
        return member

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().stack.close()
