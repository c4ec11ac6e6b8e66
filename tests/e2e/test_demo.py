"""`mcproxy demo`, as somebody who meets the project runs it."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process, Processes
from tests.support.proxy import ROOT
from tests.support.require import require

StartDemo = Callable[..., Process]

_TOUR = 60.0  # seconds; it takes five on a quiet machine


@pytest.fixture
def temporary(short_folder: Path) -> Path:
    """Return the folder that the demo takes for temporary files, so that it is known what it leaves."""
    folder = short_folder / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def start_demo(processes: Processes, temporary: Path) -> Iterator[StartDemo]:
    """Start the demo with further options, and expect nothing to be left of it in the end."""
    started: list[Process] = []

    def start(*args: str) -> Process:
        # a shell's background job, which this may run in, ignores SIGINT, and so would the demo
        command = ["env", "--default-signal=INT", sys.executable, "-m", "mcproxy", "demo", *args]
        environment = {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
        process = processes.start(*command, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        assert process.returncode is not None, "the test did not end the demo"
        assert process.descendants() == []
    assert list(temporary.iterdir()) == []


def test_the_tour_ends_well_and_leaves_nothing(start_demo: StartDemo) -> None:
    """With --once it shows all steps, counts them, ends with 0, and no process and no file of it is left."""
    demo = start_demo("--once")
    assert demo.wait(_TOUR) == 0, demo.transcript()
    assert demo.stderr == ""
    assert max(map(len, demo.stdout.splitlines())) <= 80
    assert demo.stdout.startswith("Status page: http://127.0.0.1:")
    shown = re.sub(r"\n {4,}(?=\S)", " ", demo.stdout)  # lines that were wrapped, whole again
    assert re.search(r"^\+ route \S+ shop\.localhost -> \S+  \(mc-proxy\.toml:\d+\)$", shown, re.MULTILINE)
    assert re.search(r"^~ route \S+ app\.localhost .*, 1 live connection\)$", shown, re.MULTILINE)
    assert re.search(r"mc-proxy\.toml:\d+:\d+: error: .*did you mean", shown)
    assert re.search(r"^\+ route \S+ beta\.dev\.localhost -> \S+  \(edit 1 by you\)$", shown, re.MULTILINE)
    assert "the edit is history: superseded" in shown
    assert re.search(r"over HTTP/1\.1: web answers .* 127\.0\.0\.1$", shown, re.MULTILINE)
    assert re.search(r"over HTTP/2: web answers .* 127\.0\.0\.1$", shown, re.MULTILINE)
    assert "BadBot/1.0: 403 Forbidden" in shown
    assert re.search(r"event 1 after \d+ ms, event 2 after \d+ ms, event 3 after \d+ ms$", shown, re.MULTILINE)
    assert "3: hello demo; status OK; trailers greetings: 3" in shown
    assert "was killed by SIGKILL" in shown
    assert re.search(r"^\+ endpoint pool 127\.0\.0\.1:\d+", shown, re.MULTILINE)
    assert re.search(r"20 connections to pool\.localhost: \d+ one, \d+ two +\(both are used\)", shown)
    assert re.search(r"20 connections to pool\.localhost: 20 two +\(one is stopped", shown)
    assert re.search(r"endpoint is down: 127\.0\.0\.1:\d+: .*refused", shown)
    assert re.search(r"endpoint is up.*\n.*\d+ one, \d+ two +\(one is back\)", shown)
    assert "!!" not in shown
    assert shown.endswith("All went as it should.\n")
    # The numbers at the end are those of the steps: a request that a policy blocks, an event stream, a gRPC call, the
    # connection held open over the edits, the 20 after the kill and those to the upstream are the ones without a printed answer.
    counted = re.search(r"^Counted on \S+: (\d+) accepted, refused by reason: \{'no_route': 1\}$", shown, re.MULTILINE)
    assert counted
    assert int(counted[1]) == shown.count(" answers for ") + 3 + 1 + 20 + 1 + 60


def test_mistakes_are_refused_or_undone(start_demo: StartDemo) -> None:
    """With --trust: a wrong header rule and a too wide block by tests, a wrong port and certificate by the guard."""
    demo = start_demo("--trust")
    assert demo.wait(_TOUR) == 0, demo.transcript()
    assert demo.stderr == ""
    assert max(map(len, demo.stdout.splitlines())) <= 80
    shown = re.sub(r"\n {4,}(?=\S)", " ", demo.stdout)
    refused = re.findall(r"^ +mc-proxy\.toml:\d+:\d+: error: expected (.*?), got (.*?) \(mc-proxy", shown, re.MULTILINE)
    assert refused == [
        ("X-Frame-Options: DENY", "X-Frame-Options: SAMEORIGIN by filter site"),
        ("step backend", "status 403 at allow: 198.18.0.7 is in one of block_cidrs (site)"),
    ]
    assert len(re.findall(r"generation \d+ withdrawn by guard: route \S+ shop\.localhost: ", shown)) == 2
    assert shown.count("shop.localhost: 502 Bad Gateway") == 2
    undone = re.findall(r"200 the shop answers \S+ \S+ +\(after (\d+\.\d) s and \d+ requests\)", shown)
    assert len(undone) == 2
    assert re.search(r'^ +backend = "127.0.0.1:\d+": generation \d+, guard, edit \d+ by guard$', shown, re.MULTILINE)
    assert "mcproxyctl drift: none" in shown
    assert "!!" not in shown
    assert shown.endswith("All went as it should.\n")


@pytest.mark.soak
def test_three_nodes_serve_one_configuration(start_demo: StartDemo) -> None:
    """With --fleet: pushes, of which one is told of the other, an edit, a canary that is returned, a store that is lost."""
    require("etcd", "etcd-server")
    demo = start_demo("--fleet")
    assert demo.wait(_TOUR) == 0, demo.transcript()
    assert demo.stderr == ""
    assert max(map(len, demo.stdout.splitlines())) <= 80
    shown = re.sub(r"\n {4,}(?=\S)", " ", demo.stdout)
    assert re.findall(r"^   revision (\d) is live on 3 nodes after \d+ ms$", shown, re.MULTILINE) == ["1", "2", "4"]
    assert re.search(
        r"the other one is told: someone pushed revision 2 \(you, \S+ ago, green\) since you looked", shown
    )
    (tried,) = re.findall(r"revision 3 is tried on (edge-\d)", shown)
    assert re.search(rf"of \d+ requests \d+ failed, all of them on {tried}$", shown, re.MULTILINE)
    assert re.search(r"changes are refused: .*the fleet's store is away since \d\d:\d\d", shown)
    assert "!!" not in shown
    assert shown.endswith("All went as it should.\n")


def test_a_fleet_needs_an_etcd(start_demo: StartDemo, monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    """Where there is none, that is what the demo says, with the package it comes in."""
    programs = temporary.parent / "without-etcd"
    programs.mkdir()
    (programs / "env").symlink_to(require("env"))
    monkeypatch.setenv("PATH", str(programs))
    demo = start_demo("--fleet")
    assert demo.wait(_TOUR) == 1
    assert "apt-get install etcd-server" in demo.stderr
    assert len(demo.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="SIGINT"),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.soak),
    ],
)
def test_it_stays_up_until_it_is_told_to_end(start_demo: StartDemo, number: signal.Signals) -> None:
    """The printed curl commands get their answers, an edit of the printed file shows, and Ctrl-C (or a kill) ends it all."""
    program = require("curl")
    demo = start_demo()
    demo.wait_for_line("^Ctrl-C ends it", _TOUR)
    commands = re.findall(r"^ +(curl .*)$", demo.stdout, re.MULTILINE)
    assert len(commands) == 4
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    for command in commands:
        _, *args = shlex.split(command)
        result = subprocess.run(
            [program, *args], capture_output=True, text=True, timeout=20, check=False, env=environment
        )
        assert result.returncode == 0, result.stderr
        name, _, path = args[-1].removeprefix("https://").partition("/")
        if path:
            assert result.stdout == "data: event 1\n\ndata: event 2\n\ndata: event 3\n\n"
        elif name.startswith("web."):
            assert result.stdout == f"web answers for {name} to the client 127.0.0.1\n"
        else:
            assert result.stdout == f"green answers for {name}\n"
    page = demo.wait_for_line(r"^Status page: (http://127\.0\.0\.1:\d+/)$")[1]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(page, timeout=20) as answer:
        assert b"web.localhost" in answer.read()
    config = Path(demo.wait_for_line(r"^mcproxy serves (\S+)$")[1])
    config.write_text(config.read_text().replace("shop.localhost", "store.localhost"))
    demo.wait_for_line(r"^ +\+ route \S+ store\.localhost")
    demo.wait_for_line(r"^ +- route \S+ shop\.localhost")
    demo.signal(number)
    assert demo.wait(30) == 0, demo.transcript()
    assert "All went as it should." in demo.stdout
    assert "Traceback" not in demo.stderr
    port = int(demo.wait_for_line(r"^on 127\.0\.0\.1:(\d+) with the workers")[1])
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0


def test_an_interrupted_tour_leaves_nothing(start_demo: StartDemo) -> None:
    """Ctrl-C in the middle ends everything too; that the tour was not finished is told by the status."""
    demo = start_demo("--once")
    demo.wait_for_line("exact route", _TOUR)
    demo.signal(signal.SIGINT)
    assert demo.wait(30) != 0
    assert "Traceback" not in demo.stderr
