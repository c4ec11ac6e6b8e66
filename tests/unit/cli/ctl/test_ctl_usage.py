"""`mcproxyctl` as a whole: what its help and its documentation say, where it looks for the server, completion."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcproxy.cli.common.command_line import REQUIRED, Command, find, read
from mcproxy.cli.ctl import app as command_line
from mcproxy.model.state.route_options import RouteOptions
from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl, Result
from tests.support.proxy import ROOT

DOCUMENTED = (ROOT / "docs/cli.md").read_text(encoding="utf-8")

SHARED = {
    *(
        "--version",
        "--output",
        "--json",
        "--addr",
        "--config",
        "--timeout",
        "--tls-ca",
        "--tls-cert",
        "--tls-key",
        "--help",
    ),
    *(
        "--author",
        "--reason",
        "--expires",
        "--request-id",
        "--expect-generation",
        "--guard",
        "--dry-run",
        "--node",
        "--local",
        "--wait",
    ),
}
"""Options that the documentation tells once for all commands."""


def commands() -> dict[str, Any]:
    """Return every command by its name, behind that of its group."""
    found: dict[str, Any] = {}

    def walk(group: Any, before: str) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, f"{before}{name} ")
            elif not command.hidden:
                found[before + name] = command

    walk(command_line.app, "")
    return found


def documented() -> dict[str, tuple[str, str]]:
    """Return the documentation's table of commands: by name what it takes, and the text about it."""
    table = DOCUMENTED.partition("| Command | What it does |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z][a-z -]*[a-z])([^`]*)` \| (.*) \|$", table, re.MULTILINE)
    return {name: (arguments.strip(), text) for name, arguments, text in rows}


def test_the_documentation_names_every_command_with_what_it_takes() -> None:
    """Arguments as in its usage, its own options in the text about it; `--no-x` is told with `--x`."""
    rows = documented()
    assert rows.keys() == commands().keys()
    for name, command in commands().items():
        arguments, text = rows[name]
        names = [one.spec.metavar + ("..." if one.many else "") for one in command.arguments]
        assert arguments == " ".join(
            name if one.default is REQUIRED else f"[{name}]" for one, name in zip(command.arguments, names, strict=True)
        )
        options = {option for one in command.options for option in one.names if option.startswith("--")}
        shared = SHARED
        if name in ("routes add", "routes update"):
            assert "key of `[[listeners.routes]]`" in text or "the same options" in text
            shared = SHARED | {f"--{key.replace('_', '-')}" for key in RouteOptions.__struct_fields__}
        told = {option for option in re.findall(r"--[a-z-]+", text) if not option.startswith("--no-")}
        assert told - shared == options - shared, name


def test_help_lists_the_commands_and_exit_codes(ctl_run: Ctl) -> None:
    """Every command in one line that is not cut, and what the exit status means."""
    result = ctl_run("--help")
    assert result.status == 0
    for name in {command.partition(" ")[0] for command in commands()}:
        assert re.search(rf"^  {name} +[A-Z].*\w\.$", result.stdout, re.MULTILINE), name
    assert "2 wrong usage" in result.stdout
    assert re.search(r"3 \(drift,\s+and\s+plan\s+--exit-code\)", result.stdout)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["--addr", "unix:/x", "--help"]])
def test_the_connection_options_are_told_once(ctl_run: Ctl, words: list[str]) -> None:
    """In the program's help; each command's refers to it."""
    result = ctl_run(*words)
    assert result.status == 0
    for option in ("--addr ADDR", "-c, --config FILE", "--tls-ca FILE", "--timeout DURATION"):
        assert result.stdout.count(f"  {option} ") == 1
    for name in ("status", "routes list", "events"):
        assert "--addr ADDR" not in ctl_run(*name.split(" "), "-h").stdout


