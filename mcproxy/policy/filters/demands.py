"""What requests must be like: the user agents that filters block, and the headers that they require."""

from collections.abc import Sequence
from typing import Literal

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.state import Policy
from mcproxy.policy.filters.refusal import Refusal
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.policy.l7 import L7Rules

_AGENT: Literal["block_user_agent"] = "block_user_agent"
_HEADER: Literal["require_header"] = "require_header"


class Demands:
    """The demands of all filters of a scope; they mean what a route's policies of these types do.

    Args:
        filters: names and keys of the filters, the outermost first.
    """

    __slots__ = ("_rules",)

    def __init__(self, filters: Sequence[tuple[str, FilterOptions]]) -> None:
        self._rules: list[tuple[L7Rules, Refusal]] = []
        for place, (name, options) in enumerate(filters):
            for key, kind, values in (
                ("block_user_agents", _AGENT, options.block_user_agents),
                ("require_headers", _HEADER, options.require_headers),
            ):
                if values:
                    rules = L7Rules(Policy("", "", kind, value) for value in values)
                    detail = f"{key} of the filter {name}"
                    self._rules.append((rules, Refusal("allow", name, 403, kind, detail, place=place, key=key)))

    def __bool__(self) -> bool:
        """Whether any request could be refused."""
        return bool(self._rules)

    def judge(self, head: RequestHead, forwarding: Headers) -> Refusal | None:
        """Return what refuses a request, the outermost filter first; None lets it pass.

        Args:
            head: the request.
            forwarding: what the proxy tells of the client.
        """
        for rules, refusal in self._rules:
            if rules.judge(head, forwarding) is not None:
                return refusal
        return None
