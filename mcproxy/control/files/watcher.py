"""Notices when the config file, its includes or another watched file has changed.

Two ways at once: inotify on the folders (through watchfiles) is quick, but misses a folder that is made anew or a
parent link that is switched; a look at every file each second misses nothing. Either only wakes us up: what counts is
whether a file's device, inode, size or one of its times differs from before, since the proxy's own files may lie in the same
folder. Both are done in threads that are given up on when a file system does not answer (`look`).

A file that is written in place passes through states that its writer never meant, and half of one may be valid. So who
reads it asks first whether somebody still has it open for writing.
"""

import asyncio
import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterable
from glob import glob
from pathlib import Path
from typing import TypeAlias

from mcproxy.control.files.look import OverdueError, look
from mcproxy.control.files.writers import Identity, Writers
from mcproxy.named_file import touching

_POLL = 1.0  # seconds between looks when inotify is silent
_QUIET_MS = 50  # an editor's several writes count as one change when they come this close together
_DEBOUNCE_MS = 200  # but no change waits longer than this

Fingerprint: TypeAlias = dict[str, Identity | None]


class FileWatcher:
    """Watches a set of files that may change while watching."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` (no arguments: the reader reads everything again) after each change."""
        self._on_change = on_change
        self._files: tuple[Path, ...] = ()
        self._patterns: tuple[Path, ...] = ()
        self._seen: Fingerprint = {}
        self._version = 0  # of what was seen: a look that began before it changed compares nothing
        self._given_up: set[str] = set()
        self._writers = Writers()
        self._poke: Callable[[], None] = lambda: None

    def watch(self, files: Iterable[Path], patterns: Iterable[Path], seen: Fingerprint | None = None) -> bool:
        """Watch these files and globs from now on; tell whether they are others than before.

        ``seen`` is their fingerprint when they were read; without it, files that are new here count as read now, and the
        others as when they were read before.
        """
        files, patterns = tuple(files), tuple(patterns)
        changed = (files, patterns) != (self._files, self._patterns)
        if seen is None and changed:
            now = _fingerprint(files, patterns)
            seen = {name: self._seen.get(name, identity) for name, identity in now.items()}
        if seen is not None:
            self._seen = seen
            self._version += 1
        if changed:
            self._files, self._patterns = files, patterns
            self._poke()
        return changed

    def fingerprint(self) -> Fingerprint:
        """Return what tells one version of the watched files from another; None stands for a missing file."""
        return _fingerprint(self._files, self._patterns)

    def being_written(self, read: Fingerprint) -> str:
        """Return a file that somebody is writing, "" for none; it looks at those that differ from when they were ``read``."""
        for name, identity in self.fingerprint().items():
            if identity != read.get(name):
                if not self._writers.is_written(name, identity):
                    self._given_up.discard(name)
                elif name not in self._given_up:
                    return name
        return ""

    def unknowable(self) -> list[str]:
        """Return the watched files of which nobody tells whether they are still being written; follow the others."""
        now = self.fingerprint()
        self._writers.follow(now)
        return self._writers.unknowable(now)

    def give_up(self, name: str) -> None:
        """Tell no more that a file is being written, until once it is not: some file systems say so of every file."""
        self._given_up.add(name)

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        poked = asyncio.Event()

        def poke() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(poked.set)

        self._poke = poke
        notifier: _Notifier | None = None
        try:
            while True:
                poked.clear()
                with contextlib.suppress(OverdueError):  # what hangs is left out at the next look
                    version = self._version
                    now, folders = await look(self._glance)
                    if notifier is None or notifier.ended or notifier.folders != folders:
                        if notifier is not None:
                            notifier.stop()
                        notifier = _Notifier(folders, poke)
                    if version == self._version:
                        self._compare(now)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):
                        await poked.wait()
        finally:
            if notifier is not None:
                notifier.stop()
            self._writers.close()

    def _look(self) -> None:
        self._compare(self.fingerprint())

    def _glance(self) -> tuple[Fingerprint, list[str]]:
        now = self.fingerprint()
        self._writers.follow(now)
        return now, self._folders()

    def _compare(self, now: Fingerprint) -> None:
        if now != self._seen:
            self._seen = now
            self._on_change()

    def _folders(self) -> list[str]:
        """Return the folders of the files, and of what they are symbolic links to."""
        found = set()
        for file in (*self._files, *self._patterns):
            found.add(str(file.parent))
            with contextlib.suppress(OSError), touching(str(file)):
                found.add(os.path.dirname(os.path.realpath(file)))  # noqa: PTH120 - a string is wanted
        return sorted(filter(_is_readable_folder, found))


class _Notifier:
    """A thread that tells when something happens in some folders.

    Attributes:
        folders: where.
        ended: it watches no more: a folder vanished, or inotify has no instances left.
    """

    def __init__(self, folders: list[str], tell: Callable[[], None]) -> None:
        self.folders = folders
        self.ended = False
        self._tell = tell
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="mcproxy-inotify", daemon=True).start()

    def stop(self) -> None:
        """End the thread, in a moment."""
        self._stop.set()

    def _run(self) -> None:
        from watchfiles import watch  # noqa: PLC0415 - here, in a thread of its own, no start waits for it

        try:
            for changes in watch(
                *self.folders,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                step=_QUIET_MS,
                stop_event=self._stop,
                rust_timeout=int(_POLL * 1000),
                yield_on_timeout=True,
                recursive=False,
            ):
                if changes and not self._stop.is_set():
                    self._tell()
        except (OSError, RuntimeError):  # the latter is watchfiles' own
            pass  # looking still works
        finally:
            self.ended = True


def _fingerprint(files: Iterable[Path], patterns: Iterable[Path]) -> Fingerprint:
    names = {str(file) for file in files}
    for pattern in patterns:
        with contextlib.suppress(OSError), touching(str(pattern)):
            names.update(glob(str(pattern), recursive=True))  # noqa: PTH207 - an absolute pattern; Path.glob takes relative ones only
    return {name: _identity(name) for name in sorted(names)}


def _identity(name: str) -> Identity | None:
    """Return what is another one when a file is; its change time can't be put back as the others can (``touch -r``)."""
    try:
        with touching(name):
            status = os.stat(name)  # noqa: PTH116 - the path is a string from glob
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _is_readable_folder(folder: str) -> bool:
    """Tell whether inotify can watch a folder; watchfiles lets no other thread run while a file system does not answer that."""
    try:
        with touching(folder):
            return stat.S_ISDIR(os.stat(folder).st_mode) and os.access(folder, os.R_OK)  # noqa: PTH116 - likewise
    except OSError:
        return False
