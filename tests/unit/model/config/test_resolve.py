import pytest

from mcproxy.errors import ConfigError
from mcproxy.model.config.document import read
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import include_patterns, resolve
from mcproxy.model.state.state import Listener, Route
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.origins import Origin
from tests.support.rows import each_row

MAIN = "/etc/mc/mc-proxy.toml"
ROUTES = """\
[[listeners]]
addr = ":8443"
[[listeners.routes]]
hostname = "A.Example."
backend = "127.0.0.1:1"
[[listeners.routes]]
hostname = "*"
backend = "unix:/run/x.sock"
on_remove = "keep"
"""


def problems(*texts: str) -> list[str]:
    """Return the problems of a main file and its includes, without the folder."""
    sources = [Source(MAIN if not index else f"/etc/mc/{index}.toml", text) for index, text in enumerate(texts)]
    try:
        found: tuple[object, ...] = resolve(sources).warnings
    except ConfigError as error:
        found = error.problems
    return [str(problem).replace("/etc/mc/", "") for problem in found]


def test_a_file_becomes_a_state_with_every_default_filled_in() -> None:
    """Canonical keys, endpoints, settings with absolute paths and seconds."""
    state = resolve([Source(MAIN, ROUTES)]).state
    assert state.listeners == {":8443": Listener(":8443")}
    assert state.routes == {
        (":8443", "a.example"): Route(":8443", "a.example", (Endpoint("127.0.0.1", 1),)),
        (":8443", "*"): Route(":8443", "*", (Endpoint(path="/run/x.sock"),), on_remove="keep"),
    }
    assert state.policies == {}
    assert state.rules == {}
    assert state.settings["proxy.idle_timeout"] == 300.0
    assert state.settings["proxy.workers"] == 0
    assert state.settings["database.path"] == "/etc/mc/mc-proxy.db"
    assert state.settings["grpc.socket"] == "/etc/mc/mc-proxy.sock"
    assert state.settings["log.access"] == ""
    assert "firewall.rate_window" in state.settings
    assert not any(key.startswith("firewall.blocked") for key in state.settings)


def test_an_empty_file_is_all_defaults() -> None:
    """Nothing is required at the top; nothing has an origin."""
    resolution = resolve([Source(MAIN, "")])
    assert resolution.state.listeners == {}
    assert resolution.origins == {}
    assert resolution.warnings == ()


def test_every_declared_resource_has_its_origin() -> None:
    """Settings only where a file names them."""
    origins = resolve([Source(MAIN, ROUTES), Source("/etc/mc/c/1.toml", "[proxy]\nworkers = 2\n")]).origins
    assert origins == {
        ("listener", ":8443"): Origin(MAIN, 1, 3),
        ("route", ":8443", "a.example"): Origin(MAIN, 3, 13),
        ("route", ":8443", "*"): Origin(MAIN, 6, 13),
        ("setting", "proxy.workers"): Origin("/etc/mc/c/1.toml", 2, 1),
    }


def test_included_files_add_to_the_main_one() -> None:
    """Listeners add up, tables share their keys, paths start from the folder of the file that names them."""
    resolution = resolve(
        [
            Source(MAIN, '[proxy]\nworkers = 2\n[[listeners]]\naddr = ":1"\n'),
            Source(
                "/etc/mc/c/1.toml",
                '[proxy]\nidle_timeout = "1m"\n[database]\npath = "x.db"\n[[listeners]]\naddr = ":2"',
            ),
        ]
    )
    assert set(resolution.state.listeners) == {":1", ":2"}
    assert resolution.state.settings["proxy.workers"] == 2
    assert resolution.state.settings["proxy.idle_timeout"] == 60.0
    assert resolution.state.settings["database.path"] == "/etc/mc/c/x.db"


