"""Resources of any kind over the admin API of a real proxy: put, listed, exported, reverted, rolled back and removed."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from mcproxy.client import FailedPreconditionError, InvalidArgumentError, NotFoundError
from mcproxy.control.export import toml_values
from mcproxy.model.edits.put import PUT
from tests.support.admin import client, differences, same, served, wanted
from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.l4 import serve
from tests.support.proxy import ROOT, Proxy
from tests.support.resources import CASES, Case, case_config

Put: TypeAlias = Callable[[Proxy, str, Sequence[str], Mapping[str, Any]], None]
"""Puts a resource."""
Remove: TypeAlias = Callable[[Proxy, str, Sequence[str]], None]
"""Removes one."""


def put_by_client(edge: Proxy, kind: str, key: Sequence[str], fields: Mapping[str, Any]) -> None:
    with client(edge) as admin:
        admin.put_resource(kind, key, fields)


def remove_by_client(edge: Proxy, kind: str, key: Sequence[str]) -> None:
    with client(edge) as admin:
        admin.remove_resource(kind, key)


def by_ctl(edge: Proxy, *words: str) -> None:
    done = run_ctl("--addr", f"unix:{edge.folder / 'mc-proxy.sock'}", *words)
    assert (done.status, done.stderr) == (0, "")


def put_by_ctl(edge: Proxy, kind: str, key: Sequence[str], fields: Mapping[str, Any]) -> None:
    by_ctl(edge, "put", kind, *key, *(f"{name}={toml_values.write(value)}" for name, value in fields.items()))


def remove_by_ctl(edge: Proxy, kind: str, key: Sequence[str]) -> None:
    by_ctl(edge, "remove", kind, *key)


@pytest.fixture(scope="module")
def edge(certs: Certificates) -> Iterator[Proxy]:
    with serve(case_config(certs)) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def clean(edge: Proxy) -> Iterator[None]:
    """Leave no edit to other tests."""
    yield
    with client(edge) as admin:
        admin.revert_edit(all=True)


def test_the_cases_have_every_kind() -> None:
    """Each is added where that is possible, and changed where it has something to change."""
    assert {case.kind for case in CASES} == set(PUT)


@pytest.mark.parametrize(
    ("put", "remove"), [(put_by_client, remove_by_client), (put_by_ctl, remove_by_ctl)], ids=["client", "mcproxyctl"]
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{'new' if case.new else 'change'}")
def test_every_kind_has_its_life(edge: Proxy, case: Case, put: Put, remove: Remove) -> None:
    """What was put is in every worker, in lists, drift and export; revert, rollback and removal take it away."""
    key = case.key_at(edge)
    with client(edge) as admin:

        def there() -> dict[str, Any] | None:
            try:
                (found,) = admin.list_resources(case.kind, key).resources
            except NotFoundError:
                return None
            fields: dict[str, Any] = json.loads(found.fields_json)
            return fields

        def is_live() -> bool:
            return all(same(wanted(edge), served(worker.pid)) for worker in edge.workers())

        target = " ".join((case.kind, *key))
        before, generation = there(), admin.get_status().generation
        assert (before is None) == case.new
        put(edge, case.kind, key, case.fields)
        put_fields = there()
        own = {name: value for name, value in case.fields.items() if name != "endpoints"}
        assert put_fields == {**(before or put_fields or {}), **own}
        action = "added" if case.new else "changed"
        assert differences(admin.get_drift()) == [(action, each) for each in (target, *case.with_it)]
        assert is_live()
        (file,) = admin.export().files
        assert case.exported in file.text
        assert case.exported not in edge.config.read_text(encoding="utf-8")

        admin.revert_edit(target=target)
        assert there() == before
        put(edge, case.kind, key, case.fields)
        made = admin.get_status().generation
        admin.rollback(generation)
        assert there() == before
        admin.rollback(made)
        assert there() == put_fields
        admin.rollback(generation)
        assert there() == before
        assert differences(admin.get_drift()) == []
        if case.new:
            put(edge, case.kind, key, case.fields)
            remove(edge, case.kind, key)
            assert there() is None
            assert differences(admin.get_drift()) == []
        assert is_live()


def test_what_the_file_declares_is_removed_by_an_edit(edge: Proxy) -> None:
    """A route with what belongs to it; it comes back as it was."""
    where = (f"127.0.0.1:{edge.port()}", "plain.test")
    with client(edge) as admin:
        remove_by_ctl(edge, "route", where)
        assert differences(admin.get_drift()) == [("removed", " ".join(("route", *where)))]
        assert where[1] not in [row.hostname for row in admin.list_routes().routes]
        by_ctl(edge, "revert", "route", *where)
        assert differences(admin.get_drift()) == []


def test_a_key_that_is_not_known_is_told_with_the_nearest(edge: Proxy) -> None:
    """As a violation of that field; nothing is changed."""
    with client(edge) as admin, pytest.raises(InvalidArgumentError) as caught:
        admin.put_resource("route", (f"127.0.0.1:{edge.port()}", "plain.test"), {"backnd": "127.0.0.1:9"})
    assert caught.value.violations == (("backnd", 'unknown key; did you mean "backend"?'),)
    done = run_ctl("--addr", f"unix:{edge.folder / 'mc-proxy.sock'}", "put", "setting", "proxy.idle_timeot", "value=5s")
    assert done.status == 1
    assert "did you mean proxy.idle_timeout?" in done.stderr


def test_a_dry_run_does_nothing(edge: Proxy) -> None:
    """It tells the plan."""
    by_ctl(edge, "put", "setting", "log.level", "value=debug", "--dry-run")
    with client(edge) as admin:
        assert differences(admin.get_drift()) == []
        answer = admin.put_resource("setting", ["log.level"], {"value": "debug"}, dry_run=True)
        assert answer.dry_run
        assert "setting log.level" in answer.plan[0]


def test_the_lines_of_the_documentation_work(edge: Proxy) -> None:
    """As they stand in cli.md, with this proxy's names."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```text\n(mcproxyctl put .*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line)[1:] for line in block.splitlines()]
    assert len(lines) == 6
    for words in lines:
        names = {":443": f"127.0.0.1:{edge.port()}", "app.example.com": "app.test" if "case" in words else "plain.test"}
        by_ctl(edge, *(names.get(word, word) for word in words))
    with client(edge) as admin:
        found = sorted(action for action, _ in differences(admin.get_drift()))
        assert found == ["added", "changed", "changed", "changed", "removed"]


