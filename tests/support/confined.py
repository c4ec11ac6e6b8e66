"""`python -m tests.support.confined UNIT PROGRAM ...`: run a program under what a systemd unit allows its processes.

For machines where no systemd runs. It applies the unit's system call filter, with the restrictions of address families and of
memory that is writable and executable, and its capabilities; user, file system and namespaces stay. The names of the filter's
sets are asked of systemd-analyze, the filter itself is libseccomp's, which systemd uses as well.
"""

import ctypes
import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mcproxy.net import c_library

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQ, _MASKED_EQ = 4, 7
_WRITE, _EXEC, _SHM_EXEC = 2, 4, 0o100000
_CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10}


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def service(unit: Path) -> dict[str, list[str]]:
    """Return the keys of a unit's [Service], each with its values in their order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def system_calls(values: Sequence[str]) -> set[str]:
    """Return the names that the values of SystemCallFilter= allow, the first one being a list of what is allowed."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True, check=True
    )
    sets: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=@)", listed.stdout):
        name, *members = (
            line.strip() for line in block.splitlines() if line.strip() and not line.strip().startswith("#")
        )
        sets[name] = members

    def expand(name: str) -> set[str]:
        return set().union(*map(expand, sets[name])) if name.startswith("@") else {name}

    allowed = expand("@default")
    for value in values:
        names = set().union(*map(expand, value.removeprefix("~").split()))
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def confine(keys: dict[str, list[str]]) -> None:
    """Confine this process, and what it executes; raises OSError."""
    kept = {_CAPABILITIES[name] for value in keys["CapabilityBoundingSet"] for name in value.split()}
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="utf-8"))
    for number in set(range(last + 1)) - kept:
        c_library.prctl(c_library.PR_CAPBSET_DROP, number)
    c_library.prctl(c_library.PR_SET_NO_NEW_PRIVS, 1)
    families = [int(getattr(socket, name)) for value in keys["RestrictAddressFamilies"] for name in value.split()]
    # each call with the alternatives of what its arguments have to be; none: whatever they are
    conditions: dict[str, list[_Comparison]] = {"socket": [_Comparison(0, _EQ, family, 0) for family in families]}
    if keys["MemoryDenyWriteExecute"] == ["yes"]:
        both = _WRITE | _EXEC
        conditions["mmap"] = [_Comparison(2, _MASKED_EQ, both, some) for some in (0, _WRITE, _EXEC)]
        conditions["mprotect"] = conditions["pkey_mprotect"] = [_Comparison(2, _MASKED_EQ, _EXEC, 0)]
        conditions["shmat"] = [_Comparison(2, _MASKED_EQ, _SHM_EXEC, 0)]
    _load(system_calls(keys["SystemCallFilter"]), conditions, getattr(errno, keys["SystemCallErrorNumber"][0]))


def _load(names: set[str], conditions: dict[str, list[_Comparison]], refused: int) -> None:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_ERRNO | refused))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # not of this architecture
        for condition in conditions.get(name, [None]):
            array = None if condition is None else ctypes.byref(condition)
            code = library.seccomp_rule_add_array(
                context, ctypes.c_uint32(_ALLOW), number, condition is not None, array
            )
            if code:
                raise OSError(-code, f"{name}: {os.strerror(-code)}")
    if code := library.seccomp_load(context):
        raise OSError(-code, os.strerror(-code))


if __name__ == "__main__":
    confine(service(Path(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])
