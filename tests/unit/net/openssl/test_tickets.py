"""The keys of session tickets: which contexts have the same."""

import ssl
from typing import Any

import msgspec
import pytest

from mcproxy.control.files.certificates import issue, make_ca
from mcproxy.control.workers.ticket_secrets import TicketSecrets
from mcproxy.model.state.snapshot import TlsEntry
from mcproxy.model.state.tls_options import TlsTerms
from mcproxy.net.openssl.tickets import Tickets, expand, keys
from mcproxy.net.tls import Pair, ServerTls, server_context
from tests.support.session_tickets import no_tickets, secret_words
from tests.unit.net.test_tls import Connection

_HOUR = 3600
_ENTRY = TlsEntry((("certificate", "key"),), TlsTerms(), "ca", "crl")


@pytest.fixture(scope="module")
def tls() -> ServerTls:
    made = issue(make_ca("unit test CA"), ["a.test"])
    return ServerTls((Pair(made.certificate, made.key),))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def client(request: pytest.FixtureRequest) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = request.param
    return context


def resumes(first: ssl.SSLContext, second: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Tell whether a session with one context goes on with another."""
    session = Connection(first, client).client.session
    return bool(Connection(second, client, session).client.session_reused)


def test_workers_accept_the_tickets_of_each_other(tls: ServerTls, client: ssl.SSLContext) -> None:
    """Their contexts are different ones, their secret is the same."""
    shared = secret_words()
    TicketSecrets(shared)
    one, other, foreign = (server_context(tls) for _ in range(3))
    for context in (one, other):
        Tickets(shared).key(context, _ENTRY)
    no_tickets().key(foreign, _ENTRY)
    assert resumes(one, other, client)
    assert not resumes(one, foreign, client)


def test_a_new_secret_ends_sessions(tls: ServerTls, client: ssl.SSLContext) -> None:
    """Each worker takes note of it."""
    shared = secret_words()
    control, tickets, context = TicketSecrets(shared), Tickets(shared), server_context(tls)
    tickets.key(context, _ENTRY)
    session = Connection(context, client).client.session
    assert not tickets.renew()
    control.renew(shared.made_at() + 12 * _HOUR)
    assert tickets.renew()
    tickets.key(context, _ENTRY)
    assert not Connection(context, client, session).client.session_reused
    assert resumes(context, context, client)


def test_routes_that_ask_for_certificates_get_no_keys(tls: ServerTls, client: ssl.SSLContext) -> None:
    """Their contexts make no tickets in the first place; a client that has one of before is none the better for it."""
    shared = secret_words()
    TicketSecrets(shared)
    entry = TlsEntry(_ENTRY.pairs, TlsTerms(client_auth="optional"))
    one, other = server_context(tls), server_context(tls)
    for context in (one, other):
        Tickets(shared).key(context, entry)
    assert not resumes(one, other, client)


def test_whatever_differs_in_tls_makes_other_keys() -> None:
    """A ticket of one route is of no use where another one's TLS would ask for more, or prove something else."""
    others: list[TlsEntry] = [
        *(
            msgspec.structs.replace(_ENTRY, **change)
            for change in (
                {"pairs": (("certificate", "other"),)},
                {"pairs": (("other", "key"),)},
                {"pairs": (*_ENTRY.pairs, *_ENTRY.pairs)},
                {"pairs": ()},
                {"client_ca": "other"},
                {"client_crl": "other"},
                {"client_ca": "crl", "client_crl": "ca"},
            )
        ),
        *(msgspec.structs.replace(_ENTRY, terms=TlsTerms(**{name: value})) for name, value in _other_terms()),
    ]
    made = {keys(b"s" * 32, entry) for entry in (_ENTRY, *others)}
    assert len(made) == 1 + len(others)
    assert keys(b"t" * 32, _ENTRY) not in made
    assert keys(b"s" * 32, TlsEntry((("certificate", "key"),), TlsTerms(), "ca", "crl")) in made


def _other_terms() -> list[tuple[str, Any]]:
    """Return another value of each key of ``tls``; a new key fails the test until there is one of it, too."""
    other: dict[str, Any] = {
        "min_version": "1.3",
        "ciphers": "ECDHE+AESGCM",
        "curves": ("X25519",),
        "client_auth": "require",
        "client_ca": "ca.pem",
        "client_names": ("a.test",),
        "client_crl": "crl.pem",
        "forward_client_cert": True,
    }
    return [(name, other[name]) for name in TlsTerms.__struct_fields__]


@pytest.mark.parametrize(
    ("prk", "info", "length", "okm"),
    [
        (
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "f0f1f2f3f4f5f6f7f8f9",
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            bytes(range(0xB0, 0x100)).hex(),
            82,
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
    ],
)
def test_keys_are_expanded_as_rfc_5869_says(prk: str, info: str, length: int, okm: str) -> None:
    """Its test cases 1 and 2."""
    assert expand(bytes.fromhex(prk), bytes.fromhex(info), length).hex() == okm
