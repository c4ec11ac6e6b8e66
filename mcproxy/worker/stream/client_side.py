"""What an exchange calls on its client's connection."""

from typing import Protocol, TypeVar

from mcproxy.policy.headers import Headers

E_contra = TypeVar("E_contra", contravariant=True)
"""The exchange."""


class ClientSide(Protocol[E_contra]):
    """A client's connection. Calls about a stream that is gone do nothing.

    Attributes:
        dial_seconds: the histogram of dials that its requests make necessary.
        source: the client's packed address.
    """

    dial_seconds: int
    source: bytes

    @property
    def under_way(self) -> int:
        """How many of its requests are under way."""

    def inform(self, stream: int, status: int, headers: Headers) -> None:
        """Send an interim response."""

    def respond(self, stream: int, status: int, headers: Headers, *, end: bool, checked: bool = False) -> None:
        """Send the head of the final response; ``checked`` fields came in HTTP/2, and so can be said in it."""

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the response's body."""

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the trailers, which end the response."""

    def reset(self, stream: int, code: int) -> None:
        """Break the response off, so that it can't be taken for complete."""

    def consumed(self, stream: int, amount: int) -> None:
        """Let the client send ``amount`` bytes more."""

    def holds(self, stream: int) -> bool:
        """Tell whether bytes of the stream wait here for the client."""

    def reserve(self) -> bool:
        """Tell whether a whole window of one response may wait here, and count that it does until `unreserve`."""

    def unreserve(self) -> None:
        """Give back what `reserve` has granted."""

    def now(self) -> float:
        """Return the current time, as far as it is known (monotonic seconds)."""

    def account(self, exchange: E_contra) -> None:
        """Take note of how an exchange went: called once, when it is over."""

    def claim(self, exchange: E_contra) -> None:
        """Keep the backend's connection to this client's: the backend is about to learn on it who the client is."""

    def finished(self, stream: int) -> None:
        """Forget the exchange of a stream."""

    def abort(self) -> None:
        """Close the connection at once, with all its streams."""