def test_an_edit_ends_or_waits_with_what_it_needs(edge: Proxy) -> None:
    """A filter in use can't be removed by a request; where the file removes it, who uses it waits until it is back."""
    here = f"127.0.0.1:{edge.port()}"
    before = edge.config.read_text(encoding="utf-8")
    with client(edge) as admin:
        with pytest.raises(FailedPreconditionError, match="uses filter office"):
            admin.remove_resource("filter", ["office"])
        admin.put_resource("case", [here, "app.test", "/admin/*"], {"use": ["office"]})
        try:
            without = re.sub(r"\[filters\.office\]\n.*\n", "", before).replace('use = ["office"]\n', "")
            edge.config.write_text(without, encoding="utf-8")
            admin.reload()
            (waiting,) = admin.get_drift().differences
            assert (waiting.action, waiting.suspended) == ("suspended", "there is no filter office")
            assert not [each for each in admin.list_resources("case").resources if each.key[2] == "/admin/*"]
        finally:
            edge.config.write_text(before, encoding="utf-8")
            admin.reload()
        assert differences(admin.get_drift()) == [("added", f"case {here} app.test /admin/*")]


def test_no_request_shows_a_file_that_the_configuration_does_not(edge: Proxy) -> None:
    """Whoever may call the API does not read what the proxy can read."""
    here = f"127.0.0.1:{edge.port()}"
    requests: list[tuple[str, list[str], dict[str, Any]]] = [
        ("case", [here, "app.test", "/x"], {"respond": {"file": "/etc/hostname"}}),
        ("filter", ["office"], {"error_pages": {"404": "/etc/hostname"}}),
        ("route", [here, "app.test"], {"filter": {"error_pages": {"5xx": "/etc/hostname"}}}),
        ("route", [here, "app.test"], {"respond": {"file": "/etc/hostname"}}),
    ]
    with client(edge) as admin:
        for kind, key, fields in requests:
            with pytest.raises(FailedPreconditionError, match="clients would get to see /etc/hostname"):
                admin.put_resource(kind, key, fields)
        assert differences(admin.get_drift()) == []


def test_one_line_of_the_plan_tells_a_filter_that_many_use(edge: Proxy) -> None:
    """However many places it is in."""
    with client(edge) as admin:
        answer = admin.put_resource("filter", ["office"], {"rate_limit": "7/1s", "max_body": "1MiB"}, dry_run=True)
    assert [line.partition("  (")[0] for line in answer.plan] == [
        '~ filter office  rate_limit: "" -> 7/1s, max_body: "" -> 1MiB'
    ]
