"""Runtime edits of filters and cases, written where the files have them and as they have them."""

from textwrap import dedent
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from mcproxy.control.export.export import export
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.filter_options import Cors, FilterOptions, Page, RealIp
from mcproxy.model.state.state import Case, Filter, Listener, State
from mcproxy.model.values.http.amounts import Rate

ROUTE = """
[[listeners]]
addr = ":1"

[[listeners.routes]]
hostname = "a"
mode = "l7"
tls_cert = "c"
tls_key = "k"
backend = "h:1"
"""
KEY = (":1", "a")


def exported(text: str, **tables: dict[Any, Any]) -> str:
    """Return the text after edits."""
    source = Source("/etc/mc/mc-proxy.toml", dedent(text))
    state = resolve([source]).state
    changed = {
        name: {key: value for key, value in {**getattr(state, name), **table}.items() if value is not None}
        for name, table in tables.items()
    }
    desired: State = msgspec.structs.replace(state, **changed)
    (file,) = export([source], desired)
    assert resolve([msgspec.structs.replace(source, text=file.after)]).state == desired
    return file.after


def test_a_new_filter_has_a_header_of_its_own() -> None:
    """With what is not as by default; one that says nothing yet is there all the same."""
    new = Filter(
        name="office", allow_cidrs=("10.0.0.0/8",), set_request_headers=(("X-A", "1"),), rate_limit=Rate(5, 60.0)
    )
    after = exported(ROUTE, filters={"office": new})
    assert (
        after
        == ROUTE
        + '\n[filters.office]\nallow_cidrs = ["10.0.0.0/8"]\nrate_limit = "5/1m"\nset_request_headers = { X-A = "1" }\n'
    )
    assert exported(ROUTE, filters={"empty": Filter(name="empty")}) == f"{ROUTE}\n[filters]\nempty = {{}}\n"


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        (
            'allow_cidrs = [\n  "10.0.0.0/8",  # the office\n  "192.0.2.0/24",\n]\n',
            {"allow_cidrs": ("10.0.0.0/8", "2001:db8::/32")},
            'allow_cidrs = [\n  "10.0.0.0/8",  # the office\n  "2001:db8::/32",\n]\n',
        ),
        ("# so many\nmax_body = '10MiB' # yes\n", {"max_body": 20 << 20}, "# so many\nmax_body = '20MiB' # yes\n"),
        ('max_body = "10MiB"\n', {"max_body": UNSET}, 'max_body = ""\n'),
        (
            '[filters.x.set_request_headers]\nx-a = "1" # one\nX-B = "2"\n',
            {"set_request_headers": (("X-A", "9"), ("X-C", "3"))},
            '[filters.x.set_request_headers]\nx-a = "9" # one\nX-C = "3"\n',
        ),
        (
            'add_response_headers = { link = ["<a>", "<b>"], x-z = "1" }\n',
            {"add_response_headers": (("Link", "<a>"), ("X-Z", "1"), ("X-Z", "2"))},
            'add_response_headers = { link = "<a>", x-z = ["1", "2"] }\n',
        ),
        (
            'error_pages = { "5xx" = "sorry.html" }\n',
            {"error_pages": (("404", "/etc/mc/lost.html"), ("5xx", "/srv/x.html"))},
            'error_pages = { "5xx" = "/srv/x.html", 404 = "lost.html" }\n',
        ),
        (
            'cors = { origins = ["https://a.test"], max_age = "10m" }\n',
            {"cors": Cors(origins=("https://a.test",), methods=("GET",), max_age=600.0)},
            'cors = { origins = ["https://a.test"], max_age = "10m", methods = ["GET"] }\n',
        ),
    ],
)
def test_a_filter_is_changed_where_it_stands(before: str, new: dict[str, Any], after: str) -> None:
    """Names stay as they are spelled, comments where they are."""
    head = "[filters.x]\n"
    assert exported(f"{head}{before}{ROUTE}", filters={"x": Filter(name="x", **new)}) == f"{head}{after}{ROUTE}"


def test_cases_are_added_changed_and_removed_as_the_file_has_them() -> None:
    """As blocks or in one array; conditions in tables of their own stay there."""
    blocks = '[[listeners.routes.cases]]\nmatch = "/a" # first\nbackend = "h:2"\n\n# the second\n[[listeners.routes.cases]]\nmatch = "/b/*"\nheaders = { x-a = "1" }\n'
    first, second = (*KEY, "/a"), (*KEY, "/b/* X-A=1")
    new = Case(*KEY, "GET /c ?v=2", redirect="/d", status=301)
    assert exported(f"{ROUTE}\n{blocks}", cases={(*KEY, new.match): new}) == (
        f'{ROUTE}\n{blocks}\n[[listeners.routes.cases]]\nmatch = "GET /c ?v=2"\nredirect = "/d"\nstatus = 301\n'
    )
    changed = {
        first: None,
        second: Case(*second, respond=Page(file="/etc/mc/m.html"), filter=FilterOptions(max_body=0)),
    }
    assert exported(f"{ROUTE}\n{blocks}", cases=changed) == (
        f'{ROUTE}\n# the second\n[[listeners.routes.cases]]\nmatch = "/b/*"\nheaders = {{ x-a = "1" }}\n'
        'respond = { file = "m.html" }\nfilter = { max_body = "0B" }\n'
    )
    array = 'cases = [\n  { match = "/a", backend = "h:2" }, # first\n]\n'
    assert exported(f"{ROUTE}{array}", cases={(*KEY, new.match): new}) == (
        f'{ROUTE}cases = [\n  {{ match = "/a", backend = "h:2" }}, # first\n'
        '  { match = "GET /c ?v=2", redirect = "/d", status = 301 },\n]\n'
    )


def test_a_page_becomes_a_text_and_a_listener_believes_others() -> None:
    """Whatever form the table has."""
    page = '\n[[listeners.routes.cases]]\nmatch = "/a"\n[listeners.routes.cases.respond]\nfile = "m.html" # soon\n'
    after = exported(f"{ROUTE}{page}", cases={(*KEY, "/a"): Case(*KEY, "/a", respond="x")})
    assert after == f'{ROUTE}\n[[listeners.routes.cases]]\nmatch = "/a"\nrespond = "x"\n'
    believing = Listener(":1", real_ip=RealIp(from_=("10.0.0.0/8",)))
    after = exported(ROUTE, listeners={":1": believing})
    assert after == ROUTE.replace('addr = ":1"\n', 'addr = ":1"\nreal_ip = { from = ["10.0.0.0/8"] }\n')
    other = Listener(":1", real_ip=RealIp(from_=("10.0.0.0/8",), header="X-B"))
    assert 'real_ip = { from = ["10.0.0.0/8"], header = "X-B" }' in exported(after, listeners={":1": other})
