"""Real etcds as the store of a fleet: a cluster with mutual TLS, users and roles, whose members can be killed, frozen and started again."""

import contextlib
import http.client
import json
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.support.certificates import Certificates, Leaf
from tests.support.ports import free_port
from tests.support.processes import POLL, Process, Processes
from tests.support.require import require

_QUICK = Path("/dev/shm")
"""Where data is written that nobody needs later: etcd waits for the disk with each write."""

_Found = TypeVar("_Found")


class Member:
    """One etcd.

    Attributes:
        name: its name.
        endpoint: where clients find it, ``127.0.0.1:port``.
        process: the running program; the last one, if it was killed.
    """

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.name = name
        self.port, self.peer_port = free_port(), free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self.process: Process
        self._cluster = cluster

    def start(self) -> None:
        """Start it, on the data that it had before; it is ready when most members are."""
        self.process = self._cluster.launch(self)

    def kill(self) -> None:
        """End it at once, as SIGKILL does."""
        self.process.kill()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it do nothing meanwhile, with all its connections open."""
        self.process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.signal(signal.SIGCONT)


class Cluster:
    """Several etcds that are one store.

    Attributes:
        members: of it.
        ca: path of the CA that has signed the certificates of members and clients.
    """

    def __init__(
        self, folder: Path, certs: Certificates, *, size: int = 3, quota: int = 0, election: int = 1500
    ) -> None:
        """Start them, and wait until the store can be used; `close` ends them.

        Args:
            folder: for the output of programs.
            certs: the CA of members and clients.
            size: how many there are.
            quota: bytes that the database may have; 0 for etcd's default.
            election: milliseconds without a leader, before another one is elected.
        """
        self._etcd, self._etcdctl = require("etcd", "etcd-server"), require("etcdctl", "etcd-client")
        self._data = tempfile.TemporaryDirectory(prefix="etcd-", dir=_QUICK if _QUICK.is_dir() else None)
        self._processes = Processes(folder)
        self._leaf = certs.server("127.0.0.1", "localhost")
        self._root = certs.client("root")
        self._quota, self._election = quota, election
        self._certs = certs
        self.ca = certs.ca
        self.members = [Member(self, f"etcd-{number}") for number in range(size)]
        for member in self.members:
            member.start()
        self.wait_healthy()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where clients find its members."""
        return tuple(member.endpoint for member in self.members)

    def launch(self, member: Member) -> Process:
        """Start the program of a member."""
        peers = ",".join(f"{each.name}=http://127.0.0.1:{each.peer_port}" for each in self.members)
        options = {
            "name": member.name,
            "data-dir": f"{self._data.name}/{member.name}",
            "listen-client-urls": f"https://{member.endpoint}",
            "advertise-client-urls": f"https://{member.endpoint}",
            "listen-peer-urls": f"http://127.0.0.1:{member.peer_port}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{member.peer_port}",
            "initial-cluster": peers,
            "initial-cluster-token": Path(self._data.name).name,
            "cert-file": self._leaf.certificate,
            "key-file": self._leaf.key,
            "trusted-ca-file": self.ca,
            "client-cert-auth": "true",
            "enable-grpc-gateway": "false",  # it would call its own port, with a certificate that is not a client's
            "heartbeat-interval": self._election // 10,
            "election-timeout": self._election,
            "quota-backend-bytes": self._quota,
            "log-level": "warn",
        }
        return self._processes.start(self._etcd, *(f"--{name}={value}" for name, value in options.items()))

    def ctl(self, *args: str, leaf: Leaf | None = None, endpoints: tuple[str, ...] = ()) -> str:
        """Return what ``etcdctl`` prints; called as root unless a client certificate says otherwise.

        Raises:
            AssertionError: it fails; with its words.
        """
        result = self._run(*args, leaf=leaf, endpoints=endpoints)
        assert result.returncode == 0, f"etcdctl {' '.join(args)}: {result.stderr}"
        return result.stdout

    def _run(
        self, *args: str, leaf: Leaf | None = None, endpoints: tuple[str, ...] = ()
    ) -> "subprocess.CompletedProcess[str]":
        leaf = leaf or self._root
        common = (
            f"--endpoints={','.join(endpoints or self.endpoints)}",
            f"--cacert={self.ca}",
            f"--cert={leaf.certificate}",
            f"--key={leaf.key}",
        )
        return subprocess.run(
            [self._etcdctl, *common, *args], capture_output=True, text=True, check=False, env={"ETCDCTL_API": "3"}
        )

    def metrics(self, member: Member) -> str:
        """Return what a member has counted, as Prometheus reads it."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self._root.certificate, self._root.key)
        connection = http.client.HTTPSConnection("127.0.0.1", member.port, context=context, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def allow(self, name: str, prefix: str) -> Leaf:
        """Let a client of this name read and write below a prefix, and return its certificate. Others may do nothing from now on."""
        roles = self.ctl("role", "list").split()
        role = f"fleet{prefix.replace('/', '-')}"
        if role not in roles:
            self.ctl("role", "add", role)
            self.ctl("role", "grant-permission", role, "--prefix=true", "readwrite", f"{prefix}/")
        if name not in self.ctl("user", "list").split():
            self.ctl("user", "add", name, "--no-password")
        self.ctl("user", "grant-role", name, role)
        return self._certs.client(name)

    def demand_names(self) -> None:
        """Let nobody do anything but those that are allowed it, and root."""
        self.ctl("user", "add", "root", "--no-password")
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("auth", "enable")

    def statuses(self) -> list[dict[str, Any]]:
        """Return what members that answer say of themselves."""
        result = self._run("endpoint", "status", "--write-out=json", "--command-timeout=2s")
        found: list[dict[str, Any]] = json.loads(result.stdout) if result.stdout else []
        return found

    def leader(self) -> Member:
        """Return the member that leads the others, waiting until there is one."""

        def look() -> Member | None:
            for status in self.statuses():
                header = status["Status"]["header"]
                if status["Status"].get("leader") == header["member_id"]:
                    return next(each for each in self.members if each.endpoint == status["Endpoint"])
            return None

        return _until(look, "the store has no leader")

    def revision(self) -> int:
        """Return the store's revision."""
        return max(int(status["Status"]["header"]["revision"]) for status in self.statuses())

    def wait_healthy(self) -> None:
        """Wait until every member takes writes, starting those that were killed."""
        for member in self.members:
            if member.process.returncode is not None:
                member.start()
        _until(
            lambda: self._run("endpoint", "health", "--command-timeout=2s").returncode == 0 or None,
            "the store is not healthy",
        )

    def restore(self, backup: Path) -> None:
        """Let the only member begin again with a backup that ``etcdctl snapshot save`` has made."""
        (member,) = self.members
        member.kill()
        folder = Path(self._data.name, member.name)
        shutil.rmtree(folder)
        peer = f"http://127.0.0.1:{member.peer_port}"
        options = (f"--name={member.name}", f"--initial-cluster={member.name}={peer}", f"--data-dir={folder}")
        token = f"--initial-cluster-token={Path(self._data.name).name}"
        self.ctl("snapshot", "restore", str(backup), *options, token, f"--initial-advertise-peer-urls={peer}")
        self.wait_healthy()

    def close(self) -> None:
        """End all members, and remove their data."""
        with self._processes:
            pass
        self._data.cleanup()


def _until(look: Callable[[], _Found | None], message: str) -> _Found:
    """Return what a look finds, waiting until it finds something."""
    deadline = time.monotonic() + 60
    while (found := look()) is None:
        assert time.monotonic() < deadline, message
        time.sleep(POLL)
    return found
