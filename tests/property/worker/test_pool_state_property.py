"""Whatever happens to a pool and in whatever order: no request is lost or served twice, and dials stay within bounds."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcproxy.worker.backends.decisions import Spoken
from mcproxy.worker.backends.pool_state import MAX_DIALS
from tests.support.examples import examples
from tests.support.played_pool import PlayedBounds, PlayedPool

REASONS = ("backend_refused", "backend_timeout", "backend_tls", "backend_dns", "no_resources")
PATIENCE = 60.0


class PoolMachine(RuleBasedStateMachine):
    """Plays clients and backend at random, and keeps count of every request by what was decided about it."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PlayedPool()
        self.waiting: set[str] = set()
        self.on: dict[str, int] = {}
        self.asked = 0
        self.settled_rounds: set[int] = set()

    @initialize(
        protocol=st.sampled_from([None, "h2", "http/1.1"]),
        tls=st.booleans(),
        connections=st.integers(1, 9),
        waiting=st.integers(1, 6),
    )
    def begin(self, protocol: Spoken | None, *, tls: bool, connections: int, waiting: int) -> None:
        self.pool = PlayedPool(protocol, tls=tls, bounds=PlayedBounds(connections, waiting))

    def follow(self, lines: list[str]) -> None:
        """Take the decisions over, and check that each was possible."""
        for line in lines:
            match line.split():
                case ["attach", name, "to", number]:
                    assert name in self.waiting
                    self.waiting.discard(name)
                    self.on[name] = int(number)
                case ["fail", name, _, _]:
                    assert name in self.waiting
                    self.waiting.discard(name)
                case ["dial", *_]:
                    assert self.waiting

    def ask(self, name: str, *, websocket: bool = False, modest: bool = True) -> None:
        assert name not in self.waiting
        assert name not in self.on
        self.waiting.add(name)
        self.follow(self.pool.asks(name, websocket=websocket, modest=modest))

    @rule(websocket=st.booleans(), count=st.integers(1, 9), modest=st.booleans())
    def requests_come(self, *, websocket: bool, count: int, modest: bool) -> None:
        for _ in range(count):
            self.asked += 1
            self.ask(f"r{self.asked}", websocket=websocket, modest=modest)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting.discard(name)
        self.follow(self.pool.leaves(name))

    @precondition(lambda self: self.pool.under_way)
    @rule(data=st.data(), reason=st.sampled_from([*REASONS, ""]))
    def dial_fails(self, data: st.DataObject, reason: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.pool.under_way)))
        self.follow(self.pool.fails(number, reason) if reason else self.pool.says_nothing(number))

    @precondition(lambda self: self.pool.under_way)
    @rule(data=st.data(), takes=st.integers(0, 3), websockets=st.booleans())
    def dial_succeeds(self, data: st.DataObject, takes: int, *, websockets: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.pool.under_way)))
        alone = self.pool.dials[number].alone
        choices: tuple[Spoken, ...] = ("http/1.1",) if alone else ("http/1.1", "h2")
        speaks = data.draw(st.sampled_from(choices))
        self.settled_rounds.add(self.pool.dials[number].round)
        self.follow(self.pool.settles(number, speaks, takes=takes, websockets=websockets))

    @precondition(lambda self: self.on)
    @rule(data=st.data(), again=st.booleans())
    def response_comes(self, data: st.DataObject, *, again: bool) -> None:
        number = data.draw(st.sampled_from(sorted(set(self.on.values()))))
        name = self.pool.on_it[number][0].name
        lines = self.pool.answers(number)
        del self.on[name]
        self.follow(lines)
        if again:
            self.ask(name)

    @precondition(lambda self: self.pool.on_it)
    @rule(data=st.data(), untouched=st.booleans(), orderly=st.booleans(), by_us=st.booleans(), again=st.booleans())
    def connection_ends(self, data: st.DataObject, *, untouched: bool, orderly: bool, by_us: bool, again: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.pool.on_it)))
        names = [request.name for request in self.pool.on_it[number]]
        if number in self.pool.multiplexed:
            self.follow(self.pool.goes_away(number, untouched=untouched, orderly=orderly))
        lines = self.pool.dies(number, by_us=by_us)
        for name in names:
            del self.on[name]
        self.follow(lines)
        if again:
            for name in names:
                self.ask(name)

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0, 5.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.follow(self.pool.waits(seconds))

    @precondition(lambda self: not self.pool.state.retired)
    @rule()
    def route_goes(self) -> None:
        self.follow(self.pool.retires())

    @invariant()
    def every_request_is_somewhere(self) -> None:
        """In one place: the state knows of the same ones as we do."""
        state = self.pool.state
        assert {request.name for request in state._waiting} == self.waiting
        assert sorted(self.on) == sorted(request.name for on in self.pool.on_it.values() for request in on)

    @invariant()
    def dials_are_bounded(self) -> None:
        """By the connections there may be, by those that wait, and for each request that does."""
        pool = self.pool
        assert len(pool.under_way) + len(pool.on_it) <= pool.bounds.backend_connections
        assert all(pool.known[name].dials < MAX_DIALS for name in self.waiting)
        if pool.backoff.failures and pool.backoff.round not in self.settled_rounds:
            since = [number for number in pool.under_way if pool.dials[number].round == pool.backoff.round]
            assert len(since) <= 1

    @invariant()
    def who_waits_has_hope(self) -> None:
        """A dial under way, a time to look again, or a connection that is there."""
        if self.waiting:
            pool = self.pool
            assert pool.under_way or pool.on_it or pool.state.wake_at(pool.now) is not None

    @invariant()
    def nothing_is_left_undecided(self) -> None:
        assert self.pool.decisions() == []

    def teardown(self) -> None:
        """With a backend that refuses every dial, and connections that end, everybody gets an answer in the end."""
        for number in sorted(self.pool.on_it):
            self.follow(self.pool.dies(number))
        for _ in range(2 * MAX_DIALS + 2):
            self.follow(self.pool.waits(PATIENCE))
            for number in sorted(self.pool.under_way):
                self.follow(self.pool.fails(number))
        assert not self.waiting
        assert not self.pool.state.connections
        assert not self.pool.state.waiting


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = examples(150, stateful_step_count=40, deadline=None)
