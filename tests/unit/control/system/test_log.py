"""Control's log: two forms, and no flood of the same warning."""

import asyncio
import json
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from mcproxy.control.system import log, log_repeats
from mcproxy.control.system.log_repeats import BURST, WINDOW, Repeats
from mcproxy.model.config.problems import Problem


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def configured(monkeypatch: pytest.MonkeyPatch, style: str = "json") -> list[float]:
    """Configure the log for what is standard error now; return the time, to be changed by the test."""
    now = [1000.0]
    monkeypatch.setattr(log, "_repeats", Repeats(lambda: now[0]))
    log.configure("info", style)
    return now


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in a value."""
    configured(monkeypatch)
    log.logger().info("applied", changes='1 "changed"\n', generation=3)
    log.logger().debug("too fine")
    (line,) = told(capsys)
    assert line.pop("timestamp")
    assert line == {"event": "applied", "level": "info", "changes": '1 "changed"\n', "generation": 3}


def test_console_is_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, no colours where nobody sees them."""
    configured(monkeypatch, "console")
    log.logger().warning("worker hangs", pid=7)
    log.logger().debug("too fine")
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "[warning  ] worker hangs" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("severity", ["error", "warning", "note"])
def test_a_problem_is_told_as_compilers_do_and_in_parts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, severity: Literal["error", "warning", "note"]
) -> None:
    """For people a line alone, for machines the parts as fields too; the folder of the process is left out of the text."""
    monkeypatch.chdir("/etc")
    problem = Problem("/etc/a.toml", 7, 3, severity, "log.level", "must be loud")
    level = {"note": "info"}.get(severity, severity)
    configured(monkeypatch)
    log.tell(problem)
    (line,) = told(capsys)
    del line["timestamp"]
    assert line == {
        "event": f"a.toml:7:3: {severity}: log.level: must be loud",
        "level": level,
        "file": "/etc/a.toml",
        "line": 7,
        "column": 3,
        "key": "log.level",
        "message": "must be loud",
    }
    configured(monkeypatch, "console")
    log.tell(problem)
    assert capsys.readouterr().err.rstrip().endswith(f"] a.toml:7:3: {severity}: log.level: must be loud")
    log.tell("no place at all")
    assert "no place at all" in capsys.readouterr().err


def test_the_same_warning_is_told_a_few_times_and_then_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one after a while says how many there were; a process' number makes no difference."""
    now = configured(monkeypatch)
    for pid in range(100):
        log.logger().error("worker died, replacing it", pid=pid, how="exited with 1")
        now[0] += 0.1
    assert len(told(capsys)) == BURST
    now[0] += WINDOW
    log.logger().error("worker died, replacing it", pid=7, how="exited with 1")
    (line,) = told(capsys)
    assert line["repeated"] == 100 - BURST
    log.logger().error("worker died, replacing it", pid=8, how="exited with 1")
    assert "repeated" not in told(capsys)[0]


def test_what_differs_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another value, another severity, and whatever is no warning."""
    configured(monkeypatch)
    for generation in range(20):
        log.logger().error("nothing changed", generation=generation)
        log.logger().info("applied")
    for _ in range(2 * BURST):
        log.logger().warning("the same")
        log.logger().error("the same")
    assert len(told(capsys)) == 40 + 2 * BURST


def test_a_count_is_told_even_if_no_more_come(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the event loop's clock, once."""
    now = configured(monkeypatch)
    monkeypatch.setattr(log_repeats, "WINDOW", 0.01)

    async def flood() -> None:
        for _ in range(BURST + 3):
            log.logger().warning("again", where="here")
        now[0] += 1
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, done.set_result, None)
        await done

    asyncio.run(flood())
    *first, last = told(capsys)
    assert len(first) == BURST
    assert (last["event"], last["level"], last["where"], last["repeated"]) == ("again", "warning", "here", 3)
