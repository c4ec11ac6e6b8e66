"""What a node of a fleet may say in its own file, and what the fleet's document."""

import pytest

from mcproxy.errors import ConfigError
from mcproxy.model.config.fleet.names import parse_node, parse_prefix, parse_store
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from tests.support.rows import each_row

NODE = """\
[fleet]
endpoints = ["127.0.0.1:2379"]
node = "edge-1"

[database]
path = "own.db"
"""
DOCUMENT = """\
include = ["conf.d/*.toml"]

[proxy]
workers = 2

[[listeners]]
addr = ":443"
routes = [{ hostname = "a.example", backend = "10.0.0.1:443" }]
"""
INCLUDED = """\
[[routes]]
listener = ":443"
hostname = "b.example"
mode = "l7"
tls_cert = "certs/b.pem"
tls_key = "/etc/b.key"
backend = "10.0.0.2:80"
"""


def node(text: str = NODE) -> Source:
    return Source("/etc/mcproxy/mc-proxy.toml", text)


def of_fleet(name: str, text: str) -> Source:
    return Source(name, text, "/etc/mcproxy", "revision 41, commit 3fa9")


def meant(*documents: str) -> Resolution:
    return resolve([node(), *(of_fleet(f"doc{number or ''}", text) for number, text in enumerate(documents))])


