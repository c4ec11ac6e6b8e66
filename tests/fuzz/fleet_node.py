"""A node of a simulated fleet: it decides by `mcproxy.policy.fleet` alone, and all that it does takes time or fails."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from mcproxy.errors import RequestError
from mcproxy.model.edits.edit import make_edit
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit
from mcproxy.model.fleet.records import CanaryReport, FleetEdit, NodeRecord, Numbers
from mcproxy.model.fleet.view import FleetView
from mcproxy.model.state.state import State
from mcproxy.policy.fleet import driving, editing, pushing, running
from mcproxy.policy.fleet.driving import Memory
from mcproxy.policy.fleet.running import Wanted
from tests.fuzz.fleet_documents import invented, route, state_of, text_of

if TYPE_CHECKING:
    from tests.fuzz.fleet_simulation import World

Answer: TypeAlias = Literal["made", "conflict", "unknown"]

POLL = 3.0
"""Seconds after which a node notices that its watch tells it nothing any more."""
LEASE = 10.0
TRIES = 5


class Node:
    """One node.

    Attributes:
        name: its name.
        skew: seconds by which its clock is ahead.
        up: its control is running.
        cut: it can't reach the store.
        wanted: what it runs; kept on its disk.
        state: what is live there.
        applied: revision of the store that is live there.
    """

    def __init__(self, world: "World", name: str, skew: float) -> None:
        self.world = world
        self.name = name
        self.skew = skew
        self.up = True
        self.cut = False
        self.wanted: Wanted | None = None
        self.state = State()
        self.applied = 0
        self.life = 0
        self._view: FleetView | None = None
        self._failed = 0
        self._report: CanaryReport | None = None
        self._written: NodeRecord | None = None
        self._memory = Memory()
        self._busy = False
        self._writing = False
        self._renewed = 0.0
        self._leases = 0

    @property
    def lease(self) -> str:
        """The lease that it has now."""
        return f"{self.name} {self._leases}"

    @property
    def clock(self) -> float:
        """Seconds since the epoch, by its clock."""
        return self.world.now + self.skew

    @property
    def reaches(self) -> bool:
        return self.up and not self.cut and not self.world.quorum_lost

    def start(self) -> None:
        """Begin a life: with what is on the disk, and nothing else."""
        self.up, self.life = True, self.life + 1
        self._failed, self._report, self._written = 0, None, None
        self._busy = self._writing = False
        self._leases += 1
        self._memory = Memory()
        self._renewed = self.world.now
        self._poll(self.life)

    def stop(self) -> None:
        self.up = False

    def tell(self) -> None:
        """Let the watch tell it that something has changed; some such word is lost."""
        if self.reaches and self.world.chance.random() < 0.9:
            self._later(self.world.chance.uniform(0.001, 0.2), self.look)

    def _poll(self, life: int) -> None:
        if life != self.life or not self.up:
            return
        self.look()
        self.world.after(POLL, lambda: self._poll(life))

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something later in this life."""
        life = self.life
        self.world.after(seconds, lambda: work() if self.up and life == self.life else None)

    def look(self) -> None:
        """Read the store, run what it wants, write about itself, and do what is to be done for the fleet."""
        if self.reaches:
            if self.world.now - self._renewed > LEASE:
                self.world.store.end_lease(self.lease, self.world.now)
                self._leases += 1
                self._written = None
            self._renewed = self.world.now
            self._view = self.world.store.view
        if self._view is None:
            if self.wanted is not None:
                self._run(self.wanted, 0)
            return
        view = self._view
        self._run(running.wanted(view, self.name, self.wanted, self._failed), view.contents.revision)
        if self.reaches:
            self._write()
            self._settle(view)
            self._drive(view)

    def _run(self, wanted: Wanted, revision: int) -> None:
        assert wanted.document is not None or self.wanted is None or self.wanted.document is None, (
            "it serves nothing any more"
        )
        self.wanted, self.applied = wanted, revision
        if wanted.document is None:
            return
        self.world.ran(self, wanted)
        self.state = self.world.effective(wanted, self.clock)
        number = wanted.document.header.revision
        if wanted.role != "canary":
            self._report = self._report if self._failed else None
        elif self._report is None or self._report.revision != number:
            self._report = CanaryReport(revision=number, progress="watching")
            self._judge_later(number)

    def _judge_later(self, number: int) -> None:
        view = self._view
        assert view is not None
        assert view.rollout is not None
        document = view.next
        assert document is not None
        bad = {"*", self.name} & set(text_of(document).bad)
        seconds = view.rollout.watch * (self.world.chance.random() if bad else 1)
        self._later(seconds, lambda: self._judge(number, good=not bad))

    def _judge(self, number: int, *, good: bool) -> None:
        if self._report is None or self._report.revision != number:
            return
        if not good:
            self._failed = number
        self._report = CanaryReport(revision=number, progress="passed" if good else "failed", why="" if good else "bad")
        self.look()

    def _write(self) -> None:
        if not self.reaches:
            return
        document = self.wanted.document if self.wanted is not None else None
        record = NodeRecord(
            node=self.name, revision=0 if document is None else document.header.revision, canary=self._report
        )
        key = keys.node_key(self.name)
        if self._writing or (record == self._written and key in self.world.store.contents.items):
            return
        self._writing = True

        def done(answer: Answer) -> None:
            self._writing = False
            self._written = record if answer == "made" else None
            self._leases += answer == "conflict"  # it has ended
            self._write()

        self._send(Commit(puts={key: msgspec.json.encode(record)}, leased=frozenset({key})), "node", done)

    def _settle(self, view: FleetView) -> None:
        wanted = self.wanted
        if wanted is not None and wanted.settles and wanted.document is not None and view.edits:
            commit = self.world.settled(view, wanted.document, self.clock)
            if commit is not None and not self._busy:
                self._alone(commit, "settle")

    def _drive(self, view: FleetView) -> None:
        decision = driving.drive(view, self.name, self.world.now + 7 * self.skew, self._memory, self.clock)
        self._memory = decision.memory
        if decision.commit is not None and not self._busy:
            self._alone(decision.commit, decision.move)

    def _alone(self, commit: Commit, what: str) -> None:
        """Send a commit, one at a time: what is decided again meanwhile is the same."""
        self._busy = True

        def done(answer: Answer) -> None:
            self._busy = False
            self.look()

        self._send(commit, what, done)

    def _send(self, commit: Commit, what: str, done: Callable[[Answer], None] = lambda answer: None) -> None:
        """Send a commit: it is made later or never, and its answer comes later still."""
        chance, lease, life = self.world.chance, self.lease, self.life

        def answered(work: Callable[[], None]) -> None:
            if self.up and life == self.life:  # else nobody waits for it any more
                self._later(chance.uniform(0.001, 0.05), work)

        def arrive() -> None:
            answer: Answer = "unknown"
            if not self.cut and not self.world.quorum_lost and chance.random() > 0.02:
                answer = "made" if self.world.commit(commit, what, lease) else "conflict"
                if chance.random() < 0.02:
                    answer = "unknown"
            answered(lambda: done(answer))

        late = chance.random() < (0.03 if what == "node" else 0.2)
        self.world.after(chance.uniform(1, 25) if late else chance.uniform(0.001, 0.05), arrive)

    # What people ask of it

    def push(self, bad: tuple[str, ...], canary: pushing.Canary | None, delay: float) -> None:
        """Push a document that was made by what somebody has looked at some time before."""
        seen = self.world.store.view
        digest, packed = invented(self.world.chance, seen.doc, bad)
        over = seen.version(keys.DOC)

        def now() -> None:
            known = self.wanted.numbers if self.wanted is not None else Numbers()
            pushed = pushing.Pushed(
                hash=digest, packed=packed, author=self.name, node=self.name, now=self.clock, over=over, after=known
            )
            try:
                header, commit = pushing.push(self.world.store.view, pushed, canary)
            except RequestError:
                return
            self._send(commit, "push", lambda answer: self.world.pushed(header) if answer == "made" else None)

        self._later(delay, now)

    def edit(self, name: str, port: int | None, expires: float | None, tries: int = TRIES) -> None:
        """Change a route, or revert what has changed it, and answer when that is live here."""
        view, wanted = self._view, self.wanted
        if (
            not self.reaches
            or view is None
            or wanted is None
            or wanted.document is None
            or view.doc is None
            or not tries
        ):
            return
        doc, key = state_of(view.doc), (":1", name)
        present = view.edit(keys.edit_key("route", key))
        try:
            if view.next is not None:
                editing.refuse_in_rollout(view, doc, state_of(view.next), [("route", key)])
            if port is None:
                if present is None:
                    return
                added, commit = editing.change(view, self.name, [], [present.edit.id], wanted.numbers)
            else:
                until = None if expires is None else self.clock + expires
                value = route(name, port)
                made = make_edit(doc, self.state, "route", key, value, created=self.clock, expires=until)
                added, commit = editing.change(view, self.name, [made], [], wanted.numbers)
        except (RequestError, ValueError):
            return

        def done(answer: Answer) -> None:
            if answer == "made":
                self._when_live(added, self.world.store.contents.revision)
            elif answer == "conflict":
                self.look()
                self.edit(name, port, expires, tries - 1)

        self._send(commit, "revert" if port is None else "edit", done)

    def abort(self) -> None:
        """End the rollout that is going on."""
        try:
            commit = driving.abort(self.world.store.view, self.name, self.clock)
        except RequestError:
            return
        self._send(commit, "abort")

    def _when_live(self, added: tuple[FleetEdit, ...], revision: int) -> None:
        self.look()
        if self.applied >= revision:
            self.world.acknowledged(added)
        else:
            self._later(0.5, lambda: self._when_live(added, revision))
