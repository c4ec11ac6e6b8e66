"""Completion in real shells: keys are pressed at a terminal, and what the shell then runs is looked at."""

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcproxy.cli.common.command_line import App
from mcproxy.cli.common.completion import SHELLS, script
from mcproxy.cli.ctl.app import app as ctl
from mcproxy.cli.server.app import app as server
from tests.support.proxy import ROOT
from tests.support.require import require

ODD = 'unix:/run/it\'s $(touch pwned) `touch pwned` "a" *;&|<>{b,c}\\d.sock'
NAMES = [
    ("listener", ":443", ""),
    ("listener", ":443", "app.example.com"),
    ("listener", ":443", "*.dev.example.com"),
    ("listener", "127.0.0.1:8443", "old.test"),
    ("listener", "[::1]:9443", "six.test"),
    ("upstream", "web", ""),
    ("upstream", "web", "10.0.0.3:80"),
    ("upstream", "web", "[::2]:80"),
    ("upstream", "api", "unix:/run/api.sock"),
    ("upstream", "odd", ODD),
]
LINES: list[tuple[str, list[str]]] = [
    ("mcproxyctl stat\t", ["status"]),
    ("mcproxyctl rou\tli\t :4\t", ["routes", "list", ":443"]),
    ("mcproxyctl routes list :\t", ["routes", "list", ":443"]),
    ("mcproxyctl routes list 12\t", ["routes", "list", "127.0.0.1:8443"]),
    ("mcproxyctl routes list 127.0.0.1:8\t", ["routes", "list", "127.0.0.1:8443"]),
    ("mcproxyctl routes list '[\t", ["routes", "list", "[::1]:9443"]),
    ("mcproxyctl routes remove :443 a\t", ["routes", "remove", ":443", "app.example.com"]),
    (
        "mcproxyctl routes remove --reason 'to try' :443 a\t",
        ["routes", "remove", "--reason", "to try", ":443", "app.example.com"],
    ),
    ("mcproxyctl routes remove 127.0.0.1:8443 \t", ["routes", "remove", "127.0.0.1:8443", "old.test"]),
    ("mcproxyctl history --ed\t", ["history", "--edits"]),
    ("mcproxyctl routes add --back\t", ["routes", "add", "--backend-"]),
    ("mcproxyctl routes add --mode l7 --on-remove k\t", ["routes", "add", "--mode", "l7", "--on-remove", "keep"]),
    ("mcproxyctl routes add --on-remove=k\t", ["routes", "add", "--on-remove=keep"]),
    ("mcproxyctl --config a-f\t sta\t", ["--config", "a-file", "status"]),
    ("mcproxyctl plan a-f\t", ["plan", "a-file"]),
    ("mcproxyctl firewall add cou\t", ["firewall", "add", "country"]),
    ("mcproxyctl put rou\t :4\t a\t", ["put", "route", ":443", "app.example.com"]),
    ("mcproxyctl remove pol\t 127\t o\t", ["remove", "policy", "127.0.0.1:8443", "old.test"]),
    ("mcproxyctl list rule cou\t", ["list", "rule", "country"]),
    ("mcproxyctl list setting a\t", ["list", "setting", "a"]),
    ("mcproxyctl put endp\tw\t '[\t", ["put", "endpoint", "web", "[::2]:80"]),
    ("mcproxyctl list ups\ta\t", ["list", "upstream", "api"]),
    ("mcproxyctl endpoints dr\tw\t 10\t", ["endpoints", "drain", "web", "10.0.0.3:80"]),
    ("mcproxyctl endpoints weight api u\t 3", ["endpoints", "weight", "api", "unix:/run/api.sock", "3"]),
    ("mcproxyctl endpoints weight odd u\t 3", ["endpoints", "weight", "odd", ODD, "3"]),
    ("mcproxyctl endpoints list a\t", ["endpoints", "list", "api"]),
    ("mcproxyctl help rou\tad\t", ["help", "routes", "add"]),
    ("mcproxyctl status :4\t", ["status", ":4"]),
    ("mcproxy validate-config a-f\t a-\t", ["validate-config", "a-file", "a-file"]),
    ("mcproxy expl\t --sn\t", ["explain", "--sni"]),
]
STARTS = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUPS = {
    "bash": "PS1='>>'; source <(cat mcproxyctl.bash mcproxy.bash)",
    "zsh": "PS1='>>'; autoload -Uz compinit; compinit -D -u; source <(cat mcproxyctl.zsh mcproxy.zsh)",
    "fish": "function fish_prompt; echo -n '>>'; end; cat mcproxyctl.fish mcproxy.fish | source",
}
PROGRAM = """\
#!/bin/sh
if [ "$1" = names ]; then echo "$*" >> asked; cat names; exit; fi
for word; do echo "$word"; done > args.new
echo end >> args.new
mv args.new args
"""


