"""Examples of the tables for routing HTTP, as `examples` has those of the others."""

_SITE = """
[[listeners]]
addr = ":443"
use = ["%s"]

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
backend = "10.0.0.6:8080"
"""

HTTP_EXAMPLES = {
    "filters.NAME": """\
[firewall]
geoip_db = "country.mmdb"

[filters.public]                     # for everybody
block_countries = ["AQ"]
block_cidrs = ["198.51.100.0/24"]
block_user_agents = ["BadBot"]
rate_limit = "200/10s"
max_body = "10MiB"
set_response_headers = { Strict-Transport-Security = "max-age=63072000", X-Content-Type-Options = "nosniff" }
add_response_headers = { Link = ["</style.css>; rel=preload", "</app.js>; rel=preload"] }
remove_response_headers = ["Server", "X-Powered-By"]
error_pages = { "502-504" = "sorry.html", "404" = "lost.html" }
backend_errors = true

[filters.partners]
require_headers = ["X-Api-Key"]
rate_limit = "1000/1m"
rate_key = "header:X-Api-Key"
set_request_headers = { X-Client = "{client_ip}", X-Url = "{scheme}://{host}{uri}" }
add_request_headers = { X-Via = "edge-1" }
remove_request_headers = ["Cookie"]
rewrite_host = "api.internal"
request_timeout = "10s"
idle_timeout = "1m"

[filters.office]
allow_cidrs = ["10.0.0.0/8", "2001:db8::/32"]
allow_countries = ["SE", "NO"]
basic_auth = "ops.htpasswd"
pass_credentials = true

[filters.services]                   # by the certificate that a client shows
client_names = ["*.svc.example.com", "spiffe://prod/*"]

[[listeners]]
addr = ":443"
use = ["public"]

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
tls = { client_auth = "optional", client_ca = "certs/services-ca.crt" }
backend = "10.0.0.6:8080"
filter = { max_body = "1GiB" }       # of this route alone; that of public holds as well
cases = [
  { match = "/api/*", use = ["partners"] },
  { match = "/admin/*", use = ["office"] },
  { match = "/internal/*", use = ["services"] },
  { match = "/status", without = ["public"], respond = "up" },
]

[[tests]]
request = "GET https://www.example.com/"
ip = "203.0.113.9"
country = "DK"
headers = { User-Agent = "Mozilla/5.0" }
expect = { backend = "10.0.0.6:8080", header = { X-Content-Type-Options = "nosniff", Server = "" }, filter = { rate_limit = "200/10s" } }

[[tests]]
request = "GET https://www.example.com/admin/x"
ip = "10.1.2.3"
country = "DK"
expect = { refused_by = "allow_countries" }

[[tests]]
request = "GET https://www.example.com/admin/x"
ip = "10.1.2.3"
country = "SE"
expect = { status = 401, refused_by = "office" }

[[tests]]
request = "GET https://www.example.com/internal/x"
country = "DK"
client_cert = "spiffe://test/web"
expect = { status = 403, refused_by = "services" }

[[tests]]
request = "GET https://www.example.com/api/users"
country = "DK"
headers = { X-Api-Key = "k" }
expect = { backend_host = "api.internal", backend_header = { X-Url = "https://www.example.com/api/users" } }
""",
    "filters.NAME.forward_auth": """\
[upstreams.auth]
endpoints = ["10.0.0.20:4180", "10.0.0.21:4180"]

[filters.login.forward_auth]         # or on one line: forward_auth = { backend = "auth", ... }
backend = "auth"
path = "/verify"
copy_headers = ["X-User", "X-Groups"]
"""
    + _SITE % "login"
    + """
[[tests]]
request = "GET https://www.example.com/"
expect = { step = "auth", refused_by = "login" }
""",
    "filters.NAME.rewrite": """\
[filters.api.rewrite]                # or on one line: rewrite = { from = "/api", to = "/" }
from = "/api"                        # /api/users is /users for the backend
to = "/"
"""
    + _SITE % "api"
    + """
[[tests]]
request = "GET https://www.example.com/api/users"
expect = { backend_path = "/users" }
""",
    "filters.NAME.cors": """\
[filters.ui.cors]
origins = ["https://ui.example.com"]
methods = ["GET", "POST", "DELETE"]
headers = ["Content-Type"]
expose_headers = ["X-Total"]
credentials = true
max_age = "10m"
"""
    + _SITE % "ui"
    + """
[[tests]]
request = "GET https://www.example.com/"
headers = { Origin = "https://ui.example.com" }
expect = { header = { Access-Control-Allow-Origin = "https://ui.example.com" } }

[[tests]]
request = "OPTIONS https://www.example.com/"
headers = { Origin = "https://ui.example.com", Access-Control-Request-Method = "DELETE" }
expect = { status = 204, header = { Access-Control-Allow-Methods = "GET, POST, DELETE" } }
""",
    "listeners.real_ip": """\
[[listeners]]
addr = ":443"

[listeners.real_ip]                  # or on one line: real_ip = { from = ["10.0.0.0/8"] }
header = "X-Forwarded-For"
from = ["10.0.0.0/8"]

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
backend = "10.0.0.6:8080"

[[tests]]
request = "GET https://www.example.com/"
ip = "10.0.0.1"                      # the proxy in front
headers = { X-Forwarded-For = "203.0.113.9" }
expect = { backend_header = { X-Real-Ip = "203.0.113.9" } }
""",
    "listeners.routes.respond": """\
[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
status = 503

[listeners.routes.respond]           # or on one line: respond = { file = "maintenance.html" }
file = "maintenance.html"
type = "text/html; charset=utf-8"

[[tests]]
request = "GET https://www.example.com/"
expect = { status = 503, respond = { file = "maintenance.html" } }
""",
    "listeners.routes.cases": """\
[upstreams.api]
endpoints = ["10.0.0.3:80", "10.0.0.4:80"]

[filters.office]
allow_cidrs = ["10.0.0.0/8"]

[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
backend = "10.0.0.6:8080"

[[listeners.routes.cases]]           # the same as { match = ..., ... } in cases = [...]
match = "/api/*"
backend = "api"

[[listeners.routes.cases]]
match = "GET|HEAD /robots.txt"
respond = "User-agent: *\\nDisallow: /\\n"

[[listeners.routes.cases]]
match = "/old/*"
redirect = "https://{host}/new"
status = 301

[[listeners.routes.cases]]           # the backend of the route, for some clients only
match = "/admin/*"
use = ["office"]

[[listeners.routes.cases]]
match = "POST /form"
headers = { X-Version = "2" }
query = { draft = "*" }
backend = "10.0.0.9:8080"
filter = { rate_limit = "5/1m" }

[[tests]]
request = "GET https://www.example.com/api/users"
expect = { case = "/api/*", backend = "api" }

[[tests]]
request = "GET https://www.example.com/old/page"
expect = { status = 301, redirect = "https://www.example.com/new" }

[[tests]]
request = "GET https://www.example.com/admin/"
ip = "203.0.113.9"
expect = { status = 403, refused_by = "office" }

[[tests]]
request = "POST https://www.example.com/form?draft=1"
headers = { X-Version = "2" }
expect = { case = "POST /form ?draft=* X-Version=2", step = "rate" }
""",
}
