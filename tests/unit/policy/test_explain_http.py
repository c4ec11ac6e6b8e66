"""Explanations of requests name the case, what each filter does, and the line that says so."""

import ipaddress
import json
import random
import re
from pathlib import Path

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.policy.explain.query import Query, Step
from mcproxy.policy.explain.walk import Walker, explain

TABLE = json.loads((Path(__file__).parents[2] / "data" / "cases.json").read_text())
FILE = """\
[upstreams.api]
endpoints = ["10.0.0.3:80"]
[filters.public]
set_response_headers = { Strict-Transport-Security = "max-age=1" }
rate_limit = "200/10s"
max_body = "1MiB"
[filters.office]
allow_cidrs = ["10.0.0.0/8"]
[filters.nordic]
allow_countries = ["SE"]
[filters.robots]
block_user_agents = ["badbot"]
require_headers = ["X-Key"]
[filters.login]
forward_auth = { backend = "127.0.0.1:4180", path = "/verify", copy_headers = ["X-User"] }
basic_auth = "/etc/ops.htpasswd"
rate_limit = "5/1m"
rate_key = "header:X-Key"
[filters.ui]
cors = { origins = ["https://ui.test"], credentials = true }
[firewall]
geoip_db = "/etc/countries.mmdb"
[[listeners]]
addr = ":80"
protocol = "http"
real_ip = { from = ["10.0.0.0/8"] }
use = ["public"]
[[listeners.routes]]
hostname = "app.test"
backend = "127.0.0.1:1"
use = ["office"]
[[listeners.routes.cases]]
match = "/api/*"
headers = { X-Version = "2" }
backend = "api"
[listeners.routes.cases.filter]
rewrite = { from = "/api", to = "/v2" }
rewrite_host = "api.internal"
set_request_headers = { X-Client = "{client_ip} {scheme}" }
remove_request_headers = ["X-Version"]
remove_response_headers = ["Server"]
idle_timeout = "30m"
[[listeners.routes.cases]]
match = "/api/*"
use = ["ui"]
without = ["office"]
[[listeners.routes.cases]]
match = "GET|HEAD /robots.txt"
respond = "x"
use = ["robots"]
[[listeners.routes.cases]]
match = "POST /login"
use = ["login"]
[[listeners.routes.cases]]
match = "/login"
use = ["nordic"]
[[listeners.routes.cases]]
match = "/old/*"
redirect = "https://{host}/new"
status = 301
[[listeners]]
addr = ":443"
use = ["public", "office", "nordic"]
[[listeners.routes]]
hostname = "db.test"
backend = "127.0.0.1:2"
[[listeners.routes]]
hostname = "open.test"
backend = "127.0.0.1:3"
without = ["office", "nordic"]
"""
HOST = ("Host", "app.test")
COUNTRIES = {"10.0.0.1": "SE", "81.0.0.1": "SE", "192.0.2.7": "NO"}


def country(packed: bytes) -> str | None:
    return COUNTRIES.get(str(ipaddress.ip_address(packed)))


@pytest.fixture(scope="module")
def resolution() -> Resolution:
    return resolve([Source("/etc/mc.toml", FILE)])


def steps_of(resolution: Resolution, line: str, ip: str | None, **headers: str) -> list[Step]:
    method, path = line.split()
    fields = (HOST, *((name.replace("_", "-"), value) for name, value in headers.items()))
    return list(explain(resolution, Query(":80", ip=ip, method=method, path=path, headers=fields), country))


def step_of(steps: list[Step], name: str) -> tuple[str, str, str]:
    """Return outcome, words and line of the one step of a name, or of several as one."""
    found = [step for step in steps if step.step == name]
    assert found, [step.step for step in steps]
    lines = ", ".join(str(step.origin.line) if step.origin else "" for step in found)
    return found[-1].outcome, " | ".join(step.detail for step in found), lines


def declared(text: str, after: str = "") -> str:
    """Return the number of the line that has a text, the first behind another one."""
    lines = FILE.splitlines()
    start = next((number for number, line in enumerate(lines) if after in line), 0)
    return str(next(number for number, line in enumerate(lines, 1) if number > start and text in line))


def block(text: str, after: str = "") -> str:
    """Return the number of the line that begins the block that begins with such a line."""
    return str(int(declared(text, after)) - 1)


