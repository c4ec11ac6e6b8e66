"""Runtime edits in the user's files: which file, which place, which form; and never a wrong file."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest

from mcproxy.control.export import export as export_module
from mcproxy.control.export.export import Exported, export
from mcproxy.errors import ConfigError, ExportError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.state.tls_options import RouteTls
from mcproxy.model.values.endpoint import Endpoint

MAIN = "/etc/mc/mc-proxy.toml"
SOME = Path(__file__).parents[4] / "srv/mc-proxy.toml"
TEXT = """\
# The edge.
include = ["conf.d/*.toml"]

[proxy]
idle_timeout = "5m"   # long

# the public side
[[listeners]]
addr = "0.0.0.0:8443"

# the shop
[[listeners.routes]]
hostname = "Shop.Example.com."
backend = "10.0.0.1:443"    # old rack

[[listeners.routes]]
hostname = "bücher.example"
backend = "10.0.0.2:443"
mode = "l7"
tls_cert = "b.crt"
tls_key = "b.key"
l7_policies = [{ type = "block_user_agent", value = "BadBot" }]
"""
SHOP = ("0.0.0.0:8443", "shop.example.com")
BOOKS = ("0.0.0.0:8443", "xn--bcher-kva.example")


def edits(state: State, **tables: dict[Any, Any]) -> State:
    """Return the State with other resources; None removes one."""
    changed = {
        name: {key: value for key, value in {**getattr(state, name), **table}.items() if value is not None}
        for name, table in tables.items()
    }
    return msgspec.structs.replace(state, **changed)


def exported(*texts: str, **tables: dict[Any, Any]) -> list[str]:
    """Return the texts after edits; the first is the main file's, the others' are in conf.d."""
    sources = [Source(f"/etc/mc/conf.d/{i}.toml" if i else MAIN, dedent(text)) for i, text in enumerate(texts)]
    desired = edits(resolve(sources).state, **tables)
    files = export(sources, desired)
    assert [(file.path, file.before) for file in files] == [(source.path, source.text) for source in sources]
    after = [msgspec.structs.replace(source, text=file.after) for source, file in zip(sources, files, strict=True)]
    assert resolve(after).state == desired
    return [file.after for file in files]


def test_without_edits_every_file_is_as_it_was() -> None:
    """Byte for byte: the very text comes back."""
    sources = [Source(MAIN, SOME.read_text(encoding="utf-8")), Source("/etc/mc/empty.toml", "")]
    files = export(sources, resolve(sources).state)
    assert files == tuple(Exported(source.path, source.text, source.text) for source in sources)
    assert all(file.after is source.text for file, source in zip(files, sources, strict=True))


def test_every_kind_of_edit_at_once() -> None:
    """The whole file, as its user will see it."""
    addr = SHOP[0]
    (after,) = exported(
        TEXT,
        settings={"proxy.idle_timeout": 90.0, "proxy.connect_timeout": 0.25, "firewall.geoip_db": "/etc/mc/geo/c.mmdb"},
        rules={("country", "SE"): Rule("country", "SE"), ("country", "NO"): Rule("country", "NO")},
        listeners={
            addr: Listener(addr, max_connections=100),
            "[::1]:9": Listener("[::1]:9", proxy_protocol=True, trusted_proxies=("10.0.0.0/8", "::1/128")),
        },
        routes={
            SHOP: Route(*SHOP, (Endpoint("10.0.0.9", 443),), on_remove="keep"),
            (addr, "*"): Route(addr, "*", (Endpoint(path="/run/a.sock"),), send_proxy_protocol=True),
            ("[::1]:9", "api"): Route(
                "[::1]:9", "api", (Endpoint("::1", 1),), mode="l7", tls_cert="/etc/mc/a/b.crt", tls_key="/etc/x/b.key"
            ),
        },
        policies={
            (*BOOKS, "require_header", "X-A"): Policy(*BOOKS, "require_header", "X-A"),
            (*BOOKS, "block_user_agent", "BadBot"): None,
            ("[::1]:9", "api", "require_header", "X: y"): Policy("[::1]:9", "api", "require_header", "X: y"),
        },
    )
    assert (
        after
        == """\
# The edge.
include = ["conf.d/*.toml"]

[proxy]
idle_timeout = "1m30s" # long
connect_timeout = "250ms"

