"""What a node knows of its fleet: who runs what, who is off, what is tried, and what is wrong."""

from typing import Any

import msgspec

from mcproxy.model.fleet import keys
from mcproxy.model.fleet.records import CanaryReport
from mcproxy.policy.fleet.driving import abort
from mcproxy.policy.fleet.facts import SKEW, FleetFacts, facts_of
from mcproxy.policy.fleet.pushing import Canary, push
from mcproxy.policy.fleet.running import wanted
from tests.support.fleet_store import MemoryStore, node, pushed

ME = FleetFacts(node="n1", prefix="/a", connected=True)


class Scene:
    """A fleet with one document.

    Attributes:
        store: of it.
    """

    def __init__(self, *names: str) -> None:
        self.store = MemoryStore()
        assert self.store.commit(push(self.store.view, pushed("a", label="first"))[1])
        for name in names:
            self.say(name)

    def say(self, name: str, **fields: Any) -> None:
        """Let a node say that it runs the fleet's document, or something else."""
        doc = self.store.view.doc
        assert doc is not None
        known = {"revision": doc.header.revision, "hash": doc.header.hash}
        self.store.put(keys.node_key(name), node(name, **{**known, **fields}))

    def roll_out(self, **canary: Any) -> str:
        """Begin a rollout, and return the hash of its document."""
        over = self.store.view.version(keys.DOC)
        assert self.store.commit(push(self.store.view, pushed("b", over=over, node="n1"), Canary(**canary))[1], "n1")
        following = self.store.view.next
        assert following is not None
        return following.header.hash

    def facts(self, known: FleetFacts = ME, **ahead: float) -> FleetFacts:
        view = self.store.view
        return facts_of(view, wanted(view, "n1"), ahead, known)


def test_nodes_that_do_not_run_what_they_should() -> None:
    """By the document that is live there, whatever it is called; an error comes first."""
    scene = Scene("n1", "n2", "n3")
    scene.say("n2", hash="old", revision=0)
    scene.say("n3", error="a.pem: not there")
    found = scene.facts()
    assert found.nodes == {"n1": "current", "n2": "behind", "n3": "failing"}
    assert found.errors == {"n3": "a.pem: not there"}
    assert (found.node, found.prefix, found.connected) == ("n1", "/a", True)
    assert found.document == found.fleet
    assert found.document is not None
    assert found.document.label == "first"


def test_canaries_run_two_documents() -> None:
    """Before, while and after they try one; the others only the fleet's."""
    scene = Scene("n1", "n2")
    tried = scene.roll_out(named=("n2",), steps=("1", "100%"))
    scene.say("n2", hash=tried)
    found = scene.facts()
    assert found.nodes == {"n1": "current", "n2": "current"}
    assert found.rollout is not None
    assert (found.rollout.header.revision, found.rollout.step, found.rollout.steps) == (2, 1, 2)
    assert (found.rollout.nodes, found.rollout.passed, found.rollout.driver) == (("n2",), 0, "n1")
    scene.say("n1", hash=tried)
    assert scene.facts().nodes["n1"] == "behind"
    scene.say("n2", hash=tried, canary=CanaryReport(revision=2, progress="passed"))
    rollout = scene.facts().rollout
    assert rollout is not None
    assert rollout.passed == 1


def test_what_was_taken_back_is_told_until_the_next_push() -> None:
    """The last word on what was tried."""
    scene = Scene("n1")
    assert scene.facts().returned is None
    scene.roll_out()
    assert scene.facts().returned is None
    assert scene.store.commit(abort(scene.store.view, "ops-2", 5.0))
    returned = scene.facts().returned
    assert returned is not None
    assert (returned.header.revision, returned.why, returned.ended) == (2, "aborted by ops-2", 5.0)
    assert scene.store.commit(push(scene.store.view, pushed("c", over=scene.store.view.version(keys.DOC)))[1])
    assert scene.facts().returned is None


def test_clocks_that_are_off() -> None:
    """Either way, of nodes that are there."""
    scene = Scene("n1", "n2", "n3")
    assert scene.facts(n1=SKEW, n2=-SKEW - 1, n3=30.0, gone=99.0).ahead == {"n2": -SKEW - 1, "n3": 30.0}


def test_all_that_is_wrong() -> None:
    """With the fleet's document, and as the node itself has found."""
    known = msgspec.structs.replace(ME, problems=("", "two machines have one name"))
    (first, second) = facts_of(MemoryStore().view, wanted(MemoryStore().view, "n1"), {}, known).problems
    assert first.startswith("the fleet has no document yet")
    assert second == "two machines have one name"
    empty = facts_of(MemoryStore().view, wanted(MemoryStore().view, "n1"), {}, ME)
    assert (empty.role, empty.document, empty.fleet, empty.nodes) == ("waiting", None, None, {})
