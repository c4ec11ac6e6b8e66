"""Runtime edits on nodes whose files lie in folders of their own."""

import msgspec

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.fleet.portable import Portability
from mcproxy.model.state.kinds import KindName, ResourceKey, table_of
from mcproxy.model.state.state import State
from tests.support.rows import each_row

DOCUMENT = """\
[upstreams.u]
endpoints = ["10.0.0.1:80"]
tls = { ca = "ca.pem" }

[filters.f]
basic_auth = "users"

[[listeners]]
addr = ":443"
tls = { client_ca = "clients.pem", client_auth = "require" }

[[listeners.routes]]
hostname = "a.example"
mode = "l7"
tls_cert = ["a.pem", "/etc/b.pem"]
tls_key = ["a.key", "/etc/b.key"]
backend = "u"
"""
ROUTE = (":443", "a.example")


def state(folder: str, text: str = DOCUMENT) -> State:
    return resolve([Source("doc", text, folder)]).state


def edit_of(file: State, kind: KindName, key: ResourceKey, value: object, live: State | None = None) -> Edit:
    return make_edit(file, file if live is None else live, kind, key, value, created=1.0)  # type: ignore[arg-type]


A, B = state("/etc/a"), state("/srv/b/c")
HERE, THERE = Portability("/etc/a", A), Portability("/srv/b/c", B)


@each_row(
    ("kind", "key", "change"),
    [
        ("route", ROUTE, {"on_remove": "close"}),
        ("upstream", "u", {"balance": "least_conn"}),
        ("filter", "f", {"max_body": 1 << 20}),
        ("listener", ":443", {"max_connections": 7}),
    ],
)
def test_an_edit_stands_on_every_node(kind: KindName, key: ResourceKey, change: dict[str, object]) -> None:
    """With the node's own paths in it, over what the document says there."""
    edit = edit_of(A, kind, key, msgspec.structs.replace(table_of(A, kind)[key], **change))
    there = THERE.local(HERE.portable(edit))
    merged = merge(B, [there], 2.0)
    assert merged.standing == (there,)
    assert table_of(merged.state, kind)[key] == msgspec.structs.replace(table_of(B, kind)[key], **change)
    assert HERE.local(HERE.portable(edit)) == edit


def test_only_paths_below_the_folder_are_the_nodes() -> None:
    """Others are the same everywhere."""
    edit = edit_of(A, "route", ROUTE, msgspec.structs.replace(A.routes[ROUTE], on_remove="close"))
    value = HERE.portable(edit).value
    assert getattr(value, "tls_cert", None) == ("a.pem", "/etc/b.pem")


def test_what_the_document_says_anew_is_new_on_every_node() -> None:
    """A base that fits nothing here fits nothing there."""
    edit = HERE.portable(edit_of(A, "route", ROUTE, msgspec.structs.replace(A.routes[ROUTE], on_remove="close")))
    changed = DOCUMENT.replace('"a.pem"', '"other.pem"')
    for folder in ("/etc/a", "/srv/b/c"):
        file = state(folder, changed)
        merged = merge(file, [Portability(folder, file).local(edit)], 2.0)
        assert [verdict.why for verdict in merged.superseded] == ["the file changed it"]


def test_a_parent_that_an_edit_has_made() -> None:
    """The child's parent is the same on the other node, though it has a path of that node."""
    listener = msgspec.structs.replace(A.listeners[":443"], addr=":444")
    parent = msgspec.structs.replace(edit_of(A, "listener", ":444", listener), id=1)
    live = merge(A, [parent], 2.0).state
    route = msgspec.structs.replace(A.routes[ROUTE], listener=":444")
    child = msgspec.structs.replace(edit_of(A, "route", (":444", "a.example"), route, live), id=2)
    here = Portability("/etc/a", A, [parent, child])
    carried = [here.portable(edit) for edit in (parent, child)]
    first = [THERE.local(edit) for edit in carried]
    there = Portability("/srv/b/c", B, first)
    merged = merge(B, [there.local(edit) for edit in carried], 2.0)
    assert [edit.id for edit in merged.standing] == [1, 2]
    assert not merged.suspended


def test_a_tombstone_has_no_paths() -> None:
    """And stands everywhere all the same."""
    edit = edit_of(A, "route", ROUTE, None)
    assert not merge(B, [THERE.local(HERE.portable(edit))], 2.0).state.routes
