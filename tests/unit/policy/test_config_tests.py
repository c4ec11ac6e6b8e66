"""Tests in the file: each expectation holds or is told with what there is instead, and the line that decides."""

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from mcproxy.errors import ConfigError
from mcproxy.model.config.pages import reference
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.policy.explain.query import CountryOf
from mcproxy.policy.explain.tables import Tables
from mcproxy.policy.explain.testing.run import Run, coverage, run, untouched
from tests.support.call_counts import calls

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "tests-in-the-file.md").read_text(encoding="utf-8")
SAMPLE = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]

SITE = """\
[firewall]
geoip_db = "countries.mmdb"
blocked_cidrs = ["198.51.100.0/24"]
rate_limit = 50
connections_per_client = 9
[upstreams.web]
endpoints = ["10.0.0.3:80", { address = "10.0.0.4:80", state = "drain" }, { address = "10.0.0.5:80", backup = true }]
[upstreams.gone]
endpoints = [{ address = "10.0.0.8:80", state = "drain" }]
[filters.public]
set_response_headers = { X-A = "a" }
remove_response_headers = ["Server"]
rate_limit = "200/10s"
[filters.office]
allow_cidrs = ["10.0.0.0/8"]
[filters.nordic]
allow_countries = ["SE"]
[filters.login]
forward_auth = { backend = "10.0.0.20:80", copy_headers = ["X-User"] }
[filters.ops]
basic_auth = "ops.htpasswd"
[filters.change]
rewrite = { from = "/c", to = "/" }
rewrite_host = "c.internal"
set_request_headers = { X-Ip = "{client_ip}" }
add_response_headers = { Link = ["<a>", "<b>"] }
max_body = "1MiB"
[[listeners]]
addr = ":80"
protocol = "http"
routes = [{ hostname = "*", redirect = "https://{host}{uri}" }]
[[listeners]]
addr = ":443"
use = ["public"]
max_connections = 100
[[listeners.routes]]
hostname = "a.test"
mode = "l7"
tls_cert = "a.crt"
tls_key = "a.key"
backend = "web"
cases = [
  { match = "GET|HEAD /robots.txt", respond = "no\\n" },
  { match = "/admin/*", use = ["office"] },
  { match = "/se/*", use = ["nordic"] },
  { match = "/login/*", use = ["login"] },
  { match = "/ops/*", use = ["ops"] },
  { match = "/c/*", use = ["change"] },
  { match = "/gone/*", backend = "gone" },
  { match = "/page", respond = { file = "page.html" }, status = 503 },
]
[[listeners.routes]]
hostname = "*.db.test"
backend = ["10.0.2.1:5432", "10.0.2.2:5432"]
[[listeners]]
addr = "[::1]:8443"
routes = [{ hostname = "*", backend = "10.0.0.9:443" }]
"""


def nowhere(_: bytes) -> str | None:
    """Tell of no address where it is."""
    return None


def asked(text: str, *tests: str, country: CountryOf | None = nowhere) -> Run:
    """Return what comes of tests behind a configuration."""
    tables = "".join(f"\n[[tests]]\n{test}\n" for test in tests)
    return run(resolve([Source("/etc/mc.toml", text + tables)]), country, "/etc")


def failures(test: str) -> list[str]:
    """Return what fails of one test of `SITE`, without its place."""
    done = asked(SITE, test)
    assert not done.unjudged
    return [problem.message for problem in done.failed]


A = 'request = "GET https://a.test/'


