"""An example of each table of the config file, for its reference: TOML that is valid by itself."""

from mcproxy.model.config.pages.acme_examples import ACME_EXAMPLES
from mcproxy.model.config.pages.http_examples import HTTP_EXAMPLES
from mcproxy.model.config.pages.testing_examples import TESTING_EXAMPLES
from mcproxy.model.config.pages.upstream_examples import UPSTREAM_EXAMPLES

_TESTED = """
[[listeners]]
addr = ":443"
routes = [{ hostname = "www.example.com", backend = "10.0.0.5:443" }]

[[tests]]
connect = "www.example.com:443"
expect = { backend = "10.0.0.5:443" }
"""

EXAMPLES = {
    "": """\
include = ["conf.d/*.toml", "/etc/mcproxy/local.toml"]

[[listeners]]
addr = ":443"
routes = [{ hostname = "www.example.com", backend = "10.0.0.5:443" }]

[[tests]]                            # checked before each reload
connect = "www.example.com:443"
expect = { backend = "10.0.0.5:443" }
""",
    "fleet": """\
[fleet]
endpoints = ["10.0.0.11:2379", "10.0.0.12:2379", "10.0.0.13:2379"]
ca = "etcd-ca.pem"
cert = "edge-1.crt"                  # its CN is the user of etcd, whose role ends at the prefix
key = "edge-1.key"
prefix = "/mcproxy/edge"
node = "edge-1"

[metrics]
addr = "127.0.0.1:9090"
""",
    "database": """\
[database]
path = "/var/lib/mcproxy/mc-proxy.db"
keep_revisions = 200
"""
    + _TESTED,
    "grpc": """\
[grpc]
socket = "/run/mcproxy/mc-proxy.sock"
socket_mode = "0660"                 # the group of the service may use the API
addr = "10.0.0.2:50051"              # and who has a certificate of client_ca
tls_cert = "certs/admin.crt"
tls_key = "certs/admin.key"
client_ca = "certs/admins-ca.crt"
"""
    + _TESTED,
    "metrics": """\
[metrics]
addr = "127.0.0.1:9090"
path = "/metrics/mcproxy"
allowed_hosts = ["edge.example.com"]
"""
    + _TESTED,
    "log": """\
[log]
level = "warning"
format = "json"
access = "access.log"
"""
    + _TESTED,
    "proxy": """\
[proxy]
workers = 4
user = "nobody"
client_hello_timeout = "3s"
idle_timeout = "1h"                  # long-lived connections that seldom say something
shutdown_timeout = "2m"
"""
    + _TESTED,
    "limits": """\
[limits]
header_bytes = 16384
concurrent_streams = 50
stalled_window_timeout = "30s"
remove_request_headers = ["Proxy", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"]
backend_connections = 200            # per backend and worker
"""
    + _TESTED,
    "firewall": """\
[firewall]
geoip_db = "country.mmdb"
blocked_ips = ["192.0.2.66", "2001:db8::bad"]
blocked_cidrs = ["198.51.100.0/24"]
blocked_countries = ["AQ"]
allowed_cidrs = ["198.51.100.64/28"] # let in all the same
connections_per_client = 200         # open at the same time
rate_limit = 100                     # connections per client ...
rate_window = "10s"                  # ... in each 10 seconds

[[listeners]]
addr = ":443"
routes = [{ hostname = "*", backend = "10.0.0.5:443" }]

[[tests]]
connect = "www.example.com:443"
ip = "192.0.2.66"
expect = { reset = true, refused_by = "blocked_ips" }

[[tests]]
connect = "www.example.com:443"
ip = "198.51.100.70"
expect = { backend = "10.0.0.5:443" }

[[tests]]
connect = "www.example.com:443"
country = "AQ"
expect = { refused_by = "blocked_countries" }
""",
    "guard": """\
[guard]
watch = "60s"                        # after each reload that touches traffic
max_errors = "2%"
min_requests = 20
"""
    + _TESTED,
    **ACME_EXAMPLES,
    **UPSTREAM_EXAMPLES,
    "listeners": """\
[[listeners]]
addr = ":8443"
proxy_protocol = true                # behind a load balancer that sends the header
trusted_proxies = ["10.0.0.0/24"]
max_connections = 20000
routes = [{ hostname = "*", backend = "10.0.0.5:443" }]

[[listeners]]
addr = ":25"
protocol = "tcp"                     # no TLS at first: the mail server greets its clients, and knows who they are by the PROXY header
routes = [{ hostname = "*", backend = "10.0.3.1:25", send_proxy_protocol = true }]

[[listeners]]
addr = ":80"
protocol = "http"                    # no certificates; routes are l7
routes = [{ hostname = "*", redirect = "https://{host}{uri}" }]

[[tests]]
request = "GET http://www.example.com/a?b=c"
expect = { status = 308, redirect = "https://www.example.com/a?b=c" }

[[tests]]
connect = ":25"
expect = { backend = "10.0.3.1:25" }

[[tests]]
connect = "app.example.com:8443"
proxy_ip = "192.0.2.9"               # not in trusted_proxies
expect = { reset = true, step = "proxy_header" }
""",
    "listeners.routes": """\
[[listeners]]
addr = ":8443"

[[listeners.routes]]
hostname = "app.example.com"         # the backend has the certificate
backend = "10.0.0.5:443"
send_proxy_protocol = true

[[listeners.routes]]
hostname = "db.example.com"
backend = ["10.0.2.1:5432", "10.0.2.2:5432"]

[[listeners.routes]]
hostname = "*.dev.example.com"
backend = "unix:/run/dev/tls.sock"
on_remove = "keep"
idle_timeout = "8h"                  # terminals that stay open overnight

[[listeners.routes]]
hostname = "example.com"             # the bare name sends its visitors to the other one
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
redirect = "https://www.example.com{uri}"

[[listeners.routes]]
hostname = "www.example.com"         # the proxy has the certificate
backend = "www.internal:8443"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
backend_tls = true
backend_ca = "certs/internal-ca.crt"

[[tests]]
connect = "app.example.com:8443"
expect = { route = "app.example.com", backend = "10.0.0.5:443" }

[[tests]]
connect = "a.b.dev.example.com:8443"
expect = { route = "*.dev.example.com" }

[[tests]]
request = "GET https://example.com:8443/start"
expect = { redirect = "https://www.example.com/start" }

[[tests]]
connect = "other.example.org:8443"
expect = { reset = true, refused_by = "no_route" }
""",
    "listeners.tls": """\
[[listeners]]
addr = ":8443"

[listeners.tls]                      # for all its l7 routes; or on one line: tls = { min_version = "1.3" }
min_version = "1.3"
client_ca = "clients-ca.pem"
client_crl = "clients.crl"
client_auth = "optional"

[[listeners.routes]]
hostname = "www.example.com"
backend = "10.0.0.6:8080"
mode = "l7"
tls_cert = ["certs/www-ecdsa.crt", "certs/www-rsa.crt"]    # each client gets the one that it takes
tls_key = ["certs/www-ecdsa.key", "certs/www-rsa.key"]

[[listeners.routes]]
hostname = "api.example.com"         # who has no certificate, or one of another name, does not come in
backend = "10.0.0.7:8443"
mode = "l7"
tls_cert = "certs/api.crt"
tls_key = "certs/api.key"
tls = { client_auth = "require", client_names = ["*.svc.example.com", "spiffe://prod/*"], forward_client_cert = true }
backend_tls = true
backend_cert = "certs/proxy.crt"     # what the backend may ask of us
backend_key = "certs/proxy.key"

[[tests]]
request = "GET https://www.example.com:8443/"
expect = { backend = "10.0.0.6:8080" }

[[tests]]
request = "GET https://api.example.com:8443/"
expect = { reset = true, step = "client_certificate" }

[[tests]]
request = "GET https://api.example.com:8443/"
client_cert = "web.svc.example.com"
expect = { backend = "10.0.0.7:8443" }
""",
    "listeners.routes.l7_policies": """\
[[listeners]]
addr = ":8443"

[[listeners.routes]]
hostname = "api.example.com"
backend = "10.0.0.6:8080"
mode = "l7"
tls_cert = "certs/api.crt"
tls_key = "certs/api.key"

[[listeners.routes.l7_policies]]
type = "block_user_agent"
value = "BadBot"

[[listeners.routes.l7_policies]]
type = "require_header"
value = "X-Env: prod"

[[tests]]
request = "GET https://api.example.com:8443/"
headers = { X-Env = "prod", User-Agent = "BadBot/2" }
expect = { status = 403, refused_by = "block_user_agent" }

[[tests]]
request = "GET https://api.example.com:8443/"
headers = { X-Env = "prod" }
expect = { backend = "10.0.0.6:8080" }
""",
    "routes": """\
[[listeners]]                        # in the main file
addr = ":443"

[[routes]]                           # in the file of a team
listener = ":443"
hostname = "shop.example.com"
backend = "10.0.0.7:443"

[[tests]]                            # and what the team relies on
connect = "shop.example.com:443"
expect = { backend = "10.0.0.7:443" }
""",
    **HTTP_EXAMPLES,
    **TESTING_EXAMPLES,
}
