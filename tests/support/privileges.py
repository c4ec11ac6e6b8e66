"""What a process may do, as the kernel tells it."""

import contextlib
from pathlib import Path

import msgspec

NET_BIND_SERVICE = 1 << 10
"""The bit of CAP_NET_BIND_SERVICE."""


class Privileges(msgspec.Struct, frozen=True):
    """A process's, from /proc/PID/status; sets of capabilities have bit n for capability n.

    Attributes:
        uids: real, effective, saved and of the file system.
        gids: likewise.
        groups: supplementary groups.
        inheritable: what an executed file may bring back with capabilities of its own.
        permitted: what it may use.
        effective: what it uses.
        bounding: what executed programs may gain at most.
        ambient: what programs that it executes get.
        no_new_privileges: executed programs gain nothing.
    """

    uids: frozenset[int]
    gids: frozenset[int]
    groups: frozenset[int]
    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int
    no_new_privileges: bool


def privileges_of(pid: int) -> set[Privileges]:
    """Return the privileges of all threads of a process; one element if they agree."""
    found: set[Privileges] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found.add(_of(task / "status"))
    return found


def _of(status: Path) -> Privileges:
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    uids, gids, groups = (frozenset(map(int, lines[name].split())) for name in ("Uid", "Gid", "Groups"))
    inheritable, permitted, effective, bounding, ambient = (
        int(lines[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")
    )
    no_new = lines["NoNewPrivs"].strip() == "1"
    return Privileges(uids, gids, groups, inheritable, permitted, effective, bounding, ambient, no_new)
