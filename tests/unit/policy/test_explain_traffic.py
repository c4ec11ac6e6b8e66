"""Which requests of an access log two configurations answer differently, and by which line."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.files import config_file
from mcproxy.policy.explain.query import CountryOf
from mcproxy.policy.explain.traffic.lines import Clients, Line
from mcproxy.policy.explain.traffic.replay import GROUPS, Replay, Report
from mcproxy.policy.explain.traffic.side import Side
from mcproxy.policy.explain.walk import Walker

BASE = """\
[upstreams.web]
endpoints = ["10.0.0.3:80"]
[upstreams.api]
endpoints = ["10.0.0.4:80"]
[filters.small]
max_body = "1MiB"
[[listeners]]
addr = ":80"
protocol = "http"
[[listeners.routes]]
hostname = "a.test"
backend = "web"
use = ["small"]
[[listeners.routes]]
hostname = "*.b.test"
respond = "hello"
[[listeners]]
addr = ":443"
[[listeners.routes]]
hostname = "l4.test"
backend = "10.0.0.5:443"
"""


def side(folder: Path, text: str, country: CountryOf | None = lambda _: None) -> Side:
    folder.mkdir(exist_ok=True)
    path = folder / "mc-proxy.toml"
    path.write_text(text, encoding="utf-8")
    walker = Walker(config_file.load(path, syntax_only=True).resolution)
    return Side(walker, country, lambda origin: text.splitlines()[origin.line - 1] if origin.line else origin.file)


def request(path: str = "/", **fields: object) -> Line:
    known: Mapping[str, object] = {
        "listener": ":80",
        "client": "192.0.2.1:4711",
        "reason": "complete",
        "time": "2026-11-28T13:00:00.000Z",
        "mode": "l7",
        "method": "GET",
        "authority": "a.test",
        "path": path,
        "status": 200,
    }
    return msgspec.convert({**known, **fields}, Line)


def connection(sni: str = "l4.test", **fields: object) -> Line:
    return request(
        "", **{"listener": ":443", "method": "", "authority": "", "sni": sni, "mode": "l4", "status": 0, **fields}
    )


def replayed(folder: Path, old: str, new: str, *lines: Line, country: CountryOf | None = lambda _: None) -> Report:
    replay = Replay(side(folder / "old", old, country), side(folder / "new", new, country))
    for line in lines:
        replay.feed(line)
    return replay.report()


def told(report: Report) -> list[tuple[int, str, str]]:
    return [(each.count, f"{each.old} -> {each.new}", each.by) for each in report.groups]


CASES = '[[listeners.routes]]\nhostname = "a.test"'
API = '[[listeners.routes.cases]]\nmatch = "%s"\nbackend = "api"\n[[listeners.routes]]\nhostname = "*.b.test"'


@pytest.mark.parametrize(
    ("change", "line", "words", "by"),
    [
        (("", ""), request(), "", ""),
        (('[[listeners.routes]]\nhostname = "*.b', API % "/api/*" + "\n#"), request("/api/x"), "", "case /api/*"),
        (('backend = "web"', 'backend = "api"'), request(), "backend web -> api", "route a.test"),
        (('"1MiB"', '"32KiB"'), request(received=40_000), "200 -> 413", "max_body"),
        (('"1MiB"', '"32KiB"'), request(received=30_000), "", ""),
        (('use = ["small"]', 'filter = { block_cidrs = ["192.0.2.0/24"] }'), request(), "200 -> 403", "block_cidrs"),
        (
            ('use = ["small"]', 'filter = { block_user_agents = ["Bad"] }'),
            request(user_agent="a BadBot"),
            "200 -> 403",
            "",
        ),
        (('use = ["small"]', 'filter = { rewrite = { from = "/a", to = "/b" } }'), request(), "web (rewritten)", ""),
        (('"a.test"', '"c.test"'), request(), "200 -> 421", "route a.test"),
        (('"a.test"', '"c.test"'), request(authority="c.test", status=421), "421 -> backend web", "route c.test"),
        (
            ('respond = "hello"', 'redirect = "https://{host}/"'),
            request(authority="x.b.test"),
            "200 -> 308",
            "route *.b.test",
        ),
        (('"hello"', '"goodbye"'), request(authority="x.b.test"), "200 -> 200 (another text)", "route *.b.test"),
        (
            ("[upstreams.web]", '[firewall]\nblocked_ips = ["192.0.2.1"]\n[upstreams.web]'),
            request(),
            "200 -> reset",
            "ip 192.0.2.1",
        ),
        (('addr = ":80"', 'addr = ":81"'), request(), "200 -> reset", "route a.test"),
        (('"10.0.0.5:443"', '"10.0.0.6:443"'), connection(), "backend 10.0.0.5:443 -> 10.0.0.6:443", "route l4.test"),
        (('"l4.test"', '"m4.test"'), connection(), "backend 10.0.0.5:443 -> reset", "route l4.test"),
        (
            ('"l4.test"', '"m4.test"'),
            connection("m4.test", mode="", reason="no_route"),
            "reset -> backend 10.0.0.5:443",
            "route m4.test",
        ),
    ],
)
def test_what_changes(tmp_path: Path, change: tuple[str, str], line: Line, words: str, by: str) -> None:
    """Routes, cases, networks, user agents, bodies, rewrites, answers, and connections; what is the same is not told."""
    new = BASE.replace(*change) if change[0] else BASE + "# another comment\n"
    if change[1].endswith("#"):
        new = BASE.replace('[[listeners.routes]]\nhostname = "*.b.test"', API % "/api/*")
        words = "backend web -> api"
    report = replayed(tmp_path, BASE, new, line, request(authority="nobody.test", reason="bad_header"))
    assert (report.total, report.unjudged) == (2, {})
    found = [(what, decides) for _, what, decides in told(report)]
    assert len(found) == report.changed == bool(words)
    if words:
        assert words in found[0][0]
        assert by in found[0][1]


def test_what_is_turned_back(tmp_path: Path) -> None:
    """What was refused and is no more is told with the line that refused it."""
    old = BASE.replace('use = ["small"]', 'filter = { allow_cidrs = ["10.0.0.0/8"] }')
    report = replayed(tmp_path, old, BASE, request(reason="filter_network", status=403), request(client="10.0.0.1:5"))
    ((count, change, by),) = told(report)
    assert (count, change) == (1, "403 -> backend web")
    assert by == 'allow_cidrs (filter = { allow_cidrs = ["10.0.0.0/8"] }) no more'


def test_requests_that_change_alike_are_one_group(tmp_path: Path) -> None:
    """By method, host, beginning of the path and line; the largest body is told where its length decides."""
    new = BASE.replace('"1MiB"', '"32KiB"').replace('[[listeners.routes]]\nhostname = "*.b.test"', API % "/api/v1/*")
    lines = [request(f"/api/v1/users/{number}") for number in range(7)]
    lines += [request("/upload", method="POST", received=size) for size in (40_000, 50_000, 90_000)]
    lines += [request(f"/other/{number}", time="2026-11-28T14:00:00.000Z") for number in range(5)]
    report = replayed(tmp_path, BASE, new, *lines)
    assert [(each.count, each.method, each.host, each.path, each.largest) for each in report.groups] == [
        (7, "GET", "a.test", "/api/v1/...", 0),
        (3, "POST", "a.test", "/upload", 90_000),
    ]
    assert report.groups[0].by == 'case /api/v1/* (backend = "api")'
    assert (report.total, report.changed, report.since[11:13], report.until[11:13]) == (15, 10, "13", "14")


def test_logs_may_come_in_any_order(tmp_path: Path) -> None:
    """As ``access.log access.log.1`` does; a line without its time tells none."""
    days = ("2026-11-28", "2026-11-27", "2026-11-29", "2026-11-28")
    lines = [request(time=f"{day}T14:00:00.000Z") for day in days]
    report = replayed(tmp_path, BASE, BASE, request(time=""), *lines, request(time=""))
    assert (report.since[:10], report.until[:10]) == ("2026-11-27", "2026-11-29")


def test_groups_are_bounded(tmp_path: Path) -> None:
    """A client may ask for any number of paths."""
    new = BASE.replace('backend = "web"', 'backend = "api"')
    report = replayed(tmp_path, BASE, new, *(request(f"/{number}") for number in range(GROUPS + 50)))
    assert report.changed == GROUPS + 50
    assert len(report.groups) == GROUPS + 1
    assert (report.groups[0].count, report.groups[0].host) == (50, "(others)")


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("", API % "/api/* X-Version=2", request("/api/x"), "case /api/* X-Version=2 needs header X-Version"),
        ("", API % "/api/* ?v=2", request("/api/x"), "case /api/* ?v=2 needs the query"),
        ("", API % "/api/* X-Version=2", request("/elsewhere"), ""),
        ("", API % "POST /api/* X-Version=2", request("/api/x"), ""),
        (API % "/api/* X-Version=2", API % "/api/* X-Version=2", request("/api/x"), ""),
        ("basic_auth", 'filter = { basic_auth = "users" }', request(), "passwords"),
        ("basic_auth", "filter = { require_headers = ['X-Key'] }", request(), "required headers"),
        ("basic_auth", "filter = { rate_limit = '5/1s' }", request(), "rates"),
        ("countries", "", request(), "country"),
        (":80", 'addr = ":82"', request(), "nothing listens on :80 in the old file"),
        ("real_ip", 'protocol = "http"\nreal_ip = { from = ["192.0.2.0/24"] }', request(), "who the client is"),
        ("larger", '"2MiB"', request(reason="body_too_large", status=413, received=2_000_000), "length of bodies"),
    ],
)
def test_what_can_not_be_judged_is_said(tmp_path: Path, old: str, new: str, line: Line, why: str) -> None:
    """And nothing else is concluded of it."""
    before, after = BASE, BASE
    place = '[[listeners.routes]]\nhostname = "*.b.test"'
    if old == "basic_auth":
        after = BASE.replace('use = ["small"]', new)
    elif old == "countries":
        blocking = "[firewall]\ngeoip_db = 'none.mmdb'\nblocked_countries = ['DE']\n"
        after = BASE.replace("[upstreams.web]", blocking + "[upstreams.web]")
    elif old == ":80":
        before = BASE.replace('addr = ":80"', new)
    elif old == "real_ip":
        after = BASE.replace('protocol = "http"', new)
    elif old == "larger":
        after = BASE.replace('"1MiB"', new)
    else:
        before, after = BASE.replace(place, old or place), BASE.replace(place, new)
    report = replayed(tmp_path, before, after, line, country=None)
    assert (report.changed, report.total) == (0, 1)
    assert [count for reason, count in report.unjudged.items() if why in reason] == ([1] if why else [])
    assert len(report.unjudged) == bool(why)


def test_the_case_that_the_log_names_is_taken_where_both_have_it(tmp_path: Path) -> None:
    """Its conditions were met then."""
    place = '[[listeners.routes]]\nhostname = "*.b.test"'
    old = BASE.replace(place, API % "/api/* X-Version=2")
    new = old.replace('backend = "api"', 'backend = "10.0.0.9:80"')
    with_case = request("/api/x", case="/api/* X-Version=2")
    report = replayed(tmp_path, old, new, with_case, request("/api/x"))
    assert [(count, change) for count, change, _ in told(report)] == [(1, "backend api -> 10.0.0.9:80")]


def test_countries(tmp_path: Path) -> None:
    """As the database tells, if there is one; a client whom another proxy names is not judged by the firewall."""
    new = BASE.replace(
        "[upstreams.web]", '[firewall]\ngeoip_db = "none.mmdb"\nblocked_countries = ["DE"]\n[upstreams.web]'
    )
    german = request(client="203.0.113.1:5")
    country = {b"\xcb\x00\x71\x01": "DE"}.get
    report = replayed(tmp_path, BASE, new, german, request(), request(client="203.0.113.1"), country=country)
    assert told(report) == [(1, "200 -> reset", 'country DE (blocked_countries = ["DE"])')]


def test_lines_that_tell_no_client_are_damaged(tmp_path: Path) -> None:
    report = replayed(
        tmp_path, BASE, BASE.replace('"web"', '"api"'), request(client="nobody"), request(client="[::1]:9")
    )
    assert (report.damaged, report.total, report.changed) == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "address", "connected"),
    [
        ("10.0.0.1:80", "10.0.0.1", True),
        ("255.255.0.1", "255.255.0.1", False),
        ("[2001:db8::1]:80", "2001:db8::1", True),
        ("2001:db8::1", "2001:db8::1", False),
        ("256.0.0.1", "", False),
        ("10.0.0.01", "", False),
        ("10.0.0.1:", "", False),
        ("10.0.0.1:80\n", "", False),
        ("10.0.0", "", False),
    ],
)
def test_how_lines_tell_clients(text: str, address: str, *, connected: bool) -> None:
    clients = Clients()
    if address:
        assert clients.of(text) == (ip_address(address).packed, connected)
        assert clients.of(text) == (ip_address(address).packed, connected)
    else:
        with pytest.raises(ValueError, match="does not appear to be"):
            clients.of(text)


def test_paths_are_cut_as_deep_as_the_case_that_decides(tmp_path: Path) -> None:
    """At least one segment, also by a case on all paths."""
    cases = '[[listeners.routes.cases]]\nmatch = "/*"\nrespond = "x"\n[[listeners.routes.cases]]\nmatch = "/a/b/*"\nrespond = "y"\n'
    new = BASE.replace('use = ["small"]\n', f'use = ["small"]\n{cases}')
    found = replayed(tmp_path, BASE, new, *(request(path=path) for path in ("/c/d/e", "/a/b/c/d")))
    assert {group.path for group in found.groups} == {"/c/...", "/a/b/..."}
