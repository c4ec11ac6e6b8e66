"""One line for what a plan does: the resources by name, and what of them."""

from typing import Any

import pytest

from mcproxy.model.history.headline import headline
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import Case, Listener, Route, State, Upstream
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.origins import Origin

KEY = (":443", "app.example.com")


def route(port: int = 1, **more: Any) -> State:
    endpoints = () if "upstream" in more else (Endpoint("h", port),)
    return State(routes={KEY: Route(*KEY, endpoints, **more)})


def case(match: str, **more: Any) -> State:
    return State(cases={(*KEY, match): Case(*KEY, match, **more)})


def settings(**values: Any) -> State:
    return State(settings={name.replace("__", "."): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (route(), route(2), "route :443 app.example.com: backend changed"),
        (route(), route(upstream="web"), "route :443 app.example.com: backend changed"),
        (route(), route(2, mode="l7", tls_cert="/c"), "route :443 app.example.com: backend, mode, tls_cert changed"),
        (
            route(),
            route(
                mode="l7", tls_cert="/c", tls_key="/k", backend_tls=True, send_proxy_protocol=True, on_remove="close"
            ),
            "route :443 app.example.com: mode, tls_cert, tls_key, backend_tls, and 2 more changed",
        ),
        (State(), route(), "route :443 app.example.com added"),
        (route(), State(), "route :443 app.example.com removed"),
        (
            case("/a b", redirect="https://a/"),
            case("/a b", redirect="https://b/"),
            'case :443 app.example.com "/a b": redirect changed',
        ),
        (settings(proxy__workers=2), settings(proxy__workers=4), "setting proxy.workers: 2 -> 4"),
        (
            settings(metrics__allowed_hosts=("a" * 80,)),
            settings(metrics__allowed_hosts=("b" * 80,)),
            "setting metrics.allowed_hosts changed",
        ),
        (route(), route(), "no changes"),
        (State(), settings(proxy__workers=2), "no changes"),
    ],
    ids=str,
)
def test_a_change_is_told_by_its_resource_and_keys(before: State, after: State, said: str) -> None:
    """In the words of the file; a setting with its values where they are short, and not at all if it is a default."""
    assert headline(make_plan(before, after, {})) == said


def test_of_many_changes_the_first_are_told_and_how_many_more_there_are() -> None:
    """Settings behind all else; a setting that the file names counts."""
    upstreams = {name: Upstream(name) for name in ("a", "b", "c", "d")}
    after = State({":1": Listener(":1")}, settings={"proxy.workers": 2, "log.level": "info"}, upstreams=upstreams)
    plan = make_plan(State(), after, {("setting", "log.level"): Origin("/f", 1, 1)})
    assert headline(plan) == "upstream a added, upstream b added, upstream c added, and 3 more"
    few = make_plan(
        State(), State({":1": Listener(":1")}, settings=after.settings), {("setting", "log.level"): Origin("/f", 1, 1)}
    )
    assert headline(few) == "listener :1 added, setting log.level: info"


def test_names_of_any_length_fit_a_line() -> None:
    """They are cut."""
    plan = make_plan(State(), case(f"/{'a' * 5000}"), {})
    assert len(headline(plan)) < 150
