"""The `curl` program as a client."""

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from tests.support.certificates import Leaf
from tests.support.require import require


class Answer(msgspec.Struct, frozen=True):
    """What curl ended with: its exit status (0: fine, 35: TLS failed, 56: reset ...), the body, its messages."""

    status: int
    body: bytes
    messages: str

    def json(self) -> Any:
        """Return the body parsed as JSON; raises `ValueError` with curl's messages when it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ValueError(f"curl exit status {self.status}, body {self.body[:200]!r}\n{self.messages}") from error


def curl(
    hostname: str,
    address: tuple[str, int],
    ca: Path,
    *args: str,
    path: str = "/",
    client: Leaf | None = None,
    timeout: float = 30,
) -> Answer:
    """Get ``https://hostname/path`` from an address, verifying the certificate for ``hostname``.

    Args:
        hostname: what curl believes to talk to: its SNI, Host header, and the name in the certificate.
        address: where it connects instead of resolving the name: host (IPv6 without brackets) and port.
        ca: the CA to trust.
        args: further options (``"--tlsv1.3"``, ``"--http1.1"`` ...).
        path: of the URL.
        client: a client certificate to offer.
        timeout: seconds for the whole exchange.
    """
    host, port = address
    target = f"[{host}]" if ":" in host else host
    certificate = ["--cert", str(client.certificate), "--key", str(client.key)] if client else []
    command = [
        *(require("curl"), "--silent", "--show-error", "--verbose", "--noproxy", "*"),
        *("--max-time", str(timeout), "--cacert", str(ca), "--resolve", f"{hostname}:{port}:{target}"),
        *(*certificate, *args, f"https://{hostname}:{port}{path}"),
    ]
    result = subprocess.run(command, capture_output=True, timeout=timeout + 5, check=False)
    return Answer(result.returncode, result.stdout, result.stderr.decode(errors="replace"))
