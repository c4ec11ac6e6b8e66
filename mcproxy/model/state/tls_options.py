"""The keys of `tls` of a route, and of a listener, whose values its l7 routes have where they say nothing themselves.

`RouteTls` is what the files say, each key perhaps not at all; `TlsTerms` is what holds for a route then.
"""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mcproxy.declared import Annotated
from mcproxy.model.values.leaf_types import CipherList, ClientName, CurveName, FilePath

ClientAuth: TypeAlias = Literal["off", "optional", "require"]
MinVersion: TypeAlias = Literal["1.2", "1.3"]
Who: TypeAlias = tuple[ClientAuth, str, str, tuple[str, ...]]
"""Whether clients are asked for certificates, the files that these are judged by, or digests of what they hold, and the names that are let in."""


class RouteTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How TLS is spoken with clients; a key that a route leaves out is that of its listener."""

    min_version: Annotated[
        MinVersion | UnsetType,
        Meta(description='The oldest version that clients may speak: "1.2" or "1.3". Default "1.2".'),
    ] = UNSET
    ciphers: Annotated[
        CipherList | UnsetType,
        Meta(
            description="Ciphers of TLS 1.2 in OpenSSL's words, the preferred ones first; those of TLS 1.3 are always the library's. Default \"\" = the "
            "library's own."
        ),
    ] = UNSET
    curves: Annotated[
        tuple[CurveName, ...] | UnsetType,
        Meta(
            description="Groups for the key exchange in OpenSSL's words, the preferred ones first. Default [] = the library's own."
        ),
    ] = UNSET
    client_auth: Annotated[
        ClientAuth | UnsetType,
        Meta(
            description='Whether clients show a certificate: "off" they are not asked, "optional" they may and a wrong one is refused, "require" they must. '
            'Default "off".'
        ),
    ] = UNSET
    client_ca: Annotated[
        FilePath | UnsetType,
        Meta(
            description='CA certificates that vouch for clients, PEM, relative to this file. Default "" = none; required by client_auth, without '
            "effect else; read again when the file changes."
        ),
    ] = UNSET
    client_names: Annotated[
        tuple[ClientName, ...] | UnsetType,
        Meta(
            description='Which of the names in subjectAltName are let in: DNS names, URIs, e-mail addresses, as in "*.svc.example.com", "spiffe://prod/*"; a '
            "common name never counts. Default [] = everyone whom client_ca vouches for; others get 403."
        ),
    ] = UNSET
    client_crl: Annotated[
        FilePath | UnsetType,
        Meta(
            description='Revoked certificates: a CRL of each CA in client_ca, PEM, relative to this file. Default "" = none are; when a CRL is over, '
            "nobody of its CA is let in; read again when the file changes."
        ),
    ] = UNSET
    forward_client_cert: Annotated[
        bool | UnsetType,
        Meta(
            description="Tell backends who the client is by X-Forwarded-Client-Cert; without it, and without a certificate, they never get one. "
            "Default false."
        ),
    ] = UNSET


class TlsTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How TLS is spoken with the clients of a route, with every default filled in; the fields are those of `RouteTls`."""

    min_version: MinVersion = "1.2"
    ciphers: str = ""
    curves: tuple[str, ...] = ()
    client_auth: ClientAuth = "off"
    client_ca: str = ""
    client_names: tuple[str, ...] = ()
    client_crl: str = ""
    forward_client_cert: bool = False

    @property
    def who(self) -> Who:
        """What says which clients may come; equal where nobody is asked who it is."""
        if self.client_auth == "off":
            return "off", "", "", ()
        return self.client_auth, self.client_ca, self.client_crl, self.client_names


_DEFAULTS = TlsTerms()


def terms(*tables: RouteTls | None) -> TlsTerms:
    """Return what holds where tables say how TLS is spoken, the innermost last."""
    said: dict[str, Any] = {}
    for table in tables:
        if table is not None:
            said |= {name: value for name in table.__struct_fields__ if (value := getattr(table, name)) is not UNSET}
    return TlsTerms(**said) if said else _DEFAULTS


def in_one_form(table: RouteTls | None) -> RouteTls | None:
    """Return a table with its names in order, each once: their order says nothing."""
    if table is None or isinstance(table.client_names, UnsetType):
        return table
    return msgspec.structs.replace(table, client_names=tuple(sorted(set(table.client_names))))
