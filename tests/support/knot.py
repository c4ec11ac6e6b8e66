"""An authoritative DNS server that takes updates."""

from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype

from mcproxy.control.acme.interface import DnsServer
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.require import require

SECRET = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXMgbG8="
KEY = f'# tsig-keygen\nkey "updates" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
ZONE = """
$ORIGIN example.com.
$TTL 60
@ SOA ns admin 1 3600 600 86400 60
@ NS ns
@ NS ns2
ns A 127.0.0.1
ns2 A 127.0.0.2
"""


class Knot:
    """An authoritative server of example.com that takes updates which are signed."""

    def __init__(self, processes: Processes, folder: Path, address: str = "127.0.0.1") -> None:
        self.address, self.port = address, free_port()
        folder.mkdir()
        (folder / "example.com.zone").write_text(ZONE, encoding="ascii")
        config = folder / "knot.conf"
        config.write_text(
            f"server:\n  rundir: {folder}\n  listen: {address}@{self.port}\n  udp-workers: 1\n  tcp-workers: 1\n"
            f"  background-workers: 1\nlog:\n  - target: stderr\n    any: info\ndatabase:\n  storage: {folder}\n"
            f"key:\n  - id: updates.\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"
            "acl:\n  - id: updates\n    key: updates.\n    action: update\n"
            f"zone:\n  - domain: example.com\n    storage: {folder}\n    file: example.com.zone\n    acl: updates\n",
            encoding="ascii",
        )
        self.process = processes.start(require("knotd", "knot"), "-c", config)
        self.process.wait_for_line(r"server started")
        self.terms = DnsServer(address, self.port, "example.com", KEY)

    def texts(self, name: str) -> list[str]:
        question = dns.message.make_query(name, dns.rdatatype.TXT)
        answer = dns.query.tcp(question, self.address, timeout=10, port=self.port).answer
        return sorted(str(record) for each in answer for record in each)
