"""DNS-01: records at a real authoritative server by RFC 2136, and by a program of the operator's."""

import asyncio
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.update
import msgspec
import pytest

from mcproxy.control.acme import dns_server
from mcproxy.control.acme.dns_hook import DnsHookSolver
from mcproxy.control.acme.dns_server import DnsServerSolver
from mcproxy.control.acme.interface import AcmeError, Challenge, DnsHook, Terms
from mcproxy.control.acme.manager import Manager
from mcproxy.control.files.certificates import read_certificate
from tests.support.knot import KEY, Knot
from tests.support.pebble import Answers, MemoryStore, Pebble, TestClock
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.require import require


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("output")) as processes:
        yield processes


@pytest.fixture(scope="module")
def knot(running: Processes, tmp_path_factory: pytest.TempPathFactory) -> Knot:
    return Knot(running, tmp_path_factory.mktemp("dns") / "primary")


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    found = Answers()
    yield found
    found.close()


@pytest.fixture(scope="module")
def pebble(running: Processes, answers: Answers, knot: Knot, tmp_path_factory: pytest.TempPathFactory) -> Pebble:
    return Pebble(running, tmp_path_factory.mktemp("pebble"), answers, dns_port=knot.port)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the zone's second server refuse connections, and be waited for no longer than a moment."""
    monkeypatch.setattr(dns_server, "_PORT", free_port())
    monkeypatch.setattr(dns_server, "SEEN_WITHIN", 0.3)


def challenge(name: str, value: str) -> Challenge:
    return Challenge("dns-01", name, "token", "text", value)


def order(terms: Terms, answers: Answers, wanted: dict[str, list[str]]) -> Manager:
    async def run() -> Manager:
        manager = Manager(terms, MemoryStore(), answers, TestClock())
        await manager.start()
        await manager.want(wanted)
        manager.turn()
        await manager.settled()
        return manager

    return asyncio.run(run())


def test_a_wildcard_and_the_name_above_it_have_a_record_each(
    pebble: Pebble, answers: Answers, knot: Knot, tmp_path: Path, nobody: None
) -> None:
    """Both of one name; afterwards none is left, and what others have there stays."""
    DnsServerSolver(knot.terms, threading.Event()).present([challenge("wild.example.com", "of-others")])
    how = Terms(folder=tmp_path, directory=pebble.directory, ca=str(pebble.ca), challenge="dns-01", dns=knot.terms)
    name = "*.wild.example.com"
    (status,) = order(how, answers, {name: ["wild.example.com"]}).status()
    assert status.held, status.record.error
    assert set(read_certificate(status.held.bundle.chain).names) == {name, "wild.example.com"}
    assert [each.name for each in tmp_path.glob("*.pem")] == ["wildcard@wild.example.com.pem"]
    assert knot.texts("_acme-challenge.wild.example.com") == ['"of-others"']


def test_records_are_removed_after_a_failure_too(
    running: Processes, answers: Answers, knot: Knot, tmp_path: Path, nobody: None
) -> None:
    """A CA that asks other servers does not find them."""
    elsewhere = Pebble(running, tmp_path, answers)
    how = Terms(
        folder=tmp_path / "acme",
        directory=elsewhere.directory,
        ca=str(elsewhere.ca),
        challenge="dns-01",
        dns=knot.terms,
    )
    (status,) = order(how, answers, {"lost.example.com": []}).status()
    assert status.held is None
    assert "lost.example.com: dns-01: " in status.record.error
    assert knot.texts("_acme-challenge.lost.example.com") == []


