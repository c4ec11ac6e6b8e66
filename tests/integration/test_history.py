"""The history of a running proxy: what it did then, who made it what it is, and why."""

import http.client
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mcproxy._pb import admin_pb2 as pb
from tests.conftest import StartProxy
from tests.support.admin import client
from tests.support.ctl import run_ctl
from tests.support.l4 import wait_for
from tests.support.lifecycle import apply
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.status_backend import StatusBackend

HEAD = """\
[log]
access = "access.log"
[proxy]
workers = 1
"""
GENERATIONS = 4
HOSTS = ("a.test", "b.test", "deep.c.test", "nowhere.test")
PATHS = ("/status/204", "/status/404", "/pages/x", "/hidden/x")
METHODS = ("GET", "POST")


def site(backend: int, number: int) -> str:
    """Return a file whose routes, cases and filters are others in every generation, in other lines."""
    shift = "# a line more\n" * number
    return f"""\
{HEAD}{shift}[filters.office]
allow_cidrs = ["{"127.0.0.0/8" if number == 2 else "192.0.2.0/24"}"]
[[listeners]]
addr = "127.0.0.1:PORT"
protocol = "http"
[[listeners.routes]]
hostname = "a.test"
backend = "127.0.0.1:{backend}"
backend_protocol = "http/1.1"
[[listeners.routes.cases]]
match = "/{"pages" if number != 3 else "status"}/*"
respond = "case {number}"
status = {210 + number}
{shift}[[listeners.routes.cases]]
match = "{METHODS[number % 2]} /hidden/*"
respond = "hidden"
use = ["office"]
[[listeners.routes.cases]]
match = "/hidden/*"
respond = "shown"
status = {220 + number}
{"" if number != 3 else "[[listeners.routes.cases]]" + chr(10) + 'match = "/pages/*"' + chr(10) + 'respond = "pages"'}
[[listeners.routes]]
hostname = "{"b.test" if number != 1 else "*"}"
respond = "route {number}"
status = {230 + number}
[[listeners.routes]]
hostname = "*.c.test"
redirect = "https://example.org/{number}"
"""


def visits() -> Iterator[tuple[str, str, str]]:
    """Yield requests without end: hosts, paths and methods."""
    return itertools.cycle(itertools.product(HOSTS, PATHS, METHODS))


def explained(answer: pb.ExplainResponse, text: list[str]) -> dict[str, Any]:
    """Return what an access log would tell of an explained request, with the lines of a file that decided it."""
    steps = {step.step: step for step in answer.steps}
    last = answer.steps[-1]
    found: dict[str, Any] = {"route": "", "case": "", "filter": "", "endpoint": ""}
    if steps["route"].outcome == "ok":
        found["route"] = steps["route"].detail.split()[0]
        assert declares(steps["route"], text, f'hostname = "{found["route"]}"')
    if "case" in steps and " fits" in steps["case"].detail and not steps["case"].detail.startswith("no case"):
        found["case"] = steps["case"].detail.partition(" fits")[0]
        assert declares(steps["case"], text, f'match = "{found["case"]}"')
    if last.step == "backend":
        found["endpoint"] = last.detail.split()[0]
    else:
        found["status"] = 421 if last.step == "route" else int(last.detail.split("answered with ")[1][:3])
    if last.step == "allow":
        found["filter"] = last.detail.rpartition("(")[2].rstrip(")")
        assert text[line(last) - 1].startswith("allow_cidrs")
    return found


def line(step: pb.Step) -> int:
    return int(step.decided_by.rpartition(":")[2])


def declares(step: pb.Step, text: list[str], key: str) -> bool:
    """Tell whether the line of a step is the header of the table in which a key stands first."""
    return text[line(step)] == key


