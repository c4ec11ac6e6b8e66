"""What is asked about a connection, and the steps of the answer."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from mcproxy.model.values.origins import Origin

Outcome: TypeAlias = Literal["ok", "refused"]
CountryOf: TypeAlias = Callable[[bytes], str | None]
"""Tells the country of a packed address, None if it is not known."""


class Query(msgspec.Struct, frozen=True):
    """A connection to think through.

    Attributes:
        listener: the listener's canonical address; None asks about every listener.
        sni: the name the client asks for, as it sends it; None for a client without SNI.
        ip: the real client's address; None leaves it open.
        proxy_ip: the address of another proxy, which connects and names the client in a PROXY header; None for none,
            or, where the listener expects a header, for one that is trusted.
        alpn: the protocols the client offers in its TLS handshake, as there: ``h2``, ``http/1.1``; None leaves it open.
        method: the request's; None for GET, if it has a path or headers, else it leaves the request open.
        path: path and query; None for ``/``.
        headers: names and values; Host is the server name unless it is among them.
    """

    listener: str | None = None
    sni: str | None = None
    ip: str | None = None
    proxy_ip: str | None = None
    alpn: tuple[str, ...] | None = None
    method: str | None = None
    path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Step(msgspec.Struct, frozen=True):
    """One decision.

    Attributes:
        step: what decided: ``listener``, ``limit``, ``proxy_header``, ``firewall``, ``rate_limit``, ``connections``, ``hello``,
            ``route``, of an L7 route ``tls``, ``alpn``, ``authority``, ``policy``; at last ``backend``.
        outcome: ``ok`` when the connection goes on to the next step, ``refused`` when it ends here.
        detail: why, for people.
        origin: the declaration that decided it, None where no line of a file did.
    """

    step: str
    outcome: Outcome
    detail: str
    origin: Origin | None


class EndpointFacts(Protocol):
    """What is known of one endpoint; times are in seconds since the epoch, 0.0 for none.

    Attributes:
        upstream: the name of its upstream; of a route's own addresses listener and hostname.
        address: where it listens.
        state: what the operator wants: ``ready``, ``drain`` or ``maintenance``.
        verdict: what checks and traffic say: ``unknown``, ``up``, ``down``, ``ejected`` or ``waiting``.
        since: when that began.
        reason: why.
        last_check: when the last check ended.
        last_error: why that failed; "" if it passed.
        backup: whether it is used only when no other one is usable.
        usable: whether it gets new connections and requests.
    """

    @property
    def upstream(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def reason(self) -> str: ...
    @property
    def last_check(self) -> float: ...
    @property
    def last_error(self) -> str: ...
    @property
    def backup(self) -> bool: ...
    @property
    def usable(self) -> bool: ...


class Live(msgspec.Struct, frozen=True):
    """What is known of all endpoints at a time, ``now`` (seconds since the epoch)."""

    now: float
    endpoints: Sequence[EndpointFacts]


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
