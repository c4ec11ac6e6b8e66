"""A folder whose file system never answers, as of a server of NFS or FUSE that is gone."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.require import missing

_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung_folder(path: Path) -> Iterator[Callable[[], None]]:
    """Mount a FUSE whose daemon is silent over a new folder; what is yielded ends that, and the folder is empty then."""
    path.mkdir()
    try:
        daemon = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        missing("/dev/fuse", f"modprobe fuse: {error.strerror}")
    options = f"fd={daemon},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if _libc.mount(b"hung", os.fsencode(path), b"fuse", 0, options.encode()):
        os.close(daemon)
        missing("leave to mount", os.strerror(ctypes.get_errno()))
    mounted = [daemon]

    def end() -> None:
        if mounted:
            _libc.umount2(os.fsencode(path), _MNT_DETACH)
            os.close(mounted.pop())  # whoever waits gets ENOTCONN

    try:
        yield end
    finally:
        end()
