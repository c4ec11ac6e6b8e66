"""What was live last, in place of a file that is invalid."""

from pathlib import Path

import msgspec
import pytest

from mcproxy.control.reconcile.last_good import database_path, load
from mcproxy.control.store.revisions import Revision
from mcproxy.errors import ApplyError
from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import Listener, State
from tests.support.edits import opened, run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zzz = 1", "mc-proxy.db"),
        ('[database]\npath = "x/y.db"\n[[listeners]]\naddr = 5', "x/y.db"),
        ('[database]\npath = "/x.db"', "/x.db"),
        ("[database]\npath = 5", "mc-proxy.db"),
        ("database = 5", "mc-proxy.db"),
        ("no TOML [", "mc-proxy.db"),
        (None, "mc-proxy.db"),
    ],
)
def test_the_database_is_found_by_what_can_be_read_of_the_file(tmp_path: Path, text: str | None, expected: str) -> None:
    """Else it is where it is for a file that does not say."""
    path = tmp_path / "mc-proxy.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert database_path(path) == str(tmp_path / expected)


def test_the_newest_generation_counts(tmp_path: Path) -> None:
    """Settings that it lacks, since an earlier version kept it, have their defaults; the file goes on being watched."""
    path = tmp_path / "mc-proxy.toml"
    path.write_text('include = ["conf.d/*.toml"]\nzzz = 1\n', encoding="utf-8")

    async def main() -> None:
        store = await opened(tmp_path)
        with pytest.raises(ApplyError, match="no state was live yet"):
            await load(path, store)
        for generation in (3, 7):
            state = State({f":{generation}": Listener(f":{generation}")}, settings={"proxy.workers": generation})
            await store.record_revision(Revision(generation, 1.0, "file", "", "", ""), state, Plan(()), keep=9)
        loaded = await load(path, store)
        found = loaded.resolution.state
        assert list(found.listeners) == [":7"]
        assert (found.settings["proxy.workers"], found.settings["log.level"]) == (7, "info")
        assert found == msgspec.structs.replace(found, routes={}, policies={}, rules={})
        assert (loaded.files, loaded.patterns, loaded.sources) == ((path,), (tmp_path / "conf.d/*.toml",), ())
        await store.close()

    run(main())
