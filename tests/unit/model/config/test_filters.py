"""Filters in files, and what uses them: what becomes of them, and what is told of those that are wrong, with line and column."""

import pytest
from msgspec import UNSET

from mcproxy.errors import ConfigError
from mcproxy.model.config.checking import checks
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.model.state.filter_options import Cors, ForwardAuth, RealIp, Rewrite
from mcproxy.model.state.state import Filter
from mcproxy.model.values.endpoint import RouteBackend
from mcproxy.model.values.http.amounts import Rate
from tests.support.rows import each_row

LISTENER = '[[listeners]]\naddr = ":1"\n'
L7 = '[[listeners.routes]]\nhostname = "a"\nmode = "l7"\ntls_cert = "c"\ntls_key = "k"\nbackend = "h:1"\n'
L4 = '[[listeners.routes]]\nhostname = "a"\nbackend = "h:1"\n'
WEB = '[upstreams.web]\nendpoints = ["h:1"]\n'


def read(*texts: str) -> Resolution:
    """Return what files mean together: the main file, then one of a name after the other."""
    return resolve([Source(f"/{index or 'm'}.toml", text) for index, text in enumerate(texts)])


def told(*texts: str) -> list[str]:
    """Return every problem of files, as ``line:column: severity: key: message``, with the file in front but for the main one."""
    try:
        problems: tuple[object, ...] = read(*texts).warnings
    except ConfigError as error:
        problems = error.problems
    return [str(problem).removeprefix("/m.toml:") for problem in problems if isinstance(problem, Problem)]


def used(keys: str, *names: str) -> str:
    """Return a file with filters of these names, of which a listener uses all; ``keys`` are those of the last."""
    return (
        "".join(f"[filters.{name}]\n" for name in names) + keys + f"{LISTENER}use = {list(names)}\n".replace("'", '"')
    )


@pytest.mark.parametrize("more", ["", L7, L4 + L7.replace('"a"', '"b"'), 'protocol = "http"\n'])
def test_headers_may_tell_who_the_client_is_where_there_are_requests(more: str) -> None:
    """Routes that there are not yet may be l7."""
    assert told(f'{LISTENER}real_ip.from = ["10.0.0.0/8"]\n{more}') == []


def test_a_filter_is_a_resource_in_one_form() -> None:
    """Names of headers are spelled alike, lists and tables have an order of their own; paths are absolute, rates and sizes numbers."""
    text = """\
[filters.a]
allow_cidrs = ["192.0.2.0/24", "10.0.0.0/8", "10.0.0.0/8"]
rate_limit = "200/1m30s"
rate_key = "header:x-api-key"
max_body = "10MiB"
basic_auth = "users"
forward_auth = { backend = "web", copy_headers = ["x-user", "X-GROUPS"] }
set_request_headers = { x-b = "{client_ip}", "X-A" = "1" }
add_response_headers = { link = ["<b>", "<a>"] }
rewrite = { from = "/api", to = "/" }
request_timeout = "0s"
error_pages = { "5xx" = "sorry.html", "404" = "/lost.html" }
cors = { origins = ["HTTPS://A.test:443", "https://b.test:8443"], max_age = "10m" }
"""
    state = read(f'{text}{WEB}{LISTENER}use = ["a"]\n').state
    assert state.filters["a"] == Filter(
        name="a",
        allow_cidrs=("10.0.0.0/8", "192.0.2.0/24"),
        rate_limit=Rate(200, 90.0),
        rate_key="header:X-Api-Key",
        max_body=10 << 20,
        basic_auth="/users",
        forward_auth=ForwardAuth(backend=RouteBackend((), "web"), copy_headers=("X-Groups", "X-User")),
        set_request_headers=(("X-A", "1"), ("X-B", "{client_ip}")),
        add_response_headers=(("Link", "<b>"), ("Link", "<a>")),
        rewrite=Rewrite(from_="/api", to="/"),
        request_timeout=0.0,
        error_pages=(("404", "/lost.html"), ("5xx", "/sorry.html")),
        cors=Cors(origins=("https://a.test", "https://b.test:8443"), methods=("GET", "HEAD", "POST"), max_age=600.0),
    )
    assert (Filter(name="a").max_body, Filter(name="a").idle_timeout) == (UNSET, UNSET)
    believing = read(LISTENER + 'real_ip = { from = ["192.0.2.0/24", "10.0.0.0/8"] }\n').state.listeners[":1"]
    assert believing.real_ip == RealIp(from_=("10.0.0.0/8", "192.0.2.0/24"), header="X-Forwarded-For")


