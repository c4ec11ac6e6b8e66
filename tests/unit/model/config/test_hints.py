"""What a wrong file is told: hints that lead to what was meant, and one message for one mistake."""

import pytest

from mcproxy.errors import ConfigError
from mcproxy.model.config.mistakes import unknown_keys
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.values.addresses import parse_country
from mcproxy.model.values.countries import CODES, MEANT
from tests.support.rows import each_row

ROUTE = 'addr = ":1"\n[[listeners.routes]]\nhostname = "a.example"\nbackend = "b.example:1"\n'


def found(*texts: str) -> list[tuple[str, str]]:
    """Return key and message of every problem of a main file and its includes."""
    try:
        problems: tuple[object, ...] = resolve(
            [Source(f"/etc/mc/{number}.toml", text) for number, text in enumerate(texts)]
        ).warnings
    except ConfigError as error:
        problems = error.problems
    return [(problem.key, problem.message) for problem in problems if isinstance(problem, Problem)]


TABLES = {
    "top": "",
    "proxy": "[proxy]\n",
    "limits": "[limits]\n",
    "firewall": "[firewall]\n",
    "log": "[log]\n",
    "grpc": "[grpc]\n",
    "metrics": "[metrics]\n",
    "upstream": '[upstreams.web]\nendpoints = ["h:1"]\n',
    "endpoint": '[[upstreams.web.endpoints]]\naddress = "h:1"\n',
    "check": '[upstreams.web]\nendpoints = ["h:1"]\n[upstreams.web.check]\n',
    "tls": '[upstreams.web]\nendpoints = ["h:1"]\n[upstreams.web.tls]\n',
    "listener": '[[listeners]]\naddr = ":1"\n',
    "route": f"[[listeners]]\n{ROUTE}",
    "filter": '[[listeners]]\naddr = ":1"\nuse = ["a"]\n[filters.a]\nmax_body = "1MiB"\n',
    "cors": '[[listeners]]\naddr = ":1"\nuse = ["a"]\n[filters.a.cors]\norigins = ["https://a.example"]\n',
    "forward_auth": '[[listeners]]\naddr = ":1"\nuse = ["a"]\n[filters.a.forward_auth]\nbackend = "h:1"\n',
    "real_ip": '[[listeners]]\naddr = ":1"\n[listeners.real_ip]\nfrom = ["10.0.0.0/8"]\n',
    "case": f'[[listeners]]\n{ROUTE}mode = "l7"\ntls_cert = "c"\ntls_key = "k"\n[[listeners.routes.cases]]\nmatch = "/a"\n',
    "listed": f'[[listeners]]\n{ROUTE}[[routes]]\nlistener = ":1"\nhostname = "b"\nbackend = "b:1"\n',
}


def hint(table: str, key: str) -> str:
    """Return what is said of an unknown key in a table, the only mistake of its file."""
    ((_, message),) = found(f"{TABLES[table]}{key} = 1\n")
    assert message.startswith("unknown key")
    return message


