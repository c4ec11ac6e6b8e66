"""What git says of the config files, and what a hostile repository can't make of that question."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcproxy.control.system import git_label
from mcproxy.control.system.git_label import NoLabelError, label
from tests.support.require import require

CONFIG = b'[[listeners]]\naddr = ":443"\n'


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git be slow where nothing is about its time."""
    monkeypatch.setattr(git_label, "LIMIT", 60.0)


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git with nobody's settings; return what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **{f"GIT_{who}_{what}": "ann@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    ran = subprocess.run(
        ["git", "-C", str(folder), *arguments], env=environment, input=stdin, capture_output=True, check=True
    )
    return ran.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a work tree with one commit of a config file."""
    require("git")
    folder = tmp_path / "config"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "mc-proxy.toml").write_bytes(CONFIG)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Move app to the new rack\n\nAnd more.")
    return folder


def of(folder: Path, **files: bytes) -> str:
    """Return the label of files in a folder; ``a__b`` is ``a/b``."""
    return label(
        {str(folder / name.replace("__", "/")): content for name, content in files.items()}
        or {str(folder / "mc-proxy.toml"): CONFIG}
    )


def short(folder: Path) -> str:
    return git(folder, "log", "-1", "--format=%h")


def test_the_label_is_the_commit_and_its_subject(repository: Path) -> None:
    """Also of a file in a folder within the work tree, by a symbolic link, and in a linked work tree."""
    said = f"{short(repository)} Move app to the new rack"
    assert of(repository) == said
    (repository.parent / "link.toml").symlink_to(repository / "mc-proxy.toml")
    assert label({str(repository.parent / "link.toml"): CONFIG}) == said
    git(repository, "worktree", "add", "-q", "--detach", str(repository.parent / "other"))
    assert of(repository.parent / "other") == said
    (repository / "conf.d").mkdir()
    (repository / "conf.d" / "main.toml").write_bytes(b"# more\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Next")
    assert (
        of(repository, conf_d=b"")
        != of(repository, **{"conf.d__main.toml": b"# more\n"})
        == f"{short(repository)} Next"
    )


def test_uncommitted_changes_are_told(repository: Path) -> None:
    """Of the main file, of an included one, and of one that git does not know; not of those outside, and of other files."""
    changed = f"{short(repository)} + uncommitted changes"
    assert label({str(repository / "mc-proxy.toml"): CONFIG + b"\n"}) == changed
    main = {str(repository / "mc-proxy.toml"): CONFIG}
    assert label({**main, str(repository / "more.toml"): b""}) == changed
    assert (
        label({**main, str(repository.parent / "outside.toml"): b""}) == f"{short(repository)} Move app to the new rack"
    )
    (repository / "README").write_text("nothing of the proxy's", encoding="utf-8")
    git(repository, "add", ".")
    assert of(repository) == f"{short(repository)} Move app to the new rack"


def test_names_that_mean_something_to_git_are_names(repository: Path) -> None:
    """A leading dash, glob characters, pathspec magic, line ends."""
    for name in ("--help", "*", ":(top)x", "a\nb", "é"):
        (repository / name).write_bytes(b"x")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Odd")
    for name in ("--help", "*", ":(top)x", "a\nb", "é"):
        assert label({str(repository / name): b"x"}) == f"{short(repository)} Odd", name
        assert label({str(repository / name): b"y"}) == f"{short(repository)} + uncommitted changes", name


@pytest.mark.parametrize("subject", ["\x1b[31mred\x07", "long " * 200, "\u202eback", "é" * 10])
def test_a_subject_is_one_printable_line(repository: Path, subject: str) -> None:
    """Whoever commits does not write to terminals of others."""
    git(repository, "commit", "-q", "--allow-empty", "-F", "-", stdin=subject.encode())
    said = of(repository).partition(" ")[2]
    assert said.isprintable()
    assert 0 < len(said) <= 120


def test_there_is_no_label_without_a_commit_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No work tree, no commit yet, a tree of other files, a .git that is none, no git."""
    require("git")
    assert of(tmp_path) == ""
    git(tmp_path, "init", "-q")
    assert of(tmp_path) == ""
    (tmp_path / "README").write_text("", encoding="utf-8")
    git(tmp_path, "add", "README")
    git(tmp_path, "commit", "-q", "-m", "First")
    assert of(tmp_path) == ""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / ".git").write_text("gitdir: /nowhere\n", encoding="utf-8")
    assert of(broken) == ""
    monkeypatch.setenv("PATH", str(broken))
    assert of(tmp_path) == ""