@pytest.mark.parametrize(
    "test",
    [
        f'{A}"\nexpect = {{ route = "a.test", case = "", backend = "web", step = "backend", reset = false, refused_by = "" }}',
        f'{A}"\nexpect = {{ backend = ["10.0.0.3:80"], redirect = "", respond = "" }}',  # one drains, one is a backup
        f'{A}"\nexpect = {{ route = "A.test." }}',
        f'{A}robots.txt"\nexpect = {{ status = 200, respond = "no\\n", case = "HEAD|GET /robots.txt", step = "action", backend = "" }}',
        f'{A}page"\nexpect = {{ status = 503, respond = {{ file = "page.html" }} }}',
        f'{A}admin/x"\nexpect = {{ status = 403, refused_by = "office", step = "allow", header = {{ X-A = "a" }} }}',
        f'{A}admin/x"\nexpect = {{ refused_by = "allow_cidrs" }}',
        f'{A}admin/x"\nexpect = {{ header = {{ Content-Type = "text/plain; charset=utf-8", X-Request-Id = "*", Server = "", Retry-After = "" }} }}',
        f'{A}login/x"\nexpect = {{ status = 429, header = {{ Retry-After = "*", X-A = "a" }} }}',
        f'{A}ops/x"\nexpect = {{ status = 401, header = {{ WWW-Authenticate = "Basic realm=\\"ops\\", charset=\\"UTF-8\\"" }} }}',
        'request = "GET https://a.test/"\nheaders = { Host = "x.db.test" }\nexpect = { status = 421, header = { Content-Type = "*", Via = "" } }',
        f'{A}admin/x"\nexpect = {{ refused_by = "filter_network" }}',
        f'{A}admin/x"\nip = "10.9.9.9"\nexpect = {{ backend = "web", case = "/admin/*" }}',
        f'{A}se/x"\nexpect = {{ refused_by = "allow_countries" }}',  # of no known country
        f'{A}se/x"\ncountry = "se"\nexpect = {{ backend = "web" }}',
        f'{A}"\nexpect = {{ header = {{ X-A = "a", Server = "" }} }}',
        f'{A}"\nexpect = {{ header = {{ x-a = "*" }} }}',
        f'{A}c/x"\nexpect = {{ header = {{ Link = ["<a>", "<b>"] }} }}',
        f'{A}c/x"\nexpect = {{ header = {{ Link = "<b>" }} }}',
        f'{A}c/x"\nexpect = {{ header = {{ Link = "<a>, <b>" }} }}',
        f'{A}c/x?y"\nip = "2001:db8::7"\nexpect = {{ backend_path = "/x?y", backend_host = "C.internal", backend_header = {{ X-Ip = "2001:db8::7" }} }}',
        f'{A}c/x"\nbody = "2MiB"\nexpect = {{ status = 413, refused_by = "max_body" }}',
        f'{A}c/x"\nbody = "1MiB"\nexpect = {{ backend = "web" }}',
        f'{A}login/x"\nexpect = {{ backend = "web" }}',  # who is asked lets it pass
        f'{A}login/x"\nexpect = {{ step = "auth" }}',
        f'{A}login/x"\nexpect = {{ refused_by = "login" }}',
        f'{A}login/x"\nheaders = {{ X-User = "root" }}\nexpect = {{ backend_header = {{ X-User = "" }} }}',
        f'{A}ops/x"\nheaders = {{ Authorization = "Basic eA==" }}\nexpect = {{ backend = "web", backend_header = {{ Authorization = "" }} }}',
        f'{A}ops/x"\nexpect = {{ status = 401 }}',
        f'{A}"\nexpect = {{ status = 429, step = "rate" }}',
        f'{A}"\nexpect = {{ reset = true, step = "rate_limit" }}',
        f'{A}"\nexpect = {{ reset = true, step = "limit" }}',
        f'{A}"\nexpect = {{ refused_by = "connections_per_client", reset = true }}',
        f'{A}"\nexpect = {{ filter = {{ rate_limit = "200/10s", remove_response_headers = ["Server"] }} }}',
        f'{A}"\nip = "198.51.100.7"\nexpect = {{ reset = true, refused_by = "blocked_cidrs", step = "firewall" }}',
        f'{A}"\nip = "::ffff:198.51.100.7"\nexpect = {{ refused_by = "firewall" }}',
        f'{A}gone/x"\nexpect = {{ status = 503, step = "backend", refused_by = "gone" }}',
        f'{A}x/%2e%2e/admin"\nexpect = {{ status = 400, refused_by = "ambiguous_path", step = "case" }}',
        f'{A}"\nheaders = {{ Host = "b.test" }}\nexpect = {{ status = 421, step = "authority" }}',
        'request = "GET http://x.test:80/p?q"\nexpect = { status = 308, redirect = "https://x.test/p?q" }',
        'request = "GET http://x.test/p"\nexpect = { header = { Location = "https://x.test/p", X-A = "" } }',
        'connect = "a.b.db.test:443"\nexpect = { route = "*.db.test", backend = ["10.0.2.2:5432", "10.0.2.1:5432"] }',
        'request = "GET https://a.db.test/"\nexpect = { backend = ["10.0.2.2:5432", "10.0.2.1:5432"] }',  # l4
        'connect = "nobody.test:443"\nexpect = { reset = true, refused_by = "no_route" }',
        'connect = ":443"\nexpect = { reset = true, refused_by = "no_sni" }',
        'connect = "192.0.2.7:443"\nexpect = { refused_by = "no_sni" }',
        'connect = "any.test:8443"\nexpect = { backend = "10.0.0.9:443" }',  # reached from IPv6 alone
        'connect = "any.test:443"\nlistener = "[0::1]:8443"\nexpect = { backend = "10.0.0.9:443" }',
    ],
)
def test_what_is_so_holds(test: str) -> None:
    """Values are compared by what they mean, not by their spelling."""
    assert failures(test) == []


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            f'{A}admin/x"\nip = "10.1.1.1"\nexpect = {{ status = 403 }}',
            "expected status 403, got backend web by case /admin/* (mc.toml:44)",
        ),
        (
            f'{A}admin/x"\nexpect = {{ backend = "web" }}',
            "expected backend web, got status 403 at allow: 192.0.0.8 is in none of allow_cidrs (office) (mc.toml:15)",
        ),
        (f'{A}"\nexpect = {{ backend = "wbe" }}', "expected backend wbe, got backend web by route a.test (mc.toml:36); there is no upstream wbe; did you mean web?"),
        (
            f'{A}"\nexpect = {{ backend = "10.0.0.4:80" }}',
            "expected backend 10.0.0.4:80, got backend web (10.0.0.3:80) by route a.test (mc.toml:36)",
        ),
        (f'{A}"\nexpect = {{ backend = "" }}', "expected no backend, got backend web by route a.test (mc.toml:36)"),
        (f'{A}"\nexpect = {{ case = "/admn/*" }}', "expected case /admn/*, got no case: backend web by route a.test (mc.toml:36); there is no case /admn/*; did you mean /admin/*?"),
        (f'{A}c/"\nexpect = {{ case = "" }}', "expected no case, got case /c/* (mc.toml:48)"),
        (f'{A}"\nexpect = {{ route = "b.test" }}', "expected route b.test, got route a.test (mc.toml:36); there is no route b.test; did you mean a.test?"),
        ('connect = "b.test:443"\nexpect = { route = "a.test" }', "expected route a.test, got a reset at route: no route matches; the connection is reset (mc.toml:32)"),
        (f'{A}"\nexpect = {{ reset = true, status = 403 }}', "expected status 403 and a reset, got backend web by route a.test (mc.toml:36)"),
        (f'{A}"\nexpect = {{ refused_by = "ofice" }}', "expected refused_by ofice, got backend web by route a.test (mc.toml:36); there is no filter ofice; did you mean office?"),
        (f'{A}robots.txt"\nexpect = {{ respond = "yes" }}', "expected the text 'yes', got the text 'no\\n' by case GET|HEAD /robots.txt (mc.toml:43)"),
        ('request = "GET http://x.test/"\nexpect = { redirect = "https://y.test/" }', "expected redirect to https://y.test/, got status 308 to https://x.test/ by route * (mc.toml:31)"),
        (f'{A}"\nexpect = {{ header = {{ X-A = "b" }} }}', "expected X-A: b, got X-A: a by filter public (mc.toml:11)"),
        (f'{A}"\nexpect = {{ header = {{ X-A = "" }} }}', "expected no X-A, got X-A: a by filter public (mc.toml:11)"),
        ('request = "GET https://a.db.test/"\nexpect = { header = { X-A = "a" } }', "expected X-A: a, got what the backend says by route *.db.test (mc.toml:52)"),
        (f'{A}"\nexpect = {{ header = {{ X-B = "b" }} }}', "expected X-B: b, got what the backend says by route a.test (mc.toml:36)"),
        (f'{A}"\nexpect = {{ header = {{ Via = "" }} }}', "expected no Via, got what the backend says by route a.test (mc.toml:36)"),
        (f'{A}robots.txt"\nexpect = {{ header = {{ X-B = "b" }} }}', "expected X-B: b, got no X-B by case GET|HEAD /robots.txt (mc.toml:43)"),
        (f'{A}c/x"\nexpect = {{ backend_path = "/c/x" }}', "expected backend_path /c/x, got /x by case /c/* (mc.toml:48)"),
        (f'{A}c/x"\nexpect = {{ backend_header = {{ X-Ip = "10.0.0.1" }} }}', "expected backend_header X-Ip: 10.0.0.1, got X-Ip: 192.0.0.8 by filter change (mc.toml:25)"),
        (f'{A}"\nexpect = {{ filter = {{ rate_limit = "200/11s" }} }}', "expected filter.rate_limit 200/11s, got 200/10s by filter public (mc.toml:13)"),
        (f'{A}"\nexpect = {{ filter = {{ request_timeout = "5s" }} }}', "expected filter.request_timeout 5s, got none"),
        (f'{A}"\nexpect = {{ step = "action" }}', "expected step action, got backend web by route a.test (mc.toml:36)"),
        ('connect = "x.test:444"\nexpect = { reset = true }', "no listener is at port 444; name another port, or by listener one of :80, :443, [::1]:8443"),
        ('request = "GET http://a.test:443/"\nexpect = { status = 200 }', "no listener of http is at port 443; name another port, or by listener one of :80"),
        ('connect = "x.test:443"\nlistener = ":99"\nexpect = { reset = true }', "there is no listener :99; there is :80, :443, [::1]:8443"),
        (f'{A}robots.txt"\nname = "robots are told"\nexpect = {{ status = 404 }}', 'expected status 404, got status 200 by case GET|HEAD /robots.txt (mc.toml:43), in the test "robots are told"'),
    ],
)  # fmt: skip
def test_what_is_not_so_is_told(test: str, message: str) -> None:
    """What was expected, what there is instead, and by which line."""
    assert failures(test) == [message]


