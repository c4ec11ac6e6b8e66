"""Guards of a scope that decide at once whether a request, or a connection of an l4 route, may pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mcproxy.net.loop.poller import Poller
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.worker.tools.gate import ClientGate

if TYPE_CHECKING:  # they load slowly, and few configurations have filters
    from mcproxy.policy.certificates.clients import ClientCertificate
    from mcproxy.policy.certificates.holders import Holders
    from mcproxy.policy.filters.access import Access
    from mcproxy.policy.filters.demands import Demands
    from mcproxy.policy.filters.rates import RateRule
    from mcproxy.policy.filters.refusal import Refusal
    from mcproxy.policy.filters.scope import Scope

_NO_FIELDS: Headers = []


class Asked(Protocol):
    """A request that wants to pass.

    Attributes:
        request: as its client has sent it, without fields that come from nobody but from who is asked by `forward_auth`.
        forwarding: what the proxy tells the backend of the client.
        source: the client's packed address.
        certificate: what the client has shown in its handshake, None for nothing.
    """

    request: RequestHead
    forwarding: Headers
    source: bytes

    @property
    def certificate(self) -> "ClientCertificate | None":
        """See above."""


class Guard(Protocol):
    """Decides about requests."""

    def judge(self, asked: Asked) -> "Refusal | None":
        """Return why a request may not pass; None if it may, as far as this guard is concerned."""


class Demanding:
    """Refuses what filters do not like about user agents and headers."""

    __slots__ = ("_demands",)

    def __init__(self, demands: "Demands") -> None:
        self._demands = demands

    def judge(self, asked: Asked) -> "Refusal | None":
        """Return why a request may not pass."""
        return self._demands.judge(asked.request, asked.forwarding)


class Admitting:
    """Refuses who is not in a network or country that filters allow, or is in one that they block."""

    __slots__ = ("_access", "_gate")

    def __init__(self, access: "Access", gate: ClientGate) -> None:
        """``gate`` knows the countries."""
        self._access = access
        self._gate = gate

    def judge(self, asked: Asked) -> "Refusal | None":
        """Return why a request may not pass."""
        return self._access.judge(asked.source, self._gate.country)


class Naming:
    """Refuses who has not shown a certificate with one of the names that filters want."""

    __slots__ = ("_holders",)

    def __init__(self, holders: "Holders") -> None:
        self._holders = holders

    def judge(self, asked: Asked) -> "Refusal | None":
        """Return why a request may not pass."""
        return self._holders.judge(asked.certificate)


class Limiting:
    """Refuses who asks more often than filters allow, over all workers."""

    __slots__ = ("_gate", "_poller", "_rules")

    def __init__(self, rules: "Sequence[tuple[RateRule, int]]", gate: ClientGate, poller: Poller) -> None:
        """Take the limits with the indices of their filters; ``gate`` counts, and ``poller`` has the clock."""
        self._rules = tuple(rules)
        self._gate = gate
        self._poller = poller

    def judge(self, asked: Asked) -> "Refusal | None":
        """Return why a request may not pass; it counts for each limit up to the one that is reached."""
        return self.count(asked.source, asked.request.headers)

    def count(self, source: bytes, headers: Headers) -> "Refusal | None":
        """Return why a client's packed address, or what its headers say, has come too often."""
        now = self._poller.now
        for rule, index in self._rules:
            if not self._gate.admits(index, rule.subject(source, headers), rule.limit, rule.window, now):
                return rule.refusal(now)
        return None


class Door:
    """What filters say of the connections of an l4 route: by network and country, and by the rate of the client."""

    __slots__ = ("_access", "_gate", "_limiting")

    def __init__(self, access: "Access | None", limiting: Limiting | None, gate: ClientGate) -> None:
        self._access = access
        self._limiting = limiting
        self._gate = gate

    def judge(self, source: bytes, *, rated: bool) -> "Refusal | None":
        """Return why a client may not be connected to the backend.

        Args:
            source: its packed address.
            rated: whether it counts for its rate; a health check does not.
        """
        refusal = None if self._access is None else self._access.judge(source, self._gate.country)
        if refusal is None and rated and self._limiting is not None:
            refusal = self._limiting.count(source, _NO_FIELDS)
        return refusal


class Guards:
    """Makes the guards of scopes."""

    __slots__ = ("_gate", "_poller")

    def __init__(self, gate: ClientGate, poller: Poller) -> None:
        """See `Admitting` and `Limiting`."""
        self._gate = gate
        self._poller = poller

    def of_requests(self, scope: "Scope", indices: Sequence[int]) -> tuple[Guard, ...]:
        """Return those of a scope for requests, in their order; ``indices`` are those of its filters, in theirs."""
        found: list[Guard] = []
        if scope.access is not None:
            found.append(Admitting(scope.access, self._gate))
        if scope.holders is not None:
            found.append(Naming(scope.holders))
        if scope.demands is not None:
            found.append(Demanding(scope.demands))
        if scope.rates is not None:
            found.append(self._limiting(scope.rates, indices))
        return tuple(found)

    def of_connections(self, scope: "Scope", indices: Sequence[int]) -> Door | None:
        """Return that of a scope for the connections of an l4 route, None if anybody may come; arguments as of `of_requests`."""
        rates = [rule for rule in scope.rates or () if not rule.header]
        if scope.access is None and not rates:
            return None
        return Door(scope.access, self._limiting(rates, indices) if rates else None, self._gate)

    def _limiting(self, rates: "Sequence[RateRule]", indices: Sequence[int]) -> Limiting:
        return Limiting([(rule, indices[rule.filter]) for rule in rates], self._gate, self._poller)
