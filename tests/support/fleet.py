"""Proxies that serve one test of a module after the other."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.support.l4 import serve
from tests.support.proxy import Proxy


class Fleet:
    """Proxies that run: a config is served by a reload of an idle one, which takes a tenth of the time of a start.

    For tests of what a proxy does with connections and requests. What tests count over the life of a process, change by the
    admin API, or ask of a process that has just begun, needs a process of its own.

    Attributes:
        busy: those that serve the test that runs.
    """

    def __init__(self) -> None:
        self.busy: list[Proxy] = []
        self._idle: list[Proxy] = []
        self._stack = ExitStack()

    def start(self, text: str, *args: str) -> Proxy:
        """Serve a config, with ports of its own, until `release`."""
        assert not args, "a proxy that runs takes no options"
        if self._idle:
            proxy = self._idle.pop()
            proxy.serve_instead(text)
        else:
            proxy = self._stack.enter_context(serve(text))
        self.busy.append(proxy)
        return proxy

    def release(self) -> None:
        """Let those that are busy serve the next test, unless they have ended."""
        self._idle += [proxy for proxy in self.busy if proxy.process.returncode is None]
        self.busy.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
