"""The demo's part about an upstream: two backends behind one name, of which one dies and comes back."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mcproxy.cli.demo.server import Server
from mcproxy.cli.demo.site import TlsBackend, Visitor
from mcproxy.cli.demo.text import wrapped
from mcproxy.control.files.certificates import Pair

NAME = "pool.localhost"

_ADDED = """
[upstreams.pool]
endpoints = ["127.0.0.1:{one}", "127.0.0.1:{two}"]
check = {{ type = "tcp", interval = "200ms", fall = 2, rise = 2 }}

[[listeners.routes]]
hostname = "{name}"
backend = "pool"
"""
_CONNECTIONS = 20
_PASSED_OVER = 1.1  # seconds; a worker leaves out for one what has refused it, whatever the checks say


class UpstreamTour:
    """The two backends, and what is shown of them.

    Attributes:
        added: what the config file gets.
    """

    def __init__(self, ca: Pair, folder: Path) -> None:
        self._one, self._two = (TlsBackend(title, [NAME], ca, folder) for title in ("one", "two"))
        self.added = _ADDED.format(one=self._one.port, two=self._two.port, name=NAME)

    def show(self, visitor: Visitor, server: Server, check: Callable[[str, bool], None]) -> None:
        """Show both in use, then one of them gone, and both again.

        Args:
            visitor: the client.
            server: the proxy, which has `added` in its file.
            check: takes what to print, and whether it is as it should be.
        """
        self._visit(visitor, check, "both are used", both=True)
        self._one.close()
        self._visit(visitor, check, "one is stopped: those that it refused went to two", both=False)
        refused = time.monotonic()
        self._tell(server, "endpoint is down")
        self._one.start()
        self._tell(server, "endpoint is up")
        time.sleep(max(0.0, refused + _PASSED_OVER - time.monotonic()))
        self._visit(visitor, check, "one is back", both=True)

    def close(self) -> None:
        """Stop both."""
        self._one.close()
        self._two.close()

    def _visit(self, visitor: Visitor, check: Callable[[str, bool], None], what: str, *, both: bool) -> None:
        answers: Counter[str] = Counter()
        for _ in range(_CONNECTIONS):
            try:
                answers[visitor.ask(NAME).partition(" ")[0]] += 1
            except OSError:
                answers["failed"] += 1
        told = ", ".join(f"{number} {name}" for name, number in sorted(answers.items()))
        wanted = {"one", "two"} if both else {"two"}
        check(f"{_CONNECTIONS} connections to {NAME}: {told}   ({what})", answers.keys() == wanted)

    def _tell(self, server: Server, event: str) -> None:
        record = server.wait_for(event, begins=True)[-1]
        why = f": {record['why']}" if "why" in record else ""
        print(wrapped(f"{record['event']}: {record['endpoint']}{why}"))
