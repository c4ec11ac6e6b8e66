"""How attacks are done: functions that make a `Play` of what is to be sent. All of them are bounded in count and time."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable

from tests.attacks.row import TARGET, Play, Target
from tests.support.hoses import SMALL_BUFFER, Hose, drive
from tests.support.tls import client_context, client_hello

_SLICE = 0.1  # seconds between two looks at who has been cut off
_MOST = 300  # connections of one attack, those that take the place of others included

Source = Callable[[], Iterable[bytes | float]]


def hoses(
    source: Source,
    *,
    alpn: str = "h2",
    count: int = 1,
    reads: int = 0,
    buffer: int = SMALL_BUFFER,
    again: bool = True,
    tls: bool = True,
) -> Play:
    """Have clients send; ``again``: whoever is cut off comes back, a few times a second.

    Args:
        source: what one of them sends; see `Hose`.
        alpn: the protocol.
        count: how many there are at a time.
        reads: bytes that each reads in a second.
        buffer: its receive buffer, bytes.
        again: whether those that are cut off are replaced.
        tls: whether over TLS.
    """

    def connect(target: Target) -> Hose | None:
        with contextlib.suppress(OSError):
            address = target.l7 if tls else target.clear
            return Hose(address, TARGET, alpn, source(), reads=reads, buffer=buffer, keep=0, tls=tls)
        return None  # refused, or cut off within the handshake: that is the proxy's right

    def play(target: Target) -> int:
        until = time.monotonic() + target.seconds
        with contextlib.ExitStack() as stack:
            all_of_them = [stack.enter_context(hose) for _ in range(count) if (hose := connect(target))]
            live = list(all_of_them)
            while (now := time.monotonic()) < until:
                drive(live, min(_SLICE, until - now))
                live = [hose for hose in live if not hose.ended]
                if not live and not again:
                    break
                if again and len(live) < count and len(all_of_them) < _MOST and (hose := connect(target)):
                    all_of_them.append(stack.enter_context(hose))
                    live.append(hose)
                elif not live:
                    time.sleep(min(_SLICE, max(0.0, until - time.monotonic())))
            return sum(hose.sent for hose in all_of_them)

    return play


def connections(count: int, first: Callable[[], bytes] = bytes, *, tls: bool = True) -> Play:
    """Open so many TCP connections, send the same first bytes on each, and say nothing more; ``tls``: where it is expected."""

    def play(target: Target) -> int:
        until = time.monotonic() + target.seconds
        data = first()
        sent = 0
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                if time.monotonic() > until:
                    break
                with contextlib.suppress(OSError):
                    address = target.l7 if tls else target.clear
                    sock = stack.enter_context(socket.create_connection(address, timeout=1))
                    sock.sendall(data)
                    sent += len(data)
            time.sleep(max(0.0, until - time.monotonic()))
        return sent

    return play


def half_a_hello() -> bytes:
    """Return the beginning of a ClientHello."""
    hello = client_hello(TARGET)
    return hello[: len(hello) // 2]


def handshakes(*, finish: bool, per_second: int) -> Play:
    """Do handshakes one after another, so many a second at most; or send hello after hello and leave at once."""

    def play(target: Target) -> int:
        began = time.monotonic()
        hello = client_hello(TARGET)
        context = client_context()
        done = 0
        while (now := time.monotonic()) < began + target.seconds:
            if done > (now - began) * per_second:
                time.sleep(1 / per_second)
                continue
            done += 1
            with contextlib.suppress(OSError, ssl.SSLError), socket.create_connection(target.l7, timeout=1) as sock:
                if finish:
                    context.wrap_socket(sock, server_hostname=TARGET).close()
                else:
                    sock.sendall(hello)
        return done * len(hello)

    return play
