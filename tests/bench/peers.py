"""The proxies that are measured, each with the configuration that asks the same of it.

To add a peer: write a subclass of `tests.bench.peer.Peer` in the module of its layer and put an instance of it into `PEERS`. To
measure a proxy under other settings (mcproxy with a firewall, say), put a second instance under another name.
"""

import json

from mcproxy.policy.rate_window import MAX_LIMIT
from tests.bench import gate, peers_l4, peers_l7
from tests.bench.peer import Peer
from tests.bench.peer_gate import ClientGate
from tests.bench.peer_mcproxy import Mcproxy
from tests.bench.site import Layer

# Every ratio is the subject's figure over another peer's.
SUBJECT = "mcproxy"

_FIREWALL = f"""\
[firewall]
blocked_ips = {json.dumps(gate.IPS)}
blocked_cidrs = {json.dumps(gate.CIDRS)}
rate_limit = {MAX_LIMIT}
"""

_ACCESS_LOG = '[log]\naccess = "access.log"\n'


def _named(*peers: Peer) -> dict[str, Peer]:
    return {peer.name: peer for peer in peers}


PEERS: dict[Layer, dict[str, Peer]] = {
    Layer.L4: _named(
        peers_l4.Haproxy("haproxy", ["splice-auto"]),
        peers_l4.Haproxy("haproxy-splice", ["splice-request", "splice-response"]),
        peers_l4.Nginx("nginx"),
        Mcproxy(SUBJECT),
        Mcproxy(f"{SUBJECT}-python", data_path="python"),
        # the same with everything that is asked before the hello; the layer below measures that part by itself
        Mcproxy(f"{SUBJECT}-firewall", settings=_FIREWALL, listener="max_connections = 100000"),
        # the same with a line of the access log for each connection; below, for each request
        Mcproxy(f"{SUBJECT}-log", settings=_ACCESS_LOG),
        # the same with a choice among three addresses of the backend
        Mcproxy(f"{SUBJECT}-of-3", endpoints=3),
    ),
    Layer.GATE: _named(ClientGate(SUBJECT)),
    Layer.L7: _named(
        peers_l7.Haproxy("haproxy"),
        peers_l7.Nghttpx("nghttpx"),
        peers_l7.Envoy("envoy"),
        peers_l7.Caddy("caddy"),
        peers_l7.Traefik("traefik"),
        Mcproxy(SUBJECT, terminate=True),
        Mcproxy(f"{SUBJECT}-log", terminate=True, settings=_ACCESS_LOG),
        Mcproxy(f"{SUBJECT}-of-3", terminate=True, endpoints=3),
        # the same with a hundred cases to choose from
        Mcproxy(f"{SUBJECT}-cases", terminate=True, cases=100),
    ),
}
