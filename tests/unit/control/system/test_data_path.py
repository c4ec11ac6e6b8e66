"""What `[proxy] data_path` stands for, with a core and without."""

import os
from pathlib import Path

import pytest

from mcproxy.control.system import data_path
from mcproxy.control.system.data_path import DataPath, choose, problem, told
from mcproxy.errors import ApplyError, NativeCoreError

NO_COMPILER = "there is no C compiler (cc, gcc or clang)"


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a core, which can be loaded."""
    file = tmp_path / "core.so"
    file.write_text("core", encoding="utf-8")
    monkeypatch.setattr(data_path, "find", lambda *, compiles=True: file)
    monkeypatch.setattr(data_path, "load", lambda path: None)
    return file


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no core."""

    def find(*, compiles: bool = True) -> Path:
        raise NativeCoreError(NO_COMPILER)

    monkeypatch.setattr(data_path, "find", find)


@pytest.mark.parametrize("setting", ["auto", "native"])
def test_where_there_is_a_core_it_is_used(setting: data_path.Setting, core: Path) -> None:
    """Workers get it as a descriptor, so it is the file that was found, whatever becomes of its name."""
    chosen = choose(setting, DataPath())
    core.unlink()
    assert (chosen.name, chosen.why, os.pread(chosen.library, 9, 0)) == ("native", "", b"core")
    assert choose(setting, chosen) is chosen, "what is in use stays as it is"
    chosen.close()
    assert told() == ("native", "the first `mcproxy serve` compiles it")
    assert problem() == ""


def test_another_core_is_another_data_path(core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after new sources have come: the next reload takes it."""
    first = choose("auto", DataPath())
    other = tmp_path / "other.so"
    other.touch()
    monkeypatch.setattr(data_path, "find", lambda *, compiles=True: other)
    second = choose("auto", first)
    assert second.file == str(other)
    assert second.library != first.library
    first.close()
    second.close()


def test_without_a_core_python_stands_in(none: None) -> None:
    """And it is told why, unless Python was asked for."""
    assert choose("auto", DataPath()) == DataPath("python", NO_COMPILER)
    assert choose("python", DataPath()) == DataPath("python", "")
    assert told() == ("python", NO_COMPILER)


def test_without_a_core_nobody_gets_the_native_one(none: None) -> None:
    """The message says why, and what to do."""
    advice = rf"the native core can't be used: {NO_COMPILER.replace('(', '.').replace(')', '.')}\. Install a C compiler"
    with pytest.raises(ApplyError, match=f"^proxy.data_path: {advice}"):
        choose("native", DataPath())
    assert problem().endswith('set it to "auto" or "python"')


def test_python_uses_no_core(core: Path) -> None:
    assert choose("python", DataPath()) == DataPath()


def test_what_can_not_be_loaded_is_not_used(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: object) -> None:
        raise NativeCoreError("it can't be loaded: bad magic")

    monkeypatch.setattr(data_path, "load", load)
    assert choose("auto", DataPath()) == DataPath("python", "it can't be loaded: bad magic")
    assert told() == ("python", "it can't be loaded: bad magic")


def test_what_can_not_be_opened_is_not_used(core: Path) -> None:
    core.unlink()
    assert choose("auto", DataPath()).why.endswith("core.so: No such file or directory")
