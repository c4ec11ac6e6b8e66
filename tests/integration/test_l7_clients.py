"""Clients and servers that are not ours meet through the proxy: curl, nghttp, h2load, httpx, Node; nginx, uvicorn, nghttpd."""

import contextlib
import hashlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.asgi_app import BLOCK
from tests.support.certificates import Certificates
from tests.support.curl import curl
from tests.support.fleet import Fleet
from tests.support.http_clients import H2Client, Response, client
from tests.support.l7 import BACKEND_NAME, l7_config, l7_route, start_hypercorn, start_uvicorn, tls_backend
from tests.support.nginx import start_nginx
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.tls import client_context

BIG = 5 << 20
ASSET = (BLOCK * (BIG // len(BLOCK) + 1))[:BIG]
NODE = (Path(__file__).parents[1] / "support" / "node_http2.mjs").resolve()


def start_nghttpd(processes: Processes, folder: Path) -> tuple[int, Process]:
    """Start nghttpd in cleartext, serving a folder, and return its port."""
    port = free_port()
    process = processes.start(
        *(require("nghttpd", "nghttp2-server"), "--no-tls", "--echo-upload", "-a", "127.0.0.1", "-d", folder, str(port))
    )
    process.wait_for_port("127.0.0.1", port)
    return port, process


@pytest.fixture(scope="module")
def served(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("backends")
    with Processes(folder) as processes, contextlib.ExitStack() as stack:
        app = start_hypercorn(processes, certs)
        (folder / "nginx").mkdir()
        nginx = start_nginx(processes, folder / "nginx", "nginx", certs.server(BACKEND_NAME))
        (nginx.folder / "files" / "asset").write_bytes(ASSET)
        (folder / "files").mkdir()
        (folder / "files" / "asset").write_bytes(ASSET)
        (folder / "files" / "small").write_bytes(ASSET[:1000])
        nghttpd, _ = start_nghttpd(processes, folder / "files")
        tls = tls_backend(certs)
        config = l7_config(
            l7_route(certs, app.port, "hypercorn.test"),
            l7_route(certs, app.port, "hypercorn1.test", backend_protocol="http/1.1"),
            l7_route(certs, app.tls_port, "hypercorntls.test", **tls),
            l7_route(certs, start_uvicorn(processes), "uvicorn.test"),
            l7_route(certs, nginx.port, "nginx.test", **tls),
            l7_route(certs, nghttpd, "nghttpd.test"),
            workers=2,
        )
        yield stack.enter_context(fleet.serve(config))


@pytest.fixture
def address(served: Proxy) -> tuple[str, int]:
    return "127.0.0.1", served.port()


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize(
    ("hostname", "path"),
    [("nginx.test", "/files/asset"), ("nghttpd.test", "/asset"), ("uvicorn.test", f"/bytes/{BIG}")],
)
def test_servers(address: tuple[str, int], version: str, hostname: str, path: str) -> None:
    """Nginx over TLS, nghttpd in h2c and uvicorn serve whole assets, ranges where they can, and answers to HEAD."""
    with client(version, address, hostname) as peer:
        assert peer.request("GET", path).body == ASSET
        assert peer.request("HEAD", path).header("content-length") == str(BIG)
        if hostname == "nginx.test":
            part = peer.request("GET", path, [("range", "bytes=1000-1999")])
            assert (part.status, part.body) == (206, ASSET[1000:2000])
            again = peer.request("GET", path, [("if-modified-since", part.header("last-modified") or "")])
            assert (again.status, again.body) == (304, b"")
        assert peer.request("GET", "/nothing-there").status in (200, 404)


def test_nghttpd_takes_uploads(address: tuple[str, int]) -> None:
    """Nghttpd gives an upload back while it comes."""
    with H2Client(address, "nghttpd.test") as peer:
        assert peer.request("POST", "/", (), [ASSET[:100_000]]).body == ASSET[:100_000]


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
@pytest.mark.parametrize("hostname", ["hypercorn.test", "hypercorntls.test", "uvicorn.test"])
def test_curl(address: tuple[str, int], certs: Certificates, tmp_path: Path, version: str, hostname: str) -> None:
    """Curl gets what it asks for and posts files, with Expect and without."""
    got = curl(hostname, address, certs.ca, version, path=f"/bytes/{BIG}")
    assert got.body == ASSET, got.messages
    file = tmp_path / "upload"
    file.write_bytes(ASSET)
    wanted = BIG, hashlib.sha256(ASSET).hexdigest()
    for options in (["-H", "Expect: 100-continue", "--expect100-timeout", "0.2"], ["-H", "Expect:"]):
        seen = curl(hostname, address, certs.ca, version, *options, "--data-binary", f"@{file}", path="/echo").json()
        assert (seen["size"], seen["sha256"]) == wanted
    if version != "--http1.0":
        options = ["-H", "Transfer-Encoding: chunked"] if version == "--http1.1" else []
        seen = curl(hostname, address, certs.ca, version, *options, "-T", str(file), path="/echo").json()
        assert (seen["method"], seen["size"], seen["sha256"]) == ("PUT", *wanted)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("hostname", ["hypercorn.test", "hypercorn1.test"])
def test_curl_that_waits_for_100(
    address: tuple[str, int], certs: Certificates, tmp_path: Path, version: str, hostname: str
) -> None:
    """A client that sends its body only when it is told to is told so, whatever the backend does."""
    file = tmp_path / "upload"
    file.write_bytes(ASSET)
    strict = ("-H", "Expect: 100-continue", "--expect100-timeout", "600", "--data-binary", f"@{file}")
    answer = curl(hostname, address, certs.ca, version, *strict, path="/echo", timeout=30)
    assert answer.status == 0, answer.messages
    assert answer.json()["sha256"] == hashlib.sha256(ASSET).hexdigest()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize(
    ("hostname", "path", "status"), [("uvicorn.test", "/status/401", 401), ("nginx.test", "/", 413)]
)
def test_curl_gets_an_early_answer(
    address: tuple[str, int],
    certs: Certificates,
    tmp_path: Path,
    version: str,
    hostname: str,
    path: str,
    status: int,
) -> None:
    """The answer to an upload that the backend does not want arrives while the upload goes on, each time."""
    file = tmp_path / "upload"
    file.write_bytes(ASSET)
    options = ["-H", "Expect:", "--data-binary", f"@{file}", "--write-out", "%{http_code}"]

    def post(_: int) -> tuple[int, str]:
        answer = curl(hostname, address, certs.ca, version, *options, path=path)
        return answer.status, answer.body.decode()[-3:]

    with ThreadPoolExecutor(4) as pool:
        assert Counter(pool.map(post, range(16))) == {(0, f"{status}"): 16}


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_with_a_blank_behind_a_field(address: tuple[str, int], certs: Certificates, version: str) -> None:
    """The field arrives without it, in both versions."""
    answer = curl(
        "hypercorn.test", address, certs.ca, version, "-H", "X-Test: a ", "-H", "X-Other:  \t b\t", path="/echo"
    )
    assert answer.status == 0, answer.messages
    headers = dict(answer.json()["headers"])
    assert (headers["x-test"], headers["x-other"]) == ("a", "b")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_with_many_cookies(address: tuple[str, int], certs: Certificates, version: str) -> None:
    """They are one field, or crumbs of one: no limit is hit in either version."""
    cookies = [option for number in range(96) for option in ("-H", f"Cookie: c{number}=v")]
    answer = curl("uvicorn.test", address, certs.ca, version, *cookies, path="/echo")
    assert answer.status == 0, answer.messages
    assert dict(answer.json()["headers"])["cookie"].endswith("c95=v")


def test_nghttp(address: tuple[str, int], tmp_path: Path) -> None:
    """Nghttp fetches several things over one connection."""
    host, port = address
    result = subprocess.run(
        [
            *(require("nghttp", "nghttp2-client"), "--no-verify-peer", "--stat", "--null-out"),
            *("--header", ":authority: hypercorn.test"),
            *(f"https://{host}:{port}/bytes/{size}" for size in (0, 1, 70_000)),
        ],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.stdout.count(b" 200 ") == 3, (result.stdout, result.stderr)


@pytest.mark.parametrize("version", ["h2", "http/1.1"])
def test_h2load(address: tuple[str, int], version: str) -> None:
    """Thousands of requests on many connections and streams all succeed."""
    host, port = address
    result = subprocess.run(
        [
            *(require("h2load", "nghttp2-client"), "-n", "2000", "-c", "10", "-m", "10", f"--npn-list={version}"),
            *(f"--connect-to={host}:{port}", f"https://nghttpd.test:{port}/small"),
        ],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert re.search(r"2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout", result.stdout), result.stdout


@pytest.mark.parametrize("version", [1, 2])
def test_httpx(address: tuple[str, int], certs: Certificates, version: int) -> None:
    """Httpx gets, posts and streams over both versions."""
    host, port = address
    transport = httpx.HTTPTransport(verify=client_context(certs.ca), http1=version == 1, http2=version == 2)
    with httpx.Client(transport=transport, base_url=f"https://{host}:{port}", timeout=20) as peer:
        options = {"headers": {"host": "hypercorn.test"}, "extensions": {"sni_hostname": "hypercorn.test"}}
        response = peer.get(f"/bytes/{BIG}", **options)  # type: ignore[arg-type]  # a mapping of two kinds
        assert (response.http_version, response.content) == (f"HTTP/{version}" + (".1" if version == 1 else ""), ASSET)
        seen = peer.post("/echo", content=iter([b"a" * 100_000] * 3), **options).json()  # type: ignore[arg-type]
        assert seen["size"] == 300_000
        with peer.stream("GET", "/events/3", **options) as stream:  # type: ignore[arg-type]
            assert [line for line in stream.iter_lines() if line.startswith("data:")] == [
                f"data: <b>tick {number}</b>" for number in range(3)
            ]


def test_node(address: tuple[str, int], certs: Certificates) -> None:
    """Node's http2 client runs requests in parallel, uploads, and sees trailers."""
    result = subprocess.run(
        [require("node", "nodejs"), str(NODE), str(address[1]), "hypercorntls.test", str(certs.ca), str(BIG)],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["alpn"] == "h2"
    assert told["sizes"] == [BIG, 1000, 0, 70_000]
    assert told["uploaded"] == BIG
    assert told["trailers"] == "42"


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize("hostname", ["hypercorn.test", "hypercorntls.test", "uvicorn.test"])
def test_events_are_not_buffered(address: tuple[str, int], version: str, hostname: str) -> None:
    """Server-sent events arrive one by one, each before the next is sent."""
    for _ in range(5):  # on a busy machine the client may be late, and find two at once
        with client(version, address, hostname) as peer:
            if isinstance(peer, H2Client):
                response = peer.responses[peer.begin("GET", "/events/5")]
            else:
                peer.send_head("GET", "/events/5", end=True)
                response = Response()
            counts = []
            while not response.ended:
                peer.step(response)
                counts.append(response.body.count(b"data:"))
            assert response.header("content-type") == "text/event-stream"
        if {1, 2, 3, 4, 5} <= {*counts}:
            return
    pytest.fail(f"some came together each time, the last time they were so many: {counts}")
