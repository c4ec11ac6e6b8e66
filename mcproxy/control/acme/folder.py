"""The folder of certificates, their keys, keys of orders under way, and keys of accounts; all for the owner alone.

A certificate and its key are one file, so that no crash leaves a pair of two halves; it is written aside and renamed.
"""

import contextlib
import errno
import hashlib
import os
import re
import threading
import time
from pathlib import Path

from mcproxy.control.acme import keys
from mcproxy.control.acme.interface import AcmeError, Bundle
from mcproxy.model.values.acme.places import SUFFIX, file_name
from mcproxy.named_file import read_file

KEPT = 90 * 86400.0
"""Seconds for which the file of a name that is wanted no more is kept."""

_PENDING = "orders"
_UNWANTED = "unwanted"
_ACCOUNTS = "accounts"
_LARGEST = 1 << 20
_ORDERED = b"Ordered from "  # the first line of a file; what stands in front of PEM is a comment
_NO_FILE = (errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.EFBIG)
"""Of what is no file, or none of such a size: see `mcproxy.named_file`."""
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----\s*", re.DOTALL)


class Folder:
    """The files of all names; blocking.

    Args:
        path: made when it is first written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._accounts = threading.Lock()  # two orders that begin together have one account

    def file_of(self, name: str) -> Path:
        """Return where the certificate for a hostname is."""
        return self._path / _file_name(name)

    def read(self, name: str) -> Bundle | None:
        """Return the certificate for a hostname, None if there is none.

        Raises:
            AcmeError: what is in its file, or in the place of one, can't be used; it was set aside under another name, which the text tells.
            OSError: the file can't be read; it stays, since that says nothing about what is in it.
        """
        path = self.file_of(name)
        try:
            return _bundle(read_file(path, _LARGEST))
        except FileNotFoundError:
            return None
        except AcmeError as error:
            why = str(error)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            why = error.strerror or str(error)
        aside = path.with_name(f"{path.name}.unreadable-{int(time.time())}")
        with contextlib.suppress(OSError):
            path.rename(aside)
        raise AcmeError(f"{path}: {why}; set aside as {aside.name}")

    def write(self, name: str, bundle: Bundle) -> None:
        """Put a certificate into its place."""
        ordered = _ORDERED + bundle.directory.encode() + b"\n" if bundle.directory else b""
        self._write(self.file_of(name), ordered + bundle.key.rstrip() + b"\n" + bundle.chain)

    def new_order_key(self, name: str) -> bytes:
        """Make a key for a new order, and keep it until `end_order`."""
        key = keys.new_key()
        self._write(self._order(name), key)
        return key

    def order_key(self, name: str) -> bytes | None:
        """Return the key of the order that is under way, None if it is lost."""
        try:
            key = read_file(self._order(name), _LARGEST)
            keys.load_key(key)
        except (OSError, AcmeError):
            return None
        return key

    def end_order(self, name: str) -> None:
        """Forget the key of an order; the certificate's file has it."""
        with contextlib.suppress(OSError):
            self._order(name).unlink()

    def account_key(self, directory: str) -> bytes:
        """Return the key of the account at a CA; it is made if there is none.

        Raises:
            AcmeError: its file can't be used. It is not replaced: the account would be lost with it.
        """
        path = self._path / _ACCOUNTS / f"{hashlib.sha256(directory.encode()).hexdigest()[:16]}{SUFFIX}"
        with self._accounts:
            try:
                key = read_file(path, _LARGEST)
            except FileNotFoundError:
                key = keys.new_key()
                self._write(path, key)
            except OSError as error:
                raise AcmeError(f"{path}: {error.strerror}") from error
        try:
            keys.load_key(key)
        except AcmeError as error:
            raise AcmeError(
                f"{path}: {error}; put the account's key back, or remove the file for a new account"
            ) from error
        return key

    def wanted(self, name: str) -> None:
        """Note that a route wants a name."""
        with contextlib.suppress(OSError):
            self._mark(name).unlink()

    def unwanted(self, name: str) -> None:
        """Begin the time for which the file of a name is kept though no route wants it."""
        self.end_order(name)
        if self.file_of(name).exists():
            self._write(self._mark(name), b"")

    def sweep(self, now: float) -> list[str]:
        """Remove files of names that are wanted no more and were kept long enough, and no others; return those names of files.

        Args:
            now: seconds since 1970.
        """
        gone = []
        for mark in self._mark("x").parent.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):
                if mark.stat().st_mtime < now - KEPT:
                    (self._path / mark.name).unlink(missing_ok=True)
                    mark.unlink()
                    gone.append(mark.name)
        return sorted(gone)

    def _mark(self, name: str) -> Path:
        return self._path / _UNWANTED / _file_name(name)

    def _order(self, name: str) -> Path:
        return self._path / _PENDING / _file_name(name)

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_name(f"{path.name}.part")
        try:
            for folder in (self._path, path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(fd)
            part.rename(path)
            folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder_fd)
            finally:
                os.close(folder_fd)
        except OSError as error:
            raise AcmeError(f"{path}: {error.strerror or error}") from error


def _file_name(name: str) -> str:
    if "/" in name or name.startswith(".") or not name:
        raise AcmeError(f"no hostname: {name!r}")
    return file_name(name)


def _bundle(content: bytes) -> Bundle:
    directory = ""
    if content.startswith(_ORDERED):
        line, _, content = content.partition(b"\n")
        directory = line.removeprefix(_ORDERED).strip().decode("ascii", "replace")
    found = _KEY.search(content)
    if found is None:
        raise AcmeError("no private key")
    bundle = Bundle(content[: found.start()] + content[found.end() :], found.group(), directory)
    keys.check(bundle)
    return bundle
