"""Who a client is by its certificate: whether it has one of the names that are let in, and what backends are told of it.

A certificate's names are those of its subjectAltName; its common name counts for nothing. What is in it was written by its CA, but the
CA may have copied what the client asked for: so a name that is none is never compared, nor passed on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from mcproxy.late_patterns import late

FORWARDED = b"x-forwarded-client-cert"
"""The field that tells backends of it."""

Name: TypeAlias = tuple[str, str]
"""Its kind, ``DNS``, ``URI`` or ``email``, and itself in canonical form."""

_MOST = 4096
"""Bytes of what backends are told; names beyond are left out."""
_KINDS = ("DNS", "URI", "email")
_DNS = late(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
_URI = late(r"([a-z][a-z0-9+.-]*)://([^/?#\\\"]+)([!-~]*)")
_MAIL = late(r"([!-?A-~]+)@([!-?A-~]+)")
_PRINTABLE = late("[!-~]+")
_IN_QUOTES = late("[,;=]")
_SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "stateOrProvinceName": "ST",
    "localityName": "L",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
"""Of RFC 4514 section 3."""


class ClientCertificate(msgspec.Struct, frozen=True):
    """What a client has shown, verified.

    Attributes:
        names: those that may be compared, in its order.
        forwarded: the value of `FORWARDED`.
    """

    names: tuple[Name, ...]
    forwarded: bytes

    @property
    def name(self) -> str:
        """Its first name, "" if it has none."""
        return self.names[0][1] if self.names else ""


class ClientNames:
    """Names that are let in.

    Args:
        patterns: in canonical form, as the configuration has them.
    """

    __slots__ = ("_below", "_exact")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact: set[Name] = set()
        self._below: list[Name] = []
        for pattern in patterns:
            if pattern.startswith("*."):
                self._below.append(("DNS", pattern[1:]))
            elif pattern.endswith("/*"):
                self._below.append(("URI", pattern[:-1]))
            else:
                self._exact.add((_kind(pattern), pattern))

    def fit(self, names: Sequence[Name]) -> bool:
        """Tell whether one of a certificate's names is let in."""
        return any(name in self._exact or self._is_below(*name) for name in names)

    def _is_below(self, kind: str, name: str) -> bool:
        for own, part in self._below:
            if own == kind == "DNS" and name.endswith(part):
                return True
            if own == kind == "URI" and name.startswith(part) and _leads_down(name[len(part) :]):
                return True
        return False


def _leads_down(path: str) -> bool:
    """Tell whether a path stays below where it begins, however it is read: with parameters behind ``;``, and what is no path at its end."""
    from urllib.parse import unquote  # noqa: PLC0415 - slow to import, and few clients have certificates

    return not any(part.partition(";")[0] in ("", ".", "..") for part in re.split(r"[/\\?#]", unquote(path)))


def certificate(der: bytes, told: Mapping[str, Any]) -> ClientCertificate:
    """Return what a certificate says.

    Args:
        der: itself.
        told: its ``subject`` and ``subjectAltName`` as `ssl.SSLObject.getpeercert` tells them.
    """
    names = tuple(name for name in map(_canonical, told.get("subjectAltName", ())) if name is not None)
    import hashlib  # noqa: PLC0415 - likewise

    parts = [f"Hash={hashlib.sha256(der).hexdigest()}", f'Subject="{_subject(told.get("subject", ()))}"']
    parts += (f"{kind}={_quoted(name)}" for kind, name in names if kind != "email")
    size = 0
    for count, part in enumerate(parts):
        size += len(part) + 1
        if size > _MOST:
            parts = parts[:count]
            break
    return ClientCertificate(names, ";".join(parts).encode())


def named(text: str) -> ClientCertificate:
    """Return a certificate of one name, as people write it."""
    name = _canonical((_kind(text), text))
    return ClientCertificate(() if name is None else (name,), b"")


def _kind(name: str) -> str:
    """Return the kind of a name that is written without it."""
    return "URI" if "://" in name else "email" if "@" in name else "DNS"


def _canonical(entry: tuple[str, str]) -> Name | None:
    """Return a name in the form in which it is compared, None for one that is not."""
    kind, text = entry[0], entry[1]
    if kind not in _KINDS:
        return None
    if kind == "DNS":
        name = text.lower() if text.isascii() else ""  # as other letters may become ASCII by that
        return (kind, name) if _DNS.fullmatch(name) else None  # a wildcard matches nothing
    if not _PRINTABLE.fullmatch(text):
        return None
    if kind == "email":
        match = _MAIL.fullmatch(text)
        return None if match is None else (kind, f"{match[1]}@{match[2].lower()}")
    scheme, separator, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    name = f"{scheme.lower()}{separator}{host.lower()}{slash}{path}"
    return (kind, name) if _URI.fullmatch(name) else None


def _subject(names: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Return a distinguished name as RFC 4514 writes it; what could end it, or be read in two ways, in hexadecimal."""
    return ",".join(
        "+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in parts) for parts in reversed(names)
    )


def _escaped(value: str) -> str:
    return "".join(
        character
        if " " <= character <= "~" and character not in '\\",+<>;=#'
        else "".join(f"\\{byte:02X}" for byte in character.encode(errors="replace"))
        for character in value
    )


def _quoted(value: str) -> str:
    """Return a value of the field, in quotes where it needs them."""
    value = value.replace('"', "%22").replace("\\", "%5C")
    return f'"{value}"' if _IN_QUOTES.search(value) else value
