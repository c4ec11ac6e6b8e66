"""The tests of a configuration, run: each asks what the data plane would do, and compares that with what is expected.

Nothing is connected to, and nothing depends on the time or on what else goes on: limits, rates and whoever is asked for leave let a
test pass, unless it names them.
"""

import posixpath
from collections.abc import Iterator

import msgspec
from msgspec import UnsetType

from mcproxy.model.config.problems import KeyPath, Problem, Severity
from mcproxy.model.config.resolve import Resolution
from mcproxy.model.config.testing.declared import DeclaredTest
from mcproxy.model.config.testing.shape import ConfigTest
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.state import Listener
from mcproxy.model.values import addresses
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.explain.query import CountryOf, Query
from mcproxy.policy.explain.testing.expectations import Judge, Miss, named_by
from mcproxy.policy.explain.testing.outcomes import Outcome
from mcproxy.policy.explain.walk import Walker, reaches

DEFAULT_V4, DEFAULT_V6 = "192.0.0.8", "100::1"
"""The clients of tests that name none: addresses that no client has, nor any example (RFC 7600, RFC 6666)."""

_SHOWN = 10  # listeners that are named
_SCHEMES = {"https": "tls", "http": "http"}


class Run(msgspec.Struct, frozen=True):
    """What came of all tests.

    Attributes:
        failed: what does not hold, as errors at the expectations.
        unjudged: what can't be told, as notes.
        touched: the routes, cases and filters that some test comes by.
    """

    failed: tuple[Problem, ...] = ()
    unjudged: tuple[Problem, ...] = ()
    touched: frozenset[Key] = frozenset()


def run(resolution: Resolution, country: CountryOf | None, folder: str) -> Run:
    """Run the tests of a configuration.

    Args:
        resolution: what the files say.
        country: looks an address up in the country database; None where that is not read.
        folder: of the main file; lines of files are told relative to it.
    """
    runner = _Runner(resolution, country, folder)
    for each in resolution.tests:
        runner.run(each)
    return Run(tuple(runner.failed), tuple(runner.unjudged), frozenset(runner.touched))


def untouched(resolution: Resolution, touched: frozenset[Key]) -> Iterator[Problem]:
    """Yield a note for each route, case and filter that no test comes by, at the line that declares it."""
    state = resolution.state
    keys: list[Key] = [origin_key("route", route) for route in state.routes]
    keys += (origin_key("case", case) for case in state.cases)
    keys += (origin_key("filter", name) for name in state.filters)
    for key in keys:
        if key not in touched:
            what = f"the {key[0]} {key[-1]}" + (f" of {' '.join(key[1:-1])}" if len(key) > 2 else "")
            yield resolution.place_problem(key, f"no test comes by {what}", "note")


def coverage(resolution: Resolution, touched: frozenset[Key]) -> dict[str, tuple[int, int]]:
    """Return of routes, cases and filters how many some test comes by, and how many there are."""
    state = resolution.state
    kinds = {"route": len(state.routes), "case": len(state.cases), "filter": len(state.filters)}
    return {kind: (sum(key[0] == kind for key in touched), total) for kind, total in kinds.items()}


