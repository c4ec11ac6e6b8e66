"""How the guard undoes something.

Requests are withdrawn, what files of the configuration said is overridden by runtime edits, and what the files that they name hold is replaced by what
they held before, until they hold something else.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from mcproxy.control.files.last_good_files import version_of
from mcproxy.control.files.look import look
from mcproxy.control.reconcile.change.request import ChangeRequest
from mcproxy.control.reconcile.changes import ChangeHandler
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.system import log
from mcproxy.errors import ApplyError, PreconditionError
from mcproxy.model.edits.requests import Draft, EditMetadata, View
from mcproxy.model.state.named_files import Group, file_groups
from mcproxy.model.state.state import State
from mcproxy.policy.guard.reversal import take_back
from mcproxy.policy.guard.watch import Finding, Watch

AUTHOR = "guard"


class Undoing:
    """Has changes undone.

    Attributes:
        returning: paths of the files whose former contents are being made live again.
    """

    def __init__(self, changes: ChangeHandler, reconciler: Reconciler) -> None:
        self._changes = changes
        self._reconciler = reconciler
        self._last_good = reconciler.stand_ins.last_good
        self._log = log.logger()
        self.returning: frozenset[str] = frozenset()

    async def set_aside(
        self, state: State, contents: Mapping[Group, Sequence[bytes]], digests: Mapping[str, str]
    ) -> None:
        """Keep what files held before they were renewed.

        Args:
            state: that names them.
            contents: what they held.
            digests: of what they hold now, by path.
        """
        for group, before in contents.items():
            try:
                await look(self._last_good.set_aside, state, group, version_of(group, digests), before)
            except (OSError, ApplyError) as error:
                self._log.error(
                    "what a file held before can't be kept, so that it can't be undone", file=group[0], error=str(error)
                )

    async def forget(self, state: State, paths: Iterable[str]) -> None:
        """Keep no longer what files held before."""
        for group in _groups(state, paths):
            with contextlib.suppress(OSError, ApplyError):
                await look(self._last_good.forget, state, group)

    async def undo(self, state: State, watch: Watch, found: Finding, still: Callable[[], bool]) -> bool:
        """Undo parts of a watch; tell whether there was something to undo.

        Args:
            state: what is live.
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
        paths = {path: why for watched, why in zip(found.parts, found.whys, strict=True) for path in watched.part.files}
        changed = any(watched.part.changes for watched in found.parts)
        if changed:
            await self._override(watch, found, still)
        return (bool(paths) and await self._bring_back(state, paths)) or changed

    async def _bring_back(self, state: State, paths: Mapping[str, str]) -> bool:
        """Make live what files held before; tell whether anything of that was kept. ``paths``: why, for each."""
        back: set[str] = set()
        for group in _groups(state, paths):
            why = next(paths[path] for path in group if path in paths)
            try:
                if await look(self._last_good.withdraw, state, group, why):
                    back.update(group)
            except OSError as error:
                raise ApplyError(f"{group[0]}: {error.strerror}") from error
        if back:
            self.returning = frozenset(back)
            try:
                ended = await self._reconciler.reload()
            finally:
                self.returning = frozenset()
            if ended.problems:
                raise ApplyError("; ".join(ended.problems))
        return bool(back)

    async def _override(self, watch: Watch, found: Finding, still: Callable[[], bool]) -> None:

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


def _groups(state: State, paths: Iterable[str]) -> list[Group]:
    """Return the files that belong together with some, where a state names them."""
    wanted = set(paths)
    return [group for group in file_groups(state) if not wanted.isdisjoint(group)]
