"""Where exchanges go: the connections of a backend, and the endpoints of an upstream, one after another."""

from typing import Protocol, TypeVar

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.headers import Headers

UNWELL = frozenset({502, 503, 504})
"""Statuses by which an endpoint tells that it is unwell, or what is behind it."""

E_contra = TypeVar("E_contra", contravariant=True)
"""The exchange."""


class Pool(Protocol[E_contra]):
    """A backend's connections, or those of all endpoints of an upstream."""

    def acquire(self, exchange: E_contra) -> None:
        """Have `Exchange.attach` called with a connection, or `Exchange.on_unreached`; perhaps before this returns."""

    def abandon(self, exchange: E_contra) -> bool:
        """Forget an exchange that waits for a connection; tell whether it did."""


class Attentive(Protocol):
    """An upstream, as exchanges see it.

    Attributes:
        name: "" for the addresses of a route alone.
        attentive: `Visit.answered` is to be called for every response, and not only for those of `UNWELL`.
    """

    name: str
    attentive: bool


class Visit(Protocol[E_contra]):
    """An exchange's stay at one endpoint of an upstream after another.

    Attributes:
        upstream: whose endpoints they are.

    Where a method takes the exchange to another endpoint, `Exchange.leave` and `Pool.acquire` have been called when it returns.
    """

    @property
    def upstream(self) -> Attentive:
        """Return it."""

    def may_leave(self, exchange: E_contra) -> bool:
        """Tell whether another endpoint could take the exchange, which waits for a connection to this one."""

    def unreached(self, exchange: E_contra, failure: Failure, *, spared: bool) -> bool:
        """Take the exchange, which has got no connection here, to another endpoint; tell whether there was one.

        ``spared``: no dial has failed for it, it only was not to wait for one.
        """

    def lost(self, exchange: E_contra, failure: Failure, *, unprocessed: bool) -> bool:
        """The same for one whose connection or stream has ended; ``unprocessed``: it has surely not been begun with."""

    def answered(self, exchange: E_contra, status: int, *, end: bool) -> Headers | None:
        """Return what the response has to say of the endpoint; None if the exchange went to another one instead."""

    def last_words(self, status: int, failure: Failure) -> tuple[int, Failure]:
        """Return how the exchange is to fail, now that nothing is left to try."""

    def ended(self, exchange: E_contra) -> None:
        """Take note that the exchange is over."""
