"""The proxy shows a certificate of its own to backends that ask for one: to nginx with `ssl_verify_client on`."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcproxy.client.client import Client
from tests.conftest import StartProxy
from tests.support.certificates import Certificates, Leaf
from tests.support.client_ca import ClientCa
from tests.support.curl import curl
from tests.support.endpoints import METRICS, wait_for_verdict
from tests.support.lifecycle import applied
from tests.support.load import until
from tests.support.nginx import Nginx, start_nginx
from tests.support.processes import Processes
from tests.support.proxy import Proxy

BACKEND = "backend.test"
NAMES = ("shown.test", "bare.test", "wrong.test", "named.test")


def text(certs: Certificates, backend: Nginx, own: Leaf, wrong: Leaf, engine: str) -> str:
    leaf = certs.server(*NAMES)
    address = f"127.0.0.1:{backend.port}"
    pair = f'cert = "{own.certificate}", key = "{own.key}"'
    tls = f'ca = "{certs.ca}", server_name = "{BACKEND}"'
    check = 'check = { type = "http", path = "/", status = "200", interval = "300ms", fall = 1, rise = 1 }'
    head = f"""
{METRICS}
[proxy]
workers = 1
http2_engine = "{engine}"
[upstreams.named]
endpoints = ["{address}"]
tls = {{ {tls}, {pair} }}
{check}
[upstreams.bare]
endpoints = ["localhost:{backend.port}"]
tls = {{ {tls} }}
{check}
[[listeners]]
addr = "127.0.0.1:PORT"
"""

    def route(name: str, rest: str) -> str:
        return f"""
[[listeners.routes]]
hostname = "{name}"
mode = "l7"
tls_cert = "{leaf.certificate}"
tls_key = "{leaf.key}"
{rest}
"""

    to_nginx = (
        f'backend = "{address}"\nbackend_tls = true\nbackend_ca = "{certs.ca}"\nbackend_server_name = "{BACKEND}"\n'
    )
    shown = f'{to_nginx}backend_protocol = "h2"\nbackend_cert = "{own.certificate}"\nbackend_key = "{own.key}"'
    wrong_pair = f'{to_nginx}backend_cert = "{wrong.certificate}"\nbackend_key = "{wrong.key}"'
    routes = (route("shown.test", shown), route("bare.test", to_nginx), route("wrong.test", wrong_pair))
    return head + "".join(routes) + route("named.test", 'backend = "named"')


def ask(proxy: Proxy, certs: Certificates, name: str, *args: str) -> tuple[int, Any]:
    answer = curl(name, ("127.0.0.1", proxy.port()), certs.ca, *args, "-w", "\n%{http_code}")
    body, _, status = answer.body.rpartition(b"\n")
    return int(status), body


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_nginx_lets_the_proxy_in(
    proxy: StartProxy, processes: Processes, certs: Certificates, tmp_path: Path, engine: str
) -> None:
    """By the certificate of a route, over HTTP/2, and of an upstream, whose checks show it, too; not without, nor by one of another CA."""
    ca, others = ClientCa(tmp_path, "internal"), ClientCa(tmp_path, "elsewhere")
    own, wrong = ca.client("edge.test", common_name="edge"), others.client("edge.test")
    folder = tmp_path / "nginx"
    folder.mkdir()
    leaf = certs.server(BACKEND)
    backend = start_nginx(processes, folder, "one", leaf, client_ca=ca.certificate, client_required=True, http2=True)
    served = proxy(text(certs, backend, own, wrong, engine))
    for name, version in (("shown.test", "--http2"), ("named.test", "--http1.1")):
        status, body = ask(served, certs, name, version)
        assert (status, json.loads(body)["client"], json.loads(body)["verified"]) == (200, "CN=edge", "SUCCESS")
    for name, words in (("bare.test", b"No required SSL certificate"), ("wrong.test", b"certificate error")):
        status, body = ask(served, certs, name)
        assert status == 400
        assert words in body
    wait_for_verdict(served, "named", f"127.0.0.1:{backend.port}", "up")
    down = wait_for_verdict(served, "bare", f"localhost:{backend.port}", "down")
    assert "400" in down["last_error"]
    with Client(f"unix:{served.folder}/mc-proxy.sock") as client:
        steps = client.explain(sni="shown.test", probe=True).steps
        assert any(step.step == "probe" and step.outcome == "ok" for step in steps), steps
    since = served.mark()
    renewed = ca.client("edge.test", common_name="renewed")
    for new, old in ((renewed.certificate, own.certificate), (renewed.key, own.key)):
        new.replace(old)
    applied(served, since)
    until(lambda: json.loads(ask(served, certs, "shown.test")[1])["client"] == "CN=renewed", "the renewed certificate")
