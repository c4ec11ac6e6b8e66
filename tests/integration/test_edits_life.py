"""The life of a runtime edit: it serves at once, outlives everything that dies, and ends when the file speaks or time is up."""

import json
import time

import pytest

from mcproxy.client import ClientError, FailedPreconditionError, NotFoundError
from tests.conftest import StartProxy
from tests.support.admin import client, differences, same, served, wanted
from tests.support.lifecycle import apply, end
from tests.support.load import Load, until
from tests.support.proxy import Proxy
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"


def addr(edge: Proxy) -> str:
    return f"{HOST}:{edge.port()}"


def test_a_route_serves_at_once_survives_everything_and_goes_when_the_file_speaks(proxy: StartProxy) -> None:
    """Added over the API, killed with all processes, declared by the file: superseded then, and on record."""
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")
        text = config(listener("PORT", route("stays.test", one)))
        edge = proxy(text)
        where = (HOST, edge.port())
        with client(edge) as admin:
            answer = admin.add_route(addr(edge), "new.test", f"{HOST}:{one}", author="ann", reason="a try")
            assert load.once(where, "new.test").backend == "one"
            assert answer.plan == [f"+ route {addr(edge)} new.test -> {HOST}:{one}  (edit 1 by ann)"]
            assert {worker.generation for worker in admin.get_status().workers} == {answer.generation}
        edge.kill()
        edge.start()
        assert load.once(where, "new.test").backend == "one"
        with client(edge) as admin:
            drift = admin.get_drift()
            assert differences(drift) == [("added", f"route {addr(edge)} new.test")]
            assert (drift.differences[0].edit.author, drift.differences[0].edit.reason) == ("ann", "a try")

            apply(edge, text + route("new.test", two))
            edge.wait_for_log(r"superseded: the runtime edit of route \S+ new.test .*why='the file declares it now'")
            assert load.once(where, "new.test").backend == "two"
            assert differences(admin.get_drift()) == []
            records = admin.list_edit_records().records
            assert [(each.event, each.detail) for each in records] == [
                ("superseded", "the file declares it now"),
                ("added", "a try"),
            ]
            # The generation in which the route had its edit is still there, and so is the way back.
            assert [each.origin for each in admin.list_revisions().revisions] == ["file", "start", "api", "start"]
        assert end(edge) == 0


def test_a_removal_a_change_and_a_limit_are_edits_too(proxy: StartProxy) -> None:
    """What the file declares can be changed and removed; a change back to what it says ends the edit."""
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")
        edge = proxy(config(listener("PORT", route("a.test", one), route("b.test", one))))
        where = (HOST, edge.port())
        with client(edge) as admin:
            admin.update_route(addr(edge), "a.test", backend=f"{HOST}:{two}")
            assert load.once(where, "a.test").backend == "two"
            admin.remove_route(addr(edge), "b.test")
            assert "Reset" in load.once(where, "b.test").error
            admin.set_listener_max_connections(addr(edge), 7)
            assert {action for action, _ in differences(admin.get_drift())} == {"changed", "removed"}
            assert admin.list_listeners().listeners[0].max_connections == 7
            assert admin.update_route(addr(edge), "a.test", backend=f"{HOST}:{one}").edits == []
            admin.revert_edit(target=f"route {addr(edge)} b.test")
            assert load.once(where, "b.test").backend == "one"
            assert differences(admin.get_drift()) == [("changed", f"listener {addr(edge)}")]
            admin.revert_edit(all=True)
            assert differences(admin.get_drift()) == []
            assert all(same(wanted(edge), served(worker.pid)) for worker in edge.workers())


def test_an_edit_expires_by_itself_also_while_nobody_is_there(proxy: StartProxy) -> None:
    """While control runs, while its file is invalid, and while it is down."""
    with Load() as load:
        one = load.backend("one")
        text = config(listener("PORT", route("stays.test", one)))
        edge = proxy(text)
        where = (HOST, edge.port())
        with client(edge) as admin:
            admin.add_route(addr(edge), "short.test", f"{HOST}:{one}", expires=0.5)
            edge.wait_for_log(r"expired: the runtime edit of route \S+ short.test")
            until(lambda: bool(load.once(where, "short.test").error), "the route is gone")

            since = edge.mark()
            edge.save(text + "[prox]\n")
            edge.wait_for_log("nothing changed", since=since)
            admin.add_route(addr(edge), "during.test", f"{HOST}:{one}", expires=0.5)
            edge.wait_for_log(r"expired: the runtime edit of route \S+ during.test")
            until(lambda: bool(load.once(where, "during.test").error), "the route is gone")
            edge.save(text)

            made = admin.add_route(addr(edge), "down.test", f"{HOST}:{one}", expires=1)
            assert load.once(where, "down.test").backend == "one"
        edge.kill()
        until(lambda: time.time() > made.edits[0].expires.ToNanoseconds() / 1e9, "its time is over")
        edge.start()
        assert "Reset" in load.once(where, "down.test").error
        with client(edge) as admin:
            assert [each.event for each in admin.list_edit_records().records].count("expired") == 3
            assert differences(admin.get_drift()) == []


