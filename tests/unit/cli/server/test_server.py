"""The command line in process: usage, and what each command prints and returns."""

import gzip
import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mcproxy.cli.server.app import main
from mcproxy.cli.server.starter import starter
from mcproxy.client.target import DEFAULT_ADDR
from mcproxy.control.system import data_path
from tests.support.ctl import Result, run_command
from tests.support.proxy import ROOT

VALID = """\
[[listeners]]
addr = "127.0.0.1:8443"
[[listeners.routes]]
hostname = "app.example.com"
backend = "127.0.0.1:9001"
[[listeners.routes]]
hostname = "*.example.com"
backend = "127.0.0.1:9002"
[[listeners]]
addr = "[::1]:8443"
[[listeners.routes]]
hostname = "*"
backend = "127.0.0.1:9003"
"""

BROKEN = """\
[proxy]
idle_timeuot = "5m"
[[listeners]]
addr = "127.0.0.1:8443"
[[listeners.routes]]
hostname = "app.example.com"
backend = "127.0.0.1"
"""

WARNED = VALID.replace(
    'backend = "127.0.0.1:9001"', 'backend = "127.0.0.1:9001"\ntls_cert = "a.crt"\ntls_key = "a.key"'
)

LINE = b'{"listener":"127.0.0.1:8443","client":"192.0.2.1:5","reason":"complete"}\n'
ZIPPED = gzip.compress(LINE * 9, mtime=0)
NONE_OF_A_LOG = "a.log: no line is one of an access log; mcproxy writes it by [log] access"

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCPROXY_CONFIG", raising=False)
    return lambda *args, **more: run_command(main, *args, **more)


def save(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "args",
    [
        ["unknown-command"],
        ["validate-config", "--unknown-option"],
        ["validate-config"],
        ["plan", "new.toml"],
        ["explain"],
        ["explain", "x.toml", "--listener", "nonsense"],
        ["explain", "x.toml", "--ip", "300.1.1.1"],
        ["explain", "x.toml", "--header", "no colon"],
    ],
)
def test_wrong_usage_is_status_2(run: Run, args: list[str]) -> None:
    """What the command line itself gets wrong is told apart from a wrong config file."""
    result = run(*args)
    assert result.status == 2
    assert result.stdout == ""
    assert result.stderr


