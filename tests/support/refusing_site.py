"""A site that turns clients away for every reason: its file, whose lines that decide are marked, and its backends."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path

import bcrypt

from tests.support.certificates import Certificates
from tests.support.countries import write_countries
from tests.support.frames import HEADERS, PREFACE, RST_STREAM, SETTINGS, frame
from tests.support.l4 import full
from tests.support.ports import free_port
from tests.support.refused_clients import OK, exactly
from tests.support.scripted import Deal, answer, break_off, close, endless, hold, silent

DEALS: Mapping[str, Deal] = {
    "hold": hold,
    "close": close,
    "breaks": break_off,
    "ok": answer(OK),
    "no": answer(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"),
    "cut": answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", stay=False),
    "nonsense": answer(b"220 mail.test ESMTP\r\n\r\n"),
    "long": answer(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 9000 + b"\r\n\r\n"),
    "many": answer(b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 60 + b"content-length: 0\r\n\r\n"),
    "silent": silent,
    "endless": endless,
}


def h2_reset(sock: socket.socket) -> None:
    """Serve as a backend of HTTP/2 that resets each stream with INTERNAL_ERROR."""
    exactly(sock, len(PREFACE))
    sock.sendall(frame(SETTINGS))
    while True:
        head = exactly(sock, 9)
        exactly(sock, int.from_bytes(head[:3], "big"))
        if head[3] == HEADERS:
            sock.sendall(frame(RST_STREAM, int.from_bytes(head[5:], "big"), struct.pack(">I", 2)))


def no_streams(sock: socket.socket) -> None:
    """Serve as a backend of HTTP/2 that lets nobody open a stream."""
    sock.sendall(frame(SETTINGS, 0, struct.pack(">HI", 3, 0)))
    silent(sock)


def config(folder: Path, certs: Certificates, ports: Mapping[str, int], stack: contextlib.ExitStack) -> str:
    """Return the file; a line that decides has the mark ``#>`` and its name."""
    leaf, other = certs.server("l7.test"), certs.server("other.test")
    write_countries(folder / "countries.mmdb", {"127.202.0.0/16": "DE", "127.0.0.0/9": "FR"})
    for name, rounds in (("users", 4), ("slow", 10)):
        known = bcrypt.hashpw(b"secret", bcrypt.gensalt(rounds)).decode()
        (folder / name).write_text(f"anna:{known}\n", encoding="utf-8")
    deaf = stack.enter_context(full()).getsockname()[1]
    slow = stack.enter_context(full()).getsockname()[1]

    def route(hostname: str, port: int | str, mark: str = "", **keys: str) -> str:
        own = "".join(f"\n{key} = {value}" for key, value in keys.items())
        backend = port if isinstance(port, str) else f"127.0.0.1:{port}"
        return f'[[listeners.routes]]\nhostname = "{hostname}"\nbackend = "{backend}" #>{mark or "-"}{own}\n'

    passed = "".join(
        (
            route("hold.test", ports["hold"]),
            route("refused.test", free_port(), "backend_refused"),
            route("dns.test", "no-such-host.invalid:443", "backend_dns"),
            route("timeout.test", deaf, "backend_timeout", connect_timeout='"300ms"'),
            route("slow.test", slow),
            route("close.test", ports["close"], "backend_no_answer"),
            route("breaks.test", ports["breaks"], "backend_broke_off"),
            route("network.test", ports["hold"], use='["office"]'),
            route("rate.test", ports["hold"], filter='{ rate_limit = "1/8760h" } #>filter_rate'),
            route("down.test", "down"),
            route("full.test", "full"),
            route("idle.test", ports["hold"], idle_timeout='"500ms" #>idle_timeout'),
            route("drain.test", ports["hold"], on_remove='"drain"'),
            route("gone.test", ports["hold"], on_remove='"close"'),
            route("moved.test", "moved", on_remove='"close" #>endpoint_removed'),
        )
    )
    terminated = "".join(
        f'[[listeners.routes]] #>{mark}\nhostname = "{name}"\nmode = "l7"\nrespond = "ok"\n'
        f'tls_cert = "{one.certificate}" #>tls_cert\ntls_key = "{one.key}"\n{more}'
        for name, mark, one, more in (
            ("l7.test", "-", leaf, ""),
            ("other.test", "other", other, ""),
            (
                "certified.test",
                "-",
                other,
                f'tls = {{ client_auth = "require", client_ca = "{certs.ca}" }} #>client_ca\n',
            ),
        )
    )
    terminated += '[[listeners.routes]]\nhostname = "ordered.test"\nmode = "l7"\nrespond = "ok"\ncertificate = "acme" #>certificate\n'
    h1 = {"backend_protocol": '"http/1.1"'}
    requests = "".join(
        (
            route("body.test", ports["ok"], use='["small"]', **h1),
            route("country.test", ports["ok"], use='["abroad"]', **h1),
            route("users.test", ports["ok"], use='["users"]', **h1),
            route("slow-users.test", ports["ok"], use='["slow-users"]', **h1),
            route("asked.test", ports["ok"], use='["asked"]', **h1),
            route("unasked.test", ports["ok"], use='["unasked"]', **h1),
            route("tls.test", ports["close"], "backend_tls", backend_tls="true"),
            route("no-stream.test", ports["no_streams"], "backend_no_stream", backend_protocol='"h2"'),
            route("cut.test", ports["cut"], "backend_error", **h1),
            route("reset.test", ports["h2_reset"], "backend_reset", backend_protocol='"h2"'),
            route("nonsense.test", ports["nonsense"], "bad_response", **h1),
            route("long.test", ports["long"], **h1),
            route("many.test", ports["many"], **h1),
            route("silent.test", ports["silent"], idle_timeout='"500ms" #>response_timeout', **h1),
            route("late.test", ports["late"], idle_timeout='"500ms" #>late', **h1),
            route("waits.test", ports["waits"], **h1),
            route("busy.test", ports["busy"], idle_timeout='"1s"', **h1),
            route("held.test", ports["held"], idle_timeout='"1s"', **h1),
            route("endless.test", ports["endless"], idle_timeout='"5s"', **h1),
            route("stalled.test", ports["stalled"], **h1),
            route("certificate.test", ports["certificate"], "backend_certificate", backend_tls="true"),
        )
    )
    return f"""\
[log]
format = "json"
[proxy]
workers = 2
shutdown_timeout = "1s" #>drained
client_hello_timeout = "1s" #>hello_timeout
proxy_header_timeout = "1s" #>proxy_header_timeout
handshake_timeout = "1s" #>tls_timeout
half_closed_timeout = "1s" #>half_closed_timeout
[acme]
directory = "https://localhost:{free_port()}/dir"
[limits]
header_bytes = 8192 #>header_bytes
header_count = 50 #>header_count
header_timeout = "1s" #>header_timeout
response_header_bytes = 8192 #>response_header_bytes
response_header_count = 50 #>response_header_count
concurrent_streams = 10 #>concurrent_streams
stalled_window_timeout = "2s" #>stalled_window_timeout
proxy_header_bytes = 536 #>proxy_header_bytes
backend_connections = 1 #>backend_connections
backend_waiting = 1 #>backend_waiting
[firewall]
geoip_db = "{folder}/countries.mmdb"
default = "deny" #>not_allowed
allowed_cidrs = ["127.0.0.0/9", "203.0.113.0/24", "::1/128"]
blocked_ips = ["127.200.0.1"] #>ip
blocked_cidrs = ["127.201.0.0/16"] #>cidr
blocked_countries = ["DE"] #>country
rate_limit = 80 #>rate_limit
rate_window = "8760h"
connections_per_client = 40 #>connections_per_client
[filters.office]
allow_cidrs = ["10.0.0.0/8"] #>filter_network
[filters.abroad]
block_countries = ["FR"] #>filter_country
[filters.agents]
block_user_agents = ["BadBot"] #>agents
require_headers = ["X-Key"] #>headers
[filters.small]
max_body = "32KiB" #>body_too_large
[filters.users]
basic_auth = "{folder}/users" #>basic_auth
[filters.slow-users]
basic_auth = "{folder}/slow" #>basic_auth_busy
[filters.asked]
forward_auth = {{ backend = "127.0.0.1:{ports["no"]}", path = "/auth" }} #>forward_auth
[filters.unasked]
forward_auth = {{ backend = "127.0.0.1:{free_port()}", path = "/auth" }} #>forward_auth_failed
[upstreams.down] #>upstream_down
endpoints = [{{ address = "127.0.0.1:{free_port()}", state = "maintenance" }}]
[upstreams.full] #>upstream_full
endpoints = [{{ address = "127.0.0.1:{ports["hold"]}", max_active = 1 }}]
[upstreams.moved]
endpoints = ["127.0.0.1:{ports["hold"]}"]

[[listeners]] #>tls
addr = "127.0.0.1:PORT_TLS"
{passed}{terminated}
[[listeners]]
addr = "127.0.0.1:PORT_HTTP"
protocol = "http" #>http
real_ip = {{ from = ["127.10.0.0/16"], header = "X-Forwarded-For" }}
[[listeners.routes]]
hostname = "ok.test"
respond = "ok"
[[listeners.routes]]
hostname = "policies.test"
respond = "ok"
[[listeners.routes.l7_policies]] #>block_user_agent
type = "block_user_agent"
value = "BadBot"
[[listeners.routes.l7_policies]] #>no_key
type = "require_header"
value = "X-Key"
[[listeners.routes.l7_policies]] #>require_header
type = "require_header"
value = "X-Env: prod"
[[listeners.routes]]
hostname = "agents.test"
respond = "ok"
use = ["agents"]
[[listeners.routes]]
hostname = "office.test"
respond = "ok"
use = ["office"]
[[listeners.routes]]
hostname = "rated.test"
respond = "ok"
filter = {{ rate_limit = "1/8760h" }} #>rate
[[listeners.routes]]
hostname = "cased.test"
respond = "ok"
[[listeners.routes.cases]]
match = "/admin/* ?v=2 X-Beta=*"
use = ["office"]
[[listeners.routes]]
hostname = "rewritten.test"
backend = "127.0.0.1:{ports["ok"]}"
filter = {{ rewrite = {{ from = "/in", to = "/out" }} }} #>rewrite
[[listeners.routes]] #>no_case
hostname = "cases.test"
cases = [
  {{ match = "/a/*", respond = "a" }}, #>ambiguous_path
  {{ match = "/b/*", respond = "b" }},
]
{requests}
[[listeners]] #>small
addr = "127.0.0.1:PORT_SMALL"
protocol = "http"
max_connections = 1 #>limit
routes = [{{ hostname = "*", respond = "ok" }}]
[[listeners]] #>v6
addr = "[::1]:PORT_V6"
protocol = "http"
routes = [{{ hostname = "v6.test", respond = "ok" }}]
[[listeners]] #>proxy
addr = "127.0.0.1:PORT_PROXY"
proxy_protocol = true #>proxy
trusted_proxies = ["127.10.0.0/16"] #>trusted_proxies
[[listeners.routes]]
hostname = "hold.test"
backend = "127.0.0.1:{ports["hold"]}"
"""


def tls_server(certs: Certificates) -> Deal:
    """Return a server whose certificate no CA of the system has signed."""
    leaf = certs.server("l7.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)

    def deal(sock: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(sock, server_side=True) as secured:
            secured.recv(1)

    return deal
