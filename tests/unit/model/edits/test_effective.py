"""File and edits as one: the state in effect, and where each part of it comes from."""

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.effective import effective
from mcproxy.model.edits.overlay import merge
from mcproxy.model.edits.requests import EditMetadata, View, add_route, remove, set_max_connections, update_route
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.values.origins import Origin
from tests.support.toml import config, listener, route

FILE = "/etc/mc/mc-proxy.toml"
METADATA = EditMetadata(created=1.0, author="ann")


def resolved() -> Resolution:
    text = config(listener(":1", route("a.test", 1), route("b.test", 2), route("c.test", 3)), workers=2)
    return resolve([Source(FILE, text)])


def numbered(*edits: Edit) -> tuple[Edit, ...]:
    return tuple(
        Edit(**{name: getattr(edit, name) for name in edit.__struct_fields__} | {"id": number})
        for number, edit in enumerate(edits, 1)
    )


def edited(resolution: Resolution) -> tuple[Edit, ...]:
    """Return edits that change a listener, change and remove a route, and add one."""
    state = resolution.state
    view = View(state, state, (), "/etc/mc")
    drafts = (
        set_max_connections(view, METADATA, ":1", 5),
        update_route(view, METADATA, ":1", "a.test", {"backend": "h:9"}),
        remove(view, EditMetadata(created=1.0), "route", {"listener": ":1", "hostname": "b.test"}),
        add_route(view, METADATA, ":1", {"hostname": "new.test", "backend": "h:9"}),
    )
    return numbered(*(edit for draft in drafts for edit in draft.add))


def test_without_edits_it_is_the_files_meaning_itself() -> None:
    """Nothing is copied."""
    resolution = resolved()
    assert effective(resolution, merge(resolution.state, (), 0.0)) is resolution


def test_what_an_edit_made_comes_from_the_edit() -> None:
    """The rest from its line; a removed resource's origin is who removed it."""
    resolution = resolved()
    merged = merge(resolution.state, edited(resolution), 0.0)
    both = effective(resolution, merged)
    assert both.state == merged.state
    by_ann = {
        name: Origin(f"edit {number} by ann", 0, 0) for number, name in ((1, ":1"), (2, "a.test"), (4, "new.test"))
    }
    assert both.origins["listener", ":1"] == by_ann[":1"]
    assert both.origins["route", ":1", "a.test"] == by_ann["a.test"]
    assert both.origins["route", ":1", "b.test"] == Origin("edit 3", 0, 0)
    assert both.origins["route", ":1", "new.test"] == by_ann["new.test"]
    assert both.origins["route", ":1", "c.test"] == resolution.origins["route", ":1", "c.test"]
    assert both.origin(("route", ":1", "a.test"), "backend") == by_ann["a.test"]
    assert both.origin(("route", ":1", "c.test"), "backend") == resolution.origin(("route", ":1", "c.test"), "backend")


def test_a_suspended_edit_is_nobodys_origin() -> None:
    """The file's line stays that of its resource."""
    resolution = resolved()
    merged = merge(resolution.state, edited(resolution), 0.0, {2: "its certificate is gone"})
    assert [verdict.edit.id for verdict in merged.suspended] == [2]
    assert effective(resolution, merged).origins["route", ":1", "a.test"].file == FILE


def test_keys_of_edits_are_those_of_origins() -> None:
    """The kind in front, whether the key is one text or several."""
    setting = Edit(kind="setting", key="proxy.workers", value=1, created=0.0)
    assert origin_key(setting.kind, setting.key) == ("setting", "proxy.workers")
    assert [origin_key(edit.kind, edit.key)[:2] for edit in edited(resolved())][:2] == [
        ("listener", ":1"),
        ("route", ":1"),
    ]
