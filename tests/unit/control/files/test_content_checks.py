"""Files that edits name: judged by the routes that a request touches, and looked at again when control starts."""

from pathlib import Path

from mcproxy.control.files.content_checks import FileProblem, broken_edits, file_problems
from mcproxy.control.files.contents import Contents
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.overlay import Merged, merge
from mcproxy.model.state.filter_options import FilterOptions, Page
from mcproxy.model.state.named_files import files_of, group_of, named_files, owners
from mcproxy.model.state.state import (
    Case,
    Filter,
    Listener,
    Policy,
    Route,
    State,
    Upstream,
    UpstreamEndpoint,
)
from mcproxy.model.state.upstream_options import BackendTls
from mcproxy.model.values.endpoint import Endpoint
from tests.support.certificates import Certificates
from tests.support.countries import write_countries

FILE = State(
    {":1": Listener(":1")},
    {(":1", "l4.test"): Route(":1", "l4.test", (Endpoint("h", 1),))},
    settings={"firewall.geoip_db": ""},
)


def l7(hostname: str, cert: Path | str, key: Path | str, **fields: object) -> Route:
    return Route(":1", hostname, (Endpoint("h", 1),), mode="l7", tls_cert=str(cert), tls_key=str(key), **fields)  # type: ignore[arg-type]  # some of its own


def merged(*edits: Edit) -> Merged:
    return merge(
        FILE, [Edit(**{n: getattr(e, n) for n in e.__struct_fields__} | {"id": i}) for i, e in enumerate(edits, 1)], 0.0
    )


def edit(route: Route) -> Edit:
    return make_edit(FILE, FILE, "route", (route.listener, route.hostname), route, created=0.0)


def test_only_the_routes_in_question_are_looked_at(certs: Certificates) -> None:
    """Another route's missing certificate is none of this request's business."""
    leaf = certs.server("a.test")
    good, bad = l7("a.test", leaf.certificate, leaf.key), l7("b.test", "/none.crt", "/none.key")
    state = merged(edit(good), edit(bad)).state
    assert file_problems(state, [("route", ":1", "a.test")], Contents()) == []
    assert file_problems(state, [("route", ":1", "l4.test")], Contents()) == []
    assert file_problems(state, [], Contents()) == []
    problems = file_problems(state, [("route", ":1", "a.test"), ("route", ":1", "b.test")], Contents())
    assert [(p.owner, p.name, p.severity) for p in problems] == [
        (("route", ":1", "b.test"), "tls_cert", "error"),
        (("route", ":1", "b.test"), "tls_key", "error"),
    ]
    assert problems[0] == FileProblem(
        ("route", ":1", "b.test"), "tls_cert", "/none.crt can't be read: No such file or directory", "error"
    )


def test_doubts_are_no_errors(certs: Certificates) -> None:
    """A certificate for another name is accepted, with a warning."""
    leaf = certs.server("a.test")
    state = merged(edit(l7("c.test", leaf.certificate, leaf.key))).state
    (problem,) = file_problems(state, [("route", ":1", "c.test")], Contents())
    assert (problem.severity, "does not cover c.test" in problem.message) == ("warning", True)


def test_a_broken_edit_is_known_by_its_id(certs: Certificates, tmp_path: Path) -> None:
    """With the reason; the others, doubtful or not, are in effect."""
    leaf, other = certs.server("a.test"), certs.server("b.test")
    edits = (
        edit(l7("a.test", leaf.certificate, leaf.key)),
        edit(l7("b.test", leaf.certificate, other.key)),
        edit(l7("c.test", leaf.certificate, leaf.key)),
        edit(l7("d.test", leaf.certificate, leaf.key, backend_tls=True, backend_ca="/none.pem")),
        make_edit(FILE, FILE, "setting", "firewall.geoip_db", str(tmp_path / "none.mmdb"), created=0.0),
        make_edit(FILE, FILE, "route", (":1", "l4.test"), None, created=0.0),
    )
    broken = broken_edits(merged(*edits), Contents())
    assert broken.keys() == {2, 4, 5}
    assert "do not belong together" in broken[2]
    assert "/none.pem can't be read" in broken[4]
    assert "none.mmdb: No such file" in broken[5]


def test_a_country_database_is_opened(tmp_path: Path) -> None:
    """What is no such database is as bad as none."""
    path = tmp_path / "countries.mmdb"
    setting = make_edit(FILE, FILE, "setting", "firewall.geoip_db", str(path), created=0.0)
    path.write_bytes(b"no database")
    assert broken_edits(merged(setting), Contents()).keys() == {1}
    write_countries(path, {"192.0.2.0/24": "SE"})
    assert broken_edits(merged(setting), Contents()) == {}