@each_row(
    ("table", "key", "meant"),
    [
        ("firewall", "deny_countries", "blocked_countries"),
        ("firewall", "block_country", "blocked_countries"),
        ("firewall", "blacklist-ips", "blocked_ips"),
        ("firewall", "banned_networks", "blocked_cidrs"),
        ("firewall", "blockedCidrs", "blocked_cidrs"),
        ("firewall", "cidr_blocklist", "blocked_cidrs"),
        ("firewall", "geoip", "geoip_db"),
        ("firewall", "allow", "allowed_cidrs"),
        ("firewall", "blocklist", "blocked_cidrs"),
        ("firewall", "allow_countries", "allowed_countries"),
        ("firewall", "permitted-ip", "allowed_ips"),
        ("firewall", "max_connections_per_ip", "connections_per_client"),
        ("firewall", "default_policy", "default"),
        ("firewall", "max_rate", "rate_limit"),
        ("proxy", "idle-timeout", "idle_timeout"),
        ("proxy", "idleTimeout", "idle_timeout"),
        ("proxy", "IDLE_TIMEOUT", "idle_timeout"),
        ("proxy", "idle_timeuot", "idle_timeout"),
        ("proxy", "worker_processes", "workers"),
        ("proxy", "run_as", "user"),
        ("filter", "ratelimit", "rate_limit"),
        ("filter", "whitelist", "allow_cidrs"),
        ("filter", "denied_countries", "block_countries"),
        ("filter", "client_max_body_size", "max_body"),
        ("filter", "auth_basic_user_file", "basic_auth"),
        ("filter", "proxy_set_header", "set_request_headers"),
        ("filter", "hide_headers", "remove_response_headers"),
        ("cors", "allow_origin", "origins"),
        ("cors", "allowed_methods", "methods"),
        ("forward_auth", "auth_response_headers", "copy_headers"),
        ("real_ip", "real_ip_header", "header"),
        ("case", "path", "match"),
        ("case", "middlewares", "use"),
        ("case", "proxy_pass", "backend"),
        ("route", "middlewares", "use"),
        ("limits", "header_size", "header_bytes"),
        ("limits", "headers_count", "header_count"),
        ("log", "path", "access"),
        ("log", "access_log", "access"),
        ("grpc", "unix_socket", "socket"),
        ("metrics", "listen", "addr"),
        ("listener", "bind", "addr"),
        ("listener", "port", "addr"),
        ("listener", "max_conns", "max_connections"),
        ("listener", "connection_limit", "max_connections"),
        ("listener", "accept_proxy_protocol", "proxy_protocol"),
        ("listener", "trusted_proxy", "trusted_proxies"),
        ("listener", "upstreams", "routes"),
        ("route", "server_name", "hostname"),
        ("route", "sni", "hostname"),
        ("route", "upstream", "backend"),
        ("route", "proxy_pass", "backend"),
        ("route", "backends", "backend"),
        ("route", "ssl_certificate", "tls_cert"),
        ("route", "ssl_certificate_key", "tls_key"),
        ("route", "tls_private_key", "tls_key"),
        ("route", "ca_cert", "backend_ca"),
        ("route", "send_proxy", "send_proxy_protocol"),
        ("route", "policies", "l7_policies"),
        ("listed", "server_name", "hostname"),
        ("upstream", "servers", "endpoints"),
        ("upstream", "lb_policy", "balance"),
        ("upstream", "health_check", "check"),
        ("upstream", "outlier_detection", "eject"),
        ("upstream", "retries", "tries"),
        ("upstream", "backend_protocol", "protocol"),
        ("upstream", "send_proxy", "send_proxy_protocol"),
        ("upstream", "balnce", "balance"),
        ("endpoint", "host", "address"),
        ("endpoint", "maxconn", "max_active"),
        ("endpoint", "status", "state"),
        ("endpoint", "weigth", "weight"),
        ("check", "inter", "interval"),
        ("check", "unhealthy_threshold", "fall"),
        ("check", "expected_status", "status"),
        ("tls", "ca_file", "ca"),
        ("tls", "sni", "server_name"),
        ("top", "listener", "listeners"),
        ("top", "server", "listeners"),
        ("top", "includes", "include"),
        ("top", "logging", "log"),
        ("top", "admin", "grpc"),
    ],
)
def test_an_unknown_key_is_led_to_the_one_that_is_meant(table: str, key: str, meant: str) -> None:
    """Typing errors, other spellings, and the words of other programs."""
    assert hint(table, key).startswith(f'unknown key; did you mean "{meant}"?')


