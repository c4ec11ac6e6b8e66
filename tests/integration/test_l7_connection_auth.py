"""A backend connection on which a client has authenticated itself serves no other client, and ends with that client."""

import base64
import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_backends import H2Peer, PlayedBackend
from tests.support.http_clients import H1Client, H2Client, Response, client
from tests.support.l4 import wait_for
from tests.support.l7 import l7_config, l7_route

NAME = "l7.test"
Client = H1Client | H2Client


class NtlmServer:
    """A server of HTTP/1.1 that knows clients by their connections, as NTLM does.

    ``NTLM 1`` is answered with a challenge, ``NTLM 3 name`` on the same connection makes it that client's. Every answer says in
    ``x-connection`` on which connection it came and in its body who is known there.

    Attributes:
        open: the numbers of the connections that are open.
    """

    def __init__(self, challenges: list[str]) -> None:
        self.challenges = challenges
        self.open: set[int] = set()
        self._numbers = itertools.count(1)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self._sockets.append(sock)
                thread = threading.Thread(target=self._talk, args=[sock, next(self._numbers)])
                self._threads.append(thread)
                thread.start()

    def _talk(self, sock: socket.socket, number: int) -> None:
        self.open.add(number)
        known, challenged = "", False
        with contextlib.suppress(OSError), sock, sock.makefile("rb") as reader:
            while (line := reader.readline()) and not line.startswith(b"PRI "):  # HTTP/2 is closed on
                path = line.split()[1].decode()
                fields: dict[str, str] = {}
                while (line := reader.readline().strip()) != b"":
                    name, _, value = line.decode().partition(":")
                    fields[name.lower()] = value.strip()
                kind, *words = fields.get("authorization", "").split()[1:] or [""]
                answer = [f"x-connection: {number}"]
                status = "200 OK"
                if kind == "3" and challenged:
                    known = words[0]
                elif kind == "1":
                    challenged = True
                    status = "401 Unauthorized"
                    answer.append("WWW-Authenticate: NTLM " + base64.b64encode(b"challenge").decode())
                elif path == "/private" and not known:
                    status = "401 Unauthorized"
                    answer += [f"WWW-Authenticate: {challenge}" for challenge in self.challenges]
                body = known or "nobody"
                head = [f"HTTP/1.1 {status}", *answer, f"Content-Length: {len(body)}"]
                sock.sendall(("\r\n".join([*head, "", ""]) + body).encode())
        self.open.discard(number)

    def close(self) -> None:
        for sock in [self._listening, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture(
    scope="module",
    params=[["NTLM"], ['Basic realm="a, b"', "nEgOtIaTe"], ['Digest realm="x", nonce="y", NTLM']],
    ids=["NTLM", "Negotiate", "one-line"],
)
def ntlm(
    fleet: Fleet, request: pytest.FixtureRequest, certs: Certificates
) -> Iterator[tuple[NtlmServer, tuple[str, int]]]:
    server = NtlmServer(request.param)
    try:
        with fleet.serve(l7_config(l7_route(certs, server.port, NAME))) as proxy:
            yield server, ("127.0.0.1", proxy.port())
    finally:
        server.close()


def ask(peer: Client, path: str = "/", credentials: str = "") -> tuple[Response, str]:
    """Return the response, and the number of the connection that it came on."""
    response = peer.request("GET", path, [("authorization", credentials)] if credentials else [])
    return response, dict(response.headers)["x-connection"]


versions = pytest.mark.parametrize("version", ["http/1.1", "h2"])


@versions
def test_a_client_has_its_authenticated_connection_to_itself(
    ntlm: tuple[NtlmServer, tuple[str, int]], version: str
) -> None:
    """The handshake works over one connection, which serves this client on, no other one, and ends with it."""
    server, address = ntlm
    with client(version, address, NAME) as alice, client(version, address, NAME) as bob:
        refused, first = ask(alice, "/private")
        assert refused.status == 401
        assert ask(bob)[1] != first, "a challenge is enough"
        challenge, second = ask(alice, "/private", "NTLM 1")
        granted, third = ask(alice, "/private", "NTLM 3 alice")
        assert (challenge.status, granted.status, granted.body) == (401, 200, b"alice")
        assert first == second == third
        for _ in range(3):
            assert ask(bob, "/")[0].body == b"nobody"
            assert ask(alice, "/")[0].body == b"alice"
        assert ask(bob, "/private")[0].status == 401
        alice.sock.close()
        wait_for(lambda: int(first) not in server.open)
        for _ in range(3):
            assert ask(bob, "/")[0].body == b"nobody"
        with client(version, address, NAME) as carol:
            assert ask(carol)[0].body == b"nobody"


@versions
def test_credentials_alone_make_a_connection_private(ntlm: tuple[NtlmServer, tuple[str, int]], version: str) -> None:
    """A client that knows what is asked begins at once; the connections that others use are not touched."""
    _, address = ntlm
    with client(version, address, NAME) as alice, client(version, address, NAME) as bob:
        _, shared = ask(bob)
        assert ask(alice)[1] == shared, "without credentials they share"
        challenge, own = ask(alice, "/", "ntlm 1")
        assert challenge.status == 401
        assert own != shared
        assert ask(alice, "/", "NTLM 3 alice")[0].body == b"alice"
        assert ask(bob)[1] == shared
        assert ask(bob)[0].body == b"nobody"
        assert ask(alice)[1] == own


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
def test_a_connection_of_http2_is_not_shared_either(fleet: Fleet, certs: Certificates, engine: str) -> None:
    """Where the backend speaks HTTP/2, credentials go on a connection of HTTP/2 that no other client is on."""
    with PlayedBackend("h2c", certs) as backend, ThreadPoolExecutor(2) as pool:
        route = l7_route(certs, backend.port, NAME, backend_protocol="h2")
        with (
            fleet.serve(l7_config(route, http2_engine=engine)) as proxy,
            H2Client(("127.0.0.1", proxy.port()), NAME) as alice,
            H2Client(("127.0.0.1", proxy.port()), NAME) as bob,
        ):
            used = []
            for peer, headers in (
                (alice, []),
                (bob, []),
                (alice, [("authorization", "Negotiate YII=")]),
                (bob, []),
                (alice, []),
            ):
                answer = pool.submit(peer.request, "GET", "/", headers)
                connection, request = backend.request()
                connection.respond(request, 200, [("content-length", "0")], end=True)
                assert answer.result(10).status == 200
                used.append(connection)
            assert used[0] is used[1] is used[3]
            assert used[2] is used[4]
            assert used[2] is not used[0]
            alice.sock.close()
            own = used[2]
            assert isinstance(own, H2Peer)
            own.run_until_closed()
