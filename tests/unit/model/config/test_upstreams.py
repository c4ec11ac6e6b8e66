"""Upstreams in files: what becomes of them, and what is told of those that are wrong."""

import pytest

from mcproxy.errors import ConfigError
from mcproxy.model.config.checking import checks
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.model.state.state import Route, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_options import BackendTls, Check
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.origins import Origin
from tests.support.rows import each_row

MAIN = "/etc/mc/mc-proxy.toml"
ROUTES = '[[listeners]]\naddr = ":1"\nroutes = [{{ hostname = "a", backend = {} }}]\n'
WEB = '[upstreams.web]\nendpoints = ["10.0.0.1:80"]\n'


def read(*texts: str) -> Resolution:
    """Return what files mean together: the main file, then one of a name after the other."""
    return resolve([Source(MAIN if not index else f"/etc/mc/{index}.toml", text) for index, text in enumerate(texts)])


def told(*texts: str) -> list[str]:
    """Return every problem of files, as ``file:line:column: severity: key: message`` without the folder."""
    try:
        problems: tuple[object, ...] = read(*texts).warnings
    except ConfigError as error:
        problems = error.problems
    return [str(problem).removeprefix("/etc/mc/") for problem in problems if isinstance(problem, Problem)]


def test_more_than_one_proxy_can_have_is_told_at_the_first_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints of lists count as those of upstreams do; a single address is none."""
    for name in ("MAX_LISTENERS", "MAX_ROUTES", "MAX_ENDPOINTS"):
        monkeypatch.setattr(checks, name, 3)
    some, leads = '[upstreams.web]\nendpoints = [\n"h:1",\n"h:2",\n"h:3",\n', "]\n" + ROUTES.format('"web"')
    assert told(some + leads) == []
    beyond = "more than 3 endpoints: split the configuration over several proxies"
    assert told(some + '"h:4",\n"h:5"\n' + leads) == [f"mc-proxy.toml:6:1: error: upstreams.web.endpoints[3]: {beyond}"]
    own = '[[listeners.routes]]\nhostname = "{}"\nbackend = {}\n'
    text = '[[listeners]]\naddr = ":1"\n' + own.format("a", '["h:1", "h:2"]') + own.format("b", '"h:3"')
    assert told(text) == []
    assert told(text + own.format("c", '["h:4", "h:5"]')) == [
        f"mc-proxy.toml:9:13: error: listeners[0].routes[2]: {beyond}"
    ]
    (problem,) = told(text + own.format("c", '"h:4"') + own.format("d", '"h:4"'))
    assert problem.endswith("listeners[0].routes[3]: more than 3 routes: split the configuration over several proxies")


def test_upstreams_and_endpoints_are_resources() -> None:
    """A string stands for an endpoint with defaults; addresses are canonical, paths absolute, durations seconds."""
    text = """\
[upstreams.web]
endpoints = ["[0::1]:80", { address = "EXAMPLE.com.:80", weight = 3, max_active = 5, state = "drain", backup = true, resolve = "all" }]
check = { type = "http", path = "/healthz", status = "200, 204", interval = "1m" }
tls = { ca = "ca.pem" }
retry_on = ["502", "reset"]
connect_timeout = "2s"

