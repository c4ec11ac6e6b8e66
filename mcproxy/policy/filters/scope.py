"""The filters that hold for a route or a case, compiled once and applied to every request.

Guards add up: each filter's own is asked, the outermost first. Of modifiers the innermost counts, key by key. The stages stand in one
order whatever the file's: ``allow rate cors body auth rewrite headers``.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.policy import connection_auth
from mcproxy.policy.answers import Asking
from mcproxy.policy.certificates.holders import Holders
from mcproxy.policy.filters.access import Access
from mcproxy.policy.filters.cors import CorsRule
from mcproxy.policy.filters.demands import Demands
from mcproxy.policy.filters.error_pages import ErrorPages
from mcproxy.policy.filters.header_operations import Operations, request_operations, response_operations
from mcproxy.policy.filters.rates import RateRule, rate_rules
from mcproxy.policy.filters.rewrites import PathRewrite
from mcproxy.policy.headers import RequestHead

T = TypeVar("T")


class BodyLimit(msgspec.Struct, frozen=True):
    """The largest body of a request, in bytes, and the filter that says so: its place in the scope and its name."""

    size: int
    filter: int
    name: str


class RequestChange:
    """What the backend gets instead of what the client has sent: another path, host, or headers.

    Attributes:
        operations: on headers; None for none.
        fills: it is to be known who asks, for variables.
    """

    __slots__ = ("_authorizes", "_host", "_rewrite", "fills", "operations")

    def __init__(self, rewrite: PathRewrite | None, host: bytes, operations: Operations | None) -> None:
        self._rewrite = rewrite
        self._host = host
        self.operations = operations
        self.fills = operations is not None and operations.fills
        self._authorizes = operations is not None and b"authorization" in operations.gone

    @property
    def gone(self) -> frozenset[bytes]:
        """Folded names of the client's fields that don't pass, nor do they as trailers."""
        return frozenset() if self.operations is None else self.operations.gone

    def apply(self, head: RequestHead, asking: Asking) -> RequestHead | None:
        """Return the request for the backend; None if the rewritten path can be read as one outside of where it should be (400).

        Variables stand for what the client has sent, not for what is rewritten.
        """
        path = head.path
        if self._rewrite is not None:
            rewritten = self._rewrite.apply(path)
            if rewritten is None:
                return None
            path = rewritten
        headers = head.headers if self.operations is None else self.operations.apply(head.headers, head, asking)
        binds = connection_auth.in_request(headers) if self._authorizes else head.binds
        return RequestHead(
            head.method, self._host or head.authority, path, headers, head.websocket, head.checked, binds
        )


class Scope:
    """What holds for the requests of a route or case; None where nothing does.

    Attributes:
        access: networks and countries.
        demands: user agents and headers.
        rates: the rate limits, the outermost first.
        cors: the leave of pages of other origins.
        max_body: the smallest limit.
        request: what the backend gets instead.
        response: what is changed in the headers of every answer.
        pages: of errors.
        request_timeout, idle_timeout: in seconds, infinite for no limit.
    """

    __slots__ = (
        "access",
        "cors",
        "demands",
        "holders",
        "idle_timeout",
        "max_body",
        "pages",
        "rates",
        "request",
        "request_timeout",
        "response",
    )

    def __init__(self, filters: Sequence[tuple[str, FilterOptions]]) -> None:
        """``filters`` are the names and keys of those that hold, the outermost first."""
        options = [each for _, each in filters]
        self.access = Access(filters) or None
        self.holders = Holders(filters) or None
        self.demands = Demands(filters) or None
        self.rates: tuple[RateRule, ...] | None = rate_rules(filters) or None
        cors = _innermost([each.cors for each in options])
        self.cors = None if cors is None else CorsRule(cors)
        self.max_body = _body_limit(filters)
        self.request = _request_change(options)
        self.response = response_operations(options) or None
        self.pages = ErrorPages(options) or None
        self.request_timeout = _seconds([each.request_timeout for each in options])
        self.idle_timeout = _seconds([each.idle_timeout for each in options])

    def __bool__(self) -> bool:
        """Whether anything holds that is decided here; who has to be asked (basic_auth, forward_auth) is not."""
        return any(getattr(self, name) is not None for name in self.__slots__)


def _innermost(values: Sequence[T | None]) -> T | None:
    return next((value for value in reversed(values) if value is not None), None)


def _seconds(values: Sequence[float | UnsetType]) -> float | None:
    found = _innermost([None if isinstance(value, UnsetType) else value for value in values])
    return math.inf if found == 0 else found


def _body_limit(filters: Sequence[tuple[str, FilterOptions]]) -> BodyLimit | None:
    limits = [
        (options.max_body, place, name)
        for place, (name, options) in enumerate(filters)
        if not isinstance(options.max_body, UnsetType)
    ]
    return BodyLimit(*min(limits)) if limits else None


def _request_change(options: Sequence[FilterOptions]) -> RequestChange | None:
    rewrite = _innermost([each.rewrite for each in options])
    host = _innermost([each.rewrite_host or None for each in options])
    operations = request_operations(options) or None
    if rewrite is None and host is None and operations is None:
        return None
    return RequestChange(None if rewrite is None else PathRewrite(rewrite), (host or "").encode(), operations)