def test_a_problem_stands_at_the_expectation() -> None:
    """Line and column are those of the key that does not hold, in the file that has the test."""
    main = 'include = ["team.toml"]\n[[listeners]]\naddr = ":443"\n[[listeners.routes]]\nhostname = "a.test"\nbackend = "10.0.0.1:443"\n'
    team = '[[tests]]\nconnect = "a.test:443"\n\n[tests.expect]\nroute = "a.test"\nreset = true\n'
    resolution = resolve([Source("/etc/mc/mc.toml", main), Source("/etc/mc/conf.d/team.toml", team)])
    (problem,) = run(resolution, None, "/etc/mc").failed
    assert str(problem) == (
        "/etc/mc/conf.d/team.toml:6:1: error: expected a reset, got backend 10.0.0.1:443 by route a.test (mc.toml:4)"
    )
    inline = asked(SITE, f'{A}"\nexpect = {{ route = "a.test", step = "allow", status = 200 }}').failed[0]
    assert (inline.line, inline.column) == (SITE.count("\n") + 4, 46)


def test_what_depends_on_a_file_that_is_not_read_is_not_judged() -> None:
    """It is told as a note, and fails nothing; what is the same in every country is judged, and so is a client without an address."""
    abroad = 'ip = "203.0.113.9"'
    done = asked(SITE, f'{A}se/x"\n{abroad}\nexpect = {{ status = 403 }}', country=None)
    assert done.failed == ()
    assert [(note.severity, note.line) for note in done.unjudged] == [("note", SITE.count("\n") + 2)]
    assert "geoip_db is not read" in done.unjudged[0].message
    for test, failures in (
        (f'{A}se/x"\n{abroad}\nexpect = {{ status = 404 }}', 1),
        (f'{A}se/x"\n{abroad}\nexpect = {{ case = "/se/*" }}', 0),
        (f'{A}"\n{abroad}\nexpect = {{ backend = "web" }}', 0),
        (f'{A}se/x"\nexpect = {{ status = 403 }}', 0),
        (f'{A}se/x"\nexpect = {{ backend = "web" }}', 1),
        (f'{A}se/x"\n{abroad}\ncountry = "NO"\nexpect = {{ status = 403 }}', 0),
    ):
        judged = asked(SITE, test, country=None)
        assert (len(judged.failed), judged.unjudged) == (failures, ()), test


