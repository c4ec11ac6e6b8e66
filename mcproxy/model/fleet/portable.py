"""Runtime edits as all nodes of a fleet understand them: each has the files that are named by relative paths in its own folder.

A *portable* edit has relative paths where the files lie below the node's folder, and its hashes (``base``, ``parent``) are of resources in that
form. A *local* edit has absolute paths, and hashes of what the node's State has.
"""

from collections.abc import Iterable, Mapping

import msgspec

from mcproxy.model.edits.edit import Edit, base_hash
from mcproxy.model.edits.stored import from_json, to_json
from mcproxy.model.state import kinds
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey, table_of
from mcproxy.model.state.state import State


class Portability:
    """Translates edits.

    Args:
        folder: absolute; what relative paths start from on this node.
        file: what the document says on this node.
        edits: those in effect beside it, local ones: resources that only they declare may be parents.
    """

    def __init__(self, folder: str, file: State, edits: Iterable[Edit] = ()) -> None:
        self._folder = folder
        self._file = file
        self._made: Mapping[tuple[KindName, ResourceKey], Resource | None] = {
            (edit.kind, edit.key): edit.value for edit in edits
        }

    def portable(self, edit: Edit) -> Edit:
        """Return a local edit as all nodes understand it."""
        return msgspec.structs.replace(
            edit,
            value=None if edit.value is None else self._carried(edit.kind, edit.key, edit.value),
            base=self._hash(edit.base, edit.kind, edit.key, self._declared(edit.kind, edit.key)),
            parent=self._parent(edit, to_portable=True),
        )

    def local(self, edit: Edit) -> Edit:
        """Return a portable edit as this node has it; raises ValueError if it has no meaning here."""
        value = edit.value
        if value is not None:
            value = from_json(edit.kind, edit.key, to_json(edit.kind, edit.key, value), self._folder)
        return msgspec.structs.replace(
            edit,
            value=value,
            base=self._unhash(edit.base, edit.kind, edit.key, self._declared(edit.kind, edit.key)),
            parent=self._parent(edit, to_portable=False),
        )

    def _parent(self, edit: Edit, *, to_portable: bool) -> str | None:
        parent = kinds.parent_of(edit.kind, edit.key)
        if parent is None or edit.parent is None:
            return edit.parent
        there = self._declared(*parent) or self._made.get(parent)
        return (self._hash if to_portable else self._unhash)(edit.parent, *parent, there)

    def _declared(self, kind: KindName, key: ResourceKey) -> Resource | None:
        found: Resource | None = table_of(self._file, kind).get(key)
        return found

    def _carried(self, kind: KindName, key: ResourceKey, value: Resource) -> Resource:
        return from_json(kind, key, to_json(kind, key, value, self._folder))

    def _hash(self, found: str | None, kind: KindName, key: ResourceKey, resource: Resource | None) -> str | None:
        """Return the portable hash for a local one of a resource that is as it was, and any other as it stands: it fits nothing."""
        if resource is None or found != base_hash(resource):
            return found
        return base_hash(self._carried(kind, key, resource))

    def _unhash(self, found: str | None, kind: KindName, key: ResourceKey, resource: Resource | None) -> str | None:
        if resource is None or found is None or found != base_hash(self._carried(kind, key, resource)):
            return found
        return base_hash(resource)
