"""A database of an earlier version under today's mcproxy: the same drift, byte for byte, also after a kill in between."""

import json
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcproxy.control.store.migrations import LATEST
from mcproxy.model.state.state import Listener, Route
from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.old_databases import ONE_TABLE, SINCE_EDITS, VERSIONS, config_beside, drift_beside, make_old_database
from tests.support.processes import Processes
from tests.support.proxy import ROOT, Proxy

DIES_IN_THE_STEP = """
import os, signal, sys
from mcproxy.control.store import database, migrations
connect = database._connect
def dying(*args):
    connection = connect(*args)
    connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return connection
database._connect = dying
number, at = int(sys.argv.pop()), int(sys.argv.pop())
steps = list(migrations.MIGRATIONS)
steps[number - 1] = (*steps[number - 1][:at], "SELECT die()", *steps[number - 1][at:])
migrations.MIGRATIONS = tuple(steps)
from mcproxy.cli.server.app import main
sys.argv[1:1] = ["serve", "--config"]
main()
"""
"""`mcproxy serve`, but that its control process kills itself in the middle of a step: arguments are the config file, behind how
many statements, and the step's number."""

# The keys that a resource had when the drift beside the databases was printed, by one that only its kind has.
KEYS = {
    "max_connections": {"addr", "proxy_protocol", "trusted_proxies", "max_connections"},
    "endpoints": {
        *("listener", "hostname", "endpoints", "mode", "tls_cert", "tls_key", "backend_tls", "backend_ca"),
        *("backend_server_name", "backend_protocol", "send_proxy_protocol", "on_remove"),
    },
}
DEFAULTS = {
    mark: msgspec.json.decode(msgspec.json.encode(resource))
    for mark, resource in (("max_connections", Listener("")), ("endpoints", Route("", "", ())))
}


def old_keys(value: Any) -> Any:
    """Return a drift without keys that resources have got since; they must have their defaults."""
    if isinstance(value, list):
        return list(map(old_keys, value))
    if not isinstance(value, dict):
        return value
    for mark, keys in KEYS.items():
        if mark in value:
            newer = {key: item for key, item in value.items() if key not in keys}
            assert newer == {key: DEFAULTS[mark][key] for key in newer}
            return {key: item for key, item in value.items() if key in keys}
    return {key: old_keys(item) for key, item in value.items()}


def as_printed(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@pytest.fixture
def edge(processes: Processes, short_folder: Path, certs: Certificates) -> Iterator[Proxy]:
    """Return a proxy that is not started, with the certificate that its file names."""
    leaf = certs.server("web.example.com")
    shutil.copy(leaf.certificate, short_folder / "web.crt")
    shutil.copy(leaf.key, short_folder / "web.key")
    shutil.copy(certs.ca, short_folder / "ca.crt")
    proxy = Proxy(processes, short_folder, "")
    yield proxy
    proxy.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_drift_of_an_older_database_is_the_same(edge: Proxy, version: int) -> None:
    """What runs, what is suspended and why, and what is known of every edit."""
    database = make_old_database(version, edge.folder)
    edge.save(config_beside(version, edge.folder))
    edge.start()
    told = run_ctl("--config", str(edge.config), "drift", "--json")
    assert told.status == 3, told.stderr
    assert as_printed(json.loads(told.stdout)) == told.stdout
    text = as_printed(old_keys(json.loads(told.stdout)))
    if version < SINCE_EDITS:  # rows became edits just now
        text = re.sub(r'"created": "[^"]*"', '"created": "CREATED"', text)
    assert text == drift_beside(version, edge.folder)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (LATEST,)


def known_then(value: Any, then: Any) -> Any:
    """Return a value without the keys that it has got since."""
    if isinstance(then, dict):
        return {key: known_then(value[key], then[key]) for key in then}
    if isinstance(then, list):
        return [known_then(*both) for both in zip(value, then, strict=True)]
    return value


def test_what_an_older_version_kept_of_its_generations_tells_who_made_it_so(edge: Proxy) -> None:
    """The same drift as then. Each key of each kind of resource, with the author and the line of then; the places of single keys were not kept."""
    make_old_database(ONE_TABLE, edge.folder)
    edge.save(config_beside(ONE_TABLE, edge.folder))
    edge.start()
    listener = "127.44.8.1:17443"
    then = json.loads(drift_beside(ONE_TABLE, edge.folder))
    now = json.loads(run_ctl("--config", str(edge.config), "drift", "--json").stdout)
    assert known_then(now, then) == then

    def blame(*resource: str) -> dict[str, Any]:
        told = run_ctl("--config", str(edge.config), "blame", *resource, "--json")
        assert told.status == 0, told.stderr
        return {key["name"]: key for key in json.loads(told.stdout)["keys"]}

    declared = blame("route", listener, "declared.example.com")
    assert (declared["backend"]["by"]["origin"], declared["backend"]["value"]) == (
        "api",
        ["127.0.0.1:9", "127.0.0.1:10"],
    )
    office = blame("filter", "office")
    assert office["max_body"]["by"]["generation"] > office["allow_cidrs"]["by"]["generation"]
    assert office["allow_cidrs"]["by"]["author"] == "bob"
    assert blame("setting", "proxy.workers")["value"]["by"]["place"].endswith("mc-proxy.toml:6")
    told = run_ctl("--config", str(edge.config), "explain", "--sni", "new.example.com", "--generation", "1", "--json")
    assert json.loads(told.stdout)["then"]["origin"] == "start"


@pytest.mark.parametrize(
    ("step", "at", "table"), [(8, 5, "runtime_edits"), (9, 3, "revision_details"), (9, 6, "resource_changes")]
)
def test_a_server_killed_while_it_migrates_leaves_the_version_before(
    edge: Proxy, processes: Processes, step: int, at: int, table: str
) -> None:
    """Nothing of the step is there, those before are; the next start makes it, and has all edits and generations."""
    version = VERSIONS[-1]
    database = make_old_database(version, edge.folder)
    edge.save(config_beside(version, edge.folder))
    arguments = [str(edge.config), str(at), str(step)]
    dying = processes.start(sys.executable, "-c", DIES_IN_THE_STEP, *arguments, env={"PYTHONPATH": str(ROOT)})
    assert dying.wait(60) == -signal.SIGKILL
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (step - 1,)
        assert connection.execute("SELECT * FROM sqlite_schema WHERE name = ?", (table,)).fetchall() == []
        generations = connection.execute("SELECT generation FROM revisions ORDER BY generation").fetchall()
    edge.start()
    told = run_ctl("--config", str(edge.config), "drift", "--json")
    assert old_keys(json.loads(told.stdout)) == json.loads(drift_beside(version, edge.folder))
    kept = json.loads(run_ctl("--config", str(edge.config), "history", "--json").stdout)
    assert [one["generation"] for one in reversed(kept)][: len(generations)] == [number for (number,) in generations]
