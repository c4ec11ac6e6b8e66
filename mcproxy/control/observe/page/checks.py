"""Is it well? A few checks, each with its answer in a word."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.page.refused import RefusedLately
from mcproxy.control.observe.page.routes import RouteStatus
from mcproxy.model.values.figures import age
from mcproxy.policy.fleet.facts import FleetFacts

Health: TypeAlias = Literal["good", "warning", "bad"]
HEALTHS: tuple[Health, ...] = ("good", "warning", "bad")


class Check(msgspec.Struct, frozen=True):
    """One question: what it is about, how that is, in words, and the part of the page that tells more."""

    name: str
    health: Health
    answer: str
    part: str


def worst(checks: Sequence[Check]) -> Health:
    """Return the worst health of all."""
    return max((check.health for check in checks), key=HEALTHS.index, default="good")


def checks(
    facts: Facts,
    failing: Sequence[RouteStatus],
    refused: Sequence[RefusedLately],
    certificate: tuple[Health, float] | None,
) -> tuple[Check, ...]:
    """Return the row of checks.

    Args:
        facts: what control knows.
        failing: the routes that failed lately.
        refused: what was refused lately.
        certificate: health and end of the certificate that ends first, None without any.
    """
    serving = sum(worker.generation == facts.generation and not worker.leaving for worker in facts.workers)
    return (
        Check(
            "Workers",
            "bad" if facts.unready else "good",
            f"{len(facts.unready)} not ready" if facts.unready else f"{serving} serve",
            "workers",
        ),
        Check(
            "Configuration",
            "bad" if facts.problems or facts.failing_tests else "good",
            "reload failed"
            if facts.problems
            else f"{_count(len(facts.failing_tests), 'test')} fail{'s' if len(facts.failing_tests) == 1 else ''}"
            if facts.failing_tests
            else f"read {age(facts.now - facts.reloaded)} ago",
            "alerts" if facts.problems or facts.failing_tests else "plan",
        ),
        _backends(facts, failing),
        _refused(refused),
        _certificates(facts, certificate),
        Check(
            "Drift",
            "warning" if facts.drift else "good",
            _count(len(facts.drift), "edit") if facts.drift else "as the file says",
            "drift",
        ),
        *_fleet(facts.fleet),
        Check(
            "Database",
            "warning" if facts.store_problems else "good",
            "in trouble" if facts.store_problems else "well",
            "alerts" if facts.store_problems else "history",
        ),
    )


def _backends(facts: Facts, failing: Sequence[RouteStatus]) -> Check:
    endpoints = facts.endpoints.endpoints
    dark = {one.upstream for one in endpoints} - {one.upstream for one in endpoints if one.usable}
    health: Health = "bad" if dark else "warning"
    if failing:
        answer = f"{_count(len(failing), 'route')} fail{'s' if len(failing) == 1 else ''}"
        return Check("Backends", health, answer, "alerts")
    out = sum(one.verdict in ("down", "ejected") or (one.upstream in dark) for one in endpoints)
    if out:
        return Check("Backends", health, f"{out} of {_count(len(endpoints), 'endpoint')} out", "upstreams")
    return Check("Backends", "good", "no route fails", "routes")


def _fleet(facts: FleetFacts) -> tuple[Check, ...]:
    """Return nothing where the machine is no node of one."""
    if not facts.node:
        return ()
    if not facts.connected:
        return (Check("Fleet", "warning", "store away", "alerts"),)
    if facts.problems:
        return (Check("Fleet", "bad", _count(len(facts.problems), "problem"), "alerts"),)
    behind = sum(state != "current" for state in facts.nodes.values())
    if behind:
        return (Check("Fleet", "warning", f"{behind} of {_count(len(facts.nodes), 'node')} behind", "fleet"),)
    if facts.rollout is not None:
        return (Check("Fleet", "good", f"tries revision {facts.rollout.header.revision}", "fleet"),)
    return (Check("Fleet", "good", f"{_count(len(facts.nodes), 'node')} alike", "fleet"),)


def _refused(refused: Sequence[RefusedLately]) -> Check:
    """Rules that do what they are for are no trouble; a listener that is full turns away whom it should serve."""
    full = [one for one in refused if one.full]
    if full:
        return Check("Refused", "warning", f"{_count(len(full), 'listener')} full", "alerts")
    total = sum(one.total for one in refused)
    return Check("Refused", "good", f"{total} by rules" if total else "nobody", "alerts" if total else "blocked")


def _certificates(facts: Facts, certificate: tuple[Health, float] | None) -> Check:
    if facts.stand_ins:
        return Check("Certificates", "warning", _count(len(facts.stand_ins), "broken file"), "alerts")
    if certificate is None:
        return Check("Certificates", "good", "none needed", "certificates")
    trouble = [each for each in facts.orders.certificates if each.error]
    health, not_after = certificate
    if trouble and health != "bad":
        return Check("Certificates", "warning", f"{len(trouble)} not ordered", "alerts")
    if not not_after:
        return Check("Certificates", health, "the first is being ordered", "certificates")
    left = age(not_after - facts.now) if health == "warning" else _count(int((not_after - facts.now) // 86_400), "day")
    return Check("Certificates", health, "expired" if health == "bad" else f"{left} left", "certificates")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
