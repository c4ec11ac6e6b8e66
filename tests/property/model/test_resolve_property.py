"""Whatever a file says: a State, or a ConfigError with problems that have places."""

import contextlib
import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import tomlkit
from hypothesis import example, given
from hypothesis import strategies as st

from mcproxy.errors import ConfigError
from mcproxy.model.config.document import read
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import Resolution, include_patterns, resolve
from mcproxy.model.config.schema import Config
from mcproxy.model.state.diff import diff
from mcproxy.model.values import addresses, durations, hostnames
from tests.support.examples import examples

MAIN = "/etc/mc/mc-proxy.toml"
WORDS = [
    "include", "database", "path", "grpc", "socket", "addr", "proxy", "workers", "idle_timeout", "limits", "firewall",
    "blocked_ips", "blocked_cidrs", "blocked_countries", "listeners", "routes", "hostname", "backend", "mode", "on_remove",
    "l7_policies", "type", "value", "trusted_proxies", "proxy_protocol", "zzz", "a b",
]  # fmt: skip
VALUES = [
    ":8443", "127.0.0.1:1", "[::1]:1", "*", "*.a", "a.*.b", "ü.example", "unix:/x", "x:1", "5s", "0s", "l7", "keep", "SE",
    "10.0.0.0/8", "10.0.0.1/8", "a\0b", "", ".", "xn--a", "\u200d", "-", "\u0661",
]  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(VALUES),
    st.text(max_size=6),
    st.integers(-2, 2**40),
    st.booleans(),
    st.floats(),
    st.just(dt.date(2000, 1, 1)),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=12,
)
ROUTES = st.fixed_dictionaries(
    {},
    optional={key: st.one_of(st.sampled_from(VALUES), TREES) for key in ("hostname", "backend", "mode", "l7_policies")},
)
LISTENERS = st.fixed_dictionaries(
    {}, optional={"addr": st.sampled_from(VALUES), "routes": st.lists(ROUTES, max_size=3), "trusted_proxies": TREES}
)
DOCUMENTS = st.one_of(
    st.dictionaries(st.sampled_from(WORDS), TREES, max_size=5),
    st.fixed_dictionaries({"listeners": st.lists(LISTENERS, max_size=3)}),
)


def judge(texts: list[str]) -> Resolution | None:
    """Resolve; every problem of a refused file must name one of the files and a place in it."""
    sources = [Source(MAIN if not index else f"/etc/mc/{index}.toml", text) for index, text in enumerate(texts)]
    try:
        return resolve(sources)
    except ConfigError as error:
        problems = error.problems
    files = {source.path: source.text.split("\n") for source in sources}
    severities = set()
    for problem in problems:
        assert isinstance(problem, Problem)
        lines = files[problem.file]
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert str(problem).isprintable()
        severities.add(problem.severity)
    assert "error" in severities
    return None


@examples(150)
@given(st.text())
@example("a = " + "[" * 3000)
@example("a = " + "[" * 300 + "]" * 300)
@example("a = " + "9" * 5000)
@example("\ufeffa = 1")
def test_any_text_is_resolved_or_refused(text: str) -> None:
    """Nothing but ConfigError comes out."""
    judge([text])
    with contextlib.suppress(ConfigError):
        include_patterns(read(Source(MAIN, text)))


@examples(150)
@given(st.lists(DOCUMENTS, min_size=1, max_size=2))
def test_any_documents_are_resolved_or_refused(documents: list[dict[str, Any]]) -> None:
    """Every type in every place; what is accepted has canonical keys and differs from itself in nothing."""
    resolution = judge([tomlkit.dumps(document) for document in documents])
    if resolution is None:
        return
    state = resolution.state
    for addr, hostname in state.routes:
        assert addresses.parse_listen(addr) == addr
        assert hostnames.parse_pattern(hostname) == hostname
        assert ("route", addr, hostname) in resolution.origins
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=type(state)) == state
    assert diff(state, state) == ()


@examples(150)
@given(st.text(max_size=30))
def test_what_is_canonical_stays_as_it_is(text: str) -> None:
    """Parsing the result of parsing changes nothing, and only ValueError refuses."""
    parsers: list[Callable[[str], object]] = [
        hostnames.parse_pattern,
        addresses.parse_listen,
        addresses.parse_backend,
        addresses.parse_ip,
        addresses.parse_network,
        addresses.parse_country,
    ]
    for parse in parsers:
        try:
            canonical = parse(text)
        except ValueError as error:
            message = str(error)
        else:
            message = ""
            assert parse(str(canonical)) == canonical
        assert message.isprintable()


@examples(100)
@given(st.integers(1, int(durations.LONGEST * 1000)))
def test_durations_survive_being_shown(milliseconds: int) -> None:
    """`parse(render(x)) == x` to the millisecond."""
    seconds = milliseconds / 1000
    assert durations.parse(durations.render(seconds)) == seconds


@examples(100)
@given(
    st.permutations(
        [f"[[listeners.routes]]\nhostname = '{name}'\nbackend = 'x:1'\n" for name in ("a", "b", "*.a", "*")]
    )
)
def test_the_order_in_the_file_never_matters(routes: list[str]) -> None:
    """The same State, whatever comes first."""
    text = "[[listeners]]\naddr = ':1'\n"
    (one, other) = (resolve([Source(MAIN, text + "".join(order))]).state for order in (routes, sorted(routes)))
    assert one == other
    assert Config().listeners == ()
