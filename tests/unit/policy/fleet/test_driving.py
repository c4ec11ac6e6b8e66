"""Rollouts as conversations: what canaries say of themselves, and what the node that drives makes of it."""

from typing import Any

import msgspec
import pytest

from mcproxy.errors import PreconditionError
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.records import CanaryReport, Progress
from mcproxy.policy.fleet.driving import AWAY, PATIENCE, Decision, Memory, abort, drive
from mcproxy.policy.fleet.pushing import Canary, push
from mcproxy.policy.fleet.running import wanted
from tests.support.fleet_store import MemoryStore, node, pushed


class Scene:
    """A fleet of nodes n1, n2, ... that run revision 1, and revision 2 on its way, driven by n1.

    Attributes:
        store: of the fleet.
        now: by the clock of whoever drives.
    """

    def __init__(self, nodes: int = 3, **canary: Any) -> None:
        self.store = MemoryStore()
        self.now = 1000.0
        self._memories: dict[str, Memory] = {}
        for number in range(1, nodes + 1):
            self.say(f"n{number}")
        assert self.store.commit(push(self.store.view, pushed("a"))[1])
        over = self.store.view.version(keys.DOC)
        assert self.store.commit(push(self.store.view, pushed("b", node="n1", over=over), Canary(**canary))[1], "n1")

    def say(self, name: str, progress: Progress | None = None, why: str = "", revision: int = 2) -> None:
        """Let a node write about itself."""
        report = None if progress is None else CanaryReport(revision=revision, progress=progress, why=why)
        self.store.put(keys.node_key(name), node(name, canary=report))

    def drop(self, name: str) -> None:
        """Let the lease of a node end."""
        self.store.contents.items.pop(keys.node_key(name))  # type: ignore[attr-defined]  # a dict in this store

    def drive(self, name: str = "n1") -> Decision:
        """Let a node decide, and make its commit."""
        decision = drive(self.store.view, name, self.now, self._memories.get(name, Memory()), wall=77.0)
        self._memories[name] = decision.memory
        if decision.commit is not None:
            assert self.store.commit(decision.commit, name)
        return decision

    def running(self) -> dict[str, int]:
        """Return which revision each node is to run."""
        view = self.store.view
        documents = {name: wanted(view, name).document for name in view.nodes}
        return {name: document.header.revision for name, document in documents.items() if document is not None}

    def fate(self) -> tuple[str, str]:
        """Return what became of revision 2, and why."""
        past = self.store.view.past[0]
        assert past.header.revision == 2
        return past.fate, past.why

    def over(self) -> bool:
        """Tell whether nothing is left of the rollout."""
        return not {keys.NEXT, keys.ROLLOUT, keys.LOCK} & self.store.contents.items.keys()


def test_one_canary_that_passes() -> None:
    """One node runs it first; when it has been watched for long enough all do."""
    scene = Scene()
    assert scene.running() == {"n1": 2, "n2": 1, "n3": 1}
    assert scene.drive().move == "wait"
    scene.say("n1", "watching")
    assert scene.drive().move == "wait"
    scene.say("n1", "passed")
    assert scene.drive("n2") == Decision()
    assert scene.drive().move == "live"
    assert scene.over()
    assert scene.running() == {"n1": 2, "n2": 2, "n3": 2}
    assert scene.fate() == ("live", "")


def test_a_canary_that_fails() -> None:
    """Nobody but the canary has ever run it, and the history says why it was returned."""
    scene = Scene()
    scene.say("n1", "failed", "12 of 50 requests failed")
    decision = scene.drive()
    assert (decision.move, decision.why) == ("returned", "n1: 12 of 50 requests failed")
    assert scene.over()
    assert scene.running() == {"n1": 1, "n2": 1, "n3": 1}
    assert scene.fate() == ("returned", "n1: 12 of 50 requests failed")


def test_steps() -> None:
    """Each step adds nodes, which are watched in turn; steps that add none are passed over."""
    scene = Scene(10, steps=("1", "10%", "25%", "100%"))
    seen = []
    for _ in range(3):
        running = [name for name, revision in scene.running().items() if revision == 2]
        seen.append(len(running))
        assert scene.drive().move == "wait"
        for name in running:
            scene.say(name, "passed")
        scene.drive()
    assert seen == [1, 3, 10]
    assert set(scene.running().values()) == {2}
    assert scene.over()


def test_a_failure_in_a_later_step() -> None:
    """A canary that fails late returns all, those that had passed too."""
    scene = Scene(4, steps=("1", "50%"))
    scene.say("n1", "passed")
    assert scene.drive().move == "step"
    assert scene.running() == {"n1": 2, "n2": 2, "n3": 1, "n4": 1}
    scene.say("n2", "failed", "wrong")
    assert scene.drive().move == "returned"
    assert set(scene.running().values()) == {1}


def test_a_driver_that_is_gone_is_replaced() -> None:
    """When the lease of the node that took the push ends, any other one goes on, and only one of them."""
    scene = Scene(named=("n2",))
    scene.say("n2", "passed")
    scene.store.end_lease("n1")
    view = scene.store.view
    first, second = drive(view, "n2", 5.0), drive(view, "n3", 5.0)
    assert (first.move, second.move) == ("lock", "lock")
    assert first.commit is not None
    assert second.commit is not None
    assert scene.store.commit(first.commit, "n2")
    assert not scene.store.commit(second.commit, "n3")
    assert scene.drive("n3") == Decision()
    assert scene.drive("n2").move == "live"


