"""A file whose test fails is not made live; at the start it is served and told, or nothing is."""

import http.client
import json
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import tomlkit

from mcproxy.cli.server.app import main as server
from tests.conftest import StartProxy
from tests.support.ctl import run_command, run_ctl
from tests.support.endpoint import get
from tests.support.lifecycle import applied, apply, end
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy

CASE = '{ match = "/admin/*", respond = "no", status = 403 }'
GUARDED = '[[tests]]\nname = "admin is closed"\nrequest = "GET http://a.test:PORT/admin/x"\nexpect = { status = 403 }\n'


def text(respond: str, *, cases: str = CASE, tests: str = GUARDED) -> str:
    return f"""
[proxy]
workers = 1
[metrics]
addr = "127.0.0.1:PORT_M"
[[listeners]]
addr = "127.0.0.1:PORT"
protocol = "http"
[[listeners.routes]]
hostname = "*"
respond = "{respond}"
cases = [{cases}]
{tests}"""


def ctl(edge: Proxy, *args: str) -> tuple[int, str]:
    done = run_ctl(*args, "--addr", f"unix:{edge.folder / 'mc-proxy.sock'}")
    return done.status, done.stdout + done.stderr


def served(edge: Proxy, path: str = "/") -> str:
    return get(edge.port(), path).text


def page(edge: Proxy) -> str:
    return get(edge.port("M"), "/").text


def test_a_failing_test_refuses_a_reload(proxy: StartProxy) -> None:
    """Before anything is live; log, status and page name the line. Runtime edits are not tested, and not superseded by such a file."""
    edge = proxy(text("one"))
    assert served(edge) == "one"
    since = edge.mark()
    edge.save(text("two", cases=""))
    told = r"mc-proxy\.toml:\d+:\d+: error: expected status 403, got status 200 by route \* \(mc-proxy\.toml:9\), in the test"
    edge.wait_for_log(told, since=since)
    edge.wait_for_log("invalid configuration, nothing changed", since=since)
    assert (served(edge), served(edge, "/admin/x")) == ("one", "no")
    assert "expected status 403" in ctl(edge, "status")[1]
    assert "expected status 403" in page(edge)
    for command in ("reload", "plan", "restart"):
        status, said = ctl(edge, command)
        assert status != 0, command
        assert "expected status 403" in said, command
    assert (served(edge), served(edge, "/admin/x")) == ("one", "no")

    apply(edge, text("two"))
    assert served(edge) == "two"
    where = f"127.0.0.1:{edge.port()}"
    assert ctl(edge, "remove", "case", where, "*", "/admin/*")[0] == 0
    assert served(edge, "/admin/x") == "two"
    since = edge.mark()
    edge.save(text("three", cases=CASE.replace("no", "never"), tests=GUARDED.replace("403", "404")))
    edge.wait_for_log("expected status 404, got status 403", since=since)
    assert served(edge, "/admin/x") == "two"
    assert ctl(edge, "rollback", "1")[0] == 0
    assert served(edge) == "one"
    assert end(edge) == 0


def test_a_file_in_which_only_tests_change_is_no_generation(proxy: StartProxy) -> None:
    """The new ones hold from then on; what only an included file asks holds too."""
    edge = proxy(text("one"))
    generation = ctl(edge, "status", "--json")[1].partition('"generation"')[2].partition(",")[0]
    since = edge.mark()
    more = '[[tests]]\nrequest = "GET http://a.test:PORT/"\nexpect = { respond = "one" }\n'
    edge.save(text("one", tests=GUARDED + more))
    edge.wait_for_log("the file was read again: no changes", since=since)
    assert ctl(edge, "status", "--json")[1].partition('"generation"')[2].partition(",")[0] == generation
    since = edge.mark()
    edge.save(text("two", tests=GUARDED + more))
    edge.wait_for_log("expected the text 'one', got the text 'two' by route", since=since)
    assert served(edge) == "one"

    (edge.folder / "team.toml").write_text(edge.fill_in(more), encoding="utf-8")
    since = edge.mark()
    edge.save(f'include = ["team.toml"]\n{text("one")}')
    edge.wait_for_log("the file was read again: no changes", since=since)
    since = edge.mark()
    edge.save(f'include = ["team.toml"]\n{text("two")}')
    edge.wait_for_log(r"team\.toml:3:\d+: error: expected the text 'one'", since=since)
    assert served(edge) == "one"
    assert end(edge) == 0


