"""What tests of reloads, supervision and takeovers do with a proxy all the time."""

import re
import signal

import psutil

from tests.support.load import Traffic, until
from tests.support.proxy import Proxy


def apply(proxy: Proxy, text: str, timeout: float = 60) -> str:
    """Save a file, wait until it is live in all workers, and return what was logged meanwhile."""
    since = proxy.mark()
    proxy.save(text)
    return applied(proxy, since, timeout)


def applied(proxy: Proxy, since: int, timeout: float = 60) -> str:
    """Wait until a change is live in all workers; return what was logged from ``since`` (`Proxy.mark`) up to then."""
    match = proxy.wait_for_log(r"\] applied\b.*$", timeout, since)
    return match.string[proxy.told_before + since : match.end()]


def operations(log: str) -> list[str]:
    """Return the lines of the plan in a log: ``+ route ...``, ``~ setting ...``, ``- listener ...``."""
    return re.findall(r"\] ([+~-] .*?) *$", log, re.MULTILINE)


def end(proxy: Proxy, number: signal.Signals = signal.SIGTERM, timeout: float = 30) -> int:
    """End control by a signal and return its exit status; nothing that it started may be left then."""
    proxy.signal(number)
    status = proxy.process.wait(timeout)
    left = proxy.process.descendants()
    assert not left, f"left behind: {left}"
    return status


def totals(proxy: Proxy) -> dict[str, int]:
    """Return the connections that each listener has accepted, as logged at the end."""
    found = re.findall(r"\] totals +accepted=(\d+) .*?listener=(\S+)", proxy.stderr)
    return {addr: int(count) for count, addr in found}


def client_ports(worker: psutil.Process, listener: int) -> set[int]:
    """Return the clients' ports of a worker's connections on a listener's port."""
    connections = worker.net_connections("tcp")
    return {one.raddr.port for one in connections if one.status == "ESTABLISHED" and one.laddr.port == listener}


def holder(proxy: Proxy, listener: int, held: Traffic) -> psutil.Process:
    """Return the worker that has most of these connections: one of several may have none, as the kernel chose."""
    ports = {one.port for one in held.results}
    return max(proxy.workers(), key=lambda worker: len(ports & client_ports(worker, listener)))


def wait_workers(proxy: Proxy, count: int) -> list[psutil.Process]:
    """Wait until exactly so many workers of the control started last run; return them."""
    until(lambda: len(proxy.workers()) == count, f"{count} workers run")
    return proxy.workers()


def listening(worker: psutil.Process) -> int:
    """Return how many listening sockets a worker holds: some as soon as it has applied its first snapshot."""
    return len([one for one in worker.net_connections("tcp") if one.status == "LISTEN"])


def wait_gone(process: psutil.Process, timeout: float = 30) -> None:
    """Wait until a process has ended."""
    gone, alive = psutil.wait_procs([process], timeout)
    assert not alive, f"{process} still runs after {timeout} s; gone: {gone}"