def test_the_order_of_what_is_used_says_nothing() -> None:
    """Nor what is named twice, which is doubtful; files add up."""
    filters = '[filters.a]\nmax_body = "1B"\n[filters.b]\nmax_body = "2B"\n'
    orders = [
        read(f"{filters}{LISTENER}use = {order}\n").state for order in ('["a", "b"]', '["b", "a"]', '["b", "a", "b"]')
    ]
    assert orders[0] == orders[1] == orders[2]
    assert orders[0].listeners[":1"].use == ("a", "b")
    assert read(f'include = ["1.toml"]\n{LISTENER}use = ["a", "b"]\n', filters).state == orders[0]


@each_row(
    ("text", "problem"),
    [
        (
            used('rate_limit = "5/m"\n', "a"),
            '2:14: error: filters.a.rate_limit: "5/m" is no rate; did you mean "5/1m"?',
        ),
        (
            used('rate_limit = "0/1s"\n', "a"),
            '2:14: error: filters.a.rate_limit: "0/1s": the number of requests is 1 to 16777215',
        ),
        (used('max_body = "10M"\n', "a"), '2:12: error: filters.a.max_body: "10M" is no size; did you mean "10MiB"?'),
        (
            used('set_request_headers = { X-A = "{clientip}" }\n', "a"),
            '2:31: error: filters.a.set_request_headers.X-A: there is no variable "{clientip}"; did you mean {client_ip}?',
        ),
        (
            used('set_request_headers = { hOst = "x" }\n', "a"),
            '2:32: error: filters.a.set_request_headers.hOst: "hOst" can\'t be changed here; write rewrite_host',
        ),
        (
            used('set_request_headers.X_Forwarded_For = "x"\n', "a"),
            (
                '2:39: error: filters.a.set_request_headers.X_Forwarded_For: "X_Forwarded_For" can\'t be changed: it is what the proxy itself tells the backend of '
                "the client"
            ),
        ),
        (
            used('set_response_headers = { x-a = "1", X-A = "2" }\n', "a"),
            '2:43: error: filters.a.set_response_headers.X-A: is the same as "x-a", which is there already',
        ),
        (
            used('add_response_headers = { Link = ["a", 5] }\n', "a"),
            '2:39: error: filters.a.add_response_headers.Link[1]: must be a string such as "{client_ip}", not an integer; write "5"',
        ),
        (
            used('remove_request_headers = ["x-a"]\nset_request_headers = { X-A = "1" }\n', "a"),
            (
                "2:27: error: filters.a.remove_request_headers[0]: X-A is set or added by the same filter; what the request had under this name goes anyway when "
                "it is set"
            ),
        ),
        (
            used('remove_request_headers = ["x.a"]\nset_request_headers = { x_A = "1" }\n', "a"),
            (
                "2:27: error: filters.a.remove_request_headers[0]: X_a is set or added by the same filter; what the request had under this name goes anyway when "
                "it is set"
            ),
        ),
        (
            used('set_request_headers = { X-A = "1", x_A = "2", X-B = "3" }\n', "a"),
            (
                "2:36: error: filters.a.set_request_headers.x_A: backends may read X-A and X_a as one header, so they can't both be set; name one of them"
            ),
        ),
        (
            used('cors = { origins = ["https://a.test", "*"], credentials = true }\n', "a"),
            '2:39: error: filters.a.cors.origins[1]: browsers send no credentials where "*" is allowed; name the origins whose pages may use them',
        ),
        (used("cors = { origins = [] }\n", "a"), "2:20: error: filters.a.cors.origins: must name at least one origin"),
        (
            used('cors = { origins = ["https://a.test/x"] }\n', "a"),
            (
                '2:21: error: filters.a.cors.origins[0]: "https://a.test/x" is no origin, as in "https://app.example.com", without a path; did you mean '
                '"https://a.test"?'
            ),
        ),
        (
            used('error_pages = { "500-502" = "a", "501-503" = "b" }\n', "a"),
            '2:34: error: filters.a.error_pages.501-503: has statuses in common with "500-502", and neither is the narrower range',
        ),
        (
            used('error_pages = { "200" = "a" }\n', "a"),
            '2:25: error: filters.a.error_pages.200: "200" is no status of an error; write one as "404", a range as "502-504", or a class as "5xx"',
        ),
        (
            used('rewrite = { from = "/api", to = "/a//b" }\n', "a"),
            '2:33: error: filters.a.rewrite.to: "/a//b" is read in several ways; write it without "//", "." and ".."',
        ),
        (used('rewrite = { to = "/" }\n', "a"), '2:11: error: filters.a.rewrite: the key "from" is missing'),
        (
            used('forward_auth = { backend = "wbe" }\n', "a") + WEB,
            '2:28: error: filters.a.forward_auth.backend: there is no upstream "wbe"; did you mean "web"? (an address needs a port)',
        ),
        (
            used('forward_auth = { backend = "web" }\n', "a") + WEB + "send_proxy_protocol = true\n",
            (
                "2:28: error: filters.a.forward_auth.backend: the upstream web wants a PROXY header of each client (send_proxy_protocol), and one connection "
                "carries the questions about many; name another upstream"
            ),
        ),
        (
            used('allow_countries = ["SE"]\n', "a"),
            "2:19: error: filters.a.allow_countries: allowing a country needs geoip_db in [firewall], a database of countries",
        ),
        (used('rate_key = "header:X"\n', "a"), "2:1: warning: filters.a.rate_key: has no effect without rate_limit"),
        (
            used("pass_credentials = true\n", "a"),
            "2:1: warning: filters.a.pass_credentials: has no effect without basic_auth",
        ),
        (
            used("backend_errors = true\n", "a"),
            "2:1: warning: filters.a.backend_errors: has no effect without error_pages",
        ),
        (used("", "a"), "1:10: warning: filters.a: has no keys, and so does nothing"),
        ('[filters.a]\nmax_body = "1B"\n' + LISTENER, "1:10: warning: filters.a: nothing uses this filter"),
        (
            f'[filters.office]\nmax_body = "1B"\n{LISTENER}use = [\n  "ofice",\n]\n',
            '6:3: error: listeners[0].use[0]: there is no filter "ofice"; did you mean "office"?',
        ),
        (
            f'{LISTENER}{L7}without = ["a"]\n',
            '9:12: error: listeners[0].routes[0].without[0]: there is no filter "a"; it needs [filters.a]',
        ),
        (
            f'[filters.a]\nmax_body = "1B"\n{LISTENER}{L7}without = ["a"]\n',
            "11:12: warning: listeners[0].routes[0].without[0]: has no effect: a does not hold here (the listener has: none)",
        ),
        (
            f'[filters.a]\nmax_body = "1B"\n{LISTENER}use = ["a"]\n{L7}use = ["a"]\nwithout = ["a"]\n',
            "12:8: error: listeners[0].routes[0].use[0]: a is in without as well; it either holds here or it does not",
        ),
        (
            f'[filters.Office]\nmax_body = "1B"\n{LISTENER}',
            '1:10: error: filters.Office: "Office" is no name of a filter: 1 to 63 lower-case letters, digits and "-", as in "office"',
        ),
        (
            LISTENER + "real_ip = { from = [] }\n",
            "3:20: error: listeners[0].real_ip.from: must name at least one network",
        ),
        (
            LISTENER + 'real_ip.from = ["10.0.0.0/8"]\n' + L4,
            "3:1: warning: listeners[0].real_ip: has no effect: all routes of the listener are l4, which see no headers; for PROXY headers write proxy_protocol",
        ),
        (
            LISTENER + '"real\\u005fip".from = ["10.0.0.0/8"]\n' + L4,  # a name in quotes may be written like this
            "3:1: warning: listeners[0].real_ip: has no effect: all routes of the listener are l4, which see no headers; for PROXY headers write proxy_protocol",
        ),
        (LISTENER + "real_ip = {}\n", '3:11: error: listeners[0].real_ip: the key "from" is missing'),
        (
            LISTENER + 'real_ip.from = ["::/0"]\n',
            "3:17: warning: listeners[0].real_ip.from[0]: anyone can claim to be any client; name the networks of the proxies alone",
        ),
        (
            LISTENER + L7.replace('tls_cert = "c"\ntls_key = "k"\n', 'certificate = "acme"\n'),
            (
                '6:15: error: listeners[0].routes[0].certificate: certificate = "acme" needs [acme], such as email = "ops@example.com": whom certificates are '
                "ordered from"
            ),
        ),
    ],
)
def test_one_mistake_has_one_message(text: str, problem: str) -> None:
    """At the key or value that it is about."""
    assert told(text) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[filters.a]\nidle_timeout = "1s"\n[filters.b]\nmax_body = "1B"\nidle_timeout = "2s"\n'
            + LISTENER
            + 'use = ["a", "b"]\n',
            (
                "8:13: error: listeners[0].use[1]: the filter a and the filter b say different things of idle_timeout, and neither is the inner one here "
                "(/m.toml:2 and /m.toml:5)"
            ),
        ),
        (
            '[filters.a]\nset_request_headers = { x-a = "1" }\n'
            + LISTENER
            + L7
            + 'use = ["a"]\nfilter.add_request_headers = { x_a = "2" }\n',
            (
                '11:8: error: listeners[0].routes[0].use[0]: the filter a and the filter of its own say different things of the request header "X-A", and '
                "neither is the inner one here (/m.toml:2 and /m.toml:12)"
            ),
        ),
        (
            '[filters.a]\nset_response_headers = { x-a = "1" }\n'
            + LISTENER
            + L7
            + 'use = ["a"]\nfilter.remove_response_headers = ["X-A"]\n',
            (
                '11:8: error: listeners[0].routes[0].use[0]: the filter a and the filter of its own say different things of the response header "X-A", and '
                "neither is the inner one here (/m.toml:2 and /m.toml:12)"
            ),
        ),
        (
            (
                '[filters.a]\nerror_pages = { "502-504" = "a" }\n[filters.b]\nerror_pages = { "500-502" = "a", "5xx" = "b" }\n'
                f'{LISTENER}{L7}cases = [{{ match = "/x", use = ["a", "b"] }}]\n'
            ),
            (
                '13:38: error: listeners[0].routes[0].cases[0].use[1]: the filter a and the filter b say different things of the error page "500-502", and '
                "neither is the inner one here (/m.toml:2 and /m.toml:4)"
            ),
        ),
    ],
)
def test_two_filters_of_one_place_that_set_the_same_are_an_error_with_both_lines(text: str, problem: str) -> None:
    """Since the order in which they are named says nothing."""
    assert told(text) == [problem]