[firewall]
geoip_db = "geo/c.mmdb"
blocked_countries = ["NO", "SE"]

# the public side
[[listeners]]
addr = "0.0.0.0:8443"
max_connections = 100

# the shop
[[listeners.routes]]
hostname = "Shop.Example.com."
backend = "10.0.0.9:443"    # old rack
on_remove = "keep"

[[listeners.routes]]
hostname = "bücher.example"
backend = "10.0.0.2:443"
mode = "l7"
tls_cert = "b.crt"
tls_key = "b.key"
l7_policies = [{ type = "require_header", value = "X-A" }]

[[listeners.routes]]
hostname = "*"
backend = "unix:/run/a.sock"
send_proxy_protocol = true

[[listeners]]
addr = "[::1]:9"
proxy_protocol = true
trusted_proxies = ["10.0.0.0/8", "::1/128"]

[[listeners.routes]]
hostname = "api"
backend = "[::1]:1"
mode = "l7"
tls_cert = "a/b.crt"
tls_key = "/etc/x/b.key"

[[listeners.routes.l7_policies]]
type = "require_header"
value = "X: y"
"""
    )


def test_a_removed_route_takes_its_comment_along() -> None:
    """Found under its canonical name, however the file writes it."""
    (after,) = exported(TEXT, routes={SHOP: None})
    start, end = TEXT.index("# the shop"), TEXT.index('[[listeners.routes]]\nhostname = "b')
    assert after == TEXT[:start] + TEXT[end:]


def test_a_removed_listener_takes_everything_along() -> None:
    """What is left still ends with one line end."""
    policy = (*BOOKS, "block_user_agent", "BadBot")
    (after,) = exported(TEXT, listeners={SHOP[0]: None}, routes={SHOP: None, BOOKS: None}, policies={policy: None})
    assert after == TEXT[: TEXT.index("\n# the public side")]


def test_a_key_that_goes_back_to_its_default_says_so() -> None:
    """So its comment stays."""
    policy = (*BOOKS, "block_user_agent", "BadBot")
    (after,) = exported(
        TEXT,
        settings={"proxy.idle_timeout": 300.0},
        routes={BOOKS: Route(*BOOKS, (Endpoint("10.0.0.2", 443),))},
        policies={policy: None},
    )
    assert after == TEXT.replace('"l7"', '"l4"').replace('"b.crt"', '""').replace('"b.key"', '""').replace(
        '{ type = "block_user_agent", value = "BadBot" }', ""
    )


def test_every_edit_goes_to_the_file_that_speaks_of_its_subject() -> None:
    """A route to its listener's, a key to that of the key, else of the table; the rest to the main file."""
    main, one, two = exported(
        "[limits]\n",
        '[proxy]\nuser = "x"\n\n[[listeners]]\naddr = ":1"\n',
        '[log]\nlevel = "debug"\n\n[firewall]\nblocked_ips = [\n  "::1", # x\n]\n\n[[listeners]]\naddr = ":2"\n',
        settings={"proxy.workers": 3, "log.level": "error", "limits.header_count": 5, "database.path": "/etc/mc/x.db"},
        rules={("ip", "192.0.2.1"): Rule("ip", "192.0.2.1"), ("cidr", "10.0.0.0/8"): Rule("cidr", "10.0.0.0/8")},
        listeners={":3": Listener(":3")},
        routes={
            (addr, "a"): Route(
                addr, "a", (Endpoint("h", 1),), mode="l7", tls_cert="/etc/mc/conf.d/c", tls_key="/etc/mc/k"
            )
            for addr in (":1", ":3")
        },
    )
    assert main == (
        '[limits]\nheader_count = 5\n\n[database]\npath = "x.db"\n\n[[listeners]]\naddr = ":3"\n\n[[listeners.routes]]\n'
        'hostname = "a"\nbackend = "h:1"\nmode = "l7"\ntls_cert = "conf.d/c"\ntls_key = "k"\n'
    )
    assert one == (
        '[proxy]\nuser = "x"\nworkers = 3\n\n[[listeners]]\naddr = ":1"\n\n[[listeners.routes]]\n'
        'hostname = "a"\nbackend = "h:1"\nmode = "l7"\ntls_cert = "c"\ntls_key = "/etc/mc/k"\n'
    )
    assert two == (
        '[log]\nlevel = "error"\n\n[firewall]\nblocked_ips = [\n  "::1", # x\n  "192.0.2.1",\n]\n'
        'blocked_cidrs = ["10.0.0.0/8"]\n\n[[listeners]]\naddr = ":2"\n'
    )


