"""One control per database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcproxy.control.system.lock import Lock
from mcproxy.errors import ApplyError


def test_a_second_lock_is_refused_until_the_first_is_released(tmp_path: Path) -> None:
    """The message names the process that holds it and what to do."""
    database = str(tmp_path / "mc-proxy.db")
    first = Lock(database)
    with pytest.raises(ApplyError, match=rf"pid {os.getpid()}\) serves with this database; .*kill -HUP {os.getpid()}"):
        Lock(database)
    first.release()
    Lock(database).release()


def test_other_databases_are_not_locked(tmp_path: Path) -> None:
    """Two proxies in one folder get along when their databases differ."""
    locks = [Lock(str(tmp_path / name)) for name in ("a.db", "b.db")]
    for lock in locks:
        lock.release()


def test_the_kernel_releases_the_lock_of_a_dead_process(tmp_path: Path) -> None:
    """No lock is left behind by a kill, though its file is."""
    database = str(tmp_path / "mc-proxy.db")
    program = (
        f"from mcproxy.control.system.lock import Lock; import os, signal; Lock({database!r}); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    Lock(database).release()


def test_a_lock_that_can_not_be_made_says_where(tmp_path: Path) -> None:
    """The folder is missing: the message names the file and the setting."""
    with pytest.raises(ApplyError, match=r"nowhere/x\.db\.lock: No such file or directory; \[database\] path must"):
        Lock(str(tmp_path / "nowhere" / "x.db"))
