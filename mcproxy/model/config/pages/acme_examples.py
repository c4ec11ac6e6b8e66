"""Examples of the tables about certificates that are ordered from a CA: TOML that is valid by itself."""

ACME_EXAMPLES = {
    "acme": """\
[acme]
email = "ops@example.com"            # whom Let's Encrypt may write to

[[listeners]]
addr = ":443"

[[listeners.routes]]
hostname = "www.example.com"
names = ["example.com"]              # the certificate is for both; the route is for www.example.com
backend = "10.0.0.5:8080"
mode = "l7"
certificate = "acme"

[[tests]]
request = "GET https://www.example.com/"
expect = { backend = "10.0.0.5:8080" }
""",
    "acme.dns": """\
[acme]
challenge = "dns-01"                 # for wildcards, and where the CA can't reach this machine

[acme.dns]                           # or on one line: dns = { exec = "/usr/local/bin/dns-hook" }
server = "10.0.0.53"
zone = "example.com"
tsig_key = "acme.tsig"

[[listeners]]
addr = ":8443"
routes = [{ hostname = "*.example.com", names = ["example.com"], backend = "10.0.0.5:8080", mode = "l7", certificate = "acme" }]

[[tests]]
request = "GET https://app.example.com:8443/"
expect = { route = "*.example.com" }
""",
    "acme.eab": """\
[acme]
directory = "https://acme.example-ca.com/v2/directory"

[acme.eab]
kid = "customer-4711"
key = "eab.key"

[[listeners]]
addr = ":443"
routes = [{ hostname = "www.example.com", backend = "10.0.0.5:8080", mode = "l7", certificate = "acme" }]

[[tests]]
connect = "www.example.com:443"
expect = { route = "www.example.com" }
""",
}
