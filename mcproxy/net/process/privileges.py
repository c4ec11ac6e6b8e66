"""Rights that a process gives up for good, before it has a second thread: the kernel keeps them per thread."""

import contextlib
import errno
import itertools
import os
import pwd
from collections.abc import Iterator

from mcproxy.net import c_library

_kept: list[int] = []  # capabilities that were ambient when they were kept from children


def become(user: str) -> None:
    """Become a user, with its groups and none of root's capabilities; nothing changes for one that is this user already.

    Raises OSError, and KeyError if there is no such user.
    """
    entry = pwd.getpwnam(user)
    if entry.pw_uid:
        if os.getuid() == entry.pw_uid:
            return
        _empty_bounding_set()
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def keep_from_children() -> None:
    """Pass no capability on to programs that are started from now on, what a service manager gave as ambient; raises OSError."""
    _kept[:] = _ambient()
    c_library.prctl(c_library.PR_CAP_AMBIENT, c_library.PR_CAP_AMBIENT_CLEAR_ALL)


@contextlib.contextmanager
def passed_on() -> Iterator[None]:
    """Pass on what `keep_from_children` keeps, to programs that this thread starts within; raises OSError."""
    try:
        for number in _kept:
            c_library.prctl(c_library.PR_CAP_AMBIENT, c_library.PR_CAP_AMBIENT_RAISE, number)
        yield
    finally:
        c_library.prctl(c_library.PR_CAP_AMBIENT, c_library.PR_CAP_AMBIENT_CLEAR_ALL)


def _ambient() -> list[int]:
    """Return the capabilities that programs get which this thread starts, by number."""
    found: list[int] = []
    for number in itertools.count():
        try:
            if c_library.prctl(c_library.PR_CAP_AMBIENT, c_library.PR_CAP_AMBIENT_IS_SET, number):
                found.append(number)
        except OSError:  # the one behind the last that this kernel knows
            break
    return found


def give_up() -> None:
    """Give up every capability, unless the process is root's, and never gain a right by running a program; raises OSError.

    What root may is for the operator to say, who has named no user: backends may listen on sockets of other users.
    """
    c_library.prctl(c_library.PR_SET_NO_NEW_PRIVS, 1)
    # a service manager may forbid capset(2), and has left nothing to clear if control kept it to itself
    if os.geteuid() and c_library.permitted_capabilities():
        c_library.clear_capabilities()


def _empty_bounding_set() -> None:
    """Leave no capability that a program which is run could bring back, where this process may say so (CAP_SETPCAP)."""
    for number in itertools.count():
        try:
            c_library.prctl(c_library.PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno in (
                errno.EINVAL,
                errno.EPERM,
            ):  # the one behind the last that this kernel knows; not allowed
                return
            raise
