"""The etcd that the demo of a fleet runs: one member, with certificates of its own on both sides."""

import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from mcproxy.control.files.certificates import Pair, issue
from mcproxy.errors import McproxyError

_PATIENCE = 30.0  # seconds until it listens
MISSING = "the demo of a fleet runs a real etcd, and there is no program `etcd` here: apt-get install etcd-server (Debian), or see https://etcd.io/docs/"


class Etcd:
    """A store on loopback, which can be ended and started again on its data.

    Attributes:
        endpoint: where it is.
        ca: path of the CA that has signed its certificate, and those of the nodes.
    """

    def __init__(self, folder: Path, ca: Pair) -> None:
        """Start it; raises `McproxyError` where there is no etcd."""
        program = shutil.which("etcd")
        if program is None:
            raise McproxyError(MISSING)
        self._program = program
        self._folder = folder
        self._issuer = ca
        self.ca = folder / "etcd-ca.crt"
        self.ca.write_bytes(ca.certificate)
        self._certificate, self._key = self.certificate("etcd", ("127.0.0.1",), client=False)
        with ExitStack() as stack:
            free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            client, peer = (each.getsockname()[1] for each in free)
        self.endpoint = f"127.0.0.1:{client}"
        self._peer = f"http://127.0.0.1:{peer}"
        self.start()

    def certificate(self, name: str, names: tuple[str, ...], *, client: bool) -> tuple[Path, Path]:
        """Issue a certificate, and return the paths of it and its key."""
        pair = issue(self._issuer, names, client=client)
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        return certificate, key

    def start(self) -> None:
        """Start it, and wait until it listens."""
        options = {
            "data-dir": self._folder / "data",
            "listen-client-urls": f"https://{self.endpoint}",
            "advertise-client-urls": f"https://{self.endpoint}",
            "listen-peer-urls": self._peer,
            "initial-advertise-peer-urls": self._peer,
            "initial-cluster": f"default={self._peer}",
            "cert-file": self._certificate,
            "key-file": self._key,
            "trusted-ca-file": self.ca,
            "client-cert-auth": "true",
            "enable-grpc-gateway": "false",
            "log-level": "error",
        }
        self._process = subprocess.Popen(
            [self._program, *(f"--{name}={value}" for name, value in options.items())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + _PATIENCE
        host, port = self.endpoint.split(":")
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise McproxyError("etcd was started, and does not listen")

    def kill(self) -> None:
        """End it at once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End it for good."""
        if self._process.poll() is None:
            self.kill()
