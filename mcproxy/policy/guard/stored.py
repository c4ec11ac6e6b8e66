"""A watch as JSON, resources in the words of the config file: for the next control."""

from typing import Any

import msgspec

from mcproxy.model.edits.stored import from_json, key_from, to_json
from mcproxy.model.state.diff import Change
from mcproxy.model.state.kinds import KindName, Resource, ResourceKey, parts_of
from mcproxy.policy.guard.judging import Terms
from mcproxy.policy.guard.parts import Part, Subject
from mcproxy.policy.guard.tally import Past, Tally
from mcproxy.policy.guard.watch import Watch, Watched


class _Change(msgspec.Struct, frozen=True):
    kind: str
    key: tuple[str, ...]
    old: Any
    new: Any


class _Subject(msgspec.Struct, frozen=True):
    subject: Subject
    past: Past
    start: Tally


class _Part(msgspec.Struct, frozen=True):
    changes: tuple[_Change, ...]
    subjects: tuple[_Subject, ...]
    upstreams: tuple[str, ...]
    files: tuple[str, ...]
    usable: dict[str, int]


class _Watch(msgspec.Struct, frozen=True):
    terms: Terms
    parts: tuple[_Part, ...]
    receipts: tuple[int, ...]
    revision: int = 0


def encode(watch: Watch) -> str:
    """Return all of a watch but its id, generation and times."""
    parts = tuple(map(_part, watch.parts))
    return msgspec.json.encode(_Watch(watch.terms, parts, watch.receipts, watch.revision)).decode()


def decode(data: str, *, id: int, generation: int, began: float, until: float) -> Watch:  # noqa: A002 - the column
    """Return the watch of which `encode` made ``data``; raises ValueError, of which msgspec's are kinds, if it is none."""
    stored = msgspec.json.decode(data, type=_Watch)
    parts = tuple(map(_watched, stored.parts))
    return Watch(generation, began, until, stored.terms, parts, stored.receipts, id, stored.revision)


def _part(watched: Watched) -> _Part:
    part = watched.part
    return _Part(
        tuple(
            _Change(one.kind, parts_of(one.key), _words(one.kind, one.key, one.old), _words(one.kind, one.key, one.new))
            for one in part.changes
        ),
        tuple(
            _Subject(subject, watched.past.get(subject, Past()), watched.start.get(subject, Tally()))
            for subject in part.subjects
        ),
        part.upstreams,
        part.files,
        dict(watched.usable),
    )


def _watched(stored: _Part) -> Watched:
    return Watched(
        Part(
            tuple(map(_change, stored.changes)),
            tuple(one.subject for one in stored.subjects),
            stored.upstreams,
            stored.files,
        ),
        {one.subject: one.past for one in stored.subjects},
        {one.subject: one.start for one in stored.subjects},
        stored.usable,
    )


def _change(stored: _Change) -> Change:
    kind, key = key_from(stored.kind, stored.key)
    old, new = (None if words is None else from_json(kind, key, words) for words in (stored.old, stored.new))
    return Change("add" if old is None else "remove" if new is None else "change", kind, key, old, new)


def _words(kind: KindName, key: ResourceKey, value: Resource | None) -> Any:
    return None if value is None else to_json(kind, key, value)
