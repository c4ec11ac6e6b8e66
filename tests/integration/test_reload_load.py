"""Two hundred reloads under load: what a reload does not name is not touched."""

import random
from collections.abc import Iterator

import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import applied, end, operations, totals
from tests.support.load import Load
from tests.support.toml import config, listener, route

pytestmark = pytest.mark.both_data_paths

HOST = "127.0.0.1"
RELOADS = 200
BROKEN = 50
WORKERS = (3, 1, 2)

# What is appended to a good file, and where the mistake is: lines below the good text, column.
MISTAKES = (
    ("[prox]\n", 1, 2),
    ('[log]\nlevel = "loud"\n', 2, 9),
    ("[log]\nlevel = 3\n", 2, 9),
    ("[[listeners]]\naddr = '127.0.0.1:99999'\n", 2, 8),
    ("[[listeners]]\naddr = '127.0.0.1:PORT'\n", 2, 8),
    ("[[listeners.routes]]\nhostname = 'bad name'\nbackend = '127.0.0.1:1'\n", 2, 12),
    ("[[listeners.routes]]\nhostname = 'x.test'\n", 1, 13),
    ("[[listeners.routes]]\nhostname = 'x.test'\nbackend = '127.0.0.1'\n", 3, 11),
    ("[database]\npath = 'nowhere/mc-proxy.db'\n", 2, 8),
    ("\n\nx = = 1\n", 3, 5),
)


class Edits:
    """Random edits of a file around two listeners of which nothing changes but what else is in the file."""

    def __init__(self, backends: dict[str, int], seed: int) -> None:
        self._random = random.Random(seed)
        self._backends = backends
        self._workers = 2
        self.routes: dict[str, str] = {}
        self._listeners: set[str] = set()

    def text(self) -> str:
        port = self._backends
        extra = [route(name, port[backend]) for name, backend in sorted(self.routes.items())]
        return config(
            listener("PORT", route("stays.test", port["stays"]), *extra),
            listener("PORT_B", route("stays.test", port["stays"])),
            *(listener(f"PORT_{name}", route("x.test", port["one"])) for name in sorted(self._listeners)),
            workers=self._workers,
            shutdown_timeout="2m",
        )

    def step(self, number: int) -> None:
        """Make one to three changes; every one differs from the others, so that something always changes."""
        if number % 25 == 24:
            self._workers = WORKERS[number // 25 % len(WORKERS)]
            return
        names = self._random.sample(range(12), self._random.randint(1, 3))
        for name in (f"r{number}.test" for number in names):
            match self._random.choice(("put", "put", "remove")), self.routes.get(name):
                case "remove", str():
                    del self.routes[name]
                case _, backend:
                    self.routes[name] = "two" if backend == "one" else "one"
        if number % 4 == 0:
            self._listeners ^= {self._random.choice(("X", "Y", "Z"))}


def mistakes() -> Iterator[tuple[str, int, int]]:
    while True:
        yield from MISTAKES


@pytest.mark.soak
def test_two_hundred_reloads_lose_nothing_on_untouched_routes(proxy: StartProxy) -> None:
    """Routes, listeners and workers come, change and go, broken files in between: no connection elsewhere notices."""
    with Load() as load:
        edits = Edits({name: load.backend(name) for name in ("stays", "one", "two")}, seed=2)
        edge = proxy(edits.text())
        main, other = (HOST, edge.port()), (HOST, edge.port("B"))
        traffic = [
            load.arrive(main, "stays.test", clients=2),
            load.arrive(other, "stays.test", clients=2),
            load.hold(main, "stays.test", count=6, pause=0.05),
            load.hold(other, "stays.test", count=6, pause=0.05),
        ]
        wrong = mistakes()
        for number in range(RELOADS):
            if number % (RELOADS // BROKEN) == 1:
                mistake, below, column = next(wrong)
                good = edits.text()
                line = good.count("\n") + below
                since = edge.mark()
                edge.save(good + mistake)
                edge.wait_for_log(rf"nothing changed generation={number + 1} ", since=since)
                place = f"] {edge.config.name}:{line}:{column}: error: "
                assert place in edge.stderr[since:], (place, edge.stderr[since:])
            edits.step(number)
            since = edge.mark()
            edge.save(edits.text())
            log = applied(edge, since)
            assert f"generation={number + 2}" in log
            assert not [
                line for line in operations(log) if "stays.test" in line or f"listener {HOST}:{main[1]}" in line
            ]
            if number % 10 == 0 and edits.routes:
                name, backend = min(edits.routes.items())
                assert load.once(main, name).backend == backend
        results = [each.stop() for each in traffic]
        assert not [result for each in results for result in each if result.error]
        assert {result.backend for each in results for result in each} == {"stays"}
        assert all(result.messages > RELOADS / 10 for each in results[2:] for result in each)
        assert end(edge) == 0
        assert edge.stderr.count("] applied") == RELOADS
        assert edge.stderr.count("nothing changed") == BROKEN
        assert totals(edge)[f"{HOST}:{other[1]}"] == len(results[1]) + len(results[3])
