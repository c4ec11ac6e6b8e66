"""The HTTP server of the metrics endpoint: metrics, health, status page. Read-only; home of aiohttp.

=====================  ===========================================================================
``[metrics] path``     metrics for Prometheus, as text or OpenMetrics, compressed if the client likes
``/healthz``           200: control lives and its loop turns
``/readyz``            200 when every worker serves what it should, else 503 and why not
``/``                  the status page; ``?q=`` searches routes, ``?generation=`` shows what one changed, see `View`
``/api/status``        the same as JSON
``/static/...``        what the page is made of: the files named here, and no others
=====================  ===========================================================================

The page is shown under the names of `hosts` alone, the rest under any. Nothing is ever redirected. There is no access
control: `[metrics] addr` decides who can ask.

Connections are few, for control needs its descriptors. When one comes that is too many, the one that has been idle for
longest goes: those who send nothing keep nobody away.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

from aiohttp import web

from mcproxy.control.counters.totals import Totals
from mcproxy.control.observe import metrics
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.hosts import AllowedHosts
from mcproxy.control.observe.page import render
from mcproxy.control.observe.page.status import Status, Watched, make_status, with_past
from mcproxy.control.observe.page.view import view
from mcproxy.control.store.revisions import Revision
from mcproxy.control.system.descriptors import share
from mcproxy.control.system.log import logger
from mcproxy.model.state.state import RouteKey
from mcproxy.model.values.texts import ENDPOINT_PATHS, STATIC_PATH

_STATIC = {
    f"{STATIC_PATH}status.css": "text/css",
    f"{STATIC_PATH}status.js": "text/javascript",
    f"{STATIC_PATH}icon.svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-store",
    # no inline script or style, nothing from elsewhere, in no frame
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "mcproxy",
    "X-Content-Type-Options": "nosniff",
}
_KEEPALIVE = 75.0  # seconds without a request, from the beginning on; longer than the usual scrape interval
_FIRST_REQUEST = 10.0  # seconds for a new connection's first request
_CONNECTIONS = 250  # at the same time, or fewer where descriptors are scarce
_STOP_LIMIT = 1.0  # seconds for answers that are under way when the endpoint closes
_TEXT = "text/plain"
_API = "/api/"
_OTHER_HOST = (
    "this page is not shown under the name that was asked for; list it in [metrics] allowed_hosts to have it so\n"
)
# among an Accept-Encoding header's codings, and not with a weight of zero (RFC 9110 section 12.5.3)
_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))(?:[;,]|$)", re.IGNORECASE)


class Source(Protocol):
    """Where the answers come from."""

    def listeners(self) -> Iterable[str]:
        """Return the addresses of the live listeners."""

    def unready(self) -> Sequence[str]:
        """Return why not every worker serves what it should, in plain words; nothing when all do."""

    async def counted(self) -> tuple[Facts, Totals]:
        """Return what metrics tell."""

    async def watched(self) -> Watched:
        """Return the contents of the status page."""

    async def changes(self, routes: Collection[RouteKey]) -> Mapping[RouteKey, Revision]:
        """Return the generation that changed each route last, as far as that is kept."""

    async def generation(self, number: int) -> tuple[Revision, tuple[str, ...]] | None:
        """Return a generation of the history, and what it changed; None if it is not there."""

    async def follow(self) -> None:
        """Keep samples for curves, until it is cancelled."""


_Text = TypeVar("_Text", str, bytes)
Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]


class Site:
    """One address of the endpoint.

    Attributes:
        path: where the metrics are; may be set at any time.
        listening: the socket that is served; only after `start`.
    """

    listening: socket.socket

    def __init__(self, source: Source, path: str) -> None:
        self.path = path
        self._hosts = AllowedHosts()
        self._source = source
        self._turn = asyncio.Lock()  # what takes long is done in a thread, one at a time, however many ask
        self._static = {
            name: (files("mcproxy.control.observe.page").joinpath(name.lstrip("/")).read_bytes(), kind)
            for name, kind in _STATIC.items()
        }
        self._handlers: Mapping[str, Handler] = {
            **dict(zip(ENDPOINT_PATHS, (self._page, self._health, self._ready, self._status), strict=True)),
            **dict.fromkeys(_STATIC, self._asset),
        }
        self._following: asyncio.Future[None] | None = None
        self._runner = web.ServerRunner(_Server(self._answer), shutdown_timeout=_STOP_LIMIT)

    def allow(self, hosts: Iterable[str]) -> None:
        """Show the page under further names; see `AllowedHosts`."""
        self._hosts = AllowedHosts(hosts)

    async def start(self, listening: socket.socket) -> None:
        """Serve a listening socket, which belongs to the site from now on."""
        self.listening = listening
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        self._following = asyncio.ensure_future(self._source.follow())

    async def stop(self) -> None:
        """Close the socket, and the connections when their answers are out, within a second."""
        if self._following is not None:
            self._following.cancel()
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        connection = request.protocol
        assert isinstance(connection, _Connection)  # noqa: S101 - made by our server
        with connection.busy():
            return _protected(await self._answered(request))

    async def _answered(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            response = _text(405, "this endpoint is read-only: use GET or HEAD\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        if request.path == unquote(self.path):
            return await self._guarded(self._metrics, request)
        if (request.path == "/" or request.path.startswith(_API)) and not self._is_allowed(request):
            return _text(421, _OTHER_HOST)
        handler = self._handlers.get(request.path)
        return _text(404, "nothing here\n") if handler is None else await self._guarded(handler, request)

    def _is_allowed(self, request: web.BaseRequest) -> bool:
        """Tell whether all names that a request carries are allowed: its Host headers', and that of an absolute target."""
        named = request.headers.getall("Host", [])
        return all(map(self._hosts.allows, [*named, request.host] if named else ()))

    async def _guarded(self, handler: Handler, request: web.BaseRequest) -> web.Response:
        try:
            return await handler(request)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets a plain answer, and the operator the rest
            logger().exception("the metrics endpoint failed to answer", path=request.path)
            return _text(500, "mcproxy failed to answer; its log says why\n")

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        compress = _GZIP.search(request.headers.get("Accept-Encoding", "")) is not None
        accept = request.headers.get("Accept", "")
        async with self._turn:
            facts, totals = await self._source.counted()
            body, kind = await asyncio.to_thread(metrics.expose, facts, totals, accept, compress=compress)
        response = web.Response(body=body, headers={"Content-Type": kind, "Vary": "Accept, Accept-Encoding"})
        if compress:
            response.headers["Content-Encoding"] = "gzip"
        return response

    async def _health(self, _request: web.BaseRequest) -> web.Response:
        return _text(200, "alive\n")

    async def _ready(self, _request: web.BaseRequest) -> web.Response:
        reasons = self._source.unready()
        return _text(503, "".join(f"{reason}\n" for reason in reasons)) if reasons else _text(200, "ready\n")

    async def _page(self, request: web.BaseRequest) -> web.Response:
        text = await self._made(request, render.page)
        response = web.Response(text=text, content_type="text/html")
        response.enable_compression()
        return response

    async def _status(self, request: web.BaseRequest) -> web.Response:
        response = web.Response(body=await self._made(request, render.to_json), content_type="application/json")
        response.enable_compression()
        return response

    async def _made(self, request: web.BaseRequest, make: Callable[[Status], _Text]) -> _Text:
        wanted = view(request.query)
        async with self._turn:
            status = await asyncio.to_thread(make_status, await self._source.watched(), wanted)
            changes = await self._source.changes(status.route_keys)
            then = await self._source.generation(wanted.generation) if wanted.generation else None
            return await asyncio.to_thread(lambda: make(with_past(status, changes, then)))

    async def _asset(self, request: web.BaseRequest) -> web.Response:
        body, kind = self._static[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")


class _Server(web.Server):
    """Hands each connection to `_Connection`, and makes room for new ones.

    Attributes:
        idle: connections without a request under way, the one that has been so for longest first.
        leaving: those that make room, until they are closed.
    """

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self.idle: dict[_Connection, None] = {}
        self.leaving: set[_Connection] = set()
        self._most = share(_CONNECTIONS)

    def make_room(self) -> None:
        """Close the connections that are too many, idle ones first."""
        while len(self.connections) - len(self.leaving) > self._most and self.idle:
            connection = next(iter(self.idle))
            del self.idle[connection]
            self.leaving.add(connection)
            connection.force_close()

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        loop = asyncio.get_running_loop()
        return _Connection(self, loop=loop, keepalive_timeout=_KEEPALIVE)


class _Connection(web.RequestHandler):
    """A client's connection: one of not too many. What is no request is answered in our words, and is nothing for the log."""

    __slots__ = ("_first", "_server")

    def __init__(self, server: _Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, for a while without a request."""
        super().connection_made(transport)
        self._first = asyncio.get_running_loop().call_later(_FIRST_REQUEST, self.force_close)
        self._server.idle[self] = None
        self._server.make_room()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._server.idle.pop(self, None)
        self._server.leaving.discard(self)
        if self._first is not None:
            self._first.cancel()
        super().connection_lost(exc)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Note that a request is under way."""
        if self._first is not None:
            self._first.cancel()
        self._server.idle.pop(self, None)
        try:
            yield
        finally:
            if self.transport is not None:
                self._server.idle[self] = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 400,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - repeats what the client sent, which is not told
    ) -> web.StreamResponse:
        """Return the answer to what could not be read."""
        if request.writer.output_size:
            raise ConnectionError("the answer has begun, there can't be another") from exc
        response = _protected(_text(status, "this is no request that can be read\n"))
        response.force_close()
        return response


def _protected(response: web.Response) -> web.Response:
    response.headers.update(_HEADERS)
    return response


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type=_TEXT)