def test_filters_of_one_place_may_add_up() -> None:
    """Guards always do; headers that both add too, and what both say alike. An inner place may say otherwise."""
    one = '[filters.a]\nmax_body = "1B"\nidle_timeout = "1s"\nadd_request_headers = { Link = "1" }\n'
    two = '[filters.b]\nmax_body = "2B"\nidle_timeout = "1s"\nadd_request_headers = { Link = "2" }\n'
    assert told(f'{one}{two}{LISTENER}use = ["a", "b"]\n') == []
    assert told(f'{one}{LISTENER}use = ["a"]\n{L7}filter.idle_timeout = "2s"\n') == []


def test_l4_routes_take_the_guards_of_connections_alone() -> None:
    """Of the filters that they name themselves; what is inherited from the listener has no effect there."""
    inherited = f'[filters.a]\nmax_body = "1B"\n{LISTENER}use = ["a"]\n{L4}'
    assert told(inherited) == []
    assert told(f'[filters.a]\nallow_cidrs = ["10.0.0.0/8"]\nrate_limit = "5/1m"\n{LISTENER}{L4}use = ["a"]\n') == []
    assert told(f'[filters.a]\nmax_body = "1B"\n{LISTENER}{L4}use = ["a"]\n') == [
        (
            '8:8: error: listeners[0].routes[0].use[0]: the filter a has max_body, which is about requests, and an l4 route sees none; it needs mode = "l7" '
            "(/m.toml:2)"
        )
    ]
    assert told(f'{LISTENER}{L4}filter = {{ rate_limit = "5/1m", rate_key = "header:X" }}\n') == [
        '6:44: error: listeners[0].routes[0].filter.rate_key: is about requests, and an l4 route sees none; it needs mode = "l7"'
    ]


