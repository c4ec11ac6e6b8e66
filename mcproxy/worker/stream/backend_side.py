"""What an exchange calls on its backend's connection."""

from typing import Protocol

from mcproxy.policy.headers import Headers


class BackendSide(Protocol):
    """A backend's connection. Calls about a stream that is gone do nothing.

    Attributes:
        endpoint: its address, as the config file writes addresses.
    """

    endpoint: str

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the request's body."""

    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the trailers, which end the request."""

    def reset(self, stream: int, code: int) -> None:
        """Break the request off."""

    def consumed(self, stream: int, amount: int) -> None:
        """Let the backend send ``amount`` bytes more."""

    def holds(self, stream: int) -> bool:
        """Tell whether bytes of the stream wait here for the backend."""

    def widen(self, stream: int) -> None:
        """Take a whole window of the response at once from now on, where it was a small part."""

    def doubt(self) -> None:
        """Find out whether the backend is still there: an answer did not come in time."""