def test_the_stages_stand_in_their_order(resolution: Resolution) -> None:
    """Whatever the order in the file; a stage that nothing is asked of is left out."""
    steps = steps_of(resolution, "GET /api/x?y", "10.0.0.1", X_Version="2")
    names = "listener route authority real_ip case allow rate body rewrite headers backend"
    assert [step.step for step in steps] == names.split()
    assert all(step.outcome == "ok" for step in steps)
    assert step_of(steps, "rewrite") == (
        "ok",
        "the backend gets /v2/x?y of api.internal (the case's filter)",
        declared("rewrite = "),
    )
    assert step_of(steps, "headers") == (
        "ok",
        (
            "the backend gets x-client: 10.0.0.1 http, without x-version; "
            "clients get strict-transport-security: max-age=1, without server"
        ),
        declared("set_request_headers"),
    )
    assert step_of(steps, "backend")[1].startswith("upstream api by")
    assert "idle_timeout 30m" in step_of(steps, "backend")[1]
    assert (
        Walker(resolution)
        .reached(Query(":80", method="GET", path="/api/x", headers=(HOST, ("X-Version", "2"))), country)[0]
        .upstream
        == "api"
    )


def test_the_case_and_those_that_lose(resolution: Resolution) -> None:
    """With its line; of the others on the path each with why."""
    assert step_of(steps_of(resolution, "GET /api/x", "10.0.0.1", X_Version="2"), "case") == (
        "ok",
        "/api/* X-Version=2 fits; not /api/* (one with more headers comes first)",
        block('"/api/*"'),
    )
    assert step_of(steps_of(resolution, "GET /api/x", "10.0.0.1", X_Version="3"), "case")[1] == (
        '/api/* fits; not /api/* X-Version=2 (the header X-Version is not "2")'
    )
    assert step_of(steps_of(resolution, "GET /api/x", "10.0.0.1"), "case")[1] == (
        "/api/* fits; not /api/* X-Version=2 (without the header X-Version)"
    )
    assert step_of(steps_of(resolution, "POST /login", "10.0.0.1"), "case")[1] == (
        "POST /login fits; not /login (one with a method comes first)"
    )
    assert step_of(steps_of(resolution, "POST /robots.txt", "10.0.0.1"), "case") == (
        "ok",
        "no case fits; not GET|HEAD /robots.txt (not for POST)",
        block('hostname = "app.test"'),
    )


def test_a_path_of_two_cases_is_refused_with_both(resolution: Resolution) -> None:
    """And with the readings that lead to them."""
    steps = steps_of(resolution, "GET /api/..;/login?x", "10.0.0.1")
    assert steps[-1].step == "case"
    api, login = block('"/api/*"', "idle_timeout"), block('"/login"')
    assert step_of(steps, "case") == (
        "refused",
        (
            f'answered with 400, ambiguous_path: read as "/api/..;/login" the path belongs to /api/* (/etc/mc.toml:{api}), '
            f'read as "/login" to /login (/etc/mc.toml:{login})'
        ),
        api,
    )


@pytest.mark.parametrize(
    ("ip", "headers", "client", "words"),
    [
        ("10.0.0.1", {}, "10.0.0.1", "10.0.0.1 is in 10.0.0.0/8, and X-Forwarded-For names nobody else"),
        (
            "10.0.0.1",
            {"X_Forwarded_For": "1.1.1.1, 192.0.2.7, 10.0.0.9"},
            "192.0.2.7",
            "10.0.0.1 is in 10.0.0.0/8, and X-Forwarded-For says that the client is 192.0.2.7",
        ),
        (
            "10.0.0.1",
            {"X_Forwarded_For": "unknown"},
            "10.0.0.1",
            "X-Forwarded-For has an address that is none: 10.0.0.1 counts as the client",
        ),
        (
            "192.0.2.9",
            {"X_Forwarded_For": "10.0.0.5"},
            "192.0.2.9",
            "192.0.2.9 is not in 10.0.0.0/8: it is the client, whatever X-Forwarded-For says",
        ),
    ],
)
def test_the_client_behind_a_balancer(
    resolution: Resolution, ip: str, headers: dict[str, str], client: str, words: str
) -> None:
    """Whom the header names is whom filters judge, if the connection is trusted."""
    steps = steps_of(resolution, "GET /", ip, **headers)
    assert step_of(steps, "real_ip") == ("ok", words, declared("real_ip"))
    outcome, allow, _ = step_of(steps, "allow")
    assert (outcome, client in allow) == ("ok" if client.startswith("10.") else "refused", True)


def test_without_a_client_nobody_is_judged(resolution: Resolution) -> None:
    steps = steps_of(resolution, "GET /", None)
    assert (
        step_of(steps, "real_ip")[1]
        == "X-Forwarded-For says who the client is, if the connection comes from 10.0.0.0/8"
    )
    assert step_of(steps, "allow")[:2] == ("ok", "office: not judged without a client address")
    assert step_of(steps, "rate")[1] == "each client may ask 200 times in 10s (public)"


