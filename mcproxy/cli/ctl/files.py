"""The commands of `mcproxyctl` about files: plan, reload, export, backup."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import DIFFERS, FAILED, OK
from mcproxy.cli.common.output import print_json, print_plan
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import amount, moment
from mcproxy.client import InvalidArgumentError
from mcproxy.errors import McproxyError
from mcproxy.named_file import read_file

_DATABASE_FILES = ("", "-wal", "-shm", "-journal", ".lock", ".control")
"""How the names of the files end that a server keeps its database in, and beside it."""


def plan(server: Server, file: Path | None, *, exit_code: bool) -> int:
    """Print what a reload would do now, or if a file took the config file's place; the exit status may tell if it is anything."""
    text = None if file is None else _text(file)
    with server.client() as client:
        try:
            answer = client.plan(text)
        except InvalidArgumentError as error:
            if file is None or not error.violations:
                raise
            for field, message in error.violations:
                print(_problem(file, field.removeprefix("toml").removeprefix("."), message), file=sys.stderr)
            return FAILED
    if server.as_json:
        print_json({**msgspec.json.decode(answer.json), "lines": list(answer.lines), "warnings": list(answer.warnings)})
    else:
        _print_outcome(answer)
    return DIFFERS if exit_code and answer.lines else OK


def _problem(file: Path, key: str, message: str) -> str:
    """Return what is wrong with the file that was sent as `mcproxy validate-config` does: the server knows no name of it."""
    place, colon, text = message.partition(": ")
    where, what = (f"{file}:{place}", text) if colon and place[:1].isdecimal() else (str(file), message)
    return f"{where}: error: {key}: {what}" if key else f"{where}: error: {what}"


def _text(file: Path) -> str:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else read_file(file)
    except OSError as error:
        raise McproxyError(f"{file} can't be read: {error.strerror}; nothing was planned") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise McproxyError(f"{file} is not UTF-8 text") from error


def reload(server: Server, label: str, *, allow_shrink: bool) -> int:
    """Have the files read again, and print what that changed."""
    with server.client() as client:
        answer = client.reload(allow_shrink=allow_shrink, label=label)
    if server.as_json:
        print_json(api.to_builtins(answer))
    else:
        _print_outcome(answer)
        print(f"generation {answer.generation} is live")
        if answer.labelled:
            print(f"generation {answer.labelled} is labelled: {label}")
    return OK


def _print_outcome(answer: pb.PlanResponse | pb.ReloadResponse) -> None:
    for warning in answer.warnings:
        print(warning, file=sys.stderr)
    print_plan([*answer.lines, answer.summary])


def export(server: Server, file: Path | None, *, write: bool) -> int:
    """Print the config files with all runtime edits merged in, or write them."""
    with server.client() as client:
        answer = client.export()
        differences = client.get_drift().differences
    for edit in (one.edit for one in differences if one.action != "suspended" and one.edit.HasField("expires")):
        what = f"the edit of {edit.target} ends by itself at {moment(edit.expires)}, but would stay in the file"
        print(f"mcproxyctl: warning: {what}", file=sys.stderr)
    files = [one for one in answer.files if file is None or one.path in (str(file), str(file.absolute()))]
    if not files:
        names = ", ".join(one.path for one in answer.files)
        print(f"mcproxyctl: {file} is none of the server's config files ({names})", file=sys.stderr)
        return FAILED
    if write:
        return _write(server, files)
    if server.as_json:
        print_json({**api.to_builtins(answer), "files": [api.to_builtins(one) for one in files]})
    elif len(files) == 1:
        print(files[0].text, end="")
    else:
        for one in files:
            print(f"# ---- {one.path}{'' if one.changed else ' (unchanged)'}\n{one.text}", end="")
    return OK


def backup(server: Server, file: Path, *, force: bool) -> int:
    """Write a copy of the server's database into a file, which is there whole or not at all, or to standard output."""
    with server.client() as client:
        pieces = (one.data for one in client.backup())
        if str(file) == "-":
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return OK
        from mcproxy.cli.common.write_file import write_whole

        database = client.get_status().database.path
        if database and os.path.realpath(file).removeprefix(os.path.realpath(database)) in _DATABASE_FILES:
            raise McproxyError(f"{file} is the server's own database, or a file beside it; nothing was written")
        try:
            size = write_whole(file, pieces, replace=force)
        except FileExistsError as error:
            raise McproxyError(f"{file} exists already; --force replaces it") from error
    if server.as_json:
        print_json({"written": str(file), "bytes": size})
    else:
        print(f"{file} written ({amount(size)})")
    return OK


def _write(server: Server, files: Sequence[pb.ExportedFile]) -> int:
    """Replace those of the files that the edits change; the server sees them as any other edit of its files."""
    from mcproxy.cli.common.write_file import replace_atomically

    if any(one.changed and not Path(one.path).is_absolute() for one in files):
        raise McproxyError(
            "the document is the fleet's, and no file of this machine: print it with export, and make it the fleet's with: mcproxyctl fleet push FILE"
        )
    written = []
    for one in files:
        if one.changed:
            replace_atomically(Path(one.path), one.text, one.sha256)
            written.append(one.path)
            if not server.as_json:
                print(f"{one.path} written")
    if server.as_json:
        print_json({"written": written})
    elif not written:
        print("nothing to write: the files say already what runs")
    return OK
