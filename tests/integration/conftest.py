"""Tests of what the l4 data path does run on both: natively, and on Python's, which is the reference.

A module or a test asks for it by the mark ``both_data_paths``; with ``python="soak"`` Python's is left to the long tests, where
what is tested is hardly a matter of who relays. What a module shares is made anew for each of them.
With ``--sanitized LIBRARY`` these tests run, and no others, on a native core that was compiled with sanitizers
(`tests/sanitized`).
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sanitized.library import environment
from tests.support.data_paths import DATA_PATHS
from tests.support.proxy import Proxy
from tests.support.require import require

_SANITIZED = "sanitized"
_DATA_PATH: pytest.StashKey[pytest.FixtureDef[object]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the tests that run with sanitizers need to know."""
    parser.addoption("--sanitized", type=Path, metavar="LIBRARY", help="the native core, compiled with sanitizers")


@pytest.fixture(scope="module", autouse=True)
def data_path(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Return the data path of the proxies that are started meanwhile; None where it does not matter."""
    name: str | None = getattr(request, "param", None)
    if name is None:
        yield None
        return
    with pytest.MonkeyPatch.context() as patch:
        if name == _SANITIZED:
            patch.setattr(Proxy, "ENVIRONMENT", environment(request.config.getoption("sanitized")))
        else:
            if name == "native":
                require("cc", "gcc")  # the core was compiled before the tests began
            patch.setattr(Proxy, "ENVIRONMENT", DATA_PATHS[name])
        yield name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the marked tests on both data paths, or on the sanitized one."""
    if mark := metafunc.definition.get_closest_marker("both_data_paths"):
        names = [_SANITIZED] if metafunc.config.getoption("sanitized") else list(DATA_PATHS)
        long = [name for name, suite in mark.kwargs.items() if suite == "soak"]
        paths = [pytest.param(name, marks=pytest.mark.soak) if name in long else pytest.param(name) for name in names]
        metafunc.parametrize("data_path", paths, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has no data path, where only that is tested."""
    if config.getoption("sanitized"):
        items[:] = [item for item in items if item.get_closest_marker("both_data_paths")]


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """Have what a module shares end with the data path that it was made on: it may have started proxies."""
    if fixturedef.argname == "data_path":
        request.node.stash[_DATA_PATH] = fixturedef
    elif fixturedef.scope == "module":
        finish = functools.partial(fixturedef.finish, request=request)  # type: ignore[arg-type]  # the type is private
        request.node.stash[_DATA_PATH].addfinalizer(finish)
