"""The status page in a real browser: it follows the file by itself, and no text of others becomes markup."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import tomlkit
from playwright.sync_api import Browser, Page, expect

from tests.conftest import StartProxy
from tests.support.admin import client
from tests.support.chromium import chromium
from tests.support.l4 import RawBackend
from tests.support.lifecycle import apply
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener, route
from tests.support.tls import client_hello

PATIENCE = 60_000  # milliseconds; a machine that runs all tests is slow, the page itself looks every second
HOSTILE = '"><script>document.title="owned"</script><img src=x onerror=document.title="owned">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(autouse=True)
def closed_pages(browser: Browser) -> Iterator[None]:
    """A page that is left open would look every second whether its proxy is there."""
    yield
    for context in browser.contexts:
        context.close()


def config(*routes: Table) -> str:
    tables: Table = {
        "metrics": {"addr": "127.0.0.1:PORT_M"},
        "proxy": {"workers": 1, "shutdown_timeout": "1s"},
        "listeners": [listener("127.0.0.1:PORT", routes)],
    }
    return tomlkit.dumps(tables)


def opened(browser: Browser, proxy: Proxy, *, javascript: bool = True, width: int = 1200) -> tuple[Page, list[str]]:
    """Open the page; return it, and what the browser will have complained of."""
    context = browser.new_context(java_script_enabled=javascript, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{proxy.port('M')}/")
    return page, complaints


def test_the_page_follows_the_file(browser: Browser, proxy: StartProxy) -> None:
    """Routes, connections, the plan, drift, a mistake and its correction appear without a reload; a lost connection is told."""
    with RawBackend() as backend:
        served = proxy(config(route(backend.port, "first.test")))
        page, complaints = opened(browser, served)
        page.evaluate("window.sameDocument = true")
        expect(page.locator("#head")).to_contain_text("ready")
        expect(page.locator("#routes")).to_contain_text("first.test")
        visitor, _ = backend.join(("127.0.0.1", served.port()), client_hello("first.test"))
        expect(page.locator("#routes td[data-label=Live]")).to_have_text("1")

        apply(served, config(route(backend.port, "first.test"), route(2, "second.test")))
        expect(page.locator("#routes")).to_contain_text("second.test")
        expect(page.locator("#plan")).to_contain_text(f"+ route 127.0.0.1:{served.port()} second.test -> 127.0.0.1:2")
        expect(page.locator("#history")).to_contain_text(f"route 127.0.0.1:{served.port()} second.test added")
        changed = page.locator("#routes tr", has_text="second.test").locator("td[data-label=Changed] a")
        expect(changed).to_have_attribute("href", "?generation=2")

        with client(served) as admin:
            added = f"127.0.0.1:{served.port()}", "third.test", "127.0.0.1:3"
            admin.add_route(*added, author="ann", reason=HOSTILE)
            expect(page.locator("#drift")).to_contain_text(f"+ route {added[0]} third.test -> 127.0.0.1:3")
            expect(page.locator("#drift td[data-label=Who]")).to_have_text("ann")
            expect(page.locator("#drift td[data-label=Why]")).to_have_text(HOSTILE)
            expect(page.locator("#head")).to_contain_text("1 drift")
            admin.revert_edit(all=True)
            expect(page.locator("#drift")).to_contain_text("None: what runs is what the file says.")

        served.save(config(route(backend.port, "first.test")).replace("hostname", "hostnam"))
        problem = f"{served.config}:"
        expect(page.locator("#alerts")).to_contain_text("The last reload failed; generation 4 goes on serving")
        expect(page.locator("#alerts pre")).to_contain_text(problem)
        expect(page).to_have_title("attention · mcproxy on " + page.locator("h1 span").inner_text().removeprefix("on "))
        served.save(config(route(backend.port, "first.test")))
        expect(page.locator("#alerts")).not_to_contain_text("failed")
        expect(page.locator("#routes")).not_to_contain_text("second.test")
        assert page.evaluate("window.sameDocument") is True, "it was never loaded anew"
        assert complaints == []
        visitor.close()
        served.stop()
        expect(page.locator("#connection")).to_be_visible()
        page.context.close()


def test_texts_of_others_stay_texts(browser: Browser, reloaded: StartProxy) -> None:
    """A policy's value with markup, shown by the plan, by a failed reload and by the search."""
    served = reloaded(config(route(1, "plain.test")))
    page, complaints = opened(browser, served)
    title = page.title()
    broken = config(route(1, "plain.test", l7_policies=[{"type": HOSTILE, "value": HOSTILE}]))
    served.save(broken)
    expect(page.locator("#alerts pre")).to_contain_text("<script>")
    page.fill("input[name=q]", HOSTILE)
    page.click("form button")
    expect(page.locator("#routes")).to_contain_text(f"0 of 1 routes match “{HOSTILE}”")
    expect(page.locator("input[name=q]")).to_have_value(HOSTILE)
    assert page.locator("main script, main img").count() == 0
    assert "owned" not in page.title()
    assert page.title().partition(" · ")[2] == title.partition(" · ")[2]
    assert complaints == []
    page.context.close()


