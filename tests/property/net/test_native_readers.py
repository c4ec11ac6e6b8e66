"""The native core's readers against their twins in Python: where they answer, they answer alike."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.errors import ProtocolError
from mcproxy.policy.routing import RouteTable
from mcproxy.wire.client_hello import ClientHello, parse
from tests.support.examples import examples
from tests.support.native_parsers import ODD, NativeTable, check_alike, read_hello
from tests.support.tls import client_hello

labels = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_:.\xe4/ ", min_size=0, max_size=66)
names = st.lists(labels, min_size=1, max_size=6).map(".".join)
damages = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 5000), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.integers(0, 5000), st.integers(1, 40)),
        st.tuples(st.just("insert"), st.integers(0, 5000), st.binary(min_size=1, max_size=5)),
        st.tuples(st.just("length"), st.integers(0, 600), st.integers(-3, 3)),
    ),
    max_size=4,
)


REAL = [client_hello(None), client_hello("example.com"), client_hello("A.Some-what.longer_Name.example.org")]


@st.composite
def made(draw: st.DrawFn) -> bytes:
    """A hello in one record, most of it well-formed, with any server name list."""
    entries = draw(st.lists(st.tuples(st.sampled_from([0, 0, 0, 1]), names), max_size=2))
    body = b"".join(struct.pack(">BH", kind, len(raw)) + raw for kind, raw in ((k, n.encode()) for k, n in entries))
    server_name = struct.pack(">HHH", 0, len(body) + 2, len(body)) + body
    others = draw(st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=20)), max_size=5))
    extensions = [struct.pack(">HH", kind, len(data)) + data for kind, data in others if kind]
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        extensions.insert(draw(st.integers(0, len(extensions))), server_name)
    session, suites, methods = draw(st.binary(max_size=33)), draw(st.integers(0, 6)), draw(st.integers(0, 2))
    fields = b"\x03\x03" + bytes(32) + bytes([len(session)]) + session + struct.pack(">H", suites) + bytes(suites)
    fields += bytes([methods]) + bytes(methods)
    tail = b"".join(extensions)
    if tail or draw(st.booleans()):
        fields += struct.pack(">H", len(tail)) + tail
    message = struct.pack(">I", 1 << 24 | len(fields)) + fields
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def damaged(data: bytes, damages: list[tuple[str, int, object]]) -> bytes:
    changed = bytearray(data)
    for how, where, what in damages:
        if not changed:
            break
        at = where % len(changed)
        if how == "set":
            changed[at] = int(str(what))
        elif how == "length":  # of some field: off by a little
            changed[at] = (changed[at] + int(str(what))) % 256
        elif how == "cut":
            del changed[at : at + int(str(what))]
        elif isinstance(what, bytes):
            changed[at:at] = what
    return bytes(changed)


@examples(1500)
@given(st.sampled_from(REAL) | made(), damages, st.binary(max_size=3))
def test_what_the_native_reader_answers_python_answers_alike(
    hello: bytes, changes: list[tuple[str, int, object]], behind: bytes
) -> None:
    """Whatever is changed of a hello: the same name, the same need, or it is declined."""
    check_alike(damaged(hello, changes) + behind)


@examples(100)
@given(st.sampled_from(REAL) | made(), st.integers(0, 2000))
def test_a_hello_that_is_not_complete_yet(hello: bytes, size: int) -> None:
    """Its beginning has the same need."""
    check_alike(hello[: size % (len(hello) + 1)])


def test_usual_hellos_are_answered() -> None:
    """It declines not everything; the names are canonical."""
    assert [read_hello(hello) for hello in REAL] == [None, "example.com", "a.some-what.longer_name.example.org"]
    assert read_hello(REAL[1][:-1]) == len(REAL[1])
    assert check_alike(REAL[1] + b"more")
    for odd in (b"GET / HTTP/1.1\r\n\r\n", b"", REAL[1][:4]):
        assert read_hello(odd) == ODD


@examples(200)
@given(names)
def test_names(name: str) -> None:
    """Whatever the name is: the native reader has its canonical form, or declines it."""
    raw = name.encode()
    entry = struct.pack(">HHHBH", 0, len(raw) + 5, len(raw) + 3, 0, len(raw)) + raw
    fields = b"\x03\x03" + bytes(32) + b"\0\0\2\x13\1\1\0" + struct.pack(">H", len(entry)) + entry
    message = struct.pack(">I", 1 << 24 | len(fields)) + fields
    data = b"\x16\x03\x01" + struct.pack(">H", len(message)) + message
    try:
        parsed = parse(data)
    except ProtocolError:
        assert read_hello(data) == ODD
    else:
        assert isinstance(parsed, ClientHello)
        assert read_hello(data) == parsed.sni


parts = st.sampled_from(["a", "b", "c", "example", "com", "*"])
hosts = st.lists(parts, min_size=1, max_size=6).map(".".join)
patterns = st.just("*") | hosts | hosts.map(lambda host: f"*.{host}")


@examples(300)
@given(st.lists(patterns, unique=True, max_size=40), st.lists(st.none() | hosts, min_size=1, max_size=8))
def test_routes_are_found_alike(routes: list[str], wanted: list[str | None]) -> None:
    """The native table finds what the table in Python finds, whatever their routes are."""
    routes = [route for route in routes if "*" not in route.removeprefix("*")]
    native = NativeTable(routes)
    table = RouteTable((route, route) for route in routes)
    try:
        for name in wanted:
            if name is None or "*" not in name:
                assert native.find(name) == table.find(name)
    finally:
        native.close()
