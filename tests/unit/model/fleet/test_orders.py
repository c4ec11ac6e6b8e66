"""What nodes tell each other about certificates that they order."""

import msgspec

from mcproxy.model.fleet.contents import Contents, Item
from mcproxy.model.fleet.orders import (
    ANSWERS,
    ISSUED,
    ORDER,
    Answers,
    Issued,
    Ordering,
    SharedChallenge,
    answers_of,
    issued_of,
    orderer_of,
)


def challenge(name: str) -> SharedChallenge:
    return SharedChallenge("http-01", name, f"token-{name}", f"token-{name}.thumbprint")


def contents(**items: object) -> Contents:
    encoded = {key: value if isinstance(value, bytes) else msgspec.json.encode(value) for key, value in items.items()}
    return Contents({key: Item(value, number) for number, (key, value) in enumerate(encoded.items(), start=3)}, 9)


def test_a_node_answers_for_all_others() -> None:
    """But not what it asks itself; the version is that of the last change of any of the others."""
    found = contents(
        **{
            f"{ANSWERS}a": Answers((challenge("x"), challenge("y"))),
            f"{ANSWERS}b": Answers((challenge("z"),)),
            f"{ANSWERS}me": Answers((challenge("own"),)),
        }
    )
    assert answers_of(found, "me") == (frozenset(map(challenge, "xyz")), 4)
    assert answers_of(found, "b") == (frozenset(map(challenge, ("x", "y", "own"))), 5)
    assert answers_of(Contents(), "me") == (frozenset(), 0)


def test_what_another_version_has_written_counts_as_nothing() -> None:
    """So that a fleet of two versions goes on: a node that can't read it orders one of its own."""
    found = contents(**{f"{ANSWERS}a": b"{", f"{ORDER}x": b"[]", f"{ISSUED}x": b'{"node":1}'})
    assert answers_of(found, "me") == (frozenset(), 3)
    assert (orderer_of(found, "x"), issued_of(found, "x")) == ("", None)
    deep = b'{"later": ' + b"[" * 100_000
    found = contents(**{f"{ANSWERS}a": deep, f"{ORDER}x": deep, f"{ISSUED}x": deep})
    assert answers_of(found, "me") == (frozenset(), 3)
    assert (orderer_of(found, "x"), issued_of(found, "x")) == ("", None)


def test_who_orders_and_what_was_issued() -> None:
    """By name."""
    issued = Issued(node="a", digest="d", not_before=1.0, not_after=2.0, names=("x", "y"))
    found = contents(**{f"{ORDER}x": Ordering("b"), f"{ISSUED}x": issued})
    assert (orderer_of(found, "x"), orderer_of(found, "y")) == ("b", "")
    assert (issued_of(found, "x"), issued_of(found, "y")) == (issued, None)