def test_all_problems_of_all_files_are_told_at_once_in_file_order() -> None:
    """Syntax, types, values, unknown and missing keys, and what contradicts another file."""
    found = problems(
        """\
include = "x"
workers = 3
[proxy]
idle_timeot = "5m"
connect_timeout = "5x"
workers = 99999
[log]
level = "warn"
[[listeners]]
addr = ":1"
routes = [ 3, { hostname = "a b" } ]
""",
        "[proxy]\nworkers = true\nidle_timeout = 5 5",
        '[proxy]\nworkers = true\n[[listeners]]\naddr = ":1"\nproxy_protocol = 1\n',
    )
    assert found == [
        'mc-proxy.toml:1:11: error: include: must be an array, [...], not "x"; write ["x"]',
        "mc-proxy.toml:2:1: error: workers: unknown key; it belongs into [proxy]",
        'mc-proxy.toml:4:1: error: proxy.idle_timeot: unknown key; did you mean "idle_timeout"?',
        (
            'mc-proxy.toml:5:19: error: proxy.connect_timeout: "5x" is not a duration; write "250ms", "5s", "1m30s" or "2h" '
            "(units h, m, s, ms, in this order)"
        ),
        "mc-proxy.toml:6:11: error: proxy.workers: must be at most 1024",
        (
            'mc-proxy.toml:8:9: error: log.level: must be "debug", "error", "info" or "warning", not "warn"; '
            'did you mean "warning"?'
        ),
        "mc-proxy.toml:11:12: error: listeners[0].routes[0]: must be a table, not an integer",
        'mc-proxy.toml:11:28: error: listeners[0].routes[1].hostname: "a b" is not a hostname: " " is not allowed in one',
        (
            "1.toml:3:18: error: not valid TOML: only a comment, with # in front, can follow the value in its line; "
            "several values are an array, [..., ...]"
        ),
        "2.toml:2:1: error: proxy.workers: proxy.workers is already set at mc-proxy.toml:6; a key may stand in one file only",
        "2.toml:2:11: error: proxy.workers: must be an integer, not the boolean true",
        (
            "2.toml:4:8: error: listeners[0].addr: the listener :1 is already declared at mc-proxy.toml:9; "
            'routes of it in this file are [[routes]] with listener = ":1"'
        ),
        "2.toml:5:18: error: listeners[0].proxy_protocol: must be true or false, not an integer",
    ]


@each_row(
    ("text", "message"),
    [
        ("[proxy]\nworkers = 1.5", "must be an integer, not a float"),
        ("[proxy]\nworkers = 1979-05-27", "must be an integer, not a date or time"),
        ("[proxy]\nidle_timeout = 5", 'must be a string such as "5s", not an integer'),
        ("proxy = []", "must be a table, not an array"),
        ("listeners = {}", "must be an array of tables, [[...]], not a table"),
        ("[proxy]\nworkers = -1", "must be at least 0"),
        ("[proxy]\nworkers = 0x" + "f" * 9000, "must be at most 1024"),
        ('[log]\naccess = "a\\u0007"', "control characters"),
        ('[proxy]\nuser = "a\\u0007"', "control characters"),
        ('[database]\npath = "a\\u0000"', "control characters"),
        ("[grpc]\nsocket_mode = '999'", "not a file mode"),
        ("[metrics]\npath = 'metrics'", "not the path of a URL"),
        ("max_connections = 1", "it belongs into [[listeners]]"),
        ("backend = 'x:1'", "it belongs into [[listeners.routes]]"),
        ("zzz = 1", "unknown key"),
        ("x" * 500 + " = 1", "unknown key"),
    ],
)
def test_a_wrong_value_is_told_in_the_files_own_words(text: str, message: str) -> None:
    """TOML's names of types, and the form that is wanted."""
    (problem,) = problems(text)
    assert message in problem


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a = ", "mc-proxy.toml:1:5: error: not valid TOML: "),
        ("a = 1\nb = 2\na = 3", "mc-proxy.toml:3:1: error: not valid TOML: a is already set in line 1"),
        ('a = 1\nb = """x\n', "mc-proxy.toml:2:5: error: not valid TOML: "),
        ("a = " + "9" * 5000, "mc-proxy.toml:1:1: error: not valid TOML: "),
        ("a = " + "[" * 5000, "mc-proxy.toml:1:1: error: arrays or tables are nested too deeply"),
    ],
)
def test_what_is_not_toml_is_told_where_it_breaks(text: str, start: str) -> None:
    """One problem, where the cause is."""
    (problem,) = problems(text)
    assert problem.startswith(start)