@each_row(
    ("table", "key", "opposite"),
    [
        ("firewall", "unblocked_ips", "blocked_ips"),
        ("firewall", "not_blocked_ips", "blocked_ips"),
        ("listener", "min_connections", "max_connections"),
        ("listener", "untrusted_proxies", "trusted_proxies"),
        ("listener", "distrusted_proxies", "trusted_proxies"),
        ("listener", "no_proxy_protocol", "proxy_protocol"),
        ("metrics", "blocked_hosts", "allowed_hosts"),
        ("metrics", "denied_hosts", "allowed_hosts"),
        ("metrics", "disallowed_hosts", "allowed_hosts"),
        ("limits", "add_request_headers", "remove_request_headers"),
        ("limits", "remove_response_headers", "remove_request_headers"),
        ("route", "receive_proxy_protocol", "send_proxy_protocol"),
        ("route", "accept_proxy_protocol", "send_proxy_protocol"),
        ("route", "tls_ca", "tls_cert"),
        ("route", "client_protocol", "backend_protocol"),
        ("route", "frontend_tls", "backend_tls"),
    ],
)
def test_no_hint_says_the_opposite(table: str, key: str, opposite: str) -> None:
    """However alike the letters are: ``untrusted_proxies`` is no slip of the pen for ``trusted_proxies``."""
    assert f'"{opposite}"' not in hint(table, key)


@each_row("kind", ["ip", "ips", "cidr", "cidrs", "network", "networks", "country", "countries"])
@each_row("word", ["allow", "allowed", "permit", "permitted", "whitelist", "whitelisted", "accept"])
def test_who_is_to_be_let_in_is_never_led_to_the_lists_of_the_blocked(word: str, kind: str) -> None:
    """In any order and spelling."""
    for key in (
        f"{word}_{kind}",
        f"{kind}_{word}",
        f"{word}-{kind}",
        f"{word}{kind.title()}",
        f"{word}_{kind}".upper(),
    ):
        told = found(f"[firewall]\n{key} = 1\n")
        assert "block" not in str(told).replace(key, "")
        assert key.startswith("allowed_") or "allowed_" in str(told)


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("allowed_countries", ("allow_countries", "block_countries"), "allow_countries"),
        ("blocked_countries", ("allow_countries", "block_countries"), "block_countries"),
        ("denied_cidrs", ("allow_cidrs", "block_cidrs"), "block_cidrs"),
        ("allowed_countrys", ("block_countries",), ""),
        ("allow_countries", ("allowed_countries", "blocked_countries"), "allowed_countries"),
        ("add_request_header", ("remove_request_headers",), ""),
    ],
)
def test_words_that_say_the_same_in_another_form_are_found_in_any_table(
    word: str, known: tuple[str, ...], meant: str
) -> None:
    """``allow_`` where a table says ``allowed_``, and the other way round."""
    assert unknown_keys.hint(word, (), unknown_keys.Home((), is_array=False), known, {}).meant == meant


@each_row(
    ("table", "key", "place"),
    [
        ("proxy", "max_connections", "it belongs into [[listeners]]"),
        ("limits", "max_connections", "it belongs into [[listeners]]"),
        ("top", "max_connections", "it belongs into [[listeners]]"),
        ("proxy", "max_connection", 'did you mean "max_connections"? That belongs into [[listeners]]'),
        ("proxy", "max-conns", 'did you mean "max_connections"? That belongs into [[listeners]]'),
        ("listener", "tls_cert", "it belongs into [[listeners.routes]]"),
        ("listener", "idle_timeout", "it belongs into [[listeners.routes]]"),
        ("listener", "backend", "it belongs into [[listeners.routes]]"),
        ("route", "trusted_proxies", "it belongs into [[listeners]]"),
        ("route", "max_connections", "it belongs into [[listeners]]"),
        ("proxy", "include", "it belongs at the top, before any table"),
        ("firewall", "header_bytes", "it belongs into [limits]"),
        ("top", "workers", "it belongs into [proxy]"),
        ("top", "idle_timeuot", 'did you mean "idle_timeout"? That belongs into'),
    ],
)
def test_a_key_of_another_table_is_sent_there(table: str, key: str, place: str) -> None:
    """Not to the most similar key of this one."""
    assert place in hint(table, key)


