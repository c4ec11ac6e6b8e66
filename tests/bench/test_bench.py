"""The harness itself: it carries every load through every peer that is here, counts what it says, and cleans up."""

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from tests.bench.__main__ import main
from tests.bench.http_driver import Clients
from tests.bench.http_exchange import body, path
from tests.bench.loads import GROUPS, LOADS, Load, Target
from tests.bench.measure import cpu_ns, rss_bytes
from tests.bench.peer import Peer, Processes, find
from tests.bench.peers import PEERS, SUBJECT
from tests.bench.processes import ROOT, BenchError, Child, python
from tests.bench.report import summarize, table
from tests.bench.sample import Cpus, Sample
from tests.bench.site import Layer, Site
from tests.support.certificates import Certificates
from tests.support.ports import free_port

MESSAGE = LOADS["message"]


def await_port(port: int) -> None:
    """Wait until something listens on ``port``; ten seconds at most."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


class Stub(Peer):
    """A peer that is a one-line Python program, or none."""

    def __init__(self, name: str, program: str) -> None:
        super().__init__(name)
        self._program = program

    def missing(self) -> str:
        return "" if self._program else "nobody has built it"

    def version(self) -> str:
        return "0"

    def config(self, site: Site, folder: Path) -> str:
        return f"{site.listen}"

    def command(self, config: Path) -> list[str]:
        return python("-c", self._program, str(config))

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        return Processes(data=(members[0].pid,), control=())


def sample(peer: str, number: int, value: float, *, load: Load = MESSAGE) -> Sample:
    return Sample(load=load.name, peer=peer, round=number, value=value, control=0.5, seconds=1, busy=0.5)


# Each program carries one load of its layer at least, and the subject all: more of the others would tell no more.
CARRIED = [
    *((Layer.L4, name, GROUPS["l4"] if name == SUBJECT else ("message",)) for name in PEERS[Layer.L4]),
    *((Layer.GATE, name, GROUPS["gate"]) for name in PEERS[Layer.GATE]),
    *((Layer.L7, name, GROUPS["l7"] if name == SUBJECT else ("tls-connection",)) for name in PEERS[Layer.L7]),
]


@pytest.mark.soak
@pytest.mark.parametrize(("layer", "name", "loads"), CARRIED, ids=[f"{layer}-{name}" for layer, name, _ in CARRIED])
def test_a_peer_carries_the_loads(layer: Layer, name: str, loads: Sequence[str], tmp_path: Path) -> None:
    """One quick round gives one sample per load, none of them without cost."""
    if reason := PEERS[layer][name].missing() or LOADS[loads[0]].missing():
        pytest.skip(reason)
    file = tmp_path / "samples.json"
    command = python("-m", "tests.bench", "--quick", "--peers", name, "--loads", ",".join(loads), "--json", str(file))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    samples = json.loads(file.read_bytes())["samples"]
    assert [one["load"] for one in samples] == list(loads)
    assert all(one["value"] > 0 for one in samples if LOADS[one["load"]].meter is cpu_ns)


def test_a_missing_peer_is_reported_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without one of its peers says which and why, on both streams, and ends with status 1."""
    monkeypatch.setitem(PEERS[Layer.L4], "ghost", Stub("ghost", ""))
    assert main(["--quick", "--peers", "ghost"]) == 1
    said = capsys.readouterr()
    assert "MISSING PEER ghost: nobody has built it" in said.out
    assert "MISSING PEER ghost: nobody has built it" in said.err


def test_a_failing_peer_is_reported_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy that ends at its start fails its own samples, with the end of its log."""
    monkeypatch.setitem(PEERS[Layer.L4], "broken", Stub("broken", "import sys; sys.exit('the port is cursed')"))
    assert main(["--quick", "--peers", "broken", "--loads", "message"]) == 1
    out = capsys.readouterr().out
    assert "FAILED message broken, round 1" in out
    assert "the port is cursed" in out


def test_a_proxy_that_does_not_route_fails_the_sample(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Connections that end without the backend's answer are a failure, never a very fast proxy."""
    program = """
import pathlib, socket, sys
listener = socket.create_server(("127.0.0.1", int(pathlib.Path(sys.argv[1]).read_text())))
while True:
    listener.accept()[0].close()
"""
    monkeypatch.setitem(PEERS[Layer.L4], "deaf", Stub("deaf", program))
    assert main(["--quick", "--peers", "deaf", "--loads", "connection"]) == 1
    assert "FAILED connection deaf, round 1" in capsys.readouterr().out