def test_of_countries_one_of_a_kind_is_tried() -> None:
    """However many there are in lists: those that all lists treat alike are one."""
    many = ", ".join(f'"{code}"' for code in ("DE", "DK", "FI", "FR", "NO", "SE"))
    text = SITE.replace('allow_countries = ["SE"]', f"allow_countries = [{many}]").replace(
        "blocked_cidrs", 'blocked_countries = ["AQ", "NO"]\nblocked_cidrs', 1
    )
    assert len(Tables(resolve([Source("/etc/mc.toml", text)])).countries) == 3


def test_the_status_of_who_is_asked_is_not_judged() -> None:
    """`forward_auth` answers as its server does; that it is asked is judged."""
    done = asked(SITE, f'{A}login/x"\nexpect = {{ step = "auth", status = 302 }}')
    assert done.failed == ()
    assert "forward_auth" in done.unjudged[0].message


def test_one_of_several_listeners_has_to_be_named() -> None:
    """Where the port, what is spoken and the client's family leave more than one."""
    text = "".join(
        f'[[listeners]]\naddr = "{addr}:443"\nroutes = [{{ hostname = "*", backend = "{backend}:1" }}]\n'
        for addr, backend in (("10.0.0.1", "one"), ("10.0.0.2", "two"), ("[::1]", "six"))
    )
    (problem,) = asked(text, 'connect = "a.test:443"\nexpect = { backend = "one:1" }').failed
    assert problem.message == "several listeners could get it, 10.0.0.1:443, 10.0.0.2:443: say which by listener"
    assert asked(text, 'connect = "a.test:443"\nip = "2001:db8::7"\nexpect = { backend = "six:1" }').failed == ()
    assert asked(text, 'connect = "a:443"\nlistener = "10.0.0.2:443"\nexpect = { backend = "two:1" }').failed == ()


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        ("expect = { status = 200 }", "tests[0]: asks nothing: it needs request"),
        (f'{A}"', 'tests[0]: the key "expect" is missing'),
        (f'{A}"\nexpect = {{}}', "tests[0].expect: expects nothing: it needs one of status"),
        (f'{A}"\nconnect = "a.test:443"\nexpect = {{ reset = true }}', "tests[0].connect: a test has request or connect, not both"),
        ('connect = "a.test:443"\nexpect = { status = 403 }', "tests[0].expect.status: needs a request"),
        ('connect = "a.test:443"\nheaders = { A = "b" }\nexpect = { reset = true }', "tests[0].headers: needs a request"),
        (f'{A}"\nexpect = {{ statsu = 200 }}', 'tests[0].expect.statsu: unknown key; did you mean "status"?'),
        (f'{A}"\nexpect = {{ location = "/" }}', 'tests[0].expect.location: unknown key; did you mean "redirect"?'),
        (f'{A}"\nexpect = {{ headers = {{}} }}', 'tests[0].expect.headers: unknown key; did you mean "header"?'),
        (f'{A}"\nstatus = 200\nexpect = {{ reset = true }}', "tests[0].status: unknown key; it belongs into [tests.expect]"),
        (f'{A}"\nexpect = {{ step = "alow" }}', 'tests[0].expect.step: there is no step "alow"; did you mean "allow"?'),
        (f'{A}"\nexpect = {{ status = 600 }}', "tests[0].expect.status: must be at most 599"),
        (f'{A}"\nexpect = {{ filter = {{ rate_limt = "1/1s" }} }}', 'tests[0].expect.filter.rate_limt: unknown key; did you mean "rate_limit"?'),
        (f'{A}"\ncountry = "UK"\nexpect = {{ status = 200 }}', 'tests[0].country: "UK" is no country\'s code'),
        ('request = "https://a.test/"\nexpect = { status = 200 }', 'tests[0].request: "https://a.test/" has no method; did you mean "GET https://a.test/"?'),
        ('request = "GET a.test/x"\nexpect = { status = 200 }', 'the URL must begin with https:// or http://; did you mean "GET https://a.test/x"?'),
        ('request = "GET https://a.test/#x"\nexpect = { status = 200 }', "a fragment (#...) is never sent"),
        ('connect = "a.test"\nexpect = { reset = true }', 'tests[0].connect: "a.test" has no port; write it as in "a.test:443"'),
        ('connect = "https://a.test:443"\nexpect = { reset = true }', "a URL belongs into request"),
        (f'{A}"\nip = "10.0.0.0/8"\nexpect = {{ status = 200 }}', "a test has one client, of one address"),
    ],
)  # fmt: skip
def test_a_wrong_test_is_told_where_it_stands(test: str, problem: str) -> None:
    """With the nearest name for what is misspelt; it is an error of the file like any other."""
    with pytest.raises(ConfigError) as caught:
        asked(SITE, test)
    errors = [str(each) for each in caught.value.problems if "warning" not in str(each)]
    assert len(errors) == 1
    assert problem in errors[0]
    assert int(errors[0].split(":")[1]) > SITE.count("\n")