@each_row(
    ("table", "key", "sentence"),
    [
        ("route", "path", "a path is a case of a route"),
        ("route", "path_prefix", "a path is a case of a route"),
        ("route", "location", "a path is a case of a route"),
        ("listed", "path", "a path is a case of a route"),
        ("listener", "paths", "a path is a case of a route"),
        ("route", "weight", "[upstreams.NAME]"),
        ("route", "health_check", "[upstreams.NAME]"),
        ("route", "client_ca", "tls = { client_auth"),
        ("listener", "ssl_verify_client", "tls = { client_auth"),
        ("listener", "ssl", "what clients speak says protocol"),
        ("route", "rewrite", "it belongs into a filter"),
        ("case", "priority", "the place in the file never matters"),
        ("case", "path_regex", "no regular expressions"),
        ("filter", "gzip", "does not compress"),
        ("top", "backend", "[[listeners.routes]]"),
        ("upstream", "name", "[upstreams.NAME]"),
        ("tls", "insecure_skip_verify", "always verified"),
    ],
)
def test_what_there_is_not_is_said(table: str, key: str, sentence: str) -> None:
    """Instead of a hint at something else."""
    message = hint(table, key)
    assert sentence in message
    assert "did you mean" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('mode = "L7"', 'did you mean "l7"?'),
        ('mode = "http"', 'did you mean "l7"?'),
        ('mode = "passthrough"', 'did you mean "l4"?'),
        ('backend_protocol = "http2"', 'did you mean "h2"?'),
        ('backend_protocol = "HTTP/1.1"', 'did you mean "http/1.1"?'),
        ('on_remove = "Drain"', 'did you mean "drain"?'),
        ("send_proxy_protocol = 'yes'", 'must be true or false, not "yes"; write true, without quotes'),
        ("send_proxy_protocol = 'False'", "write false, without quotes"),
    ],
)
def test_a_word_that_is_not_one_of_a_few(text: str, message: str) -> None:
    """One message, with the word that is meant; nothing follows from what it is not."""
    ((_, said),) = found(f"[[listeners]]\n{ROUTE}{text}\n")
    assert message in said


@pytest.mark.parametrize(
    "word", ["allow_user_agent", "permit_user_agent", "deny_header", "forbid_header", "block_headers"]
)
def test_a_type_of_policy_is_not_led_to_the_opposite(word: str) -> None:
    """A header that is to be refused must not become one that is required."""
    text = f'mode = "l7"\ntls_cert = "c"\ntls_key = "k"\nl7_policies = [{{ type = "{word}", value = "x" }}]'
    ((_, said),) = found(f"[[listeners]]\n{ROUTE}{text}\n")
    assert "did you mean" not in said


@each_row(
    "value",
    [
        "${VAR}",
        "$VAR",
        "{$VAR}",
        "{{ .Values.x }}",
        "{env.VAR}",
        "%VAR%",
        "${VAR}:8443",
        "127.0.0.1:${PORT:-80}",
        "<HOST>",
    ],
)
@each_row("key", ["addr", "backend"])
def test_there_are_no_variables(value: str, key: str) -> None:
    """Whoever writes one learns that, and not what is wrong with it as an address."""
    text = f"[[listeners]]\n{ROUTE}".replace('":1"' if key == "addr" else '"b.example:1"', f'"{value}"')
    ((_, said),) = found(text)
    assert "there are no variables" in said


@each_row("value", ["${CERTS}/x.crt", "/etc/{{ name }}.crt", "{env.CERT}", "{$CERT}"])
@each_row("key", ["tls_cert", "tls_key", "backend_ca"])
def test_a_variable_where_any_text_is_right_is_doubtful(value: str, key: str) -> None:
    """A path may have any characters, so it is a warning, at the value."""
    values = {"tls_cert": "c", "tls_key": "k", "backend_ca": "a", key: value}
    text = f'[[listeners]]\n{ROUTE}mode = "l7"\nbackend_tls = true\n'
    text += "".join(f'{name} = "{path}"\n' for name, path in values.items())
    (problem,) = resolve([Source("/etc/mc/0.toml", text)]).warnings
    assert (problem.severity, problem.key) == ("warning", f"listeners[0].routes[0].{key}")
    assert (problem.line, problem.column) == (8 + list(values).index(key), len(f'{key} = "'))
    assert "there are no variables" in problem.message