@pytest.mark.parametrize("lines", [128, pytest.param(1_000, marks=pytest.mark.soak)])
def test_the_past_is_explained_as_the_access_log_shows_it(proxy: StartProxy, lines: int) -> None:
    """Route, case, filter, backend and status of many requests in four generations, with the lines of the file of then."""
    with StatusBackend() as backend:
        texts = [site(backend.port, number) for number in range(GENERATIONS)]
        served = proxy(texts[0])
        log = served.folder / "access.log"
        asked = visits()
        for number, text in enumerate(texts):
            if number:
                apply(served, text)
            connection = http.client.HTTPConnection("127.0.0.1", served.port(), timeout=30)
            for host, path, method in itertools.islice(asked, lines // GENERATIONS):
                connection.request(method, path, headers={"Host": host})
                connection.getresponse().read()
            connection.close()
            count = lines // GENERATIONS * (number + 1)
            wait_for(lambda: log.read_bytes().count(b"\n") == count)  # noqa: B023 - waited for here
        seen: dict[int, int] = {}
        with client(served) as admin:
            for told in map(json.loads, log.read_text(encoding="ascii").splitlines()):
                answer = admin.explain(
                    listener=told["listener"],
                    ip="127.0.0.1",
                    method=told["method"],
                    path=told["path"],
                    headers=[("Host", told["authority"])],
                    at=datetime.fromisoformat(told["time"]),
                )
                generation = answer.then.generation
                seen[generation] = seen.get(generation, 0) + 1
                written = served.fill_in(texts[generation - 1]).splitlines()
                expected = explained(answer, written)
                assert expected == {name: told[name] for name in expected}, answer
        assert seen == dict.fromkeys(range(1, GENERATIONS + 1), lines // GENERATIONS)


ROUTES = HEAD + '[[listeners]]\naddr = "127.0.0.1:PORT"\n'


def route(hostname: str, port: int) -> str:
    return f'[[listeners.routes]]\nhostname = "{hostname}"\nbackend = "127.0.0.1:{port}"\n'


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    """Run git with nobody's settings; return what it prints."""
    settings = [part for name in ("name", "email") for part in ("-c", f"user.{name}=ann@example.org")]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *settings, "-C", str(folder), *arguments]
    ran = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def commit(served: Proxy, text: str, message: str) -> str:
    """Commit a text of the config file, which stays as it is; return the label of that."""
    blob = git(served.folder, "hash-object", "-w", "--stdin", stdin=served.fill_in(text))
    git(served.folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},{served.config.name}")
    git(served.folder, "commit", "-q", "-m", message)
    return git(served.folder, "log", "-1", "--format=%h %s")


def ctl(served: Proxy, *words: str) -> str:
    """Run a command that succeeds; return what it prints."""
    ran = run_ctl("--config", str(served.config), *words)
    assert ran.status == 0, ran.stderr
    return ran.stdout


def told(served: Proxy, *words: str) -> Any:
    """Return what a command prints as JSON."""
    return json.loads(ctl(served, *words, "--json"))


def backend(served: Proxy, name: str) -> Any:
    """Return what blame tells of the backend of a route."""
    return next(key for key in told(served, "blame", "route", name, "a.test")["keys"] if key["name"] == "backend")


def test_what_a_route_is_has_an_author_a_time_a_line_and_a_reason(proxy: StartProxy) -> None:
    """Over a commit, an edit, a rollback and a kill of everything; what is gone, and what never was, is told too."""
    require("git")
    served = proxy(ROUTES + route("a.test", 9001))
    name = f"127.0.0.1:{served.port()}"
    git(served.folder, "init", "-q")
    text = ROUTES + "# moved\n" + route("a.test", 9002)
    label = commit(served, text, "Move a to the new rack")
    apply(served, text)
    number = text.splitlines().index('backend = "127.0.0.1:9002"') + 1
    place = f"{served.config}:{number}"
    wait_for(lambda: bool(told(served, "status")["label"]))  # git may be slow once
    key = backend(served, name)
    assert key["value"] == "127.0.0.1:9002"
    assert (key["by"]["origin"], key["by"]["label"]) == ("file", label)
    assert key["by"]["place"] == place
    before = told(served, "history")[0]
    assert (before["summary"], before["label"]) == (f"route {name} a.test: backend changed", label)

    by = ("--author", "ops-2", "--reason", "incident 7")
    ctl(served, "routes", "update", name, "a.test", "--backend", "127.0.0.1:9009", *by)
    edited = told(served, "history", "--resource", "route", name, "a.test")["revisions"][0]
    assert (edited["origin"], edited["author"], edited["label"]) == ("api", "ops-2", "incident 7")
    assert edited["summary"] == "backend: 127.0.0.1:9002 -> 127.0.0.1:9009"
    ctl(served, "rollback", str(before["generation"]), "--author", "ann", "--reason", "wrong rack")
    key = backend(served, name)
    assert (key["by"]["origin"], key["by"]["author"], key["by"]["label"]) == ("rollback", "ann", "wrong rack")
    assert key["restored"]
    assert (key["original"]["origin"], key["original"]["label"]) == ("file", label)
    assert key["original"]["place"] == place
    assert told(served, "diff", str(before["generation"]))["lines"] == []
    (changed,) = told(served, "diff", str(edited["generation"]), str(before["generation"]))["lines"]
    assert changed.startswith(f"~ route {name} a.test  endpoints: 127.0.0.1:9009 -> 127.0.0.1:9002")

    served.kill()
    served.start()
    assert backend(served, name) == key
    wait_for(lambda: told(served, "status")["label"] == label)
    apply(served, ROUTES)
    gone = told(served, "blame", "route", name, "a.test")
    assert (gone["removed"], gone["keys"], gone["removed_by"]["origin"]) == (True, [], "file")
    never = run_ctl("--config", str(served.config), "blame", "route", name, "b.test")
    assert never.status == 1
    assert never.stderr == f"mcproxyctl: there is no route {name} b.test, and the history has none since generation 1\n"


def test_a_label_may_come_late(proxy: StartProxy) -> None:
    """Of a reload that finds the files in effect already, and of a commit that is made behind them, as git itself does."""
    require("git")
    served = proxy(ROUTES + route("a.test", 9001))
    git(served.folder, "init", "-q")
    first = commit(served, ROUTES, "Begin")
    text = ROUTES + route("a.test", 9002)
    apply(served, text)
    wait_for(lambda: told(served, "status")["label"] == f"{first.split()[0]} + uncommitted changes")
    label = commit(served, text, "Move a")
    wait_for(lambda: told(served, "status")["label"] == label)
    assert [one["label"] for one in told(served, "history")] == [label, ""]
    live = told(served, "status")["generation"]
    said = ctl(served, "reload", "--label", "because it rains")
    assert said.splitlines()[-1] == f"generation {live} is labelled: because it rains"
    assert told(served, "history")[0]["label"] == "because it rains"
