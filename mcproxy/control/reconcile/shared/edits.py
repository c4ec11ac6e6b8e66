"""The edits of the fleet as this node has them: with its own paths, and told of when they come and go."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.store.ledger import EditOutcome
from mcproxy.control.system import log
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import overruled
from mcproxy.model.fleet.portable import Portability
from mcproxy.model.fleet.records import FleetEdit
from mcproxy.model.state.state import State


class Note(msgspec.Struct, frozen=True):
    """Something that has happened to an edit of the fleet, as the history of this node has it."""

    event: EditOutcome
    edit: Edit
    detail: str


class SharedEdits:
    """Follows the fleet's edits.

    Attributes:
        fleet: whose they are.
        folder: of the config file: what relative paths start from on this node.
        file: what the document says that is in effect here.
    """

    def __init__(self, fleet: Fleet, own: Callable[[], Sequence[Edit]]) -> None:
        """Ask which edits this node alone has."""
        self.fleet = fleet
        self.folder = "/"
        self.file = State()
        self._own = own
        self._made: tuple[tuple[FleetEdit, ...], State, Sequence[Edit], tuple[Edit, ...]] | None = None
        self._noted: Mapping[int, tuple[Edit, str]] | None = None
        self._log = log.logger()

    def local(self, file: State, own: Sequence[Edit]) -> tuple[Edit, ...]:
        """Return the fleet's edits for this node, but those of resources that it has an edit of its own of.

        Args:
            file: what a document says here, in effect or not.
            own: the edits that this node alone has.
        """
        shared = self.fleet.edits
        if not shared:
            return ()
        known = self._made
        if known is None or known[0] is not shared or known[1] is not file or known[2] is not own:
            known = self._made = shared, file, own, self._translated(shared, file, own)
        return known[3]

    def all_local(self, file: State) -> tuple[Edit, ...]:
        """Return all of the fleet's edits for this node."""
        return self._translated(self.fleet.edits, file, ())

    def portability(self) -> Portability:
        """Return what translates edits by what is in effect."""
        own = self._own()
        return Portability(self.folder, self.file, (*own, *self.local(self.file, own)))

    def expect(self, added: Iterable[Edit], ended: Iterable[int]) -> None:
        """Take edits as noted that a request of this node has added and ended: the request's record has them."""
        noted = dict(self._noted or {})
        for number in ended:
            noted.pop(number, None)
        self._noted = noted | {edit.id: (edit, "") for edit in added}

    def news(self) -> list[Note]:
        """Return what has come and gone since the time before; at first nothing is new."""
        shared = {one.edit.id: one for one in self.fleet.edits}
        local = {edit.id: edit for edit in self._translated(self.fleet.edits, self.file, ())}
        now = {number: (edit, shared[number].node) for number, edit in local.items()}
        before, self._noted = self._noted, now
        if before is None:
            return []
        keys = {(edit.kind, edit.key) for edit, _ in now.values()}
        gone = [edit for number, (edit, _) in before.items() if number not in now]
        notes = [self._ended(edit, replaced=(edit.kind, edit.key) in keys) for edit in gone]
        notes += (
            Note("added", edit, f"{edit.reason} (by {node})".strip() if node else edit.reason)
            for number, (edit, node) in now.items()
            if number not in before
        )
        return notes

    def _ended(self, edit: Edit, *, replaced: bool) -> Note:
        """Return why an edit is gone, as far as that can be told here: another node has ended it."""
        if replaced:
            return Note("replaced", edit, "")
        if edit.expires is not None and edit.expires <= time.time():
            return Note("expired", edit, "its time is over")
        why = overruled(self.file, edit)
        return Note("superseded", edit, why) if why else Note("reverted", edit, "on another node")

    def _translated(self, shared: Iterable[FleetEdit], file: State, own: Sequence[Edit]) -> tuple[Edit, ...]:
        overridden = {(edit.kind, edit.key) for edit in own}
        wanted = [one.edit for one in shared if (one.edit.kind, one.edit.key) not in overridden]
        first = self._each(Portability(self.folder, file, own), wanted)
        return self._each(Portability(self.folder, file, (*own, *first)), wanted)

    def _each(self, portability: Portability, edits: Iterable[Edit]) -> tuple[Edit, ...]:
        found = []
        for edit in edits:
            try:
                found.append(portability.local(edit))
            except ValueError as error:
                self._log.error("an edit of the fleet has no meaning on this node", edit=edit.id, why=str(error))
        return tuple(found)
