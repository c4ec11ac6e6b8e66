"""Development certificates: what strict verifiers demand of them."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from mcproxy.control.files.certificates import (
    CA_LIFETIME,
    LEAF_LIFETIME,
    CertificateError,
    Pair,
    check_ca,
    issue,
    make_ca,
    public_key_of,
    read_certificate,
)


@pytest.fixture(scope="module")
def ca() -> Pair:
    return make_ca("unit test CA")


def load(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def verify(ca: Pair, leaf: Pair, name: str) -> Sequence[x509.Certificate]:
    builder = PolicyBuilder().store(Store([load(ca)]))
    return builder.build_server_verifier(x509.DNSName(name)).verify(load(leaf), [])


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Run a handshake in memory; raises what either side raises."""
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(a, b, server_hostname=name), server.wrap_bio(b, a, server_side=True)]
    for _ in range(10):
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
        if not sides:
            return
    raise AssertionError("the handshake does not end")


def contexts(ca: Pair, leaf: Pair, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    chain = folder / "leaf.pem"
    chain.write_bytes(leaf.certificate + leaf.key)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(chain)
    client = ssl.create_default_context(cadata=ca.certificate.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return server, client


@pytest.mark.parametrize("name", ["app.test.example", "any.sub.example", "127.0.0.1", "::1"])
def test_openssl_accepts_every_name_of_a_leaf(ca: Pair, tmp_path: Path, name: str) -> None:
    """OpenSSL in strict mode accepts a leaf for its exact name, its wildcard and its addresses."""
    leaf = issue(ca, ["app.test.example", "*.sub.example", "127.0.0.1", "::1"])
    handshake(*contexts(ca, leaf, tmp_path), name)


def test_openssl_refuses_a_name_that_is_not_in_the_leaf(ca: Pair, tmp_path: Path) -> None:
    """A leaf is good for its own names only."""
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(*contexts(ca, issue(ca, ["app.test.example"]), tmp_path), "other.example")


def test_a_leaf_satisfies_the_web_pki_profile(ca: Pair) -> None:
    """The verifier of cryptography, which follows the CA/Browser Forum, accepts CA and leaf."""
    chain = verify(ca, issue(ca, ["app.test.example"]), "app.test.example")
    assert chain[-1] == load(ca)


def test_a_client_certificate_is_for_clients_only(ca: Pair) -> None:
    """A client certificate carries the client's name as its subject and is refused for a server."""
    leaf = issue(ca, ["alice"], client=True)
    certificate = load(leaf)
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "alice"
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(VerificationError):
        verify(ca, leaf, "alice")


def test_another_ca_is_not_trusted(ca: Pair) -> None:
    """A CA of the same name but another key does not vouch for the leaf."""
    with pytest.raises(VerificationError):
        verify(make_ca("unit test CA"), issue(ca, ["app.test.example"]), "app.test.example")


def test_serials_and_keys_are_never_reused(ca: Pair) -> None:
    """Two leaves of the same name are two certificates with two keys."""
    first, second = issue(ca, ["a.example"]), issue(ca, ["a.example"])
    assert load(first).serial_number != load(second).serial_number
    assert first.key != second.key


def test_default_validity() -> None:
    """Certificates begin a little in the past; leaves last 397 days, CAs ten years."""
    ca = make_ca("validity")
    now = datetime.now(UTC)
    for certificate, lifetime in ((load(ca), CA_LIFETIME), (load(issue(ca, ["a.example"])), LEAF_LIFETIME)):
        assert now - timedelta(minutes=10) < certificate.not_valid_before_utc < now
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= lifetime
        assert certificate.not_valid_after_utc > now + lifetime - timedelta(days=1)


def test_a_leaf_never_outlives_its_ca() -> None:
    """By default a leaf ends with its CA at the latest."""
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    ca = make_ca("short", not_after=end)
    assert load(issue(ca, ["a.example"])).not_valid_after_utc == end


def test_expired_certificates_can_be_made(ca: Pair, tmp_path: Path) -> None:
    """An explicit validity is taken as it is: tests need expired leaves."""
    now = datetime.now(UTC)
    leaf = issue(ca, ["a.example"], not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(*contexts(ca, leaf, tmp_path), "a.example")


def test_a_name_too_long_for_a_subject_still_gets_a_certificate(ca: Pair, tmp_path: Path) -> None:
    """A DNS name of more than 64 characters does not fit a common name; the alternative name carries it."""
    name = f"{'a' * 60}.{'b' * 60}.example"
    handshake(*contexts(ca, issue(ca, [name]), tmp_path), name)


@pytest.mark.parametrize("names", [[], ["ümlaut.example"]])
def test_unusable_names_are_refused(ca: Pair, names: list[str]) -> None:
    """A leaf needs names, in ASCII form."""
    with pytest.raises(CertificateError):
        issue(ca, names)


def test_a_ca_needs_a_name_of_bounded_length() -> None:
    """A subject's common name has 1 to 64 characters."""
    for name in ("", "x" * 65):
        with pytest.raises(CertificateError, match="1 to 64"):
            make_ca(name)


def test_validity_cannot_end_before_it_starts(ca: Pair) -> None:
    """Swapped dates are an error, not a certificate that never works."""
    with pytest.raises(CertificateError, match="before it starts"):
        issue(ca, ["a.example"], not_after=datetime.now(UTC) - timedelta(days=1))


def test_check_ca_tells_the_time_left() -> None:
    """A CA's remaining validity is counted from the given moment, negative once it is over."""
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)
    ca = make_ca("left", not_after=end)
    assert check_ca(ca, end - timedelta(days=2)) == timedelta(days=2)
    assert check_ca(ca, end + timedelta(days=1)) == timedelta(days=-1)


def test_unusable_cas_are_refused(ca: Pair) -> None:
    """A leaf, a foreign key and garbage cannot issue certificates."""
    leaf = issue(ca, ["a.example"])
    bad = {
        "leaf": leaf,
        "belong together": Pair(ca.certificate, make_ca("other").key),
        "not a usable CA": Pair(b"garbage", ca.key),
    }
    for message, pair in bad.items():
        with pytest.raises(CertificateError, match="not a usable CA") as caught:
            issue(pair, ["b.example"])
        if message != "leaf":
            assert message in str(caught.value)


def test_a_certificate_says_what_it_is_for(ca: Pair) -> None:
    """DNS names in one form, without addresses; times with their zone; the public key is its private key's."""
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    leaf = issue(ca, ["A.Example", "*.b.example", "127.0.0.1"], not_after=end)
    certificate = read_certificate(leaf.certificate + ca.certificate)
    assert certificate.names == ("a.example", "*.b.example")
    assert certificate.not_before < datetime.now(UTC) < certificate.not_after == end
    assert certificate.public_key == public_key_of(leaf.key) != public_key_of(ca.key)


def rsa_pair(bits: int) -> Pair:
    """Return a self-signed certificate without alternative names."""
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return Pair(
        builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    )


def test_keys_of_other_kinds_are_read(tmp_path: Path) -> None:
    """RSA in its traditional form; a common name is no name that clients look at."""
    pair = rsa_pair(2048)
    certificate = read_certificate(pair.certificate)
    assert certificate.names == ()
    assert certificate.public_key == public_key_of(pair.key)


def test_a_key_that_openssl_refuses_is_refused(tmp_path: Path) -> None:
    """As the TLS contexts would do, but with a reason."""
    pair = rsa_pair(1024)
    (tmp_path / "pair.pem").write_bytes(pair.certificate + pair.key)
    with pytest.raises(ssl.SSLError, match="TOO_SMALL"):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "pair.pem")
    with pytest.raises(CertificateError, match="RSA key of 1024 bits; at least 2048"):
        read_certificate(pair.certificate)
