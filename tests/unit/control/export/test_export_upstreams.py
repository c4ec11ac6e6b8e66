"""Runtime edits of upstreams and endpoints, written where the files have them and as they have them."""

from textwrap import dedent
from typing import Any

import msgspec
import pytest

from mcproxy.control.export.export import export
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.state import Route, State, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_options import BackendTls, Check
from mcproxy.model.values.endpoint import Endpoint
from tests.support.rows import each_row

ROUTES = """
[[listeners]]
addr = ":1"
routes = [{ hostname = "a", backend = "web" }]
"""
ONE = ("web", "10.0.0.1:80")
TWO = ("web", "10.0.0.2:80")
NEW = ("web", "[::1]:80")


def endpoint(key: tuple[str, str], **fields: Any) -> UpstreamEndpoint:
    return UpstreamEndpoint(upstream=key[0], address=key[1], **fields)


def exported(text: str, tail: str = ROUTES, /, **tables: dict[Any, Any]) -> str:
    """Return the text after edits, with a listener behind it that stays as it is."""
    source = Source("/etc/mc/mc-proxy.toml", dedent(text) + tail)
    state = resolve([source]).state
    changed = {
        name: {key: value for key, value in {**getattr(state, name), **table}.items() if value is not None}
        for name, table in tables.items()
    }
    desired: State = msgspec.structs.replace(state, **changed)
    (file,) = export([source], desired)
    assert resolve([msgspec.structs.replace(source, text=file.after)]).state == desired
    assert file.after.endswith(tail)
    return file.after.removesuffix(tail)


def changes(**tables: dict[Any, Any]) -> dict[str, dict[Any, Any]]:
    return tables


