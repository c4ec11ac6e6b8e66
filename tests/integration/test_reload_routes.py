"""What a reload does to routes, listeners, settings and the connections on them."""

import re
import socket
import time

import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import applied, apply, end, operations, wait_workers
from tests.support.load import Load, until
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"


def test_a_changed_backend_keeps_open_connections_and_takes_new_ones(reloaded: StartProxy) -> None:
    """Open connections go on with the old backend, new ones reach the new one; the plan tells how many are touched."""
    with Load() as load:
        old, new = load.backend("old"), load.backend("new")
        edge = reloaded(config(listener("PORT", route("app.test", old))))
        address = HOST, edge.port()
        held = load.hold(address, "app.test", count=3)
        plan = operations(apply(edge, config(listener("PORT", route("app.test", new)))))
        assert len(plan) == 1
        assert plan[0].endswith("3 live connections)")
        assert {load.once(address, "app.test").backend for _ in range(12)} == {"new"}
        held.wait_messages(30)
        results = held.stop()
        assert [(result.backend, result.error) for result in results] == [("old", "")] * 3


@pytest.mark.parametrize("gone", ["route", "listener"])
def test_on_remove_decides_what_happens_to_the_connections_of_a_route(reloaded: StartProxy, gone: str) -> None:
    """keep: they go on. drain: they go on until shutdown_timeout. close: they end now. The same if the listener goes."""
    with Load() as load:
        backend = load.backend("one")
        other = listener("PORT_OTHER", route("other.test", backend))
        routes = [route(f"{way}.test", backend, on_remove=way) for way in ("keep", "drain", "close")]
        edge = reloaded(config(listener("PORT", *routes, route("stays.test", backend)), other, shutdown_timeout="1s"))
        address = HOST, edge.port()
        keep, drain, close = (load.hold(address, f"{way}.test", count=2) for way in ("keep", "drain", "close"))
        left = config(listener("PORT", route("stays.test", backend)), other, shutdown_timeout="1s")
        saved = time.monotonic()
        edge.save(left if gone == "route" else config(other, shutdown_timeout="1s"))
        until(lambda: len(close.finished()) == 2, "closed connections have ended")
        open_at_close = [result for traffic in (keep, drain) for result in traffic.results if not result.ended]
        until(lambda: len(drain.finished()) == 2, "drained connections have ended")
        assert len(close.errors()) == len(drain.errors()) == 2
        assert all(result.ended - saved >= 1.0 for result in drain.results)
        # those that were to be closed were not held until the drain's limit, or else both would have ended together
        assert max(result.ended for result in close.results) < min(result.ended for result in drain.results)
        assert len(open_at_close) == 4
        keep.wait_messages(20)
        assert [result.error for result in keep.stop()] == ["", ""]
        refused = load.once(address, "keep.test").error
        assert refused.startswith("ConnectionRefused" if gone == "listener" else "ConnectionReset"), refused


def test_an_address_in_use_is_reported_and_changes_nothing(reloaded: StartProxy) -> None:
    """A listener that can't be bound: the error says so, nothing of that save is live, the next good save applies."""
    with Load() as load, socket.create_server((HOST, 0)) as taken:
        backend = load.backend("one")
        first = listener("PORT", route("app.test", backend))
        edge = reloaded(config(first))
        held = load.hold((HOST, edge.port()), "app.test", count=2)
        busy = taken.getsockname()[1]
        bad = config(
            listener("PORT", route("app.test", backend), route("more.test", backend)),
            listener("PORT_B", route("b.test", backend)),
            listener(f"{HOST}:{busy}", route("c.test", backend)),
        )
        since = edge.mark()
        edge.save(bad)
        edge.wait_for_log(r"can't be applied, nothing changed", since=since)
        assert f"listener {HOST}:{busy}: another process listens there" in edge.stderr[since:]
        assert "] applied" not in edge.stderr[since:]
        assert load.once((HOST, edge.port()), "more.test").error.startswith("ConnectionReset")
        assert load.once((HOST, edge.port("B")), "b.test").error.startswith("ConnectionRefused")
        assert load.once((HOST, edge.port()), "app.test").backend == "one"
        log = apply(edge, bad.replace(f"{HOST}:{busy}", f"{HOST}:PORT_C"))
        assert len([line for line in operations(log) if line.startswith("+ ")]) == 5
        for port, name in (("", "more.test"), ("B", "b.test"), ("C", "c.test")):
            assert load.once((HOST, edge.port(port)), name).backend == "one"
        assert not [result.error for result in held.stop() if result.error]