def test_a_key_of_another_table_is_not_taken_for_one_of_tests() -> None:
    """Hints at where a key belongs name tests to nobody who writes another table."""
    with pytest.raises(ConfigError) as caught:
        resolve([Source("/etc/mc.toml", '[[listeners]]\naddr = ":1"\ncase = "x"\nrequest = "y"\nexpect = 1\n')])
    assert "tests" not in str(caught.value)


def test_tests_are_no_part_of_the_state() -> None:
    """Another test changes nothing that runs."""
    bare, more = (
        resolve([Source("/etc/mc.toml", text)])
        for text in (SITE, f'{SITE}[[tests]]\n{A}"\nexpect = {{ step = "backend" }}\n')
    )
    assert more.state == bare.state
    assert (len(bare.tests), len(more.tests)) == (0, 1)


def test_what_no_test_comes_by_is_told() -> None:
    """Routes, cases and filters, each with its line."""
    resolution = resolve([Source("/etc/mc.toml", f'{SITE}[[tests]]\n{A}admin/x"\nexpect = {{ status = 403 }}\n')])
    touched = run(resolution, None, "/etc").touched
    told = [(problem.severity, problem.line, problem.message) for problem in untouched(resolution, touched)]
    assert told == [
        ("note", 31, "no test comes by the route * of :80"),
        ("note", 52, "no test comes by the route *.db.test of :443"),
        ("note", 57, "no test comes by the route * of [::1]:8443"),
        *(
            ("note", line, f"no test comes by the case {match} of :443 a.test")
            for line, match in ((43, "GET|HEAD /robots.txt"), (45, "/se/*"), (46, "/login/*"), (47, "/ops/*"), (48, "/c/*"))
        ),
        ("note", 49, "no test comes by the case /gone/* of :443 a.test"),
        ("note", 50, "no test comes by the case /page of :443 a.test"),
        *(
            ("note", line, f"no test comes by the filter {name}")
            for line, name in ((16, "nordic"), (18, "login"), (20, "ops"), (22, "change"))
        ),
    ]  # fmt: skip
    assert coverage(resolution, touched) == {"route": (1, 4), "case": (1, 8), "filter": (2, 6)}


