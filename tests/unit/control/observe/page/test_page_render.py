"""The status page as HTML: numbers that people can read, and texts that are never markup."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mcproxy.control.counters.sample import Sample
from mcproxy.control.files.contents import StandIn
from mcproxy.control.guard.facts import GuardFacts, Watching
from mcproxy.control.observe.facts import AuthorityFacts, Facts, WorkerFacts
from mcproxy.control.observe.page import render
from mcproxy.control.observe.page.routes import ROUTES_SHOWN
from mcproxy.control.observe.page.status import Watched, make_status
from mcproxy.control.observe.page.trend import Curves
from mcproxy.control.observe.page.view import View
from mcproxy.control.store.guard.watches import Verdict
from mcproxy.control.store.revisions import Revision
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.fleet.document import Header
from mcproxy.model.fleet.records import Past
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import Policy, State
from mcproxy.policy.acme.facts import CertificateFacts, OrderFacts
from mcproxy.policy.fleet.facts import FleetFacts
from tests.support.observed import (
    ADDR,
    HOSTILE,
    facts,
    fleet_facts,
    listener_totals,
    route,
    route_totals,
    state,
    totals,
)
from tests.support.rows import each_row


@each_row(
    ("value", "text"),
    [
        (0, "0"),
        (0.04, "<0.1"),
        (0.05, "0.1"),
        (0.5, "0.5"),
        (9.94, "9.9"),
        (9.96, "10"),
        (1234, "1234"),
        (9999, "9999"),
        (10000, "10k"),
        (12345, "12.3k"),
        (123456, "123k"),
        (9999600, "10M"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    """Short, and exact where they are small."""
    assert render.number(value) == text


def test_curves() -> None:
    """A point a step, the newest at the right end; the highest value reaches the top, zero is the bottom."""
    assert render.curve(()) == render.curve((5.0,)) == ""
    assert render.curve((0.0, 5.0, 10.0)) == "88,24.0 89,12.0 90,0.0"
    assert render.curve((0.0, 0.0)) == "89,24.0 90,24.0"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "\N{EN DASH}"), (0.00042, "0.4 ms"), (0.25, "250 ms"), (2.5, "2.5 s"), (0.9996, "1 s")]
)
def test_durations(seconds: float | None, text: str) -> None:
    assert render.duration(seconds) == text


def test_shares() -> None:
    assert [render.share(value) for value in (None, 0.0, 0.004, 0.5, 1.0)] == [
        "\N{EN DASH}",
        "0%",
        "0.4%",
        "50%",
        "100%",
    ]


def test_what_is_not_known_is_not_zero() -> None:
    """A rate before the second sample."""
    assert render.per_second(None) == render.size_per_second(None) == "\N{EN DASH}"
    assert (render.per_second(0.0), render.size_per_second(2048.0)) == ("0", "2.0kB/s")


CURVES = Curves((1.0, 5.0, 2.0), (1.0, 2.0), (0.0, 9.0), (0.0, 1.0), (0.01, 0.2))


class _Reader(HTMLParser):
    """Collects elements with their attributes, and text."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "li") and self.open[-1] != tag:
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(known: Facts, now: Sample, search: str = "", name: str = "") -> _Reader:
    reader = _Reader()
    name = name or next((f"{listener} {hostname}" for listener, hostname in known.state.routes), "")
    reader.feed(render.page(make_status(Watched(known, now, curves=CURVES), View(search, route=name))))
    reader.close()
    assert reader.open == [], "every element is closed, in order"
    return reader


def full(text: str) -> tuple[Facts, Sample]:
    """Return facts and counts in which a text stands wherever one of somebody else's can."""
    one = route(text, mode="l7", tls_cert=text, backend_server_name=text)
    value = Policy(ADDR, text, "block_user_agent", text)
    live = State(state(one).listeners, {(ADDR, text): one}, {(ADDR, text, value.type, text): value})
    edit = Edit(kind="route", key=(ADDR, text), value=one, created=1.0, author=text, reason=text, expires=2_000_000.0)
    known = facts(
        live,
        machine=text,
        workers=[WorkerFacts(1, 7, leaving=False), WorkerFacts(2, 0, leaving=True)],
        unready=[text],
        problems=[text],
        failed=999_990.0,
        expiries={(ADDR, text): 1_000_500.0},
        plan=make_plan(State(), live, {}),
        drift=[
            Difference("route", (ADDR, text), None, one, edit),
            Difference("route", (ADDR, text), None, None, edit, text),
        ],
        revisions=[Revision(7, 1.0, text, text, "", text)],
        store_problems=[text],
        stand_ins=[StandIn(("route", ADDR, text), "tls_cert", text)],
        fleet=fleet_facts(
            node=text,
            prefix=text,
            document=Header(revision=41, hash="", label=text),
            connected=False,
            since=999_940.0,
            why=text,
            errors={text: text},
            ahead={text: 31.0},
            problems=(text,),
            returned=Past(header=Header(revision=40, hash=""), fate="returned", ended=999_000.0, why=text),
        ),
        guard=GuardFacts(
            (Watching(7, 1_000_020.0, (f"route {text}", "b", "c", "d"), 9, 2),),
            undone=Verdict(6, 999_985.0, "withdrawn", text),
        ),
    )
    counted = totals(
        {ADDR: listener_totals(1, 1, errors={text: 1})},
        {(ADDR, text): route_totals(connections=1, blocks={text: 1})},
        limits={text: 1},
    )
    return known, Sample(0, counted)


