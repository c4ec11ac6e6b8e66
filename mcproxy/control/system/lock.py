"""One control per database: a lock file beside it that the kernel releases when the process ends."""

import fcntl
import os
import stat

from mcproxy.errors import ApplyError


class Lock:
    """Holds `<database>.lock` until the process ends.

    Attributes:
        fd: its descriptor: who gets a copy of it holds the lock too.
    """

    def __init__(self, database: str, fd: int = -1) -> None:
        """Take the lock, or hold it together with the control that ``fd`` is a copy from.

        Raises:
            ApplyError: another control holds it, or the file can't be made.
        """
        if fd >= 0:
            self.fd = fd
            return
        path = f"{database}.lock"
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ApplyError(
                f"{path}: {error.strerror}; [database] path must name a file in a folder that mcproxy may write to"
            ) from error
        if not stat.S_ISREG(os.fstat(self.fd).st_mode):
            os.close(self.fd)
            raise ApplyError(f"{path}: it is no regular file; remove it, or name another [database] path")
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self.fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self.fd)
            raise ApplyError(
                f"another mcproxy (pid {holder}) serves with this database; reload it instead (kill -HUP {holder}), "
                f"or give this one a [database] path of its own"
            ) from None
        self.sign()

    def sign(self) -> None:
        """Write into the file who holds the lock."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next control in, unless another process holds the lock too."""
        os.close(self.fd)
