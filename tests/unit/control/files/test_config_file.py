from pathlib import Path

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files.config_file import NamedFilesError, involved, load
from mcproxy.errors import ConfigError
from tests.support.countries import write_countries


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(path: Path, *, syntax_only: bool = False) -> list[str]:
    """Load a wrong file and return its problems, without its folder."""
    with pytest.raises(ConfigError) as caught:
        load(path, syntax_only=syntax_only)
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


def listener(port: int) -> str:
    return f'[[listeners]]\naddr = ":{port}"\n'


def test_a_file_and_its_includes_are_read(tmp_path: Path) -> None:
    """Globs in sorted order, relative to the main file, each file once, hidden ones never."""
    main = write(tmp_path / "main.toml", 'include = ["conf.d/*.toml", "conf.d/b.toml", "none/*.toml"]\n' + listener(1))
    b = write(tmp_path / "conf.d/b.toml", listener(3))
    a = write(tmp_path / "conf.d/a.toml", listener(2))
    write(tmp_path / "conf.d/.a.toml.swp.toml", "not TOML")
    (tmp_path / "conf.d/folder.toml").mkdir()
    loaded = load(main)
    assert loaded.files == (main, a, b)
    assert loaded.patterns == (tmp_path / "conf.d/*.toml", tmp_path / "conf.d/b.toml", tmp_path / "none/*.toml")
    assert list(loaded.resolution.state.listeners) == [":1", ":2", ":3"]


def test_the_main_file_does_not_include_itself(tmp_path: Path) -> None:
    """A glob over its own folder finds the others."""
    main = write(tmp_path / "[x] main.toml", 'include = ["*.toml"]')
    other = write(tmp_path / "other.toml", listener(1))
    assert load(main).files == (main, other)


def test_paths_are_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded has absolute paths."""
    write(tmp_path / "main.toml", listener(1))
    monkeypatch.chdir(tmp_path)
    loaded = load(Path("main.toml"))
    assert loaded.files == (tmp_path / "main.toml",)
    assert loaded.resolution.state.settings["database.path"] == str(tmp_path / "mc-proxy.db")


def test_links_are_not_followed_by_name(tmp_path: Path) -> None:
    """A file that is swapped by its link is known by the link."""
    write(tmp_path / "data/main.toml", listener(1))
    (tmp_path / "main.toml").symlink_to("data/main.toml")
    assert load(tmp_path / "main.toml").files == (tmp_path / "main.toml",)


def test_an_include_without_a_glob_must_be_there(tmp_path: Path) -> None:
    """The error stands at the item, beside all others."""
    main = write(tmp_path / "main.toml", 'include = [\n  "a.toml",\n  "b.toml",\n]\nzzz = 1\n')
    write(tmp_path / "a.toml", "yyy = 1")
    assert refused(main) == [
        "main.toml:3:3: error: include[1]: there is no file b.toml",
        "main.toml:5:1: error: zzz: unknown key",
        "a.toml:1:1: error: yyy: unknown key",
    ]


def test_a_wrong_include_is_told_with_everything_else(tmp_path: Path) -> None:
    """It does not hide the rest of the file."""
    main = write(tmp_path / "main.toml", "include = [3]\nzzz = 1\n")
    assert refused(main) == [
        "main.toml:1:12: error: include[0]: must be a string, not an integer",
        "main.toml:2:1: error: zzz: unknown key",
    ]


def test_what_cannot_be_read_is_a_problem_like_any_other(tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8; an include as well as the main file."""
    assert refused(tmp_path / "none.toml") == ["none.toml:1:1: error: cannot be read: No such file or directory"]
    (tmp_path / "folder.toml").mkdir()
    assert refused(tmp_path / "folder.toml") == ["folder.toml:1:1: error: cannot be read: Is a directory"]
    (tmp_path / "latin.toml").write_bytes(b"# x\n# \xff\n")
    wrong = "latin.toml:1:1: error: is not UTF-8 text: see the byte 0xff in line 2"
    assert refused(tmp_path / "latin.toml") == [wrong]
    for encoding in ("utf-16", "utf-32"):  # with a mark in front
        (tmp_path / "wide.toml").write_bytes("[proxy]\n".encode(encoding))
        (told,) = refused(tmp_path / "wide.toml")
        assert f"is not UTF-8 text: it is {encoding.upper()}" in told
    main = write(tmp_path / "main.toml", 'include = ["latin.toml"]\nzzz = 1')
    assert refused(main) == ["main.toml:2:1: error: zzz: unknown key", wrong]


