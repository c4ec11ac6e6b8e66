"""docs/fleet.md: etcd, nodes and every command of the page, in its order, with addresses and ports of this machine."""

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from mcproxy.client import Client
from tests.support.ports import free_port
from tests.support.processes import POLL, Process, Processes
from tests.support.proxy import ROOT
from tests.support.require import require

PAGE = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
NODES = ("edge-1", "edge-2", "edge-3")
CERTIFICATES = """\
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out etcd-ca.pem -days 2 -subj /CN=etcd-CA
leaf() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$2
    printf 'extendedKeyUsage=serverAuth,clientAuth\\nsubjectAltName=IP:127.0.0.1\\n' > $1.ext
    openssl x509 -req -in $1.csr -CA etcd-ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $1.ext -out $1.crt
}
leaf etcd etcd
for name in root edge-1 edge-2 edge-3; do leaf $name $name; done
"""


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


class Machines:
    """All machines of the page, in one folder; each thing that is served there has a port of its own here.

    Attributes:
        folder: where commands are run, with the certificates of everybody.
    """

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.folder = folder
        self._processes = processes
        places = [f"10.0.0.{number}:{port}" for number in (11, 12, 13) for port in (2379, 2380)]
        self._here = {place: f"127.0.0.1:{free_port()}" for place in places} | {"8080": str(free_port())}
        programs = folder / "programs"
        programs.mkdir()
        for name, module in (("mcproxy", "mcproxy"), ("mcproxyctl", "mcproxy.cli.ctl")):
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:/usr/local/bin:/usr/sbin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "MCPROXY_CONFIG": str(folder / "edge-1" / "mc-proxy.toml"),
        }

    def here(self, text: str) -> str:
        """Return a text with the addresses and ports of this machine."""
        return re.sub(
            "|".join(rf"\b{re.escape(each)}\b" for each in self._here), lambda found: self._here[found[0]], text
        )

    def run(self, commands: str, more: Mapping[str, str] | None = None) -> str:
        """Run commands; return what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(commands)],
            cwd=self.folder,
            env={**self.environment, **(more or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def start_etcd(self, text: str, number: int) -> None:
        """Start a member by the file of the first one."""
        own = re.sub(r"(?<!=https://)(?<!,etcd-\d=https://)10\.0\.0\.11\b", f"10.0.0.{10 + number}", text)
        own = own.replace("name: etcd-1", f"name: etcd-{number}").replace(
            "/var/lib/etcd/edge", f"{self.folder}/data-{number}"
        )
        path = self.folder / f"etcd-{number}.yaml"
        path.write_text(self.here(own), encoding="utf-8")
        self._processes.start(require("etcd", "etcd-server"), "--config-file", path, folder=self.folder)

    def start_node(self, text: str, number: int, name: str) -> Process:
        """Start a node by the file of the first one, at an address of its own as all are on one machine."""
        own = self.folder / name
        own.mkdir()
        told = (
            text.replace("edge-1", name)
            .replace('"etcd-ca.pem"', '"../etcd-ca.pem"')
            .replace(f'"{name}.', f'"../{name}.')
        )
        (own / "mc-proxy.toml").write_text(f'{self.here(told)}address = "127.0.0.{20 + number}"\n', encoding="utf-8")
        command = [sys.executable, "-m", "mcproxy", "serve", "--config", "mc-proxy.toml"]
        return self._processes.start(*command, folder=own, env=self.environment)


@pytest.fixture
def machines(processes: Processes) -> Iterator[Machines]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="mcp-", dir=memory if memory.is_dir() else None) as folder:
        yield Machines(Path(folder), processes)
        for started in processes.started:
            started.kill()


@pytest.mark.soak  # three etcds, three nodes, and twenty programs
def test_the_page(machines: Machines) -> None:
    """From the first etcd to its loss."""
    require("etcdctl", "etcd-client")
    require("haproxy")
    machines.run(CERTIFICATES)
    (file,) = blocks("etcd", "yaml")
    for number in (1, 2, 3):
        machines.start_etcd(file, number)
    (roles,) = blocks("etcd", "sh")
    settings, _, _ = roles.partition("etcdctl role add")
    machines.run(f"{settings}\nuntil etcdctl endpoint health; do sleep 0.1; done")
    machines.run(roles)

    (own,), (serve,) = blocks("A node", "toml"), blocks("A node", "sh")
    check, _, started = serve.partition("mcproxy serve")
    assert started == " --config mc-proxy.toml &\n"
    nodes = [machines.start_node(own, number, name) for number, name in enumerate(NODES, start=1)]
    machines.run(f"cd edge-1\n{check}")
    for node in nodes:
        node.wait_for_line(r"\bserving\b", 60, 0, ["stderr"])

    (site,), (first, looked) = blocks("The first push", "toml"), blocks("The first push", "sh")
    (machines.folder / "site.toml").write_text(machines.here(site), encoding="utf-8")
    said = machines.run(first)
    assert "revision 1 is live on 3 nodes" in said
    assert re.search(r"^nodes +3 nodes, 3 live$", said, re.MULTILINE)
    assert "revision 2 is live on 3 nodes" in machines.run(looked)
    told = machines.run("! mcproxyctl fleet push site.toml --over 1")
    assert re.search(r"someone pushed revision 2 \(.* ago\) since you looked", told)
    assert "someone pushed revision 2 (ops-1, 3m ago) since you looked" in section("The first push")

    (balancer,) = blocks("In front", "haproxy")
    (machines.folder / "haproxy.cfg").write_text(balancer, encoding="utf-8")
    machines.run("haproxy -c -f haproxy.cfg")

    with Client(config=machines.environment["MCPROXY_CONFIG"]) as client:

        def settled() -> None:
            deadline = time.monotonic() + 60
            while client.get_fleet().HasField("rollout"):
                assert time.monotonic() < deadline
                time.sleep(POLL)

        (job,) = blocks("From CI", "yaml")
        script = yaml.safe_load(job)["push"]["script"]
        machines.run("sed -i 's/10.0.1.5/10.0.1.7/' site.toml")
        lines = "\n".join(script).replace("--watch 60s", "--watch 1s --min-requests 1 --detach")
        assert "step" not in machines.run(lines, {"CI_COMMIT_SHORT_SHA": "3fa9c1"})
        settled()
        assert client.get_fleet().document.label == "3fa9c1"
        assert "nothing to push" in machines.run("\n".join(script), {"CI_COMMIT_SHORT_SHA": "3fa9c1"})
        machines.run("sed -i 's/10.0.1.7/10.0.1.5/' site.toml && mcproxyctl fleet push site.toml")

        (canary,) = blocks("Canary", "sh")
        assert re.search(r"^pushed revision 5 \(.*\) on edge-\d first$", machines.run(canary), re.MULTILINE)
        settled()
        past = client.list_fleet_history().past[0]
        assert (past.document.label, past.fate) == ("new rack", "live")

        (edits,) = blocks("Runtime edits", "sh")
        assert "proxy.idle_timeout" in machines.run(edits)
        assert not client.get_drift().differences

        snapshot, again = blocks("Disaster recovery", "sh")
        environment = dict(re.findall(r"(ETCDCTL_\w+)=(\S+)", machines.here(settings)))
        assert "TOTAL SIZE" in machines.run(snapshot, environment)
        assert re.search(r"revision \d+ is live on 3 nodes", machines.run(again, environment))
        assert client.get_fleet().document.label == "again"


def test_what_the_page_says_of_sizes() -> None:
    """A document of so many routes does fit."""
    from mcproxy.model.fleet.document import MOST_BYTES, FleetFile, pack  # noqa: PLC0415 - of this test alone

    assert f"{MOST_BYTES / 1e6:.1f} MB compressed" in PAGE
    (lines,) = re.findall(r"some ([\d,]+) lines of routes", PAGE)
    route = '[[routes]]\nlistener = ":443"\nhostname = "site-{0}.example.com"\nbackend = "10.{1}.{2}.7:443"\n\n'
    count = int(lines.replace(",", "")) // route.count("\n")
    text = "".join(route.format(number, number // 256 % 256, number % 256) for number in range(count))
    _, packed = pack([FleetFile("site.toml", text)])
    assert len(packed) < MOST_BYTES
