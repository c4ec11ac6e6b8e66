"""The ClientHello parser against captured, re-framed and hand-made hellos."""

import json
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest

from mcproxy.errors import ProtocolError
from mcproxy.wire.client_hello import MAX_HELLO, MAX_RECORDS, ClientHello, Need, alpn_protocols, parse
from tests.support.rows import each_row

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "data" / "client_hello.json").read_text())
BY_NAME = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}

ZERO_RANDOM = bytes(32)


def conclude(data: bytes | memoryview) -> dict[str, object]:
    try:
        result = parse(data)
    except ProtocolError as error:
        return {"error": error.reason}
    return {"need": result.total} if isinstance(result, Need) else {"sni": result.sni}


def record(payload: bytes, kind: int = 22) -> bytes:
    return struct.pack(">BHH", kind, 0x0301, len(payload)) + payload


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def server_name(*names: tuple[int, bytes]) -> bytes:
    entries = b"".join(struct.pack(">BH", kind, len(name)) + name for kind, name in names)
    return extension(0, struct.pack(">H", len(entries)) + entries)


def message(extensions: bytes = b"", suites: bytes = b"\x13\x01") -> bytes:
    body = b"\x03\x03" + ZERO_RANDOM + b"\0" + struct.pack(">H", len(suites)) + suites + b"\1\0"
    body += struct.pack(">H", len(extensions)) + extensions
    return struct.pack(">I", 1 << 24 | len(body)) + body


def named(name: bytes) -> bytes:
    return record(message(server_name((0, name))))