def test_a_file_that_is_not_touched_is_the_text_that_was_given() -> None:
    """Only the others need to be written."""
    sources = [Source(MAIN, TEXT), Source("/etc/mc/conf.d/a.toml", '[[listeners]]\naddr = ":1"')]
    main, other = export(sources, edits(resolve(sources).state, listeners={":1": Listener(":1", max_connections=1)}))
    assert main.after is TEXT
    assert other.after == '[[listeners]]\naddr = ":1"\nmax_connections = 1'


def test_what_is_written_twice_is_removed_twice() -> None:
    """In whatever spelling, rules and policies alike."""
    (after,) = exported(
        """\
        [firewall]
        blocked_ips = ["0::1", "192.0.2.1", "::1"]

        [[listeners]]
        addr = ":1"
        trusted_proxies = ["10.0.0.0/8", "::1", "0::1/128"]
        proxy_protocol = true

        [[listeners.routes]]
        hostname = "a"
        backend = "h:1"
        mode = "l7"
        tls_cert = "c"
        tls_key = "k"

        [[listeners.routes.l7_policies]]
        type = "require_header"
        value = "X"

        [[listeners.routes.l7_policies]] # again
        type = "require_header"
        value = "X"
        """,
        rules={("ip", "::1"): None},
        listeners={":1": Listener(":1", proxy_protocol=True, trusted_proxies=("10.0.0.0/8", "192.0.2.0/24"))},
        policies={(":1", "a", "require_header", "X"): None},
    )
    assert after == dedent(
        """\
        [firewall]
        blocked_ips = ["192.0.2.1"]

        [[listeners]]
        addr = ":1"
        trusted_proxies = ["10.0.0.0/8", "192.0.2.0/24"]
        proxy_protocol = true

        [[listeners.routes]]
        hostname = "a"
        backend = "h:1"
        mode = "l7"
        tls_cert = "c"
        tls_key = "k"
        """
    )


def test_an_empty_file_can_gain_everything() -> None:
    """With the line ends of nobody."""
    (after,) = exported(
        "", settings={"proxy.workers": 1}, listeners={":1": Listener(":1")}, rules={("ip", "::1"): Rule("ip", "::1")}
    )
    assert after == '[proxy]\nworkers = 1\n\n[firewall]\nblocked_ips = ["::1"]\n\n[[listeners]]\naddr = ":1"\n'


@pytest.mark.parametrize(
    "text", [TEXT, TEXT.replace("\n", "\r\n"), "", '[[listeners]]\naddr = ":2"\n', 'include = ["x"]']
)
def test_a_byte_order_mark_stays_in_front(text: str) -> None:
    """As Windows' editors write it: the rest is edited as without it."""
    tables: dict[str, Any] = {
        "settings": {"proxy.workers": 1, "proxy.idle_timeout": 60.0},
        "listeners": {":1": Listener(":1")},
        "rules": {("ip", "::1"): Rule("ip", "::1")},
        "routes": {(":1", "a"): Route(":1", "a", (Endpoint("h", 1),))},
    }
    assert exported("\ufeff" + text, **tables) == ["\ufeff" + after for after in exported(text, **tables)]