def test_duplicates_name_both_places() -> None:
    """Over files and within one; the same name twice is the same route however it is written."""
    found = problems(ROUTES + '[[listeners.routes]]\nhostname = "a.EXAMPLE"\nbackend = "x:1"\n', ROUTES)
    assert found == [
        (
            "mc-proxy.toml:11:12: error: listeners[0].routes[2].hostname: the listener already has a route for a.example, at "
            "mc-proxy.toml:3"
        ),
        (
            "1.toml:2:8: error: listeners[0].addr: the listener :8443 is already declared at mc-proxy.toml:1; "
            'routes of it in this file are [[routes]] with listener = ":8443"'
        ),
    ]


TEAM = '[[routes]]\nlistener = "{}"\nhostname = "{}"\nbackend = "127.0.0.1:9"\n'
TWO = '[[listeners]]\naddr = "127.0.0.1:8443"\n[[listeners]]\naddr = "[::1]:8443"\n'


@pytest.mark.parametrize(
    ("written", "addr"),
    [
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("127.0.0.1:08443", "127.0.0.1:8443"),
        ("[::ffff:127.0.0.1]:8443", "127.0.0.1:8443"),
        ("[0:0::1]:8443", "[::1]:8443"),
        ("[0000::0001]:8443", "[::1]:8443"),
    ],
)
def test_a_route_in_another_file_belongs_to_the_listener_that_it_names(written: str, addr: str) -> None:
    """Any spelling of the address; the State is that of a route within its listener, and it is declared where it stands."""
    listed = resolve([Source(MAIN, TWO), Source("/etc/mc/1.toml", TEAM.format(written, "A.example."))])
    assert listed.state.routes == {(addr, "a.example"): Route(addr, "a.example", (Endpoint("127.0.0.1", 9),))}
    assert listed.origins["route", addr, "a.example"] == Origin("/etc/mc/1.toml", 1, 3)


def test_a_route_may_stand_in_front_of_its_listener() -> None:
    """In one file with it, inline, and with policies."""
    text = """\
routes = [
  { listener = ":1", hostname = "a.example", backend = "x:1", mode = "l7", tls_cert = "c", tls_key = "k", l7_policies = [
    { type = "require_header", value = "X-A" }
  ] }
]
[[listeners]]
addr = ":1"
"""
    state = resolve([Source(MAIN, text)]).state
    assert list(state.routes) == [(":1", "a.example")]
    assert list(state.policies) == [(":1", "a.example", "require_header", "X-A")]


@each_row("mode", ['mode = "l7"', 'mode = "l4"', "mode = 7", ""])
@each_row(
    "policy", ['type = "nonsense", value = "x"', "type = 7, value = 'x'", 'value = "x"', 'type = "require_header"']
)
def test_a_policy_that_is_wrong_is_a_problem_like_others(policy: str, mode: str) -> None:
    """Whatever the route says of itself."""
    found = problems(
        ROUTES.replace('hostname = "A.Example."', f'hostname = "a.example"\n{mode}\nl7_policies = [{{{policy}}}]')
    )
    assert any("l7_policies[0]" in problem for problem in found)


def test_routes_of_one_listener_are_duplicates_wherever_they_stand() -> None:
    """Within the listener, in the main file, in includes: both places are named."""
    found = problems(
        ROUTES + TEAM.format(":8443", "a.EXAMPLE"), TEAM.format(":8443", "b"), TEAM.format(":8443", "a.example.")
    )
    assert [problem for problem in found if "already" in problem] == [
        f"{place}.hostname: the listener already has a route for a.example, at mc-proxy.toml:3"
        for place in ("mc-proxy.toml:12:12: error: routes[0]", "2.toml:3:12: error: routes[0]")
    ]


