"""The guards of a filter: which there are, in which order, and what they are made of."""

import bcrypt
import pytest

from mcproxy.errors import ApplyError
from mcproxy.model.state.filter_options import FilterOptions, ForwardAuth
from mcproxy.model.state.scopes import CASE_FILTER, FilterEntry
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.policy.headers import RequestHead
from mcproxy.worker.auth import basic, forward
from mcproxy.worker.auth.guards import guards_of
from mcproxy.worker.auth.tools import GuardTools
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_worker import FakeWorker
from tests.support.guarded import Guarded

USERS = b"anna:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)) + b"\n"
ASKED = ForwardAuth(backend=RouteBackend((Endpoint("10.0.0.1", 80),), ""), path="/verify", copy_headers=("X-User",))


class Nobody:
    pool: Pool[Exchange] | None = None


@pytest.fixture
def tools() -> GuardTools:
    return FakeWorker().frontend.guards


def entry(name: str = "ops", **options: object) -> FilterEntry:
    return FilterEntry(0, ("filter", name), name, FilterOptions(**options), {})  # type: ignore[arg-type]


def test_mostly_there_are_none(tools: GuardTools) -> None:
    """Other keys need nobody to ask."""
    assert guards_of(entry(max_body=1), Nobody(), b"", tools) == ()


def test_passwords_come_before_questions(tools: GuardTools) -> None:
    """They are the cheaper ones, and keep strangers from the other server."""
    found = guards_of(entry(basic_auth="/u", forward_auth=ASKED), Nobody(), USERS, tools)
    assert [type(each) for each in found] == [basic.BasicAuth, forward.ForwardAuth]


@pytest.mark.parametrize(("name", "realm"), [("ops", b"ops"), (CASE_FILTER, b"restricted")])
def test_browsers_are_told_a_name(tools: GuardTools, name: str, realm: bytes) -> None:
    """That of the filter, if it has one."""
    (guard,) = guards_of(entry(name, basic_auth="/u"), Nobody(), USERS, tools)
    asked = Guarded(guard, RequestHead(b"GET", b"a.example", b"/", []))
    guard.acquire(asked.exchange)
    assert asked.client.fields[b"www-authenticate"] == b'Basic realm="%b", charset="UTF-8"' % realm


def test_a_file_that_can_not_be_used_is_told_with_its_line(tools: GuardTools) -> None:
    """It came with a snapshot, which is refused."""
    with pytest.raises(ApplyError, match=r"^/u:2: "):
        guards_of(entry(basic_auth="/u"), Nobody(), USERS + b"otto", tools)
