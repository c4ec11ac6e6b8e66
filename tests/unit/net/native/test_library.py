"""Which file is the native core: in a source tree, in an installation, or the one that is named."""

from pathlib import Path

import pytest

from mcproxy.errors import NativeCoreError
from mcproxy.net.native import library
from mcproxy.net.native.library import find
from mcproxy.net.native.sources import NOT_BUILT, file_name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of C sources of an installation."""
    monkeypatch.delenv(library.VARIABLE, raising=False)
    folder = tmp_path / "mcproxy" / "native"
    folder.mkdir(parents=True)
    (folder / "some.c").write_text("int some(void);\nint some(void) { return 1; }\n", encoding="utf-8")
    return folder


@pytest.fixture
def tree(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return that of a source tree, on a machine with a compiler, which says that it was called."""
    (folder.parents[1] / "pyproject.toml").touch()
    monkeypatch.setenv("CC", str(compiler(tmp_path, 'while [ "$1" != -o ]; do shift; done; echo library > "$2"')))
    return folder


def compiler(folder: Path, command: str) -> Path:
    """Return a program that says that it was called, in a file beside it, and carries out a command."""
    file = folder / "cc"
    file.write_text(f"#!/bin/sh\necho called >> {folder}/log\n{command}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")


def test_a_source_tree_is_compiled_when_it_is_needed(tree: Path) -> None:
    """Not when somebody only asks; then the answer is where it will be."""
    wanted = tree / file_name(tree)
    assert find(tree, compiles=False) == wanted
    assert not wanted.exists()
    assert find(tree) == wanted
    assert wanted.exists()


def test_a_source_tree_without_compiler_has_none(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as there is none; what was compiled before is used."""
    with monkeypatch.context() as patch:
        without_compiler(patch)
        for compiles in (True, False):
            with pytest.raises(NativeCoreError, match="there is no C compiler"):
                find(tree, compiles=compiles)
    made = find(tree)
    without_compiler(monkeypatch)
    assert find(tree) == made


def test_what_can_not_be_compiled_is_not_tried_again(tree: Path, tmp_path: Path) -> None:
    """A reload takes no longer for it; until the sources are others."""
    compiler(tmp_path, "echo 'x.c:1: error: no' >&2; exit 1")
    for _ in range(3):
        with pytest.raises(NativeCoreError, match=r"can't compile it: x\.c:1: error: no"):
            find(tree)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "called\n"
    (tree / "some.c").write_text("\n", encoding="utf-8")
    with pytest.raises(NativeCoreError):
        find(tree)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "called\ncalled\n"


def test_an_installation_says_why_it_has_none(folder: Path) -> None:
    """It is not compiled there: nobody expects a server to start a compiler."""
    with pytest.raises(NativeCoreError, match="came without one for this kind of machine"):
        find(folder)
    (folder / NOT_BUILT).write_text("there is no C compiler\n", encoding="utf-8")
    with pytest.raises(NativeCoreError, match=r"not compiled when mcproxy was installed: there is no C compiler$"):
        find(folder)
    (folder / file_name(folder)).touch()
    assert find(folder) == folder / file_name(folder)


def test_the_variable_names_another_file(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One with sanitizers, for instance; `load` finds out whether it is of the same sources."""
    monkeypatch.setenv(library.VARIABLE, str(tmp_path / "other.so"))
    assert find(folder) == tmp_path / "other.so"
