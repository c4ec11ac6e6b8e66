"""What a peer is, and how to find its program."""

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from tests.bench.site import Site

# Debian keeps servers outside a user's PATH; wheels put programs beside the interpreter.
_PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


class Processes(msgspec.Struct, frozen=True):
    """The ids of a running peer's processes.

    Attributes:
        data: those that move the clients' bytes: their cost is the figure.
        control: the others: their cost is shown beside it.
    """

    data: tuple[int, ...]
    control: tuple[int, ...]


class Peer(ABC):
    """One proxy under one configuration.

    Args:
        name: what it is called on the command line and in the table.

    Attributes:
        config_name: the name of its configuration file; some programs tell the format by the ending.
    """

    config_name = "config"

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def missing(self) -> str:
        """Return why this peer cannot run on this machine, and what to do about it; "" when it can."""

    @abstractmethod
    def version(self) -> str:
        """Return the version of the program; asked only where it is not missing."""

    @abstractmethod
    def config(self, site: Site, folder: Path) -> str:
        """Return the text of the configuration file that serves ``site`` with one worker or thread.

        Args:
            site: what to serve.
            folder: an empty folder of the peer's own, for sockets, databases, process ids and further files.
        """

    @abstractmethod
    def command(self, config: Path) -> list[str]:
        """Return the command that serves ``config``, which lies in the peer's folder, in the foreground."""

    @abstractmethod
    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        """Sort the peer's processes, the one that was started first; ``data`` is empty while it starts."""


class SingleProcess(Peer):
    """A peer whose every process moves the clients' bytes.

    Args:
        name: as for every peer.
        program: the name of its program.
        remedy: how to install it.
    """

    def __init__(self, name: str, program: str, remedy: str) -> None:
        super().__init__(name)
        self._program = program
        self._remedy = remedy

    def missing(self) -> str:
        return "" if self.program else f"no {self._program} here: {self._remedy}"

    def processes(self, members: Sequence[psutil.Process]) -> Processes:
        return Processes(data=tuple(member.pid for member in members), control=())

    @property
    def program(self) -> str:
        """The path of its program, "" if it is not installed."""
        return find(self._program)


def find(program: str) -> str:
    """Return the path of an installed program, "" if there is none."""
    return shutil.which(program, path=_PATH) or ""


def said(*command: str) -> str:
    """Return what a program prints about itself, on either stream."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, timeout=10)
    return done.stdout.strip()
