"""Sockets as the proxy wants them: listening groups, outgoing connections, resets."""

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

BACKLOG = 4096
_STREAM = int(socket.SOCK_STREAM)
_TCP = int(socket.IPPROTO_TCP)
_NODELAY = int(socket.TCP_NODELAY)
_ESTABLISHED = b"\x01"  # tcpi_state, the first byte of struct tcp_info (tcp(7))
_USER_TIMEOUT = int(socket.TCP_USER_TIMEOUT)
_TCP_CLOSE = b"\x07"  # what TCP_INFO begins with, the state (tcp_states.h of Linux)
_IP_FREEBIND = (socket.IPPROTO_IP, 15)  # linux/in.h, in6.h; Python has no names for them
_IPV6_FREEBIND = (socket.IPPROTO_IPV6, 78)
_SUN_PATH = 107
_MAPPED = bytes(10) + b"\xff\xff"
_LINGER_ZERO = struct.pack("ii", 1, 0)

HostPort: TypeAlias = tuple[str, int]
SocketAddress: TypeAlias = tuple[int, tuple[str, int] | tuple[str, int, int, int] | str]
"""An address family and the address in the form `socket.connect` takes for it."""

PlainSocket: TypeAlias = socket.SocketType
"""The class beneath `socket.socket`, with the same calls but without a constructor and a `close` in Python: 3 us for the
two sockets of a connection. Event loops know the other one alone: see
`for_transport`."""

# accept(2): errors of the connection that waited, not of the listening socket; the next one may be fine.
CONNECTION_GONE = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPERM,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
        errno.EINTR,
    }
)
NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def split_addr(addr: str) -> HostPort:
    """Split a canonical listener address (``":8443"``, ``"127.0.0.1:8443"``, ``"[::1]:8443"``) into host and port."""
    host, _, port = addr.rpartition(":")
    return host.strip("[]"), int(port)


def listen(addr: str, count: int, *, beside_own: bool = False, free: bool = False) -> list[socket.socket]:
    """Bind ``count`` listening SO_REUSEPORT sockets to one address.

    The address is probed without SO_REUSEPORT first: a second process of the same user would otherwise share the port
    silently and take half of the connections.

    Args:
        addr: canonical (`split_addr`).
        count: how many.
        beside_own: a socket of this process, made here too, listens on an overlapping address; the probe would find it.
        free: also an address that this machine does not have, or not yet (IP_FREEBIND, ip(7)).

    Raises:
        OSError: the address can't be bound.
    """
    host, port = split_addr(addr)
    if not beside_own:
        _bound(host, port, reuse_port=False, free=free).close()
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = _bound(host, port, reuse_port=True, free=free)
            sockets.append(sock)
            _set_options(sock)
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bound(host: str, port: int, *, reuse_port: bool, free: bool) -> socket.socket:
    # ":port" means every address of both families; "[::]:port" means IPv6 alone, as the user wrote.
    dual_stack = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual_stack or ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
        if free:
            sock.setsockopt(*(_IPV6_FREEBIND if family == socket.AF_INET6 else _IP_FREEBIND), 1)
        sock.bind((host or ("::" if dual_stack else "0.0.0.0"), port))
        if not reuse_port:
            # Binding alone succeeds beside another socket that is bound with SO_REUSEADDR but listens later.
            sock.listen(1)
    except OSError:
        sock.close()
        raise
    return sock


def listening_address(sock: socket.socket) -> str:
    """Return the canonical address (`split_addr`) at which a socket listens for TCP connections, "" if it does not."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return ""
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return ""
    host, port = sock.getsockname()[:2]
    if sock.family == socket.AF_INET:
        return f"{host}:{port}"
    dual_stack = host == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return f":{port}" if dual_stack else f"[{host}]:{port}"


def prepare_listening(sock: socket.socket) -> None:
    """Have a listening socket that somebody else has made accept as those of `listen` do."""
    sock.setblocking(False)
    _set_options(sock)


def _set_options(sock: socket.socket) -> None:
    await_first_bytes(sock, wait=True)
    send_at_once(sock)


def await_first_bytes(sock: socket.socket, *, wait: bool) -> None:
    """Have a listening socket hold connections back, for about a second, until the client has sent something, or not.

    Most ClientHellos can then be peeked in the accept callback itself (TCP_DEFER_ACCEPT, tcp(7)); larger values delay silent
    clients. A client that waits for the server's greeting must not wait for this.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(wait))


