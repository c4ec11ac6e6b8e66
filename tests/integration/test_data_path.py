"""Which data path relays: as the setting says, told everywhere, and changed at a reload without touching what is open."""

import os
import re
import select
import socket
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.admin import client
from tests.support.data_paths import NO_CORE
from tests.support.l4 import HELLO, RawBackend, config, serve, wait_for
from tests.support.processes import ProcessError, Processes
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.tls import receive_exactly

METRICS = '[metrics]\naddr = "127.0.0.1:PORT_M"\n'

Start = Callable[..., Proxy]


@pytest.fixture
def backend() -> Iterator[RawBackend]:
    with RawBackend() as backend:
        yield backend


@pytest.fixture
def start(processes: Processes, backend: RawBackend, short_folder: Path) -> Iterator[Start]:
    """Start a proxy that leads to the backend, with a setting, in an environment."""
    require("cc", "gcc")  # the core was compiled before the tests began
    proxies: list[Proxy] = []

    def start(data_path: str, environment: Mapping[str, str] | None = None) -> Proxy:
        proxies.append(Proxy(processes, short_folder, text(backend, data_path), environment=environment))
        proxies[-1].start()
        return proxies[-1]

    yield start
    for each in proxies:
        each.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Proxy]:
    with serve(config({"l4.test": "127.0.0.1:9"})) as served:
        yield served


def text(backend: RawBackend, data_path: str) -> str:
    return config({"l4.test": f"127.0.0.1:{backend.port}"}, data_path=data_path) + METRICS


def told(proxy: Proxy) -> tuple[str, str]:
    """Return what status says, and check that metrics say the same."""
    status = client(proxy).get_status()
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.port('M')}/metrics", timeout=30) as answer:
        (label,) = re.findall(r'mcproxy_build_info\{.*data_path="(\w+)"', answer.read().decode())
    assert label == status.data_path
    return status.data_path, status.data_path_reason


def await_data_path(proxy: Proxy, name: str) -> None:
    wait_for(lambda: client(proxy).get_status().data_path == name)


def sockets_of_the_core(proxy: Proxy) -> int:
    """Return how many sockets of connections the core watches: edge-triggered, and by something else than their numbers."""
    (worker,) = proxy.workers()
    found = 0
    for link in Path(f"/proc/{worker.pid}/fd").iterdir():
        if os.readlink(link) == "anon_inode:[eventpoll]":  # noqa: PTH115 - these links lead nowhere
            info = Path(f"/proc/{worker.pid}/fdinfo/{link.name}").read_text(encoding="utf-8")
            for number, events, data in re.findall(r"tfd: +(\d+) events: +(\w+) data: +(\w+)", info):
                found += int(data, 16) & 0xFFFF_FFFF != int(number) and int(events, 16) & select.EPOLLET != 0
    return found


def talk(near: socket.socket, far: socket.socket) -> None:
    near.sendall(b"there")
    assert receive_exactly(far, 5) == b"there"
    far.sendall(b"back")
    assert receive_exactly(near, 4) == b"back"


def test_a_reload_changes_who_relays(start: Start, backend: RawBackend) -> None:
    """Both ways, in the same worker: what is open stays where it is, what comes goes the other way, and all of it ends in time.

    Everything that tells of it agrees. A worker that has nothing to relay, or does it in Python, has no native code in its process.
    """
    proxy = start("python")
    assert '"data_path": "python"' in proxy.stderr
    maps = Path(f"/proc/{proxy.workers()[0].pid}/maps")
    assert "/mcproxy/native/core-" not in maps.read_text(encoding="utf-8")
    proxy.save(text(backend, "native").replace("[[listeners]]\n", '[[listeners]]\nprotocol = "http"\n'))
    await_data_path(proxy, "native")
    assert told(proxy) == ("native", "")
    assert "/mcproxy/native/core-" not in maps.read_text(encoding="utf-8")
    pairs = []
    for setting, sockets in (("python", 0), ("native", 2), ("python", 2), ("auto", 4)):
        proxy.save(text(backend, setting))
        await_data_path(proxy, setting.replace("auto", "native"))
        assert told(proxy) == (setting.replace("auto", "native"), "")
        pairs.append(backend.join(("127.0.0.1", proxy.port())))
        for pair in pairs:
            talk(*pair)
        assert sockets_of_the_core(proxy) == sockets
    assert len(proxy.workers()) == 1
    found = client(proxy).list_connections().connections
    assert sorted(one.client for one in found) == sorted(f"127.0.0.1:{near.getsockname()[1]}" for near, _ in pairs)
    assert {one.stage for one in found} == {"relay"}
    assert proxy.stop() == 0
    for near, _ in pairs:
        assert near.recv(1) == b""


def test_without_the_core_python_relays(start: Start, backend: RawBackend) -> None:
    """As `auto` is the default; status says why, and a reload that asks for the core is refused with what to do."""
    proxy = start("auto", NO_CORE)
    used, why = told(proxy)
    assert (used, why) == (
        "python",
        "it can't be loaded: /nowhere/core.so: cannot open shared object file: No such file or directory",
    )
    pair = backend.join(("127.0.0.1", proxy.port()))
    proxy.save(text(backend, "native"))
    proxy.wait_for_log("proxy.data_path: the native core can't be used")
    talk(*pair)
    assert told(proxy) == (used, why)
    proxy.save(text(backend, "python"))
    wait_for(lambda: client(proxy).get_status().data_path_reason == "")
    assert told(proxy) == ("python", "")


def test_who_insists_on_the_core_is_told_that_there_is_none(start: Start) -> None:
    """At the start, with the line of the file, why, and what to do."""
    with pytest.raises(ProcessError, match=r"mc-proxy\.toml:\d+:\d+: error: proxy\.data_path: .*Install a C compiler"):
        start("native", NO_CORE)


def test_a_worker_that_can_not_use_the_core_relays_by_itself(start: Start, backend: RawBackend) -> None:
    """As one of another version, which control starts from a program that was replaced beneath it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(
            "import sys\n"
            "if any('mcproxy.worker' in word for word in sys.orig_argv):\n"
            "    import mcproxy.net.native.sources as sources\n"
            "    sources.digest = lambda folder=None: 'another'\n",
            encoding="utf-8",
        )
        proxy = start("auto", {"PYTHONPATH": os.pathsep.join([folder, str(Path(__file__).parents[2])])})
        proxy.wait_for_log("the Python data path serves here: .* was compiled from other sources")
        talk(*backend.join(("127.0.0.1", proxy.port()), HELLO))
        assert sockets_of_the_core(proxy) == 0
        assert told(proxy) == ("native", "but 1 of 1 workers in Python: the log says why")


@pytest.mark.both_data_paths
def test_tests_of_both_data_paths_run_on_both(shared: Proxy, data_path: str) -> None:
    """Proxies that a module shares are of the data path that the test is told, and so are their workers."""
    (worker,) = shared.workers()
    loaded = Path(f"/proc/{worker.pid}/maps").read_text(encoding="utf-8")
    assert client(shared).get_status().data_path == ("python" if data_path == "python" else "native")
    assert ("/core-" in loaded) == (data_path != "python")
    assert ("/libasan" in loaded and "/core-sanitized" in loaded) == (data_path == "sanitized")
