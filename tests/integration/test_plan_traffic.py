"""What `mcproxy plan --traffic` says of recorded requests is what clients see when the new file is live."""

import contextlib
import gzip
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from mcproxy.cli.server.app import main
from tests.support.admin import client as admin_client
from tests.support.ctl import Result, run_command
from tests.support.fleet import Fleet
from tests.support.l4 import wait_for
from tests.support.proxy import Proxy
from tests.support.require import require

OLD = """\
[log]
format = "json"
access = "access.log"
[proxy]
workers = 2
[upstreams.web]
endpoints = ["127.0.0.1:%(web)d"]
[upstreams.api]
endpoints = ["127.0.0.1:%(api)d"]
[filters.small]
max_body = "1MiB"
[[listeners]]
addr = "127.0.0.1:PORT"
protocol = "http"
[[listeners.routes]]
hostname = "www.test"
backend = "web"
use = ["small"]
[[listeners.routes.cases]]
match = "/old/*"
respond = "old"
[[listeners.routes]]
hostname = "gone.test"
respond = "here"
[[listeners.routes]]
hostname = "*"
backend = "web"
"""
CHANGES = (
    ('"1MiB"', '"4KiB"'),
    (
        'match = "/old/*"\nrespond = "old"',
        'match = "/api/*"\nbackend = "api"\n[[listeners.routes.cases]]\nmatch = "/office/*"\nfilter = { allow_cidrs = ["127.0.0.2/32"] }',
    ),
    ('hostname = "gone.test"', 'hostname = "came.test"'),
    ('hostname = "*"\nbackend = "web"', 'hostname = "*"\nbackend = "api"'),
    ("[upstreams.web]", '[firewall]\nblocked_ips = ["127.0.0.3"]\n[upstreams.web]'),
)
AUTHORITY = "www.test"


class Asked(msgspec.Struct, frozen=True):
    """A request, so many times."""

    path: str
    host: str = AUTHORITY
    times: int = 1
    source: str = "127.0.0.1"
    body: int = 0
    version: str = "--http1.1"


MIX = (
    Asked("/", times=3),
    Asked("/api/users/1", times=4),
    Asked("/api/users/2", times=2, version="--http2-prior-knowledge"),
    Asked("/old/page", times=2),
    Asked("/office/x", times=3),
    Asked("/office/x", source="127.0.0.2"),
    Asked("/upload", body=3000),
    Asked("/upload", body=9000, times=2),
    Asked("/", host="gone.test", times=2),
    Asked("/", host="came.test"),
    Asked("/", source="127.0.0.3", times=2),
    Asked("/api/load", host="127.0.0.1"),
    Asked("/page?token=secret", host="other.test", times=2),
)
LOADED = 300
"""Requests of h2load, half of them over each version of HTTP."""


