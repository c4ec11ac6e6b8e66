"""An example of each table of the config file, for its reference: TOML that is valid by itself."""

from mcproxy.model.config.pages.http_examples import HTTP_EXAMPLES

EXAMPLES = {
    "": """\
include = ["conf.d/*.toml", "/etc/mcproxy/local.toml"]
""",
    "database": """\
[database]
path = "/var/lib/mcproxy/mc-proxy.db"
keep_revisions = 200
""",
    "grpc": """\
[grpc]
socket = "/run/mcproxy/mc-proxy.sock"
socket_mode = "0660"                 # the group of the service may use the API
addr = "10.0.0.2:50051"              # and who has a certificate of client_ca
tls_cert = "certs/admin.crt"
tls_key = "certs/admin.key"
client_ca = "certs/admins-ca.crt"
""",
    "metrics": """\
[metrics]
addr = "127.0.0.1:9090"
path = "/metrics/mcproxy"
allowed_hosts = ["edge.example.com"]
""",
    "log": """\
[log]
level = "warning"
format = "json"
access = "access.log"
""",
    "proxy": """\
[proxy]
workers = 4
user = "nobody"
client_hello_timeout = "3s"
idle_timeout = "1h"                  # long-lived connections that seldom say something
shutdown_timeout = "2m"
""",
    "limits": """\
[limits]
header_bytes = 16384
concurrent_streams = 50
stalled_window_timeout = "30s"
remove_request_headers = ["Proxy", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"]
backend_connections = 200            # per backend and worker
""",
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
""",
    "guard": """\
[guard]
watch = "60s"                        # after each reload that touches traffic
max_errors = "2%"
min_requests = 20
""",
    "upstreams.NAME": """\
[upstreams.web]
endpoints = [
  "10.0.0.1:80",
  { address = "10.0.0.2:80", weight = 2, max_active = 500 },
  { address = "10.0.9.1:80", backup = true },
]
balance = "least_conn"
sticky_cookie = "backend"
check = { type = "http", path = "/healthz" }
slow_start = "30s"
tries = 2
retry_on = ["502", "503", "reset"]
tls = { ca = "certs/internal-ca.crt", server_name = "web.internal" }
protocol = "h2"

[upstreams.mail]                     # for an l4 route
endpoints = ["10.0.3.1:993", "10.0.3.2:993"]
balance = "source_hash"              # a client stays at its endpoint
eject = false
panic = false
send_proxy_protocol = true
proxy_protocol_version = "v2"
proxy_protocol_destination = "original"
proxy_protocol_tlvs = true
connect_timeout = "1s"

[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
backend = "web"

[[listeners.routes]]
hostname = "imap.example.com"
backend = "mail"
""",
    "upstreams.NAME.endpoints": """\
[upstreams.db]
[[upstreams.db.endpoints]]           # the same as { address = ..., ... } in endpoints = [...]
address = "10.0.2.1:5432"

[[upstreams.db.endpoints]]
address = "db.internal:5432"
resolve = "all"                      # every address that it has
weight = 4
state = "drain"                      # nothing new; or: mcproxyctl endpoints drain db db.internal:5432

[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "db.example.com"
backend = "db"
""",
    "upstreams.NAME.check": """\
[upstreams.api]
endpoints = ["10.0.0.3:80", "10.0.0.4:80"]

[upstreams.api.check]                # or on one line: check = { type = "http", path = "/healthz" }
type = "http"
path = "/healthz"
host = "api.example.com"
status = "200,204"
interval = "5s"
timeout = "1s"
fall = 2
rise = 1

[upstreams.orders]
endpoints = ["10.0.0.8:50051", "10.0.0.9:50051"]
protocol = "h2"
check = { type = "grpc", service = "shop.Orders", port = 50052 }

[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "orders.example.com"
mode = "l7"
tls_cert = "certs/api.crt"
tls_key = "certs/api.key"
backend = "orders"

[[listeners.routes]]
hostname = "api.example.com"
mode = "l7"
tls_cert = "certs/api.crt"
tls_key = "certs/api.key"
backend = "api"
""",
    "upstreams.NAME.tls": """\
[upstreams.api]
endpoints = ["10.0.0.3:443", "10.0.0.4:443"]

[upstreams.api.tls]                  # or on one line: tls = { ca = "certs/internal-ca.crt" }
ca = "certs/internal-ca.crt"
server_name = "api.internal"
cert = "certs/proxy.crt"             # what the endpoints may ask of us
key = "certs/proxy.key"

[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "api.example.com"
mode = "l7"
tls_cert = "certs/api.crt"
tls_key = "certs/api.key"
backend = "api"
""",
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
""",
    "routes": """\
[[listeners]]                        # in the main file
addr = ":443"

[[routes]]                           # in the file of a team
listener = ":443"
hostname = "shop.example.com"
backend = "10.0.0.7:443"
""",
    **HTTP_EXAMPLES,
}
