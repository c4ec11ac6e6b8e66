"""The TLS contexts of routes."""

import ssl

import pytest

from mcproxy.control.files.certificates import Pair, issue, make_ca
from mcproxy.net.tls import Pair as TlsPair
from mcproxy.net.tls import ServerTls, server_context


@pytest.fixture(scope="module")
def pair() -> Pair:
    return issue(make_ca("unit test CA"), ["a.test"])


class Connection:
    """Client and server of one TLS connection over memory; the handshake is done.

    Attributes:
        client: the client's end.
        after: what the server has sent beyond its part of the handshake.
    """

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(to_client, to_server, server_hostname="a.test", session=session)
        serving = server.wrap_bio(to_server, to_client, server_side=True)
        for end in (self.client, serving, self.client):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
        assert not to_client.pending
        serving.do_handshake()
        self.after = to_client.read()
        to_client.write(self.after)
        with pytest.raises(ssl.SSLWantReadError):
            self.client.read(1)


def records(sent: bytes) -> int:
    """Return how many TLS records a text is (RFC 8446, 5.1: type, version, two bytes of length)."""
    count = 0
    while sent:
        sent = sent[5 + int.from_bytes(sent[3:5]) :]
        count += 1
    return count


def test_a_client_gets_one_session_ticket_and_can_resume_with_it(pair: Pair) -> None:
    """A second one costs each connection more than it ever saves."""
    server = server_context(ServerTls((TlsPair(pair.certificate, pair.key),)))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    first = Connection(server, client)
    assert (first.client.version(), first.client.session_reused, records(first.after)) == ("TLSv1.3", False, 1)
    second = Connection(server, client, first.client.session)
    assert second.client.session_reused
    assert records(second.after) == 1
