"""Examples of the tables of tests, as `examples` has those of the others."""

TESTING_EXAMPLES = {
    "tests": """\
[filters.office]
allow_cidrs = ["10.0.0.0/8"]
max_body = "10MiB"
rate_limit = "200/10s"

[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
backend = "10.0.0.6:8080"
cases = [{ match = "/admin/*", use = ["office"] }]

[[listeners]]
addr = ":8443"                       # for a balancer in front
proxy_protocol = true
trusted_proxies = ["10.0.0.0/24"]
routes = [{ hostname = "db.example.com", backend = "10.0.2.1:5432" }]

[[tests]]
name = "admin is for the office"
request = "GET https://www.example.com/admin/x"
headers = { User-Agent = "curl/8" }
ip = "203.0.113.9"
country = "SE"                       # whatever the database says
expect = { status = 403, step = "allow" }

[[tests]]
name = "uploads have an end"
request = "PUT https://www.example.com/admin/x"
ip = "10.1.2.3"
body = "11MiB"
expect = { status = 413 }

[[tests]]
name = "the balancer is believed"
connect = "db.example.com:443"
ip = "203.0.113.9"
proxy_ip = "10.0.0.9"
listener = ":8443"                   # the balancer's clients come to port 443
expect = { backend = "10.0.2.1:5432" }
""",
    "tests.expect": """\
[filters.public]
set_response_headers = { Strict-Transport-Security = "max-age=63072000" }
remove_response_headers = ["Server"]
rate_limit = "200/10s"

[filters.office]
allow_cidrs = ["10.0.0.0/8"]

[filters.api]
rewrite = { from = "/api", to = "/v2" }
rewrite_host = "api.internal"
set_request_headers = { X-Client = "{client_ip}" }

[[listeners]]
addr = ":443"
use = ["public"]

[[listeners.routes]]
hostname = "www.example.com"
mode = "l7"
tls_cert = "certs/www.crt"
tls_key = "certs/www.key"
backend = "10.0.0.6:8080"
cases = [
  { match = "/api/*", use = ["api"] },
  { match = "/admin/*", use = ["office"] },
  { match = "/old/*", redirect = "https://{host}/new" },
  { match = "/status", respond = "up" },
]

[[tests]]
request = "GET https://www.example.com/api/users?page=2"
ip = "203.0.113.9"

[tests.expect]                       # or on one line: expect = { backend = "10.0.0.6:8080" }
route = "www.example.com"
case = "/api/*"
backend = "10.0.0.6:8080"
backend_path = "/v2/users?page=2"
backend_host = "api.internal"
backend_header = { X-Client = "203.0.113.9", X-Forwarded-Proto = "https" }
header = { Strict-Transport-Security = "max-age=63072000", Server = "" }
filter = { rate_limit = "200/10s" }
step = "backend"

[[tests]]
request = "GET https://www.example.com/old/x"
expect = { status = 308, redirect = "https://www.example.com/new" }

[[tests]]
request = "GET https://www.example.com/status"
expect = { status = 200, respond = "up" }

[[tests]]
request = "GET https://www.example.com/admin/"
ip = "203.0.113.9"
expect = { status = 403, refused_by = "office" }

[[tests]]
connect = "www.example.org:443"
expect = { reset = true }
""",
}
