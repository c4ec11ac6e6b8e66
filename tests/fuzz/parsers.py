"""Targets: what a client says before anything is known of it (ClientHello, PROXY header, the beginning of HTTP)."""

import json
from collections.abc import Callable
from pathlib import Path

from mcproxy.errors import ProtocolError
from mcproxy.wire import client_hello, opening, proxy_protocol
from mcproxy.wire.need import Need
from tests.fuzz.target import Target
from tests.support.native_parsers import check_alike

_DATA = Path(__file__).parents[1] / "data"
_LONGEST = 3000  # bytes of which every prefix is tried


def _examples(name: str) -> Callable[[], list[bytes]]:
    return lambda: [
        bytes.fromhex(each["hex"]) for each in json.loads((_DATA / name).read_text(encoding="utf-8")) if "hex" in each
    ]


def _check_prefixes(parse: Callable[[bytes], object], data: bytes) -> None:
    """A parser asks for more than there is, never changes its mind, and raises nothing but ProtocolError."""

    def outcome(part: bytes) -> object:
        try:
            return parse(part)
        except ProtocolError as error:
            return error.reason

    final = outcome(data)
    step = 1 if len(data) <= _LONGEST else len(data) // _LONGEST + 1
    for length in range(0, len(data), step):
        answer = outcome(data[:length])
        if isinstance(answer, Need):
            assert answer.total > length
        else:
            assert answer == final, (length, answer, final)


def _check_native(data: bytes) -> None:
    """Of every beginning the native core's reader says what Python's does, or declines it."""
    for length in {len(data), len(data) // 2, len(data) - 1} - {-1}:
        check_alike(data[:length])


CLIENT_HELLO = Target(
    "client-hello", lambda data: _check_prefixes(client_hello.parse, data), _examples("client_hello.json")
)
NATIVE_HELLO = Target("native-hello", _check_native, _examples("client_hello.json"))
PROXY_HEADER = Target(
    "proxy-header", lambda data: _check_prefixes(proxy_protocol.parse, data), _examples("proxy_protocol.json")
)
OPENING = Target("opening", lambda data: _check_prefixes(opening.parse, data), _examples("opening.json"))
