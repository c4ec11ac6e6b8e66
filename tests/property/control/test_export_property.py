"""Whatever the files look like and whatever the edits: the result says what it should, and the rest is as it was."""

import re
from collections import Counter
from random import Random

import msgspec
from hypothesis import given, note
from hypothesis import strategies as st

from mcproxy.control.export.export import export
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.diff import Change, diff
from mcproxy.model.state.state import Listener, State, Upstream
from mcproxy.model.state.upstream_options import BackendTls, Check, UpstreamOptions
from mcproxy.model.values.origins import Key
from tests.support.examples import examples
from tests.support.layouts import Written, draw_edits, draw_state, write_state

SEEDS = st.integers(0, 2**32 - 1)


def comments_of(text: str, written: Written) -> list[str]:
    """Return the comments of a file in their order."""
    found = map(str.rstrip, re.findall(r"# \d+.*", text))
    return [comment for comment in found if comment in written.owners]


def is_there(owner: Key | None, state: State) -> bool:
    """Tell whether a comment's owner and what it is a part of are there."""
    match owner:
        case ("listener", addr):
            return addr in state.listeners
        case ("trusted", addr, value):
            return addr in state.listeners and value in state.listeners[addr].trusted_proxies
        case ("route", *key):
            return tuple(key) in state.routes
        case ("policy", *key):
            return tuple(key) in state.policies
        case ("upstream" | "endpoints", name):
            return name in state.upstreams
        case ("endpoint", *key):
            return tuple(key) in state.endpoints
        case (("check" | "tls" | "retry_on") as key, name):
            return name in state.upstreams and bool(getattr(state.upstreams[name], key))
        case (key, name) if key in UpstreamOptions.__struct_fields__:
            return name in state.upstreams
        case ("rule", *key):
            return tuple(key) in state.rules
    return True


def takes_away(change: Change) -> bool:
    """Tell whether there is less after a change, so that whole lines may go."""
    if isinstance(change.old, Listener) and isinstance(change.new, Listener):
        return not set(change.old.trusted_proxies) <= set(change.new.trusted_proxies)
    if isinstance(change.old, Upstream) and isinstance(change.new, Upstream):
        gone = [
            key for key in ("check", "tls", "retry_on") if getattr(change.old, key) and not getattr(change.new, key)
        ]
        return bool(gone)
    return change.new is None


def values_changed(change: Change) -> int:
    """Return how many keys a change is about."""
    old, new = change.old, change.new
    return _differences(old, new) if isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct) else 1


def _differences(old: msgspec.Struct, new: msgspec.Struct) -> int:
    pairs = ((getattr(old, name), getattr(new, name)) for name in new.__struct_fields__)
    return sum(
        _differences(was, now)
        if isinstance(was, Check | BackendTls) and isinstance(now, Check | BackendTls)
        else was != now
        for was, now in pairs
    )


@examples(150)
@given(SEEDS)
def test_the_result_says_what_it_should_and_keeps_the_rest(seed: int) -> None:
    """Every comment whose owner stays is there, in the order it had; without removals only lines that change are lost."""
    random = Random(seed)
    state = draw_state(random)
    written = write_state(random, state)
    desired = draw_edits(random, state)
    for source in written.sources:
        note(f"{source.path}\n{source.text}")
    assert resolve(written.sources).state == state
    changes = diff(state, desired)
    note("\n".join(map(str, changes)))
    files = export(written.sources, desired)
    for file in files:
        note(f"{file.path}\n{file.after}")
    results = [
        msgspec.structs.replace(source, text=file.after) for source, file in zip(written.sources, files, strict=True)
    ]
    assert resolve(results).state == desired
    lost: Counter[str] = Counter()
    for file in files:
        before, after = comments_of(file.before, written), comments_of(file.after, written)
        assert [comment for comment in before if comment in after] == after
        assert [c for c in before if c not in after and is_there(written.owners[c], desired)] == []
        lost += Counter(file.before.splitlines()) - Counter(file.after.splitlines())
        if "\n" in file.before:
            assert ("\r\n" in file.after) <= ("\r\n" in file.before)
            assert file.after.count("\n") == file.after.count("\r\n") or "\r\n" not in file.before
    if not any(map(takes_away, changes)):
        assert lost.total() <= 2 * sum(map(values_changed, changes)), lost  # a value in ''' has two lines


@examples(50)
@given(SEEDS)
def test_without_a_difference_nothing_changes(seed: int) -> None:
    """The texts themselves come back."""
    random = Random(seed)
    state = draw_state(random)
    written = write_state(random, state)
    for source, file in zip(written.sources, export(written.sources, state), strict=True):
        assert file.before == source.text
        assert file.after is file.before