class _Says(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name: bytes

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", str(len(self.name)))
        self.end_headers()
        self.wfile.write(self.name)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def backend(name: str) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type(name, (_Says,), {"name": name.encode()}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(edge: Proxy, asked: Asked) -> str:
    """Return what a client is told: status and text, or that it was cut off."""
    url = f"http://{asked.host}:{edge.port()}{asked.path}"
    options = ["-s", "-w", " %{http_code}", "--resolve", f"{asked.host}:{edge.port()}:127.0.0.1", asked.version]
    options += ["--interface", asked.source]
    if asked.body:
        options += ["-H", "expect:", "--data-binary", "x" * asked.body]
    done = subprocess.run(["curl", *options, url], capture_output=True, text=True, timeout=30, check=False)
    text, _, status = done.stdout.rpartition(" ")
    return "reset" if done.returncode else status if status != "200" else f"{status} {text}"


def ask_all(edge: Proxy) -> list[str]:
    """Ask everything, and load the proxy by h2load; return the answers."""
    told = [answer(edge, asked) for asked in MIX for _ in range(asked.times)]
    for version in ("--h1", "--no-tls-proto=h2c"):
        url = f"http://127.0.0.1:{edge.port()}/api/load"
        command = ["h2load", version, "-n", str(LOADED // 2), "-c", "4", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert f"{LOADED // 2} succeeded" in done.stdout
    return told


def plan(*args: object, stdin: bytes = b"") -> Result:
    return run_command(main, "plan", *map(str, args), stdin=stdin)


@pytest.fixture(scope="module")
def recorded(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Path, Path, list[str], list[str]]]:
    """Yield the old file, the new one, the log of what was asked of the old one, and the answers of both."""
    require("curl", "curl")
    require("h2load", "nghttp2-client")
    with backend("web") as web, backend("api") as api, fleet.serve(OLD % {"web": web, "api": api}) as edge:
        before = ask_all(edge)
        log = edge.folder / "access.log"
        total = sum(asked.times for asked in MIX) + LOADED
        wait_for(lambda: log.read_bytes().count(b"\n") == total)
        folder = tmp_path_factory.mktemp("plan")
        old, new, kept = folder / "old.toml", folder / "new.toml", folder / "access.log"
        text = edge.config.read_text(encoding="utf-8")
        old.write_text(text, encoding="utf-8")
        kept.write_bytes(log.read_bytes())
        for change in CHANGES:
            assert change[0] in text
            text = text.replace(*change)
        new.write_text(text, encoding="utf-8")
        edge.save(text)
        admin_client(edge).reload()
        yield old, new, kept, before, ask_all(edge)


def test_counts_are_those_of_a_live_comparison(recorded: tuple[Path, Path, Path, list[str], list[str]]) -> None:
    """By method, host and path: as many would change as clients have been answered differently."""
    old, new, log, before, after = recorded
    differ: Counter[tuple[str, str, str]] = Counter()
    asked = [each for each in MIX for _ in range(each.times)]
    for each, was, will in zip(asked, before, after, strict=True):
        path = each.path.partition("?")[0]
        if was != will:
            if path == "/api/load":
                differ["GET", each.host, "/api/..."] += LOADED
            cut = path if path.count("/") == 1 else "/".join(path.split("/")[:2]) + "/..."
            differ["POST" if each.body else "GET", each.host, cut] += 1
    result = plan(new, "--against", old, "--traffic", log, "--json", "--exit-code")
    assert result.status == 4
    report = json.loads(result.stdout)["traffic"]
    told: Counter[tuple[str, str, str]] = Counter()
    for group in report["groups"]:
        told[group["method"], group["host"].partition(":")[0], group["path"]] += group["count"]
    assert told == differ
    assert report["total"] == len(asked) + LOADED
    assert report["changed"] == differ.total()
    assert report["unjudged"] == {}


def test_what_is_printed(recorded: tuple[Path, Path, Path, list[str], list[str]]) -> None:
    """The plan, then what would change, each with its line; nothing of a query, which the log does not have."""
    old, new, log, _, _ = recorded
    result = plan(new, "--against", old, "--traffic", log)
    assert result.status == 0
    lines = new.read_text(encoding="utf-8").splitlines()
    api, body = (next(n for n, line in enumerate(lines, 1) if text in line) for text in ('backend = "api"', '"4KiB"'))
    assert f"by case /api/* ({new}:{api})" in result.stdout
    assert f"by max_body ({new}:{body}), largest 9.0kB" in result.stdout
    assert "backend web -> api" in result.stdout
    assert "secret" not in result.stdout
    assert plan(old, "--against", old, "--traffic", log, "--exit-code").status == 0


def test_logs_may_be_rotated_compressed_and_damaged(
    recorded: tuple[Path, Path, Path, list[str], list[str]], tmp_path: Path
) -> None:
    """Several count as one; what is no line is counted, and nothing but standard output is written."""
    old, new, log, _, _ = recorded
    lines = log.read_bytes().splitlines(keepends=True)
    first, second = tmp_path / "access.log.1", tmp_path / "access.log.2.gz"
    first.write_bytes(b"".join(lines[:40]) + b'{"listener": 5}\nhalf a li')
    second.write_bytes(gzip.compress(b"".join(lines[40:70])))
    before = sorted(tmp_path.iterdir())
    options = (new, "--against", old, "--json")
    whole = json.loads(plan(*options, "--traffic", log).stdout)["traffic"]
    parts = plan(*options, "--traffic", first, "--traffic", second, "--traffic", "-", stdin=b"".join(lines[70:]))
    report = json.loads(parts.stdout)["traffic"]
    assert report.pop("damaged") == 2
    assert whole.pop("damaged") == 0
    assert report == whole
    assert sorted(tmp_path.iterdir()) == before
    told = plan(new, "--against", old, "--traffic", first)
    assert "2 lines are none of an access log" in told.stderr
    missing = plan(new, "--against", old, "--traffic", tmp_path / "none.log")
    assert (missing.status, missing.stdout) == (1, "")
    assert "none.log" in missing.stderr
