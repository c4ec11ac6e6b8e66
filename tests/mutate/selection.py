"""Which modules are meant, and which tests are near enough to a module to notice a change of it."""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

PACKAGE = "mcproxy"
_TESTS = ("tests/unit", "tests/property")
_NEAR = 2  # imports: the test's own, and one step further


class NothingFoundError(Exception):
    """There is no such module."""


def modules(root: Path, name: str) -> list[str]:
    """Return the paths of the modules that a name means: of a module or package, dotted or with slashes.

    Raises:
        NothingFoundError: there is none.
    """
    stem = name.removesuffix(".py").replace(".", "/").strip("/").removeprefix(f"{PACKAGE}/")
    file = root / PACKAGE / f"{stem}.py"
    folder = root / PACKAGE / stem
    found = [file] if file.is_file() else sorted(folder.rglob("*.py")) if folder.is_dir() else []
    if not found:
        raise NothingFoundError(f"there is no module {PACKAGE}/{stem}.py, and no package {PACKAGE}/{stem}")
    return [str(path.relative_to(root)) for path in found]


class Imports:
    """Who imports whom, in the package and in its tests."""

    def __init__(self, root: Path) -> None:
        paths = [*(root / PACKAGE).rglob("*.py"), *(root / "tests").rglob("*.py")]
        names = {_dotted(str(path.relative_to(root))): str(path.relative_to(root)) for path in paths}
        self._imports: dict[str, set[str]] = {
            path: {names[name] for name in _imported(ast.parse((root / path).read_bytes())) if name in names}
            for path in names.values()
        }
        self._tests = sorted(
            path for path in self._imports if path.startswith(_TESTS) and Path(path).name.startswith("test_")
        )

    def tests_near(self, module: str) -> list[str]:
        """Return the unit and property tests near a module, the nearest first.

        A test is near that imports it, or imports what does. Where there is none, the nearest are taken.
        """
        distances = _distances(self._imports, module)
        reached = sorted((distances[test], test) for test in self._tests if test in distances)
        if not reached:
            return []
        limit = max(_NEAR, reached[0][0])
        return [test for distance, test in reached if distance <= limit]


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(tree: ast.AST) -> Iterable[str]:
    """Yield the names of what is imported, modules and what is in them alike."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _distances(imports: Mapping[str, set[str]], module: str) -> dict[str, int]:
    """Return by how many imports each file is away from a module that it depends on."""
    users: dict[str, set[str]] = {}
    for path, its in imports.items():
        for used in its:
            users.setdefault(used, set()).add(path)
    found = {module: 0}
    edge = [module]
    while edge:
        following = []
        for path in edge:
            for user in users.get(path, ()):
                if user not in found:
                    found[user] = found[path] + 1
                    following.append(user)
        edge = following
    return found
