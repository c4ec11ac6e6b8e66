"""Notices when the config file, its includes or another watched file has changed.

Two ways at once: inotify on the folders (through watchfiles) is quick, but misses a folder that is made anew or a
parent link that is switched; a look at every file each second misses nothing. Either only wakes us up: what counts is
whether a file's device, inode, size or time differs from before, since the proxy's own files may lie in the same
folder.

A file that is written in place passes through states that its writer never meant, and half of one may be valid. So who
reads it asks first whether somebody still has it open for writing.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterable
from glob import glob
from pathlib import Path
from typing import TypeAlias

from watchfiles import awatch

_POLL = 1.0  # seconds between looks when inotify is silent
_QUIET_MS = 50  # an editor's several writes count as one change when they come this close together
_DEBOUNCE_MS = 200  # but no change waits longer than this

Fingerprint: TypeAlias = dict[str, tuple[int, int, int, int] | None]


class FileWatcher:
    """Watches a set of files that may change while watching."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` (no arguments: the reader reads everything again) after each change."""
        self._on_change = on_change
        self._files: tuple[Path, ...] = ()
        self._patterns: tuple[Path, ...] = ()
        self._seen: Fingerprint = {}
        self._moved = asyncio.Event()
        self._given_up: set[str] = set()

    def watch(self, files: Iterable[Path], patterns: Iterable[Path], seen: Fingerprint | None = None) -> bool:
        """Watch these files and globs from now on; tell whether they are others than before.

        ``seen`` is their fingerprint when they were read; without it, files that are new here count as read now, and the
        others as when they were read before.
        """
        files, patterns = tuple(files), tuple(patterns)
        changed = (files, patterns) != (self._files, self._patterns)
        self._files, self._patterns = files, patterns
        if changed:
            self._seen = {name: self._seen.get(name, identity) for name, identity in self.fingerprint().items()}
            self._moved.set()
        if seen is not None:
            self._seen = seen
        return changed

    def fingerprint(self) -> Fingerprint:
        """Return what tells one version of the watched files from another; None stands for a missing file."""
        names = {str(file) for file in self._files}
        for pattern in self._patterns:
            names.update(glob(str(pattern), recursive=True))  # noqa: PTH207 - an absolute pattern; Path.glob takes relative ones only
        return {name: _identity(name) for name in sorted(names)}

    def being_written(self, read: Fingerprint) -> str:
        """Return a file that somebody is writing, "" for none; it looks at those that differ from when they were ``read``."""
        for name, identity in self.fingerprint().items():
            if identity != read.get(name):
                if not _has_writer(name):
                    self._given_up.discard(name)
                elif name not in self._given_up:
                    return name
        return ""

    def give_up(self, name: str) -> None:
        """Tell no more that a file is being written, until once it is not: some file systems say so of every file."""
        self._given_up.add(name)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._moved = asyncio.Event()
            folders = self._folders()
            asyncio.get_running_loop().call_soon(self._look)  # comes when inotify is set up: nothing falls between
            try:
                async for _ in awatch(
                    *folders,
                    watch_filter=None,
                    debounce=_DEBOUNCE_MS,
                    step=_QUIET_MS,
                    stop_event=self._moved,
                    rust_timeout=int(_POLL * 1000),
                    yield_on_timeout=True,
                    recursive=False,
                ):
                    self._look()
                    if self._folders() != folders:
                        break
            except (OSError, RuntimeError):  # the latter is watchfiles' own
                # No inotify instances left, or a folder vanished in between: looking still works.
                await asyncio.sleep(_POLL)
                self._look()

    def _look(self) -> None:
        now = self.fingerprint()
        if now != self._seen:
            self._seen = now
            self._on_change()

    def _folders(self) -> list[str]:
        """Return the folders of the files, and of what they are symbolic links to."""
        found = set()
        for file in (*self._files, *self._patterns):
            found.add(str(file.parent))
            found.add(str(Path(os.path.realpath(file)).parent))
        return sorted(folder for folder in found if Path(folder).is_dir())


def _identity(name: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(name)  # noqa: PTH116 - the path is a string from glob
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _has_writer(name: str) -> bool:
    """Tell whether a process has a file open for writing; False where that can't be told.

    The kernel refuses a read lease (fcntl(2), F_SETLEASE) on such a file. It grants them on local files alone, and to the
    file's owner or with CAP_LEASE; NFS and CIFS may refuse them as if there were a writer. Ours is given back at once; an
    open that meets it waits for that.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # told of such an open; it is ignored, where SIGIO would end us
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
