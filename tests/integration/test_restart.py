"""`mcproxyctl restart` and SIGUSR2: another control takes over, or this one goes on, and no client notices."""

import json
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcproxy import __version__
from mcproxy.control.store.migrations import LATEST
from tests.conftest import Install
from tests.support.certificates import Certificates
from tests.support.ctl import Result, run_ctl
from tests.support.endpoints import endpoints
from tests.support.lifecycle import apply, end, totals, wait_gone
from tests.support.load import Load, until
from tests.support.proxy import ROOT, Proxy
from tests.support.restart import control, end_control, wait_for_log
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"
NEWER = "99.1"
HANGS = "import time\ntime.sleep(600)\n"


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


def ctl(edge: Proxy, *args: str) -> Result:
    return run_ctl("--config", str(edge.config), *args)


def text(backend: int, head: str = "", **keys: int | str) -> str:
    return config(
        listener("PORT", route("app.test", backend)),
        head=f'[metrics]\naddr = "127.0.0.1:PORT_M"\n{head}',
        **{"shutdown_timeout": "1m", **keys},
    )


DOWN = 'check = { interval = "1h" }\nendpoints = ["127.0.0.1:1"]\n'
"""An endpoint that is known to be down by its first check, and not checked again; nothing listens at port 1."""


def down_since(edge: Proxy) -> float:
    """Return since when that endpoint is down; 0.0 while it is not known to be."""
    known = endpoints(edge).get(("api", "127.0.0.1:1"), {})
    return float(known["since"]) if known.get("verdict") == "down" else 0.0


def audited(edge: Proxy, outcome: str = "accepted") -> list[dict[str, Any]]:
    """Return what the audit has of restarts with an outcome, the newest first."""
    entries = json.loads(ctl(edge, "history", "--audit", "--json").stdout)
    return [entry for entry in entries if (entry["action"], entry["outcome"]) == ("Restart", outcome)]


def workers(pid: int) -> set[int]:
    """Return the workers that a control has started."""
    return {child.pid for child in psutil.Process(pid).children() if "mcproxy.worker" in child.cmdline()}


NEWS = {
    "__init__.py": (f'__version__ = "{__version__}"', f'__version__ = "{NEWER}"'),
    "net/ipc.py": (
        "Message: TypeAlias = Sockets |",
        "class News(msgspec.Struct, tag=True):\n    number: int = 1\n\n\nMessage: TypeAlias = News | Sockets |",
    ),
    "control/workers/process.py": (
        "        await self._send(ipc.Drain(seconds))",
        "        await self._send(ipc.News())\n        await self._send(ipc.Drain(seconds))",
    ),
    "worker/main.py": (
        "        self._link.send(ipc.Leaving())",
        "        self._link.send(ipc.News())\n        self._link.send(ipc.Leaving())",
    ),
}
"""A newer version, whose controls and workers have something to say that this one does not know."""


def test_a_restart_takes_over_everything(install: Install, certs: Certificates, load: Load) -> None:
    """A newer version in another folder, then back: connections, edits, addresses and generations go on.

    The service manager hears of the new process; the admin API and metrics answer when the command has returned; two
    restarts at once are one; what is known of endpoints is passed on; the newest control ends as any other. What only the newer version knows harms nobody: the workers
    of each drain under the control of the other, to the end of their connections.
    """
    leaf, own = certs.server(HOST), certs.client("deploy-bot")
    tls = f'addr = "{HOST}:PORT_G"\ntls_cert = "{leaf.certificate}"\ntls_key = "{leaf.key}"\nclient_ca = "{certs.ca}"\n'
    installed = install(text(load.backend("one"), f"[grpc]\n{tls}[upstreams.api]\n{DOWN}"))
    edge = installed.edge
    until(lambda: down_since(edge) > 0, "an endpoint is known to be down")
    known = down_since(edge)
    remote = (
        *("--addr", f"{HOST}:{edge.port('G')}", "--tls-ca", str(certs.ca)),
        *("--tls-cert", str(own.certificate), "--tls-key", str(own.key)),
    )
    newer = installed.version("newer", NEWS)
    address = HOST, edge.port()
    held = [load.hold(address, "app.test", count=2)]
    arriving = load.arrive(address, "app.test", pause=0.02)
    assert ctl(edge, "firewall", "add", "ip", "192.0.2.9").status == 0

    installed.use(newer)
    told = run_ctl(*remote, "restart", "--json", "--author", "me", "--reason", "security update")
    assert told.status == 0, told.stderr
    answer = json.loads(told.stdout)
    assert edge.process.wait(20) == 0
    first = control(edge)
    assert (answer["pid"], answer["version"]) == (first.pid, NEWER)
    assert f"MAINPID={first.pid}" in edge.notifications()
    until(lambda: edge.notifications()[-1] == "READY=1", "the service manager knows that it serves")
    assert first.pid != edge.pid
    for where in (remote, ("--config", str(edge.config))):
        assert json.loads(run_ctl(*where, "status", "--json").stdout)["version"] == NEWER
    with urllib.request.urlopen(f"http://{HOST}:{edge.port('M')}/readyz", timeout=10) as ready:
        assert ready.status == 200
    assert down_since(edge) == known
    assert "192.0.2.9" in ctl(edge, "firewall", "list").stdout
    assert ctl(edge, "firewall", "add", "ip", "192.0.2.10").status == 0
    held.append(load.hold(address, "app.test"))
    arriving.wait_finished(10)

    installed.use(ROOT)
    since = edge.mark()
    first.send_signal(signal.SIGUSR2)
    wait_gone(first)
    wait_for_log(edge, rf"\] serving .*version={re.escape(__version__)}\b", since=since)
    second = control(edge)
    until(lambda: json.loads(ctl(edge, "status", "--json").stdout)["pid"] == second.pid, "the newest answers")
    assert json.loads(ctl(edge, "status", "--json").stdout)["generation"] > answer["generation"]
    assert {"192.0.2.9", "192.0.2.10"} <= set(re.findall(r"192\.0\.2\.\d+", ctl(edge, "firewall", "list").stdout))
    assert down_since(edge) == known
    held.append(load.hold(address, "app.test"))
    arriving.wait_finished(10)
    (by_signal, by_call) = audited(edge)
    assert (by_call["author"], by_call["verified"], by_call["reason"]) == ("deploy-bot", True, "security update")
    assert (by_signal["author"], by_signal["verified"], by_signal["reason"]) == ("", False, "SIGUSR2")
    assert [one["target"] for one in (by_call, by_signal)] == [
        f"mcproxy {__version__} -> {NEWER}",
        f"mcproxy {NEWER} -> {__version__}",
    ]
    assert not [result for traffic in (*held, arriving) for result in traffic.stop() if result.error]
    assert "a message of control was refused" not in edge.stderr
    assert re.search("a worker of another version says what is not known here .*what=News", edge.stderr)
    end_control(edge)