def test_paths_start_from_the_folder_that_the_source_says() -> None:
    """As they do when it is read."""
    source = Source("/tmp/new.toml", '[[listeners]]\naddr = ":1"\n', "/etc/mc")
    route = Route(":1", "a", (Endpoint("h", 1),), mode="l7", tls_cert="/etc/mc/c", tls_key="/tmp/k")
    (file,) = export([source], edits(resolve([source]).state, routes={(":1", "a"): route}))
    assert 'tls_cert = "c"\ntls_key = "/tmp/k"\n' in file.after


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"routes": {SHOP: Route(*SHOP, (Endpoint("10.0.0.1", 443), Endpoint("10.0.0.1", 443)))}},
            r"backend\[1\]: 10\.0\.0\.1:443 is in the list already",
        ),
        ({"routes": {SHOP: Route(*SHOP, (), "api")}}, r'there is no upstream "api"'),
        ({"settings": {"proxy.unheard_of": 1}}, r"\+ setting proxy\.unheard_of  1$"),
        ({"settings": {"proxy.workers": None}}, r"- setting proxy\.workers  0$"),
        ({"settings": {"proxy.workers": -1}}, r"mc-proxy\.toml:6:11: error: proxy\.workers: must be at least 0$"),
        ({"routes": {BOOKS: Route(*BOOKS, (Endpoint("h", 1),))}}, r"l7_policies: an l4 route sees no requests"),
    ],
)
def test_what_the_files_cannot_say_is_an_error_that_names_it(tables: dict[str, Any], message: str) -> None:
    """Never a file that says something else."""
    sources = [Source(MAIN, TEXT)]
    with pytest.raises(ExportError, match=message):
        export(sources, edits(resolve(sources).state, **tables))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda text, _: text, "can't be made to say this:\n~ setting proxy.workers  0 -> 3"),
        (lambda text, _: text + "[", "not valid TOML"),
        (lambda text, _: text + "[proxy]\nworkers = 3\n", "[proxy] is already there"),
    ],
)
def test_what_was_written_wrong_is_found(monkeypatch: pytest.MonkeyPatch, wrong: Any, message: str) -> None:
    """Whatever the editor did: the result is read back."""
    monkeypatch.setattr(export_module, "edit", wrong)
    with pytest.raises(ExportError) as caught:
        exported(TEXT, settings={"proxy.workers": 3})
    assert message in str(caught.value)


@pytest.mark.parametrize("text", [TEXT.replace("[proxy]", "[proxy"), "[proxy]\nworkers = -1\n", "["])
def test_files_that_are_wrong_are_not_edited(text: str) -> None:
    """The user has to mend them first."""
    with pytest.raises(ConfigError):
        export([Source(MAIN, text)], State())


LISTENER = '[[listeners]]\naddr = ":443"\n'
SHARED = """\
# of the shop
[[routes]]
listener = ":443"
hostname = "shop.example"
backend = "10.0.0.1:443"

# of the books
[[routes]]
listener = ":0443"
hostname = "books.example"
backend = "10.0.0.2:443"    # old rack
"""


def test_an_edit_of_a_route_goes_into_the_file_that_has_it_and_a_new_one_under_its_listener() -> None:
    """A file per team: the listener's file, and that of the team; nothing else is touched."""
    shared = SHARED
    team = 'routes = [{ listener = ":443", hostname = "wiki.example", backend = "10.0.0.3:443" }]\n'
    new = Route(":443", "new.example", (Endpoint("10.0.0.9", 443),))
    books = Route(":443", "books.example", (Endpoint("10.0.0.8", 443),), on_remove="keep")
    after = exported(
        'include = ["conf.d/*.toml"]\n[[listeners]]\naddr = ":8443"\n',
        shared,
        LISTENER,
        team,
        routes={(":443", "new.example"): new, (":443", "books.example"): books, (":443", "shop.example"): None},
    )
    assert after[0] == 'include = ["conf.d/*.toml"]\n[[listeners]]\naddr = ":8443"\n'
    assert (
        after[1]
        == shared[shared.index("# of the books") :].replace("10.0.0.2:443", "10.0.0.8:443") + 'on_remove = "keep"\n'
    )
    assert after[2] == LISTENER + '\n[[listeners.routes]]\nhostname = "new.example"\nbackend = "10.0.0.9:443"\n'
    assert after[3] == team


def test_with_a_listener_its_routes_go_in_all_files() -> None:
    """Within it and elsewhere; without it they would be errors."""
    inline = 'routes = [{ listener = ":443", hostname = "a", backend = "b:1" }, { listener = ":1", hostname = "a", backend = "b:1" }]\n'
    main = '[[listeners]]\naddr = ":1"\n'
    routes = dict.fromkeys(((":443", "a"), (":443", "shop.example"), (":443", "books.example")))
    after = exported(main, LISTENER, SHARED, inline, listeners={":443": None}, routes=routes)
    assert after == [main, "", "", 'routes = [{ listener = ":1", hostname = "a", backend = "b:1" }]\n']


