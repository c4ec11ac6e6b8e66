"""What the strings of the config file look like, by the functions that read them: the table of values in its reference."""

from collections.abc import Callable
from typing import Any

from mcproxy.model.config.fleet import names
from mcproxy.model.values import addresses, durations, hostnames, paths, texts
from mcproxy.model.values.acme import words
from mcproxy.model.values.http import amounts, client_names, fields, filter_types, questions

# What a string means is known by the function that reads it: the type's name here, and its form.
FORMS: dict[Callable[[Any], object], tuple[str, str]] = {
    durations.parse: (
        "duration",
        'a string of numbers with the units `h`, `m`, `s`, `ms`, in this order: `"5s"`, `"1m30s"`, `"250ms"`, `"2h"`. Exact to 1 ms, above zero, at most 8760h (a year)',
    ),
    durations.parse_or_zero: ("duration or zero", 'a duration, or `"0s"`'),
    durations.parse_optional: ("optional duration", 'a duration, or `""` for the default given with the key'),
    durations.parse_optional_or_zero: (
        "optional duration or zero",
        'a duration or zero, or `""` for the default given with the key',
    ),
    texts.parse_share: ("share", 'a string of a number from 0 to 100 and `%`: `"5%"`, `"0.5%"`'),
    paths.parse: (
        "path",
        'of a file; a relative one starts at the folder of the config file that names it. `""` means none',
    ),
    client_names.parse: (
        "name of a client",
        'a DNS name, a URI with a host or an e-mail address: `"a.svc.example.com"`, `"spiffe://prod/web"`, `"ops@example.com"`; `"*."` in front is any depth, `"/*"` at the end of a URI any path',
    ),
    texts.parse_ciphers: (
        "list of ciphers",
        'words of OpenSSL with `:` between them: `"ECDHE+AESGCM:ECDHE+CHACHA20"`; `""` for none',
    ),
    texts.parse_curve: ("name of a group", 'a word of OpenSSL: `"X25519"`, `"P-256"`'),
    addresses.parse_listen: (
        "listening address",
        '`":8443"` (all IPv4 and IPv6 addresses of the machine), `"127.0.0.1:8443"` or `"[::1]:8443"`; the port is 1 to 65535, the host an IP address, never a name',
    ),
    addresses.parse_optional_listen: ("optional listening address", 'a listening address, or `""` for none'),
    paths.several: ("path or paths", "a path, or an array of them"),
    addresses.parse_route_backend: (
        "backend",
        'the name of an upstream, a backend address, or an array of backend addresses: `"web"`, `"10.0.0.5:443"`, `["10.0.0.5:443", "10.0.0.6:443"]`',
    ),
    addresses.parse_canonical_backend: (
        "backend address",
        '`"10.0.0.5:443"`, `"[2001:db8::5]:443"`, `"app.internal:443"` (looked up by DNS, every answer is tried) or `"unix:/run/app.sock"`',
    ),
    addresses.parse_upstream_name: ("name of an upstream", '1 to 63 lower-case letters, digits and `-`: `"web"`'),
    hostnames.parse_pattern: (
        "hostname pattern",
        'an exact name, `"*."` and a name (everything below that name, at any depth, but not the name itself), or `"*"` (everything else). Upper case, a trailing dot and Unicode are brought into one form: lower case, no dot, A-labels',
    ),
    hostnames.parse_optional_name: ("optional hostname", 'an exact name, or `""` for none'),
    names.parse_store: ("address of etcd", '`"10.0.0.11:2379"`, `"[2001:db8::5]:2379"` or `"etcd-1.internal:2379"`'),
    names.parse_node: ("name of a node", '1 to 63 letters, digits, `.`, `_` and `-`: `"edge-1"`'),
    names.parse_address: ("IP address", '`"192.0.2.11"` or `"2001:db8::11"`'),
    names.parse_prefix: ("prefix of keys", 'begins with `/`: `"/mcproxy/edge"`'),
    words.several: (
        "names of a certificate",
        'an array of hostname patterns, or a string of them with commas between them: `["www.example.com", "*.dev.example.com"]`',
    ),
    words.parse_directory: (
        "directory of a CA",
        'a URL with `https`, `"staging"`, or `""` for the default given with the key',
    ),
    words.parse_email: ("e-mail address", '`"ops@example.com"`, or `""` for none'),
    words.parse_server: (
        "DNS server",
        '`"10.0.0.53"`, `"10.0.0.53:5353"` or `"[2001:db8::53]:53"`; the port is 53 where none is there, the host an IP address; `""` for none',
    ),
    addresses.parse_ip: ("IP address", '`"192.0.2.1"` or `"2001:db8::1"`; an IPv4-mapped one means the IPv4 address'),
    addresses.parse_network: (
        "network",
        '`"192.0.2.0/24"` or `"2001:db8::/32"`; an address alone is a network of one. Host bits must be zero',
    ),
    addresses.parse_country: ("country code", 'two letters (ISO 3166-1 alpha-2), in any case: `"SE"`'),
    texts.parse_mode: ("file mode", 'three octal digits in a string, usually with a leading zero: `"0600"`'),
    texts.parse_metrics_path: (
        "URL path",
        'begins with `/`, without query and fragment, and is none of `/`, `/healthz`, `/readyz` and `/static/...`: `"/metrics"`',
    ),
    texts.parse_removable_header: (
        "header name",
        'letters, digits and the other characters of a token, in any case: `"X-Client-IP"`; not one that the proxy itself needs, such as `Host`',
    ),
    texts.parse_redirect: (
        "target of a redirect",
        'a path, `"/new"`, or a URL with a host or `{host}` in it, `"https://{host}{uri}"`; `""` for none',
    ),
    texts.parse_answer: ("text of an answer", 'any string of at most 64 KiB, or `""` for none'),
    texts.parse_target: ("path of a request", 'begins with `/`, perhaps with a query: `"/healthz"`'),
    texts.parse_statuses: (
        "statuses",
        'statuses of HTTP and ranges of them, with commas between them: `"200-399"`, `"200,204"`',
    ),
    texts.parse_cookie_name: (
        "name of a cookie",
        'letters, digits and the other characters of a token, or `""` for none',
    ),
    texts.parse_printable: ("text", "a string without control characters"),
    texts.parse_non_empty: ("non-empty text", "a string without control characters that is not blank"),
    addresses.parse_filter_name: ("name of a filter", '1 to 63 lower-case letters, digits and `-`: `"office"`'),
    addresses.parse_named_backend: (
        "upstream or address",
        'the name of an upstream, or a backend address: `"auth"`, `"127.0.0.1:4180"`',
    ),
    amounts.parse_rate: ("rate", 'a number of requests and a time: `"200/10s"`, `"5/1m"`; `""` for none'),
    amounts.parse_optional_size: (
        "size",
        'a number of bytes with a unit, B, KiB, MiB, GiB, TiB (of 1024) or kB, MB, GB, TB (of 1000): `"10MiB"`; `""` for none',
    ),
    filter_types.parse_match: (
        "match",
        'methods with `|` between them, if any, and a path: `"/api/*"`, `"GET /a"`, `"GET|POST /form"`. Conditions may stand behind it: `"/a/* ?v=2 X-Env=prod"`',
    ),
    fields.parse_name: (
        "name of a header",
        'letters, digits and the other characters of a token, in any case: `"X-Api-Key"`',
    ),
    fields.parse_request_name: (
        "name of a settable request header",
        "the name of a header, but none of the connection, of the length of the message, Host (that is `rewrite_host`), or `X-Forwarded-For` and its like",
    ),
    fields.parse_response_name: (
        "name of a settable response header",
        "the name of a header, but none of the connection or of the length of the message",
    ),
    fields.parse_value: (
        "value of a header",
        'a string without control characters, in which `{word}` is a variable: `"{client_ip}"`; other braces are what they are',
    ),
    fields.parse_demand: ("wanted header", 'the name of a header, or name and value: `"X-Env: prod"`'),
    fields.parse_rate_key: ("key of a rate", '`"client"`, or `"header:NAME"`'),
    fields.parse_pages: ("error statuses", 'a status, a range or a class: `"404"`, `"502-504"`, `"5xx"`'),
    fields.parse_origin: (
        "web origin",
        'scheme, host and perhaps a port, as browsers send it: `"https://app.example.com"`; `"*"` for any',
    ),
    fields.parse_method: ("method", 'in capitals: `"GET"`'),
    fields.parse_authority: ("host", 'a host, perhaps with a port: `"app.internal"`; `""` for none'),
    fields.parse_prefix: ("beginning of a path", 'whole segments: `"/api"`'),
    fields.parse_media_type: ("media type", '`"text/html; charset=utf-8"`'),
    questions.parse_request: (
        "request",
        'a method and a URL: `"GET https://www.example.com/"`, `"POST http://[::1]:8080/form?x=1"`; the port is that of the scheme where none is there',
    ),
    questions.parse_connect: (
        "name and port",
        '`"db.example.com:443"`, `"[::1]:443"`, or `":443"` for a client that names nobody',
    ),
    questions.parse_step: ("name of a step", f'`""` for none, {", ".join(f"`{step}`" for step in questions.STEPS)}'),
    questions.parse_client: ("address of a client", 'an IP address, or `""` for the default given with the key'),
    questions.parse_client_country: ("country of a client", 'a country code, or `""` for what the database says'),
    questions.parse_found_route: ("hostname of a route", 'a hostname pattern, or `""` for none'),
    questions.parse_found_case: ("match of a case", 'a match with all of its conditions, or `""` for none'),
}
