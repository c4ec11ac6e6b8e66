"""How many nodes take part in each step of a rollout, and which."""

import pytest

from mcproxy.errors import PreconditionError
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.records import Rollout
from mcproxy.policy.fleet.steps import canaries, number, parse_steps
from tests.support.fleet_store import MemoryStore, node


@pytest.mark.parametrize("text", ["1", "1,25%,100%", "1, 2 ,3", "0.5%,100%", "3,1%"])
def test_steps(text: str) -> None:
    """Numbers of nodes, then shares of them."""
    assert parse_steps(text) == tuple(part.strip() for part in text.split(","))


@pytest.mark.parametrize(
    "text", ["", "0", "1,1", "2,1", "50%,25%", "25%,3", "101%", "0%", "1.5", "-1", "x", "1,,2", "1.2.3%", "1e2%", "²"]
)
def test_what_are_no_steps(text: str) -> None:
    """Steps go forward; what is no number is told."""
    with pytest.raises(ValueError, match=r"step|number of nodes|share"):
        parse_steps(text)


@pytest.mark.parametrize(
    ("step", "nodes", "wanted"),
    [
        ("1", 3, 1),
        ("5", 3, 3),
        ("25%", 3, 1),
        ("25%", 100, 25),
        ("1%", 3, 1),
        ("100%", 7, 7),
        ("34%", 3, 2),
        ("100%", 200, 200),
        ("1", 0, 0),
    ],
)
def test_shares_are_rounded_up(step: str, nodes: int, wanted: int) -> None:
    """A share takes at least one node, and no step more than there are."""
    assert number(step, nodes) == wanted


def fleet(**errors: str) -> MemoryStore:
    store = MemoryStore()
    for name, error in errors.items():
        store.put(keys.node_key(name), node(name, error=error))
    return store


def test_nodes_with_errors_are_no_canaries() -> None:
    """They can't tell whether the document is good, and are in nobody's way; where all have errors, any may try what perhaps mends them."""
    store = fleet(n1="no certificate", n2="", n3="")
    assert canaries(store.view, Rollout(revision=2, doc=1)) == ("n2",)
    for step in ("3", "100%"):
        assert canaries(store.view, Rollout(revision=2, doc=1, steps=(step,))) == ("n2", "n3")
    broken = fleet(n1="no certificate", n2="no certificate")
    assert canaries(broken.view, Rollout(revision=2, doc=1, steps=("100%",))) == ("n1", "n2")


def test_named_nodes_come_first_of_all() -> None:
    """Whoever is named is a canary, whatever its error, and as many as are named."""
    store = fleet(n1="", n2="", n3="no certificate")
    assert canaries(store.view, Rollout(revision=2, doc=1, named=("n3", "n2"))) == ("n3", "n2")


def test_a_canary_that_gets_an_error_stays_one() -> None:
    """Until its report decides."""
    store = fleet(n1="", n2="no certificate")
    assert canaries(store.view, Rollout(revision=2, doc=1, steps=("1", "100%"), step=1, nodes=("n2",))) == ("n2", "n1")


def test_canaries_stay() -> None:
    """A later step takes more nodes, and never gives one back, even if nodes are fewer by then."""
    store = fleet(n1="", n2="", n3="", n4="")
    before = Rollout(revision=2, doc=1, steps=("1", "50%"), step=1, nodes=("n3",))
    assert canaries(store.view, before) == ("n3", "n1")
    assert canaries(fleet(n1="").view, Rollout(revision=2, doc=1, nodes=("n3", "n4"))) == ("n3", "n4")


def test_who_is_there_instead_of_a_node_that_is_not() -> None:
    """All of a small fleet, the first twenty of a large one."""
    for count, told in ((1, "there is n00$"), (20, "n18, n19$"), (21, "n18, n19 and more$")):
        store = fleet(**{f"n{number:02}": "" for number in range(count)})
        with pytest.raises(PreconditionError, match=told):
            canaries(store.view, Rollout(revision=2, doc=1, named=("x",)))
