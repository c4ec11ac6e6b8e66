"""The documentation: the site builds strictly, and every block of code in it is run.

Pages are run against a live proxy, one after another, block after block as they stand. What needs more than that is named
in `ELSEWHERE` with the test that runs it; blocks fenced as ``text`` are in `TEXTS` with what holds them to the truth.
"""

import asyncio
import contextlib
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mcproxy.cli.server.app import main as server
from mcproxy.control.store.database import Database
from mcproxy.control.store.errors import StoreFormatError
from mcproxy.control.store.migrations import APPLICATION_ID, LATEST
from mcproxy.model.values.reasons import REASONS
from tests.support.certificates import Certificates
from tests.support.ctl import run_command, run_ctl
from tests.support.l4 import serve
from tests.support.proxy import ROOT, Proxy
from tests.support.require import require

DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if path.parent.name != "coming-from" and path.name != "one-site.md"  # test_coming_from.py, test_one_site.py
)
ELSEWHERE = {
    "change-without-fear.md": "tests/e2e/test_change_without_fear.py",
    "acme.md": "tests/integration/test_challenges.py",
    "config.md": "tests/e2e/test_cli.py",
    "fleet.md": "tests/e2e/test_fleet_page.py",
    "observability.md": "tests/integration/test_prometheus.py",
    "install.md": "tests/e2e/test_install.py",
    "upgrade.md": "tests/e2e/test_install.py",
}
"""Pages whose commands need something of their own: a CA, a template, a machine to install on, a real Prometheus."""
TEXTS = {
    "change-without-fear.md": "What a program says: test_change_without_fear compares it.",
    "cli.md": "Commands that need the names of a proxy: test_resources puts its own in their place, and runs them.",
    "backends.md": "A picture, whose words are those of the page.",
    "fleet.md": "A picture, whose words are those of the page.",
    "guarded-reload.md": "A line of the log: test_guarded_reload waits for it.",
    "client-certificates.md": "A header field: test_client_certificates compares it with what a backend gets.",
    "containers.md": "Building an image needs a registry of base images: test_containerfile takes the Containerfile's steps one by one.",
    "history.md": "What a command prints, whose form test_ctl_history has.",
    "plan-with-traffic.md": "What a command prints: test_plan_traffic compares it with what clients see.",
    "python-client.md": "grpcurl is in no Debian package: test_admin_stock_client calls the same method by reflection, as it does.",
    "tests-in-the-file.md": "What a program says of the page's file: test_config_tests compares it.",
    "troubleshooting.md": "What `why` prints of an id that nobody has here: test_why has some.",
    "upgrade.md": "What a program says: test_the_message_of_a_downgrade.",
}
"""Why no shell runs a block of these pages, and what is tested instead."""
FILES = {
    "backends.md": "balanced.toml",
    "load-balancers.md": "balanced.toml",
    "routing-http.md": "site.toml",
    "tests-in-the-file.md": "tested.toml",
}
"""Names by which commands of these pages call the first file of the page."""
SITE = """\
[log]
access = "access.log"
[proxy]
workers = 1
[[listeners]]
addr = "127.0.0.1:PORT"
[[listeners.routes]]
hostname = "app.example.com"
backend = "10.0.0.5:443"
"""
SHOP = """\
[[listeners.routes]]
hostname = "shop.example.com"
mode = "l7"
tls_cert = "{certificate}"
tls_key = "{key}"
backend = "10.0.0.5:80"
"""
ROUTE = '[[listeners.routes]]\nhostname = "a.test"\nbackend = "10.0.0.5:443"\n'
LISTENER = f'[[listeners]]\naddr = ":8443"\n{ROUTE}'


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def languages(page: Path) -> set[str]:
    return set(re.findall(r"^```(\w*)\n.*?^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


def pages(language: str) -> list[Path]:
    return [page for page in PAGES if language in languages(page) and (language != "sh" or page.name not in ELSEWHERE)]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Links and anchors lead somewhere, every page is in the navigation; the README is the first page."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    assert "keep their infrastructure as code" in (tmp_path / "site/index.html").read_text(encoding="utf-8")


def test_every_block_has_a_test() -> None:
    """No language is used that nothing runs, what is run elsewhere is read there, and each other text has its reason."""
    used = {word for page in PAGES for word in languages(page)}
    assert used <= {"toml", "sh", "zsh", "fish", "python", "yaml", "text", "haproxy"}
    assert [name for name, test in ELSEWHERE.items() if name not in (ROOT / test).read_text(encoding="utf-8")] == []
    assert {page.name for page in PAGES if languages(page) & {"zsh", "fish"}} == {"cli.md"}, "run by test_completion"
    yaml_pages = {"containers.md", "change-without-fear.md", "fleet.md"}
    assert {page.name for page in PAGES if "yaml" in languages(page)} == yaml_pages
    assert {page.name for page in PAGES if "haproxy" in languages(page)} == {"fleet.md"}, "read by test_fleet_page"
    assert {page.name for page in PAGES if "text" in languages(page)} == TEXTS.keys()


def test_the_message_of_a_downgrade(tmp_path: Path) -> None:
    """As the database of the next version is refused; the numbers are an example."""
    (text,) = blocks(DOCS / "upgrade.md", "text")
    path = tmp_path / "mc-proxy.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    with pytest.raises(StoreFormatError) as refused:
        asyncio.run(Database.open(path, 0.0))
    told = str(refused.value).replace(str(path), "/var/lib/mcproxy/mc-proxy.db")
    numbers = re.compile(r"schema (\d+), this one knows (\d+)")
    newer, known = map(int, numbers.findall(text)[0])
    assert numbers.sub("", text) == numbers.sub("", f"mcproxyctl: {told}\n")
    assert newer == known + 1


@pytest.mark.parametrize("page", pages("toml"), ids=lambda page: page.name)
def test_configs_are_valid(page: Path, tmp_path: Path) -> None:
    """Each by itself, without a warning; one without a listener or route is what it would be in a file with one."""
    for name in ("teams/a.toml", "conf.d/a.toml", "local.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[log]\n", encoding="utf-8")
    for number, block in enumerate(blocks(page, "toml")):
        text = block.replace("/etc/mcproxy/local.toml", "local.toml")
        file = tmp_path / f"{number}.toml"
        missing = LISTENER if "[[listeners]]" not in text else "" if "routes" in text else ROUTE
        missing = "" if "[fleet]" in text else missing  # what is served is not in such a file
        file.write_text(text + missing, encoding="utf-8")
        validated = run_command(server, "validate-config", "--syntax", "--strict", str(file))
        assert validated.status == 0, f"{text}\n{validated.stdout}"


@pytest.fixture(scope="module")
def text(certs: Certificates) -> str:
    leaf = certs.server("shop.example.com")
    return SITE + SHOP.format(certificate=leaf.certificate, key=leaf.key)


@pytest.fixture(scope="module")
def site(text: str) -> Iterator[Proxy]:
    with serve(text) as edge:
        yield edge


@pytest.fixture
def live(site: Proxy, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Proxy, dict[str, str]]:
    """Return the site that the pages speak of, as it was before any page, with both programs on the path."""
    edge = site
    monkeypatch.setenv("MCPROXY_CONFIG", str(edge.config))
    edge.save(text)
    for words in (("reload",), ("revert", "--all")):
        assert run_ctl(*words).status == 0, words
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, module in (("mcproxy", "mcproxy"), ("mcproxyctl", "mcproxy.cli.ctl"), ("python3", "")):
        run = f"-m {module} " if module else ""
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {run}"$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return edge, {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "MCPROXY_CONFIG": str(edge.config)}


def here(text: str, edge: Proxy) -> str:
    """Return a block with the port, folders and user that the site has here."""
    for old, new in {
        " :8443": f" 127.0.0.1:{edge.port()}",
        " :443 ": f" 127.0.0.1:{edge.port()} ",
        '":8443"': f'"127.0.0.1:{edge.port()}"',
        "/var/lib/mcproxy": str(edge.folder),
        "/root/": f"{edge.folder}/",
        " -o mcproxy -g mcproxy": "",
    }.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("page", pages("sh"), ids=lambda page: page.name)
def test_commands_work(page: Path, live: tuple[Proxy, dict[str, str]]) -> None:
    """One after another, in the folder of the config file."""
    edge, environment = live
    (edge.folder / "new.toml").write_text(edge.config.read_text(encoding="utf-8"), encoding="utf-8")
    if page.name in FILES:
        (edge.folder / FILES[page.name]).write_text(blocks(page, "toml")[0], encoding="utf-8")
    for block in blocks(page, "sh"):
        if re.search(r"^jq ", block, re.MULTILINE):
            require("jq")
        for part in re.split(r"^(systemctl .*)\n", here(block, edge), flags=re.MULTILINE):
            match part:
                case "systemctl stop mcproxy":
                    edge.stop()
                case "systemctl start mcproxy":
                    edge.start()
                case commands:
                    assert not commands.startswith("systemctl")
                    ran = subprocess.run(
                        ["bash", "-euxo", "pipefail", "-c", commands],
                        cwd=edge.folder,
                        env=environment,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                        timeout=100,
                        check=False,
                    )
                    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("page", pages("python"), ids=lambda page: page.name)
def test_programs_work(page: Path, live: tuple[Proxy, dict[str, str]]) -> None:
    edge, environment = live
    for block in blocks(page, "python"):
        ran = subprocess.run(
            [sys.executable, "-c", here(block, edge)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, bool(ran.stdout)) == (0, True), ran.stdout


def test_the_manifests_hold_a_valid_config(tmp_path: Path) -> None:
    """The ConfigMap's file is served by the paths that the pod mounts, and the drain fits into the grace period."""
    (text,) = blocks(DOCS / "containers.md", "yaml")
    objects = {one["kind"]: one for one in yaml.safe_load_all(text)}
    file = tmp_path / "mc-proxy.toml"
    file.write_text(objects["ConfigMap"]["data"]["mc-proxy.toml"], encoding="utf-8")
    command = [sys.executable, "-m", "mcproxy", "validate-config", "--syntax", "--strict", str(file)]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False, stdout=sys.stderr).returncode == 0
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for path in re.findall(r'= "(/.*?)"', file.read_text(encoding="utf-8")):
        assert any(path.startswith(mount) for mount in mounts), path
    assert container["args"][-1] == f"{mounts[0]}/{file.name}"
    assert pod["terminationGracePeriodSeconds"] > 30


def test_troubleshooting_names_reasons_that_exist() -> None:
    table = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("| Reason |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert named
    assert named <= set(REASONS)