def test_the_full_level_looks_at_folders_and_the_syntax_level_does_not(tmp_path: Path) -> None:
    """A database needs its folder."""
    main = write(tmp_path / "main.toml", '[database]\npath = "none/x.db"\n' + listener(1) + ROUTE)
    assert refused(main) == ["main.toml:2:8: error: database.path: there is no folder none"]
    assert load(main, syntax_only=True).resolution.state.settings["database.path"] == str(tmp_path / "none/x.db")
    (tmp_path / "none").mkdir()
    load(main)


def test_warnings_do_not_stop_a_file(tmp_path: Path) -> None:
    """They come with the result."""
    main = write(
        tmp_path / "main.toml",
        listener(1) + '[[listeners.routes]]\nhostname = "a"\nbackend = "b:1"\ntls_cert = "c"\n',
    )
    (warning,) = load(main).resolution.warnings
    assert warning.severity == "warning"
    assert warning.line == 6


def test_a_file_can_be_taken_to_stand_elsewhere(tmp_path: Path) -> None:
    """Relative paths, defaults and includes start there; the file it replaces is no include of it; places name itself."""
    live = write(tmp_path / "live/main.toml", "zzz = 1")
    write(tmp_path / "live/more.toml", listener(2))
    new = write(tmp_path / "new.toml", 'include = ["*.toml"]\n[firewall]\ngeoip_db = "geo.mmdb"\n' + listener(1))
    loaded = load(new, syntax_only=True, in_place_of=live)
    state = loaded.resolution.state
    assert state.settings["database.path"] == str(tmp_path / "live/mc-proxy.db")
    assert state.settings["firewall.geoip_db"] == str(tmp_path / "live/geo.mmdb")
    assert list(state.listeners) == [":1", ":2"]
    assert loaded.resolution.origins["listener", ":1"].file == str(new)


def test_problems_of_named_files_are_told_from_those_of_the_configuration(tmp_path: Path) -> None:
    """Only when all that is wrong is another file's fault is the configuration itself right."""
    main = write(tmp_path / "main.toml", '[firewall]\ngeoip_db = "none.mmdb"\n' + listener(1))
    with pytest.raises(NamedFilesError):
        load(main)
    write(main, "zzz = 1\n" + main.read_text())
    with pytest.raises(ConfigError) as caught:
        load(main)
    assert not isinstance(caught.value, NamedFilesError)


def test_files_that_a_correction_may_come_from_are_known(tmp_path: Path) -> None:
    """Certificates that are wrong or missing are watched as well as the file that names them."""
    route = (
        '[[listeners.routes]]\nhostname = "a"\nbackend = "b:1"\nmode = "l7"\ntls_cert = "a.crt"\ntls_key = "a.key"\n'
    )
    main = write(tmp_path / "main.toml", listener(1) + route)
    files, patterns = involved(main)
    assert files == (main, tmp_path / "a.crt", tmp_path / "a.key")
    assert patterns == ()


def test_a_configuration_without_any_listener_is_an_error(tmp_path: Path) -> None:
    """An empty file is no wish to serve nothing; a listener of an included file is one."""
    main = write(tmp_path / "main.toml")
    (problem,) = refused(main)
    assert problem.startswith("main.toml:1:1: error: listeners: no listener is declared here")
    assert refused(main, syntax_only=True) == [problem]
    write(main, '# nothing\ninclude = ["conf.d/*.toml"]\n')
    more = write(tmp_path / "conf.d/a.toml", "# nothing")
    assert "here or in an included file" in refused(main)[0]
    write(more, listener(1))
    assert list(load(main).resolution.state.listeners) == [":1"]


def test_a_mistake_is_not_followed_by_the_absence_of_what_it_broke(tmp_path: Path) -> None:
    """One cause, one message."""
    main = write(tmp_path / "main.toml", "[[listener]]\n")
    assert len(refused(main)) == 1
    assert len(refused(write(main, "[["))) == 1


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("conf.d/*.toml", "there is no folder {}/conf.d"),
        ("conf.d/**/*.toml", "there is no folder {}/conf.d"),
        ("there/[ab].toml", "no file matches {}/there/[ab].toml"),
        ("?.toml", "no file matches {}/?.toml"),
    ],
)
def test_an_include_that_matches_nothing_is_doubtful(tmp_path: Path, pattern: str, why: str) -> None:
    """Its folder may be missing."""
    (tmp_path / "there").mkdir()
    main = write(tmp_path / "main.toml", f'include = ["{pattern}"]\n{listener(1)}{ROUTE}')
    loaded = load(main)
    assert [str(problem) for problem in loaded.resolution.warnings] == [
        f"{main}:1:12: warning: include[0]: {why.format(tmp_path)}"
    ]
    assert loaded.unmatched == (tmp_path / pattern,)


