"""`mcproxyctl` as a whole: what its help and its documentation say, where it looks for the server, completion."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from mcproxy.cli.ctl import app as command_line
from mcproxy.model.state.route_options import RouteOptions
from tests.support.canned_admin import CannedAdmin
from tests.support.ctl import Ctl
from tests.support.proxy import ROOT

DOCUMENTED = (ROOT / "docs/cli.md").read_text(encoding="utf-8")

SHARED = {
    *("--json", "--addr", "--config", "--timeout", "--tls-ca", "--tls-cert", "--tls-key", "--help"),
    *("--author", "--reason", "--expires", "--request-id", "--expect-generation"),
}
"""Options that the documentation tells once for all commands."""


def commands() -> dict[str, Any]:
    """Return every command by its name, behind that of its group."""
    found: dict[str, Any] = {}

    def walk(group: Any, before: str) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, f"{before}{name} ")
            else:
                found[before + name] = command

    walk(typer.main.get_command(command_line.app), "")
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
        taken = [one for one in command.params if one.param_type_name == "argument"]
        names = [one.metavar + ("..." if one.nargs != 1 else "") for one in taken]
        assert arguments.split() == [
            name if one.required else f"[{name}]" for one, name in zip(taken, names, strict=True)
        ]
        options = {option for one in command.params for option in one.opts if option.startswith("--")}
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
    assert re.search(r"3 \(drift\s+alone\)", result.stdout)


@pytest.mark.parametrize("name", ["status", "routes list", "routes add", "events"])
def test_a_commands_help_tells_of_the_connection(ctl_run: Ctl, name: str) -> None:
    """And of the program's name, however it was started."""
    result = ctl_run(*name.split(" "), "-h")
    assert result.status == 0
    assert f"Usage: mcproxyctl {name} " in result.stdout
    assert "--addr ADDR" in result.stdout
    assert "--json" in result.stdout


def test_version(ctl_run: Ctl) -> None:
    """--version prints name and version."""
    assert ctl_run("--version").stdout == "mcproxyctl 0.1.0\n"


def test_help_loads_nothing_slow() -> None:
    """Nor does wrong usage: gRPC, protobuf and rich are for commands that need them."""
    program = (
        "import sys\nfrom mcproxy.cli.ctl.app import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "slow = {'grpc', 'google', 'rich', 'asyncio', 'cryptography', 'ssl'} & set(sys.modules)\n"
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
