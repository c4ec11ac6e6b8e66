"""Where everything was declared that a generation had: what of the files is kept of it, down to the single keys."""

import hashlib
from collections.abc import Mapping
from functools import cached_property

import msgspec

from mcproxy.model.config.checking.declarations import Place
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath
from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.state import State
from mcproxy.model.values.origins import Key, Origin


class Declaration(msgspec.Struct, frozen=True, array_like=True):
    """Where one resource is declared, and where each of its keys stands (``tls.ca`` of a table within it): line and column; the note as in `Origin`."""

    key: Key
    file: str
    line: int
    column: int
    keys: dict[str, tuple[int, int]] = {}
    note: str = ""


class FileOrigins:
    """The declarations of one version of the files; worked out when somebody asks, which may be another thread."""

    def __init__(self, resolution: Resolution) -> None:
        self._resolution = resolution

    @cached_property
    def declarations(self) -> dict[Key, Declaration]:
        """What they declare, by the resource's key."""
        origins, places = self._resolution.origins, self._resolution.places
        keys = _keys_within(places)
        return {
            key: Declaration(key, origin.file, origin.line, origin.column, keys.get(key, {}), origin.note)
            for key, origin in origins.items()
        }

    @cached_property
    def packed(self) -> bytes:
        """The same as bytes; see `unpack`."""
        return msgspec.msgpack.encode(list(self.declarations.values()))

    @cached_property
    def digest(self) -> bytes:
        """What tells it from others."""
        return hashlib.sha256(self.packed).digest()


def unpack(data: bytes) -> dict[Key, Declaration]:
    """Return what `FileOrigins.packed` holds, by the resource's key; raises `msgspec.DecodeError` if it is none."""
    return {one.key: one for one in msgspec.msgpack.decode(data, type=list[Declaration])}


class PastResolution(Resolution, frozen=True):
    """What the files of an earlier generation meant, together with the edits of then; the files themselves are gone.

    Attributes:
        declarations: those that were in effect, by the resource's key.
    """

    declarations: Mapping[Key, Declaration] = {}

    def origin(self, key: Key, name: str) -> Origin | None:
        """See `Resolution.origin`."""
        declared = self.declarations.get(key)
        if declared is None:
            return self.origins.get(key)
        return place_of(declared, name)


def place_of(declared: Declaration, name: str) -> Origin:
    """Return where a resource's key ``name`` stands, else the innermost table around it that does, else the resource."""
    while name:
        if name in declared.keys:
            return Origin(declared.file, *declared.keys[name], declared.note)
        name = name.rpartition(".")[0]
    return Origin(declared.file, declared.line, declared.column, declared.note)


def past_resolution(state: State, declarations: Mapping[Key, Declaration], edits: Mapping[Key, str]) -> PastResolution:
    """Return what was in effect.

    Args:
        state: of the generation.
        declarations: of the files of then.
        edits: the names of the runtime edits that stood, by the key of the resource.
    """
    standing = {key: one for key, one in declarations.items() if key not in edits}
    origins = {key: Origin(one.file, one.line, one.column, one.note) for key, one in standing.items()}
    origins |= {key: Origin(name, 0, 0) for key, name in edits.items()}
    return PastResolution(state, origins, (), {}, declarations=standing)


def _keys_within(places: Mapping[Key, Place]) -> dict[Key, dict[str, tuple[int, int]]]:
    """Return where the keys of every resource stand; what is within a resource of its own is that one's."""
    by_document: dict[int, tuple[Document, dict[KeyPath, Key]]] = {}
    for key, (document, path) in places.items():
        by_document.setdefault(id(document), (document, {}))[1].setdefault(path, key)
    found: dict[Key, dict[str, tuple[int, int]]] = {}
    for document, declared in by_document.values():
        for path, position in document.positions.each():
            if path in declared:
                continue
            owner, name = declared.get(path[:-1]), path[-1]
            if owner is None:  # as seldom
                end = _owner(path, declared)
                owner, name = declared.get(path[:end]), _joined(path[end:])
            if owner is not None and isinstance(name, str):
                found.setdefault(owner, {})[name] = position
    return found


def _owner(path: KeyPath, declared: Mapping[KeyPath, Key]) -> int:
    """Return how many parts of a path name the resource that it is within; 0 for none."""
    return next((end for end in range(len(path), 0, -1) if path[:end] in declared), 0)


def _joined(path: KeyPath) -> str | int:
    """Return the name of a key in a table within a resource, 0 for what stands in an array."""
    return ".".join(map(str, path)) if all(isinstance(name, str) for name in path) else 0
