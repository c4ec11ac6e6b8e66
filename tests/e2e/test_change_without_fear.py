"""docs/change-without-fear.md: every command of the page, in its order, and the pipelines' own lines."""

import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.proxy import ROOT
from tests.support.require import require

PAGE = (ROOT / "docs" / "change-without-fear.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^## \d\. .*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Shop(BaseHTTPRequestHandler):
    """What stands on port 9001 of the page."""

    def do_GET(self) -> None:
        """Answer that it is open."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"open\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[int]:
    """Serve the shop; return its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


class Desk:
    """A folder with both programs on the path, where commands are run as they stand."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        require("git")
        require("curl")
        self.folder = folder / "site"
        self._ports = ports
        programs = folder / "programs"
        for each in (self.folder, programs):
            each.mkdir()
        for name, module in (("mcproxy", "mcproxy"), ("mcproxyctl", "mcproxy.cli.ctl")):
            (programs / name).write_text(
                f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n', encoding="utf-8"
            )
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "MCPROXY_CONFIG": str(self.folder / "mc-proxy.toml"),
            **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _ANN.items()},
        }

    def here(self, text: str) -> str:
        """Return a text with the ports that are free here."""
        for old, new in self._ports.items():
            text = re.sub(rf"\b{old}\b", str(new), text)
        return text

    def run(self, commands: str, **more: str) -> str:
        """Run commands; return what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(commands)],
            cwd=self.folder,
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout


_ANN = {"NAME": "Ann", "EMAIL": "ann@example.com"}


def test_the_way_of_a_change(short_folder: Path, processes: Processes, shop: int) -> None:
    """Test, plan, guarded reload, why and blame, way back: each step of the page does what the page says of it."""
    ports = {"8080": free_port(), "9001": shop, "9002": free_port()}
    desk = Desk(short_folder, ports)
    (config,) = blocks(STEPS[0], "toml")
    (desk.folder / "mc-proxy.toml").write_text(desk.here(config), encoding="utf-8")
    (first,) = blocks(STEPS[0], "sh")
    before, serve, _ = first.partition("mcproxy serve")
    assert first.endswith("mcproxy serve --config mc-proxy.toml &\n")
    said = desk.run(before)
    assert "valid: 1 listener, 1 route, 2 tests" in said
    assert "1 of 1 route, 1 of 1 case, 1 of 1 filter" in said
    assert serve
    edge = processes.start(
        *(sys.executable, "-m", "mcproxy", "serve", "--config", "mc-proxy.toml"),
        folder=desk.folder,
        env=desk.environment,
    )
    edge.wait_for_line(r"\bserving\b", 60, 0, ["stderr"])

    (refused,), (message,) = blocks(STEPS[1], "sh"), blocks(STEPS[1], "text")
    assert desk.here(message) in desk.run(refused)
    planned, replayed = blocks(STEPS[2], "sh")
    assert len(re.findall(rf"^~ route .*{ports['9001']} -> .*{ports['9002']}", desk.run(planned), re.MULTILINE)) == 2
    said = desk.run(replayed)
    assert re.search(r"^3 of 3 requests .*would change:$", said, re.MULTILINE)
    assert re.search(r"by cidr 127\.0\.0\.0/8 \(blocked.toml:\d+\)", said)
    (guarded,) = blocks(STEPS[3], "sh")
    said = desk.run(guarded)
    assert "withdrawn by guard" in said
    assert "\nopen\n" in said
    assert re.search(r"route 127.0.0.1:\d+ shop.localhost.*guard", said.rpartition("open\n")[2], re.DOTALL)
    (asked,) = blocks(STEPS[4], "sh")
    said = desk.run(asked)
    assert "backend_refused" in said
    assert "move the shop to the new rack" in said
    assert re.search(r"^backend .* guard ", said, re.MULTILINE)
    assert f"127.0.0.1:{ports['9002']} by HTTP/2" in said, "explain of the generation that was undone"
    back, rolled = blocks(STEPS[5], "sh")
    desk.run(back)
    assert desk.run("curl --fail --silent --header 'Host: shop.localhost' http://127.0.0.1:8080/") == "open\n"
    desk.run(rolled)


@pytest.mark.parametrize("number", [0, 1], ids=["GitHub Actions", "GitLab CI"])
def test_the_lines_of_a_pipeline(short_folder: Path, number: int) -> None:
    """But for the installation they are run in a clone whose origin has an older file; a failing test fails the job."""
    job = yaml.safe_load(blocks(PAGE, "yaml")[number])
    if number == 0:
        lines = [step["run"] for step in job["jobs"]["proxy"]["steps"] if "run" in step]
    else:
        lines = [*job["proxy"]["before_script"], *job["proxy"]["script"]]
    install, *checks = lines
    assert "install ./dist/mcproxy-*.whl" in install
    desk = Desk(short_folder, {})
    (config,) = blocks(STEPS[0], "toml")
    (desk.folder / "mc-proxy.toml").write_text(config, encoding="utf-8")
    desk.run("git init --quiet --initial-branch=main . && git add . && git commit --quiet --message first")
    shutil.move(desk.folder, short_folder / "origin")
    subprocess.run(["git", "clone", "--quiet", short_folder / "origin", desk.folder], check=True, env=desk.environment)
    desk.run("sed -i 's/9001/9003/' mc-proxy.toml")
    summary = short_folder / "summary"
    given = {
        "GITHUB_BASE_REF": "main",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "RUNNER_TEMP": str(short_folder),
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    said = desk.run("\n".join(checks), **given)
    assert "127.0.0.1:9001 -> 127.0.0.1:9003" in said
    if number == 0:
        assert "9003" in summary.read_text(encoding="utf-8")
    desk.run("sed -i 's|/admin/[*]|/admin|' mc-proxy.toml")
    said = desk.run(f"! {checks[0]}", **given)
    assert "expected status 403" in said
