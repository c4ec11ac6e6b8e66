"""The store of a simulated fleet, which checks each change as it is made: nothing may be lost, given twice, or done by the wrong contents."""

from mcproxy.model.edits.edit import base_hash, parent_hash
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Contents
from mcproxy.model.fleet.records import FleetEdit
from mcproxy.model.fleet.view import FleetView, view_of
from mcproxy.model.state.kinds import table_of
from mcproxy.model.state.state import State
from mcproxy.policy.fleet.editing import EXPIRED_FOR
from tests.fuzz.fleet_documents import state_of
from tests.support.fleet_store import MemoryStore

SKEW = 30.0
"""Seconds by which clocks of nodes may be wrong."""


class AuditedStore:
    """A store, and what has ever been in it.

    Attributes:
        live: revisions that were the fleet's document.
        canaries: the nodes that were canaries of each revision.
        fates: what became of revisions.
        ended: ids of edits that are over, with why.
        rolling: since when the present rollout goes on; None while there is none.
        longest: seconds that a rollout took at most, while the store was there.
    """

    def __init__(self) -> None:
        self._store = MemoryStore()
        self.live: dict[int, str] = {}
        self.canaries: dict[int, set[str]] = {}
        self.fates: dict[int, str] = {}
        self.ended: dict[int, str] = {}
        self.rolling: float | None = None
        self.longest = 0.0
        self._ids: dict[int, str] = {}
        self._last = 0
        self._over: set[str] = set()
        self._passed: set[tuple[str, int]] = set()
        self._view: FleetView | None = None

    @property
    def contents(self) -> Contents:
        return self._store.contents

    @property
    def view(self) -> FleetView:
        """What the contents mean, read once for all."""
        if self._view is None or self._view.contents is not self.contents:
            self._view = view_of(self.contents)
        return self._view

    def commit(self, commit: Commit, what: str, now: float, lease: str = "") -> bool:
        """Make a commit; ``what`` tells by whose decision: edit, revert, settle, push, live, returned, abort, step, lock, node."""
        before = self.view
        if (commit.leased and lease in self._over) or not self._store.commit(commit, lease):
            return False
        if what == "node":
            reports = ((name, node.canary) for name, node in self.view.nodes.items())
            self._passed |= {
                (name, one.revision) for name, one in reports if one is not None and one.progress == "passed"
            }
        else:
            self._check(before, self.view, what, now)
        return True

    def end_lease(self, lease: str, now: float) -> None:
        """End a lease, as when it was not renewed."""
        self._over.add(lease)
        before = self.view
        self._store.end_lease(lease)
        self._check(before, self.view, "lease", now)

    def wipe(self, under: str, now: float) -> None:
        """Remove all, or all edits, as an operator might."""
        before = self.view
        self._store.commit(Commit(deletes=tuple(key for key in self.contents.items if key.startswith(under))))
        self._check(before, self.view, "wipe", now)
        if not under:  # numbers go on from what the nodes know
            self._last = 0
            self.fates.clear()
            self._ids.clear()

    def _check(self, before: FleetView, after: FleetView, what: str, now: float) -> None:
        assert not after.problems, after.problems
        self._check_documents(before, after, what, now)
        doc = state_of(after.doc) if after.doc is not None else State()
        left = {one.edit.id: one for one in after.edits}
        for one in before.edits:
            if one.edit.id not in left:
                self.ended[one.edit.id] = what
                if what != "wipe":
                    self._check_end(one, what, doc, now, {each.key for each in after.edits})
        known = {one.edit.id for one in before.edits}
        for one in after.edits:
            if one.edit.id not in known:
                assert what == "edit", what
                assert one.edit.id not in self._ids, f"id {one.edit.id} is given twice"
                self._ids[one.edit.id] = one.key
                declared = base_hash(table_of(doc, one.edit.kind).get(one.edit.key))
                assert one.edit.base == declared, "an edit does not stand on the document that is live"

    def _check_documents(self, before: FleetView, after: FleetView, what: str, now: float) -> None:
        revision = after.doc.header.revision if after.doc is not None else 0
        if before.version(keys.DOC) != after.version(keys.DOC) and after.doc is not None:
            assert what in {"push", "live"}, what
            assert what == "live" or revision > self._last, f"revision {revision} after {self._last}"
            self.live[revision] = after.doc.header.hash
        if what == "live":
            rollout = before.rollout
            assert rollout is not None, "there is no rollout whose document could be made live"
            assert revision == rollout.revision
            for name in rollout.nodes:
                assert (name, revision) in self._passed, f"{name} has not passed"
        for found in (after.doc, after.next):
            self._last = max(self._last, found.header.revision if found is not None else 0)
        if after.rollout is not None:
            self.canaries.setdefault(after.rollout.revision, set()).update(after.rollout.nodes)
            self.rolling = now if self.rolling is None else self.rolling
        elif self.rolling is not None:
            self.longest, self.rolling = max(self.longest, now - self.rolling), None
        for past in after.past:
            known = self.fates.get(past.header.revision, "rollout")
            assert known in {"rollout", past.fate}, "what became of a revision is settled once"
            self.fates[past.header.revision] = past.fate

    @staticmethod
    def _check_end(one: FleetEdit, what: str, doc: State, now: float, replaced: set[str]) -> None:
        """Assert that an edit is over for a reason."""
        if what == "revert" or (what == "edit" and one.key in replaced):
            return
        assert what == "settle", f"{what} ends an edit"
        over = one.edit.expires is not None and one.edit.expires + EXPIRED_FOR - SKEW <= now
        superseded = base_hash(table_of(doc, one.edit.kind).get(one.edit.key)) != one.edit.base
        returned = one.edit.orphaned and parent_hash(doc, doc, one.edit.kind, one.edit.key) not in {
            None,
            one.edit.parent,
        }
        assert over or superseded or returned, f"edit {one.edit.id} of {one.edit.key} is lost"
