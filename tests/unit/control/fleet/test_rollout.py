"""The driver of a rollout: one node does what is decided, another takes over, and nothing is lost while the store is away."""

import asyncio
from collections.abc import Callable
from typing import cast

from mcproxy.control.fleet import rollout
from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.fleet.rollout import Driver
from mcproxy.errors import UnavailableError
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Committed, Conflict
from mcproxy.model.fleet.records import CanaryReport, Progress
from mcproxy.model.fleet.view import FleetView
from mcproxy.policy.fleet.driving import AWAY
from mcproxy.policy.fleet.pushing import Canary, push
from tests.support.fleet_store import MemoryStore, node, pushed


class Followed:
    """A fleet as one of its nodes knows it.

    Attributes:
        lease, away, tell: as of `Fleet`.
        told: lines for people.
        deaf: the store takes nothing.
    """

    def __init__(self, store: MemoryStore, name: str) -> None:
        self.store = store
        self.name = name
        self.lease = 7
        self.away = ""
        self.told: list[str] = []
        self.tell: Callable[[str], None] = self.told.append
        self.deaf = False
        self.late: FleetView | None = None

    @property
    def view(self) -> FleetView:
        return self.late or self.store.view

    async def commit(self, commit: Commit) -> Committed | Conflict:
        if self.deaf:
            raise UnavailableError("the fleet's store is away since 14:02")
        made = self.store.commit(commit, self.name)
        self.late = None
        return Committed(self.store.contents.revision) if made else Conflict(self.store.contents)


class Scene:
    """Nodes n1 and n2, a rollout of revision 2 with n2 as its canary, taken by n1.

    Attributes:
        now: by the clock of drivers.
    """

    def __init__(self) -> None:
        rollout._JITTER = 0.0  # nobody else is there
        self.store = MemoryStore()
        self.now = 100.0
        for name in ("n1", "n2"):
            self.say(name)
        assert self.store.commit(push(self.store.view, pushed("a"))[1])
        over = self.store.view.version(keys.DOC)
        begun = push(self.store.view, pushed("b", node="n1", over=over), Canary(named=("n2",)))[1]
        assert self.store.commit(begun, "n1")
        self.fleets = {name: Followed(self.store, name) for name in ("n1", "n2")}
        self.drivers = {name: self.driver(name) for name in self.fleets}

    def driver(self, name: str) -> Driver:
        return Driver(cast("Fleet", self.fleets[name]), lambda: self.now, lambda: 5.0)

    def say(self, name: str, progress: Progress | None = None) -> None:
        report = None if progress is None else CanaryReport(revision=2, progress=progress, why="why not")
        self.store.put(keys.node_key(name), node(name, canary=report))

    def look(self, name: str) -> float:
        return asyncio.run(self.drivers[name].look())

    def going_on(self) -> bool:
        return self.store.view.rollout is not None

    def told(self) -> list[str]:
        return [*self.fleets["n1"].told, *self.fleets["n2"].told]


def test_the_node_that_has_the_lock_decides() -> None:
    """The other one has nothing to do; what is done is told once."""
    scene = Scene()
    scene.say("n2", "passed")
    scene.look("n2")
    assert scene.going_on()
    scene.look("n1")
    assert not scene.going_on()
    assert scene.told() == ["rollout of revision 2: all canaries have passed, all nodes run it now"]


def test_a_canary_that_fails_is_told() -> None:
    """With the canary's own words."""
    scene = Scene()
    scene.say("n2", "failed")
    scene.look("n1")
    assert scene.told() == ["revision 2 was returned: n2: why not"]


def test_another_node_takes_over_and_goes_on_at_once() -> None:
    """It takes the lock, and decides by what canaries have said meanwhile."""
    scene = Scene()
    scene.say("n2", "passed")
    scene.store.end_lease("n1")
    scene.look("n2")
    assert not scene.going_on()
    assert scene.store.view.past[0].fate == "live"


def test_without_a_lease_nobody_takes_the_lock() -> None:
    """It would never end."""
    scene = Scene()
    scene.store.end_lease("n1")
    scene.fleets["n2"].lease = 0
    scene.look("n2")
    assert scene.store.view.driver == ""


def test_while_the_store_is_away_nothing_is_measured() -> None:
    """A canary that could not be heard of is not away: its time begins when the store is back."""
    scene = Scene()
    scene.store.contents.items.pop(keys.node_key("n2"))  # type: ignore[attr-defined]  # a dict in this store
    assert scene.look("n1") == AWAY
    scene.fleets["n1"].away = "the fleet's store is away since 14:02"
    scene.now += 60
    scene.look("n1")
    scene.fleets["n1"].away = ""
    assert scene.look("n1") == AWAY
    scene.now += AWAY
    scene.look("n1")
    assert scene.told() == ["revision 2 was returned: n2 is away"]


def test_what_the_store_does_not_take_is_done_later() -> None:
    """The decision is made again, by what is there then."""
    scene = Scene()
    scene.say("n2", "passed")
    scene.fleets["n1"].deaf = True
    assert scene.look("n1") < 5.0
    scene.fleets["n1"].deaf = False
    scene.look("n1")
    assert not scene.going_on()
    assert len(scene.told()) == 1


def test_what_was_decided_by_old_contents_is_decided_again() -> None:
    """An abort came first: the driver finds nothing to do, and tells nothing."""
    scene = Scene()
    scene.say("n2", "passed")
    scene.fleets["n1"].late = scene.store.view
    assert scene.store.commit(Commit(deletes=(keys.NEXT, keys.ROLLOUT, keys.LOCK)))
    scene.look("n1")
    assert scene.told() == []
    assert scene.store.view.doc is not None
    assert scene.store.view.doc.header.revision == 1


def test_it_waits_for_words() -> None:
    """A driver that is told of something decides at once, and else now and then."""
    scene = Scene()

    async def main() -> None:
        over = asyncio.Event()
        scene.fleets["n1"].tell = lambda _: over.set()
        driver = scene.driver("n1")
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0)
        scene.say("n2", "passed")
        driver.poke()
        await asyncio.wait_for(over.wait(), 30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert not scene.going_on()