def test_tests_in_the_file_stay_as_they_are() -> None:
    """They are no resources; also where an edit does what one of them does not expect."""
    text = dedent(
        """\
        [[tests]]   # of the shop
        connect = "shop.test:1"
        expect = { backend = "10.0.0.1:1" }

        [[listeners]]
        addr = ":1"

        [[listeners.routes]]
        hostname = "shop.test"
        backend = "10.0.0.1:1"

        [[tests]]
        connect = "other.test:1"
        [tests.expect]
        reset = true
        """
    )
    moved = Route(":1", "shop.test", (Endpoint("10.0.0.2", 1),))
    (after,) = exported(text, routes={(":1", "shop.test"): moved})
    assert after == text.replace('\nbackend = "10.0.0.1:1"', '\nbackend = "10.0.0.2:1"')


def test_tables_of_tls_and_arrays_whose_items_have_a_place() -> None:
    """Certificates stay beside their keys, and curves in their order; a string becomes an array, and the other way."""
    (text,) = exported(
        """\
        [[listeners]]
        addr = ":1"
        tls = { client_ca = "ca.pem", curves = ["X25519", "P-256"] } # for all
        [[listeners.routes]]
        hostname = "a.test"
        mode = "l7"
        backend = "10.0.0.1:80"
        tls_cert = ["a.crt", "b.crt"]
        tls_key = ["a.key", "b.key"]
        [[listeners.routes]]
        hostname = "b.test"
        mode = "l7"
        backend = "10.0.0.1:80"
        tls_cert = "a.crt"
        tls_key = "a.key"
        """,
        listeners={
            ":1": Listener(
                ":1", tls=RouteTls(client_ca="/etc/mc/ca.pem", curves=("P-256", "X25519"), client_auth="optional")
            )
        },
        routes={
            (":1", "a.test"): l7_route(
                "a.test",
                ("/etc/mc/b.crt", "/etc/mc/c.crt"),
                ("/etc/mc/b.key", "/etc/mc/c.key"),
                RouteTls(client_names=("x.test",)),
            ),
            (":1", "b.test"): l7_route(
                "b.test", ("/etc/mc/a.crt", "/etc/mc/b.crt"), ("/etc/mc/a.key", "/etc/mc/b.key"), None
            ),
        },
    )
    assert 'curves = ["P-256", "X25519"]' in text
    assert 'client_auth = "optional"' in text
    assert "# for all" in text
    assert text.count('tls_cert = ["b.crt", "c.crt"]') == text.count('tls_key = ["b.key", "c.key"]') == 1
    assert text.count('tls_cert = ["a.crt", "b.crt"]') == text.count('tls_key = ["a.key", "b.key"]') == 1
    assert 'tls = { client_names = ["x.test"] }' in text


def l7_route(name: str, certificates: tuple[str, ...], keys: tuple[str, ...], tls: RouteTls | None) -> Route:
    endpoint = Endpoint("10.0.0.1", 80)
    return Route(":1", name, (endpoint,), mode="l7", tls_cert=certificates, tls_key=keys, tls=tls)


@pytest.mark.parametrize("names", ['["b.test", "c.test"]', '"c.test, b.test"', '[\n  "c.test", # x\n  "b.test",\n]'])
def test_names_of_a_certificate_are_written_anew(names: str) -> None:
    """In whatever form they were."""
    head = '[acme]\nemail = "a@b.test"\n[[listeners]]\naddr = ":1"\n[[listeners.routes]]\nhostname = "a"\nbackend = "h:1"\nmode = "l7"\n'
    text = f'{head}certificate = "acme"\nnames = NAMES\n'
    route = Route(
        ":1", "a", (Endpoint("h", 1),), mode="l7", certificate="acme", names=("b.test", "d.test"), connect_timeout=2.0
    )
    (after,) = exported(text.replace("NAMES", names), routes={(":1", "a"): route})
    assert after == text.replace("NAMES", '["b.test", "d.test"]') + 'connect_timeout = "2s"\n'
    none = msgspec.structs.replace(route, names=(), certificate="", tls_cert="/etc/mc/c", tls_key="/etc/mc/k")
    (after,) = exported(text.replace("NAMES", names), routes={(":1", "a"): none})
    assert "names = []\n" in after
    assert 'certificate = ""\n' in after