def test_a_listener_without_routes_is_doubtful(tmp_path: Path) -> None:
    """In included files too; routes may be added at run time."""
    main = write(tmp_path / "main.toml", f'include = ["a.toml"]\n{listener(1)}{ROUTE}')
    write(tmp_path / "a.toml", listener(2))
    (warning,) = load(main).resolution.warnings
    assert (warning.file, warning.line, warning.severity) == (str(tmp_path / "a.toml"), 1, "warning")
    assert "has no routes" in warning.message


def test_a_listener_whose_routes_stand_elsewhere_is_not_doubtful(tmp_path: Path) -> None:
    """In another file than the listener."""
    main = write(tmp_path / "main.toml", f'include = ["a.toml"]\n{listener(1)}')
    write(tmp_path / "a.toml", '[[routes]]\nlistener = ":01"\nhostname = "a"\nbackend = "b:1"\n')
    assert load(main).resolution.warnings == ()


def test_nothing_is_missed_that_an_unreadable_file_may_declare(tmp_path: Path) -> None:
    """The file that can't be read is the only problem, not the routes whose listener it may have."""
    main = write(tmp_path / "main.toml", f'include = ["a.toml", "b.toml"]\n{listener(1)}{ROUTE}')
    write(tmp_path / "a.toml", '[[routes]]\nlistener = ":2"\nhostname = "a"\nbackend = "b:1"\n')
    (tmp_path / "b.toml").mkdir()
    with pytest.raises(ConfigError) as caught:
        load(main)
    (problem,) = caught.value.problems
    assert "b.toml" in str(problem)


ROUTE = '[[listeners.routes]]\nhostname = "a"\nbackend = "b:1"\n'


@pytest.mark.parametrize(
    ("user", "hint"), [("nobody-of-this-name", ""), ("0", 'users are named, not numbered: did you mean "root"?')]
)
@pytest.mark.parametrize("included", [False, True])
def test_the_workers_user_must_exist(tmp_path: Path, user: str, hint: str, *, included: bool) -> None:
    """At the full level: another machine may have that user."""
    setting = f'[proxy]\nuser = "{user}"\n'
    main = write(tmp_path / "main.toml", ('include = ["a.toml"]\n' if included else setting) + listener(1) + ROUTE)
    write(tmp_path / "a.toml", setting if included else "")
    (problem,) = refused(main)
    name = "a.toml" if included else "main.toml"
    assert problem.startswith(f"{name}:2:8: error: proxy.user: there is no user {user} on this machine")
    assert problem.endswith(hint)
    load(main, syntax_only=True)
    write(tmp_path / name, (tmp_path / name).read_text().replace(user, "root"))
    load(main)


def test_a_byte_order_mark_is_accepted_in_every_file(tmp_path: Path) -> None:
    """Windows' editors write it in front."""
    main = write(tmp_path / "main.toml", '\ufeffinclude = ["conf.d/*.toml"]\r\n')
    write(tmp_path / "conf.d/a.toml", "\ufeff" + listener(1) + ROUTE)
    assert list(load(main).resolution.state.listeners) == [":1"]
    write(tmp_path / "conf.d/a.toml", "\ufeff\ufeff" + listener(1))
    (problem,) = refused(main)
    assert problem.startswith("conf.d/a.toml:1:1: error: not valid TOML: there is U+FEFF (BYTE ORDER MARK) here")


BACKUPS = [
    "a.toml~", "a.toml.~1~", "#a.toml#", "a.toml.swp", "a.swo", "a.toml.bak", "a.toml.BAK", "a.toml.orig", "a.toml.rej", "a.toml.old",
    "a.toml.rpmsave", "a.toml.rpmnew", "a.toml.dpkg-old", "a.toml.dpkg-dist", "a.toml.ucf-dist", "a.toml.tmp", "4913",
]  # fmt: skip