def test_a_driver_that_has_lost_the_lock_can_do_nothing() -> None:
    """A node that was frozen while another one took over changes nothing by what it decided before."""
    scene = Scene()
    scene.say("n1", "passed")
    late = drive(scene.store.view, "n1", scene.now)
    scene.store.end_lease("n1")
    scene.drive("n2")
    assert late.move == "live"
    assert late.commit is not None
    assert not scene.store.commit(late.commit)


def test_a_canary_that_is_away_returns_it() -> None:
    """Its control may be starting again for some seconds; after that nobody judges there any more."""
    scene = Scene(named=("n2",))
    scene.say("n2", "watching")
    scene.drop("n2")
    found = scene.drive()
    assert (found.move, found.again) == ("wait", AWAY)
    scene.now += AWAY - 1
    scene.say("n2", "watching")
    assert scene.drive().move == "wait"
    scene.drop("n2")
    assert scene.drive().again == AWAY
    scene.now += AWAY
    assert (scene.drive().move, scene.fate()) == ("returned", ("returned", "n2 is away"))


def test_a_canary_that_never_judges_returns_it() -> None:
    """One that is there and says nothing holds the rollout up for some time and not for ever."""
    scene = Scene(watch=30.0)
    found = scene.drive()
    assert found.again == 30.0 + PATIENCE
    scene.now += 30.0 + PATIENCE - 1
    assert scene.drive().again == 1.0
    scene.now += 1
    assert scene.drive().move == "returned"
    assert scene.fate()[1] == "n1 has not judged it in 150 s"


def test_who_holds_a_rollout_up_is_told() -> None:
    """Of several canaries the one that has not judged, not one that has."""
    scene = Scene(named=("n1", "n2"), watch=30.0)
    scene.say("n1", "passed")
    scene.say("n2", "watching")
    scene.drive()
    scene.now += 30.0 + PATIENCE
    found = scene.drive()
    assert (found.move, found.why, found.revision) == ("returned", "n2 has not judged it in 150 s", 2)


def test_a_new_driver_waits_anew() -> None:
    """What the one before had measured is gone with it, and its clock means nothing here."""
    scene = Scene(watch=30.0, named=("n3",))
    scene.drive()
    scene.now += 149
    scene.store.end_lease("n1")
    scene.drive("n2")
    scene.now = 3.0
    assert scene.drive("n2").again == 150.0


def test_reports_about_another_document_mean_nothing() -> None:
    """A canary that has not begun yet still says what it had found before."""
    scene = Scene()
    for progress in ("passed", "failed"):
        scene.say("n1", progress, revision=1)
        assert scene.drive().move == "wait"


def test_a_document_that_was_changed_meanwhile_returns_it() -> None:
    """What was put there around all rules wins, and canaries run it with the others."""
    scene = Scene()
    scene.store.put(keys.DOC, scene.store.contents.items[keys.DOC].value)
    scene.say("n1", "passed")
    assert scene.drive().move == "returned"
    assert set(scene.running().values()) == {1}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (keys.ROLLOUT, b"x"),
        (keys.NEXT, b"x"),
        (keys.ROLLOUT, b'{"revision": 7, "doc": 1}'),
        (keys.ROLLOUT, b'{"revision": 2, "doc": DOC}'),
        (keys.ROLLOUT, b'{"revision": 2, "doc": DOC, "nodes": ["n1"], "steps": ["1", "some"]}'),
    ],
)
def test_what_cannot_be_read_returns_it(key: str, value: bytes) -> None:
    """A rollout whose keys are damaged is over."""
    scene = Scene()
    scene.say("n1", "passed")
    scene.store.put(key, value.replace(b"DOC", str(scene.store.view.version(keys.DOC)).encode()))
    assert scene.drive().move == "returned"
    assert scene.over()


def test_abort() -> None:
    """Whoever aborts need not drive: all is as before, the history says who did it, and the driver finds nothing to do."""
    scene = Scene()
    assert scene.store.commit(abort(scene.store.view, "ops-2", 5.0))
    assert scene.over()
    assert scene.fate() == ("returned", "aborted by ops-2")
    assert scene.drive() == Decision()
    with pytest.raises(PreconditionError, match="no rollout"):
        abort(scene.store.view, "", 5.0)


def test_an_abort_that_comes_too_late() -> None:
    """Of an abort and the last step of a rollout one wins."""
    scene = Scene()
    late = abort(scene.store.view, "ops-2", 5.0)
    scene.say("n1", "passed")
    assert scene.drive().move == "live"
    assert not scene.store.commit(late)
    assert set(scene.running().values()) == {2}


def test_times_and_figures_are_kept_in_the_history() -> None:
    """When it was settled is by the clock of who did."""
    scene = Scene()
    scene.say("n1", "passed")
    scene.drive()
    assert scene.store.view.past[0].ended == 77.0
    assert msgspec.structs.asdict(scene.store.view.past[1])["fate"] == "live"
