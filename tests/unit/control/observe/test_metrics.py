"""Metrics: the names and labels of the contract, what is left out, and that both formats say the same."""

import gzip
from typing import Any

import pytest
from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from mcproxy.control.counters.totals import Totals
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.metrics import expose, families
from mcproxy.model.edits.overlay import Difference
from tests.support.edits import route_edit
from tests.support.observed import (
    ADDR,
    HOSTILE,
    busy,
    facts,
    fleet_facts,
    listener_totals,
    route,
    route_totals,
    state,
    totals,
)

OPENMETRICS = "application/openmetrics-text;version=1.0.0"

Series = dict[str, dict[tuple[tuple[str, str], ...], float]]

CONTRACT = {
    "mcproxy_connections_total": {"listener", "route", "mode"},
    "mcproxy_connections_active": {"listener", "route", "mode"},
    "mcproxy_connection_errors_total": {"listener", "route", "reason"},
    "mcproxy_grpc_requests_total": {"listener", "route", "grpc_status"},
    "mcproxy_firewall_blocks_total": {"listener", "reason"},
    "mcproxy_health_checks_total": {"listener"},
    "mcproxy_policy_blocks_total": {"listener", "route", "type"},
    "mcproxy_case_requests_total": {"listener", "route", "case"},
    "mcproxy_filter_blocks_total": {"listener", "route", "filter", "stage"},
    "mcproxy_client_certificates_total": {"listener", "route", "result"},
    "mcproxy_tls_handshake_failures_total": {"listener", "route", "cause"},
    "mcproxy_tls_sessions_total": {"listener", "route", "resumed"},
    "mcproxy_backend_tls_failures_total": {"listener", "route", "cause"},
    "mcproxy_forward_auth_seconds_bucket": {"filter", "le"},
    "mcproxy_forward_auth_seconds_count": {"filter"},
    "mcproxy_forward_auth_seconds_sum": {"filter"},
    "mcproxy_bytes_total": {"listener", "route", "direction"},
    "mcproxy_backend_dial_seconds_bucket": {"listener", "le"},
    "mcproxy_backend_dial_seconds_count": {"listener"},
    "mcproxy_backend_dial_seconds_sum": {"listener"},
    "mcproxy_http_request_seconds_bucket": {"listener", "route", "le"},
    "mcproxy_http_request_seconds_count": {"listener", "route"},
    "mcproxy_http_request_seconds_sum": {"listener", "route"},
    "mcproxy_http_requests_total": {"listener", "route", "protocol", "code"},
    "mcproxy_limits_hit_total": {"limit"},
    "mcproxy_draining_connections": set(),
    "mcproxy_config_generation": set(),
    "mcproxy_config_last_reload_successful": set(),
    "mcproxy_config_last_reload_success_timestamp_seconds": set(),
    "mcproxy_config_drift": set(),
    "mcproxy_guard_watching": set(),
    "mcproxy_guard_withdrawn_total": set(),
    "mcproxy_certificate_not_after_seconds": {"listener", "route"},
    "mcproxy_client_crl_not_after_seconds": {"listener", "route"},
    "mcproxy_acme_orders_total": {"result"},
    "mcproxy_acme_last_error": {"name"},
    "mcproxy_acme_renewal_overdue": {"name"},
    "mcproxy_fleet_connected": set(),
    "mcproxy_fleet_last_contact_timestamp_seconds": set(),
    "mcproxy_fleet_document_revision": set(),
    "mcproxy_fleet_nodes": {"state"},
    "mcproxy_fleet_edits": set(),
    "mcproxy_fleet_rollout": set(),
    "mcproxy_fleet_problems": set(),
    "mcproxy_fleet_clock_ahead_seconds": {"node"},
    "mcproxy_broken_files": {"listener", "route"},
    "mcproxy_endpoint_usable": {"upstream", "endpoint"},
    "mcproxy_endpoint_active": {"upstream", "endpoint"},
    "mcproxy_endpoint_connections_total": {"upstream", "endpoint"},
    "mcproxy_endpoint_failures_total": {"upstream", "endpoint", "reason"},
    "mcproxy_endpoint_ejections_total": {"upstream", "endpoint"},
    "mcproxy_retries_total": {"upstream", "reason"},
    "mcproxy_upstream_panic": {"upstream"},
    "mcproxy_check_seconds_bucket": {"upstream", "le"},
    "mcproxy_check_seconds_count": {"upstream"},
    "mcproxy_check_seconds_sum": {"upstream"},
    "mcproxy_worker_restarts_total": set(),
    "mcproxy_backend_redials_total": set(),
    "mcproxy_build_info": {"version", "python_version", "data_path"},
    "mcproxy_connections_accepted_total": {"listener"},
    "mcproxy_listener_connections_active": {"listener"},
    "mcproxy_listener_connections_limit": {"listener"},
    "mcproxy_access_log_lines_dropped_total": set(),
    "mcproxy_log_lines_dropped_total": set(),
}
"""Every series, and its labels: what dashboards and rules of users are built on."""