@pytest.mark.parametrize(
    ("line", "ip", "headers", "words", "line_of"),
    [
        ("GET /", "192.0.2.7", {}, "192.0.2.7 is in none of allow_cidrs (office)", "allow_cidrs"),
        ("GET /login", "10.0.0.2", {}, "10.0.0.2 is in no known country, which is none of allow_countries (nordic)", "allow_countries"),
        ("GET /robots.txt", "10.0.0.1", {"User_Agent": "BadBot/1", "X_Key": "k"}, "the user agent is one of block_user_agents (robots)", "block_user_agents"),
        ("GET /robots.txt", "10.0.0.1", {}, "one of require_headers is missing, or has another value (robots)", "require_headers"),
    ],
)  # fmt: skip
def test_a_guard_that_refuses_is_named(
    resolution: Resolution, line: str, ip: str, headers: dict[str, str], words: str, line_of: str
) -> None:
    """It ends the walk; the line is that of its key."""
    steps = steps_of(resolution, line, ip, **headers)
    assert steps[-1].step == "allow"
    assert step_of(steps, "allow") == ("refused", f"answered with 403: {words}", declared(line_of))


def test_what_is_lifted_is_told(resolution: Resolution) -> None:
    """An outer guard that a case lifts by name."""
    steps = steps_of(resolution, "GET /api/x", "192.0.2.7")
    assert step_of(steps, "allow") == ("ok", "office is lifted (without)", declared('without = ["office"]'))
    assert steps[-1].step == "backend"


def test_rates_and_auth_say_what_would_be_asked(resolution: Resolution) -> None:
    """Nothing is counted, and nobody asked."""
    steps = steps_of(resolution, "POST /login", "10.0.0.1", X_Key="k", Content_Length="1048577")
    assert step_of(steps, "rate") == (
        "ok",
        "10.0.0.1 may ask 200 times in 10s (public) | who sends this X-Key may ask 5 times in 1m (login)",
        f"{declared('rate_limit')}, {declared('rate_limit', '[filters.login]')}",
    )
    assert step_of(steps, "body") == (
        "refused",
        "answered with 413: 1048577 bytes, and at most 1MiB (public)",
        declared("max_body"),
    )
    steps = steps_of(resolution, "POST /login", "10.0.0.1", Content_Length="1048576")
    assert step_of(steps, "rate")[1].endswith("| 10.0.0.1 may ask 5 times in 1m (login)")
    assert step_of(steps, "auth") == (
        "ok",
        (
            "a name and password of /etc/ops.htpasswd are asked for (login) | "
            "GET /verify is asked of 127.0.0.1:4180, which says X-User (login)"
        ),
        f"{declared('basic_auth')}, {declared('forward_auth')}",
    )


def test_preflights_are_answered_before_auth(resolution: Resolution) -> None:
    """They are the last step; other requests learn what the answer says."""
    asks = {"Access_Control_Request_Method": "PUT"}
    for origin, words in (("https://ui.test", "may"), ("https://evil.test", "may not")):
        steps = steps_of(resolution, "OPTIONS /api/x", "10.0.0.1", Origin=origin, **asks)
        assert steps[-1].step == "cors"
        assert step_of(steps, "cors") == ("ok", f"answered with 204: {origin} {words} ask (ui)", declared("cors"))
        steps = steps_of(resolution, "GET /api/x", "10.0.0.1", Origin=origin)
        assert step_of(steps, "cors")[1] == f"answers say: {origin} {words} ask (ui)"
        assert steps[-1].step == "backend"
    assert step_of(steps_of(resolution, "GET /api/x", "10.0.0.1"), "cors")[1] == (
        "answers say: pages of https://ui.test may ask (ui)"
    )


def test_a_case_may_answer_itself(resolution: Resolution) -> None:
    steps = steps_of(resolution, "GET /robots.txt", "10.0.0.1", X_Key="k")
    assert step_of(steps, "action") == ("ok", "answered with 200", declared("respond"))
    steps = steps_of(resolution, "GET /old/x", "10.0.0.1")
    assert step_of(steps, "action") == ("ok", "answered with 301, to https://app.test/new", declared("redirect"))
    assert step_of(steps, "headers")[1] == "clients get strict-transport-security: max-age=1"


