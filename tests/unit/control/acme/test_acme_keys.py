"""What is made for an order, as the documents have it."""

import hashlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mcproxy.control.acme import keys
from mcproxy.control.acme.interface import AcmeError, Bundle
from mcproxy.control.files.certificates import issue, make_ca


def test_a_certificate_is_named_as_the_example_of_rfc_9773() -> None:
    """Section 4.1: the first bit of the serial's first byte is set, so a zero goes before it."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    certificate = (
        x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 0x87654321)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .add_extension(x509.AuthorityKeyIdentifier(authority, None, None), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    assert keys.certificate_id(pem) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    assert 0 <= keys.moment_of(pem) < 1


@pytest.mark.parametrize(
    ("issuer", "told"),
    [
        ([(NameOID.COMMON_NAME, "R13"), (NameOID.ORGANIZATION_NAME, "Let's Encrypt")], "Let's Encrypt"),
        ([(NameOID.COMMON_NAME, "Test CA")], "Test CA"),
        ([(NameOID.COUNTRY_NAME, "DE")], "C=DE"),
        ([(NameOID.COMMON_NAME, "\x1b[31mred\nand more")], "\\u001b[31mred and more"),
    ],
)
def test_an_issuer_is_told_as_people_know_it(issuer: list[tuple[x509.ObjectIdentifier, str]], told: str) -> None:
    """By its organization, else by what else it says."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in issuer])
    certificate = (
        x509.CertificateBuilder(name, x509.Name([]), key.public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    assert keys.issuer_of(certificate.public_bytes(Encoding.PEM)) == told


def test_the_certificate_of_a_challenge_is_that_of_rfc_8737() -> None:
    """Its one name, and critically the digest of the key authorization as an OCTET STRING."""
    now = 1_800_000_000.0
    pair = keys.challenge_pair("a.test", "token.thumb", now)
    keys.check(Bundle(pair.certificate, pair.key))
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test"]
    (proof,) = [each for each in certificate.extensions if each.oid.dotted_string == "1.3.6.1.5.5.7.1.31"]
    assert proof.critical
    assert isinstance(proof.value, x509.UnrecognizedExtension)
    assert proof.value.value == b"\x04\x20" + hashlib.sha256(b"token.thumb").digest()
    moment = datetime.fromtimestamp(now, UTC)
    assert certificate.not_valid_before_utc < moment < certificate.not_valid_after_utc


def test_a_request_has_its_names_and_is_signed_by_its_key() -> None:
    """And no common name, which counts for nothing."""
    request = x509.load_der_x509_csr(keys.signing_request(keys.new_key(), ("a.test", "*.b.test")))
    assert request.is_signature_valid
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test", "*.b.test"]
    assert list(request.subject) == []


def test_another_certificates_key_does_not_fit() -> None:
    """Nor does what is none."""
    one, other = (keys.challenge_pair(name, "text", 1.8e9) for name in ("a.test", "b.test"))
    with pytest.raises(AcmeError, match="belongs to another certificate"):
        keys.check(Bundle(one.certificate, other.key))
    with pytest.raises(AcmeError):
        keys.check(Bundle(b"nonsense", other.key))


def test_a_certificate_is_for_all_names_that_were_asked_for() -> None:
    """A wildcard does not stand for a name below it: it would be ordered anew at once."""
    pair = issue(make_ca("test"), ("a.test", "*.b.test"))
    bundle = Bundle(pair.certificate, pair.key)
    keys.check(bundle, ("*.b.test", "a.test"))
    with pytest.raises(AcmeError, match="at most 262144 are of use"):
        keys.check(Bundle(pair.certificate * 500, pair.key))
    with pytest.raises(AcmeError, match=r"it is not for c\.test, x\.b\.test"):
        keys.check(bundle, ("a.test", "x.b.test", "c.test"))