@each_row("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    """Every known hello leads to what is on record for it."""
    assert conclude(bytes.fromhex(vector["hex"])) == vector["expected"]


@each_row("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_prefix_waits_or_concludes_the_same(vector: dict[str, Any]) -> None:
    """A prefix asks for more than there is, never for more than a valid hello has, or already gives the final answer."""
    data = bytes.fromhex(vector["hex"])
    final = vector["expected"]
    step = 1 if len(data) < 2500 else 97
    answered_at = len(data) + 1
    for length in range(len(data), -1, -step):
        answer = conclude(data[:length])
        if "need" not in answer:
            assert answer == final
            answered_at = length
    for length in range(min(answered_at, len(data)), -1, -step):
        answer = conclude(data[:length])
        if "need" in answer:
            total = answer["need"]
            assert isinstance(total, int)
            assert total > length
            assert "sni" not in final or total <= answered_at


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["App.Example.COM", "xn--bcher-kva.example", None])
def test_hello_of_the_standard_library(version: ssl.TLSVersion, name: str | None) -> None:
    """A hello that OpenSSL writes right now gives its name and its protocols."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    assert parse(hello) == ClientHello(name.lower() if name else None)
    assert alpn_protocols(hello) == (b"h2", b"http/1.1")
    assert isinstance(parse(hello[:-1]), Need)


def test_result_does_not_alias_a_reused_buffer() -> None:
    """A result stays what it is when the peek buffer is overwritten, and the buffer can be released."""
    hello = named(b"app.example.com")
    buffer = bytearray(MAX_HELLO)
    buffer[: len(hello)] = hello
    with memoryview(buffer) as view:
        result = parse(view[: len(hello)])
    buffer[:] = bytes(MAX_HELLO)
    buffer.clear()  # raises BufferError while anything still points into it
    assert result == ClientHello("app.example.com")


def test_bytes_behind_the_hello_are_ignored() -> None:
    """Early data after a complete hello changes nothing."""
    assert conclude(named(b"a.test") + record(b"early data", 23)) == {"sni": "a.test"}


@pytest.mark.parametrize(
    ("raw", "sni"),
    [
        (b"A.Test", "a.test"),
        (b"a.test.", "a.test"),
        (b"under_score.test", "under_score.test"),
        (b"127.0.0.1", "127.0.0.1"),
        (b"localhost", "localhost"),
        (b"a" * 63 + b".test", "a" * 63 + ".test"),
    ],
)
def test_names_come_in_canonical_form(raw: bytes, sni: str) -> None:
    """Names are lower-cased and lose one trailing dot."""
    assert conclude(named(raw)) == {"sni": sni}


@each_row(
    "raw",
    [
        b"",
        b".",
        b".a.test",
        b"a..test",
        b"a.test..",
        b"a\0b.test",
        b"a b.test",
        b"a\n.test",
        b"a/b.test",
        b"*.a.test",
        b"*",
        b"b\xc3\xbccher.test",
        b"\x7f.test",
        b"a" * 64 + b".test",
        b".".join([b"a" * 60] * 5),
    ],
)
def test_names_that_are_none(raw: bytes) -> None:
    """What cannot be a host name is refused, never routed."""
    assert conclude(named(raw)) == {"error": "bad_hello"}


def test_other_name_types_are_passed_over() -> None:
    """RFC 6066 leaves room for other types of names; the host name beside them counts."""
    assert conclude(record(message(server_name((7, b"\xff"), (0, b"a.test"))))) == {"sni": "a.test"}
    assert conclude(record(message(server_name((7, b"\xff"))))) == {"sni": None}


@pytest.mark.parametrize(
    "extensions",
    [
        server_name((0, b"a.test"), (0, b"b.test")),
        server_name((0, b"a.test")) + extension(5, b"x") + server_name((0, b"a.test")),
        server_name(),
        extension(0, b""),
        extension(0, b"\0"),
        server_name((0, b"a.test")) + b"\0\5\0",
        server_name((0, b"a.test")) + b"\0\5\0\1",
        b"\0\0\0\x10\0\x0e\0\0\x0b",
    ],
)
def test_malformed_extensions(extensions: bytes) -> None:
    """A name that another reader could take for something else is refused."""
    assert conclude(record(message(extensions))) == {"error": "bad_hello"}


@pytest.mark.parametrize("suites", [b"", b"\x13", b"\x13\x01\x13"])
def test_malformed_cipher_suites(suites: bytes) -> None:
    """Cipher suites come in pairs of bytes, one at least."""
    assert conclude(record(message(suites=suites))) == {"error": "bad_hello"}


def test_every_shortened_message_is_refused() -> None:
    """A message cut at any byte, with lengths of record and handshake that fit the cut, is malformed."""
    whole = message(server_name((0, b"a.test")) + extension(16, b"\0\3\2h2"))[4:]
    without_extensions = 2 + 32 + 1 + 4 + 2
    for length in range(len(whole)):
        cut = record(struct.pack(">I", 1 << 24 | length) + whole[:length])
        expected = {"sni": None} if length == without_extensions else {"error": "bad_hello"}
        assert conclude(cut) == expected, length


@pytest.mark.parametrize("signature", [b"PROXY ", b"\r\n\r\n\x00\r\nQUIT\n"])
def test_proxy_header_where_none_is_expected(signature: bytes) -> None:
    """A PROXY header gets a reason of its own, as soon as it can be told from other things that are no TLS."""
    for length in range(1, len(signature)):
        assert conclude(signature[:length]) == {"need": length + 1}
        assert conclude(signature[:length] + b"x") == {"error": "not_tls"}
    assert conclude(signature) == {"error": "unexpected_proxy_header"}
    assert conclude(signature + bytes(20)) == {"error": "unexpected_proxy_header"}


@pytest.mark.parametrize("data", [b"\x15", b"\x16\x02", b"\x80\x67\x01\x03\x01", b"\0", b"SSH-2.0"])
def test_not_tls_is_known_early(data: bytes) -> None:
    """Other protocols are refused without waiting for more."""
    assert conclude(data) == {"error": "not_tls"}


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PROPFIND /x HTTP/1.1"])
def test_http_gets_a_reason_of_its_own(data: bytes) -> None:
    """As soon as its method is complete; what only begins alike does not."""
    method = data.index(b" ")
    for length in range(1, method + 1):
        assert conclude(data[:length]) == {"need": length + 1}
        assert conclude(data[:length] + b"~") == {"error": "not_tls"}
    assert conclude(data[: method + 1]) == {"error": "plain_http"}


def test_need_follows_the_declared_lengths() -> None:
    """The wait is for the record header, then for the record, then for what at least is still missing."""
    hello = message(server_name((0, b"a.test")))
    first, second = record(hello[:30]), record(hello[30:])
    assert conclude(b"") == {"need": 5}
    assert conclude(first[:4]) == {"need": 5}
    assert conclude(first[:5]) == {"need": 35}
    assert conclude(first[:9]) == {"need": len(first + second)}
    assert conclude(first) == {"need": len(first + second)}
    assert conclude(first + second[:7]) == {"need": len(first + second)}
    assert conclude(first + second) == {"sni": "a.test"}


def test_handshake_header_over_several_records() -> None:
    """Even the four bytes of the handshake header may be spread."""
    hello = message(server_name((0, b"a.test")))
    assert conclude(b"".join(record(hello[at : at + 1]) for at in range(5)) + record(hello[5:])) == {"sni": "a.test"}


@pytest.mark.parametrize("between", [record(b""), record(b"\1\0", 21), record(b"x", 23), b"\x16\x02\0\0\1x"])
def test_nothing_may_stand_between_the_fragments(between: bytes) -> None:
    """Empty fragments and other records inside a hello are refused."""
    hello = message(server_name((0, b"a.test")))
    assert conclude(record(hello[:30]) + between + record(hello[30:])) == {"error": "bad_hello"}


def test_hello_ends_with_its_record() -> None:
    """Bytes after the hello in its record are refused, in the first record and in a later one."""
    hello = message(server_name((0, b"a.test")))
    assert conclude(record(hello + b"\0")) == {"error": "bad_hello"}
    assert conclude(record(hello[:30]) + record(hello[30:] + b"\0")) == {"error": "bad_hello"}


def test_largest_hello() -> None:
    """A hello of MAX_HELLO bytes is read; one byte more is refused as soon as its length is declared."""
    room = MAX_HELLO - len(record(message(server_name((0, b"a.test")) + extension(21, b""))))
    hello = record(message(server_name((0, b"a.test")) + extension(21, bytes(room))))
    assert len(hello) == MAX_HELLO
    assert conclude(hello) == {"sni": "a.test"}
    over = record(message(server_name((0, b"a.test")) + extension(21, bytes(room + 1))))
    assert conclude(over[:5]) == {"error": "hello_too_large"}
    assert conclude(over) == {"error": "hello_too_large"}


def test_too_large_over_several_records_is_known_from_the_handshake_header() -> None:
    """A message that cannot fit is refused with its first nine bytes, however small the first record is."""
    assert conclude(record(b"\x01\x00\x40\x00" + bytes(60))[:9]) == {"error": "hello_too_large"}


def test_number_of_records_is_limited() -> None:
    """MAX_RECORDS records are read, one more is not."""
    hello = message(server_name((0, b"a.test")) + extension(21, bytes(MAX_RECORDS)))

    def split(records: int) -> bytes:
        ones = b"".join(record(hello[at : at + 1]) for at in range(records - 1))
        return ones + record(hello[records - 1 :])

    assert conclude(split(MAX_RECORDS)) == {"sni": "a.test"}
    assert conclude(split(MAX_RECORDS + 1)) == {"error": "hello_too_large"}


@pytest.mark.parametrize(
    ("extensions", "protocols"),
    [
        (b"", ()),
        (extension(16, b"\0\3\2h2"), (b"h2",)),
        (extension(43, b"\2\3\4") + extension(16, b"\0\x0c\2h2\x08http/1.1"), (b"h2", b"http/1.1")),
    ],
)
def test_alpn(extensions: bytes, protocols: tuple[bytes, ...]) -> None:
    """The protocols come in the client's order."""
    assert alpn_protocols(record(message(extensions))) == protocols


@pytest.mark.parametrize(
    "extensions",
    [
        extension(16, b""),
        extension(16, b"\0\0"),
        extension(16, b"\0\2\2h"),
        extension(16, b"\0\3\2h2") * 2,
        extension(16, b"\0\4\2h2\0"),
        extension(16, b"\0\3\2h2") + b"\0",
        b"\0\x10\0\5\0",
    ],
)
def test_malformed_alpn(extensions: bytes) -> None:
    """A malformed list of protocols is refused."""
    with pytest.raises(ProtocolError, match="bad_hello"):
        alpn_protocols(record(message(extensions)))


def test_alpn_of_an_incomplete_hello_needs_as_much_as_the_name_does() -> None:
    """Both functions wait for the same bytes."""
    hello = BY_NAME["go1.27_mlkem"]
    assert alpn_protocols(hello[:600]) == parse(hello[:600]) == Need(len(hello))