def test_a_missing_tool_is_reported_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A load whose driver has no program here is named with the remedy, and the run ends with status 1."""
    monkeypatch.setattr("tests.bench.loads.find", lambda name: "" if name == "h2load" else name)
    assert main(["--quick", "--loads", "request-32x1"]) == 1
    assert "MISSING TOOL for request-32x1: no h2load here: apt-get install nghttp2-client" in capsys.readouterr().err


@pytest.mark.parametrize("content", [body(1024)[:-1], b"", body(1024)[::-1]], ids=["short", "empty", "other"])
def test_a_response_that_is_not_the_backends_fails_the_sample(content: bytes, tmp_path: Path) -> None:
    """A body that is too short fails the verification and the count, one of other bytes the verification."""
    if reason := LOADS["request-32x1"].missing():
        pytest.skip(reason)
    certificates = Certificates(tmp_path)
    leaf = certificates.server("app.example.com")
    (tmp_path / path(1024)).write_bytes(content)
    port = free_port()
    options = (f"--htdocs={tmp_path}", "--address=127.0.0.1", str(port), str(leaf.key), str(leaf.certificate))
    clients = Clients(port, "app.example.com", 1024, 2, 2, fresh=False)
    with Child([find("nghttpd"), *options], cpus=Cpus.free().others, log=tmp_path / "log"):
        await_port(port)
        with pytest.raises(ConnectionError, match=r"'200 over HTTP/2' with"):
            clients.verify(certificates.ca, 0)
        if len(content) < 1024:
            with pytest.raises(ConnectionError, match="h2load counted"):
                clients.run(8)
        else:
            clients.run(8)


def test_descendants_are_ended_even_when_their_parent_died_first(tmp_path: Path) -> None:
    """A worker that outlives the program that started it is ended all the same."""
    program = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
print("up", flush=True)
input()
"""
    with Child(python("-c", program), cpus=Cpus.free().others, log=tmp_path / "log", lines=True) as child:
        assert child.hear(10) == "up"
        _, orphan = child.members()
        child.say("end")
        with pytest.raises(BenchError, match="ended early"):
            child.hear(10)
    _, alive = psutil.wait_procs([orphan], timeout=5)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []  # where nobody waits for orphans


def test_cpu_time_includes_threads_that_have_ended(tmp_path: Path) -> None:
    """The meter counts the whole process: what a finished thread used, and nothing while it sleeps."""
    program = """
import threading, time
def burn():
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        pass
thread = threading.Thread(target=burn)
input()
thread.start()
thread.join()
print("burnt", flush=True)
input()
"""
    with Child(python("-c", program), cpus=Cpus.free().others, log=tmp_path / "log", lines=True) as child:
        (process,) = child.members()
        before = cpu_ns([process.pid])
        child.say("go")
        child.hear(30)
        assert cpu_ns([process.pid]) - before >= 200_000_000


def test_memory_is_what_is_resident(tmp_path: Path) -> None:
    """The meter sees memory that was touched, to the page."""
    program = "print('up', flush=True); input(); held = bytearray(b'x') * 8_000_000; print('held', flush=True); input()"
    with Child(python("-c", program), cpus=Cpus.free().others, log=tmp_path / "log", lines=True) as child:
        child.hear(10)
        (process,) = child.members()
        before = rss_bytes([process.pid])
        child.say("go")
        child.hear(10)
        assert 8_000_000 <= rss_bytes([process.pid]) - before < 9_000_000


def test_meters_refuse_a_process_that_has_ended(tmp_path: Path) -> None:
    """A worker replaced amid a measurement makes the sample fail instead of too cheap."""
    with Child(python("-c", ""), cpus=Cpus.free().others, log=tmp_path / "log", lines=True) as child:
        (process,) = child.members()
    for meter in (cpu_ns, rss_bytes):
        with pytest.raises(BenchError):
            meter([process.pid])


def test_ratios_are_taken_within_rounds() -> None:
    """A round in which the whole machine was slow does not shift the ratio."""
    values = {"haproxy": (10.0, 40.0, 10.0), "mcproxy": (11.0, 44.0, 12.0)}
    samples = [sample(peer, number, value) for peer in values for number, value in enumerate(values[peer], 1)]
    row = summarize(MESSAGE, samples)
    assert row.figures == {"haproxy": 10.0, "mcproxy": 12.0}
    assert row.ratios["haproxy"].median == pytest.approx(1.1)
    assert str(row.ratios["haproxy"]) == "1.10x (1.10-1.20)"


