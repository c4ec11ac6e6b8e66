"""Proxies that serve one test or module after the other."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from tests.support.l4 import serve
from tests.support.proxy import Proxy


class Fleet:
    """Proxies that run: a config is served by a reload of an idle one, which takes a tenth of the time of a start.

    For tests of what a proxy does with connections and requests. What tests count over the life of a process, change by the
    admin API, or ask of a process that has just begun, needs a process of its own.
    """

    def __init__(self) -> None:
        self._idle: list[tuple[Mapping[str, str], Proxy]] = []
        self._stack = ExitStack()

    @contextmanager
    def serve(self, text: str, files: Mapping[str, str] | None = None) -> Iterator[Proxy]:
        """Serve a config, on ports of its own, with ``files`` beside it, by their names."""
        environment = Proxy.ENVIRONMENT
        proxy = next((proxy for its, proxy in self._idle if its == environment), None)
        if proxy is None:
            proxy = self._stack.enter_context(serve(text, files))
        else:
            self._idle.remove((environment, proxy))
            for name, content in (files or {}).items():
                (proxy.folder / name).write_text(content, encoding="utf-8")
            proxy.serve_instead(text)
        try:
            yield proxy
        finally:
            if proxy.process.returncode is None:
                self._idle.append((environment, proxy))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
