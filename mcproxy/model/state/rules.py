"""Rules over several resources: what can't be together in one State, whether a file or a runtime edit asks for it.

What makes a single resource right is judged where it is read; that a child has its parent, where it is added.
"""

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from mcproxy.model.state.kinds import KindName, ResourceKey
from mcproxy.model.state.state import State
from mcproxy.model.values import addresses

ResourceId: TypeAlias = tuple[KindName, ResourceKey]

_LISTENING = ("grpc.addr", "metrics.addr")
_MUTUAL_TLS = ("tls_cert", "tls_key", "client_ca")


class RuleViolation(msgspec.Struct, frozen=True):
    """Resources that can't be together as they are.

    Attributes:
        subject: the one that asks for what the others don't allow; of two that are alike the one that comes later.
        message: what is wrong, for the operator.
        others: the others; a setting may be among them that is not there.
        rival: the one of the others that asks for the same thing; None where it is not about that.
    """

    subject: ResourceId
    message: str
    others: tuple[ResourceId, ...]
    rival: ResourceId | None = None

    @property
    def resources(self) -> tuple[ResourceId, ...]:
        """All of them, the subject first."""
        return (self.subject, *self.others)


def violations(state: State) -> Iterator[RuleViolation]:
    """Yield every violation of a rule in a State; the order of resources within a kind is theirs in the State."""
    yield from _overlaps(state)
    yield from _policies_on_l4(state)
    yield from _api_without_tls(state)
    yield from _countries_without_database(state)


def _overlaps(state: State) -> Iterator[RuleViolation]:
    by_port: dict[int, list[tuple[str, str, ResourceId]]] = {}
    listening: list[tuple[str, str, ResourceId]] = [
        (str(state.settings[path]), path, ("setting", path)) for path in _LISTENING if state.settings.get(path)
    ]
    listening += [(addr, "the listener", ("listener", addr)) for addr in state.listeners]
    for addr, name, subject in listening:
        taken = by_port.setdefault(addresses.listen_port(addr), [])
        for other, what, rival in taken:
            if addresses.overlap(addr, other):
                message = f"{addr} cannot be bound beside {what} {other}"
                yield RuleViolation(subject, message, (rival,), rival)
                break
        taken.append((addr, name, subject))


def _policies_on_l4(state: State) -> Iterator[RuleViolation]:
    for key in state.policies:
        route = state.routes.get(key[:2])
        if route is not None and route.mode == "l4":
            message = 'an l4 route sees no requests; policies need mode = "l7"'
            yield RuleViolation(("policy", key), message, (("route", key[:2]),))


def _api_without_tls(state: State) -> Iterator[RuleViolation]:
    if state.settings.get("grpc.addr"):
        for name in _MUTUAL_TLS:
            if not state.settings.get(f"grpc.{name}"):
                message = f"grpc.addr needs {name} too: the API is open to TCP under mutual TLS only"
                yield RuleViolation(("setting", "grpc.addr"), message, (("setting", f"grpc.{name}"),))


def _countries_without_database(state: State) -> Iterator[RuleViolation]:
    if not state.settings.get("firewall.geoip_db"):
        for key in state.rules:
            if key[0] == "country":
                message = "blocking a country needs geoip_db, a database of countries"
                yield RuleViolation(("rule", key), message, (("setting", "firewall.geoip_db"),))
