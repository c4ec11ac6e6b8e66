"""The documentation: the site builds strictly, and every block of code in it is run.

Pages are run against a live proxy, each in a folder of its own, block after block as they stand. What can't be run here is
fenced as ``text``, or named in `ELSEWHERE` with the test that runs it.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mcproxy.model.values.reasons import REASONS
from tests.conftest import StartProxy
from tests.support.proxy import ROOT, Proxy

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "coming-from")  # test_coming_from.py
ELSEWHERE = {
    "cli.md": "tests/e2e/test_completion.py",
    "config.md": "tests/e2e/test_cli.py",
    "observability.md": "tests/unit/test_assets_observability.py",
    "install.md": "tests/e2e/test_install.py",
    "upgrade.md": "tests/e2e/test_install.py",
    "attacks.md": "tests/attacks/test_attacks.py",
}
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
LISTENER = '[[listeners]]\naddr = ":8443"\nroutes = [{hostname = "a.test", backend = "10.0.0.5:443"}]\n'


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def languages(page: Path) -> set[str]:
    return set(re.findall(r"^```(\w*)\n.*?^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


def pages(language: str) -> list[Path]:
    return [page for page in PAGES if language in languages(page) and page.name not in ELSEWHERE]


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
    """No language is used that nothing runs, and what is run elsewhere is."""
    assert {word for page in PAGES for word in languages(page)} <= {"toml", "sh", "python", "yaml", "text", "ini", ""}
    assert [test for test in ELSEWHERE.values() if not (ROOT / test).exists()] == []
    assert [name for name in ELSEWHERE if not (DOCS / name).exists()] == []


@pytest.mark.parametrize("page", pages("toml"), ids=lambda page: page.name)
def test_configs_are_valid(page: Path, tmp_path: Path) -> None:
    """Each by itself, without a warning; one without a listener is what it would be in a file with one."""
    for number, text in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(text if "[[listeners]]" in text else text + LISTENER, encoding="utf-8")
        (tmp_path / "teams").mkdir(exist_ok=True)
        (tmp_path / "teams/a.toml").write_text("[log]\n", encoding="utf-8")
        validated = subprocess.run(
            [sys.executable, "-m", "mcproxy", "validate-config", "--syntax", "--strict", str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert validated.returncode == 0, f"{text}\n{validated.stdout}"


@pytest.fixture
def live(proxy: StartProxy, tmp_path: Path) -> tuple[Proxy, dict[str, str]]:
    """Start the site that the pages speak of, with both programs on the path."""
    edge = proxy(SITE)
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
    for name, text in zip(("balanced.toml",), blocks(page, "toml"), strict=False):
        (edge.folder / name).write_text(text, encoding="utf-8")
    for block in blocks(page, "sh"):
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