def test_without_javascript_and_on_a_phone(browser: Browser, reloaded: StartProxy) -> None:
    """The browser itself loads it again; nothing is wider than the screen."""
    long = ".".join(["a" * 60] * 3) + ".test"
    served = reloaded(config(route(1, long)))
    page, _ = opened(browser, served, javascript=False, width=360)
    expect(page.locator("#routes")).to_contain_text(long)
    apply(served, config(route(1, "other.test")))
    expect(page.locator("#routes")).to_contain_text("other.test")
    page.context.close()
    page, _ = opened(browser, served, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.context.close()


def test_routes_are_searched_sorted_and_looked_at(browser: Browser, proxy: StartProxy) -> None:
    """What is typed is searched for at once; a list that was opened stays open; headings sort; a name shows its details."""
    routes = [route(1, f"r{number:03}.test") for number in range(120)]
    served = proxy(config(route(1, "dead.test"), *routes))
    page, complaints = opened(browser, served)
    expect(page.locator("#routes .pages")).to_contain_text("page 1 of 3, 121 routes")
    assert page.locator("#routes details").get_attribute("open") is None
    page.locator("#routes summary").click()
    page.evaluate("window.sameDocument = true")

    with pytest.raises(ConnectionError):
        dead(served)
    expect(page.locator("#alerts")).to_contain_text("1 route failed in the last 5 minutes")
    expect(page.locator("#alerts")).to_contain_text("1 \N{MULTIPLICATION SIGN} backend_refused")
    expect(page.locator("#checks")).to_contain_text("1 route fails")
    expect(page.locator("#routes tbody th").first).to_contain_text("dead.test")
    assert page.locator("#routes details").get_attribute("open") is not None

    page.locator("input[name=q]").type("r11")
    expect(page.locator("#routes")).to_contain_text("10 of 121 routes match “r11”")
    assert "q=r11" in page.url
    assert page.evaluate("window.sameDocument") is True, "it was never loaded anew"
    page.locator("input[name=q]").fill("")
    expect(page.locator("#routes .pages")).to_contain_text("page 1 of 3")

    page.locator("#routes thead a", has_text="Hostname").first.click()
    expect(page.locator("#routes [aria-sort=ascending]").first).to_have_text("Hostname")
    page.locator("#routes .pages a", has_text="next").hover()
    page.mouse.down()
    page.evaluate("document.querySelector('#routes').dataset.changed = ''; refresh()")  # no click is lost by it
    page.mouse.up()
    expect(page.locator("#routes .pages")).to_contain_text("page 2 of 3")
    page.locator("#alerts a", has_text="dead.test").click()
    expect(page.locator("#route")).to_contain_text(f"{served.config}:")
    expect(page.locator("#route")).to_contain_text("generation 1")
    assert complaints == []
    page.context.close()


def dead(served: Proxy) -> None:
    """Connect to the route whose backend refuses; raises ConnectionError."""
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as sock:
        sock.sendall(client_hello("dead.test"))
        if not sock.recv(1):
            raise ConnectionError


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_with_a_thousand_routes_and_in_trouble(
    browser: Browser, troubled: Proxy, scheme: Literal["light", "dark"], width: int
) -> None:
    """Nothing is wider than the screen, and every text has enough contrast to be read (WCAG 2.1: 4.5 to 1)."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{troubled.port('M')}/")
    expect(page.locator("#alerts")).to_contain_text("The last reload failed", timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    context.close()


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Start a proxy with many routes, one of which fails, and a file that has become invalid."""
    with Processes(tmp_path_factory.mktemp("output")) as processes, short() as folder:
        served = Proxy(processes, folder, config(route(1, "dead.test"), *(route(1, f"r{n}.test") for n in range(999))))
        served.start()
        with pytest.raises(ConnectionError):
            dead(served)
        served.save("[proxi]\n")
        yield served
        served.close()


@contextlib.contextmanager
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = channels(getComputedStyle(node).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
    if (!node.getClientRects().length) continue;
    const [a, b] = [light(channels(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(node.textContent.trim().slice(0, 40));
  }
  return poor;
}"""
