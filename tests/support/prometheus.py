"""A real Prometheus that scrapes, and its HTTP API; started by the command that the documentation has."""

import json
import re
import shlex
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.load import until
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.proxy import ROOT
from tests.support.require import require

ASSETS = ROOT / "mcproxy" / "assets"
PAGE = "observability.md"


def documented() -> tuple[list[str], list[str]]:
    """Return the commands of the page, word by word: one installs, one starts it."""
    (block,) = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / PAGE).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    install, start = (shlex.split(line, comments=True) for line in block.splitlines())
    return install, start


class Prometheus:
    """Debian's `prometheus`, with a folder of its own for its data and our file for one machine.

    Attributes:
        port: of its HTTP API on 127.0.0.1.
    """

    def __init__(self, processes: Processes, folder: Path, target: int) -> None:
        """Start it; it scrapes a port of 127.0.0.1 and evaluates the rules every second, five times as often as it would."""
        require("prometheus")
        self.port = free_port()
        config = (ASSETS / "prometheus.yml").read_text(encoding="utf-8")
        for old, new in ("interval: 5s", "interval: 1s"), ("127.0.0.1:9090", f"127.0.0.1:{target}"):
            assert old in config
            config = config.replace(old, new)
        (folder / "prometheus.yml").write_text(config, encoding="utf-8")
        (folder / "prometheus-rules.yml").write_bytes((ASSETS / "prometheus-rules.yml").read_bytes())
        command = shlex.join(documented()[1])
        for old, new in {
            "mcproxy/assets/prometheus.yml": str(folder / "prometheus.yml"),
            "/tmp/mcproxy-prometheus": str(folder / "data"),
            "127.0.0.1:9091": f"127.0.0.1:{self.port}",
        }.items():
            assert old in command
            command = command.replace(old, new)
        process = processes.start(*shlex.split(command))
        process.wait_for_port("127.0.0.1", self.port, timeout=30)
        until(self._is_ready, "prometheus is ready")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an API answer; raises `urllib.error.HTTPError` if it is an error."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            answer = json.load(response)
        assert answer["status"] == "success"
        return answer["data"]

    def values(self, query: str) -> list[float]:
        """Return the values of an instant query, NaN and all."""
        return [float(result["value"][1]) for result in self.ask("query", query=query)["result"]]
