"""What each version of HTTP does in its own way on a client's connection."""

from abc import abstractmethod

from mcproxy.policy.headers import Headers
from mcproxy.worker.stream.http_connection import HttpConnection


class Version(HttpConnection):
    """A client's connection, as far as what is said on it depends on the version."""

    __slots__ = ()

    def blame(self, stream: int) -> None:
        """Note that the client has spoilt a request; HTTP/1.1 closes the connection over it."""

    def told(self, status: int) -> int:
        """Return how a status is said in this version."""
        return status

    @abstractmethod
    def inform(self, stream: int, status: int, headers: Headers) -> None:
        """Send an interim response."""

    @abstractmethod
    def respond(self, stream: int, status: int, headers: Headers, *, end: bool, checked: bool = False) -> None:
        """Send the head of the final response; ``checked`` fields came in HTTP/2."""

    @abstractmethod
    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send a part of the response's body."""

    @abstractmethod
    def trailers(self, stream: int, headers: Headers) -> None:
        """Send the trailers, which end the response."""

    @abstractmethod
    def reset(self, stream: int, code: int) -> None:
        """Break the response off."""

    @abstractmethod
    def consumed(self, stream: int, amount: int) -> None:
        """Let the client send more."""

    @abstractmethod
    def holds(self, stream: int) -> bool:
        """Tell whether bytes of the stream wait here for the client."""

    @abstractmethod
    def finished(self, stream: int) -> None:
        """Forget the exchange of a stream."""

    @abstractmethod
    def give_notice(self) -> None:
        """Warn that the connection will take no more requests soon."""

    @abstractmethod
    def refuse_more(self) -> None:
        """Take no more requests; close when those under way have ended."""

    @abstractmethod
    def end_idle(self) -> None:
        """Close: nothing is under way."""
