"""What a request says of an upstream or an endpoint, judged as if it stood in the file."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from mcproxy.model.config import walker
from mcproxy.model.config.upstreams import Upstream as UpstreamTable
from mcproxy.model.edits.judging import Checked, judge
from mcproxy.model.edits.stored import fields_of, to_json
from mcproxy.model.edits.surroundings import SOME_ADDRESS
from mcproxy.model.state.state import State, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_options import UpstreamOptions


def check_upstream(live: State, name: str, fields: Mapping[str, object], folder: str) -> Checked[Upstream]:
    """Return an upstream, its endpoints aside; those of an upstream that is there must suit it.

    Args:
        live: what is in effect.
        name: the upstream's, canonical.
        fields: the keys of ``[upstreams.NAME]`` but ``endpoints``.
        folder: absolute; relative paths become absolute by it.
    """
    endpoints = _beside(live, name, "") or [{"address": SOME_ADDRESS}]
    told = {key: value for key, value in fields.items() if value != _upstream_defaults().get(key)}
    return judge(
        {"upstreams": {name: {**told, "endpoints": endpoints}}},
        ("upstreams", name),
        "name",
        folder,
        lambda state: state.upstreams[name],
    )


def check_endpoint(live: State, upstream: str, address: str, fields: Mapping[str, object]) -> Checked[UpstreamEndpoint]:
    """Return an endpoint of an upstream that exists.

    Args:
        live: what is in effect.
        upstream: the name of the upstream.
        address: the endpoint's, canonical.
        fields: the keys of ``[[upstreams.NAME.endpoints]]`` but ``address``.
    """
    table = {
        **to_json("upstream", upstream, live.upstreams[upstream]),
        "endpoints": [{**fields, "address": address}, *_beside(live, upstream, address)],
    }
    return judge(
        {"upstreams": {upstream: table}},
        ("upstreams", upstream, "endpoints", 0),
        "address",
        "/",
        lambda state: state.endpoints[upstream, address],
    )


def check_new_upstream(name: str, fields: Mapping[str, object], folder: str) -> Checked[State]:
    """Return an upstream that is not there with its endpoints; ``fields`` are all keys of ``[upstreams.NAME]``."""
    raw = {"upstreams": {name: dict(fields)}}
    return judge(raw, ("upstreams", name), "endpoints", folder, lambda state: state)


@cache
def _upstream_defaults() -> Mapping[str, object]:
    """Return the defaults of an upstream's keys as the file would have them: a request that names one says nothing by it."""
    return {
        key: walker.written(UpstreamTable, key, walker.default(UpstreamTable, key, ""), "")
        for key in UpstreamOptions.__struct_fields__
    }


def _beside(live: State, upstream: str, address: str) -> list[dict[str, Any]]:
    """Return as many of an upstream's endpoints as the checks have to know, all but one of them.

    These ask whether there are several, and whether all are backups or none is ready.
    """
    found: dict[tuple[bool, bool], list[UpstreamEndpoint]] = {}
    for key, endpoint in live.endpoints.items():
        if key[0] == upstream and key[1] != address:
            alike = found.setdefault((endpoint.state == "ready", endpoint.backup), [])
            if len(alike) < 2:
                alike.append(endpoint)
    return [fields_of(endpoint) for alike in found.values() for endpoint in alike]
