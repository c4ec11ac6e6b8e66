"""The clients of the L7 loads: ``python -m tests.bench.http_driver --port P --hostname H --ca FILE --body N ...``.

Holds the conversation of `tests.bench.driver`; the work behind it is h2load's. Unit: a request, its response whole.

Before ``ready``, curl fetches the body once, over a verified connection, and every byte is compared; h2load then warms the
proxy up. Of the measured requests h2load counts statuses and bytes: that all were 2xx and brought exactly the bytes of the
body makes a proxy that answers by itself, closes early or gives up a failure instead of a fast proxy.
"""

import argparse
import re
import subprocess
import time
from pathlib import Path

import msgspec

from tests.bench.driver import converse
from tests.bench.http_exchange import body, path
from tests.bench.peer import find

# Some proxies listen before they have read their routes.
_ROUTED_SECONDS = 10.0
_FETCH_SECONDS = 5.0
_WORK_SECONDS = 170.0
_WARM_UP_SHARE = 5


class Tally(msgspec.Struct, frozen=True):
    """What h2load counted.

    Attributes:
        done: responses that ended, well or not.
        ok: responses with a status from 200 to 299.
        data: bytes of all bodies.
    """

    done: int
    ok: int
    data: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.done + other.done, self.ok + other.ok, self.data + other.data)


class Clients(msgspec.Struct, frozen=True):
    """Clients of one proxy that all fetch the same body.

    Attributes:
        port: the proxy's port on the loopback address.
        hostname: the server name, and the authority of the requests.
        body: bytes of the response.
        connections: connections at once.
        streams: requests at once on each.
        fresh: whether each connection is closed after one request.
    """

    port: int
    hostname: str
    body: int
    connections: int
    streams: int
    fresh: bool

    def verify(self, ca: Path, within: float) -> None:
        """Fetch the body over a connection whose certificate is verified, and compare it.

        Args:
            ca: the certificate of the issuer.
            within: seconds to go on trying.

        Raises:
            ConnectionError: the proxy did not once answer as the backend would.
        """
        # Neither client names the port in the authority, which is what routes match.
        url = f"https://{self.hostname}/{path(self.body)}"
        reach = ("--connect-to", f"{self.hostname}:443:127.0.0.1:{self.port}", "--cacert", str(ca), "--noproxy", "*")
        report = ("--silent", "--show-error", "--max-time", str(_FETCH_SECONDS))
        written = ("--output", "-", "--write-out", "%{stderr}%{http_code} over HTTP/%{http_version}")
        command = [find("curl"), "--disable", "--http2", *report, *reach, *written, url]
        deadline = time.monotonic() + within
        while True:
            done = subprocess.run(command, capture_output=True, check=False)
            said = done.stderr.decode(errors="replace").strip()
            if said == "200 over HTTP/2" and done.stdout == body(self.body):
                return
            if time.monotonic() >= deadline:
                raise ConnectionError(f"the proxy answers {said!r} with {len(done.stdout)} of {self.body} bytes")
            time.sleep(0.05)

    def run(self, units: int) -> None:
        """Make ``units`` requests.

        Raises:
            ConnectionError: not all of them were answered with success and the whole body.
        """
        total = Tally(0, 0, 0)
        deadline = time.monotonic() + _WORK_SECONDS
        while total.done < units:
            # h2load opens no second connection for a client, so fresh connections come in batches.
            count = min(self.connections, units - total.done) if self.fresh else units
            output = self._load(count, deadline - time.monotonic())
            tally = read_tally(output)
            if tally != (expected := Tally(count, count, count * self.body)):
                raise ConnectionError(f"h2load counted {tally} instead of {expected}:\n{output}")
            total += tally

    def warm_up(self, units: int) -> None:
        """Make a few requests more than there are clients, but never as many as will be measured."""
        self.run(max(units // _WARM_UP_SHARE, self.connections))

    def _load(self, units: int, seconds: float) -> str:
        shape = ("-n", str(units), "-c", str(min(self.connections, units)), "-m", str(self.streams))
        where = (f"--connect-to=127.0.0.1:{self.port}", "--npn-list=h2")
        command = [find("h2load"), *shape, *where, f"https://{self.hostname}/{path(self.body)}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=max(seconds, 1))
        return done.stdout


def read_tally(output: str) -> Tally:
    """Read the figures at the end of h2load's report.

    Raises:
        ConnectionError: they are not there.
    """
    done = re.search(r"^requests: .* (\d+) done, ", output, re.MULTILINE)
    ok = re.search(r"^status codes: (\d+) 2xx, ", output, re.MULTILINE)
    data = re.search(r"^traffic: .* \((\d+)\) data$", output, re.MULTILINE)
    if not done or not ok or not data:
        raise ConnectionError(f"h2load reported no figures:\n{output}")
    return Tally(int(done[1]), int(ok[1]), int(data[1]))


def main() -> None:
    """Drive the clients named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.http_driver")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hostname", required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--body", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--units", type=int, required=True)
    options = parser.parse_args()
    shape = (options.connections, options.streams, options.fresh)
    clients = Clients(options.port, options.hostname, options.body, *shape)
    clients.verify(options.ca, _ROUTED_SECONDS)
    clients.warm_up(options.units)
    converse(lambda: clients.run(options.units))


if __name__ == "__main__":
    main()
