"""What is asked about a connection, and the steps of the answer."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.values.origins import Origin
from mcproxy.policy.acme.facts import OrderFacts

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
        client_cert: a name in the certificate that the client shows, which a CA that the route trusts vouches for; "" for no certificate,
            None leaves it open.
    """

    listener: str | None = None
    sni: str | None = None
    ip: str | None = None
    proxy_ip: str | None = None
    alpn: tuple[str, ...] | None = None
    method: str | None = None
    path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    client_cert: str | None = None


def host_of(query: Query) -> bytes:
    """Return what the request names as its host: Host, or else the server name; empty for nothing."""
    hosts = (value.strip() for name, value in query.headers if name.lower() == "host")
    return next(hosts, query.sni or "").encode()


class Step(msgspec.Struct, frozen=True):
    """One decision.

    Attributes:
        step: what decided: ``listener``, ``limit``, ``proxy_header``, ``firewall``, ``rate_limit``, ``connections``, ``hello``,
            ``route``, of an L7 route ``tls``, ``client_certificate``, ``alpn``, ``authority``, ``real_ip``, ``case``; of filters ``allow``, ``rate``, ``cors``,
            ``body``, ``auth``, ``rewrite``, ``headers``, of an L4 route also ``filters``; ``policy`` behind ``rate``; at last
            ``backend``, or ``action`` where the route or case answers itself, or has nothing to do.
        outcome: ``ok`` when the connection goes on to the next step, ``refused`` when it ends here.
        detail: why, for people.
        origin: the declaration that decided it, None where no line of a file did.
        status: of the answer, where the request is answered here, or would be if what else goes on made this step refuse it (rate,
            auth); 0 for none, and where the connection is reset.
        names: by which a refusal here can be called: the filter's name, the key, the word of `mcproxy.model.values.reasons`.
    """

    step: str
    outcome: Outcome
    detail: str
    origin: Origin | None
    status: int = 0
    names: tuple[str, ...] = ()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that may be chosen, and what is known of it; times are in seconds since the epoch, 0.0 for none.

    Attributes:
        upstream: the name of its upstream; of a route's own addresses listener and hostname.
        address: where it listens.
        label: its address as the file has it.
        state: what the operator wants: ``ready``, ``drain`` or ``maintenance``.
        backup: whether it is used only when no other one is usable.
        verdict: what checks and traffic say: ``unknown``, ``up``, ``down``, ``ejected`` or ``waiting``.
        since: when that began.
        reason: why.
        last_check: when the last check ended.
        last_error: why that failed; "" if it passed.
        usable: whether it gets new connections and requests.
    """

    upstream: str
    address: str
    label: str = ""
    state: str = "ready"
    backup: bool = False
    verdict: str = "unknown"
    since: float = 0.0
    reason: str = ""
    last_check: float = 0.0
    last_error: str = ""
    usable: bool = True


class Live(msgspec.Struct, frozen=True):
    """What is known at a time.

    Attributes:
        now: that time, in seconds since the epoch.
        endpoints: all of them.
        orders: the certificates that are ordered.
    """

    now: float
    endpoints: Sequence[Candidate]
    orders: OrderFacts = OrderFacts()


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