def accept(sock: socket.socket, family: int) -> tuple[PlainSocket, tuple[Any, ...]]:
    """Accept one connection on a listening socket of ``family``; the same as `socket.accept`, and its errors.

    That one finds out family and type of every connection anew, as enum members: 2 us of about 80.
    """
    fd, peer = sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - typeshed leaves it out; see above
    return accepted(family, fd), peer


def accepted(family: int, fd: int) -> PlainSocket:
    """Return the socket of a connection that was accepted on a listening socket of ``family``."""
    return PlainSocket(family, _STREAM, 0, fd)


def for_transport(sock: PlainSocket) -> socket.socket:
    """Return the `socket.socket` that takes a plain one's place, kept alive, for an event loop; the plain one is void."""
    keep_alive(sock)
    return socket.socket(sock.family, sock.type, sock.proto, sock.detach())


def send_at_once(sock: PlainSocket) -> None:
    """Set TCP_NODELAY on a TCP socket; accepted sockets inherit it."""
    sock.setsockopt(_TCP, _NODELAY, 1)


def keep_alive(sock: PlainSocket) -> None:
    """Have the kernel look, at its own intervals, whether a silent peer is still there.

    The first look is two hours away (tcp_keepalive_time), but a timer is set for it: most connections have ended before
    one is worth while.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def has_ended(sock: PlainSocket) -> bool:
    """Tell whether a TCP connection is closed or half-closed by its peer, whatever has come before that."""
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != _ESTABLISHED)


def end_unacknowledged(sock: PlainSocket, seconds: float) -> None:
    """Have the kernel end a TCP connection whose peer acknowledges nothing of what was sent, or takes nothing, for so long.

    Without it that takes a quarter of an hour (TCP_USER_TIMEOUT, tcp(7)). Does nothing to sockets of other kinds.
    """
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(_TCP, _USER_TIMEOUT, int(seconds * 1000))


def reset_on_close(sock: PlainSocket) -> None:
    """Make the coming close send RST instead of FIN."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)


def numeric(host: str, port: int) -> SocketAddress | None:
    """Return the address if ``host`` is an IP literal, None if it is a name to be looked up."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return int(family), (host, port)  # as an enum's member it would be slower to compare
    return None


def lacks_resources(code: int, destination: SocketAddress) -> bool:
    """Tell whether an errno of socket(2) or connect(2) is for want of something here: descriptors, memory, ports.

    EADDRNOTAVAIL means no free port, or no address to reach an IPv6 destination from (IPv6 is switched off): that is
    told apart by a datagram socket, which needs none of TCP's ports, and sends nothing.
    """
    if code != errno.EADDRNOTAVAIL:
        return code in NO_RESOURCES or code == errno.EAGAIN
    family, address = destination
    if family != socket.AF_INET6:
        return True
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(address)
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def is_broken(sock: PlainSocket) -> bool:
    """Tell whether the peer has reset a connection, or the kernel has given it up."""
    if sock.family == socket.AF_UNIX:
        poll = select.poll()
        poll.register(sock.fileno(), 0)
        return bool(poll.poll(0))  # without being asked for, POLLERR and POLLHUP are told
    return sock.getsockopt(_TCP, socket.TCP_INFO, 1) == _TCP_CLOSE


def packed_address(host: str) -> bytes:
    """Return the 4 or 16 bytes of an IP address as `socket.accept` returns it; IPv4-mapped ones stay 16 bytes."""
    # inet_aton takes a tenth of the time of ipaddress.ip_address
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0]) if ":" in host else socket.inet_aton(host)


def address_text(packed: bytes) -> str:
    """Return the text of a packed address; an IPv4-mapped one as the IPv4 address it is."""
    if len(packed) == 16 and packed.startswith(_MAPPED):
        packed = packed[12:]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def peer_credentials(sock: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the process at the other end of a Unix socket (SO_PEERCRED, unix(7))."""
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


@contextlib.contextmanager
def short_path(path: str) -> Iterator[str]:
    """Yield a name for a Unix socket's path that fits into ``sun_path`` (107 bytes, unix(7)), however long it is."""
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield path
        return
    folder, name = os.path.split(path)
    fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


def memory_file(name: str, data: bytes) -> int:
    """Return a descriptor of an anonymous file that holds ``data`` (memfd_create(2)), close-on-exec."""
    fd = os.memfd_create(name)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(data)
    except OSError:
        os.close(fd)
        raise
    return fd


def read_memory_file(fd: int) -> bytes:
    """Return what a `memory_file` holds, wherever its offset stands."""
    return os.pread(fd, os.fstat(fd).st_size, 0)