@each_row(
    ("before", "tables", "after"),
    [
        # a string becomes a table, comments and columns stay
        (
            """\
            [upstreams.web]
            endpoints = [
              "10.0.0.1:80",  # rack 1
              "10.0.0.2:80",  # rack 2
            ]
            """,
            changes(endpoints={ONE: endpoint(ONE, state="drain", weight=3), NEW: endpoint(NEW)}),
            """\
            [upstreams.web]
            endpoints = [
              { address = "10.0.0.1:80", weight = 3, state = "drain" },  # rack 1
              "10.0.0.2:80",  # rack 2
              "[::1]:80",
            ]
            """,
        ),
        # a table gets a key, loses one, goes
        (
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80", { address = "10.0.0.2:80", state = "drain" }, { address = "10.0.0.3:80" }]
            """,
            changes(
                endpoints={
                    TWO: endpoint(TWO, max_active=5),
                    ("web", "10.0.0.3:80"): None,
                    NEW: endpoint(NEW, backup=True),
                }
            ),
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80", { address = "10.0.0.2:80", state = "ready", max_active = 5 }, { address = "[::1]:80", backup = true }]
            """,
        ),
        # endpoints with headers of their own
        (
            """\
            [upstreams.web]
            tries = 2

            # rack 1
            [[upstreams.web.endpoints]]
            address = "10.0.0.1:80"

            # rack 2
            [[upstreams.web.endpoints]]
            address = "10.0.0.2:80"
            weight = 2
            """,
            changes(endpoints={ONE: None, TWO: endpoint(TWO, weight=4), NEW: endpoint(NEW)}),
            """\
            [upstreams.web]
            tries = 2

            # rack 2
            [[upstreams.web.endpoints]]
            address = "10.0.0.2:80"
            weight = 4

            [[upstreams.web.endpoints]]
            address = "[::1]:80"
            """,
        ),
        # keys of the upstream: new ones, changed ones, tables that come and go
        (
            """\
            [upstreams.web]
            balance = "least_conn" # why not
            endpoints = ["10.0.0.1:80"]
            tls = { ca = "ca.pem" }
            retry_on = ["502", "503"]

            [upstreams.web.check]
            type = "http"
            """,
            changes(
                upstreams={
                    "web": Upstream(
                        name="web",
                        balance="random_two",
                        check=Check(type="http", path="/x", interval=5.0),
                        retry_on=("503", "reset"),
                        connect_timeout=2.0,
                    )
                }
            ),
            """\
            [upstreams.web]
            balance = "random_two" # why not
            endpoints = ["10.0.0.1:80"]
            retry_on = ["503", "reset"]
            connect_timeout = "2s"

            [upstreams.web.check]
            type = "http"
            path = "/x"
            interval = "5s"
            """,
        ),
        (
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]
            check = { type = "http", path = "/x" }
            """,
            changes(upstreams={"web": Upstream(name="web", check=Check(type="http", fall=2), tls=BackendTls(ca="/etc/mc/x.pem"))}),
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]
            check = { type = "http", path = "/", fall = 2 }
            tls = { ca = "x.pem" }
            """,
        ),
        (
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]

            [upstreams.web.check]
            type = "http"
            """,
            changes(upstreams={"web": Upstream(name="web", tls=BackendTls())}),
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]
            tls = {}
            """,
        ),
        (
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]
            check.type = "http"
            check.path = "/x"
            """,
            changes(upstreams={"web": Upstream(name="web")}),
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]
            """,
        ),
        # upstreams on one line
        (
            """\
            [upstreams]
            web = { endpoints = ["10.0.0.1:80"], check = { type = "http" }, tries = 2 }
            old = { endpoints = ["10.0.0.9:80"] }
            """,
            changes(
                upstreams={"web": Upstream(name="web", tries=4), "old": None},
                endpoints={NEW: endpoint(NEW), ("old", "10.0.0.9:80"): None},
            ),
            """\
            [upstreams]
            web = { endpoints = ["10.0.0.1:80", "[::1]:80"], tries = 4 }
            """,
        ),
        (
            """\
            upstreams.web.endpoints = ["10.0.0.1:80"]
            upstreams.web.tls = {}
            upstreams.old.endpoints = ["10.0.0.9:80"]
            """,
            changes(
                upstreams={"web": Upstream(name="web", balance="least_conn"), "old": None},
                endpoints={("old", "10.0.0.9:80"): None},
            ),
            """\
            upstreams.web.endpoints = ["10.0.0.1:80"]
            upstreams.web.balance = "least_conn"
            """,
        ),
        # whole upstreams
        (
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]

            # not for long
            [upstreams.old]
            endpoints = ["10.0.0.9:80"]
            [upstreams.old.check]
            type = "http"
            """,
            changes(
                upstreams={"old": None, "new": Upstream(name="new", balance="least_conn", check=Check(type="grpc"))},
                endpoints={
                    ("old", "10.0.0.9:80"): None,
                    ("new", "h:1"): endpoint(("new", "h:1")),
                    ("new", "h:2"): endpoint(("new", "h:2"), weight=2),
                },
            ),
            """\
            [upstreams.web]
            endpoints = ["10.0.0.1:80"]

            [upstreams.new]
            endpoints = ["h:1", { address = "h:2", weight = 2 }]
            balance = "least_conn"
            check = { type = "grpc" }
            """,
        ),
    ],
)  # fmt: skip
def test_edits_are_written_in_the_form_that_the_file_has(
    before: str, tables: dict[str, dict[Any, Any]], after: str
) -> None:
    """Everything else stays, byte for byte."""
    assert exported(before, **tables) == dedent(after)


def test_the_first_upstream_of_a_file() -> None:
    """It goes behind the other tables, in front of the listeners."""
    key = ("api", "h:1")
    after = exported(
        '[proxy]\nworkers = 2\n\n[upstreams.web]\nendpoints = ["h:1"]\n'.partition("\n[up")[0],
        '\n[[listeners]]\naddr = ":1"\n',
        upstreams={"api": Upstream(name="api")},
        endpoints={key: endpoint(key, weight=2)},
    )
    assert after == '[proxy]\nworkers = 2\n\n[upstreams.api]\nendpoints = [{ address = "h:1", weight = 2 }]\n'


@pytest.mark.parametrize(
    ("backend", "route", "after"),
    [
        ('"h:1"', Route(":1", "a", (), "web"), '"web"'),
        ('["h:1", "h:2"]', Route(":1", "a", (Endpoint("h", 1),)), '"h:1"'),
        ('"web"', Route(":1", "a", (Endpoint("h", 1), Endpoint("h", 2))), '["h:1", "h:2"]'),
    ],
)
def test_a_route_is_led_elsewhere(backend: str, route: Route, after: str) -> None:
    """To an upstream, an address, several."""
    text = '[upstreams.web]\nendpoints = ["h:1"]\n[[listeners]]\naddr = ":1"\n[[listeners.routes]]\nhostname = "a"\nbackend = {}\n'
    assert exported(text.format(backend), "", routes={(":1", "a"): route}) == text.format(after)


def test_every_file_keeps_its_upstreams() -> None:
    """An endpoint is changed in the file that declares its upstream; a new upstream goes into the main file."""
    main = Source("/etc/mc/mc-proxy.toml", 'include = ["x.toml"]\n[[listeners]]\naddr = ":1"\n')
    other = Source("/etc/mc/x.toml", '[upstreams.web]\nendpoints = ["10.0.0.1:80"]\ntls = { ca = "ca.pem" }\n')
    state = resolve([main, other]).state
    desired = msgspec.structs.replace(
        state,
        upstreams={**state.upstreams, "new": Upstream(name="new")},
        endpoints={ONE: endpoint(ONE, state="maintenance"), ("new", "h:1"): endpoint(("new", "h:1"))},
    )
    first, second = export([main, other], desired)
    new = '\n[upstreams.new]\nendpoints = ["h:1"]\n\n'
    assert first.after == main.text.replace("\n[[", f"\n{new}[[", 1)
    assert second.after == other.text.replace('"10.0.0.1:80"', '{ address = "10.0.0.1:80", state = "maintenance" }')
