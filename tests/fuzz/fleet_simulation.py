"""A fleet of a hundred nodes, simulated: their decisions are real, the store is in memory, time is virtual.

One number decides everything: who pushes, edits, reverts and aborts when and by what it has seen, on which nodes a document fails, which
notices, commits and answers are lost or late, who restarts, is cut off or is away for long, whose clock is wrong by up to 30 s, and what
becomes of the store. `simulate` checks each change of the store and what each node runs, then lets trouble end, and checks that all nodes
have come to rest in one state, and that every edit that was acknowledged is there, or is over for a reason.
"""

import heapq
import itertools
import random
from collections.abc import Callable

from mcproxy.model.edits.overlay import merge
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit
from mcproxy.model.fleet.document import Document, Header
from mcproxy.model.fleet.records import FleetEdit
from mcproxy.model.fleet.view import FleetView
from mcproxy.model.state.state import State
from mcproxy.policy.fleet import editing, running
from mcproxy.policy.fleet.driving import PATIENCE
from mcproxy.policy.fleet.pushing import Canary
from mcproxy.policy.fleet.running import Wanted
from tests.fuzz.fleet_documents import NAMES, state_of
from tests.fuzz.fleet_node import LEASE, Node
from tests.fuzz.fleet_store import SKEW, AuditedStore

_TROUBLE = 300.0  # seconds
_REST = 700.0  # seconds after the last trouble, by which everything is at rest
_STEPS = ("1", "25%", "100%")
_WATCH = 20.0
_LONGEST = len(_STEPS) * (_WATCH + PATIENCE + 60.0)
"""Seconds that a rollout may take, with takeovers, where the store is there."""


