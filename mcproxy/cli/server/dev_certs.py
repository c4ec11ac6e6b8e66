"""`mcproxy dev-certs`: a certificate authority and server certificates for development, as files.

The folder holds ``ca.crt`` and ``ca.key``, and for every name ``NAME.crt`` and ``NAME.key`` (a wildcard's file is called
``_wildcard.NAME``). The CA is kept as long as it is valid, so that it has to be trusted only once; leaves are made anew.
"""

import ipaddress
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mcproxy.control.files.certificates import LEAF_LIFETIME, CertificateError, Pair, check_ca, issue, make_ca
from mcproxy.model.values import hostnames
from mcproxy.named_file import read_file

DEFAULT_NAMES = ("app.localhost", "dev.localhost", "web.localhost", "grpc.localhost", "secure.localhost")
"""The names in ``srv/mc-proxy.toml``."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def dev_certs(folder: Path, names: Sequence[str]) -> int:
    """Write the CA (unless a valid one is there) and a server certificate for each name; print what to do next.

    Args:
        folder: made if missing, readable by its owner only.
        names: host names (also wildcards and IDNA names) or IP addresses.

    Raises:
        CertificateError: a name is invalid, or the CA in the folder is unusable for a reason other than its age.
        OSError: the folder cannot be written.
    """
    wanted = [_alternative_names(name) for name in dict.fromkeys(names)]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca, note = _ensure_ca(folder)
    print(f"{folder / 'ca.crt'}: {note}")
    for alternatives in wanted:
        certificate = folder / f"{file_stem(alternatives[0])}.crt"
        _write_pair(certificate, issue(ca, alternatives))
        print(f"{certificate}: {', '.join(alternatives)}; valid for {LEAF_LIFETIME.days} days")
    first = folder / file_stem(wanted[0][0])
    print(f"""
A TLS backend to try them with:
  openssl s_server -accept 127.0.0.1:9001 -cert {first}.crt -key {first}.key -www
Clients have to trust the CA: curl --cacert {folder / "ca.crt"} ..., or import that file into the browser.
Whoever has {folder / "ca.key"} can impersonate any site to them: keep it out of version control.""")
    return 0


def _alternative_names(name: str) -> tuple[str, ...]:
    """Return the names of one certificate: the name itself, what lies below it, and this machine."""
    try:
        return tuple(dict.fromkeys((str(ipaddress.ip_address(name)), *_LOOPBACK)))
    except ValueError:
        pass
    try:
        hostname = hostnames.parse_pattern(name)
    except ValueError as error:
        raise CertificateError(str(error)) from error
    if hostname == "*":
        raise CertificateError("*: a certificate needs a name; give the host names that clients ask for")
    if hostname == "ca":
        raise CertificateError("ca: the CA's own files have this name")
    below = () if hostname.startswith("*.") else (f"*.{hostname}",)
    return tuple(dict.fromkeys((hostname, *below, *_LOOPBACK)))


def file_stem(name: str) -> str:
    """Return what the files of a name are called, without their suffix."""
    return name.replace("*", "_wildcard").replace(":", "_")


def _ensure_ca(folder: Path) -> tuple[Pair, str]:
    path = folder / "ca.crt"
    note = "new CA"
    if path.exists() or path.with_suffix(".key").exists():
        try:
            ca = Pair(certificate=read_file(path), key=read_file(path.with_suffix(".key")))
            left = check_ca(ca, datetime.now(UTC))
        except (CertificateError, FileNotFoundError) as error:
            raise CertificateError(f"{path}: {error}; remove ca.crt and ca.key to have new ones made") from error
        if left > LEAF_LIFETIME:
            return ca, f"kept, valid for {left.days} days"
        note = f"new CA, the old one {'expires too soon' if left.days > 0 else 'has expired'}: trust the new one"
    # the host name in the subject tells the CAs of several machines apart in a trust store
    ca = make_ca(f"mcproxy development CA {os.uname().nodename}"[:64])
    _write_pair(path, ca)
    return ca, note


def _write_pair(certificate: Path, pair: Pair) -> None:
    _write(certificate.with_suffix(".key"), pair.key, mode=0o600)
    _write(certificate, pair.certificate, mode=0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file atomically: a reader sees the old content or the new, and nobody a key with wider permissions."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
