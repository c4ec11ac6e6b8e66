"""`mcproxyctl export` against a real proxy: what runs becomes what the file says, and nothing else happens."""

import subprocess
import sys

from mcproxy.client import Client
from tests.conftest import StartProxy
from tests.support.proxy import ROOT, Proxy

CONFIG = """\
# The edge.
[proxy]
workers = 1
shutdown_timeout = "1s"   # nobody waits

[[listeners]]
addr = "127.0.0.1:PORT"

# goes away
[[listeners.routes]]
hostname = "Old.Example."
backend = "127.0.0.1:1"

# stays
[[listeners.routes]]
hostname = "app.example"
backend = "127.0.0.1:2"   # rack 2
"""
AFTER = """\
# The edge.
[proxy]
workers = 1
shutdown_timeout = "1s"   # nobody waits

[firewall]
blocked_ips = ["192.0.2.1"]

[[listeners]]
addr = "127.0.0.1:PORT"
max_connections = 9

# stays
[[listeners.routes]]
hostname = "app.example"
backend = "127.0.0.1:2"   # rack 2

[[listeners.routes]]
hostname = "new.example"
backend = "127.0.0.1:3"
"""


def ctl(edge: Proxy, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcproxy.cli.ctl.app", "--config", str(edge.config), *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_what_runs_becomes_what_the_file_says(proxy: StartProxy) -> None:
    """Printed first, then written: the edits are over, no generation is made, and there is no drift."""
    edge = proxy(CONFIG)
    addr = f"127.0.0.1:{edge.port()}"
    before = edge.config.read_bytes()
    edge.config.chmod(0o640)
    with Client(config=edge.config) as client:
        client.add_route(addr, "new.example", "127.0.0.1:3")
        client.remove_route(addr, "old.example")
        client.set_listener_max_connections(addr, 9)
        generation = client.add_firewall_rule("ip", "192.0.2.1").generation
        assert len(client.get_drift().differences) == 4
        printed = ctl(edge, "export")
        assert (printed.returncode, printed.stdout, printed.stderr) == (0, edge.fill_in(AFTER), "")
        assert edge.config.read_bytes() == before
        written = ctl(edge, "export", "--write")
        assert (written.returncode, written.stderr) == (0, "")
        assert edge.config.read_text() == edge.fill_in(AFTER)
        assert edge.config.stat().st_mode & 0o777 == 0o640
        assert client.reload().generation == generation
        assert not client.get_drift().differences
        assert not any(file.changed for file in client.export().files)
        assert ctl(edge, "export", "--write").stdout == "nothing to write: the files say already what runs\n"
