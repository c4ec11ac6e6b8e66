"""The native core in what is installed: wheels of this machine, of others and of none, the sdist, and the README without compiler."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcproxy.net.native.sources import NOT_BUILT, file_name
from tests.support.proxy import ROOT
from tests.support.require import require

OLDEST = (2, 17)
"""The version of glibc that wheels for many machines are good for: that of 2012."""
README = (ROOT / "README.md").read_text(encoding="utf-8")
RELEASE = ROOT / "requirements" / "release.txt"
COMPILERS = {"cc", "gcc", "clang", "c99", "c89", "tcc"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of what git knows of this tree, and of what it does not know and does not ignore."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.split("\0")
    copy = tmp_path / "tree"
    for name in filter(None, names):
        if (ROOT / name).is_file():  # else it was removed, and git does not know it yet
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def built(tree: Path, target: str, environment: Mapping[str, str] = os.environ, python: str = sys.executable) -> Path:
    """Return the file that hatchling makes of a tree."""
    folder = Path(tempfile.mkdtemp(dir=tree.parent))
    command = (python, "-m", "hatchling", "build", "-t", target, "-d", str(folder))
    ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (made,) = folder.iterdir()
    return made


def cores(names: list[str]) -> list[str]:
    return [Path(name).name for name in names if name.endswith(".so")]


def test_a_wheel_brings_the_core(tree: Path) -> None:
    """For this machine and for every version of Python; the sources with which it is checked come along."""
    require("cc", "gcc")
    wheel = built(tree, "wheel")
    assert re.fullmatch(r"mcproxy-[\d.]+-py3-none-linux_\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert cores(names) == [file_name(tree / "mcproxy/native")]
    assert not [name for name in names if NOT_BUILT in name]
    assert {Path(name).name for name in names if name.startswith("mcproxy/native/")} >= {
        file.name for file in (ROOT / "mcproxy/native").glob("*.[ch]")
    }
    assert not list((tree / "mcproxy/native").glob("*.so")), "the tree stays as it was"


def test_without_compiler_a_wheel_is_pure_and_says_why(tree: Path) -> None:
    """What was compiled in the tree before is not for it: nobody knows for which machine."""
    (tree / "mcproxy/native" / file_name(tree / "mcproxy/native", "sparc")).touch()
    wheel = built(tree, "wheel", {"PATH": "/nowhere"})
    assert wheel.name.endswith("-py3-none-any.whl")
    content = zipfile.ZipFile(wheel)
    assert cores(content.namelist()) == []
    assert content.read(f"mcproxy/native/{NOT_BUILT}") == b"there is no C compiler (cc, gcc or clang)\n"


def test_a_wheel_is_built_of_the_sdist(tree: Path, tmp_path: Path) -> None:
    """The hook and the C sources are in it."""
    require("cc", "gcc")
    with tarfile.open(built(tree, "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    names = zipfile.ZipFile(built(unpacked, "wheel")).namelist()
    assert cores(names) == [file_name(ROOT / "mcproxy/native")]


@pytest.mark.soak  # a compiler with the C libraries of other machines is installed: 300 MB
@pytest.mark.timeout(400)
def test_wheels_for_many_machines_need_an_old_library_alone(tree: Path, tmp_path: Path) -> None:
    """Of the C library, and of nothing else; the one for this machine can be loaded here."""
    readelf = require("readelf", "binutils")
    environment = tmp_path / "release"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=60)
    pip = ("python3", "-m", "pip", "--python", environment, "install", "-q", "-r", RELEASE)
    subprocess.run(pip, check=True, timeout=300)
    python = str(environment / "bin" / "python")
    for machine in ("x86_64", "aarch64"):
        wanted = f"manylinux_{OLDEST[0]}_{OLDEST[1]}_{machine}"
        wheel = built(tree, "wheel", {**os.environ, "MCPROXY_WHEEL_PLATFORM": wanted}, python)
        assert wheel.name.endswith(f"-py3-none-{wanted}.whl")
        content = zipfile.ZipFile(wheel)
        assert cores(content.namelist()) == [file_name(ROOT / "mcproxy/native", machine)]
        core = content.extract(f"mcproxy/native/{cores(content.namelist())[0]}", tmp_path / machine)
        told = subprocess.run([readelf, "-hdVW", core], capture_output=True, text=True, check=True, timeout=30).stdout
        assert re.search(r"Machine: +(.*)", told)[1].lower().replace("-", "_").endswith(machine)  # type: ignore[index]
        assert set(re.findall(r"Shared library: \[(.*)\]", told)) <= {"libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1"}
        versions = {tuple(map(int, found.split("."))) for found in re.findall(r"Name: GLIBC_([\d.]+)", told)}
        assert versions
        assert max(versions) <= OLDEST
        if machine == platform.machine():
            load = "import sys; from mcproxy.net.native.loading import load; load(sys.argv[1])"
            subprocess.run([sys.executable, "-c", load, core], cwd=ROOT, check=True, timeout=30)


@pytest.mark.soak  # packages are installed
@pytest.mark.timeout(600)
def test_the_readme_serves_without_a_compiler(tree: Path, tmp_path: Path) -> None:
    """In a copy of the tree, by the commands as they are printed; the program says that Python relays, and why."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for file in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if file.name not in COMPILERS and not re.search(r"(^|-)(gcc|clang|cc)(-[\d.]+)?$", file.name):
                (programs / file.name).unlink(missing_ok=True)
                (programs / file.name).symlink_to(file)
    environment = {**os.environ, "PATH": str(programs), "CI": ""}  # what needs a compiler is skipped, and no failure
    environment.pop("CC", None)

    def ran(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tour,) = re.findall(r"^python3 -m venv .* -m mcproxy demo$", README, re.MULTILINE)
    ran("bash", "-euo", "pipefail", "-c", f"{tour} --once")
    version = ran(".venv/bin/python", "-m", "mcproxy", "--version")
    assert "data path: python (there is no C compiler (cc, gcc or clang))" in version
    few = (
        f"tests/{name}"
        for name in ("unit/net/native", "integration/test_relay_semantics.py", "integration/test_data_path.py")
    )
    told = ran(sys.executable, "-m", "pytest", "-q", "-n", "2", *few)  # with the packages of the tests, which are here
    assert re.search(r"^\d+ passed", told.splitlines()[-1]), told
    assert not list((tree / "mcproxy/native").glob("*.so"))
