"""Where the server is: an address given, an environment variable, or what the config file says."""

import glob
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mcproxy.client.errors import AddressError
from mcproxy.model.config import toml_text
from mcproxy.model.config.settings import Grpc
from mcproxy.named_file import read_file

DEFAULT_ADDR = "unix:/run/mcproxy/mc-proxy.sock"
"""Where the packaged service listens."""

_MUTUAL_TLS = "tls_ca (--tls-ca), tls_cert (--tls-cert) and tls_key (--tls-key)"


class Target(msgspec.Struct, frozen=True):
    """A server.

    Attributes:
        addr: ``unix:/path`` or ``host:port``.
        ca: over TCP: a PEM file of the CAs that the server's certificate may come from; "" for a Unix socket.
        cert: over TCP: a PEM file with the client's own certificate; "" for a Unix socket.
        key: over TCP: a PEM file with its private key; "" for a Unix socket.
    """

    addr: str
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def socket(self) -> str:
        """The path of the Unix socket; "" for TCP."""
        return self.addr.removeprefix("unix:") if self.addr.startswith("unix:") else ""


def find_server(
    addr: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """Return the server: ``addr``, else ``MCPROXY_ADDR``, else ``[grpc]`` of the config file, else `DEFAULT_ADDR`.

    Args:
        addr: ``unix:/path`` or ``host:port``.
        config: the config file; without it ``MCPROXY_CONFIG``.
        tls_ca: over TCP: a PEM file of the CAs that the server's certificate may come from.
        tls_cert: over TCP: a PEM file with the client's own certificate.
        tls_key: over TCP: a PEM file with its private key.
        environment: where the variables are looked up.

    Raises:
        AddressError: the address is wrong, TCP lacks what mutual TLS needs, or the config file can't be read.
    """
    file = config or environment.get("MCPROXY_CONFIG")
    found = addr or environment.get("MCPROXY_ADDR") or (_configured(Path(file)) if file else DEFAULT_ADDR)
    if found.startswith("unix:"):
        path = found.removeprefix("unix:")
        if not path:
            raise AddressError(f"{found!r} has no path; write unix:/path/to/mc-proxy.sock")
        return Target(f"unix:{Path(path).absolute()}")
    host, colon, port = found.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in found:
        raise AddressError(f"{found!r} is not the address of a server; write unix:/path or host:port")
    if not (tls_ca and tls_cert and tls_key):
        raise AddressError(f"{found} is reached over TCP, which needs mutual TLS: give {_MUTUAL_TLS}")
    return Target(f"{host or 'localhost'}:{port}", os.fspath(tls_ca), os.fspath(tls_cert), os.fspath(tls_key))


def _configured(file: Path) -> str:
    """Return the address that a config file gives its server; the rest of the file may be wrong."""
    folder, table = _grpc_table(file)
    socket, addr = table.get("socket", Grpc().socket), table.get("addr", Grpc().addr)
    if not isinstance(socket, str) or not isinstance(addr, str):
        raise AddressError(f"{file}: [grpc] socket and addr are strings; correct the file, or give --addr")
    if not socket and not addr:
        raise AddressError(f"{file} turns the admin API off: [grpc] has neither socket nor addr")
    return f"unix:{folder / socket}" if socket else addr


def _grpc_table(file: Path) -> tuple[Path, dict[str, Any]]:
    """Return ``[grpc]`` of the file, or of the one it includes that has it, and that file's folder."""
    main = _parsed(file)
    folder = file.absolute().parent
    documents = [(folder, main)]
    includes = main.get("include")
    for pattern in includes if isinstance(includes, list) and "grpc" not in main else ():
        names = glob.glob(str(pattern), root_dir=folder, recursive=True)  # noqa: PTH207 - as the server expands it
        documents += [((folder / name).parent, _parsed(folder / name)) for name in sorted(names)]
    for place, document in documents:
        if isinstance(table := document.get("grpc"), dict):
            return place, table
    return folder, {}


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return toml_text.loads(read_file(file).decode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressError(f"{file} can't tell where the server is ({reason}); give --addr") from error
