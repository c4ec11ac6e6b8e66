"""Routes with cases and filters for the objects of `tests.support.fake_worker`, written as in the file.

::

    scoped = ScopedRoute(worker, '''
        cases = [{ match = "/api/*", backend = "192.0.2.2:80", use = ["small"] }]
    ''', '''
        [filters.small]
        max_body = "10"
    ''')
    scoped.pools["192.0.2.2:80"].acquired    # the exchanges that have come to that address
"""

import functools
import ssl
from collections.abc import Mapping

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.scopes import filter_keys
from mcproxy.model.state.snapshot import RouteEntry, Snapshot, make_snapshot
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.filters import Filters
from mcproxy.worker.live.guards import Guards
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from tests.support.fake_worker import REQUEST_SECONDS, FakePool, FakeWorker
from tests.support.session_tickets import no_tickets

FOLDER = "/etc/mcproxy"
_ROUTE = """
[[listeners]]
addr = ":8443"
{listener}
[[listeners.routes]]
hostname = "a.example"
mode = "l7"
tls_cert = "a.crt"
tls_key = "a.key"
{backend}
{route}
{filters}
"""


class _Files(Files):
    """Needs no certificates."""

    def server_context(self, _entry: RouteEntry) -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


class ScopedRoute:
    """A live route to 192.0.2.1:80, its listener, and a pool for each address that it and its cases and filters lead to.

    Attributes:
        route: itself; a new one where another version says something else of it.
        listener: with this route alone.
        pools: by address.
    """

    route: LiveRoute
    listener: LiveListener

    def __init__(
        self,
        worker: FakeWorker,
        route: str = "",
        filters: str = "",
        *,
        files: Mapping[str, bytes] | None = None,
        backend: str = "192.0.2.1:80",
        listener: str = "",
    ) -> None:
        """Make it live.

        Args:
            worker: where.
            route: further keys of the route, as in the file.
            filters: what stands in the file beside the listener.
            files: the contents of the files that are named, by their names.
            backend: where the route leads, "" for nowhere.
            listener: further keys of the listener.
        """
        self._worker = worker
        self._filters = Filters(worker.frontend.guards, Guards(worker.frontend.gate, worker.frontend.poller))
        self.pools: dict[str, FakePool] = {}
        self._live: LiveRoute | None = None
        self._backend = backend
        self._keys = listener
        self.update(route, filters, files=files)

    def update(self, route: str = "", filters: str = "", *, files: Mapping[str, bytes] | None = None) -> None:
        """Make another version live, as a worker does."""
        backend = f'backend = "{self._backend}"' if self._backend else ""
        text = _ROUTE.format(listener=self._keys, backend=backend, route=route, filters=filters)
        contents = {f"{FOLDER}/{name}": content for name, content in (files or {}).items()}
        snapshot = _snapshot(text, tuple(contents))
        made = _Files({f"digest of {path}": content for path, content in contents.items()}, None, no_tickets())
        prepared = self._filters.prepare(snapshot, made)
        listener = snapshot.listeners[0]
        entry = listener.routes[0]
        if self._live is None or self._live.entry != entry:
            self._live = LiveRoute(entry, made, REQUEST_SECONDS)
        self.route = self._live
        self._filters.update(prepared)
        self.route.filter_by(self._filters)
        self._filters.forget_old()
        for way, _ in (*self.route.ways(), *self._filters.ways()):
            if way.backend is not None:
                way.pool = self.pools.setdefault(str(way.backend.endpoints[0]), FakePool())
        self.listener = self._worker.listener(self.route, real_ip=listener.listener.real_ip)


@functools.cache  # fuzzing makes thousands of these routes
def _snapshot(text: str, paths: tuple[str, ...]) -> Snapshot:
    state = resolve([Source(f"{FOLDER}/mc-proxy.toml", text)]).state
    digests = {path: f"digest of {path}" for path in paths}
    return make_snapshot(
        state,
        1,
        dict.fromkeys(state.listeners, 0),
        {key: number for number, key in enumerate(state.routes)},
        dict.fromkeys(state.listeners, 0),
        digests=digests,
        filter_indices={key: number for number, key in enumerate(filter_keys(state))},
    )
