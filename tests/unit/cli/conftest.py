"""Fixtures of the command lines' tests."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl, run_ctl


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make another time than UTC the local one: what is printed does not depend on it."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def ctl_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: None) -> Ctl:
    """Run `mcproxyctl` in an empty folder and environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("ADDR", "CONFIG", "TLS_CA", "TLS_CERT", "TLS_KEY"):
        monkeypatch.delenv(f"MCPROXY_{name}", raising=False)
    return run_ctl


@pytest.fixture
def ctl(admin: CannedAdmin, monkeypatch: pytest.MonkeyPatch, ctl_run: Ctl) -> Ctl:
    """Run `mcproxyctl` against the canned server."""
    monkeypatch.setenv("MCPROXY_ADDR", admin.addr)
    return ctl_run
