"""The gate alone: ``python -m tests.bench.gate FILE``, where the file holds a port number.

Listens on that port of the loopback address; whoever connects sends a count (64 bits, big-endian) and receives one byte when
as many clients have been counted, judged and let go, as a worker does it with each connection. There is no connection behind
them, so what this process uses is what the gate costs.
"""

import select
import socket
import sys
import time
from pathlib import Path

from mcproxy.model.state.snapshot import FirewallEntry
from mcproxy.net.memory.admission import Admission, AdmissionLock
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.sockets import packed_address
from mcproxy.policy.rate_window import MAX_LIMIT
from mcproxy.worker.tools.gate import ClientGate
from tests.bench.exchange import ANSWER, COUNT

CIDRS = (
    *(f"10.{number // 256}.{number % 256}.0/24" for number in range(9_000)),
    *(f"2001:db8:{number:x}::/48" for number in range(1_000)),
)
"""The networks of the firewall: 10,000, of both families."""
IPS = tuple(f"198.51.100.{number}" for number in range(100))
"""Its single addresses."""
_CLIENTS = [f"172.{16 + number % 16}.{number // 250}.{number % 250}" for number in range(5_000)]
_WORKERS = 4
_LISTENER = 0


class Door:
    """One worker's gate, and the limit of one listener."""

    def __init__(self) -> None:
        memory = SharedMemory.create()
        memory.use_slot(_WORKERS)
        memory.admission(_LISTENER)[0] = 1000
        self._admission = Admission(memory, AdmissionLock(memory), _LISTENER, 1)
        self._gate = ClientGate(memory, 1)
        self._gate.update(FirewallEntry(ips=IPS, cidrs=CIDRS, rate_limit=MAX_LIMIT), None)

    def judge(self, count: int) -> int:
        """Let so many clients come and go; return how many were let in."""
        admission, gate = self._admission, self._gate
        now = time.monotonic()
        admitted = 0
        for number in range(count):
            if admission.admit():
                if gate.refusal(packed_address(_CLIENTS[number % 5_000]), now) is None:
                    admitted += 1
                admission.release()
        return admitted


def main() -> None:
    """Serve until killed."""
    door = Door()
    port = int(Path(sys.argv[1]).read_text())
    with socket.create_server(("127.0.0.1", port)) as listener:
        epoll = select.epoll()
        epoll.register(listener, select.EPOLLIN)
        socks: dict[int, socket.socket] = {}
        while True:
            for descriptor, _ in epoll.poll():
                if descriptor == listener.fileno():
                    sock, _ = listener.accept()
                    socks[sock.fileno()] = sock
                    epoll.register(sock, select.EPOLLIN)
                    continue
                request = socks[descriptor].recv(COUNT.size, socket.MSG_WAITALL)
                if len(request) == COUNT.size:
                    (count,) = COUNT.unpack(request)
                    if door.judge(count) != count:
                        sys.exit("a client was refused")
                    socks[descriptor].send(ANSWER)
                else:
                    socks.pop(descriptor).close()


if __name__ == "__main__":
    main()
