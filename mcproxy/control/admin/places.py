"""Where the admin API is served: what the settings say, and how a place is made free, or found to be."""

import socket
import stat
import time
from pathlib import Path

import msgspec

from mcproxy.errors import ApplyError
from mcproxy.model.state.state import State
from mcproxy.net.sockets import listen

_GLANCE = 0.005  # seconds between looks whether grpc has closed a listener


class Places(msgspec.Struct, frozen=True):
    """Where the API is served: a Unix socket's path and mode, or an address and its files; "" for neither."""

    socket: str = ""
    mode: int = 0o600
    addr: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    client_ca: str = ""

    @property
    def files(self) -> tuple[str, str, str]:
        """The files of its TLS; those that are in use go on to be when they break."""
        return self.tls_cert, self.tls_key, self.client_ca


def places(state: State) -> Places:
    """Return where a state wants the API to be served."""
    settings = state.settings
    addr = str(settings["grpc.addr"])
    return Places(
        str(settings["grpc.socket"]),
        int(str(settings["grpc.socket_mode"]), 8),
        addr,
        *(str(settings[f"grpc.{name}"]) if addr else "" for name in ("tls_cert", "tls_key", "client_ca")),
    )


def make_way(path: str) -> None:
    """Remove a socket that nobody serves any more; raises `ApplyError` if somebody does, or it is no socket."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ApplyError(f"grpc.socket: {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise ApplyError(f"grpc.socket: {path} is there, and is no socket; remove it, or name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
        except OSError as error:
            raise ApplyError(f"grpc.socket: {path}: {error.strerror}") from error
    raise ApplyError(f"grpc.socket: another process serves {path}; give this one a path of its own")


def wait_until_free(wanted: Places, limit: float) -> None:
    """Return when another process can listen at these places; raises TimeoutError after so many seconds."""
    until = time.monotonic() + limit
    while not _is_free(wanted):
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(_GLANCE)


def _is_free(where: Places) -> bool:
    """Tell whether another process can listen at the addresses."""
    if where.socket and Path(where.socket).exists():
        return False
    if where.addr:
        try:
            for sock in listen(where.addr, 1):
                sock.close()
        except OSError:
            return False
    return True
