"""``python -m tests.failover``: what clients see when a backend is killed, behind mcproxy and behind haproxy.

The same three nginx with the same checks behind both; clients send requests at a constant rate through one proxy while one of
the backends is killed (SIGKILL), and started again when it is out for sure. The proxies take turns, so that both see the same
machine. Exit status 1 where mcproxy's median is worse than haproxy's by more than a tenth and two requests.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from tests.failover.load import Kind, Traffic
from tests.failover.report import OTHER, SUBJECT, Kill, table, worse
from tests.failover.site import HOSTNAMES, Backend, Site, running_site
from tests.support.processes import Processes

_OUT = 6.0  # seconds after a kill: three checks, and one that takes all of its time
_WARM = 1.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare as the command line asks; return the exit status."""
    options = _parser().parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as folder,
        Processes(Path(folder)) as processes,
        running_site(processes, Path(folder)) as site,
    ):
        try:
            kills = _compare(site, options)
        except AssertionError:
            print(f"mcproxy said:\n{site.edge.stderr[-4000:]}", file=sys.stderr)
            raise
    print(table(kills))
    found = worse(kills, options.rate)
    for text in found:
        print(f"WORSE: {text}", file=sys.stderr)
    return bool(found)


def _compare(site: Site, options: argparse.Namespace) -> dict[tuple[Kind, str], list[Kill]]:
    kills: dict[tuple[Kind, str], list[Kill]] = {}
    for number in range(options.kills):
        for kind in options.kinds:
            for proxy in (OTHER, SUBJECT):
                kill = _kill(site, site.backends[number % 3], kind, proxy, options.rate)
                kills.setdefault((kind, proxy), []).append(kill)
                told = f"{kill.failed} failed, the last after {kill.last:.2f} s; back after {kill.returned:.2f} s"
                print(f"{kind} {proxy}: {told} {'; '.join(kill.errors)}", file=sys.stderr, flush=True)
    return kills


def _kill(site: Site, victim: Backend, kind: Kind, proxy: str, rate: int) -> Kill:
    with Traffic(kind, site.ports[proxy][kind], HOSTNAMES[kind], str(site.ca), rate) as traffic:
        begun = time.monotonic()
        names = [backend.name for backend in site.backends]
        _wait(lambda: all(traffic.answered(name, begun) for name in names), "all backends answer")
        time.sleep(_WARM)
        if early := traffic.failed(begun):
            raise AssertionError(f"{len(early)} requests failed before the kill: {early[0].error}")
        killed = time.monotonic()
        victim.kill()
        time.sleep(_OUT)
        victim.start()
        back = time.monotonic()
        _wait(lambda: traffic.answered(victim.name, back) is not None, f"{victim.name} answers again")
        time.sleep(_WARM)
    if traffic.behind > 1.0:
        print(f"the clients were {traffic.behind:.2f} s late", file=sys.stderr)
    failed = traffic.failed(killed)
    returned = traffic.answered(victim.name, back)
    assert returned is not None
    return Kill(
        failed=len(failed),
        last=max((one.ended - killed for one in failed), default=0.0),
        returned=returned - back,
        errors=tuple(sorted({one.error for one in failed})),
    )


def _wait(condition: Callable[[], bool], text: str, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {text}")
        time.sleep(0.02)


def _kinds(text: str) -> list[Kind]:
    words = text.split(",")
    if unknown := [word for word in words if word not in HOSTNAMES]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(HOSTNAMES)}")
    return cast("list[Kind]", words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="just failover", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--kills", type=int, default=5, help="of each kind of clients and proxy (5)")
    parser.add_argument("--kinds", type=_kinds, default=list(HOSTNAMES), help=f"of {','.join(HOSTNAMES)} (all)")
    parser.add_argument("--rate", type=int, default=500, help="requests a second (500)")
    return parser


if __name__ == "__main__":
    # An exception, so that the contexts end what they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
