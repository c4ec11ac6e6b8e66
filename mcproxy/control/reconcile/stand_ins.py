"""Which files have their last good content in their place: told once, and kept for the next start."""

from mcproxy.control.files.assets import Assets
from mcproxy.control.files.contents import StandIn
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.control.files.look import look
from mcproxy.control.reconcile.current import Current
from mcproxy.control.system import log
from mcproxy.errors import ApplyError


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
