"""Certificates that are ordered from a CA, in the file: what is checked before anybody is asked."""

import pytest

from mcproxy.errors import ConfigError
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.named_files import files_of, named_files, ordered_files, pairs_of
from mcproxy.model.state.rules.ordered_certificates import names_of
from mcproxy.model.state.snapshot import TlsEntry, make_snapshot
from mcproxy.model.values.acme.places import file_name
from mcproxy.model.values.acme.words import LETS_ENCRYPT, STAGING
from tests.support.rows import each_row

ACME = '[acme]\nemail = "ops@example.com"\n'
HTTP = (
    '[[listeners]]\naddr = ":80"\nprotocol = "http"\nroutes = [{ hostname = "*", redirect = "https://{host}{uri}" }]\n'
)


def routes(*keys: str, addr: str = ":443", mode: str = "l7") -> str:
    """Return a listener with a route per text of keys."""
    listed = ", ".join(f'{{ backend = "b:1", mode = "{mode}", {each} }}' for each in keys)
    return f'[[listeners]]\naddr = "{addr}"\nroutes = [{listed}]\n'


WWW = routes('hostname = "www.test", certificate = "acme"')
WILD = routes('hostname = "*.test", certificate = "acme"')


def told(text: str) -> list[str]:
    """Return what is told of a file: severity, key and message."""
    try:
        problems: tuple[object, ...] = resolve([Source("/etc/mcproxy/a.toml", text)]).warnings
    except ConfigError as error:
        problems = error.problems
    return [f"{each.severity} {each.key}: {each.message}" for each in problems if isinstance(each, Problem)]


@each_row(
    ("text", "expected"),
    [
        (ACME + WWW, []),
        ("[acme]\n" + WWW, []),
        (WWW, ['error listeners[0].routes[0].certificate: certificate = "acme" needs [acme]']),
        (
            ACME + routes('hostname = "*", certificate = "acme"'),
            ['error listeners[0].routes[0].hostname: "*" is every'],
        ),
        (ACME + WILD, ['error listeners[0].routes[0].hostname: a certificate for *.test needs challenge = "dns-01"']),
        (
            ACME + routes('hostname = "a.test", names = ["b.test", "*.c.test"], certificate = "acme"'),
            ['error listeners[0].routes[0].names[1]: a certificate for *.c.test needs challenge = "dns-01"'],
        ),
        (ACME + 'challenge = "dns-01"\ndns = { server = "10.0.0.53", zone = "test" }\n' + WILD, []),
        (ACME + 'challenge = "dns-01"\ndns.exec = "hook"\n' + WILD, []),
        (
            ACME
            + 'challenge = "dns-01"\ndns = { server = "10.0.0.53", zone = "B.test." }\n'
            + routes('hostname = "*.b.test", names = ["b.test", "a.xb.test"], certificate = "acme"'),
            ["error listeners[0].routes[0].names[1]: a.xb.test is not in the zone b.test of dns in [acme]"],
        ),
        (ACME + 'challenge = "dns-01"\n' + WWW, ["error acme.challenge: dns-01 needs to know how records are set"]),
        (
            ACME + 'challenge = "dns-01"\ndns = { server = "10.0.0.53" }\n' + WWW,
            ["error acme.dns.server: needs zone too"],
        ),
        (
            ACME + 'challenge = "dns-01"\ndns = { server = "::1", zone = "test", exec = "hook" }\n' + WWW,
            ["error acme.dns.exec: records are set either at a server or by a program"],
        ),
        (
            ACME + 'challenge = "dns-01"\ndns = { exec = "hook", tsig_key = "k" }\n' + WWW,
            ["warning acme.dns.tsig_key: has no effect without server"],
        ),
        (ACME + 'dns.exec = "hook"\n' + WWW, ["warning acme.dns.exec: has no effect without challenge"]),
        (ACME + 'eab.kid = "a"\n' + WWW, ["error acme.eab.kid: needs key too"]),
        (ACME + 'eab = { key = "a" }\n' + WWW, ["error acme.eab.key: needs kid too"]),
        (ACME + 'challenge = "http-01"\n' + WWW, ["warning acme.challenge: the CA asks on port 80"]),
        (ACME + 'challenge = "http-01"\n' + HTTP + WWW, []),
        (
            ACME + routes('hostname = "a.test", certificate = "acme"', addr=":8443"),
            ["warning acme.challenge: the CA asks on port 443"],
        ),
        (ACME + 'directory = "http://ca.test/"\n' + WWW, ["error acme.directory:"]),
        ('[acme]\nemail = "mailto:ops@example.com"\n' + WWW, []),
        ('[acme]\nemail = "ops"\n' + WWW, ["error acme.email:"]),
        ('[acme]\nemail = "a@b.test, c@d.test"\n' + WWW, ["error acme.email:"]),
        (ACME + 'directory = "https:///x"\n' + WWW, ["error acme.directory:"]),
        (
            ACME + 'challenge = "dns-01"\ndns = { server = "ns.test", zone = "test" }\n' + WWW,
            ["error acme.dns.server:"],
        ),
        (
            ACME + routes('hostname = "a.test", certificate = "acme"', mode="l4"),
            ["error listeners[0].routes[0].certificate: has no effect on an l4 route"],
        ),
        (
            ACME + routes('hostname = "a_b.test", certificate = "acme"'),
            ["error listeners[0].routes[0].hostname: no CA issues a certificate for a_b.test"],
        ),
        (
            ACME + routes('hostname = "a.test", names = ["-.test"], certificate = "acme"'),
            ["error listeners[0].routes[0].names[0]:"],
        ),
        (
            ACME + routes('hostname = "a.test", names = ["a.test:1"], certificate = "acme"'),
            ["error listeners[0].routes[0].names[0]:"],
        ),
        (
            ACME + routes('hostname = "a.test", tls_cert = "c", certificate = "acme"'),
            ['error listeners[0].routes[0].tls_cert: a route has either tls_cert or certificate = "acme", not both'],
        ),
        (
            ACME + routes('hostname = "a.test", tls_cert = "c", tls_key = "k", names = ["b.test"]'),
            ["warning listeners[0].routes[0].names: has no effect without certificate"],
        ),
        (
            ACME + routes('hostname = "a.test", certificate = "letsencrypt"'),
            ['error listeners[0].routes[0].certificate: must be "" or "acme", not "letsencrypt"; did you mean "acme"?'],
        ),
        (
            ACME
            + '[[listeners]]\naddr = ":80"\nprotocol = "http"\nroutes = [{ hostname = "a.test", backend = "b:1", certificate = "acme" }]\n',
            ["error listeners[0].routes[0].certificate: is for TLS"],
        ),
        (
            ACME
            + '[[listeners]]\naddr = ":25"\nprotocol = "tcp"\nroutes = [{ hostname = "*", backend = "b:1", certificate = "acme" }]\n',
            ["error listeners[0].routes[0].certificate: is for l7 routes"],
        ),
        (
            ACME
            + 'challenge = "dns-01"\ndns.exec = "h"\n'
            + routes(
                f'hostname = "a.test", certificate = "acme", names = [{", ".join(f"{chr(34)}n{i}.test{chr(34)}" for i in range(100))}]'
            ),
            ["error listeners[0].routes[0].names: a certificate has at most 100 names"],
        ),
    ],
)
def test_what_no_order_could_bring_is_told_before_one_is_made(text: str, expected: list[str]) -> None:
    """One message for one mistake, at the key that is wrong."""
    found = told(text)
    assert len(found) == len(expected), found
    for message, begin in zip(found, expected, strict=True):
        assert message.startswith(begin), message


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("", ""),
        ("[acme]\n", LETS_ENCRYPT),
        ('[acme]\ndirectory = "staging"\n', STAGING),
        ("[acme.eab]\n", LETS_ENCRYPT),
    ],
)
def test_the_ca_is_that_of_everybody_where_the_table_is_there(text: str, directory: str) -> None:
    """Without the table nobody has agreed to anything."""
    assert resolve([Source("/a.toml", text)]).state.settings["acme.directory"] == directory


