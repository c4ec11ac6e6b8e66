"""What is known of endpoints, for everybody who shows it: plain and immutable."""

from collections.abc import Mapping, Sequence

import msgspec

from mcproxy.control.counters.quantiles import Histogram
from mcproxy.control.health.counts import Counted
from mcproxy.model.state.state import EndpointKey
from mcproxy.model.state.upstream_options import EndpointState


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint that can be dialed. Times are in seconds since the epoch.

    Attributes:
        upstream: the name of its upstream.
        address: where it listens.
        label: its address as the file has it: a name, where that stands for several of them.
        state: what the operator wants of it.
        verdict: what checks and traffic say, one of `endpoints.VERDICTS`.
        since: when that began; 0.0 if it has been so from the start.
        reason: why it is so, in words, "" where there is nothing to say.
        checked: whether its upstream has a check.
        last_check: when the last check ended, 0.0 for none so far.
        last_error: why that failed; "" if it passed.
        check_seconds: how long it took.
        active: connections (l4) and requests (l7) that are open there.
        share: which part of its weight it gets, 0.0 to 1.0.
        weight: its weight.
        backup: whether it is used only when no other one is usable.
        ejections: how often it was ejected since control started.
        usable: whether it gets new connections and requests.
    """

    upstream: str
    address: str
    label: str
    state: EndpointState = "ready"
    verdict: str = "unknown"
    since: float = 0.0
    reason: str = ""
    checked: bool = False
    last_check: float = 0.0
    last_error: str = ""
    check_seconds: float = 0.0
    active: int = 0
    share: float = 1.0
    weight: int = 1
    backup: bool = False
    ejections: int = 0
    usable: bool = True

    @property
    def key(self) -> EndpointKey:
        """Its key, and that of its index."""
        return self.upstream, self.address


class EndpointFacts(msgspec.Struct, frozen=True):
    """What is known of all endpoints at one moment.

    Attributes:
        endpoints: all that can be dialed, in the order of the upstreams.
        counted: what was counted, by upstream and the address in the file.
        checks: how long checks took, by upstream.
        panicking: the upstreams of which no endpoint is usable that the operator has ready.
    """

    endpoints: Sequence[EndpointHealth] = ()
    counted: Mapping[EndpointKey, Counted] = {}
    checks: Mapping[str, Histogram] = {}
    panicking: Sequence[str] = ()
