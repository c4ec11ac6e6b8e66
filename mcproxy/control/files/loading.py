"""What workers will load or become, tried as they do it: certificates, keys, CAs, the country database, the user."""

import contextlib
import hashlib
import os
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcproxy.control.files.contents import Contents
from mcproxy.model.values.acme.places import folder
from mcproxy.model.values.quoting import quote
from mcproxy.named_file import COUNTRIES_LIMIT, touching
from mcproxy.net.geoip import CountryDatabaseError, check_country_database
from mcproxy.net.tls import ALPN_BOTH, Pair, ServerTls, TlsError, client_context, server_context

ORDERING_FILES = ("acme.ca", "acme.eab.key", "acme.dns.tsig_key")
"""Settings that name files by which certificates are ordered."""

_REMEMBERED = 65536
_loadable: dict[bytes, None] = {}
"""Digests of contents that load; it takes OpenSSL longer than all else that is checked of them."""


def pair_refusal(contents: Contents, certificate: str, key: str) -> tuple[str, str] | None:
    """Return what a worker would refuse a certificate and its key for: which is at fault, as `TlsError.part` has it, and why.

    Args:
        contents: reads them.
        certificate: its path.
        key: its path.

    Raises:
        OSError: one can't be read.
    """
    error = _pair_error(contents.read(certificate), contents.read(key))
    return None if error is None else (error.part, _told(key if error.part == "key" else certificate, error))


def ordered_refusal(contents: Contents, path: str) -> str | None:
    """Return why a worker could not serve a file that has a certificate and its key; "" when it could, None where there is no file."""
    try:
        refusal = pair_refusal(contents, path, path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{path} can't be read: {error.strerror}; nothing is ordered until it can be"
    return "" if refusal is None else f"{refusal[1]}; another one is ordered"


def serves(content: bytes) -> bool:
    """Tell whether a worker can serve what a file has: a certificate and its key."""
    return _pair_error(content, content) is None


def _pair_error(pem: bytes, secret: bytes) -> TlsError | None:
    digest = hashlib.sha256(hashlib.sha256(pem).digest() + hashlib.sha256(secret).digest()).digest()
    if digest not in _loadable:
        try:
            server_context(ServerTls((Pair(pem, secret),)))
        except TlsError as error:
            return error
        _remember(digest)
    return None


def clients_refusal(contents: Contents, ca: str, crl: str) -> tuple[str, str] | None:
    """Return why clients could not be judged by a file of CAs and one of CRLs ("" for none): which is at fault, and what is wrong.

    Raises:
        OSError: one can't be read.
    """
    trusted, revoked = contents.read(ca), contents.read(crl) if crl else b""
    digest = hashlib.sha256(b"clients" + hashlib.sha256(trusted).digest() + hashlib.sha256(revoked).digest()).digest()
    if digest not in _loadable:
        try:
            server_context(ServerTls((), client_auth="require", client_ca=trusted, client_crl=revoked))
        except TlsError as error:
            return error.part, _told(crl if error.part == "crl" else ca, error)
        _remember(digest)
    return None


def offer_refusal(ciphers: str, curves: tuple[str, ...]) -> tuple[str, str] | None:
    """Return why a worker could not offer ciphers or curves: which of the two, and what is wrong."""
    try:
        server_context(ServerTls((), ciphers=ciphers, curves=curves))
    except TlsError as error:
        return error.part, str(error)
    return None


def ca_refusal(contents: Contents, path: str) -> str:
    """Return why a worker could not use a file of CA certificates; "" when it could.

    Raises:
        OSError: it can't be read.
    """
    pem = contents.read(path)
    digest = hashlib.sha256(pem).digest()
    if digest not in _loadable:
        try:
            client_context(pem, ALPN_BOTH)
        except TlsError as error:
            return _told(path, error)
        _remember(digest)
    return ""


def ordering_doubts(settings: Mapping[str, object], contents: Contents) -> Iterator[tuple[str, str]]:
    """Yield what would keep certificates from being ordered: the setting that is at fault, and why.

    Args:
        settings: of `[acme]`, and of the database.
        contents: reads the files that they name.
    """
    for name in ORDERING_FILES:
        path = str(settings[name])
        try:
            if path and not contents.read(path).strip():
                yield name, f"{path} is empty"
        except OSError as error:
            yield name, f"{path} can't be read: {error.strerror}"
    program = str(settings["acme.dns.exec"])
    with contextlib.suppress(OSError), touching(program):
        if program and not (Path(program).is_file() and os.access(program, os.X_OK)):
            yield "acme.dns.exec", f"{program} is no program that can be run"
    path = folder(settings)
    with contextlib.suppress(OSError), touching(path):
        place = next(each for each in (Path(path), *Path(path).parents) if each.exists())
        if not place.is_dir():
            yield "acme.folder", f"{place} is no folder"
        elif not os.access(place, os.W_OK | os.X_OK):
            yield "acme.folder", f"{place} can't be written to"


def country_database_problem(path: str, contents: Contents) -> str:
    """Return what is wrong with a country database; "" for nothing."""
    try:
        check_country_database(contents.read(path, COUNTRIES_LIMIT))
    except (OSError, CountryDatabaseError) as error:
        return f"{path}: {getattr(error, 'strerror', None) or error}"
    return ""


def _told(path: str, error: TlsError) -> str:
    return f"{path}:{error.line}: {error}" if error.line else f"{path}: {error}"


def _remember(digest: bytes) -> None:
    if len(_loadable) >= _REMEMBERED:
        _loadable.pop(next(iter(_loadable)))
    _loadable[digest] = None


def user_problem(name: str) -> str:
    """Return why workers can't become a user: there is none of this name on the machine; "" if there is."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return f"there is no user {name} on this machine{_numbered(name)}"
    return ""


def _numbered(text: str) -> str:
    """Return a hint at the user whose number somebody has written in the place of a name."""
    try:
        return f"; users are named, not numbered: did you mean {quote(pwd.getpwuid(int(text)).pw_name)}?"
    except (ValueError, KeyError, OverflowError):
        return ""
