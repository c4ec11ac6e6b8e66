"""`mcproxy demo --trust`: four mistakes that are valid TOML, each of which a test in the file refuses or the guard undoes."""

import http.client
import socket
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from mcproxy.cli.demo.server import Record, Server
from mcproxy.cli.demo.site import TlsBackend
from mcproxy.cli.demo.text import Checks, wrapped
from mcproxy.client import Client
from mcproxy.control.files.certificates import make_ca

_NAME = "shop.localhost"
_CONFIG = """\
[log]
format = "json"

[proxy]
workers = 1
shutdown_timeout = "1s"

[guard]
watch = "30s"
min_requests = 10

[filters.site]
set_response_headers = {{ X-Frame-Options = "DENY" }}
block_cidrs = ["198.51.100.0/24"]

[[listeners]]
addr = "127.0.0.1:{port}"
protocol = "http"
use = ["site"]

[[listeners.routes]]
hostname = "shop.localhost"
backend = "127.0.0.1:{backend}"
backend_tls = true
backend_ca = "ca.crt"
backend_server_name = "shop.localhost"

[[tests]]
name = "no other site frames the shop"
request = "GET http://shop.localhost:{port}/"
expect = {{ route = "shop.localhost", header = {{ X-Frame-Options = "DENY" }} }}

[[tests]]
name = "the office can buy"
request = "GET http://shop.localhost:{port}/"
ip = "198.18.0.7"
expect = {{ step = "backend" }}

[[tests]]
request = "GET http://shop.localhost:{port}/"
ip = "198.51.100.9"
expect = {{ status = 403, refused_by = "site" }}
"""
_CLIENTS = 12  # that ask at once
_PATIENCE = 40.0  # seconds; on a machine that is not busy it takes one or two


def demo() -> int:
    """Make the mistakes; 0 when each was refused or undone."""
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="mcproxy-demo-") as folder, ExitStack() as stack:
        tour = _Tour(Path(folder), stack, checks)
        tour.run()
        return checks.end()


class _Tour:
    """The mistakes."""

    def __init__(self, folder: Path, stack: ExitStack, checks: Checks) -> None:
        self._checks = checks
        ca, other = make_ca("mcproxy demo CA"), make_ca("another CA")
        (folder / "ca.crt").write_bytes(ca.certificate)
        (folder / "other-ca.crt").write_bytes(other.certificate)
        backend = TlsBackend("the shop", [_NAME], ca, folder)
        stack.callback(backend.close)
        with ExitStack() as ports:
            free = [ports.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            self._port, self._dead = (each.getsockname()[1] for each in free)
        self._backend = backend.port
        self._config = folder / "mc-proxy.toml"
        self._good = _CONFIG.format(port=self._port, backend=backend.port)
        self._save(self._good)
        self._server = Server(self._config)
        stack.callback(self._server.stop)

    def run(self) -> None:
        """Make one mistake after the other; the shop answers all the time, or again within seconds."""
        self._server.wait_for("serving")
        print(f"mcproxy serves {self._config}.")
        print("Its [[tests]] say what has to come of requests, its [guard] watches each reload.\n")
        self._checks.check(f"http://{_NAME}: {self._ask()}", self._ask().startswith("200 the shop answers"))

        print("\n1. A wrong header rule: somebody allows frames. A test refuses the file:")
        self._refused('"DENY"', '"SAMEORIGIN"', "expected X-Frame-Options: DENY")
        print("\n2. A block rule that is too wide, /8 for /24. Another test refuses it:")
        self._refused("198.51.100.0/24", "198.0.0.0/8", "got status 403 at allow")
        print(
            "\n3. A wrong port. No test can know that nothing listens there; the guard sees\n   that requests fail, and undoes what the file has changed:"
        )
        self._undone(f":{self._backend}", f":{self._dead}")
        print("\n4. A wrong certificate: the CA that has not signed that of the backend:")
        self._undone("ca.crt", "other-ca.crt")

        print("\n5. Who has made the route what it is?   mcproxyctl blame route ...")
        with Client(config=self._config) as client:
            for key in client.blame("route", [f"127.0.0.1:{self._port}", _NAME]).keys:
                by = key.by
                told = f"{key.name} = {key.value_json}: generation {by.generation}, {by.origin}"
                print(self._shown(f"{told}, {by.place or by.author}"))
            print("   The file is mended, and wins; nothing differs from it any more:")
            self._save(self._good)
            until = time.monotonic() + _PATIENCE
            while client.get_drift().differences and time.monotonic() < until:
                time.sleep(0.05)
            self._checks.check("mcproxyctl drift: none", not client.get_drift().differences)
            self._checks.check(f"http://{_NAME}: {self._ask()}", self._ask().startswith("200"))

    def _refused(self, right: str, wrong: str, told: str) -> None:
        """Save a mistake, and show that it is refused."""
        self._save(self._good.replace(right, wrong, 1))
        errors = _errors(self._server.wait_for("invalid configuration, nothing changed"))
        for error in errors[:-1]:
            print(self._shown(error))
        self._checks.check(
            f"http://{_NAME}: {self._ask()}", any(told in error for error in errors) and self._ask()[:3] == "200"
        )
        self._save(self._good)
        self._server.wait_for("the file was read again: no changes")

    def _undone(self, right: str, wrong: str) -> None:
        """Save a mistake, ask on until the guard has undone it, and show how long that took."""
        self._save(self._good.replace(right, wrong, 1))
        self._server.wait_for("applied")
        live = time.monotonic()
        with ThreadPoolExecutor(_CLIENTS) as clients:
            answers = list(clients.map(lambda _: self._ask(), range(_CLIENTS)))
            first = answers[0]
            print(wrapped(f"http://{_NAME}: {first}"))
            while time.monotonic() - live < _PATIENCE and not answers[-1].startswith("200"):
                answers += clients.map(lambda _: self._ask(), range(_CLIENTS))
        took = time.monotonic() - live
        failed = sum(not answer.startswith("200") for answer in answers)
        for event in [record["event"] for record in self._server.wait_for("generation ", begins=True)]:
            if "by guard" in event:
                print(self._shown(event))
        answer = self._ask()
        good = first.startswith("502") and answer.startswith("200")
        self._checks.check(f"http://{_NAME}: {answer}   (after {took:.1f} s and {failed} requests)", good)

    def _shown(self, text: str) -> str:
        """Return a message with paths from the folder of the file."""
        return wrapped(text.replace(f"{self._config.parent}/", ""))

    def _ask(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": f"{_NAME}:{self._port}"})
            response = connection.getresponse()
            first = response.read().decode().splitlines()[0]
            return f"{response.status} {first.removeprefix(str(response.status)).strip()}"
        except OSError as error:
            return f"failed: {error}"
        finally:
            connection.close()

    def _save(self, text: str) -> None:
        new = self._config.with_suffix(".new")
        new.write_text(text)
        new.replace(self._config)


def _errors(records: Sequence[Record]) -> list[str]:
    return [record["event"] for record in records if record["level"] == "error"]
