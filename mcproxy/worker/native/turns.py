"""Upstreams whose turns the native core takes itself, while nothing special is known of their endpoints."""

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from mcproxy.net.native.core import Core, address_of
from mcproxy.net.native.records import EndpointSetup, UpstreamSetup
from mcproxy.worker.native.names import Names
from mcproxy.worker.native.tables import endpoint_address

if TYPE_CHECKING:
    from mcproxy.policy.upstreams.schedule import Schedule
    from mcproxy.worker.live.upstream import LiveUpstream


class _Led(msgspec.Struct, eq=False):
    """An upstream in the core, and what keeps alive the memory that the core reads.

    Attributes:
        number: its number there.
        upstream: itself.
        schedule: whose marks it reads.
        addresses: of the endpoints, by index.
    """

    number: int
    upstream: "LiveUpstream"
    schedule: "Schedule"
    addresses: dict[int, bytes]


class Turns:
    """Keeps the core's upstreams like those of the live snapshot."""

    __slots__ = ("_core", "_led", "_names")

    def __init__(self, core: Core, names: Names) -> None:
        self._core = core
        self._names = names
        self._led: dict[LiveUpstream, _Led] = {}

    def update(self, upstreams: Iterable["LiveUpstream"]) -> None:
        """Have the core take the turns of these upstreams where it can, and of no others."""
        old, self._led = self._led, {}
        for upstream in set(upstreams):
            schedule, addresses = upstream.schedule, _addresses(upstream)
            if schedule is None or addresses is None or not schedule.cycle:
                continue
            led = old.pop(upstream, None)
            if led is None or led.schedule is not schedule or led.addresses != addresses:
                number = self._unused(old) if led is None else led.number
                led = _Led(number, upstream, schedule, addresses)
                try:
                    self._core.upstream(number, _setup(led))
                except OSError:  # no memory; Python goes on to choose, unless it was known before
                    self._core.upstream(number, None)
                    continue
            self._led[upstream] = led
            self._names.endpoints.update(upstream.endpoints)
        for led in old.values():
            self._core.upstream(led.number, None)

    def number(self, upstream: "LiveUpstream") -> int:
        """Return what the core calls an upstream, 0 if Python takes its turns."""
        led = self._led.get(upstream)
        return 0 if led is None else led.number

    def _unused(self, old: dict["LiveUpstream", _Led]) -> int:
        used = {led.number for led in (*self._led.values(), *old.values())}
        return next(number for number in range(1, len(used) + 2) if number not in used)


def _addresses(upstream: "LiveUpstream") -> dict[int, bytes] | None:
    """Return what the core connects to for each endpoint, None if it can't for some."""
    found = {index: endpoint_address(endpoint) for index, endpoint in upstream.endpoints.items()}
    addresses = {index: address for index, address in found.items() if address is not None}
    return addresses if len(addresses) == len(found) else None


def _setup(led: _Led) -> UpstreamSetup:
    """Return what the core is told; what it copies need only live until then, and the structure refers to it."""
    endpoints = (EndpointSetup * len(led.addresses))()
    for endpoint, (index, address) in zip(endpoints, led.addresses.items(), strict=True):
        endpoint.index, endpoint.address_length = index, len(address)
        endpoint.address[: len(address)] = address
    upstream, schedule = led.upstream, led.schedule
    return UpstreamSetup(
        address_of(upstream.states),
        _place(upstream.quick_mark),
        _place(schedule.marks),
        _place(schedule.cycle),
        endpoints,
        len(schedule.cycle),
        len(endpoints),
    )


def _place(numbers: "array[int]") -> int:
    return numbers.buffer_info()[0]
