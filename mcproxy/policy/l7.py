"""A route's L7 policies, compiled once and judged for every request.

They judge what the backend will see: the request without what its client's connection takes away, with what the proxy adds, and with
the names of its fields as a CGI-style backend reads them (`field_names.fold`).
"""

from collections.abc import Iterable

import msgspec

from mcproxy.model.state.state import Policy
from mcproxy.policy.field_names import fold
from mcproxy.policy.headers import Headers, RequestHead, to_http1

_USER_AGENT = b"user-agent"


class _Requirement(msgspec.Struct, frozen=True):
    """A header that must be there.

    Attributes:
        name: in lower case, as it must be spelt.
        folded: the name as a backend reads it.
        value: what all fields of the folded name must say, None for anything.
    """

    name: bytes
    folded: bytes
    value: bytes | None

    def is_met(self, headers: Headers) -> bool:
        """Tell whether the fields have the header, and none that a backend might read in its place."""
        met = False
        size = len(self.name)
        for name, value in headers:
            if len(name) == size and fold(name) == self.folded:  # folding leaves the length as it is
                if self.value is not None and value != self.value:
                    return False
                met = met or name == self.name
        return met


class L7Rules:
    """The policies of one route.

    ``block_user_agent`` blocks a request one of whose User-Agents contains the value, ASCII letters compared without case.
    ``require_header`` blocks one without the header ``Name``; with ``Name: value`` also one where any field that a backend
    reads as that name says something else than exactly this value, surrounding whitespace aside. Several requirements must
    all be met.

    Args:
        policies: the route's own.
    """

    __slots__ = ("_agents", "_requirements")

    def __init__(self, policies: Iterable[Policy]) -> None:
        agents: list[tuple[bytes, Policy]] = []
        requirements: list[tuple[_Requirement, Policy]] = []
        for policy in policies:
            if policy.type == "block_user_agent":
                agents.append((policy.value.encode().lower(), policy))
            else:
                requirements.append((_requirement(policy.value), policy))
        self._agents = tuple(agents)
        self._requirements = tuple(requirements)

    def judge(self, head: RequestHead, forwarding: Headers) -> Policy | None:
        """Return the first policy that blocks the request, or None when it may pass.

        Args:
            head: the request.
            forwarding: what the proxy tells of the client.
        """
        headers = to_http1(head, forwarding)
        if head.websocket:  # what asks a backend of HTTP/1.1 for it; one of HTTP/2 sees as much in other words
            headers += ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))
        if self._agents:
            for name, value in headers:
                if name == _USER_AGENT or (len(name) == len(_USER_AGENT) and fold(name) == _USER_AGENT):
                    agent = value.lower()
                    for blocked, policy in self._agents:
                        if blocked in agent:
                            return policy
        for requirement, policy in self._requirements:
            if not requirement.is_met(headers):
                return policy
        return None


def _requirement(text: str) -> _Requirement:
    name, _, wanted = text.partition(":")
    canonical = name.strip().lower().encode()
    return _Requirement(canonical, fold(canonical), wanted.strip().encode() or None)
