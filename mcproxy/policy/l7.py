"""A route's L7 policies, compiled once and judged for every request."""

from collections.abc import Iterable

import msgspec

from mcproxy.model.state.state import Policy

_Headers = list[tuple[bytes, bytes]]


class _Requirement(msgspec.Struct, frozen=True):
    """A header that must be there under one of its names, with this value if it is not None."""

    names: frozenset[bytes]
    value: bytes | None


class L7Rules:
    """The policies of one route.

    ``block_user_agent`` blocks a request whose User-Agent contains the value, ASCII letters compared without case.
    ``require_header`` blocks one without the header ``Name``, or with ``Name: value`` one that has no such header of
    exactly this value, surrounding whitespace aside. Several requirements must all be met.

    Args:
        policies: the route's own.
    """

    __slots__ = ("_agents", "_requirements")

    def __init__(self, policies: Iterable[Policy]) -> None:
        agents: list[bytes] = []
        requirements: list[_Requirement] = []
        for policy in policies:
            if policy.type == "block_user_agent":
                agents.append(policy.value.encode().lower())
            else:
                requirements.append(_requirement(policy.value))
        self._agents = tuple(agents)
        self._requirements = tuple(requirements)

    def judge(self, headers: _Headers) -> str | None:
        """Return the type of the first policy that blocks the request, or None when it may pass.

        Args:
            headers: all fields as received, names in lower case; of HTTP/2 with the pseudo-header fields.
        """
        if self._agents:
            for name, value in headers:
                if name == b"user-agent":
                    agent = value.lower()
                    for blocked in self._agents:
                        if blocked in agent:
                            return "block_user_agent"
        for requirement in self._requirements:
            for name, value in headers:
                if name in requirement.names and (requirement.value is None or value == requirement.value):
                    break
            else:
                return "require_header"
        return None


def _requirement(value: str) -> _Requirement:
    name, _, wanted = value.partition(":")
    canonical = name.strip().lower().encode()
    # HTTP/2 says Host as :authority.
    names = {canonical, b":authority"} if canonical == b"host" else {canonical}
    return _Requirement(frozenset(names), wanted.strip().encode() or None)
