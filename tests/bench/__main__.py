"""``python -m tests.bench``: what connections, bytes, messages and requests cost mcproxy and its peers.

Every figure is CPU time (or memory) of the proxy's own processes with one worker or thread, per unit of work. Peers do
their work in short turns, so that a noisy moment of the machine strikes all of them, and ratios are taken within rounds.
Targets are printed as met or not met and never fail the run; a peer or a tool that is missing or fails does (exit status 1).
"""

import argparse
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench.loads import GROUPS, LOADS
from tests.bench.peer_mcproxy import Mcproxy
from tests.bench.peers import PEERS
from tests.bench.report import document, summarize, table
from tests.bench.sample import PLACEMENTS, Sample, take_round
from tests.bench.site import Layer


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for, print the tables, and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not any(name in PEERS[LOADS[load].layer] for load in options.loads for name in options.peers):
        parser.error(f"none of {', '.join(options.peers)} is put under {', '.join(options.loads)}")
    Mcproxy.DATA_PATH = options.data_path
    rounds = options.rounds or (1 if options.quick else 5)
    failures: list[str] = []
    loads = [LOADS[name] for name in options.loads]
    for load in loads:
        if reason := load.missing():
            _complain(failures, f"MISSING TOOL for {load.name}: {reason}")
    loads = [load for load in loads if not load.missing()]
    layers = [layer for layer in Layer if any(load.layer is layer for load in loads)]
    versions = {layer: _versions(layer, options.peers, failures) for layer in layers}
    # Idle connections and their backends take thousands of descriptors; children inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    cpus = PLACEMENTS[options.cpus]()
    samples: list[Sample] = []
    for load in loads:
        units, turns = (load.quick, 2) if options.quick else (load.units, load.turns)
        peers = [PEERS[load.layer][name] for name in versions[load.layer]]
        for number in range(1, rounds + 1):
            _progress(f"round {number}/{rounds}: {load.name} ...\n")
            for name, result in take_round(load, peers, number, units, turns, cpus).items():
                if isinstance(result, Sample):
                    samples.append(result)
                    spent = f"{result.seconds:.1f} s, {result.busy:.0%} busy"
                    _progress(f"  {name} {result.value:.1f} {load.unit} ({spent})\n")
                else:
                    _complain(failures, f"FAILED {load.name} {name}, round {number}: {result}")
    rows = {layer: [summarize(load, samples) for load in loads if load.layer is layer] for layer in layers}
    print("CPU time, or memory, of the proxy's own processes; median of the rounds. One worker, one thread each.")
    for layer in layers:
        if versions[layer]:
            print(f"\n{layer.upper()}: {', '.join(f'{name} {version}' for name, version in versions[layer].items())}\n")
            print(table(rows[layer], list(versions[layer])))
    for failure in failures:
        print(f"\n{failure}")
    if options.json:
        options.json.write_bytes(
            document([row for layer in layers for row in rows[layer]], samples, versions, failures)
        )
    return 1 if failures else 0


def _versions(layer: Layer, wanted: Sequence[str], failures: list[str]) -> dict[str, str]:
    """Return the versions of the wanted peers of ``layer`` that are here, and complain of those that are not."""
    versions: dict[str, str] = {}
    for name, peer in PEERS[layer].items():
        if name not in wanted:
            continue
        if reason := peer.missing():
            _complain(failures, f"MISSING PEER {name}: {reason}")
        else:
            versions[name] = peer.version()
    return versions


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure mcproxy side by side with other proxies, on loopback."
    )
    peers = dict.fromkeys(name for peers in PEERS.values() for name in peers)
    of_layer = "; ".join(f"{layer}: {', '.join(PEERS[layer])}" for layer in Layer)
    parser.add_argument("--peers", type=_names(peers, {}), default=list(peers), help=f"of {of_layer} (default: all)")
    every = f"{', '.join(LOADS)}; or {', '.join(GROUPS)} (default: all)"
    parser.add_argument("--loads", type=_names(LOADS, GROUPS), default=list(LOADS), help=f"of {every}")
    parser.add_argument("--rounds", type=_positive, help="samples of each load and peer (default: 5, with --quick 1)")
    parser.add_argument(
        "--quick", action="store_true", help="little work: shows that everything runs, not what it costs"
    )
    parser.add_argument(
        "--data-path", choices=("auto", "python", "native"), default="auto", help="what relays mcproxy's l4 connections"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE too")
    where = "where proxy, driver and backend run: all on one CPU (default: repeats best), the proxy alone on one, or anywhere"
    parser.add_argument("--cpus", choices=PLACEMENTS, default="one", help=where)
    return parser


def _names(known: Mapping[str, object], groups: Mapping[str, Sequence[str]]) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated names, in which a group stands for its members."""

    def parse(text: str) -> list[str]:
        names = [member for word in text.split(",") for member in groups.get(word, (word,))]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join([*known, *groups])}")
        return list(dict.fromkeys(names))

    return parse


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def _complain(failures: list[str], text: str) -> None:
    failures.append(text)
    print(text, file=sys.stderr)


def _progress(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # An exception, so that the contexts end what they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
