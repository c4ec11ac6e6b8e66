"""The loads that the peers are put under, each with its unit, its driver and backend, and what is hoped for.

To add a load: write a driver that holds the conversation of `tests.bench.driver` (a program of any kind may do the work
behind it) and put a `Load` into `LOADS`.
"""

from abc import abstractmethod

import msgspec

from tests.bench.measure import Meter, cpu_ns, rss_bytes
from tests.bench.peer import find
from tests.bench.processes import python
from tests.bench.site import Layer, Site

_KIB = 1024
_MIB = 1024 * 1024


class Target(msgspec.Struct, frozen=True):
    """The most that a figure should be: the subject's, unless another is named.

    Attributes:
        limit: a multiple of the figure of the peer ``over``, or, without one, a figure in the load's own unit.
        over: a peer: the one that does best at this load among its own variants.
        of: the peer whose figure it is, "" for the subject.
        added: the limit is no multiple, but how much more than the figure of ``over`` it may be, in the load's own unit.
        load: another load: the limit is a multiple of what the same peer needs there.
    """

    limit: float
    over: str = ""
    of: str = ""
    added: bool = False
    load: str = ""

    def __str__(self) -> str:
        if self.load:
            return f"<= {self.limit:g}x {self.load}"
        if self.added:
            most = f"<= {self.over} + {self.limit:g}"
        else:
            most = f"<= {self.limit:g}x {self.over}" if self.over else f"<= {self.limit:g}"
        return f"{self.of} {most}" if self.of else most


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work.

    Attributes:
        name: what it is called on the command line and in the table.
        unit: what its figures are in.
        meter: what is read from the proxy's processes before and after.
        scale: what a meter reading per unit of work is divided by to give a figure in ``unit``.
        units: how many units of work one sample is.
        turns: how many parts they are done in; what a turn begins with (handshakes) must be little of it.
        rsa: whether the site's key is of RSA with 2,048 bits, instead of P-256.
        quick: the same for a check that the harness works.
        targets: the most that the subject's figure should be, if anything is hoped for.
    """

    name: str
    unit: str
    meter: Meter
    scale: float
    units: int
    quick: int
    turns: int = 20
    rsa: bool = False
    targets: tuple[Target, ...] = ()

    @property
    @abstractmethod
    def layer(self) -> Layer:
        """Which peers are put under it."""

    @abstractmethod
    def missing(self) -> str:
        """Return which program of its driver or backend is not here, and what to do about it; "" when none is."""

    @abstractmethod
    def backend(self) -> list[str]:
        """Return the backend's command."""

    @abstractmethod
    def driver(self, site: Site, units: int) -> list[str]:
        """Return the driver's command: ``units`` of work through the proxy of ``site``."""


class ConnectionLoad(Load, frozen=True, kw_only=True):
    """Work for an L4 proxy.

    Attributes:
        role: the backend's role, see `tests.bench.backend`.
        kind: the driver's kind, see `tests.bench.driver`.
    """

    role: str
    kind: str

    @property
    def layer(self) -> Layer:
        return Layer.L4

    def missing(self) -> str:
        return ""

    def backend(self) -> list[str]:
        return python("-m", "tests.bench.backend", self.role)

    def driver(self, site: Site, units: int) -> list[str]:
        where = ("--port", str(site.listen), "--hostname", site.hostname)
        return python("-m", "tests.bench.driver", self.kind, *where, "--units", str(units))


class GateLoad(ConnectionLoad, frozen=True, kw_only=True):
    """Clients that are judged, and nothing more; there is a backend, which hears nothing of them."""

    @property
    def layer(self) -> Layer:
        return Layer.GATE


class RequestLoad(Load, frozen=True, kw_only=True):
    """Requests to an L7 proxy, see `tests.bench.http_driver`.

    Attributes:
        body: bytes of each response.
        connections: client connections at once.
        streams: requests at once on each.
        fresh: whether each connection is closed after one request instead of carrying its share of them.
    """

    body: int
    connections: int
    streams: int
    fresh: bool = False
    turns: int = 8  # few: each begins with the handshakes of its connections

    @property
    def layer(self) -> Layer:
        return Layer.L7

    def missing(self) -> str:
        return _not_found({"h2load": "nghttp2-client", "nghttpd": "nghttp2-server", "curl": "curl"})

    def backend(self) -> list[str]:
        return python("-m", "tests.bench.http_backend", str(self.body))

    def driver(self, site: Site, units: int) -> list[str]:
        where = ("--port", str(site.listen), "--hostname", site.hostname, "--ca", str(site.ca))
        shape = ("--connections", str(self.connections), "--streams", str(self.streams))
        what = ("--body", str(self.body), *shape, *(["--fresh"] if self.fresh else []))
        return python("-m", "tests.bench.http_driver", *where, *what, "--units", str(units))


