"""One control per database: a lock file beside it that the kernel releases when the process ends."""

import fcntl
import os
import stat

from mcproxy.errors import ApplyError


class Lock:
    """Holds `<database>.lock` until the process ends."""

    def __init__(self, database: str) -> None:
        """Take the lock.

        Raises:
            ApplyError: another control holds it, or the file can't be made.
        """
        path = f"{database}.lock"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ApplyError(
                f"{path}: {error.strerror}; [database] path must name a file in a folder that mcproxy may write to"
            ) from error
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise ApplyError(f"{path}: it is no regular file; remove it, or name another [database] path")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise ApplyError(
                f"another mcproxy (pid {holder}) serves with this database; reload it instead (kill -HUP {holder}), "
                f"or give this one a [database] path of its own"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next control in."""
        os.close(self._fd)
