"""`mcproxy demo`: a tour on loopback, with real backends, a real proxy and real edits of its file."""

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mcproxy.cli.common.render import print_plan
from mcproxy.cli.demo import edits as demo_edits
from mcproxy.cli.demo.l7 import L7
from mcproxy.cli.demo.server import Record, Server
from mcproxy.cli.demo.site import TlsBackend, Visitor, ask_on
from mcproxy.cli.demo.text import Checks, wrapped
from mcproxy.cli.demo.upstream import UpstreamTour
from mcproxy.control.files.certificates import make_ca

_CONFIG = """\
[log]
format = "json"

[metrics]
addr = "127.0.0.1:{metrics}"

[proxy]
workers = 2
shutdown_timeout = "2s"

[[listeners]]
addr = "127.0.0.1:{port}"

[[listeners.routes]]
hostname = "app.localhost"
backend = "127.0.0.1:{blue}"

[[listeners.routes]]
hostname = "*.dev.localhost"
backend = "127.0.0.1:{green}"
"""

_SHOP = """
[[listeners.routes]]
hostname = "shop.localhost"
backend = "127.0.0.1:{green}"
"""


def demo(*, once: bool) -> int:
    """Run the tour; then stay up until Ctrl-C, or with ``once`` return at once: 0 when all went as it should."""
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="mcproxy-demo-") as folder, ExitStack() as stack:
        tour = Tour(Path(folder), stack, checks)
        try:
            tour.run()
            if not once:
                tour.stay()
        finally:
            tour.end()
        return checks.end()


