"""An upstream of the live snapshot: whose turn it is, and what it has learned that outlives a snapshot."""

import random
from array import array
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from msgspec import UNSET

from mcproxy.model.state.upstream_entries import UpstreamEntry
from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory.endpoints import is_usable
from mcproxy.policy.headers import Headers
from mcproxy.policy.upstreams import sticky
from mcproxy.policy.upstreams.choice import Chooser, member_of
from mcproxy.policy.upstreams.retry_budget import RetryBudget
from mcproxy.policy.upstreams.schedule import Schedule
from mcproxy.worker.backends.backend import Backend
from mcproxy.worker.backends.proxy_header import header_options
from mcproxy.worker.live.endpoint import NOWHERE, EndpointTools, LiveEndpoint

_PAUSE = 1.0  # seconds that an endpoint is passed over which could not be dialed


class LiveUpstream:
    """An upstream of the live snapshot; it stays the same object as long as it keeps its name.

    Attributes:
        entry: as the snapshot has it.
        name: for people, "" for the addresses of a route alone.
        endpoints: by index.
        tries: endpoints that one connection or request is tried at.
        by_source: the choice depends on the client's address.
        sticky: whether a cookie keeps a client at its endpoint.
        retry_on: words of what a request is repeated after.
        retried: the statuses among these.
        proxy_header: what connections begin with, None for nothing.
        connect_timeout: seconds to dial an endpoint; None for the settings' value.
        attentive: responses are looked at, whatever their status: for a cookie, or to end a pause.
        quick: an endpoint is found by `pick` alone: none is paused, and neither clients nor what is open matter.
        quick_mark: the same as a number that others can read at its place.
        pick: chooses, given the states.
        states: the state words of all endpoints.
        paused: until when endpoints are passed over that could not be dialed (monotonic seconds), by index.
        full: the last `take` that has found nothing met endpoints with as many as they may have.
        budget: of requests that are repeated.
    """

    __slots__ = (
        "_by_cookie",
        "_chooser",
        "_plain",
        "_tools",
        "attentive",
        "budget",
        "by_source",
        "connect_timeout",
        "endpoints",
        "entry",
        "full",
        "name",
        "paused",
        "pick",
        "proxy_header",
        "quick",
        "quick_mark",
        "retried",
        "retry_on",
        "states",
        "sticky",
        "tries",
    )

    entry: UpstreamEntry

    def __init__(self, tools: EndpointTools) -> None:
        """Have no endpoints until `update`."""
        self._tools = tools
        self.states = tools.memory.endpoint_states()
        self._chooser = Chooser(self.states, tools.opened, self._open_everywhere, random.random)
        self.paused: dict[int, float] = {}
        self._by_cookie: dict[bytes, LiveEndpoint] = {}
        self.endpoints: dict[int, LiveEndpoint] = {}
        self.full = False
        self.quick_mark = array("I", (0,))
        self.budget = RetryBudget()

    def update(self, entry: UpstreamEntry, backends: Mapping[int, Backend]) -> list[LiveEndpoint]:
        """Take over another version; return the endpoints that are gone.

        Args:
            entry: the version.
            backends: what its endpoints are to pools, by index.
        """
        options = entry.upstream
        self.entry = entry
        self.name = "" if " " in entry.name else entry.name
        self.tries = options.tries
        self.by_source = options.balance == "source_hash"
        self.sticky = bool(options.sticky_cookie)
        self.retry_on = frozenset(options.retry_on)
        self.retried = frozenset(int(word) for word in options.retry_on if word.isdecimal())
        self.proxy_header = header_options(options)
        self.connect_timeout = None if options.connect_timeout is UNSET else options.connect_timeout
        old, self.endpoints = self.endpoints, {}
        for each in entry.endpoints:
            live = old.get(each.index)
            if live is None or live.entry.endpoint != each.endpoint:
                live = LiveEndpoint(self._tools, each)
            if live.limited != (each.max_active > 0):
                live.write()  # with a limit others see at once what is open here
            live.entry, live.limited = each, each.max_active > 0
            if live.backend != backends[each.index]:  # else it stays the same object, too
                live.backend = backends[each.index]
            if self.sticky:
                live.cookie = sticky.value_of(entry.name, live.address)
                live.set_cookie = sticky.set_cookie(options.sticky_cookie, live.cookie, secure=True)
            else:
                live.cookie = live.set_cookie = b""
            self.endpoints[each.index] = live
        self._by_cookie = {live.cookie: live for live in self.endpoints.values()} if self.sticky else {}
        members = [member_of(each) for each in entry.endpoints]
        self._chooser.update(members, options.balance, panic=options.panic, table=entry.maglev)
        self.pick = self._chooser.pick
        self._plain = not (self.sticky or self.by_source or any(each.max_active for each in entry.endpoints))
        self._note_pauses()
        return [live for index, live in old.items() if self.endpoints.get(index) is not live]

    def take(self, source: bytes, tried: frozenset[int], now: float) -> LiveEndpoint | None:
        """Return the endpoint for a connection or request, which counts as open there from now on; None if there is none.

        Args:
            source: the client's packed address, if the choice goes `by_source`.
            tried: the indices of those that it has been tried at.
            now: monotonic seconds.
        """
        if self.quick and not tried:  # as nearly always: the same in fewer steps
            index = self.pick(self.states)
            if index is not None:
                endpoint = self.endpoints[index]
                endpoint.opened[index] += 1
                endpoint.taken += 1
                if not endpoint.changed:
                    endpoint.change()
                return endpoint
        paused = self._paused_now(now) if self.paused else NOWHERE
        index = self._chooser.choose(tried, paused, source)
        self.full = False
        while index is not None:
            endpoint = self.endpoints[index]
            if endpoint.admit():
                return endpoint
            self.full = True
            tried |= {index}
            # Only where none is usable may what is down stand in for what is full.
            index = self._chooser.choose(tried, paused, source, desperate=not is_usable(self.states[index]))
        return None

    def keep(self, headers: Headers, now: float) -> tuple[LiveEndpoint | None, bytes | None]:
        """Return the endpoint that a request's cookie names, taken as by `take`, if it can stay there, and the cookie's value.

        That is None where the client is to keep the cookie although the request goes elsewhere, as its endpoint is only full.
        """
        paused = self._paused_now(now) if self.paused else NOWHERE
        for value in sticky.values_in(headers, self.entry.upstream.sticky_cookie):
            endpoint = self._by_cookie.get(value)
            if endpoint is not None and self._chooser.may_stay(endpoint.index, paused):
                return (endpoint, value) if endpoint.admit() else (None, None)
        return None, b""

    def stay(self, endpoint: LiveEndpoint, now: float) -> bool:
        """Tell whether a client may go on with an endpoint that it was at, taken as by `take` if so."""
        paused = self._paused_now(now) if self.paused else NOWHERE
        return (
            self.endpoints.get(endpoint.index) is endpoint
            and self._chooser.may_stay(endpoint.index, paused)
            and endpoint.admit()
        )

    def has_other(self, tried: AbstractSet[int], now: float) -> bool:
        """Tell whether an endpoint beside those ``tried`` is ready and usable."""
        paused = self._paused_now(now) if self.paused else NOWHERE
        return any(
            live.entry.state == "ready" and is_usable(self.states[index])
            for index, live in self.endpoints.items()
            if index not in tried and index not in paused
        )

    def pause(self, endpoint: LiveEndpoint, now: float) -> None:
        """Pass over an endpoint for a second: it could not be dialed."""
        self.paused[endpoint.index] = now + _PAUSE
        self._note_pauses()

    def resume(self, endpoint: LiveEndpoint) -> None:
        """Pass over an endpoint no longer: it is there."""
        self.paused.pop(endpoint.index, None)
        self._note_pauses()

    @property
    def schedule(self) -> Schedule | None:
        """Whose turns it are while `quick` says so, if they go in turn."""
        return self._chooser.schedule

    def active(self) -> int:
        """Return how many connections and requests of this upstream are open in this worker."""
        return sum(self._tools.opened[index] for index in self.endpoints)

    def refusal(self) -> Failure:
        """Return why `take` has found nothing."""
        which = f"of {self.name}" if self.name else "of the route"
        if self.full:
            return Failure("upstream_full", f"every usable endpoint {which} has max_active open")
        if any(live.entry.state == "ready" for live in self.endpoints.values()):
            return Failure("upstream_down", f"no endpoint {which} is usable, and panic is false")
        return Failure("upstream_down", f"no endpoint {which} is ready: all are in drain or maintenance")

    def in_words(self, failure: Failure) -> Failure:
        """Return a failure with the word that all endpoints were tried because none is usable (panic), where that is so."""
        if not any(
            live.entry.state == "ready" and is_usable(self.states[index]) for index, live in self.endpoints.items()
        ):
            which = f"of {self.name}" if self.name else "of the route"
            detail = f"{failure.detail}; panic: no endpoint {which} is usable, so all are tried"
            return Failure(failure.reason, detail.removeprefix("; "), failure.endpoint)
        return failure

    def _open_everywhere(self, index: int) -> int:
        return self.endpoints[index].open_everywhere()

    def _paused_now(self, now: float) -> AbstractSet[int]:
        over = [index for index, until in self.paused.items() if now >= until]
        for index in over:
            del self.paused[index]
        if over:
            self._note_pauses()
        return self.paused.keys()

    def _note_pauses(self) -> None:
        self.attentive = self.sticky or bool(self.paused)
        self.quick = self._plain and not self.paused
        self.quick_mark[0] = self.quick
