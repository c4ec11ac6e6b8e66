"""The native core is compiled once, from exactly the sources that are there."""

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcproxy.errors import NativeCoreError
from mcproxy.net.native import building
from mcproxy.net.native.building import build, compile_to, compiler
from mcproxy.net.native.loading import load
from mcproxy.net.native.sources import digest, digest_later, file_name
from tests.support.require import require

SOURCE = "const char *mcp_build(void); const char *mcp_build(void) { return MCP_BUILD; }\n"
CC = """\
#!/bin/sh
echo compiled >> {log}
sleep 0.2
while [ "$1" != -o ]; do shift; done
echo library > "$2"
"""
"""A compiler that says that it was called, and takes its time."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with C sources."""
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "version.c").write_text(SOURCE, encoding="utf-8")
    return folder


@pytest.fixture
def cc(tmp_path: Path) -> Path:
    return program(tmp_path / "cc", CC.format(log=tmp_path / "log"))


def program(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
    return file


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "log").read_text(encoding="utf-8").splitlines())


def test_it_is_compiled_once(folder: Path, cc: Path, tmp_path: Path) -> None:
    """Whoever asks again gets what is there."""
    library = build([str(cc)], folder)
    assert library == folder / file_name(folder)
    assert build([str(cc)], folder) == library
    assert calls(tmp_path) == 1


def test_many_who_want_it_at_once_wait_for_one(folder: Path, cc: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len({*pool.map(build, [[str(cc)]] * 4, [folder] * 4)}) == 1
    assert calls(tmp_path) == 1


@pytest.mark.parametrize("change", ["edit", "add", "rename", "header"])
def test_other_sources_have_another_library(change: str, folder: Path, cc: Path, tmp_path: Path) -> None:
    """One that was compiled before a change is never taken for what is there now."""
    old = build([str(cc)], folder)
    match change:
        case "edit":
            (folder / "version.c").write_text(SOURCE + "\n", encoding="utf-8")
        case "add":
            (folder / "more.c").write_text("", encoding="utf-8")
        case "rename":
            (folder / "version.c").rename(folder / "renamed.c")
        case "header":
            (folder / "version.h").write_text("#define X 1\n", encoding="utf-8")
    assert build([str(cc)], folder) != old
    assert calls(tmp_path) == 2
    assert old.exists(), "a process that runs may start a worker with it"


def test_old_libraries_go(folder: Path, cc: Path) -> None:
    """Those that nobody has needed for a day."""
    old = folder / "core-x86_64-0123456789abcdef.so"
    old.touch()
    os.utime(old, (0, time.time() - 2 * 86_400))
    library = build([str(cc)], folder)
    assert [file.name for file in folder.glob("core-*.so")] == [library.name]


def test_everybody_can_load_it(folder: Path, tmp_path: Path) -> None:
    """Whatever the umask of who has started the server: workers may run as another user."""
    require("cc", "gcc")
    program_text = (
        "import os, sys; from pathlib import Path; from mcproxy.net.native.building import build, compiler; os.umask(0o077); "
        "print(build(compiler(), Path(sys.argv[1])))"
    )
    made = subprocess.run(
        [sys.executable, "-c", program_text, str(folder)], capture_output=True, text=True, check=True, timeout=60
    )
    library = Path(made.stdout.strip())
    assert stat.S_IMODE(library.stat().st_mode) == 0o755
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_what_a_compiler_says_is_told(folder: Path) -> None:
    """The line that says most, and nothing is left behind."""
    require("cc", "gcc")
    (folder / "wrong.c").write_text("int wrong(void) { return nowhere; }\n", encoding="utf-8")
    with pytest.raises(NativeCoreError, match=r"can't compile it: .*wrong\.c:1:\d+: error: .*nowhere"):
        build(compiler(), folder)
    assert sorted(file.name for file in folder.iterdir()) == ["version.c", "wrong.c"]


def test_a_compiler_that_does_not_end_is_given_up(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_LIMIT", 0.1)
    slow = program(tmp_path / "slow", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(NativeCoreError, match=r"slow did not end within 0\.1 s"):
        build([str(slow)], folder)


def test_a_folder_that_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NativeCoreError, match="no such file or directory"):
        compile_to(tmp_path / "none" / "core.so", ["cc"], folder)


def test_the_variable_names_the_compiler(monkeypatch: pytest.MonkeyPatch, cc: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", f"{cc} -m64")
    assert compiler() == [str(cc), "-m64"]
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(NativeCoreError, match="there is no no-such-cc, which the variable CC names"):
        compiler()


def test_the_first_compiler_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NativeCoreError, match=r"there is no C compiler \(cc, gcc or clang\)"):
        compiler()
    program(tmp_path / "clang", "#!/bin/sh\n")
    assert compiler() == ["clang"]
    program(tmp_path / "gcc", "#!/bin/sh\n")
    assert compiler() == ["gcc"]


def test_a_library_of_other_sources_is_not_used(folder: Path, tmp_path: Path) -> None:
    """Neither is one that has not all functions, or is no library at all."""
    require("cc", "gcc")
    other = tmp_path / "other.so"
    compile_to(other, compiler(), folder, ["-fvisibility=default"])
    assert digest(folder) != digest()
    with pytest.raises(NativeCoreError, match=r"other\.so was compiled from other sources"):
        load(other)
    with pytest.raises(NativeCoreError, match=r"can't be loaded: .*undefined symbol: mcp_"):
        load(other, digest(folder))
    (tmp_path / "text.so").write_text("no library", encoding="utf-8")
    with pytest.raises(NativeCoreError, match=r"can't be loaded: .*text\.so"):
        load(tmp_path / "text.so")


def test_sources_that_have_changed_since_are_not_told(folder: Path) -> None:
    """What a process has loaded goes with those that were there at its start."""
    later, unchanged = digest_later(folder), digest(folder)
    assert later() == unchanged
    source = next(folder.glob("*.c"))
    source.write_text(source.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(NativeCoreError, match="have changed since the start"):
        later()
    assert digest(folder) != unchanged
