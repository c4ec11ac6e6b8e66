"""The filters of the live snapshot, and what holds for a route or case by those that it uses."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcproxy.model.state.scopes import FilterEntry
from mcproxy.model.state.snapshot import Snapshot
from mcproxy.policy.headers import ErrorResponse
from mcproxy.worker.auth.tools import GuardTools
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.guards import Door, Guard, Guards
from mcproxy.worker.live.way import Way

if TYPE_CHECKING:
    from mcproxy.policy.cases.paths import Paths
    from mcproxy.policy.filters.scope import Scope
    from mcproxy.worker.stream.course import Pool
    from mcproxy.worker.stream.exchange import Exchange

_ID = b"{request_id}"
_PATHS = 16_384
"""Paths of requests that are remembered with the cases that they may belong to, over all routes."""


class LiveFilter:
    """A filter; it stays the same object as long as nothing of it changes.

    Attributes:
        entry: as the snapshot has it.
        pages: the contents of its error pages, by the paths of their files.
        way: where `forward_auth` asks.
        asks: the guards of it that have to ask, in their order.
        passwords: how many of these, the first ones, know passwords.
        claims: folded names of fields that come from nobody but from the one who is asked.
    """

    __slots__ = ("asks", "claims", "entry", "pages", "passwords", "way")

    def __init__(self, entry: FilterEntry, files: Files, tools: GuardTools) -> None:
        """Prepare a filter; raises `ChannelError` if a file has not come with the snapshot, `ApplyError` if one can't be used."""
        self.entry = entry
        options, digests = entry.options, entry.digests
        self.pages = {path: files.content(digests[path]) for _, path in options.error_pages}
        asked = options.forward_auth
        self.way = Way(None if asked is None else files.question_backend(asked.backend.endpoints), None)
        self.claims = frozenset[bytes]()
        if asked is not None:
            from mcproxy.policy.filters.forward_auth import claims_of  # noqa: PLC0415 - few filters ask

            self.claims = claims_of(asked.copy_headers)
        self.asks: tuple[Pool[Exchange], ...] = ()
        self.passwords = int(bool(options.basic_auth))
        if options.basic_auth or asked is not None:
            from mcproxy.worker.auth.guards import guards_of  # noqa: PLC0415 - slow to import

            passwords = files.content(digests[options.basic_auth]) if options.basic_auth else b""
            self.asks = guards_of(entry, self.way, passwords, tools)


class LiveScope:
    """The filters that hold for a route or case, the outermost first.

    Attributes:
        asks: their guards that have to ask: all that know passwords before any that asks another server, which gets no password then.
        claims: of all of them.
    """

    __slots__ = ("_door", "_filters", "_guards", "_makes", "_scope", "asks", "claims")

    def __init__(self, filters: tuple[LiveFilter, ...], makes: Guards) -> None:
        """``makes`` the guards."""
        self._filters = filters
        self._makes = makes
        self._scope: Scope | None = None
        self._guards: tuple[Guard, ...] = ()
        self._door: Door | None = None
        self.asks = (
            *(guard for each in filters for guard in each.asks[: each.passwords]),
            *(guard for each in filters for guard in each.asks[each.passwords :]),
        )
        self.claims = frozenset[bytes]().union(*(each.claims for each in filters))

    @property
    def rules(self) -> "Scope":
        """What is decided here; compiled when the first request asks, as most scopes of a large configuration have none for long."""
        if self._scope is None:
            from mcproxy.policy.filters.scope import Scope  # noqa: PLC0415 - slow to import, and few configurations have filters

            self._scope = scope = Scope([(each.entry.name, each.entry.options) for each in self._filters])
            self._guards = self._makes.of_requests(scope, self._indices())
        return self._scope

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Those of its guards that decide at once, in their order; there once `rules` are."""
        return self._guards

    def door(self) -> Door | None:
        """Return what holds for the connections of an l4 route, None if nothing does; all routes with these filters share it."""
        if self._door is None:
            self._door = self._makes.of_connections(self.rules, self._indices())
        return self._door

    def _indices(self) -> list[int]:
        return [each.entry.index for each in self._filters]

    def page(self, status: int, number: bytes, *, own: bool) -> ErrorResponse | None:
        """Return the page for an error of the proxy's ``own``, or of a backend's; None if there is none for this status.

        ``{request_id}`` in it stands for ``number``, the request's id.
        """
        pages = self.rules.pages
        path = None if pages is None else pages.page(status, own=own)
        if path is None:
            return None
        from mcproxy.policy.filters.error_pages import media_type  # noqa: PLC0415 - as above

        body = next(each.pages[path] for each in self._filters if path in each.pages).replace(_ID, number)
        fields = ((b"content-type", media_type(path)), (b"content-length", b"%d" % len(body)))
        return ErrorResponse(status, fields, body)


class Filters:
    """All filters of the live snapshot, and the scopes that routes and cases have."""

    def __init__(self, tools: GuardTools, makes: Guards) -> None:
        """Have none until `update`; ``tools`` are those of guards that have to ask, and ``makes`` the others."""
        self._tools = tools
        self._makes = makes
        self._live: Mapping[int, LiveFilter] = {}
        self._scopes: dict[tuple[int, ...], LiveScope] = {}
        self._old: dict[tuple[int, ...], LiveScope] = {}
        self._paths: Paths[Any] | None = None

    @property
    def paths(self) -> "Paths[Any]":
        """Those of requests, for the tables of cases of all routes."""
        if self._paths is None:
            from mcproxy.policy.cases.paths import Paths  # noqa: PLC0415 - few configurations have cases

            self._paths = Paths(_PATHS)
        return self._paths

    def prepare(self, snapshot: Snapshot, files: Files) -> dict[int, LiveFilter]:
        """Do all that can fail; raises `ChannelError` if a file has not come with the snapshot, `ApplyError` if one can't be used."""
        prepared = {}
        for entry in snapshot.filters:
            live = self._live.get(entry.index)
            prepared[entry.index] = (
                live if live is not None and live.entry == entry else LiveFilter(entry, files, self._tools)
            )
        return prepared

    def update(self, prepared: Mapping[int, LiveFilter]) -> None:
        """Take over another version of all of them; then routes ask for their scopes, until `forget_old`."""
        changed = {index for index, each in self._live.items() if prepared.get(index) is not each}
        self._live = prepared
        self._old = {scope: live for scope, live in self._scopes.items() if changed.isdisjoint(scope)}
        self._scopes = {}

    def scope(self, indices: tuple[int, ...]) -> LiveScope | None:
        """Return what holds by some filters, None by none of them."""
        if not indices:
            return None
        scope = self._scopes.get(indices)
        if scope is None:
            scope = self._old.get(indices) or LiveScope(tuple(self._live[index] for index in indices), self._makes)
            self._scopes[indices] = scope
        return scope

    def forget_old(self) -> None:
        """Let go of the scopes that no route has any more."""
        self._old = {}

    def ways(self) -> list[tuple[Way, str]]:
        """Return where those ask that have to, and the names of the upstreams of these."""
        return [(each.way, each.entry.upstream) for each in self._live.values() if each.asks]
