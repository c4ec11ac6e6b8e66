"""How the reconciler follows the fleet: a document is read as the files are, edits alone are merged with what was read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mcproxy.control.files.assets import Assets
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.fleet.fleet import Changed, Moment
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reload import Reload
from mcproxy.errors import ApplyError, PreconditionError
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.fleet.records import is_shared
from mcproxy.model.fleet.sources import FleetDocument


class Why(NamedTuple):
    """What brings a generation about, as the history has it."""

    origin: str
    author: str
    label: str


class Following:
    """Wakes the reconciler, and knows what of the fleet is live."""

    def __init__(
        self, current: Current, folder: str, wake: Callable[[], None], merge: Callable[[], Awaitable[None]]
    ) -> None:
        """Have ``wake`` called for another document, ``merge`` for other edits alone; the config file is in ``folder``."""
        self._current = current
        self._edits = current.edits.shared
        self._fleet = self._edits.fleet
        self._edits.folder = folder
        self._wake = wake
        self._merge = merge
        self._merging: asyncio.Task[None] | None = None
        self._again = False
        self._live: dict[int, Edit] = {}
        self._fleet.changed = self._on_change

    @property
    def moment(self) -> Moment:
        """What this node should run now."""
        return self._fleet.moment

    def documents(self, node: FleetNode, database: str) -> FleetDocument | None:
        """See `Fleet.documents`."""
        return self._fleet.documents(node, database)

    def start(self, loaded: Loaded) -> None:
        """Take note of the first files, which are live in a moment, and have the edits count that belong to them."""
        self._configure(loaded)
        self.read(loaded)

    def _configure(self, loaded: Loaded) -> None:
        self._fleet.configure(loaded.fleet, str(loaded.resolution.state.settings["database.path"]))

    def take(self, loaded: Loaded, assets: Assets) -> None:
        """Take note of files that were read.

        Raises:
            ApplyError: this machine becomes a node, and the fleet's document is not known yet: what is served goes on.
        """
        self._configure(loaded)
        if loaded.fleet is not None and loaded.document is None and self._current.file.listeners:
            if assets is not self._current.applier.assets:
                assets.close()
            why = self._fleet.away or self._fleet.wanted.problem
            raise ApplyError(f"the fleet's document is not known yet, and what is served goes on: {why}")

    def read(self, loaded: Loaded | None) -> None:
        """Take note of what a look at the files has found, None for nothing that is valid: by that edits count that belong to another document."""
        if not self.behind(loaded) or loaded is None:
            self._fleet.read()

    def require_served(self, ended: Reload) -> None:
        """Raise `PreconditionError` if a look at the files has ended without the document that the fleet has."""
        if ended.problems and self.behind(self._current.loaded):
            raise PreconditionError(
                "this node can't serve the fleet's document, so nothing is changed for the fleet here; ask another node:\n"
                + "\n".join(ended.problems)
            )

    def behind(self, loaded: Loaded | None) -> bool:
        """Tell whether the fleet has another document than files that were read."""
        wanted = self._fleet.wanted.document
        known = None if loaded is None else loaded.document
        return wanted is not None and (known is None or known.version != wanted.version)

    def why(self, loaded: Loaded, merged: Merged, otherwise: Why) -> Why:
        """Return what brings a generation about: a document, the return to an earlier one, edits that other nodes have taken, or none of these."""
        live = self._current.loaded
        if loaded.document is not None and live is not None and loaded.sources != live.sources:
            header, before = loaded.document.header, live.document
            back = before is not None and header.revision < before.header.revision
            return Why("returned" if back else "fleet", header.author, otherwise.label)
        new = [edit for edit in merged.standing if is_shared(edit.id) and edit.id not in self._live]
        if otherwise.origin == "file" and loaded is self._current.loaded and new:
            return Why("api", new[-1].author, new[-1].reason)
        return otherwise

    async def live(self, moment: Moment) -> None:
        """Take note that what was wanted at a moment is live, unless files were read that have another document."""
        self._live = {edit.id: edit for edit in self._current.merged.standing if is_shared(edit.id)}
        await self._current.edits.note_shared()
        loaded, wanted = self._current.loaded, moment.wanted.document
        known = None if loaded is None else loaded.document
        if known is not None and wanted is not None and known.version == wanted.version:
            self._fleet.applied(moment)

    def stop(self) -> None:
        """Follow no more."""
        if self._merging is not None:
            self._merging.cancel()

    def _on_change(self, changed: Changed) -> None:
        if changed.document:
            self._wake()
            return
        self._again = True
        if self._merging is None or self._merging.done():
            self._merging = asyncio.get_running_loop().create_task(self._merge_edits())

    async def _merge_edits(self) -> None:
        while self._again:
            self._again = False
            await self._merge()
