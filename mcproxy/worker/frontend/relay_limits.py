"""The time limits of a relay: how long nothing may happen on it, and when to look."""

from mcproxy.model.state.snapshot import Timeouts
from mcproxy.net.loop.relay import Relay
from mcproxy.worker.live.listener import LiveRoute

NEVER = float("inf")


def time_left(relay: Relay, route: LiveRoute, timeouts: Timeouts, now: float) -> tuple[float, str, float]:
    """Return when a relay is to end, why it does, and when to look again at the latest; times are monotonic seconds.

    It has lived for a while, and may for long, so from now on the kernel looks whether its peers are still there.
    """
    relay.keep_alive()
    again, reason = NEVER, "idle_timeout"
    idle, half_closed = route.idle(timeouts.idle), timeouts.half_closed
    if relay.first is None:
        again = now + half_closed  # to find in time that one side has ended
    elif half_closed < idle:
        idle, reason = half_closed, "half_closed_timeout"
    return relay.active_at + idle, reason, again
