"""Tests of the whole proxy that run with each HTTP/2 engine, beside those that the engine can't make a difference to.

A module whose proxy is made by a fixture of its own calls `default_engine` in its ``pytest_generate_tests``, marks what
depends on the engine with `engines`, and starts the proxy with the fixture's parameter as ``http2_engine``.
"""

import pytest

_ENGINES = ("ngh2", "h2")


def engines(fixture: str) -> pytest.MarkDecorator:
    """Run a test with both engines; ``fixture`` is what its proxy comes from."""
    return pytest.mark.parametrize(fixture, _ENGINES, indirect=True)


def default_engine(metafunc: pytest.Metafunc, fixture: str) -> None:
    """Run a test of ``fixture`` that is not marked with the fast engine alone."""
    marks = metafunc.definition.iter_markers("parametrize")
    if fixture in metafunc.fixturenames and not any(fixture in mark.args[0] for mark in marks):
        metafunc.parametrize(fixture, _ENGINES[:1], indirect=True)