def scraped(known: Facts, counted: Totals, accept: str = "") -> Series:
    """Return the values by sample name and labels, as a client parses them."""
    body, _ = expose(known, counted, accept, compress=False)
    parse: Any = parse_openmetrics if accept else parse_text
    found: Series = {}
    for family in parse(body.decode()):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in series, "told twice"
            series[labels] = sample.value
    return found


def test_names_and_labels_are_those_of_the_contract() -> None:
    """None is missing and none is new: others build on them."""
    found = scraped(*busy())
    assert {name: {label for labels in series for label, _ in labels} for name, series in found.items()} == CONTRACT


def test_both_formats_say_the_same() -> None:
    """What Prometheus gets does not depend on what it asked for."""
    assert scraped(*busy(), OPENMETRICS) == scraped(*busy())


def test_the_values_are_what_was_counted() -> None:
    """Large counts exactly; buckets cumulated."""
    found = scraped(*busy())
    a, www = (("listener", ADDR), ("route", "a.test")), (("listener", ADDR), ("route", "www.test"))
    assert found["mcproxy_bytes_total"][("direction", "received"), *a] == 2**40
    assert found["mcproxy_connections_total"][("listener", ADDR), ("mode", "l4"), ("route", "a.test")] == 5
    assert found["mcproxy_certificate_not_after_seconds"] == {www: 1_234_567.5}
    assert found["mcproxy_client_crl_not_after_seconds"] == {www: 1_234_000.0}
    assert found["mcproxy_broken_files"] == {www: 1, (("listener", ""), ("route", "")): 1}
    assert found["mcproxy_http_requests_total"] == {
        (("code", "200"), ("listener", ADDR), ("protocol", "h2"), ("route", "www.test")): 6,
        (("code", "403"), ("listener", ADDR), ("protocol", "http/1.1"), ("route", "www.test")): 2,
    }
    assert found["mcproxy_connection_errors_total"] == {
        (("listener", ADDR), ("reason", "no_route"), ("route", "")): 3,
        (("listener", ADDR), ("reason", "backend_refused"), ("route", "a.test")): 2,
        (("listener", ADDR), ("reason", "client_gone"), ("route", "a.test")): 1,
    }
    assert found["mcproxy_grpc_requests_total"] == {(("grpc_status", "14"), *www): 3}
    other = (("listener", ADDR), ("route", "_other"))
    assert found["mcproxy_http_request_seconds_count"] == {www: 6, other: 6}
    buckets = {dict(labels)["le"]: value for labels, value in found["mcproxy_backend_dial_seconds_bucket"].items()}
    assert (buckets["0.0005"], buckets["0.001"], buckets["0.005"], buckets["10.0"], buckets["+Inf"]) == (0, 3, 4, 4, 6)
    assert found["mcproxy_backend_dial_seconds_sum"] == {(("listener", ADDR),): 31.25}