[upstreams.db]
[[upstreams.db.endpoints]]
address = "unix:/run/db"
"""
    both = ROUTES.format('"web"') + '[[listeners.routes]]\nhostname = "b"\nbackend = "db"\n'.replace(
        "[[listeners.routes]]", '[[routes]]\nlistener = ":1"'
    )
    resolution = read(text + both)
    assert resolution.state.upstreams == {
        "web": Upstream(
            name="web",
            check=Check(type="http", path="/healthz", status="200,204", interval=60.0),
            tls=BackendTls(ca="/etc/mc/ca.pem"),
            retry_on=("502", "reset"),
            connect_timeout=2.0,
        ),
        "db": Upstream(name="db"),
    }
    assert list(resolution.state.endpoints.values()) == [
        UpstreamEndpoint(upstream="web", address="[::1]:80"),
        UpstreamEndpoint(
            upstream="web",
            address="example.com:80",
            weight=3,
            max_active=5,
            state="drain",
            backup=True,
            resolve="all",
        ),
        UpstreamEndpoint(upstream="db", address="unix:/run/db"),
    ]
    assert resolution.state.routes[":1", "a"] == Route(":1", "a", (), "web")
    assert resolution.origins["upstream", "web"] == Origin(MAIN, 1, 12)
    assert resolution.origins["endpoint", "web", "example.com:80"] == Origin(MAIN, 2, 27)
    assert resolution.origin(("endpoint", "web", "example.com:80"), "weight") == Origin(MAIN, 2, 58)
    assert resolution.origin(("upstream", "web"), "retry_on") == Origin(MAIN, 5, 1)
    assert resolution.origins["endpoint", "db", "unix:/run/db"] == Origin(MAIN, 9, 16)


@pytest.mark.parametrize(
    ("backend", "endpoints", "upstream"),
    [
        ('"10.0.0.1:80"', (Endpoint("10.0.0.1", 80),), ""),
        ('["10.0.0.1:80"]', (Endpoint("10.0.0.1", 80),), ""),
        ('["10.0.0.1:80", "unix:/s"]', (Endpoint("10.0.0.1", 80), Endpoint(path="/s")), ""),
        ('"web"', (), "web"),
    ],
)
def test_a_backend_is_an_address_several_or_a_name(
    backend: str, endpoints: tuple[Endpoint, ...], upstream: str
) -> None:
    """What has a port or begins with ``unix:`` is an address."""
    state = read(ROUTES.format(backend) + WEB).state
    assert state.routes[":1", "a"] == Route(":1", "a", endpoints, upstream)


def test_upstreams_add_up_over_the_files() -> None:
    """Routes may name one that another file declares; two of a name are told with both places."""
    main = ROUTES.format('"web"')
    assert read(
        main, WEB, WEB.replace("web", "api") + '[[routes]]\nlistener = ":1"\nhostname = "b"\nbackend = "api"\n'
    ).state.upstreams.keys() == {"web", "api"}
    (problem,) = told(main, WEB, WEB)
    assert problem == "2.toml:1:12: error: upstreams.web: the upstream web is already declared at /etc/mc/1.toml:1"


@each_row(
    ("text", "problem"),
    [
        (
            ROUTES.format('"wbe"') + WEB,
            '3:39: error: listeners[0].routes[0].backend: there is no upstream "wbe"; did you mean "web"? (an address needs a port)',
        ),
        (
            ROUTES.format('"8080"'),
            ('3:39: error: listeners[0].routes[0].backend: there is no upstream "8080"; did you mean "127.0.0.1:8080"? '
            "(an address needs a port)"),
        ),
        (
            ROUTES.format('"localhost"'),
            '3:39: error: listeners[0].routes[0].backend: there is no upstream "localhost" (an address needs a port)',
        ),
        (
            ROUTES.format('["10.0.0.1:80", "web"]'),
            ('3:55: error: listeners[0].routes[0].backend[1]: "web" has no port, and a list takes addresses alone; the name of an '
            "upstream stands without a list"),
        ),
        (
            ROUTES.format('["10.0.0.1:80", "[::ffff:10.0.0.1]:80"]'),
            ("3:55: error: listeners[0].routes[0].backend[1]: 10.0.0.1:80 is in the list already; for a larger share name the upstream and "
            "give it a weight"),
        ),
        (
            ROUTES.format('"10.0.0.1:80, 10.0.0.2:80"'),
            (
                '3:39: error: listeners[0].routes[0].backend: "10.0.0.1:80, 10.0.0.2:80": several addresses are an array, '
                '["10.0.0.1:80", "10.0.0.2:80"]'
            ),
        ),
        (
            ROUTES.format('["10.0.0.1:80", { address = "10.0.0.2:80", weight = 2 }]'),
            ('3:55: error: listeners[0].routes[0].backend[1]: must be a string such as "127.0.0.1:8080", not a table; name the '
            "upstream: endpoints with options belong into [upstreams.NAME], which backend then names"),
        ),
        (
            ROUTES.format('{ address = "10.0.0.2:80", backup = true }'),
            ('3:39: error: listeners[0].routes[0].backend: must be a string such as "web", not a table; name the '
            "upstream: endpoints with options belong into [upstreams.NAME], which backend then names"),
        ),
        (
            ROUTES.format("[]"),
            "3:39: error: listeners[0].routes[0].backend: must name at least one address",
        ),
        (
            ROUTES.format("8080"),
            '3:39: error: listeners[0].routes[0].backend: must be a string such as "web", not an integer; write "8080"',
        ),
        (
            ROUTES.format('"web"') + '[upstreams.web]\nendpoints = ["h:1", { address = "h:1" }]\n',
            "5:21: error: upstreams.web.endpoints[1]: the upstream web already has the endpoint h:1, at /etc/mc/mc-proxy.toml:5",
        ),
        (
            ROUTES.format('"web"') + '[upstreams.Web]\nendpoints = ["h:1"]\n',
            '4:12: error: upstreams.Web: "Web" is no name of an upstream: 1 to 63 lower-case letters, digits and "-", as in "web"',
        ),
        (
            ROUTES.format('"web"') + '[upstreams.web]\nendpoints = [{ address = "h:1", weight = 0 }]\n',
            '5:42: error: upstreams.web.endpoints[0].weight: must be at least 1; for nothing new set state = "drain"',
        ),
        (
            ROUTES.format('"web"') + '[upstreams.web]\nendpoints = "h:1"\n',
            '5:13: error: upstreams.web.endpoints: must be an array, [...], not "h:1"; write ["h:1"]',
        ),
        (
            ROUTES.format('"web"') + "[upstreams.web]\nendpoints = [7]\n",
            "5:14: error: upstreams.web.endpoints[0]: must be a string or a table, not an integer",
        ),
        (
            ROUTES.format('"web"') + "[upstreams.web]\nbalance = 'least_conn'\n",
            '4:12: error: upstreams.web: the key "endpoints" is missing',
        ),
        (
            ROUTES.format('"web"') + "[[upstreams]]\nname = 'web'\n",
            "4:3: error: upstreams: must be tables with names, [upstreams.NAME], not an array",
        ),
        (
            ROUTES.format('"web"') + WEB + "check = { type = 'http', status = '99' }\n",
            ('6:35: error: upstreams.web.check.status: "99" is no list of statuses (100 to 599) and ranges of them, such as "200-399" or '
            '"200,204,301-308"'),
        ),
        (
            ROUTES.format('"web"') + WEB + "check = { type = 'http', status = '399-200' }\n",
            '6:35: error: upstreams.web.check.status: "399-200": the range 399-200 is empty; did you mean "200-399"?',
        ),
        (
            ROUTES.format('"web"') + WEB + "check = { type = 'http', path = 'healthz' }\n",
            '6:33: error: upstreams.web.check.path: "healthz" is not the path of a request; it begins with "/", as in "/healthz"',
        ),
        (
            ROUTES.format('"web"') + WEB + "check = true\n",
            "6:9: error: upstreams.web.check: must be a table, not the boolean true",
        ),
        (
            ROUTES.format('"web"') + WEB + "sticky_cookie = 'a b'\n",
            '6:17: error: upstreams.web.sticky_cookie: "a b" is not the name of a cookie, as in "backend"',
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_stands(text: str, problem: str) -> None:
    """One mistake, one message."""
    assert told(text) == [f"mc-proxy.toml:{problem}"]


L7 = 'mode = "l7", tls_cert = "/c", tls_key = "/k"'


def site(upstream: str, *routes: str, addr: str = ":1") -> str:
    """Return a file with the upstream ``web`` and routes to it, one for each text of further keys."""
    lines = [f'{{ hostname = "r{number}", backend = "web", {more} }}' for number, more in enumerate(routes)]
    return f'[upstreams.web]\n{upstream}\n[[listeners]]\naddr = "{addr}"\nroutes = [{", ".join(lines)}]\n'


ONE = 'endpoints = ["10.0.0.1:80"]\n'
TWO = 'endpoints = ["10.0.0.1:80", "10.0.0.2:80"]\n'


@each_row(
    ("text", "problems"),
    [
        (site(TWO, 'mode = "l4"'), []),
        (site(TWO + 'retry_on = ["502"]\ntls = {}\nprotocol = "h2"\nsticky_cookie = "c"', L7), []),
        (site('endpoints = ["h:1", { address = "h:2", backup = true }, { address = "h:3", state = "drain" }]', L7), []),
        (site(TWO + 'check = { interval = "2s", timeout = "2s" }', L7), []),
        # what the routes make of it
        (
            site(TWO + 'sticky_cookie = "c"', L7, 'mode = "l4"'),
            [
                'error: listeners[0].routes[1].backend: the upstream web has a sticky_cookie, and an l4 route sees no cookies; it needs mode = "l7"'
            ],
        ),
        (site(TWO + 'retry_on = ["502"]\ntls = {}\nprotocol = "h2"', L7, 'mode = "l4"'), []),
        (
            site(TWO + 'retry_on = ["502"]\ntls = {}\nprotocol = "h2"', 'mode = "l4"'),
            [
                f"warning: upstreams.web.{key}: has no effect: all routes that lead here are l4, which pass on what clients send"
                for key in ("retry_on", "tls", "protocol")
            ],
        ),
        (site(TWO + 'tls = {}\nprotocol = "h2"\ncheck = { type = "http" }', 'mode = "l4"'), []),
        (
            ROUTES.format('"10.0.0.1:80"') + WEB,
            ["warning: upstreams.web: no route leads to this upstream"],
        ),
        # endpoints
        (site("endpoints = []", L7), ["error: upstreams.web.endpoints: must have at least one endpoint"]),
        (
            site('endpoints = [{ address = "h:1", backup = true }]', L7),
            [
                "warning: upstreams.web.endpoints: all endpoints are backups, so that none is the first choice; leave backup out"
            ],
        ),
        (
            site('endpoints = [{ address = "h:1", state = "drain" }, { address = "h:2", state = "maintenance" }]', L7),
            ["warning: upstreams.web.endpoints: no endpoint is ready: nothing new goes to any of them"],
        ),
        (
            site(
                'endpoints = [{ address = "[::2]:1", resolve = "all" }, { address = "h:2", resolve = "all" }, '
                '{ address = "unix:/s", resolve = "all" }]',
                L7,
            ),
            [
                "warning: upstreams.web.endpoints[0].resolve: has no effect: [::2]:1 is one address already, not a name",
                "warning: upstreams.web.endpoints[2].resolve: has no effect: unix:/s is one address already, not a name",
            ],
        ),
        (
            site(ONE + "eject = true", L7),
            ["warning: upstreams.web.eject: has no effect: the only endpoint is never left out"],
        ),
        (site(ONE + "eject = false", L7), []),
        (site('endpoints = [{ address = "h:1", resolve = "all" }]\neject = true', L7), []),
        # checks
        (
            site(TWO + 'check = { path = "/x", status = "204", host = "h", service = "s" }', L7),
            [
                'warning: upstreams.web.check.path: has no effect on a check of type tcp; it needs type = "http"',
                'warning: upstreams.web.check.status: has no effect on a check of type tcp; it needs type = "http"',
                'warning: upstreams.web.check.host: has no effect on a check of type tcp; it needs type = "http" or type = "grpc"',
                'warning: upstreams.web.check.service: has no effect on a check of type tcp; it needs type = "grpc"',
            ],
        ),
        (site(TWO + 'check = { type = "grpc", host = "h", service = "s" }', L7), []),
        (
            site(TWO + 'check = { timeout = "11s" }', L7),
            [
                "warning: upstreams.web.check.timeout: a check may take longer than the interval; the next one begins when it has ended"
            ],
        ),
        (
            site(TWO + 'check = { interval = "1s" }', L7),
            [
                "warning: upstreams.web.check.interval: a check may take longer than the interval; the next one begins when it has ended"
            ],
        ),
        # PROXY header
        (
            site(TWO + 'proxy_protocol_version = "v1"', L7),
            ["warning: upstreams.web.proxy_protocol_version: has no effect without send_proxy_protocol = true"],
        ),
        # loops
        (
            site('endpoints = ["127.0.0.1:1"]', L7),
            [
                "warning: upstreams.web.endpoints[0]: is this listener itself: connections come back without end; name what is behind the proxy"
            ],
        ),
        (
            site('endpoints = ["10.0.0.1:1", "[::1]:2"]', L7) + '[[listeners]]\naddr = ":2"\n',
            [
                "warning: upstreams.web.endpoints[1]: is the listener :2 at /etc/mc/mc-proxy.toml:6: connections go through this proxy again"
            ],
        ),
        (
            ROUTES.format('["10.0.0.1:1", "127.0.0.1:1"]'),
            [
                ("warning: listeners[0].routes[0].backend[1]: is this listener itself: connections come back without end; name what is behind "
                "the proxy")
            ],
        ),
        # keys of the route that are the upstream's
        *(
            (
                site(TWO, f"{L7}, {key} = {value}"),
                [f"error: listeners[0].routes[0].{key}: belongs into [upstreams.web]{meant}"],
            )
            for key, value, meant in (
                ("backend_tls", "true", " as tls = {}"),
                ("backend_ca", '"ca.pem"', " as tls = { ca = ... }"),
                ("backend_server_name", '"n"', " as tls = { server_name = ... }"),
                ("backend_protocol", '"h2"', " as protocol"),
                ("send_proxy_protocol", "true", ""),
                ("proxy_protocol_version", '"v1"', ""),
                ("proxy_protocol_destination", '"original"', ""),
                ("proxy_protocol_tlvs", "true", ""),
                ("connect_timeout", '"1s"', ""),
            )
        ),
        (
            site(TWO, 'send_proxy_protocol = true, backend_protocol = "h2"'),
            [
                "error: listeners[0].routes[0].backend_protocol: belongs into [upstreams.web] as protocol",
                "error: listeners[0].routes[0].send_proxy_protocol: belongs into [upstreams.web]",
            ],
        ),
        (site(TWO, f'{L7}, backend_tls = false, connect_timeout = "", idle_timeout = "1s"'), []),
        # what needs a name
        *(
            (
                ROUTES.format(f'["h:1", "h:2"], {key} = 1'),
                [
                    (f"error: listeners[0].routes[0].{key}: unknown key; name the upstream: it belongs into [upstreams.NAME], which backend then "
                    "names")
                ],
            )
            for key in ("balance", "check", "sticky_cookie", "retry_on", "tries", "eject", "panic", "slow_start")
        ),
    ],
)  # fmt: skip
def test_keys_are_judged_against_each_other(text: str, problems: list[str]) -> None:
    """Errors for what can't work, warnings for what has no effect."""
    found = [problem.split(" ", 1)[1] for problem in told(text)]
    assert sorted(found) == sorted(problems)


@pytest.mark.parametrize(
    "text",
    [
        ROUTES.format('"wbe"') + WEB,
        ROUTES.format('"web:"') + WEB,
        ROUTES.format('"web", mode = "l8"') + WEB + 'sticky_cookie = "c"\ntls = {}\n',
        ROUTES.format('"web"') + WEB.replace("web", "Web"),
        ROUTES.format('"web"') + "[upstreams.web]\nendpoints = [7]\neject = true\n",
    ],
)
def test_nothing_is_concluded_from_what_is_wrong_itself(text: str) -> None:
    """A mistyped name is not told again as an upstream that nothing leads to."""
    assert len(told(text)) == 1


def test_what_may_stand_in_another_file_is_not_missed() -> None:
    """A file that is broken may declare the upstream, or a route to one."""
    broken = "[["
    assert [problem.split(":")[0] for problem in told(ROUTES.format('"web"'), broken)] == ["1.toml"]
    assert [problem.split(":")[0] for problem in told(ROUTES.format('"h:1"') + WEB, broken)] == ["1.toml"]
