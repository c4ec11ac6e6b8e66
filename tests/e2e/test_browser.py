"""A real browser loads a page that updates itself, through an L7 route, over HTTP/2 and HTTP/1.1."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.asgi_app import BLOCK, png
from tests.support.certificates import Certificates
from tests.support.chromium import chromium
from tests.support.fleet import Fleet
from tests.support.l7 import l7_config, l7_route, start_hypercorn, start_uvicorn, tls_backend
from tests.support.processes import Processes
from tests.support.proxy import Proxy

BIG = 5 << 20
CORS = {
    "origins": ["https://ui.site.test:PORT"],
    "methods": ["GET", "POST"],
    "headers": ["Content-Type", "X-Key"],
    "expose_headers": ["X-Request-Id"],
    "credentials": True,
    "max_age": "10m",
}
_OPTIONS = ("--ignore-certificate-errors", "--host-resolver-rules=MAP * 127.0.0.1")


@pytest.fixture(scope="module")
def served(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Processes(tmp_path_factory.mktemp("backends")) as processes:
        app = start_hypercorn(processes, certs)
        config = l7_config(
            l7_route(certs, app.port, "h2c.test"),
            l7_route(certs, app.tls_port, "tls.test", **tls_backend(certs)),
            l7_route(certs, start_uvicorn(processes), "h1.test"),
            l7_route(certs, app.port, "api.site.test", filter={"cors": CORS}),
            l7_route(certs, app.port, "ui.site.test"),
            l7_route(certs, app.port, "else.site.test"),
        )
        with fleet.serve(config) as proxy:
            yield proxy


VERSIONS = pytest.mark.parametrize("browser", ["h2", "http/1.1"], indirect=True)
# with HTTP/1.1 one backend will do: all three stand behind both versions in tests of clients that cost less than a browser
SITES = pytest.mark.parametrize(
    ("browser", "hostnames"),
    [
        ("h2", ("h1.test", "h2c.test", "tls.test")),
        ("http/1.1", ("h1.test",)),
        pytest.param("http/1.1", ("h2c.test", "tls.test"), marks=pytest.mark.soak),
    ],
    indirect=["browser"],
)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[tuple[str, Browser]]:
    disabled = [] if request.param == "h2" else ["--disable-http2"]
    with chromium(*_OPTIONS, *disabled) as browser:
        yield request.param, browser


@SITES
def test_many_cookies(served: Proxy, browser: tuple[str, Browser], hostnames: tuple[str, ...]) -> None:
    """120 cookies arrive, all of them and in one field where the backend speaks HTTP/1.1."""
    version, window = browser
    cookies = {f"cookie-{number}": f"value of {number}".replace(" ", "-") for number in range(120)}
    with window.new_context(ignore_https_errors=True) as context:
        page = context.new_page()
        for hostname in hostnames:
            url = f"https://{hostname}:{served.port()}/echo"
            context.add_cookies([{"name": name, "value": value, "url": url} for name, value in cookies.items()])
            answer = page.goto(url)
            assert answer is not None
            assert answer.status == 200
            fields = [value for name, value in answer.json()["headers"] if name == "cookie"]
            protocol = page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
            assert protocol == version
            assert hostname != "h1.test" or len(fields) == 1
            assert dict(pair.split("=") for field in fields for pair in field.split("; ")) == cookies


@SITES
def test_page(served: Proxy, browser: tuple[str, Browser], hostnames: tuple[str, ...]) -> None:
    """Fragments, events and WebSocket messages are swapped in; the image and both 5 MB assets arrive whole."""
    version, window = browser
    with window.new_page() as page:
        failed: list[str] = []
        page.on("requestfailed", lambda request: failed.append(f"{request.url}: {request.failure}"))
        for hostname in hostnames:
            page.goto(f"https://{hostname}:{served.port()}/")
            page.wait_for_function("told.done", timeout=60_000)
            told: dict[str, Any] = page.evaluate("told")
            assert "error" not in told, (told, failed)
            assert page.text_content("#swapped") == "swapped in"
            assert page.text_content("#events b") == "tick 4"
            check(told, version)


def check(told: dict[str, Any], version: str) -> None:
    """Assert what the page tells of everything that it has loaded."""
    assert told["ticks"] == [f"tick {number}" for number in range(5)]
    assert told["messages"] == [3, 3, 100_000]
    assert told["close"] == [4001, "as asked", True]
    bodies = [(BLOCK * (BIG // len(BLOCK) + 1))[:BIG]] * 2 + [png(1200)]
    assert sorted(told["assets"]) == sorted([len(body), hashlib.sha256(body).hexdigest()] for body in bodies)
    assert told["image"] == [1200, 1200]
    assert {*told["protocols"]} == {version}


ASK = """port => fetch(`https://api.site.test:${port}/echo`, {
    method: "POST",
    credentials: "include",
    headers: {"Content-Type": "application/json", "X-Key": "1"},
    body: "{}",
}).then(response => response.json(), error => String(error))"""


@VERSIONS
def test_a_page_of_another_origin_posts_with_its_cookies(served: Proxy, browser: tuple[str, Browser]) -> None:
    """The browser asks beforehand, which the backend does not hear of; a page of any other origin gets nothing."""
    _, window = browser
    port = served.port()
    with window.new_context(ignore_https_errors=True) as context:
        cookie: Any = {"name": "session", "value": "s1", "url": f"https://api.site.test:{port}", "sameSite": "Lax"}
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(f"https://ui.site.test:{port}/")
        seen = page.evaluate(ASK, port)
        page.goto(f"https://else.site.test:{port}/")
        refused = page.evaluate(ASK, port)
    assert seen["method"] == "POST"
    fields = dict(seen["headers"])
    assert (fields["cookie"], fields["x-key"], fields["origin"]) == (
        "session=s1",
        "1",
        f"https://ui.site.test:{port}",
    )
    assert "Failed to fetch" in refused