class World:
    """All that there is.

    Attributes:
        chance: decides.
        now: the time (seconds).
        store: of the fleet.
        quorum_lost: the store answers nobody.
        nodes: by name.
    """

    def __init__(self, seed: int, nodes: int) -> None:
        self.chance = random.Random(f"fleet {seed}")
        self.now = 10_000.0
        self.store = AuditedStore()
        self.quorum_lost = False
        self.nodes = {
            name: Node(self, name, self.chance.uniform(-SKEW, SKEW) / 2) for name in (f"n{n:03}" for n in range(nodes))
        }
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._acknowledged: dict[int, FleetEdit] = {}
        self._pushed: list[Header] = []
        self._wiped = False
        self._states: dict[tuple[object, ...], State] = {}
        self._settled: dict[tuple[object, ...], Commit | None] = {}
        self._outage = 0.0  # seconds in which the store was away during the present rollout

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), work))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, work = heapq.heappop(self._events)
            work()
        self.now = until

    def commit(self, commit: Commit, what: str, lease: str) -> bool:
        """Make a commit, and tell of it."""
        if not self.store.commit(commit, what, self.now, lease):
            return False
        view = self.store.view
        told = {view.driver} if what == "node" else self.nodes
        for name in told:
            if name in self.nodes:
                self.nodes[name].tell()
        return True

    # What nodes find, worked out once for those that look at the same

    def effective(self, wanted: Wanted, clock: float) -> State:
        """Return what is live where something is wanted."""
        assert wanted.document is not None
        edits = running.current(wanted.edits, clock)
        key = (wanted.document.header.hash, *((one.edit.id, one.version) for one in edits))
        if key not in self._states:
            found = merge(state_of(wanted.document), [one.edit for one in edits], clock)
            self._states[key] = found.state
        return self._states[key]

    def settled(self, view: FleetView, document: Document, clock: float) -> Commit | None:
        """Return what is to be settled by a document."""
        over = [
            one.edit.id
            for one in view.edits
            if one.edit.expires is not None and one.edit.expires + editing.EXPIRED_FOR <= clock
        ]
        key = (
            view.version(keys.DOC),
            document.header.hash,
            *((one.edit.id, one.version) for one in view.edits),
            None,
            *over,
        )
        if key not in self._settled:
            self._settled[key] = editing.settle(view, state_of(document), clock).commit
        return self._settled[key]

    # What must hold

    def ran(self, node: Node, wanted: Wanted) -> None:
        """Check that a node may run what it runs: what was live for all, or what it is a canary of."""
        assert wanted.document is not None
        revision = wanted.document.header.revision
        assert revision in self.store.live or node.name in self.store.canaries.get(revision, set()), (
            f"{node.name} runs revision {revision}, and is none of its canaries"
        )

    def pushed(self, header: Header) -> None:
        """Note a push that was acknowledged."""
        self._pushed.append(header)

    def acknowledged(self, edits: tuple[FleetEdit, ...]) -> None:
        """Note edits whose requests were answered."""
        self._acknowledged |= {one.edit.id: one for one in edits}

    # Trouble

    def trouble(self) -> None:
        """Plan all that happens."""
        chance = self.chance
        for node in self.nodes.values():
            self.after(chance.uniform(0, 2), node.start)
        self.after(5, self._repair)

        def moments(most: int) -> list[float]:
            return [chance.uniform(10, _TROUBLE) for _ in range(chance.randrange(most // 4, most + 1))]

        for moment in moments(40):
            self.after(moment, lambda: self._push(self._anybody()))
        for moment in moments(150):
            self.after(moment, lambda: self._edit(self._anybody()))
        for moment in moments(12):
            self.after(moment, lambda: self._anybody().abort())
        for moment in moments(40):
            self.after(moment, lambda: self._restart(self._anybody()))
        for moment in moments(20):
            self.after(moment, lambda: self._cut(self._anybody()))
        for moment in moments(2):
            self.after(moment, self._lose_quorum)
        if chance.random() < 0.2:
            self.after(chance.uniform(50, _TROUBLE - 60), self._wipe)
        self.after(_TROUBLE + 30, self._repair)

    def _anybody(self) -> Node:
        return self.nodes[self.chance.choice(list(self.nodes))]

    def _push(self, node: Node) -> None:
        chance = self.chance
        bad = chance.choice(((), (), ("*",), tuple(chance.sample(list(self.nodes), max(1, len(self.nodes) // 10)))))
        named = tuple(chance.sample(list(self.nodes), 2)) if chance.random() < 0.3 else ()
        steps = chance.choice((("1",), ("2", "50%"), _STEPS))
        canary = Canary(named=named, steps=steps, watch=chance.uniform(1, _WATCH)) if chance.random() < 0.6 else None
        delay = chance.choice((0.0, chance.uniform(0, 10)))
        node.push(bad, canary, delay)
        if chance.random() < 0.4:  # somebody else at the same moment
            self._anybody().push((), None, delay)

    def _edit(self, node: Node) -> None:
        chance = self.chance
        name = chance.choice(NAMES)
        port = chance.randrange(10, 99) if chance.random() < 0.75 else None
        expires = chance.uniform(1, 120) if chance.random() < 0.4 else None
        node.edit(name, port, expires)
        if chance.random() < 0.4:
            self._anybody().edit(chance.choice((name, chance.choice(NAMES))), 99, None)

    def _restart(self, node: Node) -> None:
        if not node.up:
            return
        node.stop()
        lease = node.lease
        self.after(LEASE, lambda: self.store.end_lease(lease, self.now))
        away = self.chance.choice((0.5, 3.0, 30.0, _TROUBLE))
        self.after(min(away, max(_TROUBLE + 10_000 - self.now, 1.0)), node.start)

    def _cut(self, node: Node) -> None:
        node.cut = True
        lease = node.lease
        seconds = self.chance.uniform(1, 60)

        def end() -> None:
            node.cut = False

        def expire() -> None:
            if node.cut:
                self.store.end_lease(lease, self.now)

        self.after(LEASE, expire)
        self.after(seconds, end)

    def _lose_quorum(self) -> None:
        self.quorum_lost = True

        def end() -> None:
            self.quorum_lost = False

        seconds = self.chance.uniform(1, 30)
        self._outage += seconds
        self.after(seconds, end)

    def _repair(self) -> None:
        """Push until there is a document."""
        if self.store.view.doc is None:
            self._anybody().push((), None, 0)
            self.after(5, self._repair)

    def _wipe(self) -> None:
        self._wiped = True
        self.store.wipe("", self.now)

    # The end

    def check(self) -> None:
        """Check that everything is at rest, in one state."""
        view = self.store.view
        assert view.doc is not None
        assert view.rollout is None, "the rollout has no end"
        assert not {keys.NEXT, keys.ROLLOUT, keys.LOCK} & self.store.contents.items.keys()
        limit = _LONGEST + self._outage
        assert self.store.longest <= limit, f"a rollout took {self.store.longest:.0f} s"
        assert set(view.nodes) == set(self.nodes), "somebody is missing"
        doc = state_of(view.doc)
        assert editing.settle(view, doc, self.now - SKEW).commit is None, "something is left to be settled"
        due = [one for one in view.edits if one.edit.expires is not None]
        assert due == [], "something has not expired"
        want = self.effective(Wanted("member", view.doc, view.edits), self.now)
        for node in self.nodes.values():
            assert node.wanted is not None
            assert (node.wanted.role, node.wanted.document) == ("member", view.doc), node.name
            assert node.state == want, f"{node.name} runs another state"
            assert view.nodes[node.name].revision == view.doc.header.revision
        self._check_acknowledged()

    def _check_acknowledged(self) -> None:
        there = {one.edit.id for one in self.store.view.edits}
        for number in self._acknowledged:
            assert number in there or number in self.store.ended, f"edit {number} was acknowledged, and never was"
        for header in self._pushed if not self._wiped else ():
            fate = self.store.fates.get(header.revision)
            assert fate in {"live", "returned"}, f"revision {header.revision} was acknowledged, and is {fate}"
            assert fate == "returned" or self.store.live[header.revision] == header.hash


def simulate(seed: int, nodes: int = 100) -> World:
    """Play one run, check it, and return what came of it."""
    world = World(seed, nodes)
    world.trouble()
    world.run(world.now + _TROUBLE + _REST)
    world.check()
    return world
