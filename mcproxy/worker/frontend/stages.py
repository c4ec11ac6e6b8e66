"""The stages of a connection, as operators are told of them."""

from typing import TYPE_CHECKING

from mcproxy.net.loop.relay import Relay

if TYPE_CHECKING:
    from mcproxy.worker.http.termination import Termination


def stage_of(relay: Relay | None, termination: "Termination | None", *, dials: bool, header: bool) -> tuple[str, int]:
    """Return the word for where a connection is, and how many requests are under way.

    Args:
        relay: once it is joined with its backend.
        termination: once its TLS is terminated.
        dials: a backend is dialed.
        header: if none of that: its PROXY header is due, else its ClientHello.
    """
    if relay is not None:
        return "relay" if relay.first is None else "half_closed", 0
    if termination is not None:
        return termination.describe()
    if dials:
        return "dial", 0
    return "proxy_header" if header else "hello", 0