def test_rollback_to_any_generation_gives_exactly_that_state(proxy: StartProxy) -> None:
    """Edits, file saves and settings make generations; each of them comes back as it was, by edits the file can end."""
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")
        text = config(listener("PORT", route("a.test", one)), idle_timeout="50s")
        edge = proxy(text)
        with client(edge) as admin:
            admin.add_route(addr(edge), "b.test", f"{HOST}:{two}")
            admin.set_listener_max_connections(addr(edge), 9)
            admin.add_firewall_rule("cidr", "192.0.2.0/24")
            other = config(listener("PORT", route("a.test", two), route("c.test", one)), idle_timeout="70s")
            apply(edge, other + listener("PORT_B", route("x.test", one)))
            admin.remove_route(addr(edge), "c.test")
            last = admin.get_status().generation
            states = {number: admin.get_revision(number).state_json for number in range(1, last + 1)}
            assert len(set(states.values())) == last
            for number in (1, last, 3, 2, 5, 1, 4):
                answer = admin.rollback(number, author="ann")
                revision = admin.get_revision(answer.generation)
                assert revision.state_json == states[number]
                assert (revision.revision.origin, revision.revision.author) == ("rollback", "ann")
                assert all(same(wanted(edge), served(worker.pid)) for worker in edge.workers())
            assert load.once((HOST, edge.port()), "a.test").backend == "one"
            with pytest.raises(NotFoundError, match="generation 99 is not in the history"):
                admin.rollback(99)
            # The file still wins as soon as it says something new, and only about what it says anew.
            apply(edge, config(listener("PORT", route("a.test", two)), idle_timeout="71s"))
            settings = json.loads(admin.get_revision(admin.get_status().generation).state_json)["settings"]
            assert settings["proxy.idle_timeout"] == 71.0
            assert differences(admin.get_drift()) == [
                ("added", "rule cidr 192.0.2.0/24"),
                ("changed", f"listener {addr(edge)}"),
                ("changed", f"route {addr(edge)} a.test"),
                ("added", f"route {addr(edge)} b.test"),
            ]


def test_an_unconfirmed_rollback_undoes_itself_also_across_a_restart(proxy: StartProxy) -> None:
    """Undone by time, kept by a confirmation, undone at the next start when control was dead meanwhile."""
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")
        edge = proxy(config(listener("PORT", route("a.test", one))))
        where = (HOST, edge.port())
        with client(edge) as admin:
            admin.update_route(addr(edge), "a.test", backend=f"{HOST}:{two}")
            before = admin.get_drift().differences

            answer = admin.rollback(1, confirm_timeout=1)
            assert load.once(where, "a.test").backend == "one"
            assert admin.get_status().confirm_id == answer.confirm_id > 0
            with pytest.raises(FailedPreconditionError, match="waits for its confirmation"):
                admin.rollback(1, confirm_timeout=1)
            edge.wait_for_log("not confirmed in time, undone: Rollback generation 1")
            until(lambda: load.once(where, "a.test").backend == "two", "the rollback is undone")
            until(lambda: admin.get_drift().differences == before, "the edit is back")
            with pytest.raises(NotFoundError, match="no rollback waits"):
                admin.confirm()

            admin.rollback(1, confirm_timeout=600)
            admin.confirm(author="ann")
            assert admin.get_status().confirm_id == 0
            kept, *_, missed = (entry for entry in admin.list_audit().entries if entry.action == "Confirm")
            assert (kept.outcome, kept.author, kept.target) == ("accepted", "ann", "Rollback generation 1")
            assert (missed.outcome, missed.detail) == ("refused", "no rollback waits for a confirmation")
            assert load.once(where, "a.test").backend == "one"

            admin.rollback(2, confirm_timeout=1)
            deadline = admin.get_status().confirm_by.ToNanoseconds() / 1e9
        edge.kill()
        until(lambda: time.time() > deadline, "the time for a confirmation is over")
        edge.start()
        assert load.once(where, "a.test").backend == "one"
        with client(edge) as admin:
            assert [entry.outcome for entry in admin.list_audit().entries if entry.action == "Rollback"] == [
                "withdrawn",
                "accepted",
                "refused",
                "withdrawn",
            ]


def test_what_can_not_be_made_live_leaves_nothing_behind(proxy: StartProxy) -> None:
    """A certificate that is none: refused, on record, and nothing has changed; a retry with the same id is done anew."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("a.test", load.backend("one")))))
        (edge.folder / "bad.crt").write_text("no certificate", encoding="utf-8")
        with client(edge) as admin:
            with pytest.raises(ClientError, match=r"tls_cert: .*bad\.crt"):
                admin.add_route(
                    addr(edge),
                    "b.test",
                    "127.0.0.1:1",
                    mode="l7",
                    tls_cert="bad.crt",
                    tls_key="bad.crt",
                    request_id="r",
                )
            assert admin.get_status().generation == 1
            assert differences(admin.get_drift()) == []
            assert [entry.outcome for entry in admin.list_audit().entries] == ["refused"]
            first = admin.add_route(addr(edge), "b.test", "127.0.0.1:1", request_id="r")
            assert admin.add_route(addr(edge), "b.test", "127.0.0.1:1", request_id="r") == first
            assert len(admin.list_audit().entries) == 2
