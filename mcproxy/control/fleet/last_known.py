"""What a node keeps of its fleet beside its database, to start from while the store is away: the document, its rollout, the edits."""

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from mcproxy.control.system import log
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Contents, Item
from mcproxy.named_file import read_file, touching

_SUFFIX = ".fleet"
_DIGEST = 32  # bytes of SHA-256, with which the file begins: a damaged document would be in the way of every start
_FILE_MODE = 0o600  # runtime edits may be nobody else's business
_KEPT = (keys.DOC, keys.NEXT, keys.ROLLOUT, keys.SEQUENCE)


class LastKnown(msgspec.Struct, frozen=True):
    """What was known last.

    Attributes:
        prefix: of the fleet; what is kept of another one says nothing.
        contents: of its store, without what is of the moment.
        seen: when the store told it, in seconds since the epoch.
        failed: revision of a rollout's document that has failed here; 0 for none.
    """

    prefix: str
    contents: Contents
    seen: float
    failed: int = 0


class Kept(msgspec.Struct, frozen=True):
    """The same as the file has it."""

    prefix: str
    revision: int
    seen: float
    items: dict[str, tuple[bytes, int]]
    failed: int = 0


def _decoded(data: bytes) -> Kept:
    """Return what a file has; raises `msgspec.MsgspecError` when it is another one than was written."""
    digest, packed = data[:_DIGEST], data[_DIGEST:]
    if hashlib.sha256(packed).digest() != digest:
        raise msgspec.DecodeError("its checksum is another one")
    return msgspec.msgpack.decode(packed, type=Kept)


def place(database: str) -> Path:
    """Return where it is kept, by the path of the database."""
    return Path(f"{database}{_SUFFIX}")


def lasting(contents: Contents) -> dict[str, Item]:
    """Return what of a store's contents is kept."""
    return {key: item for key, item in contents.items.items() if key in _KEPT or key.startswith(keys.EDITS)}


def load(database: str, prefix: str) -> LastKnown | None:
    """Return what is kept of a fleet; None if there is nothing, or nothing that can be read, which is told in the log."""
    path = place(database)
    try:
        with touching(str(path)):
            kept = _decoded(read_file(path))
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        why = getattr(error, "strerror", None) or f"it is damaged ({error})"
        log.logger().error(
            "what was kept of the fleet can't be read; it is known when the store tells it", file=str(path), why=why
        )
        return None
    if kept.prefix != prefix:
        return None
    items = {key: Item(value, version) for key, (value, version) in kept.items.items()}
    return LastKnown(prefix, Contents(items, kept.revision), kept.seen, kept.failed)


def save(database: str, known: LastKnown) -> None:
    """Keep it: it is on the disk when this returns, wholly or as it was before. Raises OSError."""
    path = place(database)
    items = {key: (item.value, item.version) for key, item in lasting(known.contents).items()}
    data = msgspec.msgpack.encode(Kept(known.prefix, known.contents.revision, known.seen, items, known.failed))
    part = path.with_name(f"{path.name}.part")
    with touching(str(part)):
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(hashlib.sha256(data).digest() + data)
            file.flush()
            os.fsync(fd)
        part.rename(path)
