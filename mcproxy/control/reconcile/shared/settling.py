"""Edits of the fleet that are over by its document, or by time, are removed from its store by whichever node comes first."""

import asyncio
import contextlib
import random
import time

import msgspec

from mcproxy.control.reconcile.current import Current
from mcproxy.control.system import log
from mcproxy.errors import RequestError
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.requests import edit_name
from mcproxy.model.fleet.contents import Committed
from mcproxy.model.fleet.records import FleetEdit
from mcproxy.model.fleet.view import FleetView
from mcproxy.model.state.kinds import name_of
from mcproxy.policy.fleet.editing import EXPIRED_FOR, settle

_SPREAD = 0.02  # seconds for each node, over which they spread: one of them is enough
_LONGEST = 5.0
_LOOK = 30.0  # seconds between looks, for what expires
_RETRY = 1.0


class Settling:
    """Looks after the fleet's edits when this node has made live what the store holds."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._shared = current.edits.shared
        self._fleet = current.edits.shared.fleet
        self._poked = asyncio.Event()
        self._settled = 0
        self._log = log.logger()
        self._fleet.heard.append(self._poked.set)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._poked.wait()
            self._poked.clear()
            if not self._is_due():
                continue
            nodes = len(self._fleet.view.nodes)
            await asyncio.sleep(random.uniform(0, min(_SPREAD * nodes, _LONGEST)))  # noqa: S311 - nothing is to be guessed
            if self._is_due():
                try:
                    await self._settle()
                except RequestError as error:
                    self._log.warning("what has become of the fleet's edits can't be put on record yet", why=str(error))
                    await asyncio.sleep(_RETRY)
                    self._poked.set()

    def _is_due(self) -> bool:
        """Tell whether there may be something to settle: nothing is as long as what is live is not what the store holds."""
        fleet, loaded = self._fleet, self._current.loaded
        view = fleet.view
        if fleet.node is None or fleet.away or not view.edits or view.doc is None or not fleet.wanted.settles:
            return False
        document = None if loaded is None else loaded.document
        if document is None or document.version != view.doc.version or fleet.live != fleet.moment.revision:
            return False
        now = time.time()
        expired = any(one.edit.expires is not None and one.edit.expires + EXPIRED_FOR <= now for one in fleet.edits)
        return expired or self._settled != fleet.live

    async def _settle(self) -> None:
        live, view, file = self._fleet.live, self._fleet.view, self._current.file
        portability = self._shared.portability()
        stored = {one.edit.id: one for one in view.edits}
        local = {number: portability.local(one.edit) for number, one in stored.items()}
        here = msgspec.structs.replace(
            view,
            edits=tuple(FleetEdit(edit, stored[number].node, stored[number].version) for number, edit in local.items()),
        )

        def portable(edit: Edit) -> Edit:
            """Return an edit with what it has to remember now; a parent that it remembers already is hashed as all nodes do it."""
            before = stored[edit.id].edit
            parent = before.parent if edit.parent == local[edit.id].parent else portability.portable(edit).parent
            return msgspec.structs.replace(before, parent=parent, orphaned=edit.orphaned)

        found = await asyncio.to_thread(settle, here, file, time.time(), portable)
        if found.commit is not None:
            outcome = await self._fleet.commit(found.commit)
            if not isinstance(outcome, Committed):
                return  # what is there instead wakes this up
            self._tell(view, [one for one, _ in found.superseded], "superseded")
            self._tell(view, found.expired, "expired")
        self._settled = live

    def _tell(self, view: FleetView, ended: "tuple[FleetEdit, ...] | list[FleetEdit]", what: str) -> None:
        for one in ended:
            edit = one.edit
            self._log.info(
                f"{what}, and removed from the fleet's store: the runtime edit of {name_of(edit.kind, edit.key)}",
                edit=edit_name(edit),
                revision=0 if view.doc is None else view.doc.header.revision,
            )
