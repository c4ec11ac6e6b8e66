"""Requests for runtime edits in tests, judged one after the other."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mcproxy.errors import InvalidRequestError
from mcproxy.model.edits import requests
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged, merge
from mcproxy.model.edits.requests import Draft, EditMetadata, View, check_effect
from mcproxy.model.state.state import State

METADATA = EditMetadata(created=5.0, author="ann", reason="why", expires=9.0, request_id="q")


class Desk:
    """A proxy as requests see it: what they come to becomes live, as if a store were there."""

    def __init__(self, file: State) -> None:
        self.file = file
        self.edits: tuple[Edit, ...] = ()
        self._last = 0

    @property
    def merged(self) -> Merged:
        return merge(self.file, self.edits, 0.0)

    @property
    def live(self) -> State:
        return self.merged.state

    @property
    def view(self) -> View:
        return View(self.file, self.live, self.edits, "/etc/mc")

    def ask(self, request: Callable[..., Draft], *args: Any, **fields: Any) -> Draft:
        """Return what a request comes to, and make it live."""
        terms = () if request is requests.revert else (METADATA,)
        draft = request(self.view, *terms, *args, **fields)
        new = {(edit.kind, edit.key) for edit in draft.add}
        kept = [e for e in self.edits if e.id not in draft.remove and (e.kind, e.key) not in new]
        orphans = check_effect(draft, self.merged, merge(self.file, (*kept, *draft.add), 0.0))
        added = []
        for edit in draft.add:
            self._last += 1
            added.append(msgspec.structs.replace(edit, id=self._last))
        self.edits = (*(edit for edit in kept if edit.id not in orphans), *added)
        return draft

    def refused(self, request: Callable[..., Draft], *args: Any, **fields: Any) -> list[str]:
        """Return the fields that a request has wrong."""
        with pytest.raises(InvalidRequestError) as caught:
            self.ask(request, *args, **fields)
        assert all(message for _, message in caught.value.violations)
        return [field for field, _ in caught.value.violations]
