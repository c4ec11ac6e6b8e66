"""The loads that the peers are put under, each with its unit, its driver and backend, and what is hoped for.

To add a load: write a driver that holds the conversation of `tests.bench.driver` (a program of any kind may do the work
behind it) and put a `Load` into `LOADS`.
"""

import msgspec

from tests.bench.measure import Meter, cpu_ns, rss_bytes
from tests.bench.processes import python


class Target(msgspec.Struct, frozen=True):
    """The most that the subject's figure should be.

    Attributes:
        limit: a multiple of the figure of the peer ``over``, or, without one, a figure in the load's own unit.
        over: the peer that does best at this load among its own variants.
    """

    limit: float
    over: str = ""

    def __str__(self) -> str:
        return f"<= {self.limit:g}x {self.over}" if self.over else f"<= {self.limit:g}"


class Load(msgspec.Struct, frozen=True):
    """One kind of work.

    Attributes:
        name: what it is called on the command line and in the table.
        unit: what its figures are in.
        meter: what is read from the proxy's processes before and after.
        scale: what a meter reading per unit of work is divided by to give a figure in ``unit``.
        role: the backend's role, see `tests.bench.backend`.
        kind: the driver's kind, see `tests.bench.driver`.
        units: how many units of work one sample is.
        quick: the same for a check that the harness works.
        target: the most that the subject's figure should be, if anything is hoped for.
    """

    name: str
    unit: str
    meter: Meter
    scale: float
    role: str
    kind: str
    units: int
    quick: int
    target: Target | None = None

    def backend(self) -> list[str]:
        """Return the backend's command."""
        return python("-m", "tests.bench.backend", self.role)

    def driver(self, port: int, hostname: str, units: int) -> list[str]:
        """Return the driver's command: ``units`` of work through the proxy at ``port``."""
        where = ("--port", str(port), "--hostname", hostname)
        return python("-m", "tests.bench.driver", self.kind, *where, "--units", str(units))


_MICROSECOND = 1e3
# Nanoseconds a byte, as milliseconds a gigabyte (10^9 bytes).
_MILLISECOND_PER_GB = 1e-3

LOADS: dict[str, Load] = {
    load.name: load
    for load in (
        Load(
            name="connection",
            unit="us/connection",
            meter=cpu_ns,
            scale=_MICROSECOND,
            role="answer",
            kind="connections",
            units=8_000,
            quick=200,
            target=Target(1.3, "haproxy"),
        ),
        Load(
            name="download",
            unit="ms/GB",
            meter=cpu_ns,
            scale=_MILLISECOND_PER_GB,
            role="source",
            kind="download",
            units=2_000_000_000,
            quick=20_000_000,
            target=Target(0.8, "haproxy-splice"),
        ),
        Load(
            name="upload",
            unit="ms/GB",
            meter=cpu_ns,
            scale=_MILLISECOND_PER_GB,
            role="sink",
            kind="upload",
            units=2_000_000_000,
            quick=20_000_000,
            target=Target(0.8, "haproxy-splice"),
        ),
        Load(
            name="message",
            unit="us/message",
            meter=cpu_ns,
            scale=_MICROSECOND,
            role="echo",
            kind="messages",
            units=40_000,
            quick=500,
            target=Target(1.1, "haproxy"),
        ),
        Load(
            name="idle",
            unit="bytes/connection",
            meter=rss_bytes,
            scale=1.0,
            role="answer",
            kind="idle",
            units=3_000,
            quick=50,
            target=Target(2048),
        ),
    )
}
# Names that stand for several loads on the command line.
GROUPS: dict[str, tuple[str, ...]] = {"bulk": ("download", "upload"), "l4": tuple(LOADS)}
