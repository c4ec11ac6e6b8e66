"""Ejection of endpoints where too much of the traffic fails."""

from mcproxy.policy.upstreams.ejection import Change, Ejections, Totals


class Traffic:
    """Endpoints that count, and a clock that goes on by a second."""

    def __init__(self, *names: str) -> None:
        self.now = 1000.0
        self.ejections = Ejections[str]()
        self.counts = dict.fromkeys(names, Totals(0, 0))
        self.passing = list(names)
        self.second()

    def add(self, name: str, attempts: int, failures: int) -> None:
        old = self.counts[name]
        self.counts[name] = Totals(old.attempts + attempts, old.failures + failures)

    def second(self, seconds: int = 1, *, enabled: bool = True) -> list[Change[str]]:
        changes: list[Change[str]] = []
        for _ in range(seconds):
            self.now += 1
            changes += self.ejections.update(self.now, self.counts, self.passing, enabled=enabled)
        return changes

    def fail(self, *names: str) -> list[Change[str]]:
        for name in names:
            self.add(name, 10, 10)
        return self.second()


def test_five_failures_that_are_half_of_the_attempts() -> None:
    """Neither fewer, nor as many among more that went well."""
    traffic = Traffic("a", "b", "c", "d")
    traffic.add("a", 4, 4)
    traffic.add("b", 11, 5)
    assert traffic.second() == []
    traffic.add("a", 6, 1)
    assert traffic.second() == [Change("a", ejected=True, reason="5 of 10 failed in 10 s")]
    assert traffic.ejections.ejected() == {"a"}
    assert traffic.ejections.until("a") == traffic.now + 30
    assert traffic.ejections.until("b") is None


def test_failures_of_the_last_ten_seconds_count() -> None:
    """Slow failure, one in three seconds, ejects nothing."""
    traffic = Traffic("a", "b")
    for _ in range(30):
        traffic.add("a", 1, 1)
        assert traffic.second(3) == []


def test_attempts_that_are_not_counted_yet_do_not_matter() -> None:
    """More failures than attempts are at most all of them."""
    traffic = Traffic("a", "b")
    traffic.add("a", 2, 5)
    assert [change.reason for change in traffic.second()] == ["5 of 5 failed in 10 s"]


def test_it_returns_and_is_judged_anew() -> None:
    """What failed before it was ejected does not eject it again."""
    traffic = Traffic("a", "b")
    traffic.fail("a")
    assert traffic.second(29) == []
    assert traffic.second() == [Change("a", ejected=False, reason="its time is over")]
    assert traffic.second(60) == []


def test_each_time_it_is_longer_up_to_five_minutes() -> None:
    """30 s x n, and one less for each five minutes without an ejection."""
    traffic = Traffic("a", "b")
    lengths = []
    for _ in range(12):
        traffic.fail("a")
        until = traffic.ejections.until("a")
        assert until is not None
        lengths.append(until - traffic.now)
        traffic.second(int(until - traffic.now))
        assert traffic.ejections.ejected() == set()
    assert lengths == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]
    assert traffic.ejections.count("a") == 10
    traffic.second(299)
    assert traffic.ejections.count("a") == 10
    traffic.second(2)
    assert traffic.ejections.count("a") == 9
    traffic.second(600)
    assert traffic.ejections.count("a") == 7
    traffic.fail("a")
    assert traffic.ejections.until("a") == traffic.now + 240


def test_at_most_half_rounded_down() -> None:
    """Of five that all fail two are ejected, those where most fails."""
    traffic = Traffic("a", "b", "c", "d", "e")
    for name, attempts in zip("abcde", (20, 11, 19, 12, 18), strict=True):
        traffic.add(name, attempts, 10)
    assert [change.endpoint for change in traffic.second()] == ["b", "d"]
    assert traffic.fail("a", "c", "e") == []


def test_a_single_endpoint_is_never_ejected() -> None:
    """Half of one, rounded down, is none."""
    traffic = Traffic("a")
    assert traffic.fail("a") == []


