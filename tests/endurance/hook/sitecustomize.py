"""Tells from within a process how many asyncio tasks it has: Python imports this at its start where PYTHONPATH leads here.

Nothing of the kind can be seen from outside. Once a second a thread writes the number into the file PID of the folder
``MCPROXY_ENDURANCE_TASKS``.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time
from pathlib import Path

_SECONDS = 1.0


def _tell(folder: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the program's own threads
    file, temporary = folder / str(os.getpid()), folder / f".{os.getpid()}"
    while True:
        with contextlib.suppress(RuntimeError):  # the set has changed meanwhile
            tasks = list(getattr(asyncio.tasks, "_all_tasks"))  # noqa: B009 - what `asyncio.all_tasks` reads, for any loop
            temporary.write_text(str(sum(not task.done() for task in tasks)))
            temporary.replace(file)
        time.sleep(_SECONDS)


if _folder := os.environ.get("MCPROXY_ENDURANCE_TASKS"):
    threading.Thread(target=_tell, args=(Path(_folder),), name="endurance", daemon=True).start()