class Tour:
    """The steps."""

    def __init__(self, folder: Path, stack: ExitStack, checks: Checks) -> None:
        self._checks = checks
        self._config = folder / "mc-proxy.toml"
        ca = make_ca("mcproxy demo CA")
        self._ca = folder / "ca.crt"
        self._ca.write_bytes(ca.certificate)
        names = ("app.localhost", "*.dev.localhost", "shop.localhost")
        blue, green = (TlsBackend(title, names, ca, folder) for title in ("blue", "green"))
        stack.callback(blue.close)
        stack.callback(green.close)
        self._l7 = L7(folder, ca, stack)
        self._upstream = UpstreamTour(ca, folder)
        stack.callback(self._upstream.close)
        port, metrics = _free_ports(2)
        self._ports = {"port": port, "metrics": metrics, "blue": blue.port, "green": green.port}
        self._visitor = Visitor(self._ca, self._ports["port"])
        self._save(_CONFIG.format(**self._ports) + self._l7.routes)
        self._server = Server(self._config)

    def run(self) -> None:
        """Show routing, HTTP, an edit, a broken edit, a killed worker, a runtime edit and a backend that dies."""
        started = self._server.wait_for("serving")[-1]
        workers = ", ".join(map(str, started["workers"]))
        print(f"Status page: http://127.0.0.1:{self._ports['metrics']}/")
        print(f"mcproxy serves {self._config}")
        print(f"on 127.0.0.1:{self._ports['port']} with the workers {workers}.")
        print(f"Two TLS backends, blue (port {self._ports['blue']}) and green ({self._ports['green']}), hold the keys;")
        print("for their names the proxy holds none: it reads the server name and passes\nthe bytes on.\n")
        self._step("exact route", "blue", "app.localhost")
        self._step("wildcard route", "green", "api.dev.localhost")
        self._step("no route: reset, nothing leaks", None, "shop.localhost")
        print("\n1. Routes with mode = l7: TLS ends at the proxy, which speaks HTTP on both\n   sides:")
        self._l7.visit(self._visitor, self._checks.check)
        with self._long_connection() as still_blue:
            self._edit(_SHOP)
            self._step("served at once", "green", "shop.localhost")
            self._change_app()
            self._step("new connections go to green", "green", "app.localhost")
            self._checks.check("the connection opened before the edits still talks to blue", still_blue())
        self._break_file()
        self._step("still served", "green", "shop.localhost")
        self._kill_worker(started["workers"][0])
        for _ in range(20):
            self._visitor.ask("app.localhost")
        print("   20 new connections, none refused")
        self._edit_at_run_time()
        self._lose_an_endpoint()

    def stay(self) -> None:
        """Print what to try, and wait for Ctrl-C."""
        port = self._ports["port"]
        script = Path(sys.executable).with_name("mcproxyctl")
        ctl = "mcproxyctl" if script.exists() else f"{sys.executable} -m mcproxy.cli.ctl"
        print(f"""
The proxy stays up. Try it from another terminal:
  curl --cacert {self._ca} https://app.localhost:{port}/
  curl --cacert {self._ca} https://any.dev.localhost:{port}/
  curl --cacert {self._ca} --http2 https://web.localhost:{port}/
  curl --cacert {self._ca} -N https://web.localhost:{port}/events
  $EDITOR {self._config}        each save is applied at once
  export MCPROXY_CONFIG={self._config}
  {ctl} status
  {ctl} routes list
  {ctl} history
The status page is http://127.0.0.1:{self._ports["metrics"]}/
Ctrl-C ends it.""")
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for record in self._server.lines():
                print(wrapped(record["event"]))
        except KeyboardInterrupt:
            print()
        finally:
            signal.signal(signal.SIGTERM, previous)

    def end(self) -> None:
        """Stop the proxy and show what it counted."""
        for record in self._server.stop():
            if record["event"] == "totals":
                refused = record["refused"] or "none"
                print(f"\nCounted on {record['listener']}: {record['accepted']} accepted, refused by reason: {refused}")

    def _step(self, what: str, expected: str | None, name: str) -> None:
        try:
            answer = self._visitor.ask(name)
        except ConnectionResetError:
            answer = "connection reset"
        except OSError as error:
            answer = f"failed: {error}"
        print(wrapped(f"https://{name}: {answer}   ({what})"))
        wanted = "connection reset" if expected is None else f"{expected} answers"
        if not answer.startswith(wanted):
            self._checks.surprise(f"expected: {wanted}")

    @contextmanager
    def _long_connection(self) -> Iterator[Callable[[], bool]]:
        connection = self._visitor.connect("app.localhost")
        try:
            ask_on(connection)
            yield lambda: ask_on(connection).startswith("blue")
        finally:
            connection.close()

    def _edit(self, addition: str) -> None:
        print("\n2. The file gets a new route. The plan, as the proxy logs it:")
        self._save(self._config.read_text() + addition.format(**self._ports))
        self._show_plan()

    def _change_app(self) -> None:
        print("\n3. A route gets another backend:")
        self._save(self._config.read_text().replace(f":{self._ports['blue']}", f":{self._ports['green']}"))
        self._show_plan()

    def _break_file(self) -> None:
        print("\n4. A mistake in the file changes nothing, and the log says where it is:")
        good = self._config.read_text()
        self._save(good.replace("backend", "bakend", 1))
        for record in self._server.wait_for("invalid configuration, nothing changed"):
            if record["level"] == "error":
                print(wrapped(record["event"]))
        self._save(good)
        self._server.wait_for("the file was read again: no changes")

    def _kill_worker(self, pid: int) -> None:
        print(
            f"\n5. A worker is killed (kill -9 {pid}); its listening sockets live on, and a new\n   one takes its place:"
        )
        os.kill(pid, signal.SIGKILL)
        died = self._server.wait_for("worker died, replacing it")[-1]
        print(wrapped(f"{died['event']}: pid {died['pid']} {died['how']}"))

    def _edit_at_run_time(self) -> None:
        print("\n6. A runtime edit, over the admin API:")
        edits = demo_edits.EditTour(self._config, self._ports["port"], self._ports["blue"], self._ports["green"])
        try:
            edits.add()
            self._server.wait_for("applied")
            self._step("served at once, and after a restart", "blue", demo_edits.NAME)
            self._checks.check("that is all that differs from the file", edits.drift() == 1)
            print("   Now the file says something about the same route, and wins:")
            self._save(self._config.read_text() + edits.declared)
            self._show_plan()
            self._step("as the file says", "green", demo_edits.NAME)
            ended = edits.last_record()
            self._checks.check(f"the edit is history: {ended}", ended.startswith("superseded"))
        finally:
            edits.close()

    def _lose_an_endpoint(self) -> None:
        print("\n7. An upstream: two backends for one name, each checked five times a second:")
        self._save(self._config.read_text() + self._upstream.added)
        self._show_plan()
        self._upstream.show(self._visitor, self._server, self._checks.check)

    def _show_plan(self) -> None:
        saved = time.monotonic()
        records = self._server.wait_for("applied")
        waited = time.monotonic() - saved
        print_plan(_plan_lines(records))
        print(f"   live {waited * 1000:.0f} ms after the save")

    def _save(self, text: str) -> None:
        new = self._config.with_suffix(".new")
        new.write_text(text)
        new.replace(self._config)


def _plan_lines(records: list[Record]) -> list[str]:
    events = (record["event"] for record in records)
    return [line for event in events if event[:2] in ("+ ", "~ ", "- ") for line in wrapped(event, "").splitlines()]


def _free_ports(count: int) -> list[int]:
    """Return that many ports of loopback; all are taken for a moment, so that they differ."""
    with ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]