def test_version(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """--version prints name and version, and whether the native core is there, or why not."""
    monkeypatch.setattr(data_path, "told", lambda: ("native", ""))
    result = run("--version")
    assert (result.status, result.stdout) == (0, "mcproxy 0.1.0\ndata path: native\n")
    monkeypatch.setattr(data_path, "told", lambda: ("python", "there is no C compiler"))
    assert run("version").stdout == "mcproxy 0.1.0\ndata path: python (there is no C compiler)\n"


class TestValidateConfig:
    def test_a_valid_file(self, run: Run) -> None:
        """A valid file prints nothing on stdout and a summary on stderr."""
        save("mc-proxy.toml", VALID)
        result = run("validate-config", "mc-proxy.toml")
        assert (result.status, result.stdout) == (0, "")
        assert result.stderr == "mc-proxy.toml: valid: 2 listeners, 3 routes\n"

    def test_a_note_is_no_warning(self, run: Run) -> None:
        """It is printed, and counted as nothing, also with --strict."""
        save("mc-proxy.toml", 'include = ["conf.d/*"]\n' + VALID)
        save("conf.d/a.toml", "")
        save("conf.d/a.toml~", "not TOML")
        for arguments in ((), ("--strict",)):
            result = run("validate-config", "mc-proxy.toml", *arguments)
            assert (result.status, result.stderr) == (0, "mc-proxy.toml: valid: 2 listeners, 3 routes\n")
            assert result.stdout.startswith("mc-proxy.toml:1:12: note: include[0]: ")
            assert "a.toml~ is skipped" in result.stdout

    def test_every_problem_is_a_line_with_its_place(self, run: Run) -> None:
        """All problems of one run: path as given, line, column, severity, key, message; then their number."""
        save("etc/mc-proxy.toml", BROKEN)
        result = run("validate-config", "etc/mc-proxy.toml")
        assert result.status == 1
        lines = result.stdout.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("etc/mc-proxy.toml:2:1: error: proxy.idle_timeuot: ")
        assert "idle_timeout" in lines[0]
        assert lines[1].startswith("etc/mc-proxy.toml:7:")
        assert result.stderr == "2 errors\n"

    def test_json_is_a_list_of_objects(self, run: Run) -> None:
        """--json prints the same problems with their parts as fields."""
        save("mc-proxy.toml", BROKEN)
        result = run("validate-config", "mc-proxy.toml", "--json")
        assert result.status == 1
        problems = json.loads(result.stdout)
        assert [(problem["file"], problem["line"], problem["severity"]) for problem in problems] == [
            ("mc-proxy.toml", 2, "error"),
            ("mc-proxy.toml", 7, "error"),
        ]
        assert set(problems[0]) == {"file", "line", "column", "severity", "key", "message"}

    def test_json_of_a_valid_file_is_an_empty_list(self, run: Run) -> None:
        """Machines get a list in every case."""
        save("mc-proxy.toml", VALID)
        assert json.loads(run("validate-config", "mc-proxy.toml", "--json").stdout) == []

    def test_warnings_leave_a_file_valid(self, run: Run) -> None:
        """A file with warnings alone prints them, is valid, and the summary counts them."""
        save("mc-proxy.toml", WARNED)
        result = run("validate-config", "mc-proxy.toml")
        assert result.status == 0
        assert ": warning: " in result.stdout
        count = len(result.stdout.splitlines())
        assert result.stderr.endswith(f"3 routes, {count} warning{'s' if count > 1 else ''}\n")

    def test_strict_turns_warnings_into_errors(self, run: Run) -> None:
        """With --strict the same file is invalid, and its warnings are printed as errors."""
        save("mc-proxy.toml", WARNED)
        result = run("validate-config", "--strict", "mc-proxy.toml")
        assert result.status == 1
        assert ": error: " in result.stdout
        assert ": warning: " not in result.stdout

    def test_several_files_are_judged_each_by_itself(self, run: Run) -> None:
        """One bad file among good ones makes the status 1 and is told from the others."""
        save("good.toml", VALID)
        save("bad.toml", BROKEN)
        result = run("validate-config", "good.toml", "bad.toml", "missing.toml")
        assert result.status == 1
        assert {line.partition(":")[0] for line in result.stdout.splitlines()} == {"bad.toml", "missing.toml"}
        assert result.stderr.splitlines() == ["good.toml: valid: 2 listeners, 3 routes", "3 errors"]

    def test_standard_input_is_a_file_of_the_working_folder(self, run: Run) -> None:
        """Its includes start there, and its problems have a name too; a file of the same name is not read."""
        save("-", BROKEN)
        save("conf.d/a.toml", '[[routes]]\nlistener = "[::1]:8443"\nhostname = "a.example"\nbackend = "x:1"\n')
        result = run("validate-config", "-", stdin=('include = ["conf.d/*.toml"]\n' + VALID).encode())
        assert (result.status, result.stdout) == (0, "")
        assert result.stderr == "<stdin>: valid: 2 listeners, 4 routes\n"
        result = run("validate-config", "--json", "-", stdin=BROKEN.encode())
        assert result.status == 1
        assert [(problem["file"], problem["line"]) for problem in json.loads(result.stdout)] == [
            ("<stdin>", 2),
            ("<stdin>", 7),
        ]
        result = run("validate-config", "-", stdin=b"# \xff")
        assert (result.status, result.stdout[:13]) == (1, "<stdin>:1:1: ")

    def test_problems_of_an_included_file_name_that_file(self, run: Run) -> None:
        """An include's path is printed relative to the working folder."""
        save("etc/mc-proxy.toml", 'include = ["conf.d/*.toml"]\n')
        save("etc/conf.d/bad.toml", '[log]\nlevel = "loud"\n')
        result = run("validate-config", "etc/mc-proxy.toml")
        assert result.status == 1
        assert result.stdout.startswith("etc/conf.d/bad.toml:2:")

    def test_toml_syntax_error(self, run: Run) -> None:
        """Text that is no TOML is one problem at its place."""
        save("mc-proxy.toml", "[proxy]\nworkers = = 2\n")
        result = run("validate-config", "mc-proxy.toml")
        assert result.status == 1
        assert result.stdout.startswith("mc-proxy.toml:2:")

    @pytest.mark.parametrize("how", ["option", "environment"])
    def test_the_file_may_come_from_the_shared_option(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """--config or MCPROXY_CONFIG name the file where no argument does."""
        save("mc-proxy.toml", VALID)
        if how == "environment":
            monkeypatch.setenv("MCPROXY_CONFIG", "mc-proxy.toml")
        result = run("validate-config", *(["--config", "mc-proxy.toml"] if how == "option" else []))
        assert result.stderr == "mc-proxy.toml: valid: 2 listeners, 3 routes\n"


class TestPlan:
    NEW = VALID.replace("127.0.0.1:9001", "127.0.0.1:9009").replace("*.example.com", "new.example.com")

    def test_shows_what_the_new_file_changes(self, run: Run) -> None:
        """`plan NEW --against OLD`: one line per operation with its sign, then the summary."""
        save("old.toml", VALID)
        save("new.toml", self.NEW)
        result = run("plan", "new.toml", "--against", "old.toml")
        assert result.status == 0
        *operations, summary = result.stdout.splitlines()
        assert sorted(line[0] for line in operations) == ["+", "-", "~"]
        changed = next(line for line in operations if line.startswith("~"))
        assert "app.example.com" in changed
        assert "127.0.0.1:9001 -> 127.0.0.1:9009" in changed
        assert "(new.toml:3)" in changed
        assert summary == "1 added, 1 changed, 1 removed"

    def test_the_exit_status_tells_of_changes_when_it_is_asked(self, run: Run) -> None:
        """3 if anything would change; else as ever, and 1 where a file is invalid."""
        save("old.toml", VALID)
        save("new.toml", VALID.replace("9002", "9009"))
        assert run("plan", "new.toml", "--against", "old.toml").status == 0
        assert run("plan", "new.toml", "--against", "old.toml", "--exit-code").status == 3
        assert run("plan", "new.toml", "--against", "old.toml", "--exit-code", "--json").status == 3
        assert run("plan", "old.toml", "--against", "old.toml", "--exit-code").status == 0
        save("new.toml", BROKEN)
        assert run("plan", "new.toml", "--against", "old.toml", "--exit-code").status == 1

    @pytest.mark.parametrize(
        ("log", "told"),
        [
            (None, "a.log: cannot be read: No such file or directory"),
            (ZIPPED[:-9], "a.log: cannot be read: damaged: Compressed file ended before the end-of-stream marker was reached"),
            (ZIPPED[:10] + b"\xff" * 30, "a.log: cannot be read: damaged: Error -3 while decompressing data: invalid block type"),
            (ZIPPED + b"junk", "a.log: cannot be read: damaged: Not a gzipped file (b'ju')"),
            (b'127.0.0.1 - - [28/Nov/2026:13:00:00 +0000] "GET / HTTP/1.1" 200 3\n', NONE_OF_A_LOG),
            (b"[" * 50_000 + b"\n" + b'{"a":' * 50_000 + b"\n\xff\n5\n", NONE_OF_A_LOG),
        ],
        ids=["absent", "cut", "broken", "junk", "another format", "nested"],
    )  # fmt: skip
    def test_a_log_that_tells_nothing_fails(self, run: Run, log: bytes | None, told: str) -> None:
        """Names the log: a pipeline would else take it for a change that nobody notices."""
        save("old.toml", VALID)
        if log is not None:
            Path("a.log").write_bytes(log)
        for form in ((), ("--json",)):
            result = run("plan", "old.toml", "--against", "old.toml", "--exit-code", "--traffic", "a.log", *form)
            assert (result.status, result.stdout, result.stderr) == (1, "", f"mcproxy: {told}\n")

    def test_a_damaged_line_is_left_out(self, run: Run) -> None:
        """Also one that is nested more deeply than any reader goes, and one that is longer than any, which is one line all the same."""
        save("old.toml", VALID)
        Path("a.log").write_bytes(b'{"a":' * 12_000 + b"\n" + LINE + LINE[:-1] * 5_000 + b"\n")
        result = run("plan", "old.toml", "--against", "old.toml", "--exit-code", "--traffic", "a.log")
        assert (result.status, result.stderr) == (0, "2 lines are none of an access log\n")
        assert "0 of 1 requests would change" in result.stdout

    def test_the_other_direction_is_the_reverse(self, run: Run) -> None:
        """Swapping the files swaps additions and removals."""
        save("old.toml", VALID)
        save("new.toml", self.NEW)
        back = run("plan", "old.toml", "--against", "new.toml").stdout
        assert "127.0.0.1:9009 -> 127.0.0.1:9001" in back
        assert [line.split()[:4] for line in back.splitlines() if line.startswith("+")] == [
            ["+", "route", "127.0.0.1:8443", "*.example.com"]
        ]

    def test_equal_files_have_an_empty_plan(self, run: Run) -> None:
        """Order and comments are no change."""
        save("old.toml", VALID)
        blocks = VALID.split("[[listeners.routes]]\n")
        save(
            "new.toml",
            "# moved\n"
            + "[[listeners.routes]]\n".join([blocks[0], blocks[2].split("[[listeners]]")[0], blocks[1]])
            + "[[listeners]]"
            + VALID.split("[[listeners]]")[2],
        )
        result = run("plan", "new.toml", "--against", "old.toml")
        assert (result.status, result.stdout) == (0, "no changes\n")

    def test_json(self, run: Run) -> None:
        """--json prints operations with kind, key, old and new value."""
        save("old.toml", VALID)
        save("new.toml", self.NEW)
        plan = json.loads(run("plan", "new.toml", "--against", "old.toml", "--json").stdout)
        assert plan["summary"] == "1 added, 1 changed, 1 removed"
        (change,) = (each for each in plan["operations"] if each["action"] == "change")
        assert (change["kind"], change["key"]) == ("route", ["127.0.0.1:8443", "app.example.com"])
        assert change["old"]["endpoints"][0]["port"] == 9001
        assert change["new"]["endpoints"][0]["port"] == 9009

    def test_a_candidate_elsewhere_is_taken_to_stand_where_the_old_file_is(self, run: Run) -> None:
        """What is relative, if only by default, and what is included, is no change; secrets need not be there."""
        included = '[[listeners.routes]]\nhostname = "app.example.com"\nbackend = "127.0.0.1:1"\n'
        text = """\
include = ["conf.d/*.toml"]
[[listeners]]
addr = ":1"
[[listeners.routes]]
hostname = "web.example.com"
backend = "127.0.0.1:1"
mode = "l7"
tls_cert = "web.crt"
tls_key = "web.key"
"""
        save("live/old.toml", text)
        save("live/conf.d/more.toml", f'[[listeners]]\naddr = ":2"\n{included}')
        save("candidates/new.toml", text.replace("127.0.0.1:1", "127.0.0.1:2"))
        result = run("plan", "candidates/new.toml", "--against", "live/old.toml")
        assert result.status == 0
        change, summary = result.stdout.splitlines()
        assert change.startswith("~ route :1 web.example.com  endpoints: 127.0.0.1:1 -> 127.0.0.1:2")
        assert change.endswith("(new.toml:4)")
        assert summary == "1 changed"
        save("candidates/new.toml", text.replace("mode", "mood"))
        assert run("plan", "candidates/new.toml", "--against", "live/old.toml").stderr.startswith(
            "candidates/new.toml:7:1: error: "
        )

    @pytest.mark.parametrize("broken", ["old.toml", "new.toml"])
    def test_an_invalid_file_has_no_plan(self, run: Run, broken: str) -> None:
        """If either file is invalid its problems are printed on stderr, and stdout stays empty."""
        save("old.toml", BROKEN if broken == "old.toml" else VALID)
        save("new.toml", BROKEN if broken == "new.toml" else VALID)
        result = run("plan", "new.toml", "--against", "old.toml")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr.startswith(f"{broken}:2:1: error: ")


class TestExplain:
    def steps(self, run: Run, *args: str) -> list[dict[str, Any]]:
        result = run("explain", "mc-proxy.toml", *args, "--json")
        assert result.status == 0
        steps = json.loads(result.stdout)
        assert isinstance(steps, list)
        return steps

    @pytest.mark.parametrize(
        ("sni", "line", "backend"),
        [
            ("app.example.com", 3, "127.0.0.1:9001"),
            ("APP.Example.COM.", 3, "127.0.0.1:9001"),
            ("other.example.com", 6, "127.0.0.1:9002"),
            ("a.b.example.com", 6, "127.0.0.1:9002"),
        ],
    )
    def test_names_the_line_that_decides(self, run: Run, sni: str, line: int, backend: str) -> None:
        """The route step points at the route's place in the file, the backend step says where it leads."""
        save("mc-proxy.toml", VALID)
        steps = self.steps(run, "--sni", sni, "--listener", "127.0.0.1:8443")
        assert [step["step"] for step in steps] == ["listener", "hello", "route", "backend"]
        assert {step["outcome"] for step in steps} == {"ok"}
        route = steps[2]
        assert route["origin"]["file"] == "mc-proxy.toml"
        assert route["origin"]["line"] == line
        assert backend in steps[3]["detail"]

    @pytest.mark.parametrize("args", [["--sni", "example.com"], ["--sni", "nowhere.test"], []])
    def test_a_refusal_is_the_last_step(self, run: Run, args: list[str]) -> None:
        """Without a matching route (the apex of a wildcard, another name, no SNI) the connection is reset."""
        save("mc-proxy.toml", VALID)
        steps = self.steps(run, *args, "--listener", "127.0.0.1:8443")
        assert (steps[-1]["step"], steps[-1]["outcome"]) == ("route", "refused")

    def test_without_listener_each_is_walked(self, run: Run) -> None:
        """The default route of the second listener takes a name that the first refuses."""
        save("mc-proxy.toml", VALID)
        steps = self.steps(run, "--sni", "nowhere.test")
        assert [(step["step"], step["outcome"]) for step in steps] == [
            ("listener", "ok"),
            ("hello", "ok"),
            ("route", "refused"),
            ("listener", "ok"),
            ("hello", "ok"),
            ("route", "ok"),
            ("backend", "ok"),
        ]

    def test_an_unknown_listener_is_refused_with_the_known_ones(self, run: Run) -> None:
        """Nothing accepts on an address without a listener; the step names those that exist."""
        save("mc-proxy.toml", VALID)
        (step,) = self.steps(run, "--sni", "app.example.com", "--listener", ":9")
        assert step["outcome"] == "refused"
        assert "127.0.0.1:8443" in step["detail"]

    def test_a_client_of_the_other_family_never_arrives(self, run: Run) -> None:
        """An IPv6 client cannot reach an IPv4 listener, but the one on ::1."""
        save("mc-proxy.toml", VALID)
        steps = self.steps(run, "--sni", "app.example.com", "--ip", "2001:db8::1")
        assert [step["outcome"] for step in steps if step["step"] == "listener"] == ["refused", "ok"]

    def test_the_table_has_a_line_per_step(self, run: Run) -> None:
        """For people: a header and one line per step, ending in the place that decided."""
        save("mc-proxy.toml", VALID)
        lines = run("explain", "mc-proxy.toml", "--sni", "app.example.com", "--listener", "127.0.0.1:8443").stdout
        header, listener, hello, route, backend = lines.splitlines()
        assert header.split() == ["STEP", "OUTCOME", "WHY", "DECIDED", "BY"]
        assert listener.startswith("listener  ok ")
        assert hello.endswith("server name app.example.com")
        assert "mc-proxy.toml:" in route.split()[-1]
        assert "127.0.0.1:9001" in backend

    def test_a_request_is_explained_without_the_secrets_that_the_file_names(self, run: Run) -> None:
        """--alpn, --method, --path and --header ask about a request of an l7 route."""
        save(
            "mc-proxy.toml",
            """\
[[listeners]]
addr = ":1"
[[listeners.routes]]
hostname = "web.example.com"
backend = "127.0.0.1:1"
mode = "l7"
tls_cert = "web.crt"
tls_key = "web.key"
[[listeners.routes.l7_policies]]
type = "require_header"
value = "X-Env: prod"
""",
        )
        ask = ("--sni", "web.example.com", "--alpn", "http/1.1", "--alpn", "h2", "--method", "POST", "--path", "/x?y")
        steps = self.steps(run, *ask, "--header", "X-Env:  prod ")
        assert {step["step"]: step["outcome"] for step in steps}["policy"] == "ok"
        assert [step["detail"] for step in steps if step["step"] == "alpn"] == ["h2 is offered: HTTP/2"]
        last = self.steps(run, *ask, "--header", "X-Env: test")[-1]
        assert (last["step"], last["outcome"], last["origin"]["line"]) == ("policy", "refused", 9)

    def test_an_invalid_file_is_not_explained(self, run: Run) -> None:
        """The problems go to stderr, the status is 1."""
        save("mc-proxy.toml", BROKEN)
        result = run("explain", "mc-proxy.toml", "--sni", "app.example.com")
        assert (result.status, result.stdout) == (1, "")
        assert ":2:1: error: " in result.stderr


class TestSchema:
    def test_is_a_json_schema_that_accepts_a_valid_config(self, run: Run) -> None:
        """The output is a valid JSON Schema; it accepts what validate-config accepts and refuses an unknown key."""
        result = run("schema")
        assert result.status == 0
        schema = json.loads(result.stdout)
        validator = jsonschema.validators.validator_for(schema)
        validator.check_schema(schema)
        good = json.loads('{"listeners": [{"addr": ":1", "routes": [{"hostname": "*", "backend": "a:1"}]}]}')
        validator(schema).validate(good)
        assert not validator(schema).is_valid({"listeners": [{"adr": ":1"}]})


class TestInit:
    @pytest.mark.parametrize("args", [(), ("--l7", "www.example.com"), ("--l7", "*.example.com")])
    def test_the_starter_file_is_valid_without_a_warning(self, run: Run, args: tuple[str, ...]) -> None:
        """What init writes passes validate-config --strict, with the certificate that it says how to make."""
        written = run("init", *args)
        assert written.status == 0
        for line in re.findall(r"mcproxy (dev-certs .*)", written.stdout):
            assert run(*shlex.split(line)).status == 0
        result = run("validate-config", "--strict", "mc-proxy.toml")
        assert (result.status, result.stdout) == (0, "")

    def test_a_site_is_served_as_named(self, run: Run) -> None:
        """With --l7 the file's one route ends TLS for the name, with the certificate of its own."""
        run("init", "--l7", "WWW.Example.com")
        (listener,) = tomllib.loads(Path("mc-proxy.toml").read_text(encoding="utf-8"))["listeners"]
        (route,) = listener["routes"]
        assert (listener["addr"], route["hostname"], route["mode"]) == (":8443", "www.example.com", "l7")
        assert route["tls_cert"] == "certs/www.example.com.crt"

    @pytest.mark.parametrize("name", ["a..b", "*", "", "-x.com"])
    def test_what_is_no_site_is_wrong_usage(self, run: Run, name: str) -> None:
        """Nothing is written."""
        result = run("init", f"--l7={name}")
        assert result.status == 2
        assert "--l7" in result.stderr
        assert not Path("mc-proxy.toml").exists()

    @pytest.mark.parametrize("l7", [None, "www.example.com"])
    def test_below_etc_it_is_for_the_service(self, l7: str | None) -> None:
        """The unit may write to these folders alone, and mcproxyctl looks for the socket there."""
        values = tomllib.loads(starter(Path("/etc/mcproxy/mc-proxy.toml"), l7))
        assert f"unix:{values['grpc']['socket']}" == DEFAULT_ADDR
        assert values["database"]["path"] == "/var/lib/mcproxy/mc-proxy.db"
        assert values["listeners"][0]["addr"] == ":443"
        unit = resources.files("mcproxy").joinpath("assets/mcproxy.service").read_text(encoding="utf-8")
        assert "\nStateDirectory=mcproxy\n" in unit
        assert "\nRuntimeDirectory=mcproxy\n" in unit

    def test_the_status_page_is_on(self, run: Run) -> None:
        """On loopback, and init says where."""
        assert "http://127.0.0.1:9090/" in run("init").stdout
        values = tomllib.loads(Path("mc-proxy.toml").read_text(encoding="utf-8"))
        assert values["metrics"]["addr"] == "127.0.0.1:9090"

    @pytest.mark.parametrize("args", [(), ("--l7", "www.example.com")])
    def test_the_starter_file_shows_the_true_defaults(self, run: Run, args: tuple[str, ...]) -> None:
        """Enabling every commented key changes no setting: they show their defaults."""
        run("init", "starter.toml", *args)
        text = Path("starter.toml").read_text(encoding="utf-8")
        enabled = [
            line.removeprefix("# ") if line.startswith("# ") and " = " in line and "#" in line[2:] else line
            for line in text.splitlines()
        ]
        assert sum(new != old for new, old in zip(enabled, text.splitlines(), strict=True)) >= 7
        save("enabled.toml", "\n".join(enabled))
        assert run("plan", "enabled.toml", "--against", "starter.toml").stdout == "no changes\n"

    @pytest.mark.parametrize("args", [(), ("--l7", "www.example.com"), ("--l7", "*.example.com")])
    def test_the_test_in_the_starter_file_holds(self, run: Run, args: tuple[str, ...]) -> None:
        """Once it is no comment any more; where the route leads elsewhere it fails."""
        run("init", "starter.toml", *args)
        before, mark, test = Path("starter.toml").read_text(encoding="utf-8").rpartition("# [[tests]]\n")
        tested = f"{before}{mark}{test}".replace(
            f"{mark}{test}", re.sub("^# ", "", f"{mark}{test}", flags=re.MULTILINE)
        )
        save("tested.toml", tested)
        assert run("validate-config", "--syntax", "tested.toml").stderr.endswith(", 1 test\n")
        save("moved.toml", tested.replace('\nbackend = "127.0.0.1:', '\nbackend = "10.0.0.1:'))
        assert "error: expected backend 127.0.0.1:" in run("validate-config", "--syntax", "moved.toml").stdout

    def test_an_existing_file_is_kept(self, run: Run) -> None:
        """Without --force an existing file stays as it is."""
        save("mine.toml", "# mine\n")
        result = run("init", "mine.toml")
        assert result.status == 1
        assert "--force" in result.stderr
        assert Path("mine.toml").read_text(encoding="utf-8") == "# mine\n"

    def test_in_a_folder_it_has_its_usual_name(self, run: Run) -> None:
        """Whatever else is there; a second time it is kept as any other, and what is no file is not replaced by force."""
        Path("site").mkdir()
        save("site/other.txt", "")
        assert run("init", "site").stdout.startswith("site/mc-proxy.toml written")
        assert "[[listeners]]" in Path("site/mc-proxy.toml").read_text(encoding="utf-8")
        assert "site/mc-proxy.toml exists already" in run("init", "site").stderr
        assert (run("init", os.devnull, "--force").status, Path(os.devnull).is_char_device()) == (1, True)

    def test_force_replaces_it(self, run: Run) -> None:
        """With --force the starter takes its place."""
        save("mine.toml", "# mine\n")
        assert run("init", "mine.toml", "--force").status == 0
        assert "[[listeners]]" in Path("mine.toml").read_text(encoding="utf-8")


class TestAssets:
    def test_all_are_written(self, run: Run) -> None:
        """The units, the rules and the dashboard as they are in the package, the schema, and each shell's completions."""
        result = run("assets", "new/folder")
        assert result.status == 0
        names = {path.name for path in resources.files("mcproxy").joinpath("assets").iterdir()}
        written = set(Path("new/folder").iterdir())
        shells = {file.format(name) for name in ("mcproxy", "mcproxyctl") for file in ("{}.bash", "_{}", "{}.fish")}
        assert {path.name for path in written} == {*names, *shells, "mc-proxy.schema.json"}
        for name in ("mcproxy", "mcproxyctl"):
            assert f"complete -F _{name} {name}\n" in Path(f"new/folder/{name}.bash").read_text(encoding="utf-8")
        assert set(map(Path, result.stdout.splitlines())) == written
        assert json.loads(Path("new/folder/mc-proxy.schema.json").read_text(encoding="utf-8"))["properties"]
        json.loads(Path("new/folder/grafana-dashboard.json").read_text(encoding="utf-8"))

    def test_the_unit_starts_the_program_that_writes_it(self, run: Run) -> None:
        """Wherever it is installed."""
        run("assets", ".")
        unit = Path("mcproxy.service").read_text(encoding="utf-8")
        (start,) = re.findall(r"^ExecStart=(.*) serve ", unit, re.MULTILINE)
        version = subprocess.run(
            [*start.split(), "--version"], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
        )
        assert version.stdout.startswith("mcproxy ")
        assert "/usr/bin/mcproxy" not in unit
