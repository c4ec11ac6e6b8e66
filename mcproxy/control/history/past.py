"""Which generation was live when, and what was in effect then; the live one included."""

import time as clock
from datetime import UTC, datetime

import msgspec

from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.last_good import default_settings
from mcproxy.control.store.revisions import Revision
from mcproxy.errors import NotFoundError
from mcproxy.model.config.resolve import Resolution

_EXACT = 0.000999  # seconds


class Then(msgspec.Struct, frozen=True):
    """A generation that was live, or is.

    Attributes:
        revision: what it is in the history.
        resolution: what was in effect, with where each resource comes from.
        live: it is what is live now.
    """

    revision: Revision
    resolution: Resolution
    live: bool = False


async def at_generation(current: Current, generation: int) -> Then:
    """Return what a generation served, which may be one that differs from another in the addresses of names alone.

    Raises:
        NotFoundError: it is not kept, or there is no such generation yet.
        StoreError: the database can't give it.
    """
    live = current.applier.generation
    if current.revision.generation <= generation <= live:
        return _live(current)
    if generation > live:
        raise NotFoundError(f"there is no generation {generation} yet; generation {live} is live")
    return await _kept(current, await current.edits.store.generation_of(generation), f"generation {generation} is")


async def at_time(current: Current, time: float) -> Then:
    """Return what was live at a time, in seconds since the epoch.

    A time counts to the millisecond, as the lines of logs tell it: what began within that counts.

    Raises:
        NotFoundError: that is not kept, or the time has not come yet.
        StoreError: the database can't give it.
    """
    if time > clock.time() + 1:
        raise NotFoundError(f"{_moment(time)} has not come yet")
    if time + _EXACT > current.revision.time:
        return _live(current)
    return await _kept(
        current, await current.edits.store.generation_at(time + _EXACT), f"what was live at {_moment(time)} is"
    )


def _live(current: Current) -> Then:
    return Then(current.revision, current.resolution, live=True)


async def _kept(current: Current, generation: int | None, what: str) -> Then:
    detail = None if generation is None else await current.edits.store.revision(generation)
    if detail is None:
        raise NotFoundError(f"{what} not in the history (any more); see history")
    # an earlier version knew fewer settings, and did then what is the default of the others now
    settings = {**default_settings(current.edits.path), **detail.state.settings}
    state = msgspec.structs.replace(detail.state, settings=settings)
    complete = msgspec.structs.replace(detail.resolution, state=state)
    return Then(detail.revision, complete)


def _moment(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}Z"