def test_what_can_not_take_over_changes_nothing(install: Install, load: Load) -> None:
    """An invalid file, other settings, programs that end, die at the last moment or know less of the database: all refused.

    The error says why, the exit status is 1, the same control and workers serve on, and edits can be made.
    """
    good = text(load.backend("one"))
    installed = install(good)
    edge = installed.edge
    address = HOST, edge.port()
    before = workers(edge.pid)
    held = load.hold(address, "app.test", count=2)
    older = installed.version(
        "older", {"control/store/migrations.py": ("LATEST = len(MIGRATIONS)", f"LATEST = {LATEST - 1}")}
    )
    late = installed.version(
        "late", {"control/parts.py": ("        found = [await", "        os._exit(7)\n        found = [await")}
    )

    def refused(program: Path) -> str:
        installed.use(program)
        told = ctl(edge, "restart")
        assert (told.status, told.stdout) == (1, "")
        return told.stderr

    edge.save(good + "[prox]\n")
    line = good.count("\n") + 1
    assert f"mc-proxy.toml:{line}:2: error: prox: unknown key" in refused(ROOT)
    edge.save(good.replace("[proxy]", '[database]\npath = "other.db"\n[proxy]'))
    assert "database.path is" in refused(ROOT)
    edge.save(good)
    assert "ended with status 3 before it was ready" in refused(installed.stub("raise SystemExit(3)\n"))
    assert f"newer mcproxy (schema {LATEST}, this one knows {LATEST - 1})" in refused(older)
    assert "ended with status 7 before it was ready" in refused(late)
    assert len(audited(edge, "refused")) == 5
    assert audited(edge) == []
    assert "ended with status 7 before it was ready" in audited(edge, "refused")[0]["detail"]
    assert control(edge).pid == edge.pid
    until(lambda: edge.notifications()[-1] == "READY=1", "the service manager knows that it goes on")
    assert workers(edge.pid) >= before
    assert ctl(edge, "firewall", "add", "ip", "192.0.2.9").status == 0
    assert not [result for result in held.stop() if result.error]
    assert load.once(address, "app.test").backend == "one"
    # the workers that the last of them had started have drained
    until(lambda: set(workers(edge.pid)) == {p.pid for p in edge.workers()} == before, "only its own workers are left")
    apply(edge, good.replace("workers = 2", "workers = 3"))  # each acknowledges, and there is a slot for one more
    assert len(edge.workers()) == 3
    assert "came late" not in edge.stderr  # none of them had outlived its control
    assert end(edge) == 0


def test_sigterm_ends_a_restart_and_the_proxy(install: Install, load: Load) -> None:
    """After one restart, in another whose program hangs: a third is refused, SIGTERM drains as ever, and all is ended.

    The counts are those of all connections since the first start: both versions are the same.
    """
    installed = install(text(load.backend("one")))
    edge = installed.edge
    address = HOST, edge.port()
    held = load.hold(address, "app.test", count=2)
    done = [load.once(address, "app.test") for _ in range(5)]
    assert ctl(edge, "restart").status == 0
    done += [load.once(address, "app.test") for _ in range(5)]
    serving = control(edge)
    installed.use(installed.stub(HANGS))
    since = edge.mark()
    serving.send_signal(signal.SIGUSR2)
    wait_for_log(edge, "starting the new mcproxy", since=since)
    third = ctl(edge, "restart")
    assert third.status == 1
    assert "is being restarted or stopped already" in third.stderr
    assert [one["reason"] for one in audited(edge)] == [""]
    assert ["stopped already" in one["detail"] for one in audited(edge, "refused")] == [True]
    serving.send_signal(signal.SIGTERM)
    wait_for_log(edge, r"draining *connections=2", since=since)
    results = [*held.stop(), *done]
    assert not [result for result in results if result.error]
    wait_gone(serving)
    assert not edge.process.descendants()
    assert edge.notifications()[-1] == "STOPPING=1"
    assert totals(edge)[f"{HOST}:{address[1]}"] == len(results) == 12