def test_orders_are_told_by_the_name_of_their_certificate() -> None:
    """Where none is there yet, nothing can be late; where nothing is ordered there is not even a count."""
    found = scraped(*busy())
    late, new = (("name", "late.test"),), (("name", "new.test"),)
    assert found["mcproxy_acme_last_error"] == {late: 1, new: 0}
    assert found["mcproxy_acme_renewal_overdue"] == {late: 0.25}
    assert found["mcproxy_acme_orders_total"] == {(("result", "issued"),): 4, (("result", "failed"),): 3}
    assert not [name for name in scraped(facts(), totals()) if "acme" in name]


def test_a_fleet_is_told_by_its_nodes() -> None:
    """Every state has a series, so that alerts see them go; a machine that is no node tells nothing."""
    found = scraped(*busy())
    states = {dict(labels)["state"]: value for labels, value in found["mcproxy_fleet_nodes"].items()}
    assert states == {"current": 2, "behind": 0, "failing": 1}
    for name, value in {
        "connected": 1,
        "last_contact_timestamp_seconds": 999_999,
        "document_revision": 41,
        "edits": 2,
        "rollout": 1,
        "problems": 1,
    }.items():
        assert found[f"mcproxy_fleet_{name}"] == {(): value}
    assert found["mcproxy_fleet_clock_ahead_seconds"] == {(("node", "edge-3"),): -30}
    away = facts(fleet=fleet_facts(connected=False, rollout=None, nodes={}))
    assert scraped(away, totals())["mcproxy_fleet_connected"] == {(): 0}
    assert not [name for name in scraped(facts(), totals()) if "fleet" in name]


def test_cases_and_filters_are_told_by_their_names() -> None:
    """A case by its match, which may hold what a label has to escape."""
    found = scraped(*busy())
    www = ("route", "www.test")
    assert found["mcproxy_case_requests_total"] == {
        (("case", "GET /a/* ?v=2"), ("listener", ADDR), www): 4,
        (("case", HOSTILE), ("listener", ADDR), www): 1,
    }
    assert found["mcproxy_filter_blocks_total"] == {
        (("filter", "office"), ("listener", ADDR), www, ("stage", "allow")): 3,
        (("filter", "(route)"), ("listener", ADDR), www, ("stage", "auth")): 2,
    }
    assert found["mcproxy_forward_auth_seconds_count"] == {(("filter", "login"),): 6}
    assert found["mcproxy_client_certificates_total"] == {(("listener", ADDR), ("result", "expired"), www): 7}
    assert found["mcproxy_tls_handshake_failures_total"] == {(("cause", "unknown_ca"), ("listener", ADDR), www): 8}
    assert found["mcproxy_tls_sessions_total"] == {
        (("listener", ADDR), ("resumed", "false"), www): 9,
        (("listener", ADDR), ("resumed", "true"), www): 10,
    }
    assert found["mcproxy_backend_tls_failures_total"] == {(("cause", "wrong_name"), ("listener", ADDR), www): 11}


def test_endpoints_are_told_by_the_addresses_of_the_file() -> None:
    """What stands under a name is summed up; one that is neither ready nor usable is told as such."""
    found = scraped(*busy())
    one, two, name, idle = (
        (("endpoint", label), ("upstream", upstream))
        for label, upstream in (
            ("10.0.0.1:80", "api"),
            ("10.0.0.2:80", "api"),
            ("web.internal:80", "api"),
            ("10.0.2.1:80", "idle"),
        )
    )
    assert found["mcproxy_endpoint_usable"] == {one: 1, two: 0, name: 0.5, idle: 0}
    assert found["mcproxy_endpoint_active"] == {one: 3, two: 0, name: 6}
    assert found["mcproxy_endpoint_connections_total"] == {one: 40, two: 0, name: 80}
    reasons = {
        dict(key)["reason"]: n for key, n in found["mcproxy_endpoint_failures_total"].items() if key[0] == one[0]
    }
    assert reasons == {"dial": 4, "answer": 3, "reset": 2}
    assert found["mcproxy_endpoint_ejections_total"] == {two: 2}
    assert found["mcproxy_retries_total"] == {
        (("reason", "dial"), ("upstream", "api")): 12,
        (("reason", "answer"), ("upstream", "api")): 3,
    }
    assert found["mcproxy_upstream_panic"] == {(("upstream", "idle"),): 1}
    assert found["mcproxy_check_seconds_count"] == {(("upstream", "api"),): 6}


