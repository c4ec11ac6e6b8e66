"""The tour's runtime edit: made over the admin API, seen as drift, ended by the file."""

from pathlib import Path

from mcproxy.cli.common.render import print_plan
from mcproxy.cli.demo.text import wrapped
from mcproxy.client import Client

NAME = "beta.dev.localhost"

_DECLARED = """
[[listeners.routes]]
hostname = "{name}"
backend = "127.0.0.1:{green}"
"""


class EditTour:
    """What the tour does with the admin API of its proxy."""

    def __init__(self, config: Path, port: int, blue: int, green: int) -> None:
        self._client = Client(config=config)
        self._listener = f"127.0.0.1:{port}"
        self._blue = blue
        self.declared = _DECLARED.format(name=NAME, green=green)

    def add(self) -> None:
        """Add a route that the file does not have, as `mcproxyctl routes add` does."""
        print(f"   mcproxyctl routes add {self._listener} {NAME} \\\n       127.0.0.1:{self._blue} --reason 'a try'")
        answer = self._client.add_route(self._listener, NAME, f"127.0.0.1:{self._blue}", author="you", reason="a try")
        print_plan(answer.plan)

    def drift(self) -> int:
        """Show what is not as the file says, and return how much that is."""
        found = self._client.get_drift().differences
        print("   mcproxyctl drift")
        for difference in found:
            print(wrapped(difference.summary))
        return len(found)

    def last_record(self) -> str:
        """Return what became of an edit last."""
        record = self._client.list_edit_records(limit=1).records[0]
        return f"{record.event}: {record.detail}"

    def close(self) -> None:
        """Hang up."""
        self._client.close()
