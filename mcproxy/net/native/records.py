"""The structures that the native core and Python share, as `mcproxy/native/core.h` declares and explains them."""

import ctypes
import struct
from typing import TYPE_CHECKING

RECORDS = 1536
NAME = 256
ADDRESS = 110
LINES = 1 << 17
PARTS = 8
"""Bytes of lines of the access log that a call may leave; texts of one that lie between those that vary."""

DECLINED, OVER_LIMIT, ASK_GATE, CHOOSE, CONNECTED, DIAL_FAILED, ENDED, PAUSED, TABLE_FREED, COUNTED_AT = range(1, 11)
"""What a record asks of Python, or tells it (``enum mcp_kind``)."""

ENTERED, COUNTED, EXACT, JOINED, CLIENT_FIRST, LATE_RESET, DRAINING, CHOSEN, LOGGED = (1 << bit for bit in range(9))
"""Flags of a record (``enum mcp_flags``)."""

GATE, HELLO, CHOICE, DIAL, RELAY, HALF_CLOSED = range(1, 7)
"""Where a connection is (``enum mcp_stage``)."""

NO_REASON, IDLE_TIMEOUT, HALF_CLOSED_TIMEOUT, DRAINED, HELLO_TIMEOUT = range(5)
"""Why the core has closed a connection, or given it up (``enum mcp_reason``)."""
REASONS = 16
"""The first number of a reason that Python gives."""

ASK, TELL_CONNECTED, TELL_ENDED = 1, 2, 4
"""What is to be told and asked (``enum mcp_tell``)."""

HAS_RECORDS, HAS_MORE, IS_IDLE, HAS_LINES = 1, 2, 4, 8
"""What a call that handles events returns (``enum mcp_result``)."""

ROUTE_PYTHON, ROUTE_ADDRESS, ROUTE_UPSTREAM = 1, 2, 3
"""Where a route leads (``enum mcp_route_kind``)."""

HELLO_ODD, HELLO_NEED = -1, -2


class _Address(ctypes.Union):
    _fields_ = (
        ("address", ctypes.c_uint8 * 16),
        ("ipv4", ctypes.c_uint32),
    )  # the latter as it lies, for those of AF_INET


class Record(ctypes.Structure):
    """A record, or what is told of one connection (``struct mcp_record``)."""

    if TYPE_CHECKING:
        conn: int
        table: int
        received: int
        sent: int
        token: int
        started: float
        dialed: float
        dial_seconds: float
        active: float
        kind: int
        listener: int
        fd: int
        route: int
        endpoint: int
        error: int
        mask: int
        flags: int
        flowinfo: int
        scope: int
        family: int
        port: int
        address: ctypes.Array[ctypes.c_uint8]
        ipv4: int
        stage: int
        reason: int
        name_length: int
        name: ctypes.Array[ctypes.c_uint8]

    _anonymous_ = ("_address",)
    _fields_ = (
        ("conn", ctypes.c_uint64),
        ("table", ctypes.c_uint64),
        ("received", ctypes.c_uint64),
        ("sent", ctypes.c_uint64),
        ("token", ctypes.c_int64),
        ("started", ctypes.c_double),
        ("dialed", ctypes.c_double),
        ("dial_seconds", ctypes.c_double),
        ("active", ctypes.c_double),
        ("kind", ctypes.c_uint32),
        ("listener", ctypes.c_uint32),
        ("fd", ctypes.c_int32),
        ("route", ctypes.c_int32),
        ("endpoint", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("mask", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("flowinfo", ctypes.c_uint32),
        ("scope", ctypes.c_uint32),
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("_address", _Address),
        ("stage", ctypes.c_uint8),
        ("reason", ctypes.c_uint8),
        ("name_length", ctypes.c_uint16),
        ("name", ctypes.c_uint8 * NAME),
    )


_CODES = {
    ctypes.c_uint64: "Q",
    ctypes.c_int64: "q",
    ctypes.c_double: "d",
    ctypes.c_uint32: "I",
    ctypes.c_int32: "i",
    ctypes.c_uint16: "H",
    ctypes.c_uint8: "B",
    _Address: "16s",
}


def reader(*names: str) -> struct.Struct:
    """Return what unpacks fields of a record at once: several of them take as long as two attributes.

    Args:
        names: the fields, in the order in which the structure has them; ``_address`` for the 16 bytes of the peer's address.
    """
    types = {field[0]: field[1] for field in Record._fields_}
    form, at = "=", 0
    for name in names:
        offset = getattr(Record, name).offset
        form += f"{offset - at}x{_CODES[types[name]]}"
        at = offset + ctypes.sizeof(types[name])
    return struct.Struct(form)


class State(ctypes.Structure):
    """What the core keeps up to date (``struct mcp_state``)."""

    if TYPE_CHECKING:
        count: int
        open: int
        lines: int
        line_count: int

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("count", "open", "lines", "line_count"))


class Settings(ctypes.Structure):
    """``struct mcp_settings``; times in seconds."""

    _fields_ = (
        ("connect", ctypes.c_double),
        ("idle", ctypes.c_double),
        ("half_closed", ctypes.c_double),
        ("client_hello", ctypes.c_double),
        ("tell", ctypes.c_uint32),
        ("draining", ctypes.c_uint32),
        ("ceiling", ctypes.c_int32),
        ("unused", ctypes.c_uint32),
    )


class ListenerSetup(ctypes.Structure):
    """``struct mcp_listener_setup``."""

    _fields_ = (
        ("cells", ctypes.c_void_p),
        ("slots_used", ctypes.c_void_p),
        ("own", ctypes.c_uint32),
        ("lock", ctypes.c_int32),
        ("tag", ctypes.c_uint32),
        ("accepted", ctypes.c_uint32),
        ("dial_seconds", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
    )


class Route(ctypes.Structure):
    """``struct mcp_route``; `pack_route` makes one faster."""

    _fields_ = (
        ("connect_timeout", ctypes.c_double),
        ("idle_timeout", ctypes.c_double),
        ("name", ctypes.c_uint32),
        ("name_length", ctypes.c_uint16),
        ("kind", ctypes.c_uint8),
        ("address_length", ctypes.c_uint8),
        ("connections", ctypes.c_uint32),
        ("active", ctypes.c_uint32),
        ("received", ctypes.c_uint32),
        ("sent", ctypes.c_uint32),
        ("upstream", ctypes.c_uint32),
        ("address", ctypes.c_uint8 * ADDRESS),
        ("unused", ctypes.c_uint8 * 6),
    )


class EndpointSetup(ctypes.Structure):
    """``struct mcp_endpoint``."""

    _fields_ = (
        ("index", ctypes.c_uint32),
        ("address_length", ctypes.c_uint8),
        ("address", ctypes.c_uint8 * ADDRESS),
        ("unused", ctypes.c_uint8),
    )


class UpstreamSetup(ctypes.Structure):
    """``struct mcp_upstream_setup``."""

    _fields_ = (
        ("words", ctypes.c_void_p),
        ("quick", ctypes.c_void_p),
        ("marks", ctypes.c_void_p),
        ("cycle", ctypes.c_void_p),
        ("endpoints", ctypes.POINTER(EndpointSetup)),
        ("turns", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
    )


SIZES = tuple(
    ctypes.sizeof(each) for each in (Record, State, Settings, ListenerSetup, UpstreamSetup, EndpointSetup, Route)
)
"""As ``mcp_sizes`` tells them."""