def test_all_servers_of_the_zone_have_to_have_the_record(
    running: Processes, knot: Knot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers without it in the end is named, since the CA may ask just that one."""
    second = Knot(running, tmp_path / "second", "127.0.0.2")
    monkeypatch.setattr(dns_server, "_PORT", second.port)
    monkeypatch.setattr(dns_server, "SEEN_WITHIN", 1.0)
    wanted = [challenge("late.example.com", "value")]
    solver = DnsServerSolver(knot.terms, threading.Event())
    with pytest.raises(
        AcmeError, match=rf"127\.0\.0\.2:{second.port} does not have the TXT record of _acme-challenge\.late"
    ):
        solver.present(wanted)
    monkeypatch.setattr(dns_server, "SEEN_WITHIN", 60.0)
    done = threading.Thread(target=solver.present, args=(wanted,))
    done.start()
    DnsServerSolver(second.terms, threading.Event())._send(_addition(second), dns.name.from_text("late.example.com"))
    done.join(30)
    assert not done.is_alive()
    solver.remove(wanted)
    assert knot.texts("_acme-challenge.late.example.com") == []


def _addition(server: Knot) -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage("example.com", keyring=dns_server.read_key(server.terms.tsig_key))
    update.add("_acme-challenge.late.example.com.", 60, "TXT", '"value"')
    return update


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tsig_key": ""}, "refuses to change _acme-challenge.app.example.com.: NOTAUTH"),
        ({"tsig_key": KEY.replace("c2Vj", "d2Vj")}, "signature"),
        ({"zone": "example.org"}, "app.example.com is not in the zone example.org"),
        ({"port": 1}, "127.0.0.1:1: _acme-challenge.app.example.com.: .*refused"),
    ],
)
def test_what_stands_in_the_way_is_told(knot: Knot, change: dict[str, object], told: str) -> None:
    """The server's word, or that of the system."""
    solver = DnsServerSolver(msgspec.structs.replace(knot.terms, **change), threading.Event())
    with pytest.raises(AcmeError, match=told):
        solver.present([challenge("app.example.com", "value")])


@pytest.mark.parametrize("text", ["", "secret", 'key "a" { algorithm hmac-sha256; };', KEY.replace("sha256", "rot13")])
def test_a_key_file_without_a_key_is_told(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(AcmeError, match="TSIG key"):
        dns_server.read_key(text)


def program(folder: Path, script: str) -> DnsHook:
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return DnsHook(str(path))


def test_a_program_sets_and_removes_records(pebble: Pebble, answers: Answers, knot: Knot, tmp_path: Path) -> None:
    """It gets what to do, the record's name and its value; here it tells the server by nsupdate."""
    require("nsupdate", "bind9-dnsutils")
    (tmp_path / "key").write_text(KEY, encoding="ascii")
    hook = program(
        tmp_path,
        f'echo "$@" >> {tmp_path}/calls\n[ $1 = present ] && do="add $2 60 TXT $3" || do="delete $2 TXT $3"\n'
        f'printf "server 127.0.0.1 {knot.port}\\nzone example.com\\nupdate $do\\nsend\\n" | nsupdate -k {tmp_path}/key',
    )
    how = Terms(folder=tmp_path / "acme", directory=pebble.directory, ca=str(pebble.ca), challenge="dns-01", dns=hook)
    (status,) = order(how, answers, {"hooked.example.com": []}).status()
    assert status.held, status.record.error
    calls = [line.split() for line in (tmp_path / "calls").read_text(encoding="ascii").splitlines()]
    assert [each[:2] for each in calls] == [
        ["present", "_acme-challenge.hooked.example.com"],
        ["cleanup", "_acme-challenge.hooked.example.com"],
    ]
    assert calls[0][2] == calls[1][2]
    assert len(calls[0][2]) == 43
    assert knot.texts("_acme-challenge.hooked.example.com") == []


def test_what_a_program_says_as_it_fails_is_told(tmp_path: Path) -> None:
    """All records are tried to be removed before that."""
    solver = DnsHookSolver(program(tmp_path, f"echo $2 >> {tmp_path}/calls; echo no such zone >&2; exit 3"))
    with pytest.raises(AcmeError, match="hook present: exit status 3: no such zone"):
        solver.present([challenge("a.example.com", "1")])
    with pytest.raises(AcmeError, match="hook cleanup: exit status 3: no such zone"):
        solver.remove([challenge("b.example.com", "1"), challenge("c.example.com", "2")])
    names = (tmp_path / "calls").read_text(encoding="ascii").split()
    assert names == [f"_acme-challenge.{each}.example.com" for each in "abc"]


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """So neither the order nor the machine waits for it for ever."""
    solver = DnsHookSolver(program(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/pid; wait"), within=0.5)
    with pytest.raises(AcmeError, match=r"not done within 0\.5 s"):
        solver.present([challenge("a.example.com", "1")])
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    deadline = time.monotonic() + 30
    while _lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_program_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    """Though it has inherited where the program's words go: a reload of a server in the background, say."""
    solver = DnsHookSolver(
        program(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/pid; echo busy; exit $(cat {tmp_path}/status)")
    )
    for status in (0, 4):
        (tmp_path / "status").write_text(str(status), encoding="ascii")
        try:
            if status:
                with pytest.raises(AcmeError, match="exit status 4: busy"):
                    solver.present([challenge("a.example.com", "1")])
            else:
                solver.present([challenge("a.example.com", "1")])
        finally:
            os.kill(int((tmp_path / "pid").read_text(encoding="ascii")), signal.SIGKILL)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(AcmeError, match="hook: No such file or directory"):
        DnsHookSolver(DnsHook(str(tmp_path / "hook"))).present([challenge("a.example.com", "1")])


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
