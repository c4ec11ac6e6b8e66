"""A relay that can be made to wait: who connects finds nobody until it goes on."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_PIECE = 1 << 14


class HeldRelay:
    """Passes connections on to a port of this machine, as long as it is open.

    Attributes:
        port: where it listens.
        came: set when somebody has come.
        opened: clear it to make connections wait; it is set at first.
    """

    def __init__(self) -> None:
        self.to = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.came, self.opened = threading.Event(), threading.Event()
        self.opened.set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.opened.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._relay, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket) -> None:
        self.came.set()
        self.opened.wait()
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.to), 30) as server:
            back = threading.Thread(target=_copy, args=(server, client))
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        source.settimeout(30)
        while data := source.recv(_PIECE):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