@pytest.mark.parametrize("name", commands())
def test_a_commands_help_has_usage_and_examples(ctl_run: Ctl, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In the width of the terminal, in no words of the language it is written in, however it is asked for."""
    monkeypatch.setenv("COLUMNS", "70")
    result = ctl_run(*name.split(" "), "--help")
    assert (result.status, result.stderr) == (0, "")
    assert result == ctl_run("help", *name.split(" ")) == ctl_run(*name.split(" "), "-h")
    assert result.stdout.startswith(f"Usage: mcproxyctl {name} [OPTION...]")
    told, _, examples = result.stdout.partition("\nExample")
    assert max(map(len, told.splitlines())) <= 70
    assert not re.search(r"\bNone\b|<\w+>|\[\[|list\[|Path\b|\bTrue\b|\bFalse\b", told)
    lines = re.findall(r"^  mcproxyctl (.+)$", examples, re.MULTILINE)
    assert lines
    for line in lines:
        found, path, words = find(command_line.app, read(command_line.app.parameters, shlex.split(line), stop=True)[1])
        assert isinstance(found, Command)
        assert " ".join(path[1:]) == name
        read(found.parameters, words)


def test_help_is_as_wide_as_the_terminal(ctl_run: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a width that can be read."""
    widths = []
    for columns in ("50", "90", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        widths.append(max(map(len, ctl_run("routes", "add", "--help").stdout.partition("\nExample")[0].splitlines())))
    assert 40 < widths[0] <= 50 < widths[1] <= 90 <= widths[2] <= 100


@pytest.mark.parametrize("words", [["--version"], ["version"], ["--addr", "unix:/x", "--version"]])
def test_version(ctl_run: Ctl, words: list[str]) -> None:
    """Name and version."""
    assert ctl_run(*words) == Result(0, "mcproxyctl 0.1.0\n", "")


@pytest.mark.parametrize("words", [[], ["routes"]])
def test_without_a_command_help_is_printed(ctl_run: Ctl, words: list[str]) -> None:
    """Which is wrong usage for a script."""
    result = ctl_run(*words)
    assert (result.status, result.stderr) == (2, "")
    assert result.stdout == ctl_run(*words, "--help").stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stauts", "mcproxyctl: no such command 'stauts'; did you mean status?"),
        ("routes lsit", "mcproxyctl: no such command 'routes lsit'; did you mean list?"),
        ("help routes ad", "mcproxyctl help: no such command 'routes ad'; did you mean add?"),
        ("status --jsno", "mcproxyctl status: no such option --jsno; did you mean --json?"),
        ("routes --json list", "mcproxyctl routes: no such option --json"),
        ("status more", "mcproxyctl status: unexpected argument 'more'"),
        ("show", "mcproxyctl show: GENERATION is missing"),
        ("history --limit", "mcproxyctl history: --limit needs a value: --limit N"),
        ("history --limit=0", "mcproxyctl history: --limit: 0 is below 1"),
        ("history --edits=yes", "mcproxyctl history: --edits takes no value"),
        ("show 99999999999999999999", "mcproxyctl show: GENERATION: 99999999999999999999 is above 2147483647"),
        ("explain --generation 0", "mcproxyctl explain: --generation: 0 is below 1"),
        ("explain --at 0 --generation 1", "mcproxyctl explain: --at and --generation are two moments; ask for one"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(ctl_run: Ctl, line: str, message: str) -> None:
    """With what may have been meant, and where to look."""
    result = ctl_run(*line.split(" "))
    first, second = result.stderr.splitlines()
    assert (result.status, result.stdout, first) == (2, "", message)
    assert re.fullmatch(r"Try 'mcproxyctl.* --help'\.", second)


@pytest.mark.parametrize("words", [["explain", "--at", ""], ["diff", "1", ""]])
def test_no_time_is_not_now(ctl_run: Ctl, words: list[str]) -> None:
    """An empty variable of a script would else be answered with what is live."""
    result = ctl_run(*words)
    assert (result.status, result.stdout) == (2, "")
    assert ": '' is no time; write" in result.stderr


def test_an_argument_that_is_no_text(admin: CannedAdmin, ctl: Ctl) -> None:
    """As the shell passes on what is not UTF-8: no message of the admin API has it."""
    result = ctl("blame", "route", ":1", "b\udcff.test")
    assert (result.status, result.stderr) == (2, "mcproxyctl: an argument is not UTF-8\n")
    assert "Blame" not in [name for name, _ in admin.requests]


def test_help_loads_nothing_slow() -> None:
    """Nor does wrong usage: gRPC, protobuf and rich are for commands that need them."""
    program = (
        "import sys\nfrom mcproxy.cli.ctl.app import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "slow = {'grpc', 'google', 'rich', 'asyncio', 'cryptography', 'ssl', 'difflib', 'pydantic'} & set(sys.modules)\n"
        "print('slow:', *sorted(slow), file=sys.stderr)\n"
    )
    for args in (["--help"], ["routes", "add", "--help"], ["rollback", "0"]):
        result = subprocess.run(
            [sys.executable, "-c", program, *args],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert result.stderr.splitlines()[-1].strip() == "slow:", args


class TestServer:
    def test_options_stand_before_or_behind_the_command(self, admin: CannedAdmin, ctl_run: Ctl) -> None:
        """Behind the command counts, if both are there."""
        assert ctl_run("--addr", admin.addr, "routes", "list").status == 0
        assert ctl_run("routes", "list", "--addr", admin.addr).status == 0
        assert ctl_run("--addr", "unix:/nowhere", "routes", "list", "--addr", admin.addr).status == 0
        assert [name for name, _ in admin.requests] == ["ListRoutes"] * 3

    def test_the_config_names_the_server(
        self, admin: CannedAdmin, ctl_run: Ctl, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By option or variable."""
        Path("mc-proxy.toml").write_text(f'[grpc]\nsocket = "{admin.addr.removeprefix("unix:")}"\n', encoding="utf-8")
        assert ctl_run("-c", "mc-proxy.toml", "status").status == 0
        assert ctl_run("status", "--config", "mc-proxy.toml").status == 0
        monkeypatch.setenv("MCPROXY_CONFIG", "mc-proxy.toml")
        assert ctl_run("status").status == 0

    @pytest.mark.parametrize("line", ["status", "routes remove :1 a", "drift", "export", "events", "top --once"])
    def test_a_server_that_is_away_is_told_in_one_line(self, ctl_run: Ctl, tmp_path: Path, line: str) -> None:
        """With where it was looked for; status 1."""
        result = ctl_run(*line.split(" "), "--addr", "unix:gone.sock", "--timeout", "50ms")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr.startswith(f"mcproxyctl: no mcproxy answers at unix:{tmp_path}/gone.sock: is it running?")
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize("args", [["--timeout", "5"], ["--no-such-option"]])
    def test_wrong_usage(self, ctl_run: Ctl, args: list[str]) -> None:
        """Behind and before the command alike."""
        assert ctl_run("status", *args).status == 2
        assert ctl_run(*args, "status").status == 2
