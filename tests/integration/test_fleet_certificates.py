"""Certificates in a fleet: one node orders, every node answers the CA, the others fetch what it got."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from mcproxy.client import Client, FailedPreconditionError
from mcproxy.control.files.certificates import read_certificate
from mcproxy.model.fleet import orders
from tests.support.certificates import Certificates
from tests.support.etcd import Cluster
from tests.support.nodes import Node, Nodes, fleet_of
from tests.support.pebble import Pebble
from tests.support.ports import free_port
from tests.support.processes import Processes

pytestmark = pytest.mark.soak  # an etcd, a CA and two nodes
NAMES = ("edge-1", "edge-2")


class Site:
    """Where the CA looks: at the second node."""

    def __init__(self) -> None:
        self.http_port, self.tls_port = free_port(), free_port()


class Edges:
    """Two nodes whose admin API is served to each other, and a CA that looks at the second one alone.

    Attributes:
        nodes: as they are tested.
        pebble: the CA.
        site: the ports of their listeners.
    """

    def __init__(self, nodes: Nodes, pebble: Pebble, site: Site, folder: Path) -> None:
        self.nodes, self.pebble, self.site = nodes, pebble, site
        self._folder = folder

    def document(self, challenge: str, *names: str) -> str:
        """Return a document that orders certificates."""
        routes = "".join(
            f'[[listeners.routes]]\nhostname = "{name}"\nmode = "l7"\ncertificate = "acme"\nrespond = "{name}"\n'
            for name in names
        )
        return (
            f'[proxy]\nworkers = 2\n[acme]\ndirectory = "{self.pebble.directory}"\nca = "{self.pebble.ca}"\nchallenge = "{challenge}"\n'
            f'[[listeners]]\naddr = ":{self.site.http_port}"\nprotocol = "http"\nroutes = [{{ hostname = "*", respond = "plain" }}]\n'
            f'[[listeners]]\naddr = ":{self.site.tls_port}"\n{routes}'
        )

    def shown(self, node: Node, name: str) -> int:
        """Return the serial number of the certificate that a node shows for a name; 0 for none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection((node.address, self.site.tls_port), 10) as raw,
                context.wrap_socket(raw, server_hostname=name) as tls,
            ):
                return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"").serial_number
        except OSError:
            return 0

    def let_order(self, node: str, name: str) -> None:
        """Have one node order for a name, and no other."""
        self.nodes.cluster.ctl("put", f"{self.nodes.prefix}/{orders.ORDER}{name}", f'{{"node":"{node}"}}')

    def wait_shown(self, name: str, *, other_than: int = 0) -> int:
        """Wait until all nodes show the same certificate for a name; return its serial number."""

        def look() -> int:
            serials = {self.shown(node, name) for node in self.nodes}
            return serials.pop() if len(serials) == 1 and not serials & {0, other_than} else 0

        return self.nodes.wait(look, f"{name} has a certificate on all nodes", timeout=60)


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Edges]:
    folder = tmp_path_factory.mktemp("certificates")
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(contextlib.closing(Cluster(folder, certs, size=1)))
        running = stack.enter_context(Processes(folder))
        site = Site()
        pebble = Pebble(running, folder, site, address="127.0.0.3")
        nodes = stack.enter_context(fleet_of(cluster, certs, NAMES))
        leaf = certs.server("127.0.0.2", "127.0.0.3")
        for node in nodes:
            cluster.allow(node.name, nodes.prefix)
            api = f'[grpc]\naddr = ":PORT_G"\ntls_cert = "{leaf.certificate}"\ntls_key = "{leaf.key}"\nclient_ca = "{certs.ca}"\n'
            node.proxy.save(nodes.text(node.name, node.address, api))
        cluster.demand_names()
        nodes.start()
        yield Edges(nodes, pebble, site, folder)


@pytest.mark.parametrize("challenge", ["tls-alpn-01", "http-01"])
def test_one_node_orders_and_another_one_answers_the_ca(edges: Edges, challenge: str) -> None:
    """Both serve one certificate, and no key has been in the store."""
    name, before = f"{challenge}.example.com", edges.pebble.issued()
    edges.let_order("edge-1", name)
    edges.nodes.wait_live(edges.nodes.push(edges.document(challenge, name)))
    edges.wait_shown(name)
    assert edges.pebble.issued() == before + 1
    contents = edges.nodes.view().contents
    issued = orders.issued_of(contents, name)
    assert issued is not None
    assert issued.node == "edge-1"
    assert issued.names == (name,)
    assert not [key for key, item in contents.items.items() if b"PRIVATE KEY" in item.value]
    edges.nodes.wait(lambda: f"{orders.ANSWERS}edge-1" not in edges.nodes.view().contents.items, "no challenge is left")
    for node in edges.nodes:
        file = node.proxy.folder / "acme" / f"{name}.pem"
        assert name in read_certificate(file.read_bytes()).names
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_renewal_is_one_for_all(edges: Edges) -> None:
    """Whichever node renews, the others have it a moment later; the lock is free again."""
    name = "renewed.example.com"
    edges.nodes.wait_live(edges.nodes.push(edges.document("tls-alpn-01", name)))
    first, before = edges.wait_shown(name), edges.pebble.issued()
    with edges.nodes["edge-2"].client() as client:
        client.renew_certificate(name)
    assert edges.wait_shown(name, other_than=first) != first
    assert edges.pebble.issued() == before + 1
    issued = orders.issued_of(edges.nodes.view().contents, name)
    assert issued is not None
    assert issued.node == "edge-2"
    edges.nodes.wait(lambda: not orders.orderer_of(edges.nodes.view().contents, name), "the lock is free")
    edges.nodes.push(edges.document("tls-alpn-01", "else.example.com"))
    edges.nodes.wait(lambda: orders.issued_of(edges.nodes.view().contents, name) is None, "nothing is kept of it")


def test_keys_are_for_nodes_alone(edges: Edges, certs: Certificates) -> None:
    """An operator with a certificate of the same CA, and who calls over the Unix socket, are refused; a node gets what is there."""
    name = "private.example.com"
    edges.nodes.wait_live(edges.nodes.push(edges.document("tls-alpn-01", name)))
    edges.wait_shown(name)
    node = edges.nodes["edge-1"]
    with node.client() as client, pytest.raises(FailedPreconditionError, match="has shown no certificate"):
        client.fetch_certificate(name)
    place = f"127.0.0.2:{node.proxy.port('G')}"
    for who, given in (("ops-1", False), ("edge-2", True)):
        leaf = certs.client(who)
        with Client(place, tls_ca=certs.ca, tls_cert=leaf.certificate, tls_key=leaf.key) as client:
            if given:
                assert b"PRIVATE KEY" in client.fetch_certificate(name).key
            else:
                with pytest.raises(
                    FailedPreconditionError, match="keys are for the nodes of the fleet alone, and ops-1 is none"
                ):
                    client.fetch_certificate(name)
