"""Looks at files, each in a thread that is given up on when the files' server does not answer.

The threads are daemons: one that hangs in the kernel keeps neither the loop nor the end of the process waiting, as one
of asyncio's own executor would.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mcproxy import named_file
from mcproxy.errors import ApplyError

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that one file may take without anything of it being read."""
LIMIT = 60.0
"""Seconds that a whole look may take."""

_TRIES = 10
_GLANCE = 0.25  # seconds between looks at what the thread waits for


class OverdueError(ApplyError):
    """A file system did not answer in time; the path that waits for it is refused at once from now on, until it does."""


async def look(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` returns in a thread of its own; all it does to files goes through `named_file`.

    A caller that is cancelled gives up on it too.

    Raises:
        OverdueError: a path hangs.
        ApplyError: it took longer than `LIMIT`.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def main() -> None:
        try:
            result = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who waits
            tell(_fail, error)
        else:
            tell(_succeed, result)

    def tell(how: Callable[..., None], what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(how, ended, what)

    thread = threading.Thread(target=main, name="mcproxy-look", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise ApplyError(f"files can't be looked at: {error}") from error
    until = time.monotonic() + LIMIT
    try:
        while not (await asyncio.wait([ended], timeout=_GLANCE))[0]:
            path, seconds = named_file.waits(thread)
            if seconds > PATIENCE:
                raise OverdueError(f"{path}: its file system has not answered for {PATIENCE:g} s")
            if time.monotonic() > until:
                at = f"; {path} is being read" if path else ""
                raise ApplyError(f"the look at the files takes longer than {LIMIT:g} s{at}")
        return ended.result()
    finally:
        if not ended.cancel():
            ended.exception()  # it is told by result(), or to nobody: the caller was cancelled
        else:
            named_file.give_up(thread)


async def patiently(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` returns as `look` does, looking again without what hung: that is refused at once from now on."""
    for _ in range(_TRIES):
        with contextlib.suppress(OverdueError):
            return await look(work, *args, **kwargs)
    return await look(work, *args, **kwargs)


def _succeed(ended: asyncio.Future[T], result: T) -> None:
    if not ended.done():
        ended.set_result(result)


def _fail(ended: asyncio.Future[T], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)
