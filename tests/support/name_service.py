"""A name service of the test's own, in place of the system's, in the processes of a proxy."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.proxy import ROOT

_MODULE = """
import json, socket, time

def answer(host, port, *_, **__):
    host = host.decode() if isinstance(host, bytes) else host
    while True:
        with open({path!r}) as file:
            names = json.load(file)
        with open({asked!r}, "a") as file:
            file.write(host + chr(10))
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        if names[host] is not None:
            break
        time.sleep(60)
    found = []
    for address in names[host]:
        six = ":" in address
        end = (address, port or 0, 0, 0) if six else (address, port or 0)
        found.append((socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM, 6, "", end))
    return found

socket.getaddrinfo = answer
"""


class NameService:
    """What getaddrinfo(3) answers in the Python programs that run `under` it.

    Attributes:
        under: a command that programs are run by (see `tests.support.proxy.Proxy`).
    """

    def __init__(self, folder: Path) -> None:
        """Know no name; what is needed is written into ``folder``."""
        modules = folder / "modules"
        modules.mkdir()
        self.under = ("env", f"PYTHONPATH={modules}{os.pathsep}{ROOT}")
        self._names = folder / "names.json"
        self._asked = folder / "asked"
        self._asked.touch()
        self.answer({})
        text = _MODULE.format(path=str(self._names), asked=str(self._asked))
        (modules / "sitecustomize.py").write_text(text)

    def answer(self, names: Mapping[str, Sequence[str] | None]) -> None:
        """Answer from now on with these addresses; None: not at all (each such lookup hangs)."""
        new = self._names.with_suffix(".new")
        new.write_text(json.dumps(names))
        new.rename(self._names)

    def wait_until_asked(self, name: str, times: int, timeout: float = 30) -> None:
        """Wait until a name has been asked for so many times."""
        deadline = time.monotonic() + timeout
        while self._asked.read_text().split().count(name) < times:
            assert time.monotonic() < deadline, f"{name} was not asked for {times} times"
            time.sleep(0.02)
