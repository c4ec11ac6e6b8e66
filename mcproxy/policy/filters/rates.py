"""How often a client may ask: the rate limits of filters, and by what they count."""

import math
from collections.abc import Sequence

import msgspec

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.policy.field_names import fold
from mcproxy.policy.filters.refusal import Refusal
from mcproxy.policy.headers import Headers
from mcproxy.policy.rate_window import client_key

_OF_HEADER = "header:"


class RateRule(msgspec.Struct, frozen=True):
    """The rate limit of one filter.

    Attributes:
        filter: its place in the scope, from 0 for the outermost.
        name: of the filter.
        limit: requests in a window.
        window: its length in seconds.
        header: the folded name of the field by whose value is counted; nothing for the client's address.
    """

    filter: int
    name: str
    limit: int
    window: float
    header: bytes = b""

    def subject(self, packed: bytes, headers: Headers) -> bytes:
        """Return what is counted as one: a header's value if there is any, else the client.

        Args:
            packed: the client's address; of IPv6 the /64 counts.
            headers: the request's fields.
        """
        if self.header:
            size = len(self.header)
            values = [value for name, value in headers if len(name) == size and fold(name) == self.header]
            if values and any(values):
                return b"h" + b", ".join(values)
        return b"c" + client_key(packed)

    def refusal(self, now: float) -> Refusal:
        """Return what one request too many is told; ``now`` as in `retry_after`."""
        headers = ((b"retry-after", b"%d" % self.retry_after(now)),)
        detail = f"rate_limit of the filter {self.name}"
        return Refusal("rate", self.name, 429, "filter_rate", detail, headers, place=self.filter, key="rate_limit")

    def retry_after(self, now: float) -> int:
        """Return in how many seconds the next window begins, at least one; ``now`` is on the clock that numbers the windows."""
        return max(1, math.ceil(self.window - now % self.window))


def rate_rules(filters: Sequence[tuple[str, FilterOptions]]) -> tuple[RateRule, ...]:
    """Return the limits of a scope; ``filters`` are names and keys, the outermost first. A request counts for each."""
    return tuple(
        RateRule(
            place,
            name,
            options.rate_limit.count,
            options.rate_limit.window,
            fold(options.rate_key.removeprefix(_OF_HEADER).encode())
            if options.rate_key.startswith(_OF_HEADER)
            else b"",
        )
        for place, (name, options) in enumerate(filters)
        if options.rate_limit
    )
