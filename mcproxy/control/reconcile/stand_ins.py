"""Which files have their last good content in their place: told once, and kept for the next start."""

import msgspec

from mcproxy.control.files.assets import Assets
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.contents import Contents, StandIn
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.control.files.look import look
from mcproxy.control.files.watcher import Fingerprint
from mcproxy.control.reconcile.current import Current
from mcproxy.control.system import log
from mcproxy.errors import ApplyError
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.state.named_files import ordered_files, owners


class StandIns:
    """Follows broken files over looks.

    Attributes:
        last_good: knows the contents.
        now: what is broken, and served from the last good content.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self._log = log.logger()
        self._unwritable = ""
        self._kept: Assets | None = None
        self.last_good = LastGood(lambda: (current.applier.state, current.applier.assets))
        self.now: tuple[StandIn, ...] = ()

    async def stand_in(self, loaded: Loaded, merged: Merged, contents: Contents) -> Loaded:
        """Put last good contents also in the place of broken files that edits name; return the files with all that is broken."""
        file, named = owners(loaded.resolution.state), owners(merged.state)
        keys = {key for key, owner in named.items() if owner is not file.get(key)}
        keys |= {one.owner for one in loaded.stand_ins if one.owner in named}
        await look(self.last_good.stand_in, merged.state, keys, contents)
        found = {one.file: one for one in (*contents.stand_ins, *loaded.stand_ins)}
        return msgspec.structs.replace(loaded, stand_ins=tuple(found.values())) if found else loaded

    def tells_more(self, found: tuple[StandIn, ...]) -> bool:
        """Tell whether more is broken than before, or in another way."""
        return not set(map(_known, found)) <= set(map(_known, self.now))

    def tell(self, found: tuple[StandIn, ...]) -> None:
        """Take note of what is broken now, and tell of what was not before, and of what is mended."""
        generation = self._current.applier.generation
        known = set(map(_known, self.now))
        for one in found:
            if _known(one) not in known:
                self._log.error(log.relative(str(one)))
                self._current.events.publish("refused", str(one), generation)
        broken = {one.file for one in found}
        for one in self.now:
            if one.file not in broken:
                where = " ".join(one.owner) if one.owner else "the proxy"
                self._log.info(f"{one.name} of {where} is good again, or not named any more", generation=generation)
        self.now = found

    def lack(self, seen: Fingerprint) -> bool:
        """Tell whether one of the watched files is missing, other than certificates that a CA has yet to issue."""
        awaited = set(ordered_files(self._current.merged.state))
        return any(found is None and name not in awaited for name, found in seen.items())

    async def keep(self) -> None:
        """Keep what is live for the next start; that it can't be kept is told once."""
        state, assets = self._current.applier.state, self._current.applier.assets
        if assets is None or assets is self._kept:
            return
        why = ""
        try:
            await look(self.last_good.keep, state, assets)
        except (OSError, ApplyError) as error:
            why = getattr(error, "strerror", None) or str(error)
        if why and why != self._unwritable:
            self._log.warning("the last good files can't be kept for the next start", error=why)
        self._unwritable = why
        self._kept = None if why else assets


def _known(one: StandIn) -> tuple[object, ...]:
    """Return what makes it another one; the place of its key may change."""
    return one.owner, one.name, one.message, one.version
