"""Filters and cases exported into files of any layout: the result says what it should."""

from random import Random

import msgspec
from hypothesis import given, note
from hypothesis import strategies as st

from mcproxy.control.export.export import export
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.diff import apply, diff
from tests.support.examples import examples
from tests.support.scope_layouts import draw_other_scopes, draw_scopes, write_scopes


@examples(150)
@given(st.integers(0, 2**32 - 1))
def test_what_is_exported_reads_back(seed: int) -> None:
    """And nothing is written where nothing changes; the difference applied gives the same."""
    random = Random(seed)
    state = draw_scopes(random)
    sources = write_scopes(random, state)
    for source in sources:
        note(f"{source.path}\n{source.text}")
    assert resolve(sources).state == state
    desired = draw_other_scopes(random, state)
    assert apply(state, diff(state, desired)) == desired
    note("\n".join(map(str, diff(state, desired))))
    files = export(sources, desired)
    for file in files:
        note(f"{file.path}\n{file.after}")
    results = [msgspec.structs.replace(source, text=file.after) for source, file in zip(sources, files, strict=True)]
    assert resolve(results).state == desired
    assert [file.after for file in export(sources, state)] == [source.text for source in sources]