def test_listeners_that_swap_their_routes_keep_their_sockets(reloaded: StartProxy) -> None:
    """A listener that stays is not bound again, whatever happens to its routes: no connection is refused meanwhile."""
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")

        def text(a: int, b: int) -> str:
            return config(listener("PORT_A", route("app.test", a)), listener("PORT_B", route("app.test", b)))

        edge = reloaded(text(one, two))
        arriving = load.arrive((HOST, edge.port("A")), "app.test")
        for _ in range(5):
            apply(edge, text(two, one))
            apply(edge, text(one, two))
        results = arriving.stop()
        assert not [result for result in results if result.error]
        assert {result.backend for result in results} == {"one", "two"}


def test_the_number_of_workers_follows_the_file(proxy: StartProxy) -> None:
    """More workers start, fewer drain: connections on a worker that goes end in their own time."""
    with Load() as load:
        text = listener("PORT", route("app.test", load.backend("one")))
        edge = proxy(config(text, workers=1, shutdown_timeout="90s"))
        held = []
        for workers in (3, 2, 4, 1):
            apply(edge, config(text, workers=workers, shutdown_timeout="90s"))
            held.append(load.hold((HOST, edge.port()), "app.test", count=6))
            arrived = [load.once((HOST, edge.port()), "app.test") for _ in range(12)]
            assert not [result.error for result in arrived if result.error]
        assert len(edge.workers()) > 1  # those of the four that still have connections
        assert not [result.error for traffic in held for result in traffic.stop() if result.error]
        wait_workers(edge, 1)
        assert end(edge) == 0


def test_log_settings_apply_at_once(proxy: StartProxy) -> None:
    """log.level and log.format are those of the file that was applied last."""
    with Load() as load:
        text = listener("PORT", route("app.test", load.backend("one")))
        edge = proxy(config(text, workers=1))
        since = edge.mark()
        edge.save(config(text, workers=1, head='[log]\nformat = "json"'))
        edge.wait_for_log(r'"event": "~ setting log\.format +console -> json', since=since)
        until(lambda: edge.notifications().count("READY=1") == 2, "the reload is over")  # the first was the start
        edge.save(config(text, workers=1, head='[log]\nformat = "json"\nlevel = "error"'))
        until(lambda: edge.notifications().count("READY=1") == 3, "the reload is over")
        since = edge.mark()
        edge.save("nonsense")
        edge.wait_for_log(r'"level": "error"', since=since)
        assert '"level": "info"' not in edge.stderr[since:]
        since = edge.mark()
        edge.save(config(text, workers=1))
        assert "~ setting log.level  error -> info" in applied(edge, since)


def test_a_changed_database_path_warns(reloaded: StartProxy) -> None:
    """What is taken from the file at the start alone is applied with a warning that says so."""
    with Load() as load:
        text = listener("PORT", route("app.test", load.backend("one")))
        edge = reloaded(config(text, workers=1))
        since = edge.mark()
        edge.save(config(text, workers=1, head='[database]\npath = "other.db"'))
        edge.wait_for_log(
            r"warning *\] database\.path takes effect when mcproxy is stopped and started again", since=since
        )
        assert not list(edge.folder.glob("other.db*"))


def test_warnings_do_not_keep_a_file_from_being_applied(reloaded: StartProxy) -> None:
    """A valid file with a doubtful line is applied, and the doubt is logged with its place."""
    with Load() as load:
        backend = load.backend("one")
        edge = reloaded(config(listener("PORT", route("app.test", backend)), workers=1))
        text = config(listener("PORT", route("app.test", backend, tls_cert="nowhere.crt")), workers=1)
        log = apply(edge, text)
        line = next(n for n, content in enumerate(text.splitlines(), 1) if content.startswith("tls_cert"))
        assert re.search(
            rf"warning *\] {edge.config.name}:{line}:1: warning: listeners\[0\]\.routes\[0\]\.tls_cert", log
        )
        assert load.once((HOST, edge.port()), "app.test").backend == "one"
