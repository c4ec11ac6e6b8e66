"""A real Prometheus that scrapes, and its HTTP API."""

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.load import until
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.require import require


class Prometheus:
    """Debian's `prometheus`, with a folder of its own for its data.

    Attributes:
        port: of its HTTP API on 127.0.0.1.
    """

    def __init__(self, processes: Processes, folder: Path, target: int, rules: Path) -> None:
        """Start it; it scrapes a port of 127.0.0.1 every second and evaluates a file of rules."""
        self.port = free_port()
        config = folder / "prometheus.yml"
        scrape = {"job_name": "mcproxy", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        timing = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        # YAML contains JSON
        config.write_text(json.dumps({"global": timing, "rule_files": [str(rules)], "scrape_configs": [scrape]}))
        process = processes.start(
            require("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )
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