def test_a_bare_repository_within_is_not_asked(repository: Path) -> None:
    """Git takes any folder for one that looks like it; here the work tree around it counts."""
    inner = repository / "inner"
    git(repository.parent, "clone", "-q", "--bare", str(repository), str(inner))
    (inner / "mc-proxy.toml").write_bytes(CONFIG)
    assert label({str(inner / "mc-proxy.toml"): CONFIG}) == ""


def test_the_repository_of_another_user_is_left_alone(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git itself does. What is root's is trusted."""
    owner = repository.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert of(repository).endswith("Move app to the new rack")
        os.chown(repository / ".git", owner + 2, -1)
    with pytest.raises(NoLabelError, match="belongs to another user"):
        of(repository)


def test_git_has_two_seconds(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is ended, with whatever it has started."""
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    pids = tmp_path / "pids"
    slow.write_text(f"#!/bin/sh\necho $$ >> {pids}\nsleep 600 &\necho $! >> {pids}\nwait\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(git_label, "LIMIT", 2.0)
    with pytest.raises(NoLabelError, match="does not answer within 2 s"):
        of(repository)
    for pid in map(int, pids.read_text(encoding="utf-8").split()):
        until = time.monotonic() + 10
        while _runs(pid) and time.monotonic() < until:
            time.sleep(0.01)
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Tell whether a process is there that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_endless_output_is_not_read(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few MiB end it."""
    loud = tmp_path / "bin" / "git"
    loud.parent.mkdir()
    loud.write_text(f"#!{sys.executable}\nimport os\nwhile True: os.write(1, b'x' * 65536)\n", encoding="utf-8")
    loud.chmod(0o755)
    monkeypatch.setenv("PATH", str(loud.parent))
    with pytest.raises(NoLabelError, match="says too much"):
        of(repository)


def test_a_hostile_repository_runs_nothing(repository: Path, tmp_path: Path) -> None:
    """Whatever its settings, attributes, hooks and commits name: programs, filters, servers to fetch from."""
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {sprung}\nexit 0\n', encoding="utf-8")
    trap.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n", encoding="utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Attributes")
    signed = git(repository, "cat-file", "commit", "HEAD").replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n aaaa\n -----END PGP SIGNATURE-----\n\n", 1
    )
    commit = git(repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{signed}\n".encode())
    git(repository, "reset", "-q", "--soft", commit)
    for hook in ("post-checkout", "post-index-change", "pre-auto-gc", "reference-transaction", "fsmonitor-watchman"):
        (repository / ".git" / "hooks").mkdir(exist_ok=True)
        (repository / ".git" / "hooks" / hook).symlink_to(trap)
    settings = {
        "core.fsmonitor": trap,
        "core.hooksPath": repository / ".git" / "hooks",
        "core.pager": trap,
        "pager.log": trap,
        "core.sshCommand": trap,
        "core.gitProxy": trap,
        "core.askPass": trap,
        "core.alternateRefsCommand": trap,
        "core.editor": trap,
        "credential.helper": f"!{trap}",
        "log.showSignature": "true",
        "log.mailmap": "true",
        "gpg.program": trap,
        "gpg.ssh.program": trap,
        "diff.external": trap,
        "diff.evil.textconv": trap,
        "diff.evil.command": trap,
        "filter.evil.clean": trap,
        "filter.evil.smudge": trap,
        "filter.evil.process": trap,
        "filter.evil.required": "true",
        "alias.log": f"!{trap}",
        "alias.ls-tree": f"!{trap}",
        "remote.origin.url": f"ext::{trap}",
        "remote.origin.promisor": "true",
        "remote.origin.partialclonefilter": "blob:none",
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
        "trace2.normalTarget": sprung,
    }
    with (repository / ".git" / "config").open("a", encoding="utf-8") as config:
        for name, value in settings.items():
            section, *inner, key = name.split(".")
            within = "".join(f' "{one}"' for one in inner)
            config.write(f'[{section}{within}]\n{key} = "{value}"\n')
    assert of(repository) == f"{commit[:7]} Attributes"
    assert not sprung.exists()
    # a commit whose objects are to be fetched from that server
    missing = signed.splitlines()[0].split()[1]
    (repository / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    assert of(repository) == ""
    assert not sprung.exists()
    # the trap works: git as anybody runs it springs it
    subprocess.run(["git", "-C", str(repository), "log", "-1", "--show-signature"], capture_output=True, check=False)
    assert sprung.exists()


def test_settings_of_whoever_started_the_proxy_do_not_count(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables of git nor those of its user's own files."""
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_WORK_TREE", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.abbrev")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "40")
    assert of(repository) == f"{of(repository)[:7]} Move app to the new rack"