def refused(own: str, *documents: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve([node(own), *(of_fleet("doc", text) for text in documents)])
    return [str(problem) for problem in caught.value.problems if getattr(problem, "severity", "") == "error"]


def test_a_node_and_the_document_add_up() -> None:
    """The node's own tables count beside all that the document says, of which the first file may include the others."""
    found = meant(DOCUMENT, INCLUDED)
    state = found.state
    assert state.settings["database.path"] == "/etc/mcproxy/own.db"
    assert state.settings["proxy.workers"] == 2
    assert set(state.routes) == {(":443", "a.example"), (":443", "b.example")}


def test_relative_paths_of_a_document_start_from_the_folder_of_the_node() -> None:
    """Where each node has the files that the document names."""
    route = meant(DOCUMENT, INCLUDED).state.routes[":443", "b.example"]
    assert (route.tls_cert, route.tls_key) == ("/etc/mcproxy/certs/b.pem", "/etc/b.key")


def test_places_in_a_document_name_its_version() -> None:
    """The line, and which push it is of; those of the node's own file are as ever."""
    found = meant(DOCUMENT, INCLUDED)
    assert str(found.origins["route", ":443", "a.example"]) == "doc:8 (revision 41, commit 3fa9)"
    assert str(found.origin(("route", ":443", "b.example"), "tls_cert")) == "doc1:5 (revision 41, commit 3fa9)"
    assert str(found.origins["setting", "database.path"]) == "/etc/mcproxy/mc-proxy.toml:6"


def test_a_node_needs_no_document() -> None:
    """As before the first push: it has its own settings, and serves nothing."""
    found = resolve([node()])
    assert not found.state.listeners
    assert found.state.settings["database.path"] == "/etc/mcproxy/own.db"


def test_without_tls_only_loopback_is_not_doubtful() -> None:
    """Whoever is on the way to etcd could change what is served."""
    plain = NODE.replace("127.0.0.1:2379", "10.0.0.11:2379")
    (warning,) = resolve([node(plain)]).warnings
    assert str(warning).startswith("/etc/mcproxy/mc-proxy.toml:2:")
    assert "without TLS" in str(warning)
    for loopback in ("localhost:2379", "[::1]:2379", "127.9.0.1:2379"):
        assert not resolve([node(NODE.replace("127.0.0.1:2379", loopback))]).warnings


@each_row(
    ("text", "message"),
    [
        (
            NODE + '[[listeners]]\naddr = ":1"\n',
            ":7:3: error: listeners: a node of a fleet has [database], [grpc], [metrics]",
        ),
        ("include = []\n" + NODE, ":1:1: error: include: a node of a fleet has"),
        (NODE + "[proxy]\nworkers = 1\n", ":7:2: error: proxy: a node of a fleet has"),
        (NODE + "[guard]\n", ":7:2: error: guard: a node of a fleet has"),
        (NODE.replace('["127.0.0.1:2379"]', "[]"), ":2:13: error: fleet.endpoints: must name at least one member"),
        (
            NODE.replace('["127.0.0.1:2379"]', '["127.0.0.1:2379", "127.0.0.1:2379"]'),
            ":2:13: error: fleet.endpoints: names a member twice",
        ),
        ("[fleet]\n", 'error: fleet: the key "endpoints" is missing'),
        (NODE.replace("[database]", 'cert = "a"\n[database]'), "error: fleet.cert: needs fleet.key"),
        (NODE.replace("[database]", 'key = "a"\n[database]'), "error: fleet.key: needs fleet.cert"),
        (NODE.replace("[database]", 'cert = "a"\nkey = "b"\n[database]'), "error: fleet.cert: needs fleet.ca"),
        (NODE.replace("edge-1", "edge 1"), ":3:8: error: fleet.node: "),
    ],
)
def test_what_is_wrong_in_the_file_of_a_node(text: str, message: str) -> None:
    """Each mistake has its line, and what to do."""
    found = refused(text)
    assert any(message in problem for problem in found), found


@each_row("table", ["[database]", "[grpc]", "[metrics]", "[log]", "[fleet]"])
def test_what_is_each_nodes_own_does_not_stand_in_a_document(table: str) -> None:
    """It would be every node's."""
    found = refused(
        NODE.partition("[database]")[0], f"{table}\n{DOCUMENT.partition('[proxy]')[2].partition(chr(10))[2]}"
    )
    name = table.strip("[]")
    assert any(f"doc:1:2: error: {name}: [{name}] is each node's own" in problem for problem in found), found


def test_a_fleet_is_joined_in_the_main_file() -> None:
    """An included file may be there on some machines and not on others."""
    with pytest.raises(ConfigError) as caught:
        resolve([Source("/a.toml", 'include = ["b.toml"]\n' + DOCUMENT.partition("\n\n")[2]), Source("/b.toml", NODE)])
    assert "/b.toml:1:2: error: fleet: belongs into the main file" in str(caught.value)


def test_texts_of_the_fleet_have_one_form() -> None:
    """So that what compares equal is equal."""
    assert parse_store("ETCD.internal:2379") == "etcd.internal:2379"
    assert parse_store("[0::1]:2379") == "[::1]:2379"
    assert parse_prefix("/mcproxy/edge/") == "/mcproxy/edge"
    assert parse_node("Edge_1.b") == "Edge_1.b"


@each_row(
    ("parse", "text", "message"),
    [
        (
            parse_store,
            "https://10.0.0.11:2379/",
            'did you mean "10.0.0.11:2379"?; that it is spoken to by TLS is said by `ca`',
        ),
        (parse_store, "http://a:1", 'did you mean "a:1"?'),
        (parse_store, "unix:/run/etcd", "is a Unix socket"),
        (parse_store, "10.0.0.11", "has no port"),
        (parse_prefix, "mcproxy", 'did you mean "/mcproxy"?'),
        (parse_prefix, "/", "is no prefix"),
        (parse_prefix, "/a//b", "is no prefix"),
        (parse_prefix, "/a b", "is no prefix"),
        (parse_node, "", "is no name of a node"),
        (parse_node, "a/b", "is no name of a node"),
        (parse_node, "a" * 64, "is no name of a node"),
        (parse_node, "edge-", "is no name of a node"),
    ],
)
def test_texts_of_the_fleet_that_are_refused(parse: object, text: str, message: str) -> None:
    """With what is meant, where that can be said."""
    assert callable(parse)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its message is compared below
        parse(text)
    assert message in str(caught.value)