class _Runner:
    def __init__(self, resolution: Resolution, country: CountryOf | None, folder: str) -> None:
        self._walker = Walker(resolution)
        self._judge = Judge(self._walker.tables, self._where)
        self._country = country
        self._folder = folder
        self.failed: list[Problem] = []
        self.unjudged: list[Problem] = []
        self.touched: set[Key] = set()

    def run(self, declared: DeclaredTest) -> None:
        """Run one test."""
        test = declared.test
        found = self._listener(declared)
        if isinstance(found, Problem):
            self.failed.append(found)
            return
        # Who is made up is in no country, whatever a database says.
        countries = _Countries(self._country if test.ip else lambda _: None, test.country)
        query = _query(test, found)
        outcome = Outcome(self._walker.walk(found.addr, query, countries), named_by(declared))
        self.touched.update(outcome.touched())
        misses = list(self._judge.misses(declared, outcome))
        if countries.unknown and self._depends(declared, query, holds=not misses):
            message = "not judged: it depends on the country of the client, and geoip_db is not read; the test may say country"
            self.unjudged.append(_problem(declared, (), message, "note"))
            return
        if outcome.status is None and "status" in declared.expected:
            message = "not judged: the status is that of whom forward_auth asks"
            self.unjudged.append(_problem(declared, ("expect", "status"), message, "note"))
        self._tell(declared, misses)

    def _depends(self, declared: DeclaredTest, query: Query, *, holds: bool) -> bool:
        """Tell whether a test that ``holds`` if its client is in no known country would not, or the other way round, in some country."""
        assert query.listener is not None  # noqa: S101 - it has been found
        for country in self._walker.tables.countries:
            walk = self._walker.walk(query.listener, query, _Countries(None, country))
            misses = self._judge.misses(declared, Outcome(walk, named_by(declared)))
            if (next(misses, None) is None) is not holds:
                return True
        return False

    def _tell(self, declared: DeclaredTest, misses: list[Miss]) -> None:
        """Note what does not hold; expectations that have the same in their place are one problem."""
        alike: dict[str, list[Miss]] = {}
        for miss in misses:
            alike.setdefault(miss.got, []).append(miss)
        name = f", in the test {quote(declared.test.name)}" if declared.test.name else ""
        for got, group in alike.items():
            wanted = " and ".join(miss.wanted for miss in group)
            hints = "".join(f"; {miss.hint}" for miss in group if miss.hint)
            message = f"expected {wanted}, got {got}{hints}{name}"
            self.failed.append(_problem(declared, ("expect", *group[0].path), message))

    def _listener(self, declared: DeclaredTest) -> Listener | Problem:
        """Return the listener that a test is for, or why there is none."""
        test, listeners = declared.test, self._walker.tables.state.listeners
        if test.listener:
            if test.listener in listeners:
                return listeners[test.listener]
            message = f"there is no listener {test.listener}; there is {', '.join(listeners)}"
            return _problem(declared, ("listener",), message)
        request = test.request
        place = request.place if request.method else test.connect
        wanted = (_SCHEMES[request.scheme], "tcp") if request.method else ("tls", "tcp", "http")
        able = [each for each in listeners.values() if each.protocol in wanted]
        fit = [each for each in able if addresses.listen_port(each.addr) == place.port]
        who = test.proxy_ip or test.ip
        for client in (who,) if who else (DEFAULT_V4, DEFAULT_V6):
            reached = [each for each in fit if reaches(client, each.addr)]
            if reached:
                fit = reached
                break
        if len(fit) == 1:
            return fit[0]
        path = ("request" if request.method else "connect",)
        if fit:
            message = f"several listeners could get it, {', '.join(each.addr for each in fit)}: say which by listener"
            return _problem(declared, path, message)
        kind = f"of {request.scheme} " if request.method else ""
        message = f"no listener {kind}is at port {place.port}"
        if able:
            message += f"; name another port, or by listener one of {', '.join(each.addr for each in able[:_SHOWN])}"
        return _problem(declared, path, message)

    def _where(self, origin: Origin | None) -> str:
        if origin is None:
            return ""
        file = posixpath.relpath(origin.file, self._folder) if origin.file.startswith("/") else origin.file
        return f" ({file}:{origin.line})"


class _Countries:
    """Tells the country of a test's client, and notes when that is not known.

    Attributes:
        unknown: whether it was asked for in vain.
    """

    def __init__(self, lookup: CountryOf | None, given: str) -> None:
        self._lookup = lookup
        self._given = given
        self.unknown = False

    def __call__(self, packed: bytes) -> str | None:
        """Return the country of an address."""
        if self._given:
            return self._given
        if self._lookup is None:
            self.unknown = True
            return None
        return self._lookup(packed)


def _query(test: ConfigTest, listener: Listener) -> Query:
    request = test.request
    place = request.place if request.method else test.connect
    has_names = listener.protocol == "tls"
    client = test.ip or (DEFAULT_V4 if reaches(DEFAULT_V4, listener.addr) or listener.proxy_protocol else DEFAULT_V6)
    query = Query(
        listener.addr, place.sni if has_names else None, client, test.proxy_ip or None, client_cert=test.client_cert
    )
    if not request.method:
        return query
    headers = test.headers
    if not any(name == "Host" for name, _ in headers):
        headers = (("Host", request.told), *headers)
    if not isinstance(test.body, UnsetType):
        headers = (*headers, ("Content-Length", str(test.body)))
    return msgspec.structs.replace(query, method=request.method, path=request.target, headers=headers)


def _problem(declared: DeclaredTest, path: KeyPath, message: str, severity: Severity = "error") -> Problem:
    """Return a problem of a test at one of its keys; the message says it all, so that no key is told."""
    return msgspec.structs.replace(declared.document.problem((*declared.path, *path), message, severity), key="")
