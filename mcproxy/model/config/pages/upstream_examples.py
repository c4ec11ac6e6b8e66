"""Examples of the tables of upstreams, as `examples` has those of the others."""

UPSTREAM_EXAMPLES = {
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

[[tests]]
request = "GET https://www.example.com/"
expect = { backend = "web" }

[[tests]]
connect = "imap.example.com:443"
expect = { backend = ["10.0.3.1:993", "10.0.3.2:993"] }
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

[[tests]]
connect = "db.example.com:443"
expect = { backend = ["10.0.2.1:5432"] }     # the other one drains
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

[[tests]]
request = "POST https://orders.example.com/shop.Orders/Place"
expect = { backend = "orders" }
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

[[tests]]
request = "GET https://api.example.com/v1"
expect = { backend = "api" }
""",
}
