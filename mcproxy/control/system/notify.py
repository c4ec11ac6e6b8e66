"""Telling the service manager (sd_notify(3)); nothing happens when there is none."""

import array
import os
import socket
import time
from collections.abc import Sequence


def notify(state: str, descriptors: Sequence[int] = ()) -> None:
    """Send one state (``READY=1``, ``RELOADING=1``, ``STOPPING=1`` ...) to ``$NOTIFY_SOCKET``, with what it is about."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            # socket.send_fds takes an address and does not use it
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            sock.sendmsg([state.encode()], rights, 0, address)
        except OSError:
            return  # a manager that went away must not take the proxy along


def reloading() -> None:
    """Tell that a reload has begun; `notify` ``READY=1`` ends it. Type=notify-reload needs the time, in us."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
