"""Where a PEM file is not laid out as OpenSSL wants it."""

import ssl
from collections.abc import Callable

import pytest

from mcproxy.control.files.certificates import Pair, issue, make_ca
from mcproxy.net.pem import layout_fault
from mcproxy.net.tls import Pair as TlsPair
from mcproxy.net.tls import ServerTls, TlsError, client_context, server_context

Change = Callable[[bytes, bytes], bytes]

FAULTS: list[tuple[str, Change, str]] = [
    ("glued", lambda leaf, ca: leaf.strip() + ca, "a line break is missing after -----END CERTIFICATE-----"),
    ("glued behind text", lambda leaf, _: b"text" + leaf, "a line break is missing before -----BEGIN CERTIFICATE-----"),
    ("indented", lambda leaf, _: b"  " + leaf, "blanks stand before -----BEGIN CERTIFICATE-----, which must begin"),
    ("carriage returns", lambda leaf, _: leaf.replace(b"\n", b"\r"), "ends with a carriage return alone"),
    ("cut off", lambda leaf, ca: leaf + ca[:-40], "the CERTIFICATE has no end"),
    ("no Base64", lambda leaf, ca: leaf + ca.replace(b"MII", b"M!I"), "the line is no Base64, within the CERTIFICATE"),
]
GOOD: list[tuple[str, Change]] = [
    ("chain", lambda leaf, ca: leaf + ca),
    ("line ends of Windows", lambda leaf, _: leaf.replace(b"\n", b"\r\n")),
    ("no last line break", lambda leaf, _: leaf.strip()),
    ("byte order mark", lambda leaf, _: b"\xef\xbb\xbf" + leaf),
    ("comments", lambda leaf, ca: b"s:/CN=a -- b\n" + leaf + "Autorité\n".encode() + ca),
]


@pytest.fixture(scope="module")
def ca() -> Pair:
    return make_ca("unit test CA")


@pytest.fixture(scope="module")
def leaf(ca: Pair) -> Pair:
    return issue(ca, ["a.test"])


@pytest.mark.parametrize(("change", "fault"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_what_openssl_refuses_is_told_with_its_line(change: Change, fault: str, ca: Pair, leaf: Pair) -> None:
    """For certificates, and for CAs."""
    pem = change(leaf.certificate, ca.certificate)
    line, message = layout_fault(pem)
    assert fault in message
    assert 1 <= line <= pem.replace(b"\r", b"\n").count(b"\n") + 1
    with pytest.raises(TlsError, match=fault) as told:
        server_context(ServerTls((TlsPair(pem, leaf.key),)))
    assert (told.value.part, told.value.line) == ("certificate", line)
    with pytest.raises(TlsError, match=fault):
        client_context(pem, ())


def test_the_line_is_the_one_with_the_fault(ca: Pair, leaf: Pair) -> None:
    """A glued chain is at fault where its first certificate ends."""
    assert layout_fault(leaf.certificate.strip() + ca.certificate)[0] == leaf.certificate.count(b"\n")


def test_a_fault_of_the_key_is_told_of_the_key(ca: Pair, leaf: Pair) -> None:
    """So that nobody looks into the certificate."""
    with pytest.raises(TlsError, match="a line break is missing") as told:
        server_context(ServerTls((TlsPair(leaf.certificate, leaf.certificate.strip() + leaf.key),)))
    assert told.value.part == "key"


@pytest.mark.parametrize("change", [case[1] for case in GOOD], ids=[case[0] for case in GOOD])
def test_what_openssl_takes_has_no_fault(change: Change, ca: Pair, leaf: Pair) -> None:
    """Comments in any language included, also among CAs."""
    pem = change(leaf.certificate, ca.certificate)
    assert layout_fault(pem) == (0, "")
    assert isinstance(server_context(ServerTls((TlsPair(pem, leaf.key),))), ssl.SSLContext)
    assert len(client_context(pem, ()).get_ca_certs(binary_form=True)) <= 2
