"""Any sequence of saves, edits, failures, reverts, expiries and restarts, against a second, naive account of the rules."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcproxy.control.store.store import Store
from mcproxy.model.edits.edit import make_edit
from mcproxy.model.edits.overlay import drift, merge
from mcproxy.model.state.kinds import KindName
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.edits import opened, request, run
from tests.support.examples import examples

Name: TypeAlias = tuple[KindName, Any]
Contents: TypeAlias = dict[Name, int]

# What there is, parents first, and how many contents each can have; a content is a number here.
UNIVERSE: dict[Name, int] = {
    ("setting", "proxy.workers"): 2,
    ("rule", ("ip", "::1")): 1,
    ("listener", ":1"): 2,
    ("route", (":1", "a")): 2,
    ("policy", (":1", "a", "require_header", "X")): 1,
}
ALWAYS: Name = ("setting", "proxy.workers")


def parent(name: Name) -> Name | None:
    kind, key = name
    return {"route": ("listener", key[0]), "policy": ("route", key[:2])}.get(kind)  # type: ignore[return-value]  # keys as UNIVERSE has them


def resource(name: Name, content: int) -> Any:
    kind, key = name
    match kind:
        case "listener":
            return Listener(key, max_connections=content)
        case "route":
            return Route(key[0], key[1], (Endpoint("h", content + 1),), mode="l7", tls_cert="/c", tls_key="/k")
        case "policy":
            return Policy(*key)
        case "rule":
            return Rule(*key)
    return content


def state(contents: Contents) -> State:
    tables: dict[str, dict[Any, Any]] = {kind: {} for kind in ("listener", "route", "policy", "rule", "setting")}
    for (kind, key), content in contents.items():
        tables[kind][key] = resource((kind, key), content)
    return State(*tables.values())


@dataclass
class Entry:
    """An edit, as the rules tell it."""

    id: int
    content: int | None
    base: int | None
    seen: int | None
    expires: float | None
    lost: bool = False


@dataclass
class Oracle:
    """What file and edits mean, by comparing contents one by one."""

    file: Contents
    entries: dict[Name, Entry] = field(default_factory=dict)
    ended: dict[int, str] = field(default_factory=dict)

    def live(self, name: Name) -> int | None:
        above = parent(name)
        if above is not None and self.live(above) is None:
            return None
        entry = self.entries.get(name)
        return self.file.get(name) if entry is None or entry.lost else entry.content

    def around(self, name: Name) -> int | None:
        """Return what the parent is: as the file says, else as an edit says; None when it is not there."""
        above = parent(name)
        return None if above is None or self.live(above) is None else self.file.get(above, self.live(above))

    def accepts(self, name: Name, content: int | None) -> bool:
        removable = name in self.file and name != ALWAYS
        return (content is not None or removable) and (parent(name) is None or self.around(name) is not None)

    def end(self, name: Name, why: str) -> None:
        self.ended[self.entries.pop(name).id] = why

    def look(self, now: float) -> None:
        for name, entry in list(self.entries.items()):
            if entry.expires is not None and entry.expires <= now:
                self.end(name, "expired")
            elif self.file.get(name) != entry.base:
                self.end(name, "superseded")
        for name in UNIVERSE:
            if name not in self.entries or parent(name) is None:
                continue
            entry, around = self.entries[name], self.around(name)
            if around is None:
                entry.lost = True
            elif entry.lost and around != entry.seen:
                self.end(name, "superseded")
            else:
                entry.lost, entry.seen = False, around

    def effective(self) -> Contents:
        return {name: content for name in UNIVERSE if (content := self.live(name)) is not None}


class Run:
    """One sequence: the store and the oracle side by side."""

    def __init__(self, folder: Path, chosen: Sequence[int]) -> None:
        self.folder = folder
        self.now = 0.0
        self.chosen = list(chosen)
        self.oracle = Oracle(contents(chosen))
        self.added = 0
        self.store: Store

    async def look(self) -> State:
        """Do what a reconciler does, and compare."""
        file = state(self.oracle.file)
        merged = merge(file, await self.store.edits(), self.now)
        await self.store.settle(merged, self.now)
        self.oracle.look(self.now)
        assert merged.state == state(self.oracle.effective())
        kept = await self.store.edits()
        assert kept == merged.kept
        assert {(edit.kind, edit.key): edit.id for edit in kept} == {n: e.id for n, e in self.oracle.entries.items()}
        assert {v.edit.id for v in merged.suspended} == {e.id for e in self.oracle.entries.values() if e.lost}
        assert {d.edit.id for d in drift(merged, file)} <= {edit.id for edit in kept}
        return merged.state

    async def edit(self, name: Name, content: int | None, ttl: float | None, *, fails: bool) -> None:
        live, file = await self.look(), state(self.oracle.file)
        value = None if content is None else resource(name, content)
        expires = None if ttl is None else self.now + ttl
        if not self.oracle.accepts(name, content):
            with pytest.raises(ValueError, match=r"the (file|setting|policy|route)"):
                make_edit(file, live, *name, value, created=self.now)
            return
        edit = make_edit(file, live, *name, value, created=self.now, expires=expires)
        receipt = await self.store.mutate(request(self.now), add=[edit])
        self.added += 1
        edit_id = receipt.edits[0].id
        if fails:
            await self.store.withdraw(receipt.id, detail="could not be applied", time=self.now)
            self.oracle.ended[edit_id] = "withdrawn"
            return
        if name in self.oracle.entries:
            self.oracle.end(name, "replaced")
        base, seen = self.oracle.file.get(name), self.oracle.around(name)
        self.oracle.entries[name] = Entry(edit_id, content, base, seen, expires)

    async def revert(self, index: int) -> None:
        names = [name for name in UNIVERSE if name in self.oracle.entries]
        if names:
            name = names[index % len(names)]
            await self.store.mutate(request(self.now), remove=[self.oracle.entries[name].id])
            self.oracle.end(name, "reverted")

    async def check_history(self) -> None:
        """No edit is gone without a record of how it ended, and none has ended that is still there."""
        records = await self.store.history(limit=10_000)
        last = {record.edit.id: record.event for record in reversed(records)}
        there = {entry.id for entry in self.oracle.entries.values()}
        assert len(last) == self.added == len(there) + len(self.oracle.ended)
        for edit_id, event in last.items():
            assert event == self.oracle.ended[edit_id] if edit_id not in there else event in ("added", "restored")

    def save(self, changes: dict[int, int]) -> None:
        for index, number in changes.items():
            self.chosen[index] = number
        self.oracle.file = contents(self.chosen)

    async def play(self, steps: list[tuple[Any, ...]]) -> None:
        self.store = await opened(self.folder, busy_timeout=5.0)
        for step in steps:
            match step:
                case ("save", changes):
                    self.save(changes)
                case ("edit", name, content, ttl, fails):
                    await self.edit(name, content, ttl, fails=fails)
                case ("bounce", index, number):
                    self.save({index: -1})
                    await self.look()
                    self.save({index: number})
                case ("revert", index):
                    await self.revert(index)
                case ("wait", seconds):
                    self.now += seconds
                case ("restart", changes, seconds):
                    await self.store.close()
                    self.save(changes)
                    self.now += seconds
                    self.store = await opened(self.folder, busy_timeout=5.0)
                    assert self.store.set_aside is None
            await self.look()
        await self.check_history()
        await self.store.close()


def contents(chosen: Sequence[int]) -> Contents:
    """Return a file: for each resource its content, or -1 for none; children without their parents are left out."""
    file: Contents = {}
    for (name, count), number in zip(UNIVERSE.items(), chosen, strict=True):
        above = parent(name)
        if name == ALWAYS or (0 <= number < count and (above is None or above in file)):
            file[name] = max(number, 0)
    return file


# Weighted so that children are often edited under parents that come and go.
FILES = st.tuples(*(st.sampled_from([0, 1] if kind == "listener" else [-1, -1, 0, 1]) for kind, _ in UNIVERSE))
CHANGES = st.dictionaries(st.integers(0, len(UNIVERSE) - 1), st.sampled_from([-1, -1, 0, 1]), max_size=2)
PARENTS = [index for index, (kind, _) in enumerate(UNIVERSE) if kind in ("listener", "route")]
CHILDREN = [name for name in UNIVERSE if name[0] in ("route", "policy")]
EDITS = st.sampled_from([*UNIVERSE, *CHILDREN, *CHILDREN]).flatmap(
    lambda name: st.tuples(
        st.just("edit"),
        st.just(name),
        st.sampled_from([None, 0, 0, UNIVERSE[name] - 1]),
        st.sampled_from([None, None, None, 1.0, 3.0]),
        st.sampled_from([False, False, True]),
    )
)
STEPS = st.one_of(
    EDITS,
    EDITS,
    st.tuples(st.just("save"), CHANGES),
    st.tuples(st.just("bounce"), st.sampled_from(PARENTS), st.integers(0, 1)),
    st.tuples(st.just("revert"), st.integers(0, 4)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 2.0])),
    st.tuples(st.just("restart"), CHANGES, st.sampled_from([0.0, 2.0])),
)


@examples(50)
@given(FILES, st.lists(STEPS, min_size=10, max_size=30))
def test_any_sequence_ends_as_the_rules_say(chosen: tuple[int, ...], steps: list[tuple[Any, ...]]) -> None:
    """The same effective state at every step, the same edits, and for each that ended the right record."""
    with tempfile.TemporaryDirectory() as folder:
        run(Run(Path(folder), chosen).play(steps))