# The examples, and that they are tested as they say


def examples() -> list[str]:
    """Return every configuration on the page of the reference, but for files of nodes, which have no routes to be tested."""
    found = re.findall(r"^```toml\n(.*?)^```", reference.reference(), re.MULTILINE | re.DOTALL)
    return [text for text in found if "[fleet]" not in text]


@pytest.mark.parametrize("text", examples())
def test_every_example_of_the_reference_carries_tests_that_hold(text: str) -> None:
    """Also without the files that it names."""
    resolution = resolve([Source("/etc/mc-proxy.toml", text)])
    assert resolution.tests
    done = run(resolution, None, "/etc")
    assert (done.failed, done.unjudged) == ((), ())


def mutations(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield paths in a document with other values there: each part taken away, each text and number another one."""
    if isinstance(value, dict):
        for key, item in value.items():
            if path[-1:] != ("expect",) and (*path, key)[0] != "tests" and key not in _NOT_CHANGED:
                yield (*path, key), None
                yield from mutations(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*path, index), None
            yield from mutations(item, (*path, index))
    elif isinstance(value, str):
        numbers = re.sub(r"\d+", lambda match: str(int(match[0]) + 1), value)
        other = {"/8": "172.16.0.0/12"}.get(value[-2:], value)
        narrower = value.replace("10.0.0.0/8", "10.0.0.0/9")
        words = (
            value.replace("/*", ""),
            value.replace("GET|", ""),
            value.replace("admin", "adm"),
            f"{value}x",
            f"x{value}",
        )
        yield from ((path, each) for each in (numbers, other, narrower, *words) if each != value)


_NOT_CHANGED = ("addr", "mode", "tls_cert", "tls_key", "protocol", "tests", "on_remove", "log", "metrics", "proxy")
"""What is neither a match, a filter nor a backend."""


def changed(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(document)
    place: Any = copied
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copied


SAMPLES = {"page": SAMPLE, "srv": (ROOT / "srv" / "mc-proxy.toml").read_text(encoding="utf-8")}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_holds(name: str) -> None:
    """And its tests come by all that there is."""
    resolution = resolve([Source("/etc/mc-proxy.toml", SAMPLES[name])])
    done = run(resolution, None, "/etc")
    assert (done.failed, done.unjudged) == ((), ())
    assert list(untouched(resolution, done.touched)) == []


@pytest.mark.parametrize(("name", "least"), [("page", 50), ("srv", 15)])
def test_every_change_of_a_match_filter_or_backend_makes_a_test_fail(name: str, least: int) -> None:
    """Of the samples: whatever is taken away, misspelt or another number is told by a test, or is no valid file."""
    document, valid, kept = tomllib.loads(SAMPLES[name]), 0, []
    for path, value in mutations(document):
        text = tomlkit.dumps(changed(document, path, value))
        try:
            resolution = resolve([Source("/etc/mc-proxy.toml", text)])
        except ConfigError:
            continue
        valid += 1
        if not run(resolution, None, "/etc").failed:
            kept.append((path, value))
    assert kept == []
    assert valid > least


def test_the_message_of_the_page_is_that_of_the_sample() -> None:
    """Somebody drops the line of /admin/*."""
    (message,) = re.findall(r"^mc-proxy.toml:\d+:\d+: error: .*", PAGE, re.MULTILINE)
    text = SAMPLE.replace('  { match = "/admin/*", use = ["office"] },\n', "")
    (failed,) = run(resolve([Source("mc-proxy.toml", text)]), None, "").failed
    assert str(failed) == message


def test_the_page_names_every_expectation_and_question() -> None:
    """A key that is added has its row."""
    tables = {path: table for path, table, _ in reference.tables()}
    for path in ("tests", "tests.expect"):
        for field in tables[path].fields:
            assert f"`{field.encode_name}" in PAGE, field.encode_name


# What it costs


def large(routes: int, tests: int) -> Resolution:
    """Return a configuration of many routes, each with a case and a filter, and tests over all of them."""
    text = ['[filters.f]\nblock_cidrs = ["198.51.100.0/24"]\n[[listeners]]\naddr = ":80"\nprotocol = "http"\n']
    text += (
        f'[[listeners.routes]]\nhostname = "h{n}.test"\nbackend = "10.0.0.1:80"\nuse = ["f"]\n'
        f'cases = [{{ match = "/api/*", backend = "10.0.0.9:80" }}]\n'
        for n in range(routes)
    )
    text += (
        f'[[tests]]\nrequest = "GET http://h{n * 7 % routes}.test/api/{n}"\nexpect = {{ backend = "10.0.0.9:80" }}\n'
        for n in range(tests)
    )
    return resolve([Source("/etc/mc.toml", "".join(text))])


def test_a_thousand_tests_of_five_thousand_routes_are_little_work() -> None:
    """What a test costs does not depend on the number of routes: less than a second in all at 3 million calls a second."""
    many = large(5000, 1000)
    done: list[Run] = []
    work = calls(lambda: done.append(run(many, None, "/etc")))
    assert done[0].failed == ()
    assert len(done[0].touched) > 1900
    assert work < 1_000_000
    few = large(50, 100)
    run(few, None, "/etc")
    assert work < 13 * calls(lambda: run(few, None, "/etc"))
