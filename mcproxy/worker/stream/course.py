"""Where exchanges go: through the filters of a route or case, to a backend's connections, or an upstream's endpoints in turn."""

from typing import Protocol, TypeVar

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.headers import ErrorResponse, Headers, RequestHead

UNWELL = frozenset({502, 503, 504})
"""Statuses by which an endpoint tells that it is unwell, or what is behind it."""

E_contra = TypeVar("E_contra", contravariant=True)
"""The exchange."""


class Pool(Protocol[E_contra]):
    """A backend's connections, or those of all endpoints of an upstream; or a guard who has to ask before any of them is reached.

    Such a guard lets an exchange go on by `Passage.go_on`, or ends it with `Exchange.answer` or `Exchange.fail`; what it asks
    about an exchange that is over, or that was abandoned, leads to nothing.
    """

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


class Passage(Protocol[E_contra]):
    """What the case and the filters that a request came to do with it and its answer.

    Attributes:
        head: the request as its client has sent it.
        case: the match of its case, "" for none.
        filter: the name of the filter that has refused it, "" for none.
    """

    head: RequestHead
    case: str
    filter: str

    def go_on(self, exchange: E_contra) -> None:
        """Take the exchange to the next guard that has to ask, or behind the last one to where its route or case leads."""

    def refused(self, stage: str, name: str) -> None:
        """Take note that a filter of this ``name`` refuses the request at a ``stage`` (`sparse_counters.STAGES`)."""

    def admits(self, received: int) -> bool:
        """Tell whether the request's body may be as long as what has come of it (bytes)."""

    def too_long(self) -> Failure:
        """Return what is wrong with one that is not admitted."""

    def request_trailers(self, headers: Headers) -> Headers:
        """Return those of the request's trailers that may pass."""

    def response(self, status: int, headers: Headers) -> Headers:
        """Return the fields of a backend's response as the client gets them; what is added is well-formed in every version."""

    def response_trailers(self, headers: Headers) -> Headers:
        """Return those of its trailers that may pass."""

    def instead(self, status: int, headers: Headers) -> ErrorResponse | None:
        """Return what the client gets instead of a backend's error; None for the error."""

    def own(self, response: ErrorResponse, *, paged: bool) -> ErrorResponse:
        """Return an answer of the proxy's own as the client gets it; ``paged``: a page may stand for its body."""
