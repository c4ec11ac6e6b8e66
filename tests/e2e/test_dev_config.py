"""The development config with everything in it uncommented, and the certificates that go with it."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import StartProxy
from tests.support.certificates import Leaf
from tests.support.curl import curl
from tests.support.endpoint import get
from tests.support.openssl import start_openssl_server
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.proxy import ROOT

_KEY = re.compile(r'^# (\[+[a-z0-9_.]+\]+|[a-z0-9_]+ = (?:"|\d|true|false|\[).*)$', re.MULTILINE)


def uncommented() -> str:
    """Return the development config with all tables and keys that stand in comments."""
    text = (ROOT / "srv/mc-proxy.toml").read_text(encoding="utf-8")
    result = _KEY.sub(r"\1", text)
    assert result.count('mode = "l7"') == 3
    return result


def dev_certs(folder: Path) -> None:
    command = [sys.executable, "-m", "mcproxy", "dev-certs"]
    subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, timeout=30)


def test_everything_in_it_is_valid_with_its_certificates(tmp_path: Path) -> None:
    """All that is commented out may be uncommented, once `mcproxy dev-certs` has run: no error and no warning."""
    dev_certs(tmp_path)
    config = tmp_path / "srv" / "mc-proxy.toml"
    config.write_text(uncommented(), encoding="utf-8")
    command = [sys.executable, "-m", "mcproxy", "validate-config", "--strict", "srv/mc-proxy.toml"]
    result = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30, check=False
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_its_l7_routes_run(processes: Processes, proxy: StartProxy, tmp_path: Path) -> None:
    """The page, the policy and the verified backend that the comments promise."""
    dev_certs(tmp_path)
    certs = tmp_path / "srv" / "certs"
    (tmp_path / "index.html").write_text("a page\n")
    web = free_port()
    server = processes.start(sys.executable, "-m", "http.server", str(web), "--bind", "127.0.0.1", folder=tmp_path)
    server.wait_for_port("127.0.0.1", web)
    app = start_openssl_server(processes, Leaf(certs / "app.localhost.crt", certs / "app.localhost.key"), mode="-www")

    text = uncommented().replace("127.0.0.1:8443", "127.0.0.1:PORT").replace("[::1]:8443", "[::1]:PORT")
    text = text.replace('localhost:8443"', 'localhost:PORT"').replace('example:8443"', 'example:PORT"')
    text = text.replace("127.0.0.1:8444", "127.0.0.1:PORT_B").replace("127.0.0.1:9090", "127.0.0.1:PORT_M")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{web}").replace("127.0.0.1:9001", f"127.0.0.1:{app.port}")
    edge = proxy(text.replace('"certs/', f'"{certs}/'))
    assert get(edge.port("M"), "/readyz").text == "ready\n"
    address, ca = ("127.0.0.1", edge.port()), certs / "ca.crt"
    for version in ("--http1.1", "--http2"):
        assert curl("web.localhost", address, ca, version).body == b"a page\n"
    assert curl("web.localhost", address, ca, "--user-agent", "a BadBot").body.startswith(
        b"403 Forbidden\nrequest id: "
    )
    assert curl("grpc.localhost", address, ca).body.startswith(b"403 Forbidden\nrequest id: ")
    assert b"Ciphers supported" in curl("secure.localhost", address, ca).body
