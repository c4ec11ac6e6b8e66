"""A proxy whose certificates are issued by Let's Encrypt's test CA."""

import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import tomlkit
from cryptography import x509

from mcproxy.client import Client
from tests.support.l4 import wait_for
from tests.support.pebble import Pebble
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener


class Ports:
    """Where the CA looks: at the proxy's listeners, unless something stands before that for TLS."""

    def __init__(self, proxy: Proxy, tls_port: int | None) -> None:
        self.tls_port, self.http_port = proxy.port("TLS") if tls_port is None else tls_port, proxy.port("HTTP")


class Site:
    """A proxy that has its certificates from a CA of its own.

    Attributes:
        proxy: running.
        pebble: the CA.
        text: of the config in effect.
    """

    def __init__(
        self, proxy: Proxy, folder: Path, processes: Processes, tls_port: int | None = None, dns_port: int = 0
    ) -> None:
        """Start a CA for a proxy.

        Args:
            proxy: that has its certificates from it.
            folder: of the CA.
            processes: ends it.
            tls_port: where it looks, if that is not the proxy's port.
            dns_port: of the server that it asks; 0 for one that has every name on this machine.
        """
        self.proxy = proxy
        self.pebble = Pebble(processes, folder, Ports(proxy, tls_port), dns_port=dns_port)
        self._ca = f"{folder.name}.pem"
        shutil.copy(self.pebble.ca, proxy.folder / self._ca)
        self.text = ""

    @property
    def folder(self) -> Path:
        """Return the folder of certificates."""
        return self.proxy.folder / "acme"

    def serve(self, *routes: Table, **acme: Any) -> None:
        """Serve routes, and wait until they are live."""
        self.text = config(*routes, **{"directory": self.pebble.directory, "ca": self._ca, **acme})
        self.proxy.save(self.text)
        with self.client() as client:
            client.reload()

    def client(self) -> Client:
        """Return a client of the admin API."""
        return Client(f"unix:{self.proxy.folder / 'mc-proxy.sock'}")

    def shown(self, name: str) -> x509.Certificate | None:
        """Return the certificate that clients of a name see, None where the handshake is refused."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.proxy.port("TLS")), 10) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=name) as tls:
                    der = tls.getpeercert(binary_form=True)
            except (ssl.SSLError, ConnectionError):
                return None
        assert der is not None
        return x509.load_der_x509_certificate(der)

    def wait_for_certificate(self, name: str, other_than: x509.Certificate | None = None) -> x509.Certificate:
        """Wait until clients of a name see a certificate of the CA."""
        wait_for(lambda: self.shown(name) not in (None, other_than), 60)
        found = self.shown(name)
        assert found is not None
        assert "Pebble" in found.issuer.rfc4514_string()
        return found


def route(name: str, **keys: object) -> Table:
    """Return a route with a certificate that is ordered."""
    return {"hostname": name, "mode": "l7", "certificate": "acme", "respond": name, **keys}


def config(*routes: Table, proxy: Table | None = None, clear: Table | None = None, **acme: Any) -> str:
    """Return a config with these routes, a listener for HTTP that redirects, and settings of `[acme]`.

    Args:
        routes: of the listener for TLS.
        proxy: further keys of `[proxy]`.
        clear: of the route that redirects.
        acme: of `[acme]`.
    """
    redirected: Table = {"hostname": "*", "redirect": "https://{host}{uri}", **(clear or {})}
    tables: Table = {
        "log": {"format": "json"},
        "metrics": {"addr": "127.0.0.1:PORT_METRICS"},
        "proxy": {"workers": 2, "shutdown_timeout": "1s", **(proxy or {})},
        "acme": acme,
        "listeners": [
            listener("127.0.0.1:PORT_TLS", routes),
            listener("127.0.0.1:PORT_HTTP", [redirected], protocol="http"),
        ],
    }
    return tomlkit.dumps(tables)


def names_in(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.DNSName))
