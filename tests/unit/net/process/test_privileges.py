"""Rights given up: tried in processes of their own, since there is no way back."""

import os
import pwd
import subprocess
import sys

import msgspec
import pytest

from tests.support.privileges import NET_BIND_SERVICE, Privileges
from tests.support.proxy import ROOT
from tests.support.require import missing

USER = pwd.getpwnam("nobody")

HEAD = f"""
import ctypes, os, sys
import msgspec
from mcproxy.net import c_library
from mcproxy.net.process import privileges
from tests.support.privileges import privileges_of

def as_under_a_service_manager():
    # what User= and AmbientCapabilities=CAP_NET_BIND_SERVICE make of a service
    libc = ctypes.CDLL(None)
    libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setgid({USER.pw_gid})
    os.setuid({USER.pw_uid})
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    bit = 1 << 10
    assert libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)) == 0
    assert libc.prctl(47, 2, 10, 0, 0) == 0  # PR_CAP_AMBIENT_RAISE

def tell():
    sys.stdout.buffer.write(msgspec.json.encode(privileges_of(os.getpid())))
"""


@pytest.fixture(autouse=True)
def root() -> None:
    if os.getuid():
        missing("root", "run the tests as root")


def after(program: str) -> Privileges:
    """Run a program that tells its privileges, and return them; all of its threads agree."""
    told = subprocess.run(
        [sys.executable, "-c", f"{HEAD}\n{program}\ntell()"], cwd=ROOT, check=True, capture_output=True, timeout=30
    )
    (found,) = msgspec.json.decode(told.stdout, type=list[Privileges])
    return found


def test_a_root_process_that_becomes_a_user_has_nothing_left() -> None:
    """Its uid, its groups, and no capability in any set, the bounding set included."""
    got = after("privileges.become('nobody'); privileges.give_up()")
    assert got.uids == {USER.pw_uid}
    assert got.gids == {USER.pw_gid}
    assert got.groups == set(os.getgrouplist("nobody", USER.pw_gid))
    assert (got.inheritable, got.permitted, got.effective, got.bounding, got.ambient) == (0, 0, 0, 0, 0)
    assert got.no_new_privileges


def test_a_service_managers_capability_is_given_up() -> None:
    """A worker that has got one, whoever passed it on, keeps it in no set that counts."""
    before = after("as_under_a_service_manager()")
    assert before.effective == before.permitted == before.ambient == NET_BIND_SERVICE
    got = after("as_under_a_service_manager(); privileges.give_up()")
    assert (got.inheritable, got.permitted, got.effective, got.ambient) == (0, 0, 0, 0)
    assert got.no_new_privileges


def test_control_keeps_its_capability_to_itself() -> None:
    """It may bind low ports; what it starts may not."""
    got = after("as_under_a_service_manager(); privileges.keep_from_children()")
    assert got.effective == got.permitted == NET_BIND_SERVICE
    assert got.ambient == 0


def test_what_replaces_control_gets_its_capability() -> None:
    """A program that is started within has it, and what is started afterwards has not."""
    within = """
import subprocess
as_under_a_service_manager()
privileges.keep_from_children()
with privileges.passed_on():
    told = subprocess.check_output(["cat", "/proc/self/status"])
assert b"CapEff:\\t0000000000000400" in told, told
"""
    assert after(within).ambient == 0


def test_a_user_that_the_process_is_already_changes_nothing() -> None:
    """An unprivileged control may name itself: there is nothing to switch, and no right to."""
    got = after(f"os.setgroups([]); os.setgid({USER.pw_gid}); os.setuid({USER.pw_uid}); privileges.become('nobody')")
    assert got.uids == {USER.pw_uid}


def test_root_without_a_named_user_stays_root_and_gains_nothing() -> None:
    """Backends may listen on sockets that only root can open."""
    got = after("privileges.give_up()")
    assert got.uids == {0}
    assert got.effective
    assert got.no_new_privileges


def test_a_bounding_set_that_may_not_be_changed_is_left() -> None:
    """In a container without CAP_SETPCAP a user can still be switched to; nothing in the set can be gained any more."""
    got = after("""
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
keep = 1 << 6 | 1 << 7  # CAP_SETGID, CAP_SETUID
assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)) == 0
privileges.become('nobody')
privileges.give_up()
""")
    assert got.bounding
    assert (got.permitted, got.effective, got.no_new_privileges) == (0, 0, True)
