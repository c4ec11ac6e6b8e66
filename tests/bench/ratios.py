"""``python -m tests.bench.ratios``: fail when either data path costs clearly more, beside haproxy, than it does now.

CPU times of one run alone are compared: the machine, its load and its mood are the same for all. The limits are about a
quarter above what is usual, so that a change that costs 30 % is seen and noise is not: what is above its limit is
measured again, and it is the median over all rounds that counts.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tests.bench.loads import LOADS, Load, Target
from tests.bench.peer_mcproxy import Mcproxy
from tests.bench.peers import PEERS, SUBJECT
from tests.bench.report import Verdict, summarize
from tests.bench.sample import Cpus, Sample, take_round
from tests.bench.site import Layer

_HAPROXY = "haproxy"
_PYTHON = f"{SUBJECT}-python"
LIMITS: Mapping[str, tuple[Target, ...]] = {
    "connection": (Target(1.05, _HAPROXY), Target(2.1, _HAPROXY, of=_PYTHON)),
    "message": (Target(1.25, _HAPROXY), Target(1.6, _HAPROXY, of=_PYTHON)),
}
"""What each load may cost natively, and on Python's data path, by the load's name."""
_FEW, _MANY = 3, 9  # rounds
_SHARE = 2  # of a load's units: a half is enough here
_CALM = 1.3  # between the highest and the lowest ratio of the rounds


def check(load: Load, take: Callable[[int], Sequence[Sample]]) -> tuple[Verdict, ...]:
    """Take rounds until all targets of a load are met and the rounds agree, or there were many; return the verdicts.

    Args:
        load: what is measured.
        take: measures one round, by its number.
    """
    samples: list[Sample] = []
    verdicts: tuple[Verdict, ...] = ()
    for number in range(1, _MANY + 1):
        samples += take(number)
        verdicts = summarize(load, samples).verdicts
        if number >= _FEW and all(one.met and _is_calm(one) for one in verdicts):
            break
    return verdicts


def _is_calm(verdict: Verdict) -> bool:
    return verdict.ratio is not None and verdict.ratio.high <= _CALM * verdict.ratio.low


def main() -> int:
    """Measure both loads; return the exit status."""
    Mcproxy.DATA_PATH = "native"
    peers = [PEERS[Layer.L4][name] for name in (_HAPROXY, SUBJECT, _PYTHON)]
    bad = False
    for peer in peers:
        if reason := peer.missing():
            sys.stderr.write(f"{peer.name}: {reason}\n")
            bad = True
    if bad:
        return 1
    for name, targets in LIMITS.items():
        load = msgspec.structs.replace(LOADS[name], targets=targets)

        def take(number: int, load: Load = load) -> list[Sample]:
            outcome = take_round(load, peers, number, load.units // _SHARE, load.turns, Cpus.one())
            for peer, result in outcome.items():
                if not isinstance(result, Sample):
                    sys.stderr.write(f"{load.name}, round {number}: {peer} failed: {result}\n")
            return [result for result in outcome.values() if isinstance(result, Sample)]

        for verdict in check(load, take):
            sys.stdout.write(f"{name}: {verdict.target}: {verdict.ratio}: {verdict}\n")
            sys.stdout.flush()
            bad = bad or not verdict.met
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
