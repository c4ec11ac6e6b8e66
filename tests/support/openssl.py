"""The `openssl` program as a TLS server and as a TLS client."""

import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from tests.support.certificates import Leaf
from tests.support.processes import Process, Processes
from tests.support.require import require


class OpensslServer(msgspec.Struct, frozen=True):
    """A running `openssl s_server` and the port it listens on."""

    port: int
    process: Process


def start_openssl_server(
    processes: Processes, leaf: Leaf, *args: str, mode: Literal["-www", "-rev"] = "-rev", host: str = "127.0.0.1"
) -> OpensslServer:
    """Start `openssl s_server` and wait until it accepts.

    Args:
        processes: ends it.
        leaf: the server certificate.
        args: further options (``"-tls1_2"``).
        mode: ``-rev`` sends every line back reversed, ``-www`` answers HTTP with the facts of the TLS session.
        host: where it listens: an IPv4 address, or IPv6 without brackets.
    """
    accept = f"[{host}]:0" if ":" in host else f"{host}:0"
    process = processes.start(
        require("openssl"),
        "s_server",
        *("-accept", accept, mode, "-cert", leaf.certificate, "-key", leaf.key),
        *args,
    )
    port = int(process.wait_for_line(r"^ACCEPT .*:(\d+)$")[1])
    return OpensslServer(port, process)


def openssl_client(
    address: tuple[str, int], server_name: str | None, ca: Path, *args: str, data: bytes = b"", timeout: float = 30
) -> subprocess.CompletedProcess[bytes]:
    """Connect with `openssl s_client`, send ``data``, and return its output and exit status.

    The client stays until the server ends the connection (`openssl s_server -rev` does after the line ``CLOSE``). The
    exit status is 0 only if the server's certificate is valid and covers ``server_name``.

    Args:
        address: host (IPv6 without brackets) and port.
        server_name: the SNI to send; None sends none and checks no name.
        ca: the CA to trust.
        args: further options (``"-tls1_3"``, ``"-cert"`` ...).
        data: what to send.
        timeout: seconds for all of it; then `subprocess.TimeoutExpired` is raised.
    """
    host, port = address
    connect = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    name = ["-noservername"] if server_name is None else ["-servername", server_name, "-verify_hostname", server_name]
    return subprocess.run(
        [
            *(require("openssl"), "s_client", "-connect", connect, "-ign_eof"),
            *(*name, "-CAfile", str(ca), "-verify_return_error", *args),
        ],
        input=data,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
