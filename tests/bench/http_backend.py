"""The backend of the L7 loads: ``python -m tests.bench.http_backend SIZE``, nghttpd with one body, over cleartext HTTP/2.

Prints its port as the first line of standard output and serves until standard input ends, as `tests.bench.backend` does.
"""

import argparse
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.http_exchange import body, path
from tests.bench.peer import find

_START_SECONDS = 50.0


def main() -> None:
    """Serve one body of the size named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.http_backend")
    parser.add_argument("size", type=int)
    size = parser.parse_args().size
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = int(sock.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="mcproxy-bench-") as folder:
        Path(folder, path(size)).write_bytes(body(size))
        command = [find("nghttpd"), "--no-tls", "--address=127.0.0.1", f"--htdocs={folder}", str(port)]
        # Its own words, if any, belong to the log.
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr) as server:
            # The end of standard input alone ends it, so that no signal comes amid the clean-up.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            try:
                _await_listening(server, port)
                print(port, flush=True)
                sys.stdin.read()
            finally:
                server.kill()


def _await_listening(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit(f"nghttpd does not listen on {port}; its exit status: {server.poll()}")


if __name__ == "__main__":
    main()
