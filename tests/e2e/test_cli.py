"""The installed command in a process of its own, and what it makes used by real programs."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from mcproxy.cli.common.command_line import Command, find, read
from mcproxy.cli.server.app import app, main
from tests.support.certificates import Leaf
from tests.support.ctl import run_command
from tests.support.curl import curl
from tests.support.openssl import openssl_client, start_openssl_server
from tests.support.processes import Processes
from tests.support.proxy import ROOT


def mcproxy(*args: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MCPROXY_CONFIG"}
    return subprocess.run(
        [sys.executable, "-m", "mcproxy", *args],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_help_lists_the_commands_and_exit_codes(tmp_path: Path) -> None:
    """`mcproxy --help` shows every command and what the exit status means."""
    result = mcproxy("--help", cwd=tmp_path)
    assert result.returncode == 0
    for command in ("serve", "validate-config", "plan", "explain", "schema", "init", "dev-certs", "demo"):
        assert f"\n  {command} " in result.stdout
    assert "2 wrong usage" in result.stdout


@pytest.mark.parametrize("name", [name for name in app.commands if name != "help"])
def test_a_commands_help_has_examples_that_can_be_read(name: str) -> None:
    """In the width of the terminal, and in no words of the language it is written in."""
    result = run_command(main, name, "--help")
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: mcproxy {name} ")
    told, _, examples = result.stdout.partition("\nExample")
    assert max(map(len, told.splitlines())) <= 80
    assert not re.search(r"\bNone\b|<\w+>|\[\[|list\[|Path\b|\bTrue\b|\bFalse\b", told)
    lines = re.findall(r"^  mcproxy ([^<>\n]+)", examples, re.MULTILINE)
    assert lines
    for line in lines:
        found, path, words = find(app, shlex.split(line))
        assert isinstance(found, Command)
        assert path == ["mcproxy", name]
        read(found.parameters, words)


def test_the_recipe_for_generated_files_works_as_printed(tmp_path: Path) -> None:
    """A valid result takes the file's place; a wrong one is told, and the file stays."""
    (recipe,) = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "docs" / "config.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    template = '[[listeners]]\naddr = ":8443"\n[[listeners.routes]]\nhostname = "*"\nbackend = "@APP@"\n'
    (tmp_path / "mc-proxy.toml.in").write_text(template, encoding="utf-8")
    shell = tmp_path / "bin"
    shell.mkdir()
    (shell / "mcproxy").write_text(f'#!/bin/sh\nexec {sys.executable} -m mcproxy "$@"\n', encoding="utf-8")
    (shell / "mcproxy").chmod(0o755)
    environment = {"PATH": f"{shell}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for backend, status in (("127.0.0.1:9", 0), ("127.0.0.1", 1)):
        command = ["sh", "-e", "-c", recipe]
        result = subprocess.run(
            command,
            cwd=tmp_path,
            env={**environment, "APP": backend},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (result.returncode, "<stdin>:5:1" in result.stdout) == (status, status == 1), result
    assert 'backend = "127.0.0.1:9"' in (tmp_path / "mc-proxy.toml").read_text(encoding="utf-8")


def test_who_reads_only_the_beginning_is_no_error(tmp_path: Path) -> None:
    """As in `mcproxy schema | head -1`: nothing on standard error, whether the output fits into a pipe or not."""
    for words in (["--help"], ["schema", "--markdown"]):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run(
            [sys.executable, "-m", "mcproxy", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
        os.close(writer)
        assert (result.returncode, result.stderr) == (1, b""), words


@pytest.mark.parametrize(
    ("redirection", "status", "told"),
    [
        ("> /dev/full", 1, "mcproxy: standard output: No space left on device\n"),
        (">&- <&-", 0, ""),
        (">&- 2>&-", 0, ""),
    ],
)
def test_output_that_goes_nowhere(tmp_path: Path, redirection: str, status: int, told: str) -> None:
    """A full disk is told, once; streams that are closed are none of ours, and no file is taken for one of them."""
    file = tmp_path / "mc-proxy.toml"
    ran = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "-", sys.executable, "-m", "mcproxy", "init", str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (status, told)
    assert file.read_text(encoding="utf-8").startswith("# mcproxy configuration")
    assert "written" not in file.read_text(encoding="utf-8")


def test_help_and_validation_load_nothing_slow(tmp_path: Path) -> None:
    """Neither help nor validate-config imports what only other commands need."""
    (tmp_path / "mc-proxy.toml").write_text('[[listeners]]\naddr = ":8443"\n', encoding="utf-8")
    program = (
        "import sys\nfrom mcproxy.cli.server.app import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "slow = {'rich', 'cryptography', 'structlog', 'watchfiles', 'uvloop', 'asyncio'} & set(sys.modules)\n"
        "print('slow:', *sorted(slow), file=sys.stderr)\n"
    )
    for args in (["--help"], ["validate-config", "mc-proxy.toml"]):
        result = subprocess.run(
            [sys.executable, "-c", program, *args],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert result.stderr.splitlines()[-1].strip() == "slow:", args


@pytest.mark.parametrize(
    ("text", "status"), [('[[listeners]]\naddr = ":8443"\n', 0), ("[[listeners]]\naddr = 1\n", 1), (None, 1)]
)
def test_exit_status_of_validation(tmp_path: Path, text: str | None, status: int) -> None:
    """0 for a valid file, 1 for an invalid or missing one, never a traceback."""
    if text is not None:
        (tmp_path / "mc-proxy.toml").write_text(text, encoding="utf-8")
    result = mcproxy("validate-config", "mc-proxy.toml", cwd=tmp_path)
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_usage_is_status_2(tmp_path: Path) -> None:
    """An unknown option is wrong usage."""
    assert mcproxy("validate-config", "--nope", cwd=tmp_path).returncode == 2


def test_the_development_config_is_valid(tmp_path: Path) -> None:
    """srv/mc-proxy.toml passes the strict check from any working folder."""
    result = mcproxy("validate-config", "--strict", str(ROOT / "srv/mc-proxy.toml"), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")


def test_the_development_config_names_its_schema() -> None:
    """The first line of srv/mc-proxy.toml leads editors to the generated schema."""
    config = ROOT / "srv/mc-proxy.toml"
    first = config.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("#:schema ")
    assert (config.parent / first.removeprefix("#:schema ")).resolve() == ROOT / "schemas/mc-proxy.schema.json"


def test_explain_of_the_development_config(tmp_path: Path) -> None:
    """The longer of two wildcards decides, and the step names its line."""
    config = ROOT / "srv/mc-proxy.toml"
    result = mcproxy(
        *("explain", str(config), "--sni", "x.stable.dev.localhost", "--listener", "127.0.0.1:8443", "--json"),
        cwd=tmp_path,
    )
    route = next(step for step in json.loads(result.stdout) if step["step"] == "route")
    lines = config.read_text(encoding="utf-8").splitlines()
    near = lines[route["origin"]["line"] - 1 : route["origin"]["line"] + 1]
    assert 'hostname = "*.stable.dev.localhost"' in near


def test_errors_of_the_system_are_one_line(tmp_path: Path) -> None:
    """A file that cannot be written is told in one line, status 1."""
    result = mcproxy("init", str(tmp_path / "missing" / "mc-proxy.toml"), cwd=tmp_path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "No such file" in result.stderr


def test_dev_certs_serve_real_clients(processes: Processes, tmp_path: Path) -> None:
    """A server with a dev certificate is trusted by curl and openssl through the dev CA, for all its names."""
    result = mcproxy("dev-certs", "app.localhost", "--dir", "certs", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "certs"
    leaf = Leaf(folder / "app.localhost.crt", folder / "app.localhost.key")
    server = start_openssl_server(processes, leaf, mode="-www")
    address = ("127.0.0.1", server.port)
    for name in ("app.localhost", "api.app.localhost", "localhost"):
        assert curl(name, address, folder / "ca.crt").status == 0
    request = b"GET / HTTP/1.0\r\n\r\n"
    assert openssl_client(address, "app.localhost", folder / "ca.crt", data=request).returncode == 0
    assert openssl_client(address, "other.localhost", folder / "ca.crt", data=request).returncode == 1
    assert curl("other.localhost", address, folder / "ca.crt").status == 60


def test_a_refused_name_is_one_line(tmp_path: Path) -> None:
    """A name that is no host name is told in one line, status 1."""
    result = mcproxy("dev-certs", "a b", "--dir", "certs", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("mcproxy: ")
    assert len(result.stderr.splitlines()) == 1


def on_a_terminal(*args: str, cwd: Path) -> tuple[int, list[str]]:
    """Run a command whose output is a terminal of 80 columns; return its status and lines, without colours."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "mcproxy", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # the terminal's end, where nobody has it open any more
        while piece := os.read(leader, 65536):
            output += piece
    os.close(leader)
    status = process.wait(30)
    return status, [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", output.decode()).splitlines()]


def test_a_mistake_is_marked_in_its_line_on_a_terminal(tmp_path: Path) -> None:
    """By validate-config and by serve, in the file that it stands in; a pipe gets the plain lines."""
    included = '\ufeff[log]\r\nlevel = "warn"\r\n'
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/more.toml").write_bytes(included.encode())
    (tmp_path / "conf.d/more.toml~").write_bytes(b"\xff")
    text = 'include = ["conf.d/*"]\n[[listeners]]\naddr = "::1:8443"\n\tmax_conections = 5\n'
    (tmp_path / "mc-proxy.toml").write_text(text, encoding="utf-8")
    plain = mcproxy("validate-config", "mc-proxy.toml", cwd=tmp_path)
    note, *errors = plain.stdout.splitlines()
    assert note.startswith("mc-proxy.toml:1:12: note: include[0]: ")
    assert [error.partition(": error: ")[0] for error in errors] == [
        "mc-proxy.toml:3:8",
        "mc-proxy.toml:4:2",
        "conf.d/more.toml:2:9",
    ]
    assert '"[::1]:8443"' in errors[0]
    assert 'did you mean "max_connections"?' in errors[1]
    assert 'did you mean "warning"?' in errors[2]
    status, lines = on_a_terminal("validate-config", "mc-proxy.toml", cwd=tmp_path)
    assert status == plain.returncode == 1
    marks = [(lines[place - 1], line) for place, line in enumerate(lines) if line.endswith("^")]
    assert [shown.partition(" | ")[2] for shown, _ in marks] == [
        'include = ["conf.d/*"]',
        'addr = "::1:8443"',
        "    max_conections = 5",
        'level = "warn"',
    ]
    for (shown, mark), place in zip(marks, ('"conf', '"::1', "max", '"warn'), strict=True):
        assert mark.index("^") == shown.index(place)
    status, lines = on_a_terminal("serve", "--config", "mc-proxy.toml", cwd=tmp_path)
    assert status == 1
    assert [line.partition(" | ")[2] for line in lines if " | " in line and "^" not in line][1:] == [
        'addr = "::1:8443"',
        "    max_conections = 5",
        'level = "warn"',
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[proxy]\nuser = “nobody”\n".encode(), "2:8: error: not valid TOML: there is “ (U+201C LEFT DOUBLE QUOTATION MARK)"),
        (b"[grpc]\r\nsocket_mode = 0600\r\n", '2:15: error: not valid TOML: a number has no zeros in front: write "0600"'),
        (b"[proxy]\nworkers = 1\n\n[proxy]\nuser = ''\n", "4:1: error: not valid TOML: [proxy] is already there, in line 1"),
        ("[proxy]\n".encode("utf-16"), "1:1: error: is not UTF-8 text: it is UTF-16"),
        (b"<<<<<<< HEAD\n[proxy]\n", "1:1: error: not valid TOML: this is the mark of a merge conflict"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_toml_is_told_why(content: bytes, said: str, tmp_path: Path) -> None:
    """One line, with the place and the cause."""
    (tmp_path / "mc-proxy.toml").write_bytes(content)
    result = run_command(main, "validate-config", str(tmp_path / "mc-proxy.toml"))
    assert (result.status, result.stdout.count("\n")) == (1, 1)
    assert result.stdout.startswith(f"{tmp_path / 'mc-proxy.toml'}:{said}")
