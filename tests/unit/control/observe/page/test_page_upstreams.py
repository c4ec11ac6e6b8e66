"""Upstreams on the status page: those in trouble first, with the reason."""

import json
import re

import msgspec

from mcproxy.control.counters.sample import Sample
from mcproxy.control.health.endpoint_health import EndpointFacts, EndpointHealth
from mcproxy.control.observe.page import render
from mcproxy.control.observe.page.status import Status, Watched, make_status
from mcproxy.control.observe.page.upstreams import ENDPOINTS_SHOWN, UPSTREAMS_SHOWN
from tests.support.observed import HOSTILE, endpoint_facts, facts, totals


def status_of(known: EndpointFacts) -> Status:
    return make_status(Watched(facts(endpoints=known), Sample(1.0, totals())))


def text_of(known: EndpointFacts) -> str:
    """Return what a reader sees of the upstreams."""
    found = re.search(r'<div id="upstreams".*?</section>', render.page(status_of(known)), re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]*>", " ", found[0]).split())


def endpoint(number: int, upstream: str = "api", **fields: object) -> EndpointHealth:
    known = EndpointHealth(upstream=upstream, address=f"10.0.0.{number}:80", label=f"10.0.0.{number}:80")
    return msgspec.structs.replace(known, **fields)


def test_those_in_trouble_come_first() -> None:
    status = status_of(
        EndpointFacts(
            [
                endpoint(1, "well"),
                endpoint(2, "some"),
                endpoint(3, "some", verdict="ejected", usable=False),
                endpoint(4, "none", verdict="down", usable=False),
            ],
            panicking=("none",),
        )
    )
    assert [(one.name, one.health, one.usable, one.total) for one in status.upstreams] == [
        ("none", "bad", 0, 1),
        ("some", "warning", 1, 2),
        ("well", "good", 1, 1),
    ]
    assert [one.address for one in status.upstreams[1].endpoints] == ["10.0.0.3:80", "10.0.0.2:80"]
    (backends,) = (check for check in status.checks if check.name == "Backends")
    assert (backends.health, backends.answer, backends.part) == ("bad", "2 of 4 endpoints out", "upstreams")
    assert status.health == "bad"


def test_what_an_operator_has_taken_out_is_no_trouble() -> None:
    status = status_of(EndpointFacts([endpoint(1), endpoint(2, state="drain", usable=False)]))
    assert (status.upstreams[0].health, status.health) == ("good", "good")
    assert [one.address for one in status.upstreams[0].endpoints] == ["10.0.0.2:80", "10.0.0.1:80"]


def test_an_upstream_of_which_all_is_taken_out_is_in_trouble() -> None:
    """Nothing is served there, whoever has wanted it."""
    known = EndpointFacts([endpoint(1, state="drain", usable=False), endpoint(2, state="maintenance", usable=False)])
    status = status_of(known)
    assert (status.upstreams[0].health, status.health) == ("bad", "bad")
    (backends,) = (check for check in status.checks if check.name == "Backends")
    assert backends.answer == "2 of 2 endpoints out"
    assert "api 0 of 2 usable none is usable" in text_of(known)


def test_the_page_tells_state_time_and_reason() -> None:
    text = text_of(endpoint_facts())
    assert "api 2 of 4 usable" in text
    assert "10.0.0.2:80 down status 500 16m40s ago 10s ago : status 500 0 0% 1 2" in text
    assert "10.0.1.1:80 web.internal:80 up" in text
    assert "idle 0 of 1 usable none is usable" in text
    assert "10.0.2.1:80 drain not checked the start none 0 0% 1 0" in text
    assert "No route leads to more than one address." in text_of(EndpointFacts())


def test_trouble_is_told_at_the_top() -> None:
    page = render.page(status_of(endpoint_facts()))
    alert = page.partition('<div id="alerts"')[2].partition('<dl id="tiles"')[0]
    told = " ".join(re.sub(r"<[^>]*>", " ", alert).split())
    assert "2 upstreams in trouble" in told
    assert "api 2 of 4 usable: 10.0.0.2:80 down, status 500" in told
    assert "in trouble" not in render.page(status_of(EndpointFacts([endpoint(1)]))).partition('<dl id="tiles"')[0]


def test_long_lists_are_cut_and_say_so() -> None:
    many = [endpoint(number, f"u{number}") for number in range(UPSTREAMS_SHOWN + 3)]
    many += [endpoint(number, "big", verdict="down", usable=False) for number in range(ENDPOINTS_SHOWN + 7)]
    text = text_of(EndpointFacts(many))
    assert "and 7 more endpoints" in text
    assert "and 4 more upstreams that are well" in text


def test_all_that_are_in_trouble_are_counted() -> None:
    """Also those that are not shown, and those where an operator has taken the last endpoint out."""
    count = UPSTREAMS_SHOWN + 3
    ill = [endpoint(number, f"u{number}", verdict="down", usable=False) for number in range(count)]
    known = EndpointFacts([*ill, endpoint(1, "well")], panicking=tuple(one.upstream for one in ill))
    page = render.page(status_of(known))
    assert f"{count} upstreams in trouble" in page
    assert f"and {count - 5} more" in page
    assert "and 4 more upstreams, 3 of them in trouble" in page
    resting = EndpointFacts([endpoint(1, "idle", state="drain", usable=False)])
    told = " ".join(re.sub(r"<[^>]*>", " ", render.page(status_of(resting))).split())
    assert "idle 0 of 1 usable: 10.0.0.1:80 drain" in told


def test_words_of_endpoints_are_never_markup() -> None:
    hostile = endpoint(1, verdict="down", reason=HOSTILE, last_error=HOSTILE, last_check=5.0, usable=False)
    page = render.page(status_of(EndpointFacts([hostile])))
    assert "<script>alert" not in page
    assert "{{7*7}}" in page


def test_the_same_is_told_as_json() -> None:
    told = json.loads(render.to_json(status_of(endpoint_facts())))["upstreams"]
    (api,) = (one for one in told if one["name"] == "api")
    down = api["endpoints"][0]
    assert (down["address"], down["verdict"], down["last_error"]) == ("10.0.0.2:80", "down", "status 500")
    assert {"state", "since", "last_check", "active", "share", "ejections", "usable"} <= down.keys()
