"""Guards of a scope that decide at once whether a request may pass."""

from typing import Protocol

from mcproxy.policy.filters.demands import Demands
from mcproxy.policy.filters.refusal import Refusal
from mcproxy.policy.headers import Headers, RequestHead


class Asked(Protocol):
    """A request that wants to pass.

    Attributes:
        request: as its client has sent it, without fields that come from nobody but from who is asked by `forward_auth`.
        forwarding: what the proxy tells the backend of the client.
        source: the client's packed address.
    """

    request: RequestHead
    forwarding: Headers
    source: bytes


class Guard(Protocol):
    """Decides about requests."""

    def judge(self, asked: Asked) -> Refusal | None:
        """Return why a request may not pass; None if it may, as far as this guard is concerned."""


class Demanding:
    """Refuses what filters do not like about user agents and headers."""

    __slots__ = ("_demands",)

    def __init__(self, demands: Demands) -> None:
        self._demands = demands

    def judge(self, asked: Asked) -> Refusal | None:
        """Return why a request may not pass."""
        return self._demands.judge(asked.request, asked.forwarding)