def test_a_dollar_alone_is_no_variable() -> None:
    """Names of files may have one."""
    text = f"[[listeners]]\n{ROUTE}mode = 'l7'\ntls_cert = 'c$1'\ntls_key = 'k%41'\n"
    assert found(text) == []


@each_row(
    ("value", "message"),
    [
        ("::1:8443", '"[::1]:8443"'),
        ("2001:db8::5:443", '"[2001:db8::5]:443"'),
        ("1:2:3:4:5:6:7:8:443", '"[1:2:3:4:5:6:7:8]:443"'),
        (":::8443", '"[::]:8443"'),
        ("::1", 'without a port; write "[::1]:443"'),
        ("2001:db8:1:2:3:4:5:443", 'without a port; write "[2001:db8:1:2:3:4:5:443]:443"'),
        ("2001:db8::beef", 'without a port; write "[2001:db8::beef]:443"'),
        ("[::1]", 'has no port; did you mean "[::1]:443"?'),
        ("[::1]8443", 'did you mean "[::1]:8443"?'),
    ],
)
@each_row("key", ["addr", "backend"])
def test_an_ipv6_address_without_brackets_gets_them_where_they_belong(value: str, message: str, key: str) -> None:
    """The part behind the last colon is the port, if it can be one and the rest is an address."""
    text = f"[[listeners]]\n{ROUTE}".replace('":1"' if key == "addr" else '"b.example:1"', f'"{value}"')
    ((_, said),) = found(text)
    assert message in said


@each_row(
    ("value", "message"),
    [
        ("http://10.0.0.1:8080", 'did you mean "10.0.0.1:8080"?'),
        ("http://10.0.0.1/path", 'did you mean "10.0.0.1:80"?'),
        ("https://app.internal", 'did you mean "app.internal:443"?; for TLS to it set backend_tls = true'),
        ("http://[::1]:8080/", 'did you mean "[::1]:8080"?'),
        ("http://[::1]", 'did you mean "[::1]:80"?'),
        ("tcp://app:1", 'did you mean "app:1"?'),
        ("unix:///run/x.sock", ""),
        ("/run/x.sock", '"unix:/run/x.sock"'),
        (" 127.0.0.1:80", 'did you mean "127.0.0.1:80"?'),
        ("127.0.0.1:80 ", 'did you mean "127.0.0.1:80"?'),
        ("127.0.0.1:80\u200b", 'did you mean "127.0.0.1:80"?; there is U+200B (ZERO-WIDTH SPACE) in it'),
        ("127.0.0.1\u00a0:80", "there is U+00A0 (NO-BREAK SPACE) in it"),
        ("app\u20131.example:80", 'did you mean "app-1.example:80"?'),
        ("\u201c127.0.0.1:80\u201d", 'did you mean "127.0.0.1:80"?'),
    ],
)
def test_a_backend_in_another_form(value: str, message: str) -> None:
    """URLs, paths, and what cannot be seen."""
    problems = found(f"[[listeners]]\n{ROUTE}".replace("b.example:1", value))
    assert message in (problems[0][1] if problems else "")


@each_row("value", ["unix:/run/x.sock", "unix:x.sock", "/run/x.sock", "@abstract"])
@each_row("table", ["[[listeners]]", "[grpc]", "[metrics]"])
def test_a_listening_address_is_no_unix_socket(value: str, table: str) -> None:
    """It says so, instead of looking for a port in the path."""
    ((_, said),) = found(f'{table}\naddr = "{value}"\n')
    assert "is a Unix socket, and this address is one of TCP" in said
    assert "port (1 to" not in said


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("8443", ":8443"),
        ("0.0.0.0", "0.0.0.0:443"),
        (":https", ":443"),
        ("localhost:8443", "127.0.0.1:8443"),
        ("https://127.0.0.1:1", "127.0.0.1:1"),
    ],
)
def test_a_listening_address_in_another_form(value: str, meant: str) -> None:
    """The form that is meant."""
    ((_, said),) = found(f'[[listeners]]\naddr = "{value}"\n')
    assert f'did you mean "{meant}"?' in said


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("UK", 'did you mean "GB"?'),
        ("uk", 'did you mean "GB"?'),
        ("EL", 'did you mean "GR"?'),
        ("USA", 'did you mean "US"?'),
        ("XX", "is no country's code in ISO 3166-1"),
        ("ZZ", "so it would match no client"),
        ("EU", "is no country's code in ISO 3166-1"),
        ("A1", "two letters"),
        ("Sweden", "two letters"),
    ],
)
def test_a_country_that_there_is_not(code: str, message: str) -> None:
    """A rule that matches nobody would look like protection; and no complaint of a database that it would need."""
    ((key, said),) = found(f'[firewall]\nblocked_countries = ["{code}"]\n')
    assert key == "firewall.blocked_countries[0]"
    assert message in said


