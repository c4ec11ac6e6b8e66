"""While certificates are ordered, with Let's Encrypt's test CA: every worker answers, and everybody else is served as ever."""

import re
import shlex
import signal
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from mcproxy.client.errors import FailedPreconditionError
from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.held_relay import HeldRelay
from tests.support.knot import KEY, Knot
from tests.support.l4 import serve, wait_for
from tests.support.openssl import start_openssl_server
from tests.support.ordered_site import Site, config, names_in, route
from tests.support.processes import Processes
from tests.support.proxy import ROOT
from tests.support.require import require
from tests.support.settings import Table
from tests.support.tls import client_context, connect

CHALLENGE = "acme-tls/1"
PATH = "/.well-known/acme-challenge/"
WORKERS: Table = {"workers": 4}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("output")) as processes:
        yield processes


@pytest.fixture(scope="module")
def relay() -> Iterator[HeldRelay]:
    with HeldRelay() as found:
        yield found


@pytest.fixture(scope="module")
def site(relay: HeldRelay, running: Processes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serve(config(route("none.test"), proxy=WORKERS, directory="https://localhost:1/dir")) as proxy:
        relay.to = proxy.port("TLS")
        yield Site(proxy, tmp_path_factory.mktemp("pebble"), running, relay.port)


@pytest.fixture
def held(relay: HeldRelay) -> Iterator[HeldRelay]:
    """Make the CA wait when it looks."""
    relay.came.clear()
    relay.opened.clear()
    yield relay
    relay.opened.set()


def shown(site: Site, name: str, *protocols: str) -> tuple[str, str | None]:
    """Return the common name of the certificate that a client sees, and the protocol that was chosen."""
    context = client_context()
    context.set_alpn_protocols(protocols)
    with connect(("127.0.0.1", site.proxy.port("TLS")), name, context) as sock:
        certificate = x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"")
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return ", ".join(str(each.value) for each in common), sock.selected_alpn_protocol()


def ctl(site: Site, *args: str) -> str:
    """Return what mcproxyctl prints."""
    result = run_ctl("--config", str(site.proxy.config), *args)
    assert result.status == 0, result.stderr
    return result.stdout


