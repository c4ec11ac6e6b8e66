"""What the README promises is there, and its commands work.

Those of "Try it" are run by `.ci/run` as printed, those of "Install as a service" by `test_install`.
"""

import re
import shlex
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from mcproxy.cli.ctl.app import app as ctl
from mcproxy.cli.server.app import app, main
from tests.conftest import StartProxy
from tests.support.ctl import run_command, run_ctl
from tests.support.processes import Processes
from tests.support.proxy import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = dict(app.commands)
CTL: Any = ctl
SETUP = r"python3 -m venv --without-pip \.venv && python3 -m pip --python \.venv install -q -r requirements/{}\.txt && "


def blocks(language: str, text: str) -> list[str]:
    """Return the contents of the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_quick_start_is_two_commands() -> None:
    """One that shows the main job, one that passes the tests; each a single line that makes what it needs."""
    tour, tests = [block.strip() for block in blocks("sh", section("Try it"))]
    assert re.fullmatch(SETUP.format("runtime") + r"\.venv/bin/python -m mcproxy demo", tour)
    assert re.fullmatch(SETUP.format("dev") + r"\.venv/bin/python -m pytest", tests)


def test_continuous_integration_finds_the_two_commands() -> None:
    """`.ci/run` takes them from the README by their ends, so each pattern must fit one line and no other."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    pattern = re.search(r'grep -m1 -E "(.*)\$1\\\$" README\.md', script)
    assert pattern
    ends = re.findall(r"command_with '([^']+)'", script)
    assert ends == ["mcproxy demo", "pytest"]
    for end in ends:
        assert len(re.findall(f"{pattern[1]}{end}$", README, re.MULTILINE)) == 1


def test_every_command_it_names_exists() -> None:
    """In code blocks and in the text: the command, and each long option on its line."""
    named = set()
    for line in [*"".join(blocks("sh", README)).splitlines(), *re.findall(r"`(mcproxy [^`]+)`", README)]:
        found = re.search(r"(?:^|-m )mcproxy ([a-z][a-z-]*)(.*)", line)
        if not found:
            continue
        name, rest = found[1], found[2]
        assert name in COMMANDS, line
        options = {option for parameter in COMMANDS[name].parameters for option in parameter.names}
        assert set(re.findall(r"--[a-z][a-z0-9-]*", rest)) <= options, line
        named.add(name)
    assert named >= {"demo", "init", "validate-config", "plan", "explain", "serve", "schema", "dev-certs"}


def test_every_command_of_mcproxyctl_it_names_exists() -> None:
    """Likewise, with the commands below a command."""
    named = set()
    for line in re.findall(r"mcproxyctl ([a-z][^`#;\n]*)", README):
        command, words = CTL, line.split()
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.parameters for option in parameter.names}
        assert set(re.findall(r"--[a-z][a-z0-9-]*", " ".join(words))) <= options, line
        named.add(line.split()[0])
    assert named >= {
        "status",
        "routes",
        "drift",
        "export",
        "revert",
        "history",
        "rollback",
        "confirm",
        "explain",
        "top",
    }


def test_every_file_it_names_exists() -> None:
    """Links, and paths in backticks."""
    links = [unquote(link) for link in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", README)]
    assert len(links) >= 3
    paths = re.findall(r"`((?:srv|docs|tests|schemas|requirements|mcproxy)/[\w./-]+)`", README)
    assert [path for path in [*links, *paths] if not (ROOT / path).exists()] == []


def test_links_into_itself_lead_somewhere() -> None:
    """Every `#anchor` is a heading."""
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


@pytest.mark.parametrize("text", blocks("toml", README))
def test_its_configuration_is_valid(text: str, tmp_path: Path) -> None:
    """Each TOML example passes the strict check as it stands."""
    assert tomllib.loads(text)["listeners"]
    file = tmp_path / "mc-proxy.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as status:
        main(["validate-config", "--syntax", "--strict", str(file)])
    assert status.value.code == 0


def test_it_has_an_example() -> None:
    """A README without configuration would pass the check of its examples."""
    assert blocks("toml", README)


def commands(block: str) -> list[list[str]]:
    """Return the commands of a block, those that its comments name too, word by word."""
    texts = [text for line in block.splitlines() for text in (line, *re.findall(r"#.*?(mcproxyctl [^;#]*)", line))]
    return [shlex.split(text, comments=True) for text in texts]


def test_the_commands_to_use_it_work(
    proxy: StartProxy, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after another: in an empty folder, then beside what it serves, on this test's ports."""
    alone, beside = map(commands, blocks("sh", section("Use it")))
    assert alone.pop(0) == ["pip", "install", "."], "run by test_install"
    assert alone.pop() == ["mcproxy", "serve", "--config", "mc-proxy.toml"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.toml").write_text(blocks("toml", section("Use it"))[0], encoding="utf-8")
    for words in alone:
        result = run_command(main, *words[1:])
        assert (words[0], result.status) == ("mcproxy", 0), (words, result)
    text = Path("mc-proxy.toml").read_text(encoding="utf-8")
    served = proxy(text.replace('":8443"', '"127.0.0.1:PORT"').replace("127.0.0.1:9090", "127.0.0.1:PORT_M"))
    monkeypatch.setenv("MCPROXY_CONFIG", str(served.config))
    here = {":8443": served.fill_in("127.0.0.1:PORT"), "12": "1"}  # the generation that there is
    assert beside[-1] == ["mcproxyctl", "top"]
    for words in beside[:-1]:
        result = run_ctl(*(here.get(word, word) for word in words[1:]))
        assert (words[0], result.status) == ("mcproxyctl", 3 if "drift" in words else 0), (words, result)
    top = processes.start(
        sys.executable, "-m", "mcproxy.cli.ctl", "top", folder=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    top.wait_for_line("LISTENER", timeout=30)
    top.signal(signal.SIGINT)
    assert top.wait(timeout=30) == 0