def test_a_round_that_only_one_peer_finished_counts_for_no_ratio() -> None:
    """Rounds are paired by number, not by position."""
    samples = [sample("haproxy", 2, 10.0), sample("mcproxy", 1, 99.0), sample("mcproxy", 2, 11.0)]
    assert summarize(MESSAGE, samples).ratios["haproxy"].median == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target(1.1, "haproxy"), 10.9, "met"),
        (Target(1.1, "haproxy"), 11.5, "NOT MET"),
        (Target(1.1, "nginx"), 10.9, "-"),
        (Target(20), 19.0, "met"),
        (Target(18), 19.0, "NOT MET"),
        (Target(1.2, "mcproxy", of="mcproxy-of-3"), 10.0, "met"),
        (Target(1.2, "mcproxy", of="mcproxy-of-3"), 9.0, "NOT MET"),
        (Target(1.2, "mcproxy", of="mcproxy-log"), 10.0, "-"),
        (Target(12, of="mcproxy-of-3"), 19.0, "met"),
        (Target(11, of="mcproxy-of-3"), 1.0, "NOT MET"),
        (Target(2, "mcproxy", of="mcproxy-of-3", added=True), 10.0, "met"),
        (Target(2, "mcproxy", of="mcproxy-of-3", added=True), 9.9, "NOT MET"),
        (Target(2, "nginx", of="mcproxy-of-3", added=True), 9.9, "-"),
    ],
)
def test_targets_are_judged(target: Target, value: float, verdict: str) -> None:
    """A target is a multiple of a peer's figure or a plain figure, and unknown where that peer did not run."""
    load = msgspec.structs.replace(MESSAGE, targets=(target,))
    figures = {"haproxy": 10.0, "mcproxy": value, "mcproxy-of-3": 12.0}
    row = summarize(load, [sample(peer, 1, figure) for peer, figure in figures.items()])
    assert table([row], list(figures)).splitlines()[1].endswith(f"  {verdict}")


def test_a_target_of_another_peer_is_judged_by_its_own_ratio() -> None:
    """The ratio beside it is that peer's over the named one, within rounds; the subject's ratios are others."""
    load = msgspec.structs.replace(MESSAGE, targets=(Target(1.05, "mcproxy", of="mcproxy-of-3"),))
    values = {"mcproxy": (10.0, 40.0, 10.0), "mcproxy-of-3": (10.4, 41.6, 11.0)}
    row = summarize(load, [sample(peer, number, value) for peer in values for number, value in enumerate(values[peer])])
    line = table([row], list(values)).splitlines()[1]
    assert line.endswith("1.04x (1.04-1.10)  mcproxy-of-3 <= 1.05x mcproxy  met")
    assert row.ratios["mcproxy-of-3"].median == pytest.approx(1 / 1.04)


@pytest.mark.parametrize("layer", [Layer.L4, Layer.L7])
def test_the_peer_of_three_is_the_subject_with_an_upstream(layer: Layer, tmp_path: Path) -> None:
    """Its route leads to three addresses of the same backend."""
    certificates = Certificates(tmp_path)
    leaf = certificates.server("app.example.com")
    site = Site("app.example.com", free_port(), 9, 10, leaf.certificate, leaf.key, certificates.ca)
    alone, of_three = (
        resolve([Source(str(tmp_path / name), PEERS[layer][name].config(site, tmp_path))]).state
        for name in (SUBJECT, f"{SUBJECT}-of-3")
    )
    assert [str(route.backend) for route in alone.routes.values()] == ["127.0.0.1:9"]
    assert [route.upstream for route in of_three.routes.values()] == ["app"]
    assert [endpoint.address for endpoint in of_three.endpoints.values()] == [f"127.0.0.{n}:9" for n in (1, 2, 3)]


def test_a_load_with_several_targets_takes_a_line_for_each() -> None:
    """Every target stands with its own ratio and verdict, below the figures of its load."""
    load = msgspec.structs.replace(MESSAGE, targets=(Target(1.0, "haproxy"), Target(0.5, "nginx")))
    values = {"haproxy": 10.0, "nginx": 40.0, "mcproxy": 12.0}
    row = summarize(load, [sample(peer, 1, value) for peer, value in values.items()])
    first, second = table([row], list(values)).splitlines()[1:]
    assert first.split() == [
        "message",
        "us/message",
        *["10.0", "40.0", "12.0", "0.50", "1.20x", "(1.20-1.20)", "<=", "1x", "haproxy", "NOT", "MET"],
    ]
    assert second.split() == ["0.30x", "(0.30-0.30)", "<=", "0.5x", "nginx", "met"]


def test_peers_that_no_load_is_for_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that would measure nothing says so instead of ending well."""
    with pytest.raises(SystemExit, match="2"):
        main(["--peers", "envoy", "--loads", "message"])
    assert "none of envoy is put under message" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--peers", "squid"], ["--loads", "bulk,tea"], ["--rounds", "0"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What does not exist is named in the message, and nothing runs."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert arguments[1].rpartition(",")[2] in capsys.readouterr().err
