"""Whose loop does not turn, and what is nobody's silence."""

from mcproxy.control.workers.watchdog import Watchdog


def test_a_clock_that_stands_still_is_silence() -> None:
    """Silence adds up from look to look, and ends with the first turn."""
    watchdog = Watchdog()
    watchdog.look(100.0, {1: 7, 2: 7})
    for second in range(1, 10):
        silent = watchdog.look(100.0 + second, {1: 7, 2: 7 + second})
        assert silent == {1: float(second), 2: 0.0}
    assert watchdog.look(110.0, {1: 8, 2: 16}) == {1: 0.0, 2: 1.0}


def test_a_slow_loop_is_not_silent() -> None:
    """Any move of the clock counts, however long ago its turn was."""
    watchdog = Watchdog()
    watchdog.look(0.0, {1: 1})
    for turn in range(1, 20):
        silent = [watchdog.look(4.0 * turn + second, {1: 1 + turn})[1] for second in range(4)]
        assert max(silent) <= 3.0


def test_an_absence_of_control_is_nobodys_silence() -> None:
    """Control, or the whole machine, slept for an hour: a look that comes late counts no more than one in time."""
    watchdog = Watchdog()
    watchdog.look(0.0, {1: 5})
    watchdog.look(1.0, {1: 5})
    assert watchdog.look(3601.0, {1: 5})[1] <= 3.0
    assert watchdog.look(3602.0, {1: 6})[1] == 0.0


def test_a_new_worker_begins_with_no_silence_and_one_that_is_gone_is_forgotten() -> None:
    """A pid that comes again is another process."""
    watchdog = Watchdog()
    watchdog.look(0.0, {1: 0})
    assert watchdog.look(1.0, {1: 0, 2: 0}) == {1: 1.0, 2: 0.0}
    assert watchdog.look(2.0, {2: 0}) == {2: 1.0}
    assert watchdog.look(3.0, {1: 0, 2: 0}) == {1: 0.0, 2: 2.0}
