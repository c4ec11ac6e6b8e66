"""Connection limits that are exact over all workers.

Each listener has a cell per worker with the number of its open connections. A worker that wants to admit one more
takes a lock, adds up the cells, and adds one to its own if the sum is below the limit. The lock is an flock on a file
description of the worker's own, so the kernel releases it should the worker die. Without a limit no lock is needed.
"""

import fcntl
import os

from mcproxy.net.shared_memory import SharedMemory


class AdmissionLock:
    """The lock around adding up the cells; one for all listeners."""

    __slots__ = ("_fd",)

    def __init__(self, memory: SharedMemory) -> None:
        # flock belongs to the open file description, and the passed descriptor shares control's: open it anew.
        self._fd = os.open(f"/proc/self/fd/{memory.fd}", os.O_RDWR | os.O_CLOEXEC)

    def __enter__(self) -> None:
        """Wait for the lock; it is held for about a microsecond."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)


class Admission:
    """One listener's limit, as one worker sees it."""

    __slots__ = ("_cells", "_lock", "_memory", "_own")

    def __init__(self, memory: SharedMemory, lock: AdmissionLock, listener: int, slot: int) -> None:
        self._memory = memory
        self._lock = lock
        self._cells = memory.admission(listener)
        self._own = 1 + slot

    def admit(self) -> bool:
        """Count one more connection, unless the limit (0: none) is reached; tell whether it may be served."""
        cells = self._cells
        if not cells[0]:
            cells[self._own] += 1
            return True
        with self._lock:
            # The limit may have changed meanwhile; what was admitted under another one stays.
            if sum(cells[1 : 1 + self._memory.slots_used()]) >= cells[0]:
                return False
            cells[self._own] += 1
            return True

    def release(self) -> None:
        """Count one less; its sockets must be closed by now."""
        self._cells[self._own] -= 1