def test_a_start_with_a_failing_test_serves_and_tells(proxy: StartProxy, processes: Processes) -> None:
    """A proxy that does not come up serves nobody. Touching the file changes nothing, another that fails is refused, and a restart works."""
    edge = proxy(text("one", cases=""))
    edge.wait_for_log(r"error: expected status 403, got status 200 by route")
    edge.wait_for_log("the configuration is served though tests in it fail")
    assert served(edge) == "one"
    assert "1 test of what is served FAIL" in ctl(edge, "status")[1]
    assert "Tests of the configuration that is served fail" in page(edge)
    since = edge.mark()
    edge.signal(signal.SIGHUP)
    edge.wait_for_log("the file was read again: no changes", since=since)
    assert "served though" not in edge.stderr[since:]
    since = edge.mark()
    edge.save(text("two", cases=""))
    edge.wait_for_log("invalid configuration, nothing changed", since=since)
    assert served(edge) == "one"
    assert "1 test of what is served FAIL" in ctl(edge, "status")[1]
    assert apply(edge, text("two"))
    until(lambda: "of what is served" not in ctl(edge, "status")[1], "nothing fails any more")
    until(lambda: "Tests of the configuration" not in page(edge), "nor on the page")
    assert end(edge) == 0

    edge.save(text("three", cases=""))
    strict = processes.start(
        *(sys.executable, "-m", "mcproxy", "serve", "--strict-tests", "--config", edge.config),
        env={"PYTHONPATH": str(ROOT)},
    )
    assert strict.wait(60) == 1
    assert "error: expected status 403" in strict.stderr
    assert "nothing is served" in strict.stderr
    edge.start("--strict-tests", "--last-good")
    edge.wait_for_log("invalid configuration, serving the last good state")
    assert (served(edge), served(edge, "/admin/x")) == ("two", "no")
    since = edge.mark()
    edge.save(text("four"))
    applied(edge, since)
    assert served(edge) == "four"
    assert end(edge) == 0


def test_a_restart_goes_on_with_what_is_served(proxy: StartProxy) -> None:
    """An upgrade is not held up by a test that has failed since the start."""
    edge = proxy(text("one", cases=""))
    status, said = ctl(edge, "restart")
    assert status == 0, said
    assert served(edge) == "one"
    until(lambda: "1 test of what is served FAIL" in ctl(edge, "status")[1], "the new control tells it too")


class Echo(BaseHTTPRequestHandler):
    """A backend that tells what it gets."""

    def do_GET(self) -> None:
        """Answer with path and headers, and headers that filters are about."""
        body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("X-A", "of the backend")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Do the same."""
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[int]:
    """Serve the backend; return its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


