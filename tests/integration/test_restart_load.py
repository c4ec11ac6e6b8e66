"""Restarts under load, at any moment, and with whatever may go wrong: no client is refused, reset or cut."""

import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tomlkit

from mcproxy import __version__
from mcproxy.control.store.migrations import LATEST
from tests.conftest import Install
from tests.support import settings
from tests.support.certificates import Certificates
from tests.support.ctl import Result, run_ctl
from tests.support.http_backends import PlayedBackend
from tests.support.http_clients import H2Client, tls_socket
from tests.support.l7 import l7_route
from tests.support.lifecycle import totals, wait_gone
from tests.support.load import Load, until
from tests.support.proxy import ROOT, Proxy
from tests.support.restart import Installed, control, end_control, lock_holder, wait_for_log
from tests.support.toml import config, listener, route
from tests.support.websocket import TEXT, EchoServer, Frame, Reader, frame, upgrade

pytestmark = pytest.mark.soak

HOST = "127.0.0.1"
NEWER = "99.1"
FORKED_ONLY = 0x40
"""PF_FORKNOEXEC of the kernel's include/linux/sched.h."""


@pytest.fixture
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


def ctl(edge: Proxy, *args: str) -> Result:
    return run_ctl("--config", str(edge.config), *args)


def newer_version(installed: Installed) -> Path:
    """Return a version whose database has a step more than this one's."""
    return installed.version(
        "newer",
        {
            "__init__.py": (f'__version__ = "{__version__}"', f'__version__ = "{NEWER}"'),
            "control/store/migrations.py": (
                "LATEST = len(MIGRATIONS)",
                'MIGRATIONS = (*MIGRATIONS, ("CREATE TABLE later (id INTEGER)",))\nLATEST = len(MIGRATIONS)',
            ),
        },
    )


def test_an_upgrade_and_the_way_back_lose_nobody(install: Install, certs: Certificates, load: Load) -> None:
    """To another checkout in another folder under load, and back as often; with IPv6, HTTP/2, WebSocket and limits.

    The newer one has a newer schema in the end: the way back from there is refused with a clear line, and it goes on.
    """
    with EchoServer() as echo, PlayedBackend("http/1.1", certs) as slow:
        l7 = [
            l7_route(certs, echo.port, "ws.test", backend_protocol="http/1.1"),
            l7_route(certs, slow.port, "slow.test", backend_protocol="http/1.1"),
        ]
        one = load.backend("one")
        tables = {
            "proxy": {"workers": 2, "shutdown_timeout": "1m"},
            "listeners": [
                {**settings.listener("127.0.0.1:PORT", [*l7, settings.route(one, "app.test")]), "max_connections": 500},
                settings.listener("[::1]:PORT_SIX", [settings.route(one, "app.test")]),
            ],
        }
        installed = install(tomlkit.dumps(tables))
        edge, address = installed.edge, (HOST, installed.edge.port())
        same = installed.version("same", {})
        later = newer_version(installed)
        held = [load.hold(address, "app.test", count=4), load.hold(("::1", edge.port("SIX")), "app.test", count=2)]
        arriving = [
            load.arrive(address, "app.test", clients=4),
            load.arrive(("::1", edge.port("SIX")), "app.test", clients=2),
        ]
        sock = tls_socket(address, "ws.test", "http/1.1")
        tunnel = upgrade(sock, "ws.test")
        reader = Reader(tunnel)
        with H2Client(address, "slow.test") as peer:
            stream = peer.begin("GET", "/")
            connection, request = slow.request()
            connection.respond(request, 200, [("content-length", "8")])
            connection.send(request, b"half")
            for program, version in ((same, __version__), (ROOT, __version__), (same, __version__), (later, NEWER)):
                installed.use(program)
                before = control(edge)
                told = ctl(edge, "restart", "--json")
                assert told.status == 0, told.stderr
                assert json.loads(told.stdout)["version"] == version
                wait_gone(before)
                for traffic in arriving:
                    traffic.wait_finished(50)
                tunnel.send(frame(TEXT, program.name.encode()))
                assert reader.frame() == Frame(TEXT, program.name.encode())
            installed.use(ROOT)
            told = ctl(edge, "restart")
            assert told.status == 1
            assert f"newer mcproxy (schema {LATEST + 1}, this one knows {LATEST})" in told.stderr
            connection.send(request, b"full")
            connection.end(request)
            assert peer.receive(stream).body == b"halffull"
            assert peer.goaways
        sock.close()
        assert not [result for traffic in (*held, *arriving) for result in traffic.stop() if result.error]
        end_control(edge)