@pytest.mark.parametrize("pattern", ["conf.d/*", "conf.d/*a*", "conf.d/**", "c*/*", "conf.d/[#4a]*"])
def test_backups_that_a_pattern_finds_are_skipped_with_a_note(tmp_path: Path, pattern: str) -> None:
    """They would say the same again, or something old; the real files beside them count."""
    main = write(tmp_path / "main.toml", f'include = ["{pattern}"]\n{listener(1)}{ROUTE}')
    kept = write(tmp_path / "conf.d/a.toml", listener(2) + ROUTE)
    for name in BACKUPS:
        write(tmp_path / "conf.d" / name, "not TOML")
    loaded = load(main)
    assert loaded.files == (main, kept)
    assert {problem.severity for problem in loaded.resolution.warnings} == {"note"}
    told = {problem.message.partition(" is skipped")[0] for problem in loaded.resolution.warnings}
    expected = {str(tmp_path / "conf.d" / name) for name in BACKUPS if pattern != "conf.d/*a*" or "a" in name}
    assert told == expected


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("conf.d/*.bak", "a.bak"), ("conf.d/*~", "a~"), ("conf.d/a.toml~", "a.toml~"), ("conf.d/*.OLD", "a.OLD")],
)
def test_a_backup_that_is_asked_for_is_read(tmp_path: Path, pattern: str, name: str) -> None:
    """By its name, or by a pattern that ends like it."""
    main = write(tmp_path / "main.toml", f'include = ["{pattern}"]\n{listener(1)}{ROUTE}')
    asked = write(tmp_path / "conf.d" / name, listener(2) + ROUTE)
    loaded = load(main)
    assert (loaded.files, loaded.resolution.warnings) == ((main, asked), ())


def test_names_that_only_look_like_backups_are_read(tmp_path: Path) -> None:
    """A word at the end is no ending."""
    main = write(tmp_path / "main.toml", f'include = ["conf.d/*"]\n{listener(1)}{ROUTE}')
    there = [write(tmp_path / "conf.d" / name, "") for name in ("old", "orig.toml", "swp.conf", "x.toml", "~x")]
    assert load(main).files == (main, *sorted(there))


def test_a_variable_and_what_comes_of_it_are_one_message(tmp_path: Path) -> None:
    """The file that is not there is the one that somebody else was to name."""
    text = (
        '[proxy]\nuser = "${RUN_AS}"\n'
        + listener(1)
        + ROUTE
        + 'mode = "l7"\ntls_cert = "${CERT}"\ntls_key = "${KEY}"\n'
    )
    main = write(tmp_path / "main.toml", text)
    told = refused(main)
    assert len(told) == 3
    for problem, name in zip(told, ("RUN_AS", "CERT", "KEY"), strict=True):
        assert ": error: " in problem
        assert f'there are no variables: "${{{name}}}" is taken as it stands' in problem


def test_files_that_are_served_go_on_though_a_test_in_them_fails(tmp_path: Path) -> None:
    """A country database that is renewed may make it fail; other files have to pass, and so do these without others that are served."""
    database = write_countries(tmp_path / "countries.mmdb", {"203.0.113.0/24": "NO"})
    text = (
        f'[firewall]\ngeoip_db = "{database}"\nallowed_countries = ["NO"]\ndefault = "deny"\n{listener(1)}'
        'routes = [{ hostname = "*", backend = "10.0.0.1:1" }]\n'
        '[[tests]]\nconnect = "a:1"\nip = "203.0.113.9"\nexpect = { reset = false }\n'
    )
    config = write(tmp_path / "mc.toml", text)
    served = load(config)
    served.require_tests()
    write_countries(database, {"203.0.113.0/24": "SE"})
    again = load(config)
    assert [problem.severity for problem in again.tests.failed] == ["error"]
    again.require_tests(unless=served)
    with pytest.raises(ConfigError, match=r"mc\.toml:\d+:\d+: error: expected no reset, got a reset at firewall"):
        again.require_tests()
    write(config, f"# another\n{text}")
    with pytest.raises(ConfigError):
        load(config).require_tests(unless=served)


def test_a_file_without_tests_makes_nothing_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither tables nor a run: it is read as fast as before."""

    def run(*_: object) -> None:
        pytest.fail("tests were run")

    monkeypatch.setattr(config_file, "run_tests", run)
    assert load(write(tmp_path / "mc.toml", listener(1))).tests.touched == frozenset()
