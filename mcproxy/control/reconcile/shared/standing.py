"""What this node says of itself in the fleet's store."""

import contextlib
import functools
import socket
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from mcproxy import __version__
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.fleet.records import CanaryReport, NodeRecord, is_shared
from mcproxy.model.values.addresses import is_ip

_PERIOD = 30.0  # seconds that the share of failing requests is of
_LONGEST = 500  # characters of an error


class Standing:
    """Knows what to say."""

    def __init__(
        self,
        current: Current,
        reconciler: Reconciler,
        canary: Callable[[], CanaryReport | None] = lambda: None,
        answered: Callable[[], int] = lambda: 0,
    ) -> None:
        """Ask how the document of a rollout does here, and which challenges of other nodes are answered."""
        self._answered = answered
        self._current = current
        self._reconciler = reconciler
        self._canary = canary
        self._started = time.time()
        self._counted = (0.0, 0, 0)
        self._failing = 0.0

    def record(self) -> NodeRecord:
        """Return it, without the time."""
        current, fleet = self._current, self._current.edits.shared.fleet
        loaded = current.loaded
        document = None if loaded is None else loaded.document
        canary = self._canary()
        standing = current.merged.standing
        return NodeRecord(
            node="" if fleet.node is None else fleet.node.node,
            generation=current.applier.generation,
            revision=0 if document is None else document.header.revision,
            hash="" if document is None else document.header.hash,
            applied=fleet.live,
            error="; ".join(self._reconciler.last.problems)[:_LONGEST],
            version=__version__,
            since=self._started,
            failing=self._share(),
            local=sum(not is_shared(edit.id) for edit in standing),
            canary=None if canary is None else msgspec.structs.replace(canary, why=canary.why[:_LONGEST]),
            answered=self._answered(),
            admin=_reachable(str(current.applier.state.settings["grpc.addr"]), fleet.node),
        )

    def _share(self) -> float:
        """Return which share of requests was answered with 5xx, of late."""
        now = time.monotonic()
        since, answered, failed = self._counted
        if now - since >= _PERIOD:
            classes: Counter[bool] = Counter()
            for route in self._current.counters.totals().routes.values():
                for (_, code), count in route.responses.items():
                    classes[code.startswith("5")] += count
            total, errors = classes.total(), classes[True]
            more = total - answered
            self._failing = round((errors - failed) / more, 3) if since and more > 0 else 0.0
            self._counted = now, total, errors
        return self._failing


def _reachable(addr: str, node: FleetNode | None) -> str:
    """Return where the other nodes reach the admin API that is served at an address, "" if that is not known."""
    host, _, port = addr.rpartition(":")
    if not addr or node is None or host:
        return addr
    host = node.address or _way_out(node.endpoints[0])
    return "" if not host else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@functools.cache
def _way_out(endpoint: str) -> str:
    """Return the address of this machine from which a member of the store is reached; "" if that is known by a name only."""
    host, _, port = endpoint.rpartition(":")
    if not is_ip(host.strip("[]")):
        return ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((host.strip("[]"), int(port)))  # sends nothing
        return str(sock.getsockname()[0])
    return ""
