"""`mcproxy validate-config` and `plan` run the tests in the file."""

from pathlib import Path

import msgspec
import pytest

from mcproxy.cli.server.app import main
from tests.support.countries import write_countries
from tests.support.ctl import Result, run_command

SITE = """\
[firewall]
geoip_db = "countries.mmdb"
[[listeners]]
addr = ":80"
protocol = "http"
[[listeners.routes]]
hostname = "a.test"
respond = "{respond}"
cases = [{{ match = "/se/*", respond = "hej", filter = {{ allow_countries = ["SE"] }} }}]
[[tests]]
request = "GET http://a.test/"
expect = {{ respond = "one" }}
"""
ABROAD = '[[tests]]\nrequest = "GET http://a.test/se/"\nip = "203.0.113.9"\nexpect = { status = 403 }\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that has a country database."""
    monkeypatch.chdir(tmp_path)
    write_countries(tmp_path / "countries.mmdb", {"203.0.113.0/24": "NO", "198.51.100.0/24": "SE"})
    return tmp_path


def validate(folder: Path, text: str, *options: str) -> Result:
    (folder / "mc-proxy.toml").write_text(text, encoding="utf-8")
    return run_command(main, "validate-config", *options, "mc-proxy.toml")


@pytest.mark.parametrize("options", [(), ("--syntax",)])
def test_a_test_that_fails_is_an_error(folder: Path, options: tuple[str, ...]) -> None:
    """With the place of the expectation, and a summary; a file whose tests hold says how many there are."""
    bad = validate(folder, SITE.format(respond="two"), *options)
    assert bad.status == 1
    assert bad.stdout == (
        "mc-proxy.toml:12:12: error: expected the text 'one', got the text 'two' by route a.test (mc-proxy.toml:6)\n"
    )
    assert bad.stderr == "1 error\n"
    good = validate(folder, SITE.format(respond="one"), *options)
    assert (good.status, good.stdout, good.stderr) == (0, "", "mc-proxy.toml: valid: 1 listener, 1 route, 1 test\n")


def test_the_country_of_a_client_is_read_from_the_database(folder: Path) -> None:
    """But for --syntax, which reads no file beside the configuration and says that it can't tell."""
    text = SITE.format(respond="one") + ABROAD
    assert validate(folder, text).status == 0
    wrong = validate(folder, text.replace("203.0.113.9", "198.51.100.9"))
    assert wrong.status == 1
    assert "expected status 403, got status 200 by case /se/*" in wrong.stdout
    syntax = validate(folder, text.replace("203.0.113.9", "198.51.100.9"), "--syntax")
    assert (syntax.status, syntax.stdout.count("note:"), syntax.stdout.count("\n")) == (0, 1, 1)
    assert "mc-proxy.toml:13:3: note: not judged: it depends on the country" in syntax.stdout
    said = validate(folder, text.replace('ip = "203.0.113.9"', 'country = "SE"'), "--syntax")
    assert said.status == 1


def test_coverage_is_told_as_notes_and_as_json(folder: Path) -> None:
    """And counted; it is no error."""
    plain = validate(folder, SITE.format(respond="one"), "--coverage")
    assert plain.status == 0
    assert (
        plain.stdout
        == "mc-proxy.toml:9:10: note: listeners[0].routes[0].cases[0]: no test comes by the case /se/* of :80 a.test\n"
    )
    assert plain.stderr.endswith("mc-proxy.toml: tests come by 1 of 1 route, 0 of 1 case\n")
    told = msgspec.json.decode(validate(folder, SITE.format(respond="one"), "--coverage", "--json").stdout)
    assert [(one["severity"], one["line"]) for one in told] == [("note", 9)]
    whole = validate(folder, SITE.format(respond="one") + ABROAD, "--coverage")
    assert (whole.stdout, whole.stderr.splitlines()[-1]) == (
        "",
        "mc-proxy.toml: tests come by 1 of 1 route, 1 of 1 case",
    )


def test_coverage_of_a_file_that_has_nothing(folder: Path) -> None:
    """Says so in a whole sentence."""
    told = validate(folder, '[[listeners]]\naddr = ":80"\n', "--coverage")
    assert told.status == 0
    assert "mc-proxy.toml: tests come by nothing: there is no route, case or filter\n" in told.stdout + told.stderr


def test_a_plan_for_a_file_whose_test_fails_is_none(folder: Path) -> None:
    """What is taken as running is not tested; what can't be judged is told, and the plan is made."""
    for name, respond in (("old.toml", "two"), ("bad.toml", "three"), ("new.toml", "one")):
        (folder / name).write_text(
            SITE.format(respond=respond) + (ABROAD if name == "new.toml" else ""), encoding="utf-8"
        )
    bad = run_command(main, "plan", "bad.toml", "--against", "old.toml")
    assert (bad.status, bad.stdout) == (1, "")
    assert "bad.toml:12:12: error: expected the text 'one', got the text 'three'" in bad.stderr
    good = run_command(main, "plan", "new.toml", "--against", "old.toml", "--exit-code")
    assert good.status == 3
    assert "respond: two -> one" in good.stdout
    assert "new.toml:13:3: note: not judged" in good.stderr