def test_every_other_country_can_be_named() -> None:
    """249 of the standard, and the one that databases know beside them."""
    assert len(CODES) == 250
    assert {parse_country(code.lower()) for code in CODES} == CODES
    assert set(MEANT.values()) <= CODES
    assert not MEANT.keys() & CODES


L7 = f'[[listeners]]\n{ROUTE}mode = "l7"\ntls_cert = "c"\ntls_key = "k"\n'


@each_row(
    "text",
    [
        L7.replace('"l7"', '"L7"'),
        L7.replace('"l7"', "7"),
        L7.replace('"l7"', '"L7"') + 'l7_policies = [{ type = "require_header", value = "X" }]\n',
        L7.replace("mode", "mood") + 'l7_policies = [{ type = "require_header", value = "X" }]\n',
        L7.replace("tls_cert", "tls_crt"),
        L7.replace("tls_key", "private_key"),
        L7.replace('tls_key = "k"', "tls_key = 3"),
        L7.replace('tls_key = "k"', 'tls_key = "a\\u0000"'),
        L7.replace("tls_cert", "tls_certificate") + 'l7_policies = [{ type = "require_header", value = "X" }]\n',
        L7 + 'backend_tls = "yes"\nbackend_ca = "x"\nbackend_server_name = "x"\n',
        L7 + 'backend_ssl = true\nbackend_ca = "x"\n',
        L7 + 'send_proxy_protocol = 1\nproxy_protocol_version = "v1"\nproxy_protocol_destination = "original"\n',
        L7 + 'l7_policies = [{ type = "x", value = "y" }]\n',
        L7 + 'l7_policies = [{ kind = "require_header", value = "y" }]\n',
        L7.replace("hostname", "host"),
        L7.replace("backend", "upstream"),
        L7.replace("[[listeners.routes]]", "[[listeners.route]]"),
        L7.replace("[[listeners]]", "[[listener]]").replace("listeners.routes", "listener.routes"),
        '[[listener]]\naddr = ":1"\n[[routes]]\nlistener = ":1"\nhostname = "a"\nbackend = "b:1"\n',
        '[[listeners]]\naddr = "::1:8443"\n[[routes]]\nlistener = "[::1]:8443"\nhostname = "a"\nbackend = "b:1"\n',
        f'[[listeners]]\ntrusted_proxies = ["10.0.0.1/8"]\nproxy_protocol = true\nuntrusted = "direct"\n{ROUTE}',
        f'[[listeners]]\ntrusted_ips = ["10.0.0.0/8"]\nproxy_protocol = true\nuntrusted = "direct"\n{ROUTE}',
        f'[[listeners]]\ntrusted_proxies = ["10.0.0.0/8"]\nproxy_protocol = "on"\n{ROUTE}',
        f'[[listeners]]\ntls_cert = "c"\n{L7.partition(chr(10))[2]}'.replace('\ntls_cert = "c"\ntls_key', "\ntls_key"),
        '[firewall]\nrate_limit = "5"\nrate_window = "10s"\n',
        '[firewall]\nrate_limt = 5\nrate_window = "10s"\n',
        '[firewall]\nblocked_countries = ["UK"]\n',
        '[firewall]\ngeoip = "x.mmdb"\nblocked_countries = ["SE"]\n',
        '[firewall]\ngeoip_db = 3\nblocked_countries = ["SE"]\n',
        '[grpc]\naddr = ":9"\ntls_cert = "c"\ntls_key = "k"\nclient_ca = 3\n',
        '[grpc]\naddr = ":9"\ntls_cert = "c"\ntls_key = "k"\nca_file = "x"\n',
        '[grpc]\naddr = ":9"\ntls_cert = "c"\ntls_key = "k"\n[proxy]\nclient_ca = "x"\n',
    ],
)  # fmt: skip
def test_one_mistake_is_one_message(text: str) -> None:
    """Nothing is concluded from a value that is wrong, or that stands under a wrong name."""
    assert len(found(text)) == 1, found(text)


