"""Connection limits that are exact over all workers.

Each listener has a cell per worker with the number of its open connections. A worker that wants to admit one more
takes a lock, adds up the cells, and adds one to its own if the sum is below the limit. The lock is an flock on a file
description of the worker's own, so the kernel releases it should the worker die. Without a limit no lock is needed.
"""

import os
from fcntl import LOCK_EX, LOCK_UN, flock

from mcproxy.net.memory.shared_memory import SharedMemory


class AdmissionLock:
    """The lock around adding up the cells; one for all listeners, held for about a microsecond.

    Attributes:
        fd: what flock takes.
    """

    __slots__ = ("fd",)

    def __init__(self, memory: SharedMemory) -> None:
        # flock belongs to the open file description, and the passed descriptor shares control's: open it anew.
        self.fd = os.open(f"/proc/self/fd/{memory.fd}", os.O_RDWR | os.O_CLOEXEC)


class Admission:
    """One listener's limit, as one worker sees it."""

    __slots__ = ("_cells", "_lock_fd", "_memory", "_own")

    def __init__(self, memory: SharedMemory, lock: AdmissionLock, listener: int, slot: int) -> None:
        self._memory = memory
        self._lock_fd = lock.fd
        self._cells = memory.admission(listener)
        self._own = 1 + slot

    def admit(self) -> bool:
        """Count one more connection, unless the limit (0: none) is reached; tell whether it may be served."""
        cells = self._cells
        if not cells[0]:
            cells[self._own] += 1
            return True
        flock(self._lock_fd, LOCK_EX)
        try:
            # The limit may have changed meanwhile; what was admitted under another one stays.
            if sum(cells[1 : 1 + self._memory.slots_used()]) >= cells[0]:
                return False
            cells[self._own] += 1
            return True
        finally:
            flock(self._lock_fd, LOCK_UN)

    def release(self) -> None:
        """Count one less; its sockets must be closed by now."""
        self._cells[self._own] -= 1
