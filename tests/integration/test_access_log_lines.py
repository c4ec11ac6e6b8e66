"""The access log of a running proxy: what its lines say, where they go, and how it is turned on, off and around."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import h11
import tomlkit

from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.http_clients import H1Client, client, tls_socket
from tests.support.l4 import HELLO, RawBackend, wait_for
from tests.support.l7 import l7_route
from tests.support.proxy import Proxy
from tests.support.proxy_header import Names, v2
from tests.support.settings import Table, listener, route
from tests.support.status_backend import BODY, StatusBackend
from tests.support.tls import receive_exactly

ADDR = "127.0.0.1:PORT"


def config(*routes: Table, access: str = "access.log", **keys: object) -> str:
    proxy = {"workers": 2, "shutdown_timeout": "1s", "idle_timeout": "1s"}
    return tomlkit.dumps({"log": {"access": access}, "proxy": proxy, "listeners": [listener(ADDR, routes, **keys)]})


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="ascii") if path.exists() else ""
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def wait_for_lines(served: Proxy, count: int, name: str = "access.log") -> list[dict[str, Any]]:
    path = served.folder / name
    wait_for(lambda: len(lines(path)) >= count)
    found = lines(path)
    assert len(found) == count
    return found


def end_by_client(near: socket.socket, far: socket.socket) -> None:
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    far.close()


def end_by_backend(near: socket.socket, far: socket.socket) -> None:
    far.shutdown(socket.SHUT_WR)
    assert near.recv(1) == b""
    near.close()


def end_by_idleness(near: socket.socket, far: socket.socket) -> None:
    assert near.recv(1) == b""
    assert far.recv(1) == b""


def test_a_relayed_connection_is_told_when_it_is_over(proxy: StartProxy) -> None:
    """With the client that the PROXY header names, the bytes of both directions, and who ended it."""
    ends = [(end_by_client, "client_closed"), (end_by_backend, "backend_closed"), (end_by_idleness, "idle_timeout")]
    with RawBackend() as backend:
        served = proxy(config(route(backend.port, "*.test"), proxy_protocol=True))
        for number, (end, reason) in enumerate(ends):
            names = Names("2001:db8::7", 1234 + number, "2001:db8::1", 443)
            began = time.monotonic()
            near = backend.connect(("127.0.0.1", served.port()), v2(names) + HELLO + b"ping")
            far = backend.accept()
            receive_exactly(far, len(HELLO) + 4)
            far.sendall(b"pong!")
            receive_exactly(near, 5)
            end(near, far)
            line = wait_for_lines(served, number + 1)[number]
            assert 0 < line.pop("dial") <= line["total"] <= time.monotonic() - began
            del line["time"], line["total"]
            assert (line.pop("detail"), line.pop("tries")) == ("", 1)
            assert line.pop("endpoint") == f"127.0.0.1:{backend.port}"
            assert line == {
                "listener": served.fill_in(ADDR),
                "route": "*.test",
                "client": f"[2001:db8::7]:{1234 + number}",
                "sni": "l4.test",
                "mode": "l4",
                "protocol": "tls",
                "received": len(HELLO) + 4,
                "sent": 5,
                "upstream": "",
                "reason": reason,
            }


def test_each_request_is_told(proxy: StartProxy, certs: Certificates) -> None:
    """With its own trace, times and bytes; only the first of a connection had to wait for a handshake."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with StatusBackend() as backend:
        served = proxy(config(l7_route(certs, backend.port, backend_protocol="http/1.1")))
        for number, version in enumerate(["http/1.1", "h2"], start=1):
            with client(version, ("127.0.0.1", served.port()), "l7.test") as opened:
                fields = [("user-agent", 'a"b'), ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")]
                opened.request("POST", "/status/201", [*fields, ("cookie", "s3cret")], b"12345")
                opened.request("GET", "/status/200?s3cret", [("traceparent", "made up")])
                with contextlib.suppress(h11.RemoteProtocolError, OSError):  # HTTP/2 tells of it by a reset
                    opened.request("GET", "/cut")
            told = wait_for_lines(served, 3 * number)[-3:]
            for line in told:
                assert line["client"].startswith("127.0.0.1:")
                assert (line["route"], line["sni"], line["mode"]) == ("l7.test", "l7.test", "l7")
                assert (line["protocol"], line["authority"]) == (version, "l7.test")
                assert 0 <= line["dial"] <= line["first_byte"] <= line["total"]
            whole, empty, cut = told
            assert {key: line[key] for line in [whole] for key in ("method", "path", "user_agent", "trace_id")} == {
                "method": "POST",
                "path": "/status/201",
                "user_agent": 'a"b',
                "trace_id": trace,
            }
            assert [(line["received"], line["sent"]) for line in told] == [(5, len(BODY)), *[(0, len(BODY))] * 2]
            assert [line["status"] for line in told] == [201, 200, 200]
            assert [line["reason"] for line in told] == ["complete", "complete", "backend_error"]
            assert cut["detail"] == f"it ended the connection behind {len(BODY)} bytes of the body"
            assert {line["endpoint"] for line in told} == {f"127.0.0.1:{backend.port}"}
            assert len({line["id"] for line in told if re.fullmatch("[0-9a-f]{16}", line["id"])}) == 3
            assert {(line["tls_version"], line["grpc_status"], line["tries"]) for line in told} == {("TLSv1.3", "", 1)}
            assert told[0]["tls_cipher"].startswith("TLS_")
            assert (empty["path"], empty["user_agent"], empty["trace_id"]) == ("/status/200", "", "")
            assert told[0]["first_byte"] > 0
            assert whole["handshake"] > 0 == empty["handshake"] == cut["handshake"]
    assert "s3cret" not in (served.folder / "access.log").read_text()


def test_requests_without_an_answer_or_a_backend_are_told_with_the_reason(
    proxy: StartProxy, certs: Certificates
) -> None:
    """Of what could not be read, as much as is known."""
    policies = [{"type": "require_header", "value": "X-Key"}]
    with StatusBackend() as backend:
        served = proxy(
            config(
                l7_route(certs, backend.port, backend_protocol="http/1.1"),
                l7_route(certs, "unix:/nowhere", "dead.test"),
                l7_route(certs, backend.port, "strict.test", l7_policies=policies),
            )
        )
        address = ("127.0.0.1", served.port())
        with H1Client(address, "l7.test") as opened:
            opened.send_head("GET", "/hang")
            wait_for(lambda: backend.hanging == 1)
        wait_for_lines(served, 1)
        for number, hostname in enumerate(["dead.test", "strict.test"], start=2):
            with H1Client(address, hostname) as opened:
                opened.request("GET", "/")
            wait_for_lines(served, number)
        with tls_socket(address, "l7.test", "http/1.1") as sock:
            sock.sendall(b"GET /\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 400")
        with H1Client(address, "l7.test") as opened:
            opened.request("GET", "/hang")  # is answered when the time limit has come
        found = wait_for_lines(served, 5)
    told = [(line["status"], line["reason"], line["path"]) for line in found]
    assert told[:3] == [
        (0, "client_reset", "/hang"),
        (502, "backend_refused", "/"),
        (403, "require_header", "/"),
    ]
    assert (*told[3], found[3]["method"]) == (400, "bad_request_line", "/", "GET")
    assert (found[1]["detail"], found[1]["endpoint"], found[1]["tries"]) == (
        "there is no such socket",
        "unix:/nowhere",
        1,
    )
    assert told[4] == (504, "response_timeout", "/hang")


def test_a_rotated_log_is_opened_anew(proxy: StartProxy) -> None:
    """Renamed, the file goes on getting lines until SIGUSR1; those after it are in a new one, and no line is lost."""
    with RawBackend() as backend:
        served = proxy(config(route(backend.port)))
        path = served.folder / "access.log"

        def connect(times: int) -> None:
            for _ in range(times):
                near, far = backend.join(("127.0.0.1", served.port()))
                near.close()
                far.close()

        connect(4)
        wait_for_lines(served, 4)
        path.rename(path.with_suffix(".1"))
        connect(4)
        wait_for_lines(served, 8, "access.1")
        mark = served.mark()
        served.signal(signal.SIGUSR1)
        served.wait_for_log("opened anew", since=mark)
        wait_for(path.exists)
        workers = [worker.pid for worker in served.workers()]
        wait_for(lambda: all(_holds(pid, path) for pid in workers))
        connect(4)
        wait_for_lines(served, 4)
        wait_for_lines(served, 8, "access.1")
        path.rename(path.with_suffix(".2"))
        path.mkdir()
        mark = served.mark()
        served.signal(signal.SIGUSR1)
        served.wait_for_log("log.access: .*access.log can't be opened: Is a directory; it goes on", since=mark)
        connect(1)
        wait_for_lines(served, 5, "access.2")
        assert [worker.pid for worker in served.workers()] == workers


def _holds(pid: int, path: Path) -> bool:
    found = False
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found |= link.readlink() == path
    return found


def test_a_log_is_turned_on_moved_and_off_by_the_file(proxy: StartProxy) -> None:
    """One that can't be opened is refused with its key, and nothing changes."""
    with RawBackend() as backend:
        served = proxy(config(route(backend.port), access=""))

        def connect() -> None:
            near, far = backend.join(("127.0.0.1", served.port()))
            near.close()
            far.close()

        connect()
        for number, name in enumerate(["one.log", "two.log"]):
            mark = served.mark()
            served.save(config(route(backend.port), access=name))
            served.wait_for_log("applied", since=mark)
            connect()
            wait_for_lines(served, 1, name)
            assert len(list(served.folder.glob("*.log"))) == number + 1
        os.mkfifo(served.folder / "pipe")
        for name, message in [
            ("nowhere/x.log", "log.access.*there is no folder"),
            ("pipe/x.log", "log.access.*there is no folder"),
            ("pipe", "log.access: .*pipe can't be opened: No such device"),  # nobody reads it
        ]:
            mark = served.mark()
            served.save(config(route(backend.port), access=name))
            served.wait_for_log(message, since=mark)
            served.wait_for_log("nothing changed", since=mark)
        connect()
        wait_for_lines(served, 2, "two.log")
        mark = served.mark()
        served.save(config(route(backend.port), access=""))
        served.wait_for_log("applied", since=mark)
        connect()
        assert not any(_holds(worker.pid, served.folder / "two.log") for worker in served.workers())
        assert len(lines(served.folder / "two.log")) == 2


def test_standard_output_gets_the_lines_of_all_workers(proxy: StartProxy) -> None:
    """And nothing else."""
    with RawBackend() as backend:
        served = proxy(config(route(backend.port), access="-"))
        for _ in range(20):
            near, far = backend.join(("127.0.0.1", served.port()))
            near.close()
            far.close()
        wait_for(lambda: served.process.stdout.count("\n") == 20)
        assert {json.loads(line)["sni"] for line in served.process.stdout.splitlines()} == {"l4.test"}


def test_a_reader_that_stalls_does_not_stall_traffic(proxy: StartProxy) -> None:
    """A pipe whose reader has stopped reading fills up; connections go on, and the lines wait for a reader."""
    with RawBackend() as backend:
        served = proxy(config(route(backend.port), access=""))
        fifo = served.folder / "fifo"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        mark = served.mark()
        served.save(config(route(backend.port), access="fifo"))
        served.wait_for_log("applied", since=mark)
        for _ in range(200):
            near, far = backend.join(("127.0.0.1", served.port()))
            near.close()
            far.close()
        held = b""

        def read_on() -> bool:
            nonlocal held
            with contextlib.suppress(BlockingIOError):
                held += os.read(reader, 1 << 16)
            return held.count(b"\n") == 200

        wait_for(read_on, timeout=20)
        assert {json.loads(line)["reason"] for line in held.splitlines()} <= {"client_closed", "backend_closed"}
        os.close(reader)
