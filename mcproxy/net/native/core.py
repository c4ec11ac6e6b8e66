"""Calling the native core: one object per worker, with the functions of `mcproxy/native/core.h` as methods."""

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from mcproxy.net.native import records
from mcproxy.net.native.records import ListenerSetup, Record, Settings, State, UpstreamSetup

_INT, _U32, _U64, _I64, _SIZE = ctypes.c_int, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int64, ctypes.c_size_t
_POINTER, _BYTES = ctypes.c_void_p, ctypes.c_char_p

_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "mcp_sizes": (None, (ctypes.POINTER(_U32),)),
    "mcp_core_new": (_POINTER, (_POINTER,)),
    "mcp_core_free": (None, (_POINTER,)),
    "mcp_core_fd": (_INT, (_POINTER,)),
    "mcp_records": (_POINTER, (_POINTER,)),
    "mcp_core_state": (_POINTER, (_POINTER,)),
    "mcp_configure": (None, (_POINTER, ctypes.POINTER(Settings))),
    "mcp_tell": (None, (_POINTER, _U32)),
    "mcp_select": (None, (_POINTER,)),
    "mcp_run_selected": (_INT, ()),
    "mcp_lines": (_POINTER, (_POINTER,)),
    "mcp_shape_set": (_INT, (_POINTER, ctypes.POINTER(Record), ctypes.POINTER(_BYTES))),
    "mcp_shapes_forget": (None, (_POINTER,)),
    "mcp_flush": (_INT, (_POINTER,)),
    "mcp_expire": (_INT, (_POINTER,)),
    "mcp_listener_new": (_POINTER, (_POINTER, ctypes.POINTER(ListenerSetup))),
    "mcp_listener_update": (None, (_POINTER, _POINTER, _INT)),
    "mcp_listener_free": (None, (_POINTER,)),
    "mcp_listen": (_INT, (_POINTER, _INT)),
    "mcp_unlisten": (None, (_POINTER, _INT)),
    "mcp_resume": (_INT, (_POINTER, _INT)),
    "mcp_drain_listening": (_INT, (_POINTER, _INT)),
    "mcp_table_new": (_POINTER, (_POINTER, _U64, _BYTES, _U32, _BYTES, _SIZE)),
    "mcp_upstream_set": (_INT, (_POINTER, _U32, ctypes.POINTER(UpstreamSetup))),
    "mcp_table_free": (None, (_POINTER,)),
    "mcp_enter": (_INT, (_POINTER, _U64, _I64, _INT)),
    "mcp_dial": (_INT, (_POINTER, _U64, ctypes.c_int32, _BYTES, _SIZE)),
    "mcp_take": (_INT, (_POINTER, _U64)),
    "mcp_count_client": (_INT, (_POINTER, _U64, _I64)),
    "mcp_close": (_INT, (_POINTER, _U64, ctypes.c_uint8)),
    "mcp_drain": (_INT, (_POINTER, _U64, ctypes.c_double)),
    "mcp_list": (_INT, (_POINTER, ctypes.POINTER(_U32), ctypes.POINTER(Record), _INT)),
    "mcp_describe": (_INT, (_POINTER, _U64, ctypes.POINTER(Record))),
}
_LISTED = 256  # connections that are described at a time


Library: TypeAlias = ctypes.PyDLL
"""The functions of the core."""


def declare(library: Library) -> Library:
    """Declare the functions of a loaded library, which is returned; raises OSError if its structures are not ours."""
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    sizes = (_U32 * len(records.SIZES))()
    library.mcp_sizes(sizes)
    if tuple(sizes) != records.SIZES:
        raise OSError(0, "the native core was built for another version: its structures differ")
    return library


def _without_errno(library: Library, name: str) -> Callable[..., int]:
    """Return a function of the library that is called often: keeping errno for Python takes time."""
    _, arguments = _FUNCTIONS[name]
    return ctypes.PYFUNCTYPE(_INT, *arguments)((name, library))  # type: ignore[arg-type]  # what ctypes takes has no type


def address_of(words: memoryview) -> int:
    """Return where writable memory lies; whoever gives the address away keeps the memory mapped."""
    return ctypes.addressof(ctypes.c_char.from_buffer(words.cast("B")))


