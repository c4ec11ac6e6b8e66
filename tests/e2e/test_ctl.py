"""`mcproxyctl` as operators run it: the command against a real `mcproxy serve`."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ctl import Ctl, Result, run_ctl
from tests.support.l4 import HELLO, RawBackend, config, serve
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy

COMMAND = [sys.executable, "-m", "mcproxy.cli.ctl.app"]


def environment(edge: Proxy) -> dict[str, str]:
    """Return the environment of a command that finds the proxy by its config file."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MCPROXY_")}
    return {**ours, "PYTHONPATH": str(ROOT), "MCPROXY_CONFIG": str(edge.config)}


def command(edge: Proxy, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `mcproxyctl` as a program."""
    return subprocess.run(
        [*COMMAND, *args],
        cwd=edge.folder,
        env={**environment(edge), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    """Return a backend that takes what comes; routes lead there."""
    with RawBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def shared(backend: RawBackend) -> Iterator[Proxy]:
    """Return a proxy of the whole module, with one route."""
    with serve(config({"old.test": f"127.0.0.1:{backend.port}"})) as edge:
        yield edge


@pytest.fixture
def edge(shared: Proxy, ctl: Ctl) -> Iterator[Proxy]:
    """Return the module's proxy; its edits end with the test."""
    yield shared
    ctl("revert", "--all")


@pytest.fixture
def ctl(shared: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Run `mcproxyctl` in an empty folder; it finds the proxy by its config file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCPROXY_ADDR", raising=False)
    monkeypatch.setenv("MCPROXY_CONFIG", str(shared.config))
    return run_ctl


@pytest.fixture
def listener(edge: Proxy) -> str:
    """Return the listener's address."""
    return f"127.0.0.1:{edge.port()}"


def test_a_route_that_is_added_serves_at_once(edge: Proxy, ctl: Ctl, listener: str, backend: RawBackend) -> None:
    """When the command is done a client comes through; drift tells, revert ends it."""
    assert ctl("drift") == Result(0, "nothing differs from the files\n", "")
    added = command(
        edge,
        *("routes", "add", listener, "l4.test", f"127.0.0.1:{backend.port}"),
        *("--reason", "a try", "--author", "ann", "--expires", "1h"),
    )
    assert (added.returncode, added.stderr) == (0, "")
    plan, live, ends = added.stdout.splitlines()
    assert plan.startswith(f"+ route {listener} l4.test -> 127.0.0.1:{backend.port}")
    edit = re.fullmatch(r"generation \d+ is live \(edit (\d+)\)", live)
    assert edit is not None
    assert ends.startswith(f"edit {edit[1]} ends by itself at 20")
    client, server = backend.join(("127.0.0.1", edge.port()), HELLO)
    client.close()
    server.close()
    drift = command(edge, "drift")
    assert drift.returncode == 3
    header, row = drift.stdout.splitlines()
    assert header.split() == ["DIFFERENCE", "FILE", "SINCE", "UNTIL", "REASON"]
    assert row.startswith(f"route {listener} l4.test")
    assert row.endswith("  a try")
    [difference] = json.loads(ctl("drift", "--json").stdout)
    assert (difference["action"], difference["target"]) == ("added", f"route {listener} l4.test")
    assert (difference["edit"]["author"], difference["effective"]["hostname"]) == ("ann", "l4.test")
    assert ctl("revert", *difference["target"].split(" ")).status == 0
    assert ctl("drift").status == 0


def test_a_dry_run_changes_nothing(edge: Proxy, ctl: Ctl, listener: str) -> None:
    """It prints the plan, and is refused as the change would be."""
    told = ctl("routes", "add", listener, "dry.test", "127.0.0.1:1", "--dry-run", "--author", "ann")
    plan, last = told.stdout.splitlines()
    assert (told.status, plan) == (0, f"+ route {listener} dry.test -> 127.0.0.1:1  (a new edit by ann)")
    assert re.fullmatch(r"dry run: nothing was changed, generation \d+ is live", last)
    assert (
        json.loads(ctl("routes", "add", listener, "dry.test", "x:1", "--dry-run", "--json").stdout)["dry_run"] is True
    )
    assert ctl("routes", "add", listener, "a b", "x", "--dry-run").status == 1
    assert ctl("drift").status == 0


def test_the_rate_limit_changes_at_run_time(edge: Proxy, ctl: Ctl) -> None:
    """Every connection more is refused at once; the edit ends as any other."""
    assert ctl("firewall", "set-rate-limit", "1", "--window", "8760h").status == 0
    fates = []
    for _ in range(8):  # each of the workers admits one at least
        with socket.create_connection(("127.0.0.1", edge.port())) as client, contextlib.suppress(ConnectionError):
            client.settimeout(20)
            with contextlib.suppress(OSError):  # it may be reset already, and has no peer to end towards then
                client.sendall(HELLO)
                client.shutdown(socket.SHUT_WR)
            fates.append(client.recv(1))
    assert len(fates) < 8
    assert "1 connection per client and 8760h" in ctl("firewall", "list").stdout
    assert ctl("revert", "setting", "firewall.rate_limit").status == 0
    assert "rate limit  off" in ctl("firewall", "list").stdout


def test_refusals_name_the_field(edge: Proxy, ctl: Ctl, listener: str) -> None:
    """The messages are those of validation, a line for each field; nothing has changed."""
    before = json.loads(ctl("status", "--json").stdout)["generation"]
    refused = ctl("routes", "add", listener, "a b", "no.port", "--tls-cert", "/none.crt")
    assert (refused.status, refused.stdout) == (1, "")
    fields = [line.partition(": ")[0] for line in refused.stderr.splitlines()]
    assert {"hostname", "backend"} <= set(fields)
    missing = ctl("routes", "remove", listener, "none.test")
    assert (missing.status, missing.stderr) == (1, f"mcproxyctl: there is no route {listener} none.test\n")
    stale = ctl("routes", "remove", listener, "old.test", "--expect-generation", str(before + 100))
    assert stale.status == 1
    assert f"generation {before}" in stale.stderr
    assert json.loads(ctl("status", "--json").stdout)["generation"] == before


def test_back_to_an_earlier_generation(edge: Proxy, ctl: Ctl, listener: str) -> None:
    """History shows what was; a rollback that waits is shown by status, and stays when it is confirmed."""
    first = json.loads(ctl("history", "--json").stdout)[0]["generation"]
    ctl("routes", "update", listener, "old.test", "--backend", "127.0.0.1:1")
    newest, *_ = json.loads(ctl("history", "--json").stdout)
    assert (newest["origin"], newest["summary"]) == ("api", f"route {listener} old.test: backend changed")
    shown = ctl("show", str(newest["generation"]))
    assert shown.stdout.splitlines()[-1].startswith(f"~ route {listener} old.test")
    state = json.loads(ctl("show", str(newest["generation"]), "--json").stdout)["state"]
    assert state["listeners"][0]["routes"][0]["backend"] == "127.0.0.1:1"
    back = ctl("rollback", str(first), "--confirm", "50s")
    assert re.search(r"^undone at .* unless confirmed: mcproxyctl confirm \d+$", back.stdout, re.MULTILINE)
    assert re.search(r"^to confirm +mcproxyctl confirm \d+; undone at ", ctl("status").stdout, re.MULTILINE)
    confirmed = ctl("confirm")
    assert (confirmed.status, confirmed.stdout[:22]) == (0, "confirmed: generation ")
    assert ctl("drift").status == 0
    audit = json.loads(ctl("history", "--audit", "--json", "--limit", "3").stdout)
    assert [(entry["action"], entry["outcome"]) for entry in audit] == [
        ("Confirm", "accepted"),
        ("Rollback", "accepted"),
        ("UpdateRoute", "accepted"),
    ]
    assert "UpdateRoute" in ctl("history", "--audit").stdout
    assert f"route {listener} old.test" in ctl("history", "--edits").stdout


def test_explain_asks_what_runs(edge: Proxy, ctl: Ctl, listener: str) -> None:
    """The file's line decides, or the edit that is in its place."""
    where = f"mc-proxy.toml:{edge.config.read_text(encoding='utf-8').splitlines().index('[[listeners.routes]]') + 1}"
    route = next(line for line in ctl("explain", "--sni", "old.test").stdout.splitlines() if line.startswith("route "))
    assert route.endswith(f"  {where}")
    ctl("routes", "update", listener, "old.test", "--on-remove", "close", "--author", "ann")
    route = next(line for line in ctl("explain", "--sni", "old.test").stdout.splitlines() if line.startswith("route "))
    assert re.search(r"  edit \d+ by ann$", route)
    steps = json.loads(ctl("explain", "--sni", "other.test", "--json").stdout)["steps"]
    assert (steps[-1]["step"], steps[-1]["outcome"]) == ("route", "refused")


def test_what_is_connected_and_what_passes(edge: Proxy, ctl: Ctl, listener: str, backend: RawBackend) -> None:
    """`connections` names a client, `top` counts what it sends between two looks."""
    ctl("routes", "add", listener, "l4.test", f"127.0.0.1:{backend.port}")
    client, server = backend.join(("127.0.0.1", edge.port()), HELLO)
    with contextlib.closing(client), contextlib.closing(server):
        host, port = client.getsockname()
        header, row = ctl("connections", listener, "l4.test").stdout.splitlines()
        assert header.split() == ["CLIENT", "LISTENER", "ROUTE", "STAGE", "AGE", "STREAMS", "WORKER"]
        assert row.split()[:4] == [f"{host}:{port}", listener, "l4.test", "relay"]
        top = subprocess.Popen(
            [*COMMAND, "top", "--json", "--interval", "300ms"], env=environment(edge), stdout=subprocess.PIPE, text=True
        )
        with top:
            assert top.stdout is not None
            top.stdout.readline()  # from here on there is a sample to compare with
            sent = 0
            while True:
                client.sendall(b"x" * 1000)
                sent += 1000
                busiest, *_ = json.loads(top.stdout.readline())["routes"]
                if busiest["bytes_received_per_second"]:
                    break
                assert sent < 100_000
            assert (busiest["hostname"], busiest["active_connections"]) == ("l4.test", 1)
            assert 0 < busiest["bytes_received_per_second"] < 1e6
            top.send_signal(signal.SIGINT)
            assert top.wait(30) == 0


def test_top_takes_the_terminal_until_ctrl_c(edge: Proxy) -> None:
    """On a terminal it draws over and over, and leaves it as it was."""
    ours, theirs = pty.openpty()
    top = subprocess.Popen(
        [*COMMAND, "top", "--interval", "100ms"],
        env={**environment(edge), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "20"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""

    def read_until(text: bytes, count: int) -> None:
        nonlocal seen
        deadline = time.monotonic() + 30
        while seen.count(text) < count:
            assert select.select([ours], [], [], max(0, deadline - time.monotonic()))[0], seen
            seen += os.read(ours, 65536)

    with top:
        read_until(b"CONN/S", 2)
        top.send_signal(signal.SIGINT)
        read_until(b"\x1b[?1049l", 1)  # the screen from before is back
        assert top.wait(30) == 0
    os.close(ours)
    assert b"old.test" in seen
    assert b"Traceback" not in seen


def test_events_follow_until_ctrl_c(edge: Proxy, ctl: Ctl, processes: Processes, listener: str) -> None:
    """What was, then what happens; the end is clean."""
    ctl("routes", "update", listener, "old.test", "--on-remove", "keep")
    following = processes.start(*COMMAND, "events", "--recent", "1", env=environment(edge))
    following.wait_for_line(r"^20\S+ \S+  edit  ", streams=["stdout"], timeout=30)
    ctl("routes", "remove", listener, "old.test", "--author", "ann")
    following.wait_for_line(rf"RemoveRoute route {listener} old\.test by ann", streams=["stdout"], timeout=30)
    following.signal(signal.SIGINT)
    assert following.wait(30) == 0
    assert following.stderr == ""


def test_plan_and_reload(edge: Proxy, ctl: Ctl, tmp_path: Path) -> None:
    """A file that is sent is planned in the place of the server's; broken ones are told as validation does."""
    text = edge.config.read_text(encoding="utf-8")
    new = tmp_path / "new.toml"
    new.write_text(text.replace("old.test", "new.test"), encoding="utf-8")
    planned = ctl("plan", "new.toml").stdout.splitlines()
    assert [line[0] for line in planned[:-1]] == ["-", "+"]
    assert planned[-1] == "1 added, 1 removed"
    assert ctl("plan").stdout == "no changes\n"
    new.write_text(f"{text}\n[proxy2]\n", encoding="utf-8")
    broken = ctl("plan", "new.toml")
    assert broken.status == 1
    assert re.match(r"new\.toml:\d+:\d+: error: proxy2: ", broken.stderr)
    reloaded = ctl("reload")
    assert (reloaded.status, reloaded.stdout.splitlines()[0]) == (0, "no changes")
    try:
        edge.config.write_text(f"{text}\n[proxy2]\n", encoding="utf-8")
        refused = ctl("reload")
        assert refused.status == 1
        assert f"{edge.config}:" in refused.stderr
        assert "proxy2" in refused.stderr
        status = ctl("status").stdout
        assert re.search(r"^last reload +FAILED", status, re.MULTILINE)
    finally:
        edge.config.write_text(text, encoding="utf-8")
        assert ctl("reload").status == 0


def test_names_for_completion_are_those_that_live(edge: Proxy, ctl: Ctl, listener: str) -> None:
    """Each listener, and each with its hostnames, as the scripts of shells expect them; no help tells of the command."""
    assert ctl("names").stdout.splitlines() == [f"listener\t{listener}\t", f"listener\t{listener}\told.test"]
    assert "\n  names " not in ctl("--help").stdout
    for shell in ("bash", "zsh", "fish"):
        assert f"mcproxyctl completion {shell}" in ctl("completion", shell).stdout
    assert ctl("completion", "tcsh").status == 2


def test_a_server_that_is_gone(backend: RawBackend) -> None:
    """One line on standard error, status 1."""
    with serve(config({"old.test": f"127.0.0.1:{backend.port}"})) as edge:
        assert edge.stop() == 0
        result = command(edge, "status")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"mcproxyctl: no mcproxy answers at unix:{edge.folder}/mc-proxy.sock: is it running?"
    )
    assert len(result.stderr.splitlines()) == 1
