"""Envoy as a contestant, with one worker thread and its defaults."""

import json
from pathlib import Path
from typing import Any

from tests.attacks.contestant import Contestant, Door, Site
from tests.attacks.row import GOOD, TARGET
from tests.bench.peers_l7 import Envoy as EnvoyPeer
from tests.bench.peers_l7 import envoy_address, envoy_type

_PEER = EnvoyPeer("envoy")


class Envoy(Contestant, frozen=True):
    """Envoy with one worker thread; an address for HTTP has one hostname per certificate, so both share a filter chain."""

    def missing(self) -> str:
        return _PEER.missing()

    def version(self) -> str:
        return _PEER.version()

    def config(self, site: Site, folder: Path) -> str:
        clusters = [_cluster("good", site.good, h2=False), _cluster("passed", site.passed, h2=None)]
        clusters += [_cluster(f"target{door.port}", door.target, h2=door.h2) for door in site.doors]
        listeners = [_door(site, door, tls=tls) for door in site.doors for tls in (True, False)] + [_passed(site)]
        return json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}, indent=2)

    def command(self, config: Path) -> list[str]:
        return _PEER.command(config)


def _door(site: Site, door: Door, *, tls: bool) -> dict[str, Any]:
    """Return the listener that terminates TLS for both hostnames, or the one without TLS."""
    hosts = ((GOOD, "good"), (TARGET, f"target{door.port}"))
    manager = {
        "@type": envoy_type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": name,
                    "domains": [host, f"{host}:*"],
                    # 0s: no limit on the whole exchange, as with the others
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}],
                }
                for host, name in hosts
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": envoy_type("filters.http.router.v3.Router")}},
        ],
    }
    pair = {"certificate_chain": {"filename": str(site.certificate)}, "private_key": {"filename": str(site.key)}}
    context = {
        "@type": envoy_type("transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [pair]},
    }
    port = door.port if tls else door.clear
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = {"name": "tls", "typed_config": context}
    return {"name": f"edge{port}", "address": envoy_address(port), "filter_chains": [chain]}


def _passed(site: Site) -> dict[str, Any]:
    """Return the listener that passes TLS on."""
    relay = {
        "@type": envoy_type("filters.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": "passed",
        "cluster": "passed",
    }
    inspector = {"@type": envoy_type("filters.listener.tls_inspector.v3.TlsInspector")}
    return {
        "name": "passed",
        "address": envoy_address(site.l4),
        "listener_filters": [{"name": "tls_inspector", "typed_config": inspector}],
        "filter_chains": [{"filters": [{"name": "tcp", "typed_config": relay}]}],
    }


def _cluster(name: str, port: int, *, h2: bool | None) -> dict[str, Any]:
    """Return a backend; ``h2``: whether it speaks HTTP/2, None for one that connections are passed on to."""
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": envoy_address(port)}}]}],
        },
    }
    if h2:
        options = {
            "@type": envoy_type("upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        }
    return cluster
