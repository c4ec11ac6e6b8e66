"""ARCHITECTURE.md describes the tree that is there."""

import ast
import functools
import re
import sys
from pathlib import Path
from typing import get_args

from mcproxy.net import ipc

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def described() -> dict[str, str]:
    """Return the line about each module that the list of modules names, by the module's path in the tree."""
    found: dict[str, str] = {}
    for package in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]:
        heading, _, rest = package.partition("\n")
        folder = heading.split("`")[1]
        for names, line in re.findall(r"^- ((?:`\w+` ?)+): (.*)$", rest.partition("\n## ")[0], re.MULTILINE):
            for name in re.findall(r"\w+", names):
                path = f"{folder}{name}.py"
                assert path not in found, f"{path} is described twice"
                found[path] = line
    return found


@functools.cache
def imports(path: Path) -> set[str]:
    """Return the top-level packages that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def modules() -> set[str]:
    # a package is described by its heading
    return {str(path.relative_to(ROOT)) for path in (ROOT / "mcproxy").rglob("*.py") if path.name != "__init__.py"}


def test_the_list_names_every_module_and_no_other() -> None:
    """A module that is added, moved or removed has to be listed."""
    assert described().keys() == modules()


def test_the_list_has_every_package() -> None:
    """Every package has a heading, and every heading a package."""
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "mcproxy").rglob("__init__.py")}
    assert set(re.findall(r"^### `([^`]+)`", TEXT, re.MULTILINE)) == packages


def test_every_file_of_the_native_core_is_told_of() -> None:
    """Each C file has its line in the section of the core, and no line is of one that is not there."""
    section = TEXT.partition("`mcproxy/native/`\n")[2].partition("\n### ")[0]
    told = re.findall(r"`(\w+\.c)`", "".join(re.findall(r"^- ([^:]*):", section, re.MULTILINE)))
    assert sorted(told) == sorted(path.name for path in (ROOT / "mcproxy" / "native").glob("*.c"))


def test_every_third_party_package_has_the_home_that_the_list_names() -> None:
    """A package is imported by the modules that are named as its home, nearly always one. msgspec alone is everywhere."""
    homes = {(package, path) for path, line in described().items() for package in re.findall(r"home of (\w+)", line)}
    shared = {"mcproxy", "msgspec", *sys.stdlib_module_names}
    users = {(package, path) for path in modules() for package in imports(ROOT / path) - shared}
    assert users == homes


def test_two_modules_and_one_package_call_c_by_hand() -> None:
    """A wrong type there is a crash, so it is looked for in few places."""
    users = {path for path in modules() if "ctypes" in imports(ROOT / path)}
    alone = {path for path in users if not path.startswith("mcproxy/net/native/")}
    assert alone == {"mcproxy/net/c_library.py", "mcproxy/net/openssl/door.py"}


def test_the_table_of_messages_is_complete() -> None:
    """The channel's messages are those of `net/ipc`."""
    table = TEXT.partition("| Message |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert named == {message.__name__ for message in get_args(ipc.Message)}


def test_every_path_that_is_named_exists() -> None:
    """Links, and whatever in backticks looks like a path of the tree."""
    links = set(re.findall(r"\]\(([^)#]+)\)", TEXT))
    paths = set(re.findall(r"`((?:mcproxy|tests|schemas|srv|docs|\.ci)/[\w./-]*|[\w./]+\.(?:md|toml|json|py))`", TEXT))
    short = {
        f"mcproxy/{name}.py" for name in re.findall(r"`((?:cli|control|model|net|policy|wire|worker)(?:/\w+)+)`", TEXT)
    }
    missing = [path for path in sorted(links | paths | short) if not (ROOT / path).exists()]
    assert missing == []
    assert len(links) >= 3
    assert len(short) >= 10
