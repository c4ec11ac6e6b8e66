"""From kills to the table, and whether one proxy is no worse than the other."""

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from tests.failover.load import Kind

SUBJECT, OTHER = "mcproxy", "haproxy"
_PART = 0.1
_REQUESTS = 2


class Kill(msgspec.Struct, frozen=True):
    """What one kill of a backend did to the clients of a proxy.

    Attributes:
        failed: requests that failed.
        last: seconds from the kill to the last of these, 0 without any.
        returned: seconds from when the backend accepts again to its first answer.
        errors: what the clients were told, each once.
    """

    failed: int
    last: float
    returned: float
    errors: tuple[str, ...] = ()


Kills = Mapping[tuple[Kind, str], Sequence[Kill]]


def table(kills: Kills) -> str:
    """Return a table in Markdown: medians, and from the best to the worst."""
    head = ["clients", "proxy", "failed requests", "last failure after the kill", "first answer after its return"]
    lines = [head, ["---"] * len(head)]
    for (kind, proxy), each in sorted(kills.items()):
        failed = [kill.failed for kill in each]
        lines.append(
            [
                *(kind, proxy),
                f"{statistics.median(failed):g} ({min(failed)} to {max(failed)})",
                _spread([kill.last for kill in each]),
                _spread([kill.returned for kill in each]),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def worse(kills: Kills, rate: int) -> list[str]:
    """Return where mcproxy's median is worse than haproxy's by more than a tenth and what two requests are."""
    found = []
    for kind in dict.fromkeys(kind for kind, _ in kills):
        own, other = kills[kind, SUBJECT], kills[kind, OTHER]
        for name, two in (("failed", float(_REQUESTS)), ("last", _REQUESTS / rate), ("returned", _REQUESTS / rate)):
            mine = statistics.median(getattr(kill, name) for kill in own)
            theirs = statistics.median(getattr(kill, name) for kill in other)
            if mine - theirs > max(_PART * theirs, two):
                found.append(f"{kind}: {name} {mine:.3g}, of {OTHER} {theirs:.3g}")
    return found


def _spread(seconds: Sequence[float]) -> str:
    if not any(seconds):
        return "-"
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