@pytest.mark.parametrize(
    ("main", "other"),
    [
        ('[grpc]\naddr = ":9"\ntls_cert = "c"\ntls_key = "k"\n', '[grpc]\nclient_ca = "x"\nthis is no TOML\n'),
        ('[firewall]\nblocked_countries = ["SE"]\n', '[firewall]\ngeoip_db = "x\n'),
        ('[firewall]\nrate_window = "10s"\n', "[firewall]\nrate_limit = 5 5\n"),
        ('[firewall]\nrate_window = "10s"\n', "[firewall]\nrate_limit = true\n"),
        ('[[routes]]\nlistener = ":1"\nhostname = "a"\nbackend = "b:1"\n', "[[listeners]]\naddr = :1\n"),
    ],
)
def test_one_mistake_in_an_included_file_is_one_message(main: str, other: str) -> None:
    """What it would have said is not missed in the others."""
    assert len(found(main, other)) == 1, found(main, other)


def test_mistakes_beside_each_other_are_all_told() -> None:
    """One that follows from none of the others stays."""
    text = L7.replace('"l7"', '"L7"').replace('"b.example:1"', '"b.example"') + 'on_remove = "x"\n'
    assert [key.rpartition(".")[2] for key, _ in found(text)] == ["backend", "mode", "on_remove"]


@each_row(
    ("addr", "backend", "expected"),
    [
        (":8443", "127.0.0.1:8443", True),
        (":8443", "127.1.2.3:8443", True),
        (":8443", "[::1]:8443", True),
        (":8443", "localhost:8443", True),
        (":8443", "LOCALHOST.:8443", True),
        (":8443", "edge.localhost:8443", True),
        (":8443", "0.0.0.0:8443", True),
        (":8443", "[::]:8443", True),
        (":8443", "[::ffff:127.0.0.1]:8443", True),
        ("0.0.0.0:8443", "127.0.0.1:8443", True),
        ("0.0.0.0:8443", "[::1]:8443", False),
        ("[::]:8443", "[::1]:8443", True),
        ("[::]:8443", "127.0.0.1:8443", False),
        ("127.0.0.1:8443", "127.0.0.1:8443", True),
        ("127.0.0.1:8443", "localhost:8443", True),
        ("127.0.0.1:8443", "127.0.0.2:8443", False),
        ("[::1]:8443", "localhost:8443", True),
        ("192.0.2.1:8443", "192.0.2.1:8443", True),
        ("192.0.2.1:8443", "127.0.0.1:8443", False),
        ("[2001:db8::1]:8443", "[2001:DB8:0::1]:8443", True),
        (":8443", "192.0.2.1:8443", False),
        (":8443", "app.example:8443", False),
        (":8443", "127.0.0.1:8444", False),
        (":8443", "unix:/run/x.sock", False),
    ],
)
@each_row("place", ["below", "listed", "included"])
def test_a_backend_that_is_the_listener_itself_is_doubtful(
    addr: str, backend: str, place: str, *, expected: bool
) -> None:
    """A connection to it would come back without end; what only may be this machine is not doubted."""
    listener = f'[[listeners]]\naddr = "{addr}"\n'
    route = f'hostname = "a.example"\nbackend = "{backend}"\n'
    if place == "below":
        problems = found(f"{listener}[[listeners.routes]]\n{route}")
    else:
        listed = f'[[routes]]\nlistener = "{addr}"\n{route}'
        problems = found(*((listener + listed,) if place == "listed" else (listener, listed)))
    assert [message.partition(":")[0] for _, message in problems] == (["is this listener itself"] if expected else [])