def test_the_table_may_stand_in_several_files() -> None:
    """Key by key, as other settings."""
    main = Source("/a.toml", 'include = ["b.toml"]\n[acme]\nchallenge = "dns-01"\n' + WILD)
    other = Source("/conf/b.toml", '[acme.dns]\nserver = "10.0.0.53:5353"\nzone = "Test."\ntsig_key = "t.key"\n')
    settings = resolve([main, other]).state.settings
    found = {name: settings[f"acme.dns.{name}"] for name in ("server", "zone", "tsig_key", "exec")}
    assert found == {"server": "10.0.0.53:5353", "zone": "test", "tsig_key": "/conf/t.key", "exec": ""}


@pytest.mark.parametrize(
    ("lines", "folder"),
    [
        ("", "/etc/mcproxy/acme/"),
        ('[database]\npath = "/var/lib/mcproxy/a.db"\n', "/var/lib/mcproxy/acme/"),
        ('[database]\npath = "/var/lib/a.db"\n[acme]\nfolder = "x/y"\n', "/var/lib/x/y/"),
        ('[acme]\nfolder = "/srv/certs"\n', "/srv/certs/"),
    ],
)
def test_a_certificate_and_its_key_are_one_file_beside_the_database(lines: str, folder: str) -> None:
    """It belongs to the files that the route names, as others do."""
    table = "" if "[acme]" in lines else ACME
    state = resolve([Source("/etc/mcproxy/a.toml", lines + table + WWW)]).state
    route = state.routes[":443", "www.test"]
    path = f"{folder}www.test.pem"
    assert ordered_files(state) == named_files(state) == [path]
    assert list(files_of(state, route)) == [("certificate", (path,))]
    assert pairs_of(state, route) == ((path, path),)


def test_wildcards_have_a_file_that_no_shell_takes_for_a_pattern() -> None:
    """And that no other hostname can have."""
    assert file_name("*.a.test") == "wildcard@a.test.pem"
    assert file_name("a.test") == "a.test.pem"


def test_the_names_of_a_certificate_are_in_order() -> None:
    """The hostname among them, each once, canonical; a text with commas is as good as an array."""
    for names in ('["B.test.", "a.test", "ü.test", "b.test"]', '"B.test., a.test,ü.test, b.test"'):
        state = resolve(
            [Source("/a.toml", ACME + routes(f'hostname = "A.test", names = {names}, certificate = "acme"'))]
        ).state
        route = state.routes[":443", "a.test"]
        assert route.names == ("a.test", "b.test", "xn--tda.test")
        assert names_of(route) == ("a.test", "b.test", "xn--tda.test")


def test_workers_get_no_pair_until_there_is_one() -> None:
    """Then the file's digest stands for both of its parts."""
    state = resolve([Source("/a.toml", ACME + WWW)]).state

    def entry(digests: dict[str, str]) -> TlsEntry:
        snapshot = make_snapshot(state, 1, {":443": 0}, {(":443", "www.test"): 0}, {":443": 1}, digests=digests)
        return snapshot.listeners[0].routes[0].tls

    assert entry({"/acme/www.test.pem": ""}).pairs == ()
    assert entry({"/acme/www.test.pem": "d1"}).pairs == (("d1", "d1"),)
