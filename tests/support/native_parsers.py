"""The native core's readers, called on their own."""

import ctypes
import functools

from mcproxy.net.native import addresses, records
from mcproxy.net.native.core import Core
from mcproxy.net.native.library import find
from mcproxy.net.native.loading import load
from mcproxy.wire.client_hello import ClientHello, parse
from tests.support.require import require

ODD = "odd"


@functools.cache
def library() -> ctypes.PyDLL:
    """Return the native core's library; without a compiler the test that asks for it is skipped, or fails in CI."""
    require("cc", "gcc")
    loaded = load(find())
    loaded.mcp_hello.argtypes = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t)
    loaded.mcp_table_find.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    return loaded


def read_hello(data: bytes) -> str | int | None:
    """Return the server name of a ClientHello, None if it names none; `ODD`, or how many bytes must be there."""
    name = ctypes.create_string_buffer(records.NAME)
    need = ctypes.c_size_t(0)
    exact = (ctypes.c_char * len(data)).from_buffer_copy(data)  # a sanitizer sees what is read behind it
    length = library().mcp_hello(exact, len(data), name, need)
    if length == records.HELLO_NEED:
        return need.value
    if length == records.HELLO_ODD:
        return ODD
    return name.raw[:length].decode("ascii") or None


def check_alike(data: bytes) -> bool:
    """Compare both readers; tell whether the native one has answered."""
    found = read_hello(data)
    if found == ODD:
        return False
    expected = parse(data)  # what is wrong raises
    if isinstance(expected, ClientHello):
        assert expected.sni == found
    else:
        assert expected.total == found
    return True


class NativeTable:
    """A table of routes that lead nowhere."""

    def __init__(self, patterns: list[str]) -> None:
        self._patterns = patterns
        self._words = memoryview(bytearray(8))
        self._core = Core(library(), self._words)
        routes = b""
        position = 0
        for pattern in patterns:
            routes += addresses.pack_route(position, len(pattern), records.ROUTE_PYTHON, (0, 0, 0, 0))
            position += len(pattern)
        self._table = self._core.table(1, routes, "".join(patterns).encode())

    def find(self, name: str | None) -> str | None:
        """Return the pattern that serves a canonical name."""
        raw = (name or "").encode()
        number = library().mcp_table_find(self._table, raw, len(raw))
        return None if number < 0 else self._patterns[number]

    def close(self) -> None:
        """Free it."""
        self._core.drop_table(self._table)
        self._core.free()
