"""X.509 certificates by `cryptography`: a certificate authority for development and tests, and leaves issued by it.

The profile is RFC 5280's with the CA/Browser Forum's habits, so that strict verifiers (``VERIFY_X509_STRICT``, browsers,
Go) accept the result: EC P-256 keys, random serials, key identifiers, names in the subject alternative name only where
they count, extended key usage, a leaf never outlives its CA.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mcproxy.errors import McproxyError

CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=397)
"""Browsers refuse leaves that are valid for longer than 398 days."""
CLOCK_SKEW = timedelta(minutes=5)
"""A certificate is valid from a little before it was made, for peers whose clock is behind."""

_COMMON_NAME_LIMIT = 64  # RFC 5280 appendix A, ub-common-name


class CertificateError(McproxyError):
    """A certificate or key cannot be used for what was asked; the text says why."""


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its private key, both PEM; the key is unencrypted PKCS #8."""

    certificate: bytes
    key: bytes


def make_ca(common_name: str, *, not_before: datetime | None = None, not_after: datetime | None = None) -> Pair:
    """Make a self-signed certificate authority that may issue leaves only (path length 0).

    Args:
        common_name: the subject, at most 64 characters; people see it in their trust store.
        not_before: start of validity, timezone-aware; default five minutes ago.
        not_after: end of validity, timezone-aware; default `CA_LIFETIME` after the start.

    Raises:
        CertificateError: the common name is empty or too long, or validity ends before it starts.
    """
    if not 0 < len(common_name) <= _COMMON_NAME_LIMIT:
        raise CertificateError(f"a CA's common name has 1 to {_COMMON_NAME_LIMIT} characters, not {len(common_name)}")
    start, end = _validity(not_before, not_after, CA_LIFETIME)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(name, name, key.public_key(), start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue(
    ca: Pair,
    names: Sequence[str],
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    client: bool = False,
) -> Pair:
    """Issue a leaf certificate with a new key.

    Args:
        ca: the issuer, as `make_ca` returns it.
        names: what the certificate is for, the main name first: DNS names in ASCII form (wildcards allowed) and IP
            addresses; for a client certificate the first is also what servers see as the client's name.
        not_before: start of validity, timezone-aware; default five minutes ago, but not before the CA's.
        not_after: end of validity, timezone-aware; default `LEAF_LIFETIME` after the start, but not after the CA's.
        client: for TLS client authentication instead of servers.

    Raises:
        CertificateError: no name, a name that is neither DNS name nor address, an unusable CA, or no time left.
    """
    if not names:
        raise CertificateError("a leaf certificate needs at least one name")
    issuer, issuer_key = _load(ca)
    start, end = _validity(not_before, not_after, LEAF_LIFETIME)
    start = start if not_before else max(start, issuer.not_valid_before_utc)
    end = end if not_after else min(end, issuer.not_valid_after_utc)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names[:1] if len(name) <= _COMMON_NAME_LIMIT]
    )
    try:
        certificate = (
            _builder(subject, issuer.subject, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            # RFC 5280 section 4.2.1.6: critical when the subject is empty
            .add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=not list(subject))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
    except ValueError as error:
        raise CertificateError(f"cannot issue a certificate for {', '.join(names)}: {error}") from error
    return _pair(certificate, key)


def check_ca(ca: Pair, now: datetime) -> timedelta:
    """Return how long the CA stays valid after ``now``; zero or less when it has expired.

    Raises:
        CertificateError: the pair does not parse, does not belong together, or is no CA.
    """
    certificate, _ = _load(ca)
    return certificate.not_valid_after_utc - now


def _validity(
    not_before: datetime | None, not_after: datetime | None, lifetime: timedelta
) -> tuple[datetime, datetime]:
    start = not_before or datetime.now(UTC) - CLOCK_SKEW
    end = not_after or start + lifetime
    if end <= start:
        raise CertificateError(f"a certificate cannot end ({end}) before it starts ({start})")
    return start, end


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate=certificate.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _load(ca: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(ca.certificate)
        key = load_pem_private_key(ca.key, password=None)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound, InvalidSignature) as error:
        raise CertificateError(f"not a usable CA: {str(error) or type(error).__name__}") from error
    if not constraints.ca:
        raise CertificateError("not a usable CA: the certificate is a leaf")
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("not a usable CA: its key is no EC key")
    if key.public_key() != certificate.public_key():
        raise CertificateError("not a usable CA: certificate and key do not belong together")
    return certificate, key
