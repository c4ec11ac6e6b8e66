"""Applications that are known to be hard to put a proxy in front of: Subversion, Docker, NTLM logins, Flask's own URLs."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.curl import Answer, curl
from tests.support.docker_daemon import CONTAINER, DockerDaemon
from tests.support.flask_app import flask_server
from tests.support.fleet import Fleet
from tests.support.haproxy import start_haproxy
from tests.support.http_thread import HttpThread
from tests.support.l4 import wait_for
from tests.support.l7 import BACKEND_NAME, l7_route, tls_backend
from tests.support.ntlm_backend import PASSWORD, ntlm_backend
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.settings import config, listener
from tests.support.subversion import apache_svn, svn

LOCAL = "localhost"
"""For clients that can't be told where a name is."""

versions = pytest.mark.parametrize("version", ["--http1.1", "--http2"])


class Site:
    """One proxy in front of all of them, each on a listener of its own; the folder is for whatever a client keeps."""

    def __init__(self, folder: Path, certs: Certificates, fleet: Fleet, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.certs = certs
        self.docker = stack.enter_context(DockerDaemon())
        self.ntlm: HttpThread = stack.enter_context(ntlm_backend(folder, "alice", "bob"))
        flask = l7_route(certs, stack.enter_context(flask_server()), "flask.test")
        self.processes = stack.enter_context(Processes(folder))
        apache = stack.enter_context(apache_svn(self.processes, certs.server(LOCAL, BACKEND_NAME)))
        text = config(
            listener("127.0.0.1:PORT_SVN", [l7_route(certs, apache.port, LOCAL)]),
            listener("127.0.0.1:PORT_SVNTLS", [l7_route(certs, apache.tls_port, LOCAL, **tls_backend(certs))]),
            listener("127.0.0.1:PORT_DOCKER", [l7_route(certs, self.docker.port, LOCAL)]),
            listener("127.0.0.1:PORT_WEB", [l7_route(certs, self.ntlm.port, "ntlm.test"), flask]),
            listener("127.0.0.1:PORT_NAT", [flask], proxy_protocol=True, trusted_proxies=["127.0.0.1/32"]),
        )
        self.proxy: Proxy = stack.enter_context(fleet.serve(text))

    def curl(self, hostname: str, *args: str, path: str = "/") -> Answer:
        answer = curl(hostname, ("127.0.0.1", self.proxy.port("WEB")), self.certs.ca, *args, path=path, timeout=30)
        assert answer.status == 0, answer.messages
        return answer

    def run_docker(self, *args: str, direct: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the Docker client through the proxy, or on the daemon itself."""
        secure = ["--host", f"tcp://{LOCAL}:{self.proxy.port('DOCKER')}", "--tlsverify", "--tlscacert", self.certs.ca]
        plain = ["--host", f"tcp://127.0.0.1:{self.docker.port}"]
        variables = {"DOCKER_CONFIG": str(self.folder / "docker"), "HOME": str(self.folder), "NO_PROXY": "*"}
        return subprocess.run(
            [require("docker", "docker.io"), *(plain if direct else secure), *args],
            env={**os.environ, **variables},
            capture_output=True,
            timeout=60,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def site(fleet: Fleet, certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("site"), certs, fleet, stack)


@pytest.fixture(scope="module")
def nat(site: Site) -> int:
    """Start HAProxy as the device that has the public address, and return the port that browsers know."""
    text = f"""
frontend public
    bind 127.0.0.1:PORT
    default_backend inside
backend inside
    server proxy 127.0.0.1:{site.proxy.port("NAT")} send-proxy-v2
"""
    return start_haproxy(site.processes, site.folder, text).port


@pytest.mark.parametrize("port", ["SVN", "SVNTLS"])
def test_subversion(site: Site, tmp_path: Path, port: str) -> None:
    """Whole lives of files: all methods of WebDAV pass, and COPY names a destination that the server knows for its own."""
    url = f"https://{LOCAL}:{site.proxy.port(port)}/svn/{port}"
    copy = tmp_path / "copy"

    def run(*args: str) -> str:
        return svn(tmp_path, site.certs.ca, *args)

    run("mkdir", "--parents", "-m", "begin", f"{url}/trunk", f"{url}/branches")
    run("checkout", f"{url}/trunk", str(copy))
    (copy / "big").write_bytes(bytes(range(256)) * 1000)
    (copy / "a name with blanks, ä and 100%").write_text("one\n")
    run("add", str(copy / "big"), str(copy / "a name with blanks, ä and 100%"))
    run("commit", "-m", "two files", str(copy))
    run("copy", "-m", "branch", f"{url}/trunk", f"{url}/branches/first one")
    run("move", "-m", "rename", f"{url}/branches/first one", f"{url}/branches/second")
    run("lock", f"{url}/branches/second/big")
    assert "Lock Owner: alice" in run("info", f"{url}/branches/second/big")
    run("unlock", f"{url}/branches/second/big")
    run("propset", "svn:mime-type", "text/x-thing", str(copy / "big"))
    run("commit", "-m", "property", str(copy))
    run("delete", "-m", "end", f"{url}/trunk/big")
    listed = run("list", "--recursive", url).splitlines()
    expected = [
        "branches/",
        "branches/second/",
        "branches/second/a name with blanks, ä and 100%",
        "branches/second/big",
    ]
    assert listed == [*expected, "trunk/", "trunk/a name with blanks, ä and 100%"]
    assert "A big\n" not in run("update", str(copy))
    assert not (copy / "big").exists()
    assert len(re.findall(r"^r\d+ \| alice", run("log", f"{url}"), re.MULTILINE)) == 6


def test_docker(site: Site) -> None:
    """Its client lists containers and starts commands. One that wants a raw stream is refused with the client's own words."""
    listed = site.run_docker("ps", "--format", "{{.Names}}")
    assert (listed.stdout, listed.stderr) == (f"{CONTAINER}\n", "")
    assert site.run_docker("exec", CONTAINER, "echo", "hello", direct=True).stdout == "hello\n"
    detached = site.run_docker("exec", "--detach", CONTAINER, "true")
    assert detached.returncode == 0, detached.stderr
    attached = site.run_docker("exec", CONTAINER, "echo", "hello")
    assert "unable to upgrade to tcp, received 200" in attached.stderr
    upgrades = [(body["Detach"], upgrade) for body, upgrade in site.docker.started]
    assert upgrades == [(False, "tcp"), (True, None), (False, None)]


@pytest.mark.parametrize("framing", ["Content-Length: 43", "Transfer-Encoding: chunked"])
def test_an_upgrade_with_a_body_is_a_request_without(site: Site, framing: str) -> None:
    """A client that takes an ordinary answer too gets what the command has written."""
    body = json.dumps({"Cmd": ["echo", "to you"]})
    headers = ("-H", "Content-Type: application/json")
    web = site.proxy.port("DOCKER")

    def post(path: str, body: str, *args: str) -> Answer:
        return curl(LOCAL, ("127.0.0.1", web), site.certs.ca, *headers, *args, "--data-binary", body, path=path)

    number = post("/v1.41/containers/box/exec", body).json()["Id"]
    start = '{"Detach": false, "Tty": false, "Cmd": []}\n'
    upgrade = ("-H", "Connection: Upgrade", "-H", "Upgrade: tcp", "-H", framing)
    answer = post(f"/v1.41/exec/{number}/start", start, "--http1.1", *upgrade)
    assert (answer.status, answer.body) == (0, b"\x01\0\0\0\0\0\0\x07to you\n"), answer.messages
    assert site.docker.started[-1] == (json.loads(start), None)


def told(output: bytes) -> list[tuple[str | None, int]]:
    """Return the user and connection that the NTLM server told in each line."""
    return [(line["user"], line["connection"]) for line in map(json.loads, output.splitlines())]


def test_ntlm(site: Site) -> None:
    """Logins hold for their clients' connections alone, also while others log in and ask without a login."""
    urls = [f"https://ntlm.test:{site.proxy.port('WEB')}/{number}" for number in range(5)]

    def log_in(user: str, version: str) -> list[tuple[str | None, int]]:
        answer = site.curl("ntlm.test", version, "--ntlm", "--user", f"TEST\\{user}:{PASSWORD}", *urls)
        return told(answer.body)

    def stay_out(version: str) -> list[tuple[str | None, int]]:
        public = [f"https://ntlm.test:{site.proxy.port('WEB')}/public" for _ in range(20)]
        return told(site.curl("ntlm.test", version, *public, path="/public").body)

    with ThreadPoolExecutor(6) as pool:
        logins = {
            user: [pool.submit(log_in, user, version) for version in ("--http1.1", "--http2") * 2]
            for user in ("alice", "bob")
        }
        others = [pool.submit(stay_out, version) for version in ("--http1.1", "--http2") * 3]
        used: set[int] = set()
        for user, runs in logins.items():
            for run in runs:
                answers = run.result(60)
                assert answers == [(f"TEST\\{user}", answers[0][1])] * 6
                assert answers[0][1] not in used
                used.add(answers[0][1])
        for run in others:
            answers = run.result(60)
            assert [user for user, _ in answers] == [None] * 21
            assert not used & {connection for _, connection in answers}
    wait_for(lambda: not used & {*site.ntlm.open})


@versions
def test_ntlm_with_a_wrong_password(site: Site, version: str) -> None:
    """The server refuses it, and the connection is nobody's."""
    answer = site.curl("ntlm.test", version, "--ntlm", "--user", "TEST\\alice:wrong", "--write-out", "%{http_code}")
    assert answer.body.endswith(b"401")
    assert told(site.curl("ntlm.test", version, path="/public").body)[0][0] is None


@versions
@pytest.mark.parametrize("public", [443, 8443, 80, "nat"])
def test_flask_knows_its_url(site: Site, nat: int, version: str, public: int | str) -> None:
    """Links and redirects lead to where the browser is, whatever port that connects to the proxy in the end."""
    port, inside = (nat, nat) if public == "nat" else (int(public), site.proxy.port("WEB"))
    shown = "" if port == 443 else f":{port}"
    arguments = ("--connect-to", f"flask.test:{port}:127.0.0.1:{inside}", "--interface", "127.0.0.40", "--location")
    address = ("127.0.0.1", port)
    answer = curl("flask.test", address, site.certs.ca, version, *arguments, path="/old")
    where = f"https://flask.test{shown}/where"
    expected = {"url": where, "link": where, "client": "127.0.0.40", "secure": True}
    assert answer.json() == expected