def test_a_rewritten_path_may_be_refused() -> None:
    """All of its readings are the case's, and some lead out of what the backend is to get."""
    text = """\
[[listeners]]
addr = ":80"
protocol = "http"
[[listeners.routes]]
hostname = "app.test"
respond = "x"
cases = [{ match = "/*", backend = "127.0.0.1:1", filter = { rewrite = { from = "/api", to = "/v2" } } }]
"""
    there = resolve([Source("/etc/mc.toml", text)])
    steps = steps_of(there, "GET /api/%2e%2e/x", "10.0.0.1")
    assert [step.step for step in steps][-2:] == ["case", "rewrite"]
    assert step_of(steps, "rewrite") == (
        "refused",
        "answered with 400, ambiguous_path: the rewritten path can be read as leading out of rewrite.to",
        "7",
    )
    assert step_of(steps_of(there, "GET /api/x", None), "rewrite")[1] == "the backend gets /v2/x (the case's filter)"


def test_l4_routes_are_guarded_and_what_has_no_effect_is_told(resolution: Resolution) -> None:
    """Networks, countries and rates hold for connections as well."""

    def ask(sni: str, ip: str) -> list[Step]:
        return list(explain(resolution, Query(":443", sni=sni, ip=ip), country))

    steps = ask("db.test", "10.0.0.1")
    assert [step.step for step in steps] == ["listener", "hello", "route", "allow", "rate", "filters", "backend"]
    assert step_of(steps, "allow")[:2] == ("ok", "nothing refuses 10.0.0.1: nordic, office")
    assert step_of(steps, "rate")[1] == "10.0.0.1 may connect 200 times in 10s (public)"
    assert step_of(steps, "filters") == (
        "ok",
        "without effect on l4: max_body (public), set_response_headers (public)",
        declared("max_body"),
    )
    steps = ask("db.test", "81.0.0.1")
    assert step_of(steps, "allow") == (
        "refused",
        "the connection is reset: 81.0.0.1 is in none of allow_cidrs (office)",
        declared("allow_cidrs"),
    )
    assert step_of(ask("db.test", "10.0.0.2"), "allow")[:2] == (
        "refused",
        "the connection is reset: 10.0.0.2 is in no known country, which is none of allow_countries (nordic)",
    )
    assert step_of(ask("open.test", "192.0.2.7"), "allow")[1] == "nordic, office are lifted (without)"


def test_a_rate_by_header_has_no_effect_on_l4() -> None:
    """Nobody sends one there."""
    text = """\
[filters.keys]
rate_limit = "5/1m"
rate_key = "header:X-Key"
[[listeners]]
addr = ":443"
use = ["keys"]
[[listeners.routes]]
hostname = "db.test"
backend = "127.0.0.1:2"
"""
    steps = list(explain(resolve([Source("/etc/mc.toml", text)]), Query(":443", sni="db.test", ip="10.0.0.1"), country))
    assert [step.step for step in steps] == ["listener", "hello", "route", "filters", "backend"]
    assert step_of(steps, "filters") == ("ok", "without effect on l4: rate_limit (keys)", "2")


def test_without_a_request_its_cases_are_left_open(resolution: Resolution) -> None:
    """And of a route without cases what holds for all requests is told."""
    text = FILE.replace('hostname = "app.test"', 'hostname = "*"').replace(
        '[[listeners]]\naddr = ":443"',
        '[[listeners.routes]]\nhostname = "plain.test"\nbackend = "127.0.0.1:5"\nuse = ["office"]\n[[listeners]]\naddr = ":443"',
    )
    there = resolve([Source("/etc/mc.toml", text)])
    steps = list(explain(there, Query(":80", ip="192.0.2.7"), country))
    assert step_of(steps, "case")[:2] == ("ok", "6 cases, not judged without a request")
    steps = list(explain(there, Query(":80", ip="192.0.2.7", headers=(("Host", "plain.test"),)), country))
    assert step_of(steps, "allow")[0] == "refused"


@pytest.fixture(scope="module")
def of_the_table() -> Resolution:
    cases = ", ".join(f"{{ match = {json.dumps(case)} }}" for case in TABLE["cases"])
    return resolve(
        [
            Source(
                "/etc/mc.toml",
                '[[listeners]]\naddr = ":80"\nprotocol = "http"\n[[listeners.routes]]\nhostname = "app.test"\n'
                f'backend = "127.0.0.1:1"\ncases = [{cases}]\n',
            )
        ]
    )


