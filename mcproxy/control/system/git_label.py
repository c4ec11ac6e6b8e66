"""The commit that config files are of, where their folder is a work tree of git: what a generation is labelled with.

The repository is not trusted to be harmless: whoever may write its ``.git/config`` names programs there that git runs at
many occasions. So git is asked for two things alone, a commit and a list of names, neither of which has to run anything; what
could be run all the same is switched off by name; files are compared here, since git would run the repository's filters for
that; nothing is fetched; and a repository of another user is left alone, as git itself does (``safe.directory``).
"""

import contextlib
import hashlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping

from mcproxy.named_file import touching

LIMIT = 2.0
"""Seconds that git may take in all."""
_OUTPUT = 4 << 20  # bytes that it may say
_SUBJECT = 120  # characters of a commit's that are told
_CHUNK = 64 << 10
_FORMAT = "--format=%H%x00%h%x00%s"
CHANGED = "+ uncommitted changes"
"""What a label ends with whose files are not those of the commit."""
_SETTINGS = {
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.pager": "cat",
    "core.askPass": "",
    "core.sshCommand": "false",
    "core.gitProxy": "",
    "core.alternateRefsCommand": "false",
    "credential.helper": "",
    "protocol.allow": "never",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "gpg.program": "false",
    "diff.external": "",
    "i18n.logOutputEncoding": "UTF-8",
    "maintenance.auto": "false",
    "gc.auto": "0",
    "safe.bareRepository": "explicit",
}
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_LITERAL_PATHSPECS": "1",
}


class NoLabelError(Exception):
    """There is a repository, but it gives no label; the message says why."""


def label(files: Mapping[str, bytes]) -> str:
    """Return the commit that files are of, such as ``3fa9c1d move app to the new rack``; "" where there is none.

    Of files that are not what the commit has, ``3fa9c1d + uncommitted changes``.

    Args:
        files: contents by absolute path, the main file first; the folder of this one counts.

    Raises:
        NoLabelError: there is one that can't be asked, or does not answer in `LIMIT` seconds.
    """
    real = {os.path.realpath(path): content for path, content in files.items()}
    folder = os.path.dirname(next(iter(real)))  # noqa: PTH120 - strings are wanted
    root = _root(folder)
    git = shutil.which("git")
    if root is None or git is None:
        return ""
    _check_owner(root)
    asked = _Git(git, root)
    head = asked.run("log", "-1", "-s", "--no-show-signature", "--no-mailmap", "--no-notes", "--no-color", _FORMAT)
    commit, _, told = head.decode(errors="replace").rstrip("\n").partition("\0")
    short, _, subject = told.partition("\0")
    if not commit:
        return ""
    inside = {os.path.relpath(path, root): content for path, content in real.items() if path.startswith(f"{root}/")}
    committed = dict(_listed(asked.run("ls-tree", "-z", "--full-tree", commit, "--", *inside)))
    if not committed:
        return ""
    if all(committed.get(name) == _blob(content, len(commit)) for name, content in inside.items()):
        shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in subject)
        return f"{short} {shown if len(shown) <= _SUBJECT else f'{shown[: _SUBJECT - 1]}…'}".rstrip()
    return f"{short} {CHANGED}"


def _root(folder: str) -> str | None:
    """Return the work tree that a folder is in; None if it is in none."""
    while True:
        with touching(folder):
            if os.path.lexists(os.path.join(folder, ".git")):  # noqa: PTH118 - likewise
                return folder
        above = os.path.dirname(folder)  # noqa: PTH120 - likewise
        if above == folder:
            return None
        folder = above


def _check_owner(root: str) -> None:
    """Refuse a repository that another user may have filled with anything; root could do anything anyway."""
    for path in (root, os.path.join(root, ".git")):  # noqa: PTH118 - likewise
        owner = os.lstat(path).st_uid
        if owner not in (0, os.geteuid()):
            raise NoLabelError(f"the git repository {root} belongs to another user (uid {owner})")


def _listed(lines: bytes) -> Iterator[tuple[str, str]]:
    """Yield the files of a tree with the names of their blobs."""
    for line in lines.split(b"\0"):
        what, _, name = line.partition(b"\t")
        fields = what.split()
        if len(fields) == 3 and fields[1] == b"blob":
            yield os.fsdecode(name), fields[2].decode()


def _blob(content: bytes, digits: int) -> str:
    """Return git's name for a content, of as many digits as its other names have (SHA-1 or SHA-256)."""
    data = b"blob %d\0" % len(content) + content
    return (hashlib.sha256(data) if digits == 64 else hashlib.sha1(data, usedforsecurity=False)).hexdigest()


class _Git:
    """Asks git, within `LIMIT` seconds for all questions."""

    def __init__(self, program: str, root: str) -> None:
        self._root = root
        # git itself goes by who owns a repository, down to where a .git file leads, but takes root's for another user's
        safe = {"safe.directory": root} if os.lstat(root).st_uid != os.geteuid() else {}
        settings = {**_SETTINGS, **safe}
        self._command = [program, "--no-pager", "-C", root]
        self._command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._environment = {
            **_ENVIRONMENT,
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_CEILING_DIRECTORIES": os.path.dirname(root),  # noqa: PTH120 - likewise
        }
        self._until = time.monotonic() + LIMIT

    def run(self, *arguments: str) -> bytes:
        """Return what a command of git prints, nothing when it fails; raises `NoLabelError`."""
        try:
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise NoLabelError(f"git can't be started: {error.strerror}") from error
        with process:
            try:
                said = self._output(process)
                process.wait(max(self._until - time.monotonic(), 0.0))
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise NoLabelError(self._overdue) from None
                raise
        return said if process.returncode == 0 else b""

    def _output(self, process: "subprocess.Popen[bytes]") -> bytes:
        assert process.stdout is not None  # noqa: S101 - a pipe
        said = bytearray()
        ready = select.poll()
        ready.register(process.stdout, select.POLLIN)
        while len(said) <= _OUTPUT:
            left = self._until - time.monotonic()
            if left <= 0 or not ready.poll(left * 1000):
                raise NoLabelError(self._overdue)
            piece = os.read(process.stdout.fileno(), _CHUNK)
            if not piece:
                return bytes(said)
            said += piece
        raise NoLabelError(f"git says too much of {self._root}")

    @property
    def _overdue(self) -> str:
        return f"git does not answer within {LIMIT:g} s for {self._root}"