def get(site: Site, port: str, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{site.proxy.port(port)}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_before_the_first_certificate_a_name_waits_and_all_else_serves(site: Site, certs: Certificates) -> None:
    """What it waits for is told by metrics, on the status page, and by explain."""
    leaf = certs.server("files.test")
    other: Table = {"hostname": "files.test", "mode": "l7", "respond": "hello"}
    other |= {"tls_cert": str(leaf.certificate), "tls_key": str(leaf.key)}
    site.serve(route("new.test"), other, proxy=WORKERS, directory="https://localhost:1/dir")
    wait_for(lambda: 'mcproxy_acme_last_error{name="new.test"} 1' in get(site, "METRICS", "/metrics")[1], 60)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        shown(site, "new.test", "h2")
    assert shown(site, "files.test", "h2") == ("files.test", "h2")
    refused = 'reason="no_certificate",route="new.test"'
    wait_for(lambda: refused in get(site, "METRICS", "/metrics")[1], 60)
    assert get(site, "METRICS", "/readyz")[0] == 200
    assert "1 certificate can't be ordered" in get(site, "METRICS", "/")[1].replace("&#39;", "'")
    told = ctl(site, "explain", "--sni", "new.test")
    assert "unrecognized_name: there is no certificate yet; waiting: " in " ".join(told.split())
    assert "new.test" in ctl(site, "why", "--ip", "127.0.0.1")


def test_fifty_names_are_proven_whichever_worker_is_asked(site: Site) -> None:
    """Two orders at once, of which every name is a handshake with one of four workers."""
    before = site.pebble.issued()
    found = {name: [f"n{number}.{name}" for number in range(24)] for name in ("a.test", "b.test")}
    site.serve(*(route(name, names=more) for name, more in found.items()), proxy=WORKERS)
    for name, more in found.items():
        assert names_in(site.wait_for_certificate(name)) == {name, *more}
    assert site.pebble.issued() == before + 2
    told = " ".join(ctl(site, "explain", "--sni", "a.test").split())
    assert re.search(r"TLS is terminated with the certificate from Pebble .*, renewed .* ago, next about 20", told)


def renews(site: Site, name: str) -> bool:
    """Have a certificate ordered now; tell whether that could be done already."""
    with site.client() as client:
        try:
            client.renew_certificate(name)
        except FailedPreconditionError:
            return False
        return True


def test_backends_go_on_with_certificates_of_their_own(
    site: Site, held: HeldRelay, running: Processes, certs: Certificates
) -> None:
    """While a name is proven that leads to one, the CA's handshakes for it alone are not for that, on either data path, and after reloads and deaths of workers."""
    backend = start_openssl_server(running, certs.server("backend.test"), "-alpn", f"{CHALLENGE},http/1.1")
    own: Table = {"hostname": "*.own.test", "backend": f"127.0.0.1:{backend.port}"}
    further = '[[listeners]]\naddr = "127.0.0.1:PORT_FURTHER"\n[[listeners.routes]]\nhostname = "a.own.test"\n'
    site.serve(own, proxy=WORKERS)
    for data_path in ("native", "python"):
        site.serve(own, proxy={**WORKERS, "data_path": data_path})
        site.proxy.save(f'{site.text}{further}mode = "l7"\ncertificate = "acme"\nrespond = "hello"\n')
        assert held.came.wait(60)
        site.pebble.process.signal(signal.SIGSTOP)  # as it would not wait for long
        wait_for(lambda path=data_path: f'data_path="{path}"' in get(site, "METRICS", "/metrics")[1], 60)  # type: ignore[misc]
        for _ in range(20):  # of four workers
            assert shown(site, "a.own.test", CHALLENGE) == (CHALLENGE, CHALLENGE)
            assert shown(site, "b.own.test", CHALLENGE) == ("backend.test", CHALLENGE)
        assert shown(site, "a.own.test", "http/1.1") == ("backend.test", "http/1.1")
        assert shown(site, "a.own.test", CHALLENGE, "http/1.1") == ("backend.test", CHALLENGE)
    gone = site.proxy.workers()
    for worker in gone:
        worker.kill()
    wait_for(lambda: len(set(site.proxy.workers()) - set(gone)) == 4 and get(site, "METRICS", "/readyz")[0] == 200, 60)
    for _ in range(20):
        assert shown(site, "a.own.test", CHALLENGE) == (CHALLENGE, CHALLENGE)
    site.pebble.process.signal(signal.SIGCONT)
    held.opened.set()

    def is_over() -> bool:
        """Tell whether the order is; where the CA has given up, there is another one."""
        with site.client() as client:
            (order,) = client.list_certificates().certificates
        return bool(order.issuer and not order.ordering) or (bool(order.error) and renews(site, "a.own.test"))

    wait_for(is_over, 60)
    wait_for(lambda: shown(site, "a.own.test", CHALLENGE) == ("backend.test", CHALLENGE), 60)


def test_a_request_of_the_ca_is_neither_redirected_nor_asked_for_a_password(site: Site) -> None:
    """Though everything else is, also for other tokens."""
    (site.proxy.folder / "htpasswd").write_text("ann:$2y$05$GdCYPUGtcdlAcmCOTSwJPu5RJ3C9wJ6qJnQdXpKYBuDZDGMwVnGPi\n")
    clear: Table = {"filter": {"basic_auth": "htpasswd"}}
    site.serve(route("c.test", names=["www.c.test"]), proxy=WORKERS, clear=clear, challenge="http-01")
    assert names_in(site.wait_for_certificate("c.test")) == {"c.test", "www.c.test"}
    assert get(site, "HTTP", f"{PATH}token")[0] == 401
    assert get(site, "HTTP", "/")[0] == 401


def test_a_wildcard_is_proven_by_a_record_that_a_program_sets(
    site: Site, running: Processes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For every name below it there is a certificate then; the program is named relative to the file."""
    require("nsupdate", "bind9-dnsutils")
    folder = tmp_path_factory.mktemp("dns")
    knot = Knot(running, folder / "knot")
    further = Site(site.proxy, tmp_path_factory.mktemp("further"), running, dns_port=knot.port)
    (site.proxy.folder / "tsig").write_text(KEY, encoding="ascii")
    hook = site.proxy.folder / "hook"
    hook.write_text(
        '#!/bin/sh\n[ $1 = present ] && do="add $2 60 TXT $3" || do="delete $2 TXT $3"\n'
        f'printf "server 127.0.0.1 {knot.port}\\nzone example.com\\nupdate $do\\nsend\\n" | nsupdate -k {site.proxy.folder}/tsig\n',
        encoding="ascii",
    )
    hook.chmod(0o700)
    wild = route("*.wild.example.com", names=["wild.example.com"])
    further.serve(wild, proxy=WORKERS, challenge="dns-01", dns={"exec": "hook"})
    found = further.wait_for_certificate("any.wild.example.com")
    assert names_in(found) == {"*.wild.example.com", "wild.example.com"}
    assert "*.wild.example.com" in ctl(site, "certificates", "show", "*.wild.example.com")
    assert knot.texts("_acme-challenge.wild.example.com") == []


def load(command: Sequence[str]) -> str:
    """Make requests; return what became of them."""
    result = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
    found = re.search(r"2000 done, .*", result.stdout)
    return found[0] if found else result.stdout + result.stderr


def test_a_renewal_costs_no_client_a_request(site: Site) -> None:
    """New handshakes show the new certificate, open connections go on; the commands are those of docs/acme.md."""
    text = (ROOT / "docs" / "acme.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert {program for program, *_ in commands} == {"mcproxyctl"}
    assert {(*words, "")[:2] for _, *words in commands} >= {
        ("certificates", verb) for verb in ("list", "show", "try", "renew")
    }
    name = "www.example.com"
    site.serve(route(name, names=["example.com"]), proxy=WORKERS)
    first = site.wait_for_certificate(name)
    port = site.proxy.port("TLS")
    loaded = (
        *(require("h2load", "nghttp2-client"), "-n", "2000", "-c", "10", "-m", "4"),
        *(f"--connect-to=127.0.0.1:{port}", f"https://{name}:{port}/"),
    )
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(lambda: [ctl(site, *words) for _, *words in commands])
        told = [load(loaded)]
        while not done.done():
            told.append(load(loaded))
        assert [words for words in done.result() if name not in words] == []
    told.append(load(loaded))
    assert site.shown(name) not in (None, first)
    assert [line for line in told if not re.search(r" 0 failed, 0 errored, 0 timeout", line)] == []


def test_an_order_survives_the_death_of_control(site: Site, held: HeldRelay) -> None:
    """The workers answer meanwhile, the next control fetches what the CA has issued: once."""
    before = site.pebble.issued()
    site.serve(route("e.test"), proxy=WORKERS)
    assert held.came.wait(60)
    site.proxy.kill_control()
    held.opened.set()
    site.proxy.start()
    # else a minute is waited: what has died once may do so again
    wait_for(lambda: site.shown("e.test") is not None or renews(site, "e.test"), 60)
    site.wait_for_certificate("e.test")
    assert site.pebble.issued() == before + 1


def test_a_ca_that_does_not_answer_keeps_nothing_from_being_served(site: Site) -> None:
    """Neither at the start; what was issued before is shown at once."""
    site.serve(route("a.test"), proxy=WORKERS)
    first = site.shown("a.test")
    assert first is not None
    site.pebble.process.signal(signal.SIGSTOP)
    try:
        site.proxy.stop()
        site.proxy.start()
        assert site.shown("a.test") == first
        assert get(site, "METRICS", "/readyz")[0] == 200
    finally:
        site.pebble.process.signal(signal.SIGCONT)