def test_a_route_of_an_undeclared_listener_is_told_once_with_the_one_that_may_be_meant() -> None:
    """However many routes name it."""
    teams = TEAM.format("0.0.0.0:8443", "a") + TEAM.format("0.0.0.0:8443", "b")
    assert problems(
        '[[listeners]]\naddr = ":8443"\n', teams, TEAM.format(":7", "a"), TEAM.format("0.0.0.0:8443", "c")
    ) == [
        (
            "1.toml:2:12: error: routes[0].listener: no file declares the listener 0.0.0.0:8443, which this route names; "
            "so do 2 other routes; did you mean :8443?"
        ),
        (
            "2.toml:2:12: error: routes[0].listener: no file declares the listener :7, which this route names; "
            'it needs [[listeners]] with addr = ":7"'
        ),
    ]


@pytest.mark.parametrize("broken", ["[[listeners]\n", '[[listeners]]\naddr = "x"\n', "[[listeners]]\n"])
def test_a_broken_file_is_told_alone(broken: str) -> None:
    """The listener may be declared there: none of the many routes that name it is told beside that."""
    teams = [TEAM.format(":443", f"t{number}.example") for number in range(200)]
    (problem,) = problems(broken, *teams)
    assert problem.startswith("mc-proxy.toml:")
    listener = '[[listeners]]\naddr = ":443"\n'
    (problem,) = problems(listener, *teams[:100], "[[routes]", *teams[100:])
    assert problem.startswith("101.toml:1:9: error: not valid TOML")


def test_lists_of_the_firewall_add_up_over_files() -> None:
    """And what stands in two of them is doubtful, with both places."""
    firewall = '[firewall]\nblocked_ips = ["192.0.2.{}", "192.0.2.9"]\n'
    texts = [ROUTES, firewall.format(1), firewall.format(2) + "rate_limit = 7\n"]
    assert problems(*texts) == ["2.toml:2:29: warning: firewall.blocked_ips[1]: repeats 1.toml:2"]
    resolution = resolve(
        [Source(MAIN, ROUTES), *(Source(f"/etc/mc/{n}.toml", text) for n, text in enumerate(texts[1:]))]
    )
    assert [value for _, value in sorted(resolution.state.rules)] == ["192.0.2.1", "192.0.2.2", "192.0.2.9"]
    assert resolution.origins["rule", "ip", "192.0.2.2"].file == "/etc/mc/1.toml"
    assert resolution.state.settings["firewall.rate_limit"] == 7
    assert "already set at" in problems(ROUTES, "[firewall]\nrate_limit = 1", "[firewall]\nrate_limit = 1")[0]


def test_the_same_name_on_two_listeners_is_no_duplicate() -> None:
    """A route's key has its listener in it."""
    assert problems(ROUTES, ROUTES.replace("8443", "9443")) == []


def test_a_listener_with_a_wrong_address_still_has_its_routes_checked() -> None:
    """All problems in one run."""
    text = ROUTES.replace(":8443", "localhost:1").replace('"*"', '"a.example"')
    found = problems(text)
    assert len(found) == 2
    assert "already has a route for a.example" in found[1]


def test_listeners_that_cannot_be_bound_together_are_an_error() -> None:
    """Both addresses and the other place are named."""
    text = '[[listeners]]\naddr = ":1"\n[[listeners]]\naddr = "0.0.0.0:1"\n[[listeners]]\naddr = "127.0.0.1:2"\n'
    assert problems(text) == [
        "mc-proxy.toml:4:8: error: listeners[1].addr: 0.0.0.0:1 cannot be bound beside the listener :1 at mc-proxy.toml:2"
    ]


def test_only_the_main_file_includes() -> None:
    """An include in an included file is an error at its place."""
    assert problems('include = ["1.toml"]', "\ninclude = []") == [
        "1.toml:2:1: error: include: an included file must not include others; name them in the main file"
    ]


def test_include_patterns_are_given_as_written() -> None:
    """Without them there are none; wrong ones are errors."""
    assert include_patterns(read(Source(MAIN, 'include = ["a/*.toml", "b.toml"]\nzzz = 1'))) == ("a/*.toml", "b.toml")
    assert include_patterns(read(Source(MAIN, '"incl\\u0075de" = ["a"]'))) == ("a",)
    assert include_patterns(read(Source(MAIN, ""))) == ()
    for text in ("include = 3", "include = ['']", "include = [3]", "include ="):
        with pytest.raises(ConfigError):
            include_patterns(read(Source(MAIN, text)))
