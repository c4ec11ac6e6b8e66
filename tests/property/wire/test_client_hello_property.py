"""What must hold for every hello: chunking, re-framing and damage."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.errors import ProtocolError
from mcproxy.wire.client_hello import ClientHello, Need, parse
from tests.support.examples import examples

FEW = examples(100)

labels = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=20)
names = st.lists(labels, min_size=1, max_size=5).map(".".join)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, str | None]:
    """A well-formed handshake message and the name it asks for."""
    name = draw(st.none() | names)
    extensions = draw(st.lists(st.tuples(st.integers(1, 0xFFFF), st.binary(max_size=40)), max_size=12))
    encoded = [struct.pack(">HH", kind, len(body)) + body for kind, body in extensions]
    if name is not None:
        raw = name.encode()
        entry = struct.pack(">HHHBH", 0, len(raw) + 5, len(raw) + 3, 0, len(raw)) + raw
        encoded.insert(draw(st.integers(0, len(encoded))), entry)
    body = struct.pack(">H", draw(st.integers(0, 0xFFFF))) + draw(st.binary(min_size=32, max_size=32))
    session = draw(st.binary(max_size=32))
    suites = draw(st.lists(st.binary(min_size=2, max_size=2), min_size=1, max_size=20))
    methods = draw(st.binary(min_size=1, max_size=3))
    body += bytes([len(session)]) + session + struct.pack(">H", 2 * len(suites)) + b"".join(suites)
    body += bytes([len(methods)]) + methods
    tail = b"".join(encoded)
    if tail or draw(st.booleans()):
        body += struct.pack(">H", len(tail)) + tail
    return struct.pack(">I", 1 << 24 | len(body)) + body, name.lower() if name else None


@st.composite
def hellos(draw: st.DrawFn) -> tuple[bytes, str | None]:
    """The same, cut into up to a dozen records."""
    message, name = draw(messages())
    cuts = sorted(draw(st.sets(st.integers(1, len(message) - 1), max_size=11)))
    pieces = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    minor = draw(st.integers(0, 4))
    return b"".join(struct.pack(">BBBH", 22, 3, minor, len(piece)) + piece for piece in pieces), name


@FEW
@given(hellos(), st.binary(max_size=30))
def test_framing_does_not_matter(hello: tuple[bytes, str | None], behind: bytes) -> None:
    """However a hello is cut into records, and whatever follows it, the name is the same."""
    data, name = hello
    assert parse(data + behind) == ClientHello(name)
    assert parse(memoryview(bytearray(data + behind))) == ClientHello(name)


@FEW
@given(hellos(), st.data())
def test_any_chunking(hello: tuple[bytes, str | None], data: st.DataObject) -> None:
    """At any prefix the need is more than there is and no more than there will be."""
    whole, name = hello
    for length in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=30)):
        answer = parse(whole[:length])
        assert isinstance(answer, Need)
        assert length < answer.total <= len(whole)
    assert parse(whole) == ClientHello(name)


@FEW
@given(hellos())
def test_waiting_for_the_need_ends(hello: tuple[bytes, str | None]) -> None:
    """Peeking exactly what is needed reaches the answer in at most two steps a record and one more."""
    whole, name = hello
    there = 0
    for _ in range(2 * 12 + 1):
        answer = parse(whole[:there])
        if not isinstance(answer, Need):
            break
        there = answer.total
    assert answer == ClientHello(name)


def outcome(data: bytes) -> ClientHello | Need | str:
    try:
        return parse(data)
    except ProtocolError as error:
        return error.reason


def check_prefixes(data: bytes) -> None:
    """More bytes never change a conclusion, and every need is more than there is."""
    final = outcome(data)
    for length in range(len(data)):
        answer = outcome(data[:length])
        if isinstance(answer, Need):
            assert answer.total > length
        else:
            assert answer == final
    if isinstance(final, Need):
        assert final.total > len(data)


@FEW
@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\x16\x03\x01\x00\x40\x01\x00\x00" + tail))
def test_arbitrary_bytes(data: bytes) -> None:
    """No bytes make the parser raise anything but ProtocolError, nor change its mind."""
    check_prefixes(data)


@FEW
@given(hellos(), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=3))
def test_damaged_hellos(hello: tuple[bytes, str | None], changes: list[tuple[int, int]]) -> None:
    """The same holds for hellos with some bytes changed."""
    data = bytearray(hello[0])
    for at, value in changes:
        data[at % len(data)] = value
    check_prefixes(bytes(data))
