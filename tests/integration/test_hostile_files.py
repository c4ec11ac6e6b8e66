"""Files that the configuration names and that have no end, or do not answer: nothing waits for them."""

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import tomlkit

from tests.conftest import StartProxy
from tests.support.bare_admin import Admin, unix
from tests.support.certificates import Certificates, Leaf
from tests.support.hung_folder import hung_folder
from tests.support.lifecycle import apply, end
from tests.support.load import until
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener, route

ADDR = "127.0.0.1:PORT"
REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


def text(*routes: Table, include: list[str] | None = None, **tables: Table) -> str:
    """Return a config with an L4 route and these."""
    found = {
        **({"include": include} if include else {}),
        "proxy": {"workers": 1, "shutdown_timeout": "1s"},
        "metrics": {"addr": "127.0.0.1:PORT_M"},
        **tables,
        "listeners": [listener(ADDR, [route(9, "first.test"), *routes])],
    }
    return tomlkit.dumps(found)


def l7(leaf: Leaf, **keys: object) -> Table:
    """Return an L7 route whose keys may be replaced."""
    pair = {"tls_cert": str(leaf.certificate), "tls_key": str(leaf.key)}
    return route(9, "l7.test", mode="l7", **{**pair, **keys})


def reload_succeeded(edge: Proxy) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.port('M')}/metrics", timeout=5) as answer:
        return "mcproxy_config_last_reload_successful 1.0" in answer.read().decode()


def block(admin: Admin, address: str) -> float:
    """Add a firewall rule; return how many seconds that took."""
    began = time.monotonic()
    admin.call("AddFirewallRule", type="ip", value=address)
    return time.monotonic() - began


def wanted(edge: Proxy, hostname: str, certificate: object, key: object) -> dict[str, Any]:
    """Return what a request for an L7 route says."""
    keys = {"tls_cert": str(certificate), "tls_key": str(key)}
    return {
        "listener": f"127.0.0.1:{edge.port()}",
        "hostname": hostname,
        "backend": "127.0.0.1:9",
        "mode": "l7",
        **keys,
    }


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


KINDS: dict[str, Callable[[Path], None]] = {
    "a FIFO": make_fifo,
    "a character device": make_device,
    "a socket": make_socket,
    "larger than": make_sparse,
    "Is a directory": Path.mkdir,
}


def test_what_has_no_end_is_refused_wherever_it_is_named(proxy: StartProxy, certs: Certificates) -> None:
    """By the file, an include or the API; control goes on with other changes, small, and ends when it is told to."""
    leaf = certs.server("l7.test")
    edge = proxy(text())
    kinds = {}
    for number, (kind, make) in enumerate(KINDS.items()):
        kinds[kind] = edge.folder / f"kind{number}"
        make(kinds[kind])
    with unix(edge) as admin:
        for number, (kind, path) in enumerate(kinds.items()):
            refused = admin.refused("AddRoute", timeout=10, **wanted(edge, "l7.test", str(path), str(leaf.key)))
            assert refused.code in REFUSED, refused
            assert kind in refused.message
            assert block(admin, f"192.0.2.{number + 1}") < 5
        fifo, device, sparse = str(kinds["a FIFO"]), str(kinds["a character device"]), str(kinds["larger than"])
        files: list[tuple[str, str]] = [
            ("tls_cert", text(l7(leaf, tls_cert=device))),
            ("tls_key", text(l7(leaf, tls_key=fifo))),
            ("backend_ca", text(l7(leaf, backend_tls=True, backend_ca=sparse))),
            ("firewall.geoip_db", text(firewall={"geoip_db": fifo})),
            ("firewall.geoip_db", text(firewall={"geoip_db": device})),
            ("cannot be read", text(include=["kind0"])),
            (
                "grpc.client_ca",
                text(
                    grpc={
                        "addr": "127.0.0.1:PORT_G",
                        "tls_cert": str(leaf.certificate),
                        "tls_key": str(leaf.key),
                        "client_ca": device,
                    }
                ),
            ),
        ]
        for key, wrong in files:
            since = edge.mark()
            edge.save(wrong)
            edge.wait_for_log(rf"error: .*{key}.*(FIFO|device|larger than)|{key}: it is a FIFO", since=since)
        assert not reload_succeeded(edge)
        since = edge.mark()
        os.replace(fifo, edge.config)  # noqa: PTH105 - a FIFO is no file to pathlib's users
        edge.wait_for_log(r"mc-proxy.toml:1:1: error: cannot be read: it is a FIFO", since=since)
        assert block(admin, "192.0.2.99") < 5
        assert "second.test" in apply(edge, text(route(9, "second.test")))
        assert reload_succeeded(edge)
    assert psutil.Process(edge.pid).memory_info().rss < 200 << 20
    assert end(edge, timeout=10) == 0


def test_a_file_system_that_does_not_answer_delays_nobody_else(proxy: StartProxy, certs: Certificates) -> None:
    """Reloads fail and say so, edits go on, a mended file is applied, and SIGTERM ends control while a file still hangs."""
    leaf = certs.server("l7.test")
    edge = proxy(text())
    hung = edge.folder / "hung"
    with hung_folder(hung) as answer, unix(edge) as admin:
        since = edge.mark()
        edge.save(text(l7(leaf, tls_cert=str(hung / "a.crt"))))
        edge.wait_for_log(r"hung/a.crt.*its file system does not answer", since=since, timeout=20)
        assert not reload_succeeded(edge)
        assert any("does not answer" in each for each in admin.call("GetStatus").last_reload.problems)
        assert block(admin, "192.0.2.1") < 3
        edge.signal(signal.SIGHUP)
        other = admin.call("AddRoute", timeout=10, **wanted(edge, "api.test", str(leaf.certificate), str(leaf.key)))
        assert other.generation
        assert "mended.test" in apply(edge, text(route(9, "mended.test")))
        assert reload_succeeded(edge)
        # while a request that names a hanging file is looked at, others are answered
        method = admin.begin("AddRoute", **wanted(edge, "l7.test", str(hung / "b.crt"), str(hung / "b.key")))
        assert block(admin, "192.0.2.2") < 3
        assert not method.done()
        with pytest.raises(grpc.RpcError) as refused:
            method.result(timeout=30)
        assert refused.value.code() in REFUSED
        assert "does not answer" in str(refused.value.details())

        since = edge.mark()
        edge.save(text(include=["hung/*.toml"]))
        until(lambda: not reload_succeeded(edge), "the include hangs", timeout=20)
        answer()  # the folder is empty then, and the pattern matches nothing
        edge.wait_for_log(r"applied|no changes", since=since, timeout=20)
        until(lambda: reload_succeeded(edge), "the file system answers again")
    with hung_folder(edge.folder / "again"):
        edge.save(text(firewall={"geoip_db": str(edge.folder / "again" / "countries")}))
        edge.wait_for_notification("RELOADING=1")
        assert end(edge, timeout=10) == 0
