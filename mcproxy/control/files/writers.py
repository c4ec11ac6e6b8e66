"""Tells whether somebody is writing to a file, also where it belongs to another user.

Three answers, the surest first. A read lease (fcntl(2), F_SETLEASE) is refused while a file is open for writing; only its
owner and CAP_LEASE get one. inotify(7) tells of each write and of the close that follows it, to whoever may read the file,
but not of what happens on another machine. Where neither is to be had, a file counts when it has been still for a while.
"""

import contextlib
import fcntl
import os
import signal
import stat
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from mcproxy.control.system import inotify
from mcproxy.control.system.inotify import Inotify
from mcproxy.named_file import touching

STILL = 3.0
"""Seconds that a file has to be as it is, where nobody tells whether it is still being written."""

Identity: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, time of the last write and of the last change (nanoseconds), size."""

_REMOTE = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "afs",
    "lustre",
    "glusterfs",
    "fuse",
    "vboxsf",
    "virtiofs",
}


class Writers:
    """Who writes to the watched files; called from one thread at a time, or another's call waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inotify: Inotify | None = None
        self._followed: dict[str, tuple[str, tuple[int, int], int]] = {}  # real path, device and inode, watch
        self._folders: dict[str, int] = {}
        self._places: dict[int, str] = {}  # of watches: the real path of a file, or of a folder with a slash behind it
        self._open: dict[str, bool] = {}  # by real path: written and not closed since, or closed since
        self._still: dict[str, tuple[Identity, float]] = {}

    def follow(self, files: Mapping[str, Identity | None]) -> None:
        """Watch these files from now on, and those folders that they are in; missing ones are watched when they come."""
        remote = _remote_devices()
        with self._lock:
            self._drain()
            for name in self._followed.keys() - files.keys():
                self._forget(name)
            for name in self._still.keys() - files.keys():
                del self._still[name]
            new = [
                (name, identity)
                for name, identity in files.items()
                if identity is not None
                and identity[0] not in remote
                and (name not in self._followed or self._followed[name][1] != identity[:2])
            ]
            for name, _ in new:
                self._forget(name)
        for name, identity in new:
            with contextlib.suppress(OSError), touching(name):
                self._follow(name, identity)

    def is_written(self, name: str, identity: Identity | None) -> bool:
        """Tell whether somebody is writing to a file, or may be; it is no file that anybody could write to if it is missing.

        Args:
            name: its path.
            identity: as it is now.
        """
        if identity is None:
            return False
        local = identity[0] not in _remote_devices()
        try:
            with touching(name):
                if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 - a path is a string here
                    return False
                answer = _is_leased(name) if local else None
        except OSError:
            return False
        if answer is not None:
            return answer
        with self._lock:
            self._drain()
            followed = self._followed.get(name)
            place = name if followed is None else followed[0]  # a new file of a folder that is followed
            if local and place in self._open:
                return self._open[place]
            since = self._still.get(name)
            if since is None or since[0] != identity:
                since = self._still[name] = identity, time.monotonic()
            return time.monotonic() - since[1] < STILL

    def unknowable(self, files: Mapping[str, Identity | None]) -> list[str]:
        """Return the files of which nobody tells whether they are still being written."""
        found = []
        remote = _remote_devices()
        for name, identity in files.items():
            if identity is None:
                continue
            followed = self._followed.get(name)
            if identity[0] in remote:
                found.append(name)
            elif followed is None or followed[2] < 0:
                with contextlib.suppress(OSError), touching(name):
                    if stat.S_ISREG(os.stat(name).st_mode) and _is_leased(name) is None:  # noqa: PTH116 - likewise
                        found.append(name)
        return found

    def close(self) -> None:
        """Follow nothing any more."""
        with self._lock:
            if self._inotify is not None:
                self._inotify.close()
            self._inotify = None
            for table in (self._followed, self._folders, self._places, self._open, self._still):
                table.clear()

    def _follow(self, name: str, identity: Identity) -> None:
        """Watch a file and its folder; nobody waits for the lock while the file system is asked."""
        with self._lock:
            if self._inotify is None:
                self._inotify = Inotify()
            instance = self._inotify
        real = os.path.realpath(name)
        folder = os.path.dirname(real)  # noqa: PTH120 - likewise
        within = watch = -1
        if folder not in self._folders:
            with contextlib.suppress(OSError):  # a folder may be closed to us, and its files not
                within = instance.add(folder, inotify.FOLDER)
        with contextlib.suppress(OSError):
            watch = instance.add(real, inotify.WRITING)
        with self._lock:
            self._followed[name] = real, identity[:2], watch
            if watch >= 0:
                self._places[watch] = real
            if within >= 0:
                self._folders[folder] = within
                self._places[within] = folder.rstrip("/") + "/"

    def _forget(self, name: str) -> None:
        """Watch a file no more, unless it is watched by another name too."""
        known = self._followed.pop(name, None)
        if known is None or known[2] < 0 or self._inotify is None:
            return
        if all(other[2] != known[2] for other in self._followed.values()):
            self._inotify.remove(known[2])
            self._places.pop(known[2], None)
            self._drain()

    def _drain(self) -> None:
        if self._inotify is None:
            return
        for event in self._inotify.read():
            if event.mask & inotify.OVERFLOW:
                self._open.clear()
                continue
            place = self._places.get(event.watch)
            if place is None:
                continue
            if event.mask & inotify.IGNORED:
                del self._places[event.watch]
                self._folders = {folder: watch for folder, watch in self._folders.items() if watch != event.watch}
                continue
            path = place + event.name if place.endswith("/") else place
            if event.mask & (inotify.CLOSE_WRITE | inotify.MOVED_TO):
                self._open[path] = False
            elif event.mask & inotify.MODIFY:
                self._open[path] = True
            else:
                self._open.pop(path, None)


def _is_leased(name: str) -> bool | None:
    """Tell by a lease whether a process has a file open for writing; None where it can't be told that way.

    Ours is given back at once; an open that meets it waits for that.
    """
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # told of such an open; it is ignored, where SIGIO would end us
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(fd)
    return False


def _remote_devices() -> set[int]:
    """Return the devices whose files are changed on other machines too, or by a server of FUSE, as the table of mounts says."""
    found = set()
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split()
            kind = fields[fields.index("-") + 1]
            if kind in _REMOTE or kind.startswith("fuse."):
                major, _, minor = fields[2].partition(":")
                found.add(os.makedev(int(major), int(minor)))
    return found