def test_a_filter_is_declared_once_over_all_files() -> None:
    """Both places are told; what may be in a file that is missing is not missed."""
    one = '[filters.a]\nmax_body = "1B"\n'
    assert told(f'include = ["1.toml"]\n{one}{LISTENER}use = ["a"]\n', one) == [
        "/1.toml:1:10: error: filters.a: the filter a is already declared at /m.toml:2"
    ]
    assert [
        problem.rpartition(": ")[2]
        for problem in told(f'include = ["1.toml"]\n{LISTENER}use = ["a"]\n', "[filters.a\n")
    ] == [problem.rpartition(": ")[2] for problem in told(f'include = ["1.toml"]\n{LISTENER}', "[filters.a\n")]


def test_more_than_there_are_counters_for_is_told_at_the_first_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters of routes and cases count as named ones do."""
    monkeypatch.setattr(checks, "MAX_FILTERS", 2)
    named = '[filters.a]\nmax_body = "1B"\n' + LISTENER + 'use = ["a"]\n' + L7 + 'filter = { max_body = "2B" }\n'
    assert told(named) == []
    (problem,) = told(named + 'cases = [\n  { match = "/x", filter = { max_body = "3B" } },\n]\n')
    assert (
        problem
        == "14:3: error: listeners[0].routes[0].cases[0]: more than 2 filters: split the configuration over several proxies"
    )
    monkeypatch.setattr(checks, "MAX_CASES", 1)
    (problem,) = told(LISTENER + L7 + 'cases = [{ match = "/a" }, { match = "/b" }]\n')
    assert problem.endswith("cases[1]: more than 1 cases: split the configuration over several proxies")
