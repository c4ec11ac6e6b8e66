"""``python -m tests.endurance``: does anything grow, get lost or go out of step while all kinds of things happen for long?

L4, HTTP/1.1, HTTP/2, WebSocket and gRPC clients use a proxy, while its file changes every second, a worker is killed every
minute and control every five. Exit status 1 when a connection was lost that no killed worker had, a counter went back or
disagrees with the clients, or memory, descriptors, threads, tasks or the database have grown (`tests.endurance.checks`).
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.endurance import checks, samples
from tests.endurance.checks import Run
from tests.endurance.events import Events, listener_of
from tests.endurance.load import MixedLoad, requests
from tests.endurance.report import table
from tests.endurance.site import DRAIN_SECONDS, HOST, HOSTNAME, LISTENERS, Site, running_site
from tests.support import counters
from tests.support.lifecycle import end
from tests.support.load import until
from tests.support.processes import Processes

_SAMPLES = 180  # of a run, at least a second apart
_WARM_SHARE = 0.1  # of a run, before the first sample counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run for as long as the command line asks; return the exit status."""
    options = _parser().parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as name,
        Processes(Path(name)) as started,
    ):
        folder = Path(name)
        with running_site(started, folder, options.seed, options.data_path) as site:
            events = Events(site)
            run = _run(site, events, options)
            left = events.wait_drained(DRAIN_SECONDS + 10)
            status = end(site.edge)
            logs = site.edge.logs()
    if options.log:
        options.log.write_text("\n".join(logs), encoding="utf-8")
    own, others = checks.losses(run)
    done = f"{options.minutes:g} minutes: {events.reloads} reloads, {len(run.kills)} kills of workers, "
    print(table(run, own, others, f"{done}{len(events.control_kills)} of control"), flush=True)
    found = [*others, *checks.flat(run), *checks.counters(run), *checks.complaints(logs)]
    found += [f"the worker {pid} of an earlier control has not drained" for pid in left]
    if status:
        found.append(f"control ended with status {status}")
    for text in found:
        print(f"WRONG: {text}", file=sys.stderr)
    return bool(found)


def _run(site: Site, events: Events, options: argparse.Namespace) -> Run:
    address = HOST, site.edge.port("L")
    begin = time.monotonic()
    stop = begin + options.minutes * 60
    due = {
        events.kill_control: (begin + options.control_kill, options.control_kill),
        events.kill_worker: (begin + options.worker_kill, options.worker_kill),
        events.reload: (begin, options.reload),
    }
    taken: list[samples.Sample] = []
    pause = max(1.0, options.minutes * 60 / _SAMPLES)
    sample_at = begin + options.minutes * 60 * _WARM_SHARE
    with MixedLoad(site.kinds) as load:
        relayed = {
            "l4": site.relayed.arrive(address, HOSTNAME, clients=6, pause=0.1, messages=100),
            "l4 new": site.relayed.arrive(address, HOSTNAME, clients=2, pause=0.1),
        }
        results = {**{kind: each.results for kind, each in relayed.items()}, **load.results}
        while (now := time.monotonic()) < stop:
            if now >= sample_at:
                taken.append(samples.take(site, events.left, requests(results)))
                sample_at += pause
            for event, (at, interval) in due.items():
                if now >= at:
                    event()
                    due[event] = max(at + interval, time.monotonic()), interval
                    break
            else:
                time.sleep(0.02)
        for traffic in relayed.values():
            traffic.stop()
    until(lambda: not any(each.open for each in counters.totals(site.edge).listeners.values()), "all are closed", 30)
    ports = {kind: site.edge.port(LISTENERS[listener_of(kind)].removeprefix("PORT_")) for kind in results}
    return Run(taken, results, ports, events.kills, counters.totals(site.edge))


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="just endurance", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("minutes", nargs="?", type=_positive, default=30.0, help="how long (30)")
    parser.add_argument(
        "--reload", type=_positive, default=1.0, metavar="SECONDS", help="between two edits of the file (1)"
    )
    parser.add_argument("--worker-kill", type=_positive, default=60.0, metavar="SECONDS", help="between two kills (60)")
    parser.add_argument(
        "--control-kill", type=_positive, default=300.0, metavar="SECONDS", help="between two kills (300)"
    )
    parser.add_argument(
        "--data-path", choices=("auto", "python", "native"), default="auto", help="what relays l4 connections (auto)"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="where to write what the proxy has logged")
    parser.add_argument("--seed", type=int, default=1, help="of the edits (1)")
    return parser


if __name__ == "__main__":
    # An exception, so that the contexts end what they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.nice(5)
    sys.exit(main())
