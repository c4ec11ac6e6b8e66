"""The mutation run: what it changes, which tests judge that, and that it says which changes they don't notice."""

from pathlib import Path

import pytest

from tests.mutate import runner
from tests.mutate.__main__ import main
from tests.mutate.mutants import mutants_of
from tests.mutate.runner import BrokenTestsError, draw, run
from tests.mutate.selection import Imports, NothingFoundError, modules
from tests.support.rows import each_row

SMALL = '''"""A module."""

from typing import Protocol

LIMIT: int = 3


class Shape(Protocol):
    def area(self) -> int:
        """Return 4."""
        return 4


def allowed(count: int) -> bool:
    return count < LIMIT


def halved(count: int) -> int:
    while count > 10:
        count //= 2
    return count


def unused(text: str) -> str:
    assert text != ""
    return f"{text}: {len(text) + 1}"
'''

TESTS = """from mcproxy.small import allowed, halved

def test_allowed():
    assert allowed(2)
    assert not allowed(4)

def test_halved():
    assert halved(40) == 10
"""


# Of which one mutant never ends, without using the processor meanwhile.
FEW = """LIMIT: int = 3


def allowed(count: int) -> bool:
    return count < LIMIT


def told(event) -> bool:
    event.set()
    return event.wait()
"""

FEW_TESTS = """import threading

from mcproxy.small import allowed, told

def test_allowed():
    assert allowed(2)
    assert not allowed(4)

def test_told():
    assert told(threading.Event())
"""


