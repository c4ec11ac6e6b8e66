"""How the guard undoes something: requests are withdrawn, what files said is overridden by runtime edits."""

from collections.abc import Callable

import msgspec

from mcproxy.control.reconcile.change.request import ChangeRequest
from mcproxy.control.reconcile.changes import ChangeHandler
from mcproxy.errors import PreconditionError
from mcproxy.model.edits.requests import Draft, EditMetadata, View
from mcproxy.policy.guard.reversal import take_back
from mcproxy.policy.guard.watch import Finding, Watch

AUTHOR = "guard"


class Undoing:
    """Has changes undone."""

    def __init__(self, changes: ChangeHandler) -> None:
        self._changes = changes

    async def undo(self, watch: Watch, found: Finding, still: Callable[[], bool]) -> bool:
        """Undo parts of a watch; tell whether there was something to undo.

        Args:
            watch: what is watched.
            found: the parts, and why.
            still: tells whether it is watched yet: another change may come first.

        Raises:
            RequestError: it can't be undone.
            StoreError: not now: the database can't be written.
            ApplyError: not now: it can't be made live.
        """
        if watch.receipts:
            await self._changes.withdraw(watch.receipts, found.why, AUTHOR)
            return True
        if not any(watched.part.changes for watched in found.parts):
            return False

        def judge(view: View, metadata: EditMetadata) -> Draft:
            if not still():
                raise PreconditionError("it was changed meanwhile")
            parts = [
                (watched.part.changes, msgspec.structs.replace(metadata, reason=why))
                for watched, why in zip(found.parts, found.whys, strict=True)
            ]
            try:
                return take_back(view, parts)
            except ValueError as error:  # such as a route whose listener is gone
                raise PreconditionError(str(error)) from error

        about = f"generation {watch.generation}"
        request = ChangeRequest(action="Guard", about=about, author=AUTHOR, reason=found.why)
        await self._changes.change(request, judge)
        return True
