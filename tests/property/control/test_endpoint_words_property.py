"""What workers are told of endpoints, over any sequence of results, traffic, reloads and controls."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcproxy.net.memory import endpoints as words
from tests.support.examples import examples
from tests.support.watched_upstreams import Watched, checked

ADDRESSES = tuple(f"10.0.0.{number}:80" for number in range(1, 7))
UPSTREAM = "api"
FALL, RISE = 3, 2


class Endpoints(RuleBasedStateMachine):
    """One upstream, whose check, endpoints and states change under one control after another."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Watched()
        self.addresses: tuple[str, ...] = ADDRESSES[:3]
        self.states: dict[str, str] = {}
        self.check = True
        self.failures = dict.fromkeys(ADDRESSES, 0)  # in a row, since the last good result or another check
        self.apply()

    def apply(self) -> None:
        check = checked(fall=FALL, rise=RISE) if self.check else None
        states = {address: {"state": state} for address, state in self.states.items()}
        self.world.apply({UPSTREAM: self.addresses}, check=check, endpoints=states, slow_start=20.0)

    def verdicts(self) -> dict[str, str]:
        return {address: self.world.verdict(address) for address in self.addresses}

    @precondition(lambda self: self.check)
    @rule(place=st.integers(0, 5), good=st.booleans(), times=st.integers(1, 4))
    def result(self, place: int, good: bool, times: int) -> None:  # noqa: FBT001
        address = self.addresses[place % len(self.addresses)]
        for _ in range(times):
            before = self.world.verdict(address)
            self.failures[address] = 0 if good else self.failures[address] + 1
            self.world.check(address, "" if good else "refused")
            after = self.world.verdict(address)
            if before == "up" and after == "down":
                assert self.failures[address] >= FALL
            if before == "waiting":
                assert after == ("up" if good else "waiting")

    @rule(place=st.integers(0, 5), attempts=st.integers(0, 20), failed=st.integers(0, 20))
    def traffic(self, place: int, attempts: int, failed: int) -> None:
        address = self.addresses[place % len(self.addresses)]
        self.world.count(address, taken=max(attempts, failed), errors=failed)

    @rule(seconds=st.integers(1, 45))
    def time(self, seconds: int) -> None:
        before = self.verdicts()
        self.world.pass_time(seconds)
        for address, verdict in self.verdicts().items():
            if before[address] in ("down", "waiting"):
                assert verdict == before[address] or not self.check, "time alone makes nothing well"

    @rule(addresses=st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=6, unique=True), check=st.booleans())
    def reload(self, addresses: list[str], check: bool) -> None:  # noqa: FBT001
        before, again = self.verdicts(), check == self.check
        self.addresses, self.check = tuple(addresses), check
        self.failures = {address: n if again and address in before else 0 for address, n in self.failures.items()}
        self.apply()
        for address, verdict in self.verdicts().items():
            if address in before:
                assert verdict == before[address], "a reload says nothing about an endpoint"
            elif verdict == "waiting":
                assert check
                assert any(one in before and before[one] in ("up", "unknown") for one in addresses)
        self.world.pass_time(1)  # what is not checked any more is told then

    @rule(place=st.integers(0, 5), state=st.sampled_from(("ready", "drain", "maintenance")))
    def operate(self, place: int, state: str) -> None:
        before = self.verdicts()
        self.states[self.addresses[place % len(self.addresses)]] = state
        self.apply()
        assert self.verdicts() == before

    @rule()
    def restart(self) -> None:
        """Another control goes on from the words, and changes none by that."""
        self.world.pass_time(1)
        before = {address: self.world.word(address) for address in self.addresses}
        self.world = self.world.successor()
        self.failures = dict.fromkeys(ADDRESSES, 0)
        self.apply()
        assert {address: self.world.word(address) for address in self.addresses} == before
        verdicts = self.verdicts()
        self.world.pass_time(1)
        assert self.verdicts() == verdicts

    def teardown(self) -> None:
        self.world.close()

    @invariant()
    def told_as_known(self) -> None:
        """The facts agree with the words; never more than half are ejected, nor the last one that is usable."""
        told = {fact.address: fact for fact in self.world.watch.facts().endpoints}
        verdicts = self.verdicts()
        assert {address: fact.verdict for address, fact in told.items()} == verdicts
        ready = [address for address in self.addresses if told[address].state == "ready"]
        ejected = [address for address in ready if verdicts[address] == "ejected"]
        if ejected and self.world.watch._upstreams[UPSTREAM]._busy is False:
            assert len(ejected) <= len(ready) // 2
        for address, fact in told.items():
            word = self.world.word(address)
            assert fact.usable == (words.is_usable(word) and fact.state == "ready")
            assert 0 < fact.share <= 1


TestEndpoints = Endpoints.TestCase
TestEndpoints.settings = examples(25, stateful_step_count=25, deadline=None)