class Core:
    """The native core of a worker.

    Attributes:
        fd: of its epoll set; when that is readable, `run` is due.
        records: `records.RECORDS` of them; `state.count` are in use.
        state: is kept up to date by the core.
        lines: of the access log; ``state.lines`` bytes are to be taken when `records.HAS_LINES` is returned.
        run: handles a share of the events; returns `records.HAS_RECORDS`, `records.HAS_MORE` and others, or 0.
        flush: closes what has been ended from outside; returns the same.
        expire: enforces the time limits; returns the same.
        enter: of connection, token, counted: the gate has let its client in. Returns -1 if it has ended.
        dial: of connection, endpoint, `addresses.sockaddr` and its length. Returns -1 if it has ended.
        take: of connection: returns the client's descriptor, or -1.
        count_client: of connection, token. Returns -1 if it has ended.
        close: of connection, reason: closes it at the next `flush`. Returns -1 if it has ended.
        drain: of connection, monotonic seconds: closes it then at the latest. Returns -1 if it has ended.
    """

    __slots__ = (
        "_library",
        "_pointer",
        "_words",
        "close",
        "count_client",
        "dial",
        "drain",
        "enter",
        "expire",
        "fd",
        "flush",
        "lines",
        "records",
        "run",
        "state",
        "take",
    )

    run: Callable[[], int]
    flush: Callable[[], int]
    expire: Callable[[], int]
    enter: Callable[[int, int, bool], int]
    dial: Callable[[int, int, bytes, int], int]
    take: Callable[[int], int]
    count_client: Callable[[int, int], int]
    close: Callable[[int, int], int]
    drain: Callable[[int, float], int]

    def __init__(self, library: Library, words: memoryview) -> None:
        """Make a core that counts in ``words``, the counter block of this process; raises OSError.

        Args:
            library: one that was declared.
            words: it is kept until the core is freed.
        """
        self._library = library
        self._words = words
        pointer = self._pointer = library.mcp_core_new(address_of(words))
        if not pointer:
            raise _error()
        self.fd: int = library.mcp_core_fd(pointer)
        self.records = (Record * records.RECORDS).from_address(library.mcp_records(pointer))
        self.lines = memoryview((ctypes.c_char * records.LINES).from_address(library.mcp_lines(pointer))).cast("B")
        self.state = State.from_address(library.mcp_core_state(pointer))
        for name in ("flush", "expire", "enter", "dial", "take", "count_client", "close", "drain"):
            setattr(self, name, partial(_without_errno(library, f"mcp_{name}"), pointer))
        library.mcp_select(pointer)
        self.run = _without_errno(library, "mcp_run_selected")  # the one core that a worker has

    def free(self) -> None:
        """Close every connection; nothing may be called any more."""
        self._library.mcp_core_free(self._pointer)

    def configure(self, settings: Settings) -> None:
        """Take over settings; to be called before anything is accepted."""
        self._library.mcp_configure(self._pointer, settings)

    def tell(self, what: int) -> None:
        """Change what is asked and told: ``records.ASK`` and the others."""
        self._library.mcp_tell(self._pointer, what)

    def listed(self) -> Iterator[Record]:
        """Describe the open connections; every one is valid until the next is asked for."""
        found = (Record * _LISTED)()
        cursor = _U32(0)
        while count := self._library.mcp_list(self._pointer, cursor, found, _LISTED):
            yield from found[:count]

    def describe(self, connection: int) -> Record | None:
        """Describe one connection, None if it has ended."""
        found = Record()
        return None if self._library.mcp_describe(self._pointer, connection, found) else found

    def unlisten(self, fd: int) -> None:
        """Accept no more on a listening socket; what waits there stays."""
        self._library.mcp_unlisten(self._pointer, fd)

    def resume(self, fd: int) -> None:
        """Watch a listening socket again after `records.PAUSED`; raises OSError."""
        _check(self._library.mcp_resume(self._pointer, fd))

    def drain_listening(self, fd: int) -> int:
        """Accept some of what waits; to be called again while `records.HAS_MORE` is returned, then `unlisten`."""
        return int(self._library.mcp_drain_listening(self._pointer, fd))

    def table(self, number: int, routes: bytes, names: bytes) -> int:
        """Make a table of routes, and return where it lies; raises OSError.

        Args:
            number: what records call it, not 0.
            routes: those of `addresses.pack_route`, one after the other.
            names: their hostname patterns.
        """
        count = len(routes) // records.SIZES[-1]
        table = self._library.mcp_table_new(self._pointer, number, routes, count, names, len(names))
        if not table:
            raise _error()
        return int(table)

    def drop_table(self, table: int) -> None:
        """Free a table that no listener was given."""
        self._library.mcp_table_free(table)

    def shape(self, record: Record, parts: Sequence[bytes]) -> None:
        """Have lines written for what ends like the connection of a record; see ``mcp_shape_set``. Raises OSError."""
        _check(self._library.mcp_shape_set(self._pointer, record, (_BYTES * records.PARTS)(*parts)))

    def forget_shapes(self) -> None:
        """Ask about the lines of all connections again."""
        self._library.mcp_shapes_forget(self._pointer)

    def upstream(self, number: int, setup: UpstreamSetup | None) -> None:
        """Have the core take the turns of an upstream, or ask about all of them; see ``mcp_upstream_set``. Raises OSError."""
        _check(self._library.mcp_upstream_set(self._pointer, number, setup))

    def listener(self, setup: ListenerSetup) -> "Listener":
        """Make a listener; raises OSError."""
        pointer = self._library.mcp_listener_new(self._pointer, setup)
        if not pointer:
            raise _error()
        return Listener(self._library, pointer)


class Listener:
    """A listener of the core, without sockets and routes at first."""

    __slots__ = ("_library", "_pointer")

    def __init__(self, library: Library, pointer: int) -> None:
        self._library = library
        self._pointer = pointer

    def update(self, table: int | None, *, blind: bool) -> None:
        """Lead its connections by a table, which belongs to it now (None: all are declined); see ``mcp_listener_update``."""
        self._library.mcp_listener_update(self._pointer, table, blind)

    def listen(self, fd: int) -> None:
        """Accept on a listening socket; raises OSError."""
        _check(self._library.mcp_listen(self._pointer, fd))

    def free(self) -> None:
        """Forget it; no socket of it may be watched. Its connections go on."""
        self._library.mcp_listener_free(self._pointer)


def _check(result: int) -> None:
    if result < 0:
        raise _error()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