def test_a_backend_that_is_another_listener_is_doubtful() -> None:
    """Also of another file; the message names its place."""
    one = '[[listeners]]\naddr = ":1"\n[[listeners.routes]]\nhostname = "a"\nbackend = "localhost:2"\n'
    other = '[[listeners]]\naddr = "127.0.0.1:2"\n[[listeners.routes]]\nhostname = "a"\nbackend = "b:1"\n'
    assert found(one, other) == [
        (
            "listeners[0].routes[0].backend",
            "is the listener 127.0.0.1:2 at /etc/mc/1.toml:1: connections go through this proxy again",
        )
    ]


@each_row(
    ("text", "message"),
    [
        ("[[proxy]]\nworkers = 1\n", "must be a table, not an array; write [proxy], in single brackets"),
        ('[listeners]\naddr = ":1"\n', "not a table; write [[listeners]], in double brackets"),
        ('[proxy]\nworkers = "4"\n', 'must be an integer, not "4"; write it without quotes'),
        ("[grpc]\nsocket_mode = 600\n", 'not an integer; write "600"'),
        ("[grpc]\nsocket_mode = 0o600\n", 'must be a string such as "0600", not an integer'),
        ('[[listeners]]\naddr = [":1"]\n', 'not an array; write ":1"'),
        ('[metrics]\naddr = [":1", ":2"]\n', "not an array; it takes one alone"),
        (
            '[[listeners.routes]]\nhostname = "a"\n',
            "write [[listeners]], in double brackets, in front of the [[listeners.routes]]",
        ),
        ('[firewall]\ndefault = "reject"\n', 'must be "allow" or "deny", not "reject"; did you mean "deny"?'),
        ('[proxy]\nworkers = "${N}"\n', 'not "${N}"; there are no variables here'),
        ('[proxy]\nallow_shrink = "{{ shrink }}"\n', "there are no variables here"),
        ('[log]\nlevel = "$LEVEL"\n', "there are no variables here"),
        ('[proxy]\nidle_timeout = "5 min"\n', 'did you mean "5m"?'),
        ('[proxy]\nidle_timeout = "1 hour, 30 seconds"\n', 'did you mean "1h30s"?'),
        ('[proxy]\nidle_timeout = "1D"\n', 'did you mean "24h"?'),
        ('[proxy]\nidle_timeout = "300"\n', 'did you mean "300s"?'),
        ('[proxy]\nidle_timeout = "5parsec"\n', "is not a duration"),
        ('include = "conf.d/*.toml"\n', 'must be an array, [...], not "conf.d/*.toml"; write ["conf.d/*.toml"]'),
        ('[firewall]\nblocked_ips = "192.0.2.1"\n', 'write ["192.0.2.1"]'),
        ('[firewall]\nblocked_ips = ["192.0.2.0/24"]\n', "networks belong into blocked_cidrs"),
    ],
)
def test_values_of_another_type(text: str, message: str) -> None:
    """The form in which it would be right."""
    ((_, said),) = found(text)
    assert message in said


@pytest.mark.parametrize(
    ("table", "key", "word", "meant"),
    [
        ("upstream", "balance", "roundrobin", "round_robin"),
        ("upstream", "balance", "leastconn", "least_conn"),
        ("upstream", "balance", "p2c", "random_two"),
        ("upstream", "balance", "ip_hash", "source_hash"),
        ("endpoint", "state", "maint", "maintenance"),
        ("endpoint", "state", "draining", "drain"),
        ("endpoint", "state", "up", "ready"),
        ("endpoint", "resolve", "al", "all"),
        ("check", "type", "HTTP", "http"),
    ],
)
def test_words_of_other_programs_for_what_an_upstream_may_be(table: str, key: str, word: str, meant: str) -> None:
    """Told with the word of this one."""
    ((_, message),) = found(f"{TABLES[table]}{key} = '{word}'\n")
    assert message.endswith(f'did you mean "{meant}"?')