def test_a_restart_that_is_killed_at_any_moment_is_no_loss(install: Install, load: Load) -> None:
    """The new program is killed while it starts: the old one goes on. The old one is: whoever starts next takes over."""
    moments = random.Random(14)
    edge = install(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1m")).edge
    address = HOST, edge.port()
    held = load.hold(address, "app.test", count=4)
    arriving = load.arrive(address, "app.test", clients=4)
    for number in range(8):
        interrupt(edge, moments.uniform(0, 2.0), kill_new=number % 2 == 0)
        until(lambda: ctl(edge, "status").status == 0, "one serves")
        arriving.wait_finished(50)
    results = [result for traffic in (held, arriving) for result in traffic.stop()]
    assert not [result for result in results if result.error]
    end_control(edge)


def interrupt(edge: Proxy, moment: float, *, kill_new: bool) -> None:
    """Begin a restart and kill one of both controls after a time (seconds); see that one serves afterwards."""
    serving, since = control(edge), edge.mark()
    serving.send_signal(signal.SIGUSR2)
    wait_for_log(edge, "starting the new mcproxy", since=since)
    started: set[psutil.Process] = set()

    def look() -> bool:
        started.update(set(controls(edge)) - {serving})
        return len(started) == 1

    until(look, "the new program is started")
    (new,) = started
    time.sleep(moment)  # the moment is what is drawn; none is waited for
    victim = new if kill_new else serving
    victim.kill()
    until(lambda: victim not in controls(edge), "it is gone")
    if kill_new:
        until(
            lambda: "this mcproxy goes on" in edge.stderr[since:] or serving not in controls(edge),
            "the old one goes on, or has ended before",
        )
    else:
        until(lambda: lock_holder(edge) == new.pid or not controls(edge), "the new one has taken over, or has given up")
    if not controls(edge):
        edge.start()


def controls(edge: Proxy) -> list[psutil.Process]:
    """Return the controls that run; a child that one of them has forked is none before it runs its own program."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                str(edge.config) in process.cmdline()
                and process.status() != psutil.STATUS_ZOMBIE
                and not is_a_copy(process)
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError):
            continue
    return found


def is_a_copy(process: psutil.Process) -> bool:
    """Tell whether a process was forked and has run no program since (PF_FORKNOEXEC; proc(5), the flags in stat)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return bool(int(fields[6]) & FORKED_ONLY)


def test_a_program_that_hangs_is_given_up_after_20_seconds(install: Install, load: Load) -> None:
    """Before it says anything, or when its workers serve already: an error, and nothing is lost."""
    installed = install(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1m"))
    edge = installed.edge
    address = HOST, edge.port()
    held = load.hold(address, "app.test", count=4)
    arriving = load.arrive(address, "app.test", clients=4)
    before = {worker.pid for worker in edge.workers()}
    late = installed.version(
        "late",
        {
            "control/parts.py": (
                "        found = [await",
                "        import time\n        time.sleep(600)\n        found = [await",
            )
        },
    )
    for program in (installed.stub("import time\ntime.sleep(600)\n"), late):
        installed.use(program)
        told = ctl(edge, "restart")
        assert told.status == 1
        assert "the new mcproxy was not ready within 20 s" in told.stderr
        assert control(edge).pid == edge.pid
        until(lambda: {worker.pid for worker in edge.workers()} == before, "its own workers alone are left")
        arriving.wait_finished(50)
    installed.use(ROOT)
    assert ctl(edge, "restart").status == 0
    results = [result for traffic in (held, arriving) for result in traffic.stop()]
    assert not [result for result in results if result.error]
    end_control(edge)
    assert totals(edge)[f"{HOST}:{address[1]}"] == len(results)


def test_one_that_dies_when_it_has_taken_over_is_taken_over_from(install: Install, load: Load) -> None:
    """There is no way back then, and the command says so; the workers of both go on until the next control comes."""
    installed = install(config(listener("PORT", route("app.test", load.backend("one"))), shutdown_timeout="1m"))
    edge = installed.edge
    address = HOST, edge.port()
    held = load.hold(address, "app.test", count=4)
    arriving = load.arrive(address, "app.test", clients=4)
    installed.use(
        installed.version(
            "dies",
            {
                "control/main.py": (
                    "        await parts.current.keep(_restarted(earlier.offer))\n",
                    "        os._exit(9)\n",
                )
            },
        )
    )
    told = ctl(edge, "restart")
    assert told.status == 1
    assert "ended with status 9" in told.stderr
    assert edge.process.wait(20) == 0
    arriving.wait_finished(50)
    installed.use(ROOT)
    edge.start()
    wait_for_log(edge, "took over from an earlier control")
    arriving.wait_finished(50)
    assert not [result for traffic in (held, arriving) for result in traffic.stop() if result.error]
    end_control(edge)