class Shell:
    """An interactive shell at a terminal, in a folder with stand-ins for the programs that note what they are given."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for program in ("mcproxyctl", "mcproxy"):
            (folder / "bin" / program).write_text(PROGRAM, encoding="utf-8")
            (folder / "bin" / program).chmod(0o755)
        for each in (ctl, server):
            (folder / f"{each.name}.{name}").write_text(script(each, name), encoding="utf-8")
        (folder / "names").write_text("".join("\t".join(line) + "\n" for line in NAMES), encoding="utf-8")
        (folder / "a-file").touch()
        self._terminal, theirs = pty.openpty()
        self._output = ""
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *STARTS[name]],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={
                "PATH": f"{folder}/bin:{os.environ['PATH']}",
                "HOME": str(folder),
                "TERM": "xterm",
                "XDG_CACHE_HOME": str(folder / "cache"),
            },
        )
        os.close(theirs)
        self.type(f"{SETUPS[name]}; echo rea''dy\n")
        self._wait(lambda: "ready" in self._output, "the shell is set up")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def run(self, keys: str) -> list[str]:
        """Press keys and Return; return what the program is given that runs then."""
        (self.folder / "args").unlink(missing_ok=True)
        self.type(f"{keys}\n")
        self._wait((self.folder / "args").exists, f"{keys!r} runs the program")
        return (self.folder / "args").read_text(encoding="utf-8").splitlines()[:-1]

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, f"{what}: not within 30 s: {self._output[-2000:]}"
            if select.select([self._terminal], [], [], 0.05)[0]:
                self._output += os.read(self._terminal, 65536).decode(errors="replace")


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    require(request.param)
    shell = Shell(request.param, tmp_path_factory.mktemp(request.param))
    yield shell
    shell.close()


@pytest.mark.parametrize(("keys", "words"), LINES)
def test_keys_become_words(shell: Shell, keys: str, words: list[str]) -> None:
    """Commands, options and what these may be, files, addresses with colons and hostnames."""
    assert shell.run(keys) == words
    assert not (shell.folder / "pwned").exists(), "what a name holds is no command"


@pytest.mark.parametrize("shell", ["bash", "zsh"], indirect=True)
def test_a_wildcard_is_completed_in_quotes(shell: Shell) -> None:
    """Elsewhere, and in fish anywhere, it means files."""
    words = shell.run("mcproxyctl policies list :443 '*\t")
    assert words == ["policies", "list", ":443", "*.dev.example.com"]


def test_names_are_asked_for_once(shell: Shell) -> None:
    """The server is not asked at every key, but anew for another server."""
    shell.run("mcproxyctl routes list :4\t")
    asked = (shell.folder / "asked").read_text(encoding="utf-8")
    shell.run("mcproxyctl connections list :443 a\t")
    assert (shell.folder / "asked").read_text(encoding="utf-8") == asked
    assert shell.run("mcproxyctl --addr unix:/other routes list 12\t")[-1] == "127.0.0.1:8443"
    assert (shell.folder / "asked").read_text(encoding="utf-8").splitlines()[
        -1
    ] == "names --timeout 1s --addr unix:/other"


@pytest.mark.parametrize("program", [ctl, server], ids=["mcproxyctl", "mcproxy"])
@pytest.mark.parametrize("name", SHELLS)
def test_no_place_in_a_script_is_left_open(program: App, name: str) -> None:
    """Each name in capitals was replaced."""
    assert not re.findall("@[A-Z]+@", script(program, name))


KNOWN = {
    "bash": (["bash", "-euc"], "", "complete -p mcproxyctl"),
    "zsh": (["zsh", "-efuc"], "autoload -Uz compinit; compinit -D -u", "print $_comps[mcproxyctl]"),
    "fish": (["fish", "--no-config", "-c"], "", "complete -C 'mcproxyctl stat'"),
}
"""How a shell is started, what stands in front of the documented line, and what prints that it has worked."""


@pytest.mark.parametrize("name", SHELLS)
def test_the_documented_line_works(name: str, tmp_path: Path) -> None:
    """The program is asked for its script, by the line that the page has for the shell."""
    require(name)
    language = "sh" if name == "bash" else name
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^```{language}\n([^\n]* completion {name}.*\n)```$", page, re.MULTILINE)
    start, before, after = KNOWN[name]
    program = tmp_path / "mcproxyctl"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mcproxy.cli.ctl "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    ran = subprocess.run(
        [*start, f"{before}\n{line}\n{after}"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search("status|_mcproxyctl", ran.stdout), ran.stdout
