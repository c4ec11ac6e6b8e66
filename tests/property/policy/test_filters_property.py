"""Filters against naive readings of their rules, whatever clients send."""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.model.state.filter_options import FilterOptions, RealIp, Rewrite
from mcproxy.model.values.texts import VARIABLES
from mcproxy.policy.answers import Asking
from mcproxy.policy.field_names import fold
from mcproxy.policy.filters.real_ip import RealIpRule
from mcproxy.policy.filters.rewrites import PathRewrite
from mcproxy.policy.filters.scope import Scope
from mcproxy.policy.firewall import unmap
from mcproxy.policy.headers import RequestHead
from tests.support.examples import examples

NAMES = ["X-User", "X-Groups", "Accept", "Authorization"]
SPELLINGS = ["x-user", "x_user", "x.user", "x-groups", "x!groups", "accept", "authorization", "x-users", "other"]
names = st.sampled_from(NAMES)
values = st.lists(st.sampled_from(["a", " b", *(f"{{{name}}}" for name in VARIABLES)]), max_size=3).map(
    lambda parts: "".join(parts).strip()
)
settable = st.dictionaries(names, values, max_size=3).map(lambda found: tuple(sorted(found.items())))
filters = st.builds(
    FilterOptions,
    set_request_headers=settable,
    add_request_headers=st.lists(st.tuples(names, values), max_size=3).map(lambda found: tuple(sorted(found))),
    remove_request_headers=st.lists(names, max_size=2, unique=True).map(lambda found: tuple(sorted(found))),
)
fields = st.lists(st.tuples(st.sampled_from(SPELLINGS), st.sampled_from(["1", "2"])), max_size=6).map(
    lambda found: [(name.encode(), value.encode()) for name, value in found]
)
texts = st.text(alphabet="a/:?%&\r\n\0 \u00fc\u20ac", max_size=6)


def said(options: FilterOptions, name: str) -> tuple[bool, list[str]] | None:
    """Return whether a filter clears a header and what it then gives it; None if it does not name it."""
    put = dict(options.set_request_headers)
    added = [value for each, value in options.add_request_headers if each == name]
    if name not in put and not added and name not in options.remove_request_headers:
        return None
    return name in put or name in options.remove_request_headers, [*([put[name]] if name in put else []), *added]


@examples(100)
@given(st.lists(filters, max_size=3), fields)
def test_the_innermost_filter_that_names_a_header_decides(
    scope: list[FilterOptions], sent: list[tuple[bytes, bytes]]
) -> None:
    """Of what the client has sent under the name, in any spelling, all or nothing stays, in its order; then comes what is set and added."""
    change = Scope([("", options) for options in scope]).request
    head = RequestHead(b"GET", b"a.test", b"/", sent)
    got = sent
    if change is not None:
        changed = change.apply(head, Asking("192.0.2.1", b"1", "a.test"))
        assert changed is not None
        got = changed.headers
    expected = list(sent)
    for name in NAMES:
        decided = next(
            (words for options in reversed(scope) if (words := said(options, name)) is not None), (False, [])
        )
        folded = fold(name.encode())
        if decided[0]:
            expected = [field for field in expected if fold(field[0]) != folded]
        own = [field for field in got if fold(field[0]) == folded]
        kept = [field for field in expected if fold(field[0]) == folded]
        assert own[: len(kept)] == kept
        assert len(own) - len(kept) == len(decided[1])
        literal = {value.encode() for value in decided[1] if "{" not in value}
        assert literal <= {value for _, value in own[len(kept) :]}
    others = [field for field in expected if fold(field[0]) not in {fold(name.encode()) for name in NAMES}]
    assert [field for field in got if fold(field[0]) not in {fold(name.encode()) for name in NAMES}] == others


@given(filters, texts, texts, texts, texts)
def test_no_client_writes_control_characters_into_a_header(
    options: FilterOptions, path: str, host: str, sni: str, number: str
) -> None:
    """Whatever it sends, and wherever variables take it from."""
    change = Scope([("", options)]).request
    if change is not None:
        head = RequestHead(b"GET", host.encode(), b"/" + path.encode(), [])
        changed = change.apply(head, Asking("192.0.2.1", number.encode(), sni))
        assert changed is not None
        for _, value in changed.headers:
            assert re.fullmatch(rb"[\x20-\x7e]*", value)
            assert value == value.strip()


PARTS = [
    "/",
    "//",
    "/api",
    "api",
    "a",
    ".",
    "..",
    "/../",
    ";",
    "\\",
    "%2f",
    "%5c",
    "%2e",
    "%2E%2e",
    "%252e",
    "%252f",
    "%3b",
    "%00",
]
STEPS: list[Callable[[bytes], bytes]] = [
    unquote_to_bytes,
    unquote_to_bytes,
    lambda path: re.sub(rb";[^/]*", b"", path),
    lambda path: re.sub(rb"/+", b"/", path),
    lambda path: path.replace(b"\\", b"/"),
]


def resolved(path: bytes) -> bytes:
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            kept = kept[:-1]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return b"/" + b"/".join(kept)


@examples(150)
@given(
    st.lists(st.sampled_from(PARTS), max_size=8).map(lambda parts: ("/api/" + "".join(parts)).encode()),
    st.permutations(STEPS),
    st.integers(0, len(STEPS)),
)
def test_no_backend_reads_a_rewritten_path_as_one_outside(
    path: bytes, steps: list[Callable[[bytes], bytes]], most: int
) -> None:
    """Whatever it does to the path, in any order, it stays below what stands at the beginning."""
    rewritten = PathRewrite(Rewrite(from_="/api", to="/base/v2")).apply(path)
    if rewritten is not None:
        assert rewritten.startswith(b"/base/v2")
        read = rewritten
        for step in steps[:most]:
            read = step(read)
        read = resolved(read)
        assert read == b"/base/v2" or read.startswith(b"/base/v2/")


addresses = st.one_of(
    st.ip_addresses(network="10.0.0.0/30"), st.ip_addresses(network="192.0.2.0/30"), st.ip_addresses(v=6)
)


@given(chain=st.lists(addresses | st.sampled_from(["", "unknown"]), max_size=6), split=st.booleans())
def test_the_client_is_the_rightmost_that_is_no_proxys(chain: list[object], *, split: bool) -> None:
    """As one walks from the peer to the left: an address that is none ends the walk at the peer."""
    network = ipaddress.ip_network("10.0.0.0/8")
    peer = client = ipaddress.ip_address("10.0.0.1").packed
    malformed = False
    for element in reversed([str(each) for each in chain if each != ""]):
        if element == "unknown":
            client, malformed = peer, True
            break
        client = unmap(ipaddress.ip_address(element).packed)
        if ipaddress.ip_address(client) not in network:
            break
    parts = [str(each).encode() for each in chain]
    values = parts if split else [b", ".join(parts)]
    told = RealIpRule(RealIp(from_=("10.0.0.0/8",))).read(peer, [(b"x-forwarded-for", value) for value in values])
    assert (told.client, told.malformed) == (client, malformed)