def test_the_last_usable_one_is_never_ejected() -> None:
    """Though half of them could be, the others are down."""
    traffic = Traffic("a", "b", "c", "d")
    traffic.passing = ["a"]
    assert traffic.fail("a") == []
    traffic.passing = ["a", "c"]
    assert [change.endpoint for change in traffic.fail("a", "c")] == ["a"]


def test_those_that_are_down_are_not_ejected() -> None:
    """They get nothing anyway."""
    traffic = Traffic("a", "b", "c", "d")
    traffic.passing = ["b", "c", "d"]
    assert traffic.fail("a") == []


def test_what_failed_before_the_checks_did_does_not_eject_it_when_it_is_back() -> None:
    """An endpoint that is killed and started again within ten seconds: the dials in vain are the latest that was tried."""
    traffic = Traffic("a", "b")
    for _ in range(8):
        traffic.add("a", 100, 0)
        traffic.second()
    for _ in range(3):
        traffic.add("a", 10, 10)
        traffic.second()
    traffic.passing = ["b"]
    traffic.second(7)
    traffic.passing = ["a", "b"]
    traffic.add("a", 4, 0)
    assert traffic.second(10) == []
    traffic.add("a", 8, 5)
    assert [change.endpoint for change in traffic.second()] == ["a"]


def test_checks_that_fail_end_an_ejection() -> None:
    """When they pass again the endpoint is used at once; the next ejection is longer all the same."""
    traffic = Traffic("a", "b")
    traffic.fail("a")
    traffic.passing = ["b"]
    assert traffic.second() == [Change("a", ejected=False, reason="its checks fail")]
    traffic.passing = ["a", "b"]
    assert traffic.second(5) == []
    traffic.fail("a")
    assert traffic.ejections.until("a") == traffic.now + 60


def test_they_return_when_no_other_one_is_left() -> None:
    """The checks have found the others down: an endpoint of which half fails is better than none."""
    traffic = Traffic("a", "b", "c")
    traffic.fail("a")
    traffic.passing = ["a"]
    assert traffic.second() == [Change("a", ejected=False, reason="no other endpoint is usable")]
    assert traffic.ejections.until("a") is None


def test_when_endpoints_are_removed_the_rest_is_at_most_half() -> None:
    """Those whose time is over first return first."""
    traffic = Traffic("a", "b", "c", "d")
    traffic.fail("b")
    traffic.fail("a")
    assert traffic.ejections.ejected() == {"a", "b"}
    del traffic.counts["d"]
    traffic.passing = ["a", "b", "c"]
    assert traffic.second() == [Change("b", ejected=False, reason="more than half would be ejected")]


def test_turned_off_all_return() -> None:
    """And none is ejected."""
    traffic = Traffic("a", "b")
    traffic.fail("a")
    assert [change.ejected for change in traffic.second(enabled=False)] == [False]
    traffic.add("a", 50, 50)
    assert traffic.second(enabled=False) == []


def test_counts_that_begin_again_are_no_failures() -> None:
    """The index has been given to another endpoint, or its counters were cleared."""
    traffic = Traffic("a", "b")
    traffic.add("a", 1000, 3)
    traffic.second()
    traffic.counts["a"] = Totals(8, 6)
    assert traffic.second() == []
    traffic.add("a", 5, 5)
    assert [change.endpoint for change in traffic.second()] == ["a"]


def test_a_restart_goes_on_with_what_the_word_says() -> None:
    """How long it was to last is not known any more."""
    traffic = Traffic("a", "b")
    traffic.ejections.restore(traffic.now, "a")
    assert traffic.second(29) == []
    assert traffic.ejections.ejected() == {"a"}
    assert [change.ejected for change in traffic.second()] == [False]
    traffic.fail("a")
    assert traffic.ejections.until("a") == traffic.now + 60


def test_what_is_gone_is_forgotten() -> None:
    """An endpoint that an operator takes out of service, or removes, begins anew."""
    traffic = Traffic("a", "b")
    traffic.fail("a")
    removed = traffic.counts.pop("a")
    traffic.second()
    assert traffic.ejections.ejected() == set()
    assert traffic.ejections.count("a") == 0
    traffic.counts["a"] = removed
    assert traffic.second() == []
