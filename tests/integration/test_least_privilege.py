"""What control and workers may do while they serve, and that they need no more than the systemd unit allows."""

import os
import pwd
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.support.admin import client
from tests.support.certificates import Certificates
from tests.support.endpoint import get, metric
from tests.support.http_clients import client as http_client
from tests.support.l7 import start_hypercorn
from tests.support.lifecycle import apply, wait_gone, wait_workers
from tests.support.load import Load, until
from tests.support.privileges import NET_BIND_SERVICE, Privileges, privileges_of
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy
from tests.support.require import missing, require
from tests.support.restart import control as serving
from tests.support.restart import end_control
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"
UNIT = ROOT / "mcproxy" / "assets" / "mcproxy.service"
USER = pwd.getpwnam("nobody")


@pytest.fixture(autouse=True)
def root() -> None:
    if os.getuid():
        missing("root", "run the tests as root")


@pytest.fixture
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


def text(certs: Certificates, l4: int, l7: int, extra: str = "", **proxy: int | str) -> str:
    """A route of each kind, the backends found by name, and a metrics endpoint."""
    leaf = certs.server("l7.test")
    return config(
        listener(
            "PORT",
            route("l4.test", f"localhost:{l4}"),
            route("l7.test", f"localhost:{l7}", mode="l7", tls_cert=str(leaf.certificate), tls_key=str(leaf.key)),
            extra,
        ),
        head=f'[metrics]\naddr = "{HOST}:PORT_M"',
        **proxy,
    )


def check_served(edge: Proxy, load: Load) -> None:
    """A connection of each kind."""
    assert not load.once((HOST, edge.port()), "l4.test").error
    for version in ("http/1.1", "h2"):
        with http_client(version, (HOST, edge.port()), "l7.test") as peer:
            assert peer.request("GET", "/echo").status == 200


def stepped_down(edge: Proxy) -> bool:
    """Tell whether all threads of both workers have the user's ids and groups, no capability anywhere, and can't gain one."""
    groups = frozenset(os.getgrouplist(USER.pw_name, USER.pw_gid))
    user = Privileges(frozenset({USER.pw_uid}), frozenset({USER.pw_gid}), groups, 0, 0, 0, 0, 0, no_new_privileges=True)
    return all(privileges_of(worker.pid) == {user} for worker in wait_workers(edge, 2))


def test_workers_of_a_named_user_may_nothing_but_what_that_user_may(
    proxy: StartProxy, processes: Processes, certs: Certificates, short_folder: Path, load: Load
) -> None:
    """Every thread of every worker, also of those started for one that died, and after a takeover or restart; they go on serving."""
    short_folder.chmod(0o711)  # the way to the socket of the next control
    app = start_hypercorn(processes, certs)
    l4 = load.backend("one")
    edge = proxy(text(certs, l4, app.port, user=USER.pw_name))
    edge.folder.chmod(0o711)
    check_served(edge, load)
    assert stepped_down(edge)  # before anything was accepted
    victim = wait_workers(edge, 2)[0]
    victim.kill()
    wait_gone(victim)
    wait_workers(edge, 2)
    until(lambda: stepped_down(edge), "the new worker is the user's, too")
    # key and certificate are root's, and come with the snapshot
    apply(edge, text(certs, l4, app.port, extra=route("more.test", l4), user=USER.pw_name))
    assert not load.once((HOST, edge.port()), "more.test").error
    edge.kill_control()
    edge.start()
    edge.wait_for_log("took over from an earlier control")
    check_served(edge, load)
    assert stepped_down(edge)
    edge.signal(signal.SIGUSR2)
    assert edge.process.wait(30) == 0
    check_served(edge, load)
    until(lambda: stepped_down(edge), "the workers of the next control are the user's, too")
    end_control(edge)


def test_what_the_unit_allows_is_enough(
    processes: Processes, certs: Certificates, short_folder: Path, load: Load
) -> None:
    """Under its filter of system calls and its capabilities, and without memory that is writable and executable.

    Both kinds of routes, names of backends, metrics, an edit over the API, a reload, the death of a worker, stack dumps,
    the death of control and the takeover, a restart, and the end.
    """
    require("systemd-analyze", "systemd")
    l4, l7 = load.backend("one"), start_hypercorn(processes, certs).port
    under = (sys.executable, "-m", "tests.support.confined", UNIT)
    with closing(Proxy(processes, short_folder, text(certs, l4, l7), under)) as edge:
        edge.start()
        (control,) = privileges_of(edge.pid)
        assert (control.effective, control.bounding, control.ambient) == (NET_BIND_SERVICE, NET_BIND_SERVICE, 0)
        assert control.no_new_privileges
        check_served(edge, load)
        assert get(edge.port("M"), "/").status == 200
        assert metric(edge.port("M"), "mcproxy_config_last_reload_successful") == 1
        with client(edge) as admin:
            admin.add_route(f"{HOST}:{edge.port()}", "edit.test", f"{HOST}:{l4}")
        assert not load.once((HOST, edge.port()), "edit.test").error
        apply(edge, text(certs, l4, l7, extra=route("more.test", l4)))
        assert not load.once((HOST, edge.port()), "more.test").error
        victim = wait_workers(edge, 2)[0]
        victim.kill()
        wait_gone(victim)
        wait_workers(edge, 2)
        edge.signal(signal.SIGQUIT)
        edge.wait_for_log("Current thread")
        edge.kill_control()
        edge.start()
        edge.wait_for_log("took over from an earlier control")
        check_served(edge, load)
        edge.signal(signal.SIGUSR2)
        assert edge.process.wait(30) == 0
        (control,) = privileges_of(serving(edge).pid)
        assert (control.effective, control.bounding, control.ambient) == (NET_BIND_SERVICE, NET_BIND_SERVICE, 0)
        check_served(edge, load)
        end_control(edge)


@pytest.mark.parametrize(
    "program",
    [
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
        "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "import os; os.setpriority(os.PRIO_PROCESS, 0, 1)",
        "import os; os.setuid(65534)",
        "import os; os.chroot('/')",
    ],
)
def test_the_confinement_of_these_tests_bites(processes: Processes, program: str) -> None:
    """What the unit forbids fails here as well; without the confinement root may do all of it."""
    require("systemd-analyze", "systemd")
    command = (sys.executable, "-c", f"{program}\nprint('done')")
    free = processes.start(*command)
    free.wait()
    assert "done" in free.stdout
    confined = processes.start(
        sys.executable, "-m", "tests.support.confined", UNIT, *command, env={"PYTHONPATH": str(ROOT)}
    )
    confined.wait()
    assert "Operation not permitted" in confined.stderr
