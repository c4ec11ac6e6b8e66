"""X.509 certificates by `cryptography`: what is in them, and a CA with leaves for development and tests.

What is issued here has RFC 5280's profile with the CA/Browser Forum's habits, so that strict verifiers (``VERIFY_X509_STRICT``, browsers,
Go) accept the result: EC P-256 keys, random serials, key identifiers, names in the subject alternative name only where
they count, extended key usage, a leaf never outlives its CA.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
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
_RSA_MINIMUM = 2048  # bits, at the security level that Python asks OpenSSL for
_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_CRL_BEGINS = b"-----BEGIN X509 CRL-----"
_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
# A key may stand behind its EC parameters or beside its certificate.
_PEM_KEY = re.compile(rb"(-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \2-----)", re.DOTALL)


class CertificateError(McproxyError):
    """A certificate or key cannot be used for what was asked; the text says why."""


class Certificate(msgspec.Struct, frozen=True):
    """What a certificate says about itself.

    Attributes:
        names: DNS names it is good for, in lower case, without a trailing dot.
        not_before: start of its validity, timezone-aware.
        not_after: end of its validity, timezone-aware.
        public_key: DER (SubjectPublicKeyInfo).
        key_type: "RSA", "ECDSA" or another word, of which a server shows one certificate each.
    """

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    public_key: bytes
    key_type: str


class Authority(msgspec.Struct, frozen=True):
    """A certificate among those that vouch for others.

    Attributes:
        subject, issuer: names in DER.
        name, issuer_name: the same for people.
        is_ca: whether it may vouch for anybody.
        signs_crls: whether it may revoke certificates.
        not_before: start of its validity, timezone-aware.
        not_after: end of its validity, timezone-aware.
        pem: itself.
    """

    subject: bytes
    issuer: bytes
    name: str
    issuer_name: str
    is_ca: bool
    signs_crls: bool
    not_before: datetime
    not_after: datetime
    pem: bytes


class Revocations(msgspec.Struct, frozen=True):
    """A list of revoked certificates (CRL).

    Attributes:
        issuer: the name of its CA in DER.
        name: the same for people.
        last_update: from when on it holds, timezone-aware.
        next_update: when it ends, timezone-aware; None for never.
        pem: itself.
    """

    issuer: bytes
    name: str
    last_update: datetime
    next_update: datetime | None
    pem: bytes

    def is_signed_by(self, authority: Authority) -> bool:
        """Tell whether a CA has made it."""
        key: Any = x509.load_pem_x509_certificate(authority.pem).public_key()
        try:
            return x509.load_pem_x509_crl(self.pem).is_signature_valid(key)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return False


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its private key, both PEM; the key is unencrypted PKCS #8."""

    certificate: bytes
    key: bytes


def read_certificate(pem: bytes) -> Certificate:
    """Return what the first certificate of a chain says; all of the chain must parse.

    Raises:
        CertificateError: there is no certificate, one does not parse, or the key is weaker than OpenSSL accepts.
    """
    if _PEM_CERTIFICATE not in pem:
        raise CertificateError("holds no PEM certificate")
    try:
        chain = x509.load_pem_x509_certificates(pem)
        leaf = chain[0]
        key = leaf.public_key()
        public_key = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = _dns_names(leaf)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"holds a certificate that can't be read: {_first_sentence(error)}") from error
    if len(chain) != pem.count(_PEM_CERTIFICATE):
        raise CertificateError("holds a certificate that is cut off")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _RSA_MINIMUM:
        raise CertificateError(f"has an RSA key of {key.key_size} bits; at least {_RSA_MINIMUM} are needed")
    kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA" if isinstance(key, ec.EllipticCurvePublicKey) else ""
    return Certificate(
        names,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        public_key,
        kind or type(key).__name__.removesuffix("PublicKey").lstrip("_"),
    )


def read_authorities(pem: bytes) -> tuple[Authority, ...]:
    """Return the certificates of CAs; raises `CertificateError` if there are none, or one does not parse."""
    read_certificate(pem)
    return tuple(
        Authority(
            each.subject.public_bytes(),
            each.issuer.public_bytes(),
            each.subject.rfc4514_string(),
            each.issuer.rfc4514_string(),
            _is_ca(each),
            _may(each, "crl_sign"),
            each.not_valid_before_utc,
            each.not_valid_after_utc,
            each.public_bytes(Encoding.PEM),
        )
        for each in x509.load_pem_x509_certificates(pem)
    )


def read_revocations(pem: bytes) -> tuple[Revocations, ...]:
    """Return CRLs; raises `CertificateError` if there are none, or one does not parse."""
    blocks = _PEM_CRL.findall(pem)
    if not blocks or len(blocks) != pem.count(_CRL_BEGINS):
        raise CertificateError("holds a CRL that is cut off" if _CRL_BEGINS in pem else "holds no PEM CRL")
    try:
        crls = [x509.load_pem_x509_crl(block) for block in blocks]
    except ValueError as error:
        raise CertificateError(f"holds a CRL that can't be read: {_first_sentence(error)}") from error
    return tuple(
        Revocations(
            crl.issuer.public_bytes(), crl.issuer.rfc4514_string(), crl.last_update_utc, crl.next_update_utc, block
        )
        for crl, block in zip(crls, blocks, strict=True)
    )


def in_force(lists: Iterable[Revocations]) -> tuple[Revocations, ...]:
    """Return of the CRLs of each CA the one that ends last: as long as one of them holds, clients are judged by it."""
    never = datetime.max.replace(tzinfo=UTC)
    latest: dict[bytes, Revocations] = {}
    for each in lists:
        known = latest.get(each.issuer)
        if known is None or (each.next_update or never) > (known.next_update or never):
            latest[each.issuer] = each
    return tuple(latest.values())


def public_key_of(pem: bytes) -> bytes:
    """Return the public half of a private key, as `Certificate.public_key` has it.

    Raises:
        CertificateError: there is no private key, it is encrypted, or it does not parse.
    """
    blocks = _PEM_KEY.findall(pem)
    if not blocks:
        raise CertificateError("holds no complete PEM private key")
    try:
        key = load_pem_private_key(blocks[0][0], password=None)
    except TypeError as error:
        raise CertificateError(
            "is encrypted; mcproxy asks for no passwords: store it unencrypted, readable by mcproxy alone"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"can't be read: {_first_sentence(error)}") from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


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


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower().removesuffix(".") for name in names.get_values_for_type(x509.DNSName))


def _is_ca(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may vouch for others: it says so, or is of version 1, which had no word for it."""
    try:
        says = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        says = certificate.version is x509.Version.v1
    return says and _may(certificate, "key_cert_sign")


def _may(certificate: x509.Certificate, use: str) -> bool:
    """Tell whether the key of a certificate may be used so; where nothing is said of its uses it may (RFC 5280 section 4.2.1.3)."""
    try:
        return bool(getattr(certificate.extensions.get_extension_for_class(x509.KeyUsage).value, use))
    except x509.ExtensionNotFound:
        return True


def _first_sentence(error: Exception) -> str:
    return str(error).partition(". See ")[0].partition("\n")[0]


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
