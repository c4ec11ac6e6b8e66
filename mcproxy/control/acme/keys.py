"""Keys, requests and certificates of an order."""

import base64
import hashlib
import math
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from mcproxy.control.acme.interface import AcmeError, Bundle, one_line
from mcproxy.control.files.certificates import (
    CertificateError,
    Pair,
    public_key_of,
    read_certificate,
)

_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING_OF_32 = b"\x04\x20"
_LONGEST = 1 << 18  # bytes of a chain, of which clients take less
_CHALLENGE_LIFETIME = timedelta(days=1)


def new_key() -> bytes:
    """Return a new EC P-256 key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return an EC P-256 key.

    Raises:
        AcmeError: it is no such key.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise AcmeError("no private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise AcmeError("no EC P-256 key")
    return key


def signing_request(key: bytes, names: Sequence[str]) -> bytes:
    """Return what a CA is to sign (PKCS #10, DER) for these DNS names."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = request.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return request.sign(load_key(key), hashes.SHA256()).public_bytes(Encoding.DER)


def challenge_pair(name: str, text: str, now: float) -> Pair:
    """Return the certificate that answers tls-alpn-01 (RFC 8737 section 3), and its key.

    Args:
        name: that is proven to be ours.
        text: the key authorization.
        now: seconds since 1970.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme-tls/1")])
    start = datetime.fromtimestamp(now, UTC) - _CHALLENGE_LIFETIME
    proof = _OCTET_STRING_OF_32 + hashlib.sha256(text.encode()).digest()
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + 2 * _CHALLENGE_LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, proof), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM), pem)


def check(bundle: Bundle, names: Collection[str] = ()) -> None:
    """Check that a certificate can be read, that the key is its own, and that it is for all of some names.

    Raises:
        AcmeError: it is not so.
    """
    try:
        certificate = read_certificate(bundle.chain)
        fits = certificate.public_key == public_key_of(bundle.key)
    except CertificateError as error:
        raise AcmeError(str(error)) from error
    if not fits:
        raise AcmeError("the key belongs to another certificate")
    if len(bundle.chain) > _LONGEST:
        raise AcmeError(f"it has {len(bundle.chain)} bytes with its chain; at most {_LONGEST} are of use")
    missing = sorted(set(names) - set(certificate.names))
    if missing:
        raise AcmeError(f"it is not for {', '.join(missing)}")


def certificate_id(chain: bytes) -> str:
    """Return by which name a CA tells about renewal (RFC 9773 section 4.1), "" if it can't be told.

    Args:
        chain: PEM, the certificate first.
    """
    certificate = x509.load_pem_x509_certificate(chain)
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return ""
    if authority is None:
        return ""
    serial = certificate.serial_number
    # as in its DER: a leading zero where the first bit would be a sign
    octets = serial.to_bytes(math.ceil((serial.bit_length() + 1) / 8), "big")
    return f"{_base64url(authority)}.{_base64url(octets)}"


def issuer_of(chain: bytes) -> str:
    """Return the organization that has signed a certificate (PEM), or what its CA calls itself."""
    issuer = x509.load_pem_x509_certificate(chain).issuer
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        found = issuer.get_attributes_for_oid(kind)
        if found:
            return one_line(str(found[0].value))
    return one_line(issuer.rfc4514_string())


def moment_of(chain: bytes) -> float:
    """Return a number from 0 to 1 that is chance, and the same for a certificate each time it is asked."""
    digest = hashlib.sha256(x509.load_pem_x509_certificate(chain).public_bytes(Encoding.DER)).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
