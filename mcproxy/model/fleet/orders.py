"""What the nodes of a fleet tell each other about certificates that they order: who orders, what CAs look for, what was issued; never a key.

acme/order NAME      a node, under its lease: it orders for this name
acme/answers NODE    challenges, under its lease: what every node answers for it
acme/issued NAME     what was issued last, and which node has it
"""

from typing import TypeVar

import msgspec

from mcproxy.model.fleet.contents import Contents
from mcproxy.model.fleet.document import Seconds
from mcproxy.model.fleet.keys import ACME

ORDER = f"{ACME}order "
ANSWERS = f"{ACME}answers "
ISSUED = f"{ACME}issued "

_Kind = TypeVar("_Kind")


class Ordering(msgspec.Struct, frozen=True):
    """A node that orders."""

    node: str


class SharedChallenge(msgspec.Struct, frozen=True):
    """What a CA looks for; no part of it is secret.

    Attributes:
        kind: ``tls-alpn-01`` or ``http-01``.
        name: that is proven.
        token: the last part of the path of http-01.
        text: the key authorization.
    """

    kind: str
    name: str
    token: str
    text: str


class Answers(msgspec.Struct, frozen=True):
    """Challenges of one node."""

    challenges: tuple[SharedChallenge, ...]


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that a node has.

    Attributes:
        node: that has ordered it.
        digest: SHA-256 of its chain as PEM, in hex.
        not_before, not_after: its validity, in seconds since the epoch.
        names: that it covers.
    """

    node: str
    digest: str
    not_before: Seconds
    not_after: Seconds
    names: tuple[str, ...] = ()


def answers_of(contents: Contents, others_than: str) -> tuple[frozenset[SharedChallenge], int]:
    """Return what a node answers for the others, and the version of the last change of that, 0 for none."""
    found: set[SharedChallenge] = set()
    version = 0
    for key, item in contents.items.items():
        if key.startswith(ANSWERS) and key != f"{ANSWERS}{others_than}":
            version = max(version, item.version)
            answers = _read(item.value, Answers)
            found |= set(answers.challenges) if answers is not None else set()
    return frozenset(found), version


def issued_of(contents: Contents, name: str) -> Issued | None:
    """Return what was issued for a name."""
    item = contents.items.get(f"{ISSUED}{name}")
    return None if item is None else _read(item.value, Issued)


def orderer_of(contents: Contents, name: str) -> str:
    """Return the node that orders for a name, "" for none."""
    item = contents.items.get(f"{ORDER}{name}")
    ordering = None if item is None else _read(item.value, Ordering)
    return "" if ordering is None else ordering.node


def _read(value: bytes, kind: type[_Kind]) -> _Kind | None:
    """Return what JSON says; None of what another version may have written."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, RecursionError):
        return None
