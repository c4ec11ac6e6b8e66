"""Upstreams in the snapshot: what workers can dial, and its indices."""

from typing import Any

import msgspec

from mcproxy.model.state.snapshot import Snapshot, decode, encode, make_snapshot
from mcproxy.model.state.state import State, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_entries import Answers, EndpointEntry, endpoint_keys
from mcproxy.model.state.upstream_options import BackendTls
from mcproxy.model.values.endpoint import Endpoint
from tests.support import toml

TEXT = """
[upstreams.web]
endpoints = ["10.0.0.1:80", { address = "web.internal:80", resolve = "all", weight = 2, state = "drain", max_active = 4, backup = true }]
tls = { ca = "/ca.pem" }

[upstreams.hashed]
endpoints = ["unix:/s"]
balance = "source_hash"

[[listeners]]
addr = ":1"
routes = [
  { hostname = "named", backend = "web" },
  { hostname = "one", backend = "10.0.0.2:80" },
  { hostname = "two", backend = ["[::1]:81", "10.0.0.2:80"], send_proxy_protocol = true, connect_timeout = "2s", backend_tls = true },
  { hostname = "tls", backend = ["a:1", "b:1"], mode = "l7", tls_cert = "/c", tls_key = "/k", backend_tls = true, backend_ca = "/ca.pem", backend_server_name = "n" },
]
"""


def snapshot(state: State, answers: Answers, **fields: Any) -> Snapshot:
    """Return the snapshot of a state, through its encoding; indices count from 0 in the order of the keys."""
    indices = {key: number for number, key in enumerate(endpoint_keys(state, answers))}
    made = make_snapshot(
        state,
        1,
        dict.fromkeys(state.listeners, 0),
        dict.fromkeys(state.routes, 0),
        dict.fromkeys(state.listeners, 1),
        digests={"/ca.pem": "digest"},
        endpoint_indices=indices,
        answers=answers,
        **fields,
    )
    assert decode(encode(made)) == made
    return made


def test_every_endpoint_that_can_be_dialed_has_an_entry() -> None:
    """Those of named upstreams and of lists; a single address is its route's own business."""
    state = toml.state(TEXT)
    made = snapshot(state, {}, maglev=lambda entry: entry.name.encode())
    entries = {entry.name: entry for entry in made.upstreams}
    assert list(entries) == ["web", "hashed", ":1 two", ":1 tls"]
    assert entries["web"].upstream == state.upstreams["web"]
    assert entries["web"].ca == "digest"
    assert entries["web"].endpoints == (
        EndpointEntry(0, Endpoint("10.0.0.1", 80), 1, 0, "ready", False, "10.0.0.1:80"),
        EndpointEntry(1, Endpoint("web.internal", 80), 2, 4, "drain", True, "web.internal:80"),
    )
    assert [entry.maglev for entry in made.upstreams] == [b"", b"hashed", b"", b""]
    assert entries[":1 two"].upstream == Upstream(name=":1 two", send_proxy_protocol=True, connect_timeout=2.0)
    assert [(each.index, each.label) for each in entries[":1 two"].endpoints] == [(3, "[::1]:81"), (4, "10.0.0.2:80")]
    tls = BackendTls(ca="/ca.pem", server_name="n")
    assert (entries[":1 tls"].upstream, entries[":1 tls"].ca) == (Upstream(name=":1 tls", tls=tls), "digest")
    routes = {entry.route.hostname: entry.upstream for entry in made.listeners[0].routes}
    assert routes == {"named": "web", "one": "", "two": ":1 two", "tls": ":1 tls"}


def test_a_name_with_all_its_addresses_is_one_endpoint_for_each() -> None:
    """Under the label that the file has; an address that is there already does not come twice."""
    state = toml.state(TEXT)
    answers = {"web.internal:80": (Endpoint("10.0.0.9", 80), Endpoint("10.0.0.1", 80), Endpoint("::9", 80))}
    entry = snapshot(state, answers).upstreams[0]
    assert [(str(each.endpoint), each.label, each.weight) for each in entry.endpoints] == [
        ("10.0.0.1:80", "10.0.0.1:80", 1),
        ("10.0.0.9:80", "web.internal:80", 2),
        ("[::9]:80", "web.internal:80", 2),
    ]
    assert list(endpoint_keys(state, answers))[:3] == [("web", str(each.endpoint)) for each in entry.endpoints]


def test_answers_for_a_name_that_is_one_endpoint_do_not_count() -> None:
    """Only what says ``resolve = "all"`` has them."""
    state = State(
        upstreams={"x": Upstream(name="x")},
        endpoints={("x", "h:1"): UpstreamEndpoint(upstream="x", address="h:1")},
        settings=toml.state(TEXT).settings,
    )
    (entry,) = snapshot(state, {"h:1": (Endpoint("::9", 1),)}).upstreams
    assert [str(each.endpoint) for each in entry.endpoints] == ["h:1"]


def test_states_and_snapshots_of_earlier_versions_have_no_upstreams() -> None:
    """The history is read back, and so is the snapshot of the workers of a control that is replaced."""
    state = toml.state(toml.listener(":1", toml.route("a", 9000)))
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(state))
    for table in ("upstreams", "endpoints"):
        del old[table]
    for route in old["routes"].values():
        del route["upstream"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=State) == state
    new = msgspec.msgpack.decode(encode(snapshot(state, {})))
    del new["upstreams"]
    assert "upstream" not in new["listeners"][0]["routes"][0]  # what a route has not takes no room
    assert decode(msgspec.msgpack.encode(new)) == snapshot(state, {})
