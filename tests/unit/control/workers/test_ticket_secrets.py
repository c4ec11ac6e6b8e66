"""When the secret of session tickets is made anew, and how it is read."""

import pytest

from mcproxy.control.workers.ticket_secrets import TicketSecrets
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.memory.ticket_secret import SECRET_BYTES, secret_in
from tests.support.session_tickets import secret_words

_HOUR = 3600


def test_there_is_none_before_control_makes_it() -> None:
    assert secret_in(secret_words().raw()) is None


@pytest.mark.parametrize(
    ("later", "another"), [(0, False), (12 * _HOUR - 1, False), (12 * _HOUR, True), (40 * _HOUR, True), (-1, True)]
)
def test_it_is_renewed_after_twelve_hours_or_when_the_clock_was_set_back(later: int, *, another: bool) -> None:
    shared = secret_words()
    secrets = TicketSecrets(shared)
    before = secret_in(shared.raw())
    assert before is not None
    assert len(before) == SECRET_BYTES
    made_at = shared.made_at()
    secrets.renew(made_at + later)
    assert (secret_in(shared.raw()) != before) is another
    assert shared.made_at() == made_at + (later if another else 0)


def test_the_next_control_goes_on_with_it() -> None:
    shared = secret_words()
    TicketSecrets(shared)
    raw = shared.raw()
    TicketSecrets(shared)
    assert shared.raw() == raw


def test_half_a_secret_is_none() -> None:
    """Whoever reads while it is written waits for the rest."""
    shared, other = secret_words(), secret_words()
    shared.write(b"a" * SECRET_BYTES, 1)
    other.write(b"b" * SECRET_BYTES, 2)
    one, two = shared.raw(), other.raw()
    for cut in range(8, len(one), 8):
        assert secret_in(two[:cut] + one[cut:]) is None
    assert secret_in(one) == b"a" * SECRET_BYTES


def test_it_has_a_place_of_its_own_in_the_shared_memory() -> None:
    """Nothing else changes when it is written."""
    memory = SharedMemory.create()
    try:
        memory.use_slot(5)
        memory.note_given(7, 8, 9)
        memory.hold(0, 4711)
        memory.ticket_secret().write(b"\xff" * SECRET_BYTES, 1 << 40)
        assert (memory.slots_used(), memory.given(), memory.holder(0)) == (6, (7, 8, 9), 4711)
        assert SharedMemory.fits(memory.fd)
        assert secret_in(SharedMemory.ticket_secret(memory).raw()) == b"\xff" * SECRET_BYTES
    finally:
        memory.close()