class SessionLoad(Load, frozen=True, kw_only=True):
    """TLS connections with one request each, see `tests.bench.session_driver`.

    Attributes:
        resume: whether each offers the session of the one before.
    """

    resume: bool

    @property
    def layer(self) -> Layer:
        return Layer.L7

    def missing(self) -> str:
        return _not_found({"nghttpd": "nghttp2-server", "curl": "curl", "openssl": "openssl"})

    def backend(self) -> list[str]:
        return python("-m", "tests.bench.http_backend", str(_KIB))

    def driver(self, site: Site, units: int) -> list[str]:
        where = ("--port", str(site.listen), "--hostname", site.hostname, "--ca", str(site.ca))
        what = ("--body", str(_KIB), *(["--resume"] if self.resume else []))
        return python("-m", "tests.bench.session_driver", *where, *what, "--units", str(units))


def _not_found(packages: dict[str, str]) -> str:
    """Return which programs are not here, and of which Debian packages they are."""
    return "; ".join(
        f"no {name} here: apt-get install {package}" for name, package in packages.items() if not find(name)
    )


# A route to an upstream of three beside the same to a single address, where both choose and dial a backend each time.
_OF_THREE = Target(1.05, "mcproxy", of="mcproxy-of-3")
_CASES = Target(3, "mcproxy", of="mcproxy-cases", added=True)

_MICROSECOND = 1e3
_MILLISECOND = 1e6
# Nanoseconds a byte, as milliseconds a gigabyte (10^9 bytes).
_MILLISECOND_PER_GB = 1e-3

LOADS: dict[str, Load] = {
    load.name: load
    for load in (
        ConnectionLoad(
            name="connection",
            unit="us/connection",
            meter=cpu_ns,
            scale=_MICROSECOND,
            role="answer",
            kind="connections",
            units=8_000,
            quick=200,
            targets=(Target(0.95, "haproxy"), _OF_THREE),
        ),
        ConnectionLoad(
            name="download",
            unit="ms/GB",
            meter=cpu_ns,
            scale=_MILLISECOND_PER_GB,
            role="source",
            kind="download",
            units=2_000_000_000,
            quick=20_000_000,
            targets=(Target(0.92, "haproxy-splice"),),
        ),
        ConnectionLoad(
            name="upload",
            unit="ms/GB",
            meter=cpu_ns,
            scale=_MILLISECOND_PER_GB,
            role="sink",
            kind="upload",
            units=2_000_000_000,
            quick=20_000_000,
            targets=(Target(1.02, "haproxy-splice"),),
        ),
        ConnectionLoad(
            name="message",
            unit="us/message",
            meter=cpu_ns,
            scale=_MICROSECOND,
            role="echo",
            kind="messages",
            units=40_000,
            quick=500,
            targets=(Target(1.0, "haproxy"),),
        ),
        ConnectionLoad(
            name="idle",
            unit="bytes/connection",
            meter=rss_bytes,
            scale=1.0,
            role="answer",
            kind="idle",
            units=3_000,
            quick=50,
            targets=(Target(1024),),
        ),
        GateLoad(
            name="gate",
            unit="us/connection",
            meter=cpu_ns,
            scale=_MICROSECOND,
            role="answer",
            kind="gate",
            units=200_000,
            quick=2_000,
            targets=(Target(6),),
        ),
        RequestLoad(
            name="request-16x10",
            unit="us/request",
            meter=cpu_ns,
            scale=_MICROSECOND,
            body=_KIB,
            connections=16,
            streams=10,
            # so many that the handshakes of each turn's connections are a few hundredths of the work
            units=120_000,
            quick=480,
            targets=(Target(1.0, "envoy"), Target(0.2, "caddy"), Target(0.2, "traefik"), _OF_THREE, _CASES),
        ),
        RequestLoad(
            name="request-32x1",
            unit="us/request",
            meter=cpu_ns,
            scale=_MICROSECOND,
            body=_KIB,
            connections=32,
            streams=1,
            units=120_000,
            quick=320,
            targets=(Target(1.0, "envoy"),),
        ),
        RequestLoad(
            name="tls-connection",
            unit="us/connection",
            meter=cpu_ns,
            scale=_MICROSECOND,
            body=_KIB,
            connections=50,
            streams=1,
            fresh=True,
            units=2_000,
            quick=50,
        ),
        *(
            SessionLoad(
                name=f"tls-{kind}-{'rsa' if rsa else 'p256'}",
                unit="us/connection",
                meter=cpu_ns,
                scale=_MICROSECOND,
                resume=kind == "resumed",
                rsa=rsa,
                units=1_200,
                turns=8,
                quick=20,
                targets=(Target(0.7, load="tls-full-rsa"),) if rsa and kind == "resumed" else (),
            )
            for rsa in (True, False)
            for kind in ("full", "resumed")
        ),
        RequestLoad(
            name="body-1mib",
            unit="ms/body",
            meter=cpu_ns,
            scale=_MILLISECOND,
            body=_MIB,
            connections=8,
            streams=1,
            units=1_000,
            turns=4,
            quick=16,
            targets=(Target(2.0, "envoy"),),
        ),
    )
}
# Names that stand for several loads on the command line.
GROUPS: dict[str, tuple[str, ...]] = {
    "bulk": ("download", "upload"),
    **{layer.value: tuple(load.name for load in LOADS.values() if load.layer is layer) for layer in Layer},
}
