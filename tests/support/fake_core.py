"""A native core that does nothing by itself: the test says what it leaves, and sees what it is told.

::

    core = FakeCore(worker, monkeypatch)
    handler = Handler(worker.frontend, core.as_core(), core.names)
    client = core.leave(DECLINED, client_hello("a.example"))
    core.settle(handler)
"""

import socket
from typing import Any, cast

import pytest

from mcproxy.net.native.core import Core
from mcproxy.net.native.records import ASK_GATE, CHOOSE, Record, State
from mcproxy.worker.live.listener import LiveListener, LiveRoute
from mcproxy.worker.native import handler as handler_module
from mcproxy.worker.native import taken
from mcproxy.worker.native.handler import Handler
from mcproxy.worker.native.names import Names
from tests.support.fake_wire import Peer
from tests.support.fake_worker import FakeWorker

_TAG, _TABLE = 3, 7


class FakeCore:
    """Has the calls of `Core` that are made while records are handled.

    Attributes:
        names: of what its records name.
        records: what is to be handled.
        said: the calls, in words.
        taught: route and flags of the ends whose lines it is to write, and what these have in common.
    """

    def __init__(self, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
        self._worker = worker
        self._clients: list[Peer] = []
        self._gone: set[int] = set()
        self.names = Names()
        self.records: list[Record] = []
        self.state = State()
        self.said: list[str] = []
        self.taught: list[tuple[int, int, bytes]] = []
        for module in (handler_module, taken):
            monkeypatch.setattr(module, "accepted", self._accepted)

    def as_core(self) -> Core:
        return cast("Core", self)

    def lead(self, listener: LiveListener, *routes: LiveRoute) -> None:
        """Have a listener, and a table of routes."""
        self.names.listeners[_TAG] = listener
        self.names.tables[_TABLE] = list(routes)

    def leave(self, kind: int, waiting: bytes = b"", /, **fields: Any) -> Peer:
        """Leave a record about a client that is counted, and of which bytes are waiting; ``fields`` are the record's."""
        source = fields.pop("source", ("192.0.2.1", 55555))
        client = self._worker.wire.client(source[0], source)
        client.sock.incoming += waiting
        number = len(self._clients)
        self._clients.append(client)
        self._worker.admission.open += 1
        family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
        packed = socket.inet_pton(family, source[0])
        record = Record(conn=1000 + number, kind=kind, listener=_TAG, fd=number, route=-1, endpoint=-1)
        record.started, record.family, record.port = self._worker.wire.now, family, source[1]
        record.address[: len(packed)] = list(packed)
        if kind in (ASK_GATE, CHOOSE):
            record.fd = -1
        for name, value in fields.items():
            if name == "name":
                record.name_length = len(value)
                record.name[: len(value)] = value
            else:
                setattr(record, name, value)
        if record.route >= 0:
            record.table = _TABLE
            live = self.names.tables[_TABLE][record.route]
            self._worker.wire.counters[live.active_counter] += 1
        self.records.append(record)
        self.state.count = len(self.records)
        return client

    def settle(self, handler: Handler) -> None:
        """Have what was left handled, as in one turn of the loop."""
        handler.handle_all()
        self.records.clear()
        self.state.count = 0
        self._worker.wire.settle()

    def end(self, client: Peer) -> None:
        """Have a connection end before it is answered about."""
        self._gone.add(1000 + self._clients.index(client))

    def enter(self, connection: int, token: int, counted: bool) -> int:  # noqa: FBT001 - as in C
        return self._note(connection, f"enter {token if counted else '-'}")

    def dial(self, connection: int, endpoint: int, address: bytes, length: int) -> int:
        assert len(address) == length
        return self._note(connection, f"dial {endpoint} {socket.inet_ntoa(address[4:8])}")

    def take(self, connection: int) -> int:
        return self._note(connection, "take", connection - 1000)

    def shape(self, record: Record, parts: list[bytes]) -> None:
        self.taught.append((record.route, record.flags, b"|".join(parts)))

    def forget_shapes(self) -> None:
        self.taught.clear()

    def _note(self, connection: int, text: str, result: int = 0) -> int:
        if connection in self._gone:
            return -1
        self.said.append(text)
        return result

    def _accepted(self, family: int, fd: int) -> Any:
        return self._clients[fd].sock.as_plain()
