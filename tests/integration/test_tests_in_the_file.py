"""A file whose test fails is not made live; at the start it is served and told, or nothing is."""

import signal
import sys

from tests.conftest import StartProxy
from tests.support.ctl import run_ctl
from tests.support.endpoint import get
from tests.support.lifecycle import applied, apply, end
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy

CASE = '{ match = "/admin/*", respond = "no", status = 403 }'
GUARDED = '[[tests]]\nname = "admin is closed"\nrequest = "GET http://a.test:PORT/admin/x"\nexpect = { status = 403 }\n'


def text(respond: str, *, cases: str = CASE, tests: str = GUARDED) -> str:
    return f"""
[proxy]
workers = 1
[metrics]
addr = "127.0.0.1:PORT_M"
[[listeners]]
addr = "127.0.0.1:PORT"
protocol = "http"
[[listeners.routes]]
hostname = "*"
respond = "{respond}"
cases = [{cases}]
{tests}"""


def ctl(edge: Proxy, *args: str) -> tuple[int, str]:
    done = run_ctl(*args, "--addr", f"unix:{edge.folder / 'mc-proxy.sock'}")
    return done.status, done.stdout + done.stderr


def served(edge: Proxy, path: str = "/") -> str:
    return get(edge.port(), path).text


def page(edge: Proxy) -> str:
    return get(edge.port("M"), "/").text


def test_a_failing_test_refuses_a_reload(proxy: StartProxy) -> None:
    """Before anything is live; log, status and page name the line. Runtime edits are not tested, and not superseded by such a file."""
    edge = proxy(text("one"))
    assert served(edge) == "one"
    since = edge.mark()
    edge.save(text("two", cases=""))
    told = r"mc-proxy\.toml:\d+:\d+: error: expected status 403, got status 200 by route \* \(mc-proxy\.toml:9\), in the test"
    edge.wait_for_log(told, since=since)
    edge.wait_for_log("invalid configuration, nothing changed", since=since)
    assert (served(edge), served(edge, "/admin/x")) == ("one", "no")
    assert "expected status 403" in ctl(edge, "status")[1]
    assert "expected status 403" in page(edge)
    for command in ("reload", "plan", "restart"):
        status, said = ctl(edge, command)
        assert status != 0, command
        assert "expected status 403" in said, command
    assert (served(edge), served(edge, "/admin/x")) == ("one", "no")

    apply(edge, text("two"))
    assert served(edge) == "two"
    where = f"127.0.0.1:{edge.port()}"
    assert ctl(edge, "remove", "case", where, "*", "/admin/*")[0] == 0
    assert served(edge, "/admin/x") == "two"
    since = edge.mark()
    edge.save(text("three", cases=CASE.replace("no", "never"), tests=GUARDED.replace("403", "404")))
    edge.wait_for_log("expected status 404, got status 403", since=since)
    assert served(edge, "/admin/x") == "two"
    assert ctl(edge, "rollback", "1")[0] == 0
    assert served(edge) == "one"
    assert end(edge) == 0


def test_a_file_in_which_only_tests_change_is_no_generation(proxy: StartProxy) -> None:
    """The new ones hold from then on; what only an included file asks holds too."""
    edge = proxy(text("one"))
    generation = ctl(edge, "status", "--json")[1].partition('"generation"')[2].partition(",")[0]
    since = edge.mark()
    more = '[[tests]]\nrequest = "GET http://a.test:PORT/"\nexpect = { respond = "one" }\n'
    edge.save(text("one", tests=GUARDED + more))
    edge.wait_for_log("the file was read again: no changes", since=since)
    assert ctl(edge, "status", "--json")[1].partition('"generation"')[2].partition(",")[0] == generation
    since = edge.mark()
    edge.save(text("two", tests=GUARDED + more))
    edge.wait_for_log("expected the text 'one', got the text 'two' by route", since=since)
    assert served(edge) == "one"

    (edge.folder / "team.toml").write_text(edge.fill_in(more), encoding="utf-8")
    since = edge.mark()
    edge.save(f'include = ["team.toml"]\n{text("one")}')
    edge.wait_for_log("the file was read again: no changes", since=since)
    since = edge.mark()
    edge.save(f'include = ["team.toml"]\n{text("two")}')
    edge.wait_for_log(r"team\.toml:3:\d+: error: expected the text 'one'", since=since)
    assert served(edge) == "one"
    assert end(edge) == 0


def test_a_start_with_a_failing_test_serves_and_tells(proxy: StartProxy, processes: Processes) -> None:
    """A proxy that does not come up serves nobody. Touching the file changes nothing, another that fails is refused, and a restart works."""
    edge = proxy(text("one", cases=""))
    edge.wait_for_log(r"error: expected status 403, got status 200 by route")
    edge.wait_for_log("the configuration is served though tests in it fail")
    assert served(edge) == "one"
    assert "1 test of what is served FAIL" in ctl(edge, "status")[1]
    assert "Tests of the configuration that is served fail" in page(edge)
    since = edge.mark()
    edge.signal(signal.SIGHUP)
    edge.wait_for_log("the file was read again: no changes", since=since)
    assert "served though" not in edge.stderr[since:]
    since = edge.mark()
    edge.save(text("two", cases=""))
    edge.wait_for_log("invalid configuration, nothing changed", since=since)
    assert served(edge) == "one"
    assert "1 test of what is served FAIL" in ctl(edge, "status")[1]
    assert apply(edge, text("two"))
    until(lambda: "of what is served" not in ctl(edge, "status")[1], "nothing fails any more")
    until(lambda: "Tests of the configuration" not in page(edge), "nor on the page")
    assert end(edge) == 0

    edge.save(text("three", cases=""))
    strict = processes.start(
        *(sys.executable, "-m", "mcproxy", "serve", "--strict-tests", "--config", edge.config),
        env={"PYTHONPATH": str(ROOT)},
    )
    assert strict.wait(60) == 1
    assert "error: expected status 403" in strict.stderr
    assert "nothing is served" in strict.stderr
    edge.start("--strict-tests", "--last-good")
    edge.wait_for_log("invalid configuration, serving the last good state")
    assert (served(edge), served(edge, "/admin/x")) == ("two", "no")
    since = edge.mark()
    edge.save(text("four"))
    applied(edge, since)
    assert served(edge) == "four"
    assert end(edge) == 0


def test_a_restart_goes_on_with_what_is_served(proxy: StartProxy) -> None:
    """An upgrade is not held up by a test that has failed since the start."""
    edge = proxy(text("one", cases=""))
    status, said = ctl(edge, "restart")
    assert status == 0, said
    assert served(edge) == "one"
    until(lambda: "1 test of what is served FAIL" in ctl(edge, "status")[1], "the new control tells it too")
