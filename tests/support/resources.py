"""A resource of every kind, and a change of each that there is, for tests of the generic methods."""

from typing import Any

import msgspec

from tests.support.certificates import Certificates
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy
from tests.support.settings import route


class Case(msgspec.Struct, frozen=True):
    """A change of one kind.

    Attributes:
        kind, key, fields: what is put; PORT and PORT_B in a part of the key are ports of the proxy.
        exported: what the exported file has then.
        new: whether it is not there before.
        with_it: what is added with it, in drift.
    """

    kind: str
    key: tuple[str, ...]
    fields: dict[str, Any]
    exported: str
    new: bool = True
    with_it: tuple[str, ...] = ()

    def key_at(self, edge: Proxy) -> tuple[str, ...]:
        """Return the key at a proxy."""
        here, free = str(edge.port()), str(edge.port("B"))
        return tuple(part.replace("PORT_B", free).replace("PORT", here) for part in self.key)


CASES = [
    Case("setting", ("proxy.idle_timeout",), {"value": "1m17s"}, 'idle_timeout = "1m17s"', new=False),
    Case("rule", ("cidr", "192.0.2.0/24"), {}, 'blocked_cidrs = ["192.0.2.0/24"]'),
    Case(
        "upstream",
        ("new",),
        {"balance": "random_two", "endpoints": ["127.0.0.1:9"]},
        "[upstreams.new]",
        with_it=("endpoint new 127.0.0.1:9",),
    ),
    Case("upstream", ("web",), {"balance": "least_conn"}, 'balance = "least_conn"', new=False),
    Case("endpoint", ("web", "127.0.0.1:11"), {"weight": 3}, '"127.0.0.1:11", weight = 3'),
    Case("endpoint", ("web", "127.0.0.1:10"), {"state": "drain"}, 'state = "drain"', new=False),
    Case("listener", ("127.0.0.1:PORT_B",), {"max_connections": 7}, "max_connections = 7"),
    Case("listener", ("127.0.0.1:PORT",), {"max_connections": 9}, "max_connections = 9", new=False),
    Case("route", ("127.0.0.1:PORT", "new.test"), {"backend": "127.0.0.1:9"}, 'hostname = "new.test"'),
    Case("route", ("127.0.0.1:PORT", "plain.test"), {"connect_timeout": "3s"}, 'connect_timeout = "3s"', new=False),
    Case("policy", ("127.0.0.1:PORT", "app.test", "block_user_agent", "Bad Bot"), {}, '"Bad Bot"'),
    Case("filter", ("new",), {"rate_limit": "5/1m", "set_request_headers": {"X-A": "1"}}, "[filters.new]"),
    Case("filter", ("office",), {"max_body": "10MiB"}, 'max_body = "10MiB"', new=False),
    Case(
        "case",
        ("127.0.0.1:PORT", "app.test", "GET /api/* ?v=2 X-Env=prod"),
        {"backend": "web", "use": ["office"]},
        'match = "GET /api/* ?v=2 X-Env=prod"',
    ),
    Case("case", ("127.0.0.1:PORT", "app.test", "/old/*"), {"status": 301}, "status = 301", new=False),
]


def case_config(certs: Certificates) -> str:
    """Return a file that has what the cases change."""
    named = '[upstreams.web]\nendpoints = ["127.0.0.1:9", "127.0.0.1:10"]\n[filters.office]\nallow_cidrs = ["127.0.0.0/8"]\n'
    cases = [{"match": "/old/*", "redirect": "/new"}]
    return named + l7_config(l7_route(certs, 9, "app.test", cases=cases, use=["office"]), route(9, "plain.test"))