def test_a_tombstone_names_no_file() -> None:
    """Nor does an edit that is suspended anyway."""
    state = State({":1": Listener(":1")}, {(":1", "x"): l7("x", "/c", "/k")}, settings=FILE.settings)
    tombstone = make_edit(state, state, "route", (":1", "x"), None, created=0.0)
    assert broken_edits(merge(state, [tombstone], 0.0), Contents()) == {}
    policy = Policy(":1", "gone", "require_header", "X")
    orphan = Edit(kind="policy", key=(":1", "gone", "require_header", "X"), value=policy, created=0.0)
    found = merged(orphan)
    assert len(found.suspended) == 1
    assert broken_edits(found, Contents()) == {}


def test_the_ca_of_an_upstream_counts_as_those_of_routes(certs: Certificates) -> None:
    """An edit that names a broken one can't be in effect; one of another upstream is none of its business."""
    good, bad = (
        Upstream(name=name, tls=BackendTls(ca=ca)) for name, ca in (("good", str(certs.ca)), ("bad", "/none.pem"))
    )
    live = State(FILE.listeners, FILE.routes, settings=FILE.settings, upstreams={"good": good, "bad": bad})
    endpoints = [
        UpstreamEndpoint(upstream=name, address="h:1") for name in live.upstreams
    ]  # without one there is no upstream
    both = merged(
        *(make_edit(FILE, FILE, "upstream", each.name, each, created=0.0) for each in (good, bad)),
        *(make_edit(FILE, live, "endpoint", (it.upstream, it.address), it, created=0.0) for it in endpoints),
    )
    assert file_problems(both.state, [("upstream", "good")], Contents()) == []
    assert broken_edits(both, Contents()) == {2: "/none.pem can't be read: No such file or directory"}


HASH = "$2b$04$abcdefghijklmnopqrstuuF9Tq8N1N0vTSpQmWmF1VJ5CqYX7XQ9u"


def problems_of(state: State) -> list[tuple[str, str, str]]:
    return [
        (problem.owner[0], problem.name, problem.message) for problem in file_problems(state, owners(state), Contents())
    ]


def test_passwords_and_pages_are_read_where_they_are_named(tmp_path: Path) -> None:
    """By named filters, those of a route or case, and answers; each is told at the key that names it."""
    (tmp_path / "users").write_text(f"ann:{HASH}\n")
    (tmp_path / "weak").write_text("# old\nann:$apr1$x$y\n")
    (tmp_path / "page").write_text("sorry")
    (tmp_path / "large").write_bytes(b" " * ((1 << 20) + 1))
    paths = {name: str(tmp_path / name) for name in ("users", "weak", "page", "large", "none")}
    inline = FilterOptions(basic_auth=paths["weak"], error_pages=(("5xx", paths["page"]), ("404", paths["none"])))
    state = State(
        {":1": Listener(":1")},
        {(":1", "a"): Route(":1", "a", mode="l7", respond=Page(file=paths["large"]), filter=inline)},
        filters={"ops": Filter(name="ops", basic_auth=paths["users"], error_pages=(("404", paths["large"]),))},
        cases={(":1", "a", "/x"): Case(":1", "a", "/x", respond=Page(file=paths["none"]))},
        settings={"firewall.geoip_db": ""},
    )
    large, none = (
        f"{paths['large']} has 1048577 bytes; a page has at most 1048576",
        f"{paths['none']} can't be read: No such file or directory",
    )
    assert problems_of(state) == [
        ("filter", "error_pages.404", large),
        ("route", "respond.file", large),
        ("route", "filter.error_pages.404", none),
        (
            "route",
            "filter.basic_auth",
            f"{paths['weak']}:2: the hash is one of MD5: make one by htpasswd -B",
        ),
        ("case", "respond.file", none),
    ]
    assert set(named_files(state)) == set(paths.values())
    assert {
        group_of(state, owner, name) for key, owner in owners(state).items() for name, _ in files_of(state, owner)
    } == {(path,) for path in paths.values()}


def test_the_same_file_is_a_page_for_one_and_passwords_for_another(tmp_path: Path) -> None:
    """What is good as the one may be wrong as the other."""
    (tmp_path / "page").write_text("no passwords")
    path = str(tmp_path / "page")
    state = State(
        filters={"a": Filter(name="a", error_pages=(("5xx", path),)), "b": Filter(name="b", basic_auth=path)},
        settings={"firewall.geoip_db": ""},
    )
    assert problems_of(state) == [("filter", "basic_auth", f"{path}:1: a line is user:hash")]