@pytest.mark.parametrize(("line", "headers", "case"), TABLE["requests"])
def test_the_table_of_request_lines(
    of_the_table: Resolution, line: str, headers: dict[str, str], case: str | None
) -> None:
    """What explain says of each is what the data plane does."""
    outcome, words, _ = step_of(steps_of(of_the_table, line, None, **headers), "case")
    if case == "ambiguous":
        assert (outcome, words.startswith("answered with 400, ambiguous_path: read as")) == ("refused", True)
    else:
        assert (outcome, words.partition("; ")[0]) == ("ok", f"{case or 'no case'} fits")


def shuffled(seed: int) -> list[Source]:
    """Return a configuration whose tables, routes, cases and files come in the order that a seed makes."""
    draw = random.Random(seed)

    def mixed(items: list[str]) -> list[str]:
        return draw.sample(items, len(items))

    filters = mixed(
        [
            '[filters.office]\nallow_cidrs = ["10.0.0.0/8"]\nset_request_headers = { X-Office = "yes" }\n',
            '[filters.slow]\nrate_limit = "5/1m"\n',
            '[filters.small]\nmax_body = "10B"\n',
        ]
    )
    cases = [
        f"{{ match = {json.dumps(case)}, use = {json.dumps(mixed(['office', 'slow']))} }}" for case in TABLE["cases"]
    ]
    routes = [
        f'hostname = "app.test"\nbackend = "127.0.0.1:1"\nuse = ["small"]\ncases = [{", ".join(mixed(cases))}]\n',
        'hostname = "*.test"\nbackend = "127.0.0.1:2"\n',
        'hostname = "*"\nredirect = "/x"\n',
    ]
    files = [f'[[routes]]\nlistener = ":80"\n{route}' for route in routes]
    main = [*filters, '[[listeners]]\naddr = ":80"\nprotocol = "http"\n']
    included = [Source(f"/etc/{number}.toml", text) for number, text in enumerate(files)]
    return [Source("/etc/mc.toml", "".join(mixed(main))), *draw.sample(included, len(included))]


def test_nothing_depends_on_the_order() -> None:
    """However tables, routes, cases and files are shuffled, every request meets the same."""
    told: set[tuple[tuple[str, str, str], ...]] = set()
    for seed in range(100):
        there = resolve(shuffled(seed))
        steps = [
            step for line, headers, _ in TABLE["requests"][::7] for step in steps_of(there, line, "10.0.0.1", **headers)
        ]
        told.add(tuple((step.step, step.outcome, re.sub(r"\(/etc/\S+\)", "", step.detail)) for step in steps))
    assert len(told) == 1


def test_a_route_without_an_action_answers_with_404() -> None:
    """Where none of its cases fits."""
    text = """\
[[listeners]]
addr = ":80"
protocol = "http"
[[listeners.routes]]
hostname = "app.test"
cases = [{ match = "/a", respond = "x" }]
"""
    there = resolve([Source("/etc/mc.toml", text)])
    steps = steps_of(there, "GET /b", None)
    assert step_of(steps, "action") == ("refused", "answered with 404: the route has no action of its own", "4")
    assert not Walker(there).reached(Query(":80", path="/b", headers=(HOST,)), country)
    assert [step.step for step in explain(there, Query(":80", headers=()), country)][-1] == "route"


def test_a_redirect_to_where_the_client_is_counts_for_none() -> None:
    """Behind a balancer that has terminated TLS and says so; whoever says so himself is redirected."""
    text = """\
[[listeners]]
addr = ":80"
protocol = "http"
real_ip = { from = ["10.0.0.0/8"] }
[[listeners.routes]]
hostname = "app.test"
redirect = "https://{host}{uri}"
cases = [{ match = "/app/*", backend = "127.0.0.1:1" }]
[[listeners.routes]]
hostname = "*"
backend = "127.0.0.1:2"
cases = [{ match = "/app/*", redirect = "https://{host}{uri}" }]
"""
    there = resolve([Source("/etc/mc.toml", text)])
    secure = {"X_Forwarded_Proto": "https"}
    to = "answered with 308, to https://app.test/x"
    assert step_of(steps_of(there, "GET /x", "10.0.0.1"), "action") == ("ok", to, "7")
    assert step_of(steps_of(there, "GET /x", "192.0.2.1", **secure), "action") == ("ok", to, "7")
    assert step_of(steps_of(there, "GET /x", "10.0.0.1", **secure), "action") == (
        "refused",
        "answered with 404: the redirect leads to where the client is already",
        "7",
    )
    query = Query(":80", ip="10.0.0.1", path="/app/x", headers=(("Host", "other.test"), ("X-Forwarded-Proto", "https")))
    steps = list(explain(there, query, country))
    assert (steps[-1].step, steps[-1].origin and steps[-1].origin.line) == ("backend", 9)
