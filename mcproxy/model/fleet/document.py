"""The document of a fleet: its config files, packed into one value of the store.

value  =  header as JSON, a line feed, files as JSON and zlib
"""

import hashlib
import posixpath
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

MOST_BYTES = 1_000_000
"""A packed document; etcd takes 1.5 MiB in one request unless it is told otherwise."""
MOST_UNPACKED = 64 * 1024 * 1024
"""Bytes of all files of a document together: what a small value must not grow beyond."""


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""A number that counts something: what somebody has written beyond that could be neither shown nor counted on."""
Few: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""The same of what there is little of."""
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""A moment in seconds since the epoch, before the year 10000: what is later has no date."""


class DocumentError(ValueError):
    """What is no document, or can't become one; says why."""


class FleetFile(msgspec.Struct, frozen=True):
    """One config file.

    Attributes:
        name: relative to the folder of the main file, with "/" between its parts.
        text: its whole content.
    """

    name: str
    text: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a document without unpacking it.

    Attributes:
        revision: counts the documents that were pushed to the fleet, from 1.
        hash: SHA-256 of its files, in hex: the same files have the same hash.
        author: who pushed it; "" when nobody said.
        label: what it was pushed as, a commit for instance; "" for nothing.
        pushed: when, in seconds since the epoch, by the clock of who did.
        node: the node that took it.
    """

    revision: Count
    hash: str
    author: str = ""
    label: str = ""
    pushed: Seconds = 0.0
    node: str = ""


class Document(msgspec.Struct, frozen=True):
    """A document as the store has it.

    Attributes:
        header: what is known of it.
        packed: its files.
        version: of its key; 0 before it is stored.
    """

    header: Header
    packed: bytes
    version: int = 0


def pack(files: Sequence[FleetFile]) -> tuple[str, bytes]:
    """Return the hash of files, the main one first, and the files packed.

    Raises:
        DocumentError: there are none, names are not right, or they are too much for the store.
    """
    _check_names([file.name for file in files])
    data = msgspec.json.encode(tuple(files))
    if len(data) > MOST_UNPACKED:
        raise DocumentError(f"the files have {len(data):,} bytes together; a fleet takes {MOST_UNPACKED:,}")
    packed = zlib.compress(data, 6)
    if len(packed) > MOST_BYTES:
        raise DocumentError(f"the files have {len(packed):,} bytes compressed; a fleet takes {MOST_BYTES:,}")
    return hashlib.sha256(data).hexdigest(), packed


def unpack(document: Document) -> tuple[FleetFile, ...]:
    """Return the files of a document, the main one first; raises `DocumentError` when it is damaged."""
    try:
        files = msgspec.json.decode(_inflated(document), type=tuple[FleetFile, ...])
    except (zlib.error, msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"its files can't be read: {error}") from error
    _check_names([file.name for file in files])
    return files


def _inflated(document: Document) -> bytes:
    inflating = zlib.decompressobj()
    data = inflating.decompress(document.packed, MOST_UNPACKED)
    whole = inflating.eof and not inflating.unused_data
    if whole and hashlib.sha256(data).hexdigest() == document.header.hash:
        return data
    del data, inflating  # whoever keeps the error keeps what is in this frame
    raise DocumentError(f"its files {'are not those of its header' if whole else 'do not end where they should'}")


def encode(header: Header, packed: bytes) -> bytes:
    """Return a document as the store has it."""
    return msgspec.json.encode(header) + b"\n" + packed


def decode(value: bytes, version: int) -> Document:
    """Return the document that a key holds; raises `DocumentError` when it is none."""
    head, newline, packed = value.partition(b"\n")
    if not newline:
        raise DocumentError("it has no header")
    return Document(decode_json(head, Header), packed, version)


def decode_json(value: bytes, kind: type[Any]) -> Any:
    """Return what JSON says; keys that a newer mcproxy has written are passed over. Raises `DocumentError`."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(str(error)) from error


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise DocumentError("it has no files")
    seen = set()
    for name in names:
        if name in ("", ".", "..") or name.startswith(("/", "../")) or "\0" in name:
            raise DocumentError(f"{name!r} is not in the folder of the main file, or below it")
        if posixpath.normpath(name) != name:
            raise DocumentError(f"{name!r} is not the shortest name of a file")
        if name in seen:
            raise DocumentError(f"{name} is there twice")
        seen.add(name)