def texts(source: str) -> list[tuple[str, str]]:
    """Return the changed programs of a one-line source, with their operators."""
    code = source.encode()
    return [(mutant.operator, mutant.apply(code).decode()) for mutant in mutants_of("x.py", code)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small project."""
    root = tmp_path / "tree"
    for name, text in {
        "mcproxy/__init__.py": "",
        "mcproxy/small.py": SMALL,
        "mcproxy/user.py": "from mcproxy import small\n",
        "mcproxy/far.py": "import mcproxy.user\n",
        "mcproxy/alone.py": "LIMIT = 1\n",
        "tests/unit/test_small.py": TESTS,
        "tests/unit/test_user.py": "from mcproxy.user import small\n\ndef test(): pass\n",
        "tests/unit/test_far.py": "from mcproxy import far\n\ndef test(): pass\n",
        "tests/integration/test_all.py": "import mcproxy.small\n\ndef test(): raise ValueError\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@each_row(
    ("source", "expected"),
    [
        ("a < b", [("comparison", "(a <= b)"), ("comparison", "(a >= b)")]),
        ("a is not b", [("comparison", "(a is b)")]),
        ("a and b or c", [("boolean", "(a or b) or c"), ("boolean", "((a and b) and c)")]),
        ("x = not a", [("boolean", "x = (a)")]),
        ("x = True", [("boolean", "x = (False)")]),
        ("x = 5", [("constant", "x = (4)"), ("constant", "x = (6)")]),
        ("x += y", [("arithmetic", "x -= y"), ("deletion", "pass")]),
        ("x = é + y * z", [("arithmetic", "x = (é - y * z)"), ("arithmetic", "x = é + (y // z)")]),
        ("self.x = y", [("deletion", "pass")]),
        ("f(y)", [("deletion", "pass")]),
        ("if a: f", [("condition", "if (not (a)): f")]),
        ("def f(x: 1 = y) -> 2: return x", [("return", "def f(x: 1 = y) -> 2: return None")]),
        ("def __init__(self): self.x = y", []),
        ("self._log.info(5)", []),
        ("class X(Y, frozen=True): z", []),
        ("x = y", []),
        ("def f(): return None", []),
        ("assert a < b", []),
        ('x = f"{a < b}"', []),
        ('"text"', []),
    ],
)
def test_each_operator_makes_one_mistake(source: str, expected: list[tuple[str, str]]) -> None:
    """At the place where it stands, and nothing else changes; what can't be noticed is left alone."""
    assert texts(source) == expected


def test_a_protocol_and_annotations_are_left_alone() -> None:
    """Nobody runs them."""
    lines = {mutant.line for mutant in mutants_of("small.py", SMALL.encode())}
    assert lines == {5, 15, 19, 20, 21, 26}


def test_a_name_means_a_module_or_a_package(tree: Path) -> None:
    """With slashes or dots, from the package's root or the tree's."""
    for name in ("small", "mcproxy/small.py", "mcproxy.small"):
        assert modules(tree, name) == ["mcproxy/small.py"]
    (tree / "mcproxy/room").mkdir()
    (tree / "mcproxy/room/one.py").write_text("", encoding="utf-8")
    assert modules(tree, "room/") == ["mcproxy/room/one.py"]
    with pytest.raises(NothingFoundError, match=r"no module mcproxy/none\.py"):
        modules(tree, "none")


def test_the_tests_near_a_module_judge_it(tree: Path) -> None:
    """Those that import it or what imports it, the nearest first; only where there are none, those further away."""
    near = Imports(tree).tests_near
    assert near("mcproxy/small.py") == ["tests/unit/test_small.py", "tests/unit/test_user.py"]
    (tree / "tests/unit/test_small.py").unlink()
    (tree / "tests/unit/test_user.py").unlink()
    assert Imports(tree).tests_near("mcproxy/small.py") == ["tests/unit/test_far.py"]
    assert near("mcproxy/alone.py") == []


def test_the_same_seed_draws_the_same_mutants(tree: Path) -> None:
    """In the same order; another one draws others."""
    paths = ["mcproxy/small.py", "mcproxy/alone.py"]
    drawn, possible = draw(tree, paths, 6, 1)
    assert (drawn, possible) == draw(tree, paths[::-1], 6, 1)
    assert len(set(drawn)) == 6 < possible
    assert drawn != draw(tree, paths, 6, 2)[0]
    assert len(draw(tree, paths, 1000, 1)[0]) == possible


def test_survivors_are_printed_with_their_diff(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests miss the limit itself; one that does not end is noticed. The tree stays as it is."""
    monkeypatch.setattr(runner, "_START", 1.0)
    (tree / "mcproxy/small.py").write_text(FEW, encoding="utf-8")
    (tree / "tests/unit/test_small.py").write_text(FEW_TESTS, encoding="utf-8")
    before = {path: path.read_bytes() for path in tree.rglob("*.py")}
    assert main(["small", "--mutants", "99", "--processes", "2"], tree) == 0
    *survivors, summary = capsys.readouterr().out.split("\n\n")
    assert survivors == [
        "mcproxy/small.py:1: constant\n-LIMIT: int = 3\n+LIMIT: int = (4)",
        "mcproxy/small.py:5: comparison\n-    return count < LIMIT\n+    return (count <= LIMIT)",
    ]
    assert summary == "7 of 7 mutants: 4 killed, 1 timed out, 2 survived, 0 without a test, 0 not run\n"
    assert {path: path.read_bytes() for path in tree.rglob("*.py")} == before


def test_mutants_that_no_test_reaches_are_told(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They can't be judged, and so have not survived."""
    assert main(["alone"], tree) == 0
    output = capsys.readouterr().out
    assert "mcproxy/alone.py:1: constant\n-LIMIT = 1\n+LIMIT = (2)\n" in output
    assert "no unit or property test imports it" in output
    assert "0 survived, 2 without a test" in output


def test_no_mutant_is_begun_when_the_time_is_over(tree: Path) -> None:
    """They are told from those that survived."""
    done = run(tree, ["mcproxy/small.py"], count=2, seed=0, seconds=0, processes=1)
    assert len(done.of("not run")) == 2


def test_tests_that_fail_anyway_judge_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every mutant would seem to be noticed. What they say is shown."""
    (tree / "tests/unit/test_user.py").write_text("import mcproxy.small\n\ndef test(): assert 0\n", encoding="utf-8")
    with pytest.raises(BrokenTestsError, match=r"(?s)without any mutation.*def test\(\): assert 0"):
        run(tree, ["mcproxy/small.py"], count=1, seed=0, seconds=60, processes=1)
    assert main(["small"], tree) == 1
    assert main(["none"], tree) == 1
    assert "no module mcproxy/none.py" in capsys.readouterr().err
