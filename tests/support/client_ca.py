"""A CA for the certificates of clients: any names in them, intermediate CAs, certificates that are over, and lists of revoked ones."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.certificates import Leaf

_DAY = timedelta(days=1)


def names(text: str) -> x509.GeneralName:
    """Return a name for subjectAltName: what kind it is, its text tells."""
    if "://" in text:
        return x509.UniformResourceIdentifier(text)
    if "@" in text:
        return x509.RFC822Name(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _uses(*, signs: bool, signs_crls: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs_crls,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class ClientCa:
    """A CA, self-signed or below another one.

    Attributes:
        certificate: path of its certificate.
    """

    def __init__(
        self,
        folder: Path,
        name: str = "clients",
        above: "ClientCa | None" = None,
        *,
        is_ca: bool = True,
        begins: timedelta = -10 * _DAY,
        signs: bool = True,
        signs_crls: bool = True,
    ) -> None:
        """Make it: ``begins`` so long from now; what its key may do, ``signs`` (certificates) and ``signs_crls`` say."""
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._revoked: list[int] = []
        self._count = 0
        issuer = above or self
        builder = self._builder(
            self._name, self._key.public_key(), datetime.now(UTC) + 30 * _DAY, issuer, begins
        ).add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if not (signs and signs_crls):
            builder = builder.add_extension(_uses(signs=signs, signs_crls=signs_crls), critical=True)
        built = builder.sign(issuer._key, hashes.SHA256())
        self.pem = built.public_bytes(Encoding.PEM)
        self.serial = built.serial_number
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(self.pem)

    @staticmethod
    def _builder(
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        end: datetime,
        issuer: "ClientCa",
        begins: timedelta = -10 * _DAY,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) + begins)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )

    def client(
        self,
        *san: str,
        extension: x509.ExtensionType | None = None,
        common_name: str | None = None,
        expired: bool = False,
        chain: Sequence["ClientCa"] = (),
        revoked: bool = False,
    ) -> Leaf:
        """Return a client's certificate.

        Args:
            san: its names.
            extension: one to have as well.
            common_name: of its subject, None for an empty one.
            expired: whether it is over.
            chain: intermediate CAs that it comes with.
            revoked: whether `crl` shall name it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        builder = self._builder(
            x509.Name(subject), key.public_key(), datetime.now(UTC) + (-_DAY if expired else _DAY), self
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        if san:
            builder = builder.add_extension(x509.SubjectAlternativeName([names(each) for each in san]), critical=False)
        if extension is not None:
            builder = builder.add_extension(extension, critical=False)
        built = builder.sign(self._key, hashes.SHA256())
        if revoked:
            self._revoked.append(built.serial_number)
        self._count += 1
        stem = self._folder / f"{self.certificate.stem}-{self._count}"
        leaf = Leaf(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        leaf.certificate.write_bytes(built.public_bytes(Encoding.PEM) + b"".join(each.pem for each in chain))
        leaf.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return leaf

    def revoke(self, serial: int) -> None:
        """Have `crl` name a certificate."""
        self._revoked.append(serial)

    def crl(self, ends: timedelta = 7 * _DAY, begins: timedelta = -9 * _DAY) -> bytes:
        """Return its list of revoked certificates, which begins and ends so long from now, or ago."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now + begins)
            .next_update(now + ends)
        )
        for serial in self._revoked:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - 2 * _DAY).build()
            builder = builder.add_revoked_certificate(one)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
