"""No module imports itself, however long the way round; folders and modules stay of a size that can be looked over."""

import ast
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "mcproxy"
FOLDER = 12  # modules
MODULE = 400  # lines
Graph = Mapping[str, AbstractSet[str]]


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def named_by(node: ast.AST, package: str) -> list[str]:
    """Return what an import statement in a module of ``package`` may mean: modules, and names within modules."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            return [f"{origin}.{alias.name}" for alias in node.names]
    return []


def import_graph(root: Path) -> dict[str, set[str]]:
    """Return which modules of a package each of them imports, under TYPE_CHECKING and inside functions, too.

    A name that is no module is its module's; that a module's parents are imported with it does not count.
    """
    paths = {module_name(path, root): path for path in root.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {each for node in ast.walk(tree) for each in named_by(node, package)}
        graph[name] = {each if each in paths else each.rpartition(".")[0] for each in found} & paths.keys() - {name}
    return graph


def way(graph: Graph, start: str, end: str) -> list[str]:
    """Return a shortest way from one module to another over imports, both included; empty if there is none."""
    before: dict[str, str] = {start: ""}
    queue = [start]
    for name in queue:
        if name == end:
            found = [name]
            while before[found[-1]]:
                found.append(before[found[-1]])
            return found[::-1]
        for other in sorted(graph[name]):
            if other not in before:
                before[other] = name
                queue.append(other)
    return []


def circle(graph: Graph) -> list[str]:
    """Return one of the shortest circles of imports, its first module again at the end; empty if there is none."""
    circles = [
        [name, *back] for name in sorted(graph) for other in sorted(graph[name]) if (back := way(graph, other, name))
    ]
    return min(circles, key=len, default=[])


def test_no_import_leads_back_to_its_module() -> None:
    """Imports for the type checker alone, or put off until a function runs, would only hide that two modules are one."""
    graph = import_graph(ROOT)
    assert "mcproxy.worker.frontend.connection" in graph["mcproxy.worker.frontend.acceptor"]
    assert " -> ".join(circle(graph)) == ""


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, ["a", "b", "c", "a"]),
    ],
)
def test_a_circle_is_told_by_its_path(graph: Graph, found: list[str]) -> None:
    """The shortest one there is, so that the message names no module that has no part in it."""
    assert circle(graph) == found


def test_every_kind_of_import_counts(tmp_path: Path) -> None:
    """Of a module or of a name in it, relative, for the type checker alone, inside a function."""
    root = tmp_path / "pack"
    (root / "sub").mkdir(parents=True)
    sources = {
        "__init__.py": "",
        "plain.py": "import pack.sub.typed\nimport os",
        "sub/__init__.py": "from pack.named import thing",
        "sub/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack import late as other",
        "late.py": "def run():\n    from pack.sub import name\n    from pack.named import thing",
        "named.py": "",
        "relative.py": "from . import late\nfrom .sub.typed import name",
    }
    for name, text in sources.items():
        (root / name).write_text(text, encoding="utf-8")
    assert import_graph(root) == {
        "pack": set(),
        "pack.plain": {"pack.sub.typed"},
        "pack.sub": {"pack.named"},
        "pack.sub.typed": {"pack.late"},
        "pack.late": {"pack.sub", "pack.named"},
        "pack.named": set(),
        "pack.relative": {"pack.late", "pack.sub.typed"},
    }


def test_no_folder_holds_more_modules_than_can_be_looked_over() -> None:
    """Twelve at most; a folder that needs more has two subjects."""
    folders = {path.parent for path in ROOT.rglob("*.py")}
    counts = {
        str(folder.relative_to(ROOT.parent)): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in folders
    }
    assert {folder: count for folder, count in counts.items() if count > FOLDER} == {}
    assert len(counts) > 20


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    """Four hundred lines at most, and seldom more than 250; what is generated is nobody's to read."""
    lengths = {
        str(path.relative_to(ROOT.parent)): len(path.read_text(encoding="utf-8").splitlines())
        for path in ROOT.rglob("*.py")
        if path.parent.name != "_pb"
    }
    assert {path: length for path, length in lengths.items() if length > MODULE} == {}
    assert len(lengths) > 200
