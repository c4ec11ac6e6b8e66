"""`mcproxy assets`: the files that an installation needs beside the program."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import msgspec

from mcproxy.cli.common.subprocesses import environment
from mcproxy.cli.common.write_file import write_whole
from mcproxy.model.config.pages.json_schema import json_schema

_INSTALLED = "/usr/bin/mcproxy"  # where the unit expects the program
_SCHEMA = "mc-proxy.schema.json"


def assets(folder: Path) -> int:
    """Write the systemd units, the alert rules, the dashboard, the schema and the completions; print the path of each.

    The unit names the program that runs this. What is there already is replaced.

    Args:
        folder: made if missing.

    Raises:
        ExportError, OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        file.name: file.read_text(encoding="utf-8").replace(_INSTALLED, program())
        for file in resources.files("mcproxy").joinpath("assets").iterdir()
    }
    texts[_SCHEMA] = schema_text()
    texts.update(_completions())
    for name, text in sorted(texts.items()):
        path = folder / name
        write_whole(path, [text.encode()], replace=True, private=False)
        print(path)
    return 0


def _completions() -> Iterator[tuple[str, str]]:
    """Yield the completions of both programs, each by the name that its shell looks for; a program tells its own."""
    for name, module in (("mcproxy", "mcproxy"), ("mcproxyctl", "mcproxy.cli.ctl")):
        for shell, file in (("bash", f"{name}.bash"), ("zsh", f"_{name}"), ("fish", f"{name}.fish")):
            command = [sys.executable, "-m", module, "completion", shell]
            yield file, subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout


def program() -> str:
    """Return how this installation's ``mcproxy`` is started: its script as it was called, else the interpreter with the package.

    Where it was called through a symbolic link, the link may lead to another version later.
    """
    called = Path(sys.argv[0])
    if called.name == "mcproxy" and called.is_absolute() and os.access(called, os.X_OK):
        return str(called)
    script = Path(sys.executable).with_name("mcproxy")
    return str(script) if script.exists() else f"{sys.executable} -m mcproxy"


def schema_text() -> str:
    """Return the JSON Schema of the config file, for completion in editors."""
    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode()