FILTERED = """
[proxy]
workers = 1
[filters.all]
set_response_headers = { X-A = "of the proxy" }
remove_response_headers = ["Server"]
cors = { origins = ["https://ui.test"], methods = ["GET", "DELETE"] }
[filters.change]
rewrite = { from = "/c", to = "/v2" }
rewrite_host = "c.internal"
set_request_headers = { X-Ip = "{client_ip}", X-Url = "{scheme}://{host}{uri}" }
remove_request_headers = ["Cookie"]
add_response_headers = { Link = ["<a>", "<b>"] }
[filters.others]
block_cidrs = ["127.0.0.0/8"]
[filters.small]
max_body = "1MiB"
[upstreams.gone]
endpoints = [{ address = "127.0.0.1:1", state = "drain" }]
[[listeners]]
addr = "127.0.0.1:PORT"
protocol = "http"
use = ["all"]
[[listeners.routes]]
hostname = "a.test"
backend = "127.0.0.1:ECHO"
cases = [
  { match = "/c/*", use = ["change"] },
  { match = "/old/*", redirect = "https://{host}/new?from={path}", status = 301 },
  { match = "GET /robots.txt", respond = "no" },
  { match = "/admin/*", use = ["others"] },
  { match = "/small/*", use = ["small"] },
  { match = "/gone/*", backend = "gone" },
]
"""
ASKED: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/", {}),
    ("GET", "/c/x?y=1", {"Cookie": "a=b", "X-Ip": "forged"}),
    ("GET", "/c", {}),
    ("GET", "/old/x", {}),
    ("GET", "/robots.txt", {}),
    ("POST", "/robots.txt", {}),
    ("GET", "/admin/x", {}),
    ("POST", "/small/x", {"Content-Length": "2000000"}),
    ("GET", "/gone/x", {}),
    ("GET", "/x/%2e%2e/admin/y", {}),
    ("GET", "/c/../x", {}),
    ("GET", "/", {"Origin": "https://ui.test"}),
    ("GET", "/", {"Origin": "https://other.test"}),
    ("OPTIONS", "/c/x", {"Origin": "https://ui.test", "Access-Control-Request-Method": "DELETE"}),
    ("GET", "/", {"Host": "other.test"}),
    ("GET", "/", {"X-Forwarded-For": "198.51.100.1", "X_Real_Ip": "198.51.100.1"}),
]
TO_CLIENTS = ("X-A", "Server", "Link", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods")
OF_OWN_PAGES = ("Content-Type", "Content-Length", "X-Request-Id", "Retry-After", "WWW-Authenticate")
TO_BACKENDS = ("X-Ip", "X-Url", "Cookie", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip")


def answered(port: int, method: str, path: str, headers: dict[str, str], backend: int) -> dict[str, Any]:
    """Ask the proxy, and return what has come of it as a test would expect it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": f"a.test:{port}", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read().decode()
    finally:
        connection.close()
    told = {name: answer.headers.get_all(name) or [""] for name in (*TO_CLIENTS, *OF_OWN_PAGES)}
    if told["X-Request-Id"] != [""]:
        told["X-Request-Id"] = ["*"]
    if answer.status == 200 and body.startswith("{"):
        got = json.loads(body)
        given = {name.title(): value for name, value in got["headers"].items()}
        named = ("X-A", "Server", *(name for name in TO_CLIENTS if told[name] != [""]))
        return {
            "backend": f"127.0.0.1:{backend}",
            "backend_path": got["path"],
            "backend_host": given["Host"],
            "backend_header": {name: given.get(name, "") for name in TO_BACKENDS},
            "header": {name: told[name] for name in named},
        }
    where = {"redirect": answer.headers["Location"]} if answer.headers["Location"] else {}
    return {"status": answer.status, "header": told, **where}


def test_tests_expect_what_the_proxy_does(proxy: StartProxy, echo: int) -> None:
    """What came of real requests is written down as tests, which hold; and one that says something else fails."""
    edge = proxy(FILTERED.replace("ECHO", str(echo)))
    tests: list[dict[str, Any]] = []
    for method, path, headers in ASKED:
        expect = answered(edge.port(), method, path, headers, echo)
        url = f"{method} http://a.test:{edge.port()}{path}"
        tests.append({"request": url, "ip": "127.0.0.1", "headers": headers, "expect": expect})
    assert {test["expect"].get("status", 200) for test in tests} == {200, 204, 301, 400, 403, 413, 421, 503}
    file = edge.folder / "tested.toml"
    written = edge.config.read_text(encoding="utf-8") + tomlkit.dumps({"tests": tests})
    file.write_text(written, encoding="utf-8")
    checked = run_command(server, "validate-config", str(file))
    assert checked.status == 0, checked.stdout
    for word, other in (("/v2/x?y=1", "/c/x?y=1"), ("status = 413", "status = 200"), ('"c.internal"', '"d.internal"')):
        before, _, after = written.rpartition(word)
        assert before
        file.write_text(f"{before}{other}{after}", encoding="utf-8")
        assert run_command(server, "validate-config", str(file)).status == 1, word
