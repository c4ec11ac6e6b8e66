"""Fixtures of the command lines' tests."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from mcproxy.cli import ctl as command_line
from tests.support.canned_admin import CannedAdmin


class Result(msgspec.Struct, frozen=True):
    """What a command line left behind."""

    status: int
    stdout: str
    stderr: str


Ctl = Callable[..., Result]


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make UTC the local time."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def ctl_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], utc: None) -> Ctl:
    """Run `mcproxyctl` in this process, in an empty folder and environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("ADDR", "CONFIG", "TLS_CA", "TLS_CERT", "TLS_KEY"):
        monkeypatch.delenv(f"MCPROXY_{name}", raising=False)

    def run(*args: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            command_line.main(args)
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def ctl(admin: CannedAdmin, monkeypatch: pytest.MonkeyPatch, ctl_run: Ctl) -> Ctl:
    """Run `mcproxyctl` against the canned server."""
    monkeypatch.setenv("MCPROXY_ADDR", admin.addr)
    return ctl_run