def test_what_never_happened_has_no_series() -> None:
    """Ten thousand idle routes cost nothing: the scrape is that of a proxy without routes."""
    few, many = (facts(state(*(route(f"r{number}.test") for number in range(count)))) for count in (1, 10_000))
    counted = totals({ADDR: listener_totals()})
    assert expose(many, counted, "", compress=False) == expose(few, counted, "", compress=False)
    found = scraped(few, counted)
    assert not {"mcproxy_connections_total", "mcproxy_bytes_total", "mcproxy_backend_dial_seconds_count"} & set(found)
    assert "mcproxy_listener_connections_limit" not in found, "there is none"


def test_a_scrape_grows_with_what_is_busy() -> None:
    """Per busy route without HTTP four samples, and no work of the library, which takes ten times as long for each."""
    keys = [(ADDR, f"r{number}.test") for number in range(1000)]
    known = facts(state(*(route(hostname) for _, hostname in keys)))
    counted = totals({}, {key: route_totals(connections=1) for key in keys})
    told = list(families(known, counted))
    assert sum(len(lines) for _, lines in told) == 4 * len(keys)
    assert sum(len(family.samples) for family, _ in told) < 20


def test_lines_are_those_of_the_library() -> None:
    """The series that are written here for speed look as the library would write them, whatever is in their labels."""
    key = (HOSTILE + '\\n\n"', "*.a.test")
    counted = totals({}, {key: route_totals(connections=1, responses={("h2", "200"): 5}, blocks={"require_header": 3})})
    known = facts(state(route(key[1], key[0])))
    ours = {family.name: lines for family, lines in families(known, counted)}["mcproxy_http_requests"]
    family = CounterMetricFamily("mcproxy_http_requests", "-", labels=("listener", "route", "protocol", "code"))
    family.add_metric((*key, "h2", "200"), 5)
    theirs = exposition.generate_latest(_Only(family)).decode().splitlines()[-1]
    assert "".join(ours).replace(" 5\n", " 5.0") == theirs
    assert scraped(known, counted) == scraped(known, counted, OPENMETRICS)


class _Only(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> list[Metric]:
        return [self._family]


def test_a_route_that_is_just_going_is_left_out() -> None:
    """It has counters for a moment longer than it has a place in the state."""
    counted = totals({}, {(ADDR, "gone.test"): route_totals(connections=1)})
    assert "mcproxy_connections_total" not in scraped(facts(), counted)


@pytest.mark.parametrize(("problems", "value"), [((), 1.0), (("mc-proxy.toml:1:1: error",), 0.0)])
def test_the_outcome_of_the_last_reload(problems: tuple[str, ...], value: float) -> None:
    """A failure leaves the time of the last success as it was."""
    found = scraped(facts(problems=problems, reloaded=12.5), totals())
    assert found["mcproxy_config_last_reload_successful"] == {(): value}
    assert found["mcproxy_config_last_reload_success_timestamp_seconds"] == {(): 12.5}


def test_drift_is_counted() -> None:
    """Every difference, also those that an edit can't bring about now."""
    edit = route_edit("a.test")
    differences = [
        Difference("route", edit.key, None, edit.value, edit),
        Difference("route", edit.key, None, None, edit, "no"),
    ]
    assert scraped(facts(drift=differences), totals())["mcproxy_config_drift"] == {(): 2.0}


def test_compression() -> None:
    """The same text, much smaller."""
    known, counted = busy()
    plain, kind = expose(known, counted, OPENMETRICS, compress=False)
    packed, same_kind = expose(known, counted, OPENMETRICS, compress=True)
    assert (gzip.decompress(packed), same_kind) == (plain, kind)
    assert len(packed) < len(plain) / 3


def test_every_metric_helps_an_operator() -> None:
    """The help says something, in a sentence."""
    for family, _ in families(*busy()):
        assert len(family.documentation) > 20, family.name
        assert family.documentation.endswith((".", ")")), family.name