def test_no_text_becomes_markup() -> None:
    """A hostname or an author's words with quotes and angle brackets: the same elements as with harmless ones."""
    hostile, harmless = read(*full(HOSTILE), HOSTILE), read(*full("harmless"), "harmless")
    assert [(tag, list(attributes)) for tag, attributes in hostile.elements] == [
        (tag, list(attributes)) for tag, attributes in harmless.elements
    ]
    assert hostile.text.count("{{7*7}}") == harmless.text.count("harmless") >= 15
    assert "49" not in hostile.text
    assert ("input", "q", HOSTILE) in [(tag, its.get("name"), its.get("value")) for tag, its in hostile.elements]


def test_everything_that_has_happened_is_told() -> None:
    """Who, why, since when, until when; what failed; who is behind."""
    text = " ".join(read(*full("word")).text.split())
    for told in (
        "not ready",
        "2 drift",
        "The last reload failed",
        "10s ago",
        "1 certificate to renew",
        "expires in 8m20s",
        "Undone by guard 15s ago Generation 6 word",
        "The fleet's store is away 1m ago What is known of it is served on, and can't be changed: word",
        "Fleet word word",
        "word can't run what it should: word",
        "has a clock that is 31 s ahead",
        "Revision 40 was taken back 16m40s ago word",
        "Node word of fleet word: revision 41 word; 3 nodes, 1 failing, 2 edits.",
        "Revision 42 is tried in step 1 of 2: 0 of 1 canary has passed.",
        "Guard watches generation 7 for 20s more route word, b, c and 1 more: 2 of 9 requests failed so far",
    ):
        assert told in text
    assert "in 11d13h" in text, "when the edit expires"
    assert "suspended: word" in text
    assert "draining" in text


def test_a_proxy_without_anything_has_a_page() -> None:
    """Before the first generation, say."""
    text = read(facts(), Sample(0, totals())).text
    assert "No routes." in text
    assert "None: what runs is what the file says." in text
    assert "ready" in text


def test_hidden_routes_are_told() -> None:
    """And how to find them."""
    known = facts(state(*(route(f"r{number}.test") for number in range(150))))
    assert f"page 1 of {150 // ROUTES_SHOWN}, 150 routes" in read(known, Sample(0, totals())).text
    found = read(known, Sample(0, totals()), "r14").text
    assert "11 of 150 routes match" in found
    assert "page 1" not in found


def test_the_page_works_without_javascript_and_asks_nobody_else() -> None:
    """It reloads itself then; scripts and styles are files of its own, with relative addresses."""
    reader = read(*full("x"))
    assert ("meta", {"http-equiv": "refresh", "content": "5"}) in reader.elements
    for tag, attributes in reader.elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
        assert tag != "style"
        for address in (attributes.get("src"), attributes.get("href")):
            assert address is None or re.match(
                r"(static/\w+\.\w+|#\w+|\?[\w=%&+.-]*|healthz|readyz|api/status)$", address
            ), address
    scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
    assert scripts == [{"src": "static/status.js", "defer": None}]


def test_parts_that_change_can_be_replaced() -> None:
    """Each has a name of its own; the script finds it by that."""
    parts = [its.get("id") for _, its in read(*full("x")).elements if its.get("class") in ("live", "live tiles")]
    assert len(parts) == len(set(parts)) >= 10
    assert None not in parts
    script = (Path(render.__file__).parent / "static" / "status.js").read_text(encoding="utf-8")
    assert '".live"' in script


def test_a_node_before_its_first_document() -> None:
    """It says what it waits for; a machine that is no node says nothing of a fleet."""
    waiting = FleetFacts(node="edge-1", prefix="/a", connected=True, problems=("the fleet has no document yet",))
    text = " ".join(read(facts(fleet=waiting), Sample(0, totals())).text.split())
    assert "Node edge-1 of fleet /a: no document yet; 0 nodes, 0 edits." in text
    assert "Fleet 1 problem" in text
    assert "leet" not in read(facts(), Sample(0, totals())).text


def test_who_vouches_for_clients() -> None:
    """The CAs of a route that asks for certificates, with their ends; of many the ones that end first; a name is never markup."""
    live = state(route("asks.test", mode="l7"), route("off.test", mode="l7"))
    many = [AuthorityFacts(f"CN=CA {number:02}", 1_000_000.0 + 86_400 * number) for number in range(1, 12)]
    known = facts(live, client_cas={(ADDR, "asks.test"): [AuthorityFacts(HOSTILE, 900_000.0), *many]})
    text = read(known, Sample(0, totals()), name=f"{ADDR} asks.test").text
    assert f"{HOSTILE} ended 1970-01-11" in text
    assert "CN=CA 01 ends 1970-01-13" in text
    assert "CN=CA 09" in text
    assert "CN=CA 10" not in text
    assert "and 2 more" in text
    assert "CAs of clients" not in read(known, Sample(0, totals()), name=f"{ADDR} off.test").text


def test_what_becomes_of_ordered_certificates() -> None:
    """In the list, among what is wrong, and with the route; what a CA says is never markup."""
    fails = CertificateFacts(name="new.test", names=("new.test", "www.new.test"), error=HOSTILE, next_try=1_000_120.0)
    live = state(route("new.test", mode="l7"))
    text = " ".join(
        read(facts(live, orders=OrderFacts((fails,))), Sample(0, totals()), name=f"{ADDR} new.test").text.split()
    )
    assert "1 certificate can't be ordered" in text
    assert f"handshakes are refused, waiting: {HOSTILE}, tried again in 2m" in text
    assert "none yet" in text
    assert text.count(f"waiting: {HOSTILE}") == 3
