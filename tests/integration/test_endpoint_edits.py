"""Endpoints that operators take out: by runtime edits that last as any other, until the file speaks or time is up."""

import json
from collections.abc import Iterator

import pytest

from tests.conftest import StartProxy
from tests.support.admin import client, differences
from tests.support.ctl import Result, run_ctl
from tests.support.lifecycle import apply, end
from tests.support.load import Load, until
from tests.support.proxy import Proxy
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"


@pytest.fixture
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


def ctl(edge: Proxy, *words: str) -> Result:
    return run_ctl("--addr", f"unix:{edge.folder / 'mc-proxy.sock'}", *words)


def text(one: int, two: int, *, weight: int = 1, other: int = 1) -> str:
    """Return a file with an upstream of two endpoints."""
    endpoints = [{"address": f"{HOST}:{one}", "weight": weight}, {"address": f"{HOST}:{two}", "weight": other}]
    tables = "".join(
        "[[upstreams.web.endpoints]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in each.items())
        for each in endpoints
    )
    return config(listener("PORT", route("web.test", "web"))) + tables


def backends(load: Load, edge: Proxy) -> set[str]:
    """Return which backends some connections come to."""
    found = [load.once((HOST, edge.port()), "web.test") for _ in range(8)]
    assert [each.error for each in found if each.error] == []
    return {each.backend for each in found}


def test_a_drained_endpoint_stays_out_until_the_file_speaks(proxy: StartProxy, load: Load) -> None:
    """In force when the command returns, over a reload of the same file, over the death of all processes, over changes of others."""
    one, two = load.backend("one"), load.backend("two")
    edge = proxy(text(one, two))
    target = f"endpoint web {HOST}:{one}"
    done = ctl(edge, "endpoints", "drain", "web", f"{HOST}:{one}", "--reason", "upgrade", "--expires", "2h")
    assert (done.status, done.stderr) == (0, "")
    assert backends(load, edge) == {"two"}
    with client(edge) as admin:
        (found,) = admin.get_drift().differences
        assert (found.action, found.target, found.edit.reason) == ("changed", target, "upgrade")
        assert found.edit.expires.seconds - found.edit.created.seconds in (7199, 7200)
        assert json.loads(found.effective_json)["state"] == "drain"
    assert ctl(edge, "reload").status == 0
    edge.save(text(one, two))
    assert backends(load, edge) == {"two"}
    edge.kill()
    edge.start()
    assert backends(load, edge) == {"two"}
    apply(edge, text(one, two, other=5))
    assert backends(load, edge) == {"two"}
    with client(edge) as admin:
        assert differences(admin.get_drift()) == [("changed", target)]
    apply(edge, text(one, two, weight=5, other=5))
    with client(edge) as admin:
        assert differences(admin.get_drift()) == []
        assert [each.event for each in admin.list_edit_records().records] == ["superseded", "added"]
    assert end(edge) == 0


def test_an_endpoint_comes_back_by_a_command_by_time_and_by_history(proxy: StartProxy, load: Load) -> None:
    """Ready is what the file says, so no edit is left; an edit that ends is the same; and so is the way back."""
    one, two = load.backend("one"), load.backend("two")
    edge = proxy(text(one, two))
    with client(edge) as admin:
        before = admin.get_status().generation
        assert ctl(edge, "endpoints", "maintenance", "web", f"{HOST}:{one}").status == 0
        assert backends(load, edge) == {"two"}
        assert ctl(edge, "endpoints", "ready", "web", f"{HOST}:{one}").status == 0
        assert differences(admin.get_drift()) == []
        assert ctl(edge, "endpoints", "drain", "web", f"{HOST}:{two}", "--expires", "300ms").status == 0
        assert backends(load, edge) == {"one"} or differences(admin.get_drift()) == []
        until(lambda: differences(admin.get_drift()) == [], "the edit has expired")
        assert ctl(edge, "endpoints", "weight", "web", f"{HOST}:{two}", "7").status == 0
        assert [row.weight for row in admin.list_endpoints("web").endpoints] == [1, 7]
        assert ctl(edge, "rollback", str(before)).status == 0
        assert [row.weight for row in admin.list_endpoints("web").endpoints] == [1, 1]
        assert differences(admin.get_drift()) == []


def test_what_an_operator_has_done_is_shown_everywhere(proxy: StartProxy, load: Load) -> None:
    """In the list of endpoints, in explain, in status, and with the edit that did it."""
    one, two = load.backend("one"), load.backend("two")
    edge = proxy(text(one, two))
    address = f"{HOST}:{one}"
    ctl(edge, "endpoints", "drain", "web", address, "--author", "ann")
    listed = json.loads(ctl(edge, "endpoints", "list", "web", "--json").stdout)
    assert [(row["address"], row["state"], row["usable"]) for row in listed["endpoints"]] == [
        (address, "drain", False),
        (f"{HOST}:{two}", "ready", True),
    ]
    assert [row["provenance"]["edit_id"] for row in listed["endpoints"]] == [1, 0]
    (web,) = listed["upstreams"]
    assert (web["name"], web["endpoints"], web["ready"], web["usable"], web["condition"]) == ("web", 2, 1, 1, "ok")
    backend = json.loads(ctl(edge, "explain", "--sni", "web.test", "--probe", "--json").stdout)["steps"]
    told = {step["step"]: step["detail"] for step in backend}
    assert f"round_robin over 1 of 2: {HOST}:{two}; {address} drain (edit 1 by ann)" in told["backend"]
    probed = [step["detail"].partition(": ")[0] for step in backend if step["step"] == "probe"]
    assert probed == [address, f"{HOST}:{two}"]
    assert ctl(edge, "endpoints", "drain", "web", f"{HOST}:{two}").status == 0
    assert "DOWN" in ctl(edge, "status").stdout
    refused = load.once((HOST, edge.port()), "web.test")
    assert refused.error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["drain", "wbe", "127.0.0.1:1"], "there is no upstream wbe; did you mean web?; upstreams: web"),
        (["drain", "web", "127.0.0.1:1"], "there is no endpoint web 127.0.0.1:1; "),
        (["list", "wbe"], "did you mean web?"),
        (["weight", "web", "127.0.0.1:1", "300"], "there is no endpoint"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(reloaded: StartProxy, words: list[str], told: str) -> None:
    """The nearest, and the list; nothing is added."""
    edge = reloaded(text(10, 11))
    done = ctl(edge, "endpoints", *words)
    assert done.status == 1
    assert told in done.stderr
    with client(edge) as admin:
        assert differences(admin.get_drift()) == []
