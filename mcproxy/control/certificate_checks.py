"""Certificates, keys and CAs that routes name: what is wrong with the files, and what will be soon."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from mcproxy.control.certs import Certificate, CertificateError, public_key_of, read_certificate
from mcproxy.model.problems import Key, Problem
from mcproxy.model.resolve import Resolution
from mcproxy.model.state import Route
from mcproxy.policy.certificate_names import PassedThrough, covers

EXPIRES_SOON = timedelta(days=14)
"""How long before a certificate's end it is warned of."""

_T = TypeVar("_T")
_NAMES_SHOWN = 5


def check_certificates(resolution: Resolution, now: datetime) -> list[Problem]:
    """Return what is wrong or doubtful about the certificates of all L7 routes, each at the key that names the file.

    Args:
        resolution: what the configuration means.
        now: timezone-aware.
    """
    return _Check(resolution, now).problems


class _Check:
    """One look at all routes; a file that several name is read once."""

    def __init__(self, resolution: Resolution, now: datetime) -> None:
        self.problems: list[Problem] = []
        self._resolution = resolution
        self._now = now
        self._certificates: dict[str, Certificate | str] = {}
        self._keys: dict[str, bytes | str] = {}
        routes: dict[str, list[Route]] = {}
        for route in resolution.state.routes.values():
            routes.setdefault(route.listener, []).append(route)
        self._passed = {addr: PassedThrough(its) for addr, its in routes.items()}
        self._covered: dict[tuple[str, str], list[str]] = {}
        for route in resolution.state.routes.values():
            if route.mode == "l7":
                self._route(route)

    def _route(self, route: Route) -> None:
        where = ("route", route.listener, route.hostname)
        certificate = _parsed(self._certificates, route.tls_cert, read_certificate)
        key = _parsed(self._keys, route.tls_key, public_key_of)
        if isinstance(certificate, str):
            self._problem(where, "tls_cert", certificate)
        if isinstance(key, str):
            self._problem(where, "tls_key", key)
        if isinstance(certificate, Certificate):
            if isinstance(key, bytes) and key != certificate.public_key:
                message = f"{route.tls_key} and the certificate {route.tls_cert} do not belong together"
                self._problem(where, "tls_key", message)
            for doubt in self._doubts(certificate, route):
                self.problems.append(self._resolution.problem(where, "tls_cert", doubt, "warning"))
        if route.backend_tls and route.backend_ca:
            trusted = _parsed(self._certificates, route.backend_ca, read_certificate)
            if isinstance(trusted, str):
                self._problem(where, "backend_ca", trusted)

    def _doubts(self, certificate: Certificate, route: Route) -> list[str]:
        doubts = []
        if certificate.not_after <= self._now:
            doubts.append(f"the certificate expired on {_day(certificate.not_after)}: clients will refuse it")
        elif certificate.not_before > self._now:
            doubts.append(f"the certificate is valid from {_day(certificate.not_before)} only: clients will refuse it")
        elif certificate.not_after - self._now < EXPIRES_SOON:
            left = max(1, (certificate.not_after - self._now).days)
            when = f"in {left} day{'s' if left > 1 else ''}, on {_day(certificate.not_after)}"
            doubts.append(f"the certificate expires {when}")
        if not covers(certificate.names, route.hostname):
            doubts.append(f"the certificate does not cover {route.hostname}; it is for {_listed(certificate.names)}")
        shared = route.listener, route.tls_cert
        if shared not in self._covered:
            self._covered[shared] = self._passed[route.listener].covered_by(certificate.names)
        passed = self._covered[shared]
        if passed:
            doubts.append(
                f"the certificate covers {_listed(passed)} too, which this listener passes through: clients may send such requests "
                "over this route's HTTP/2 connections, where they are refused with 421; use a certificate of its own"
            )
        return doubts

    def _problem(self, where: Key, name: str, message: str) -> None:
        self.problems.append(self._resolution.problem(where, name, message))


def _parsed(known: dict[str, _T | str], path: str, parse: Callable[[bytes], _T]) -> _T | str:
    """Return what a file holds, or what is wrong with it; ``known`` remembers both."""
    if path not in known:
        try:
            known[path] = parse(Path(path).read_bytes())
        except OSError as error:
            known[path] = f"{path} can't be read: {error.strerror}"
        except CertificateError as error:
            known[path] = f"{path} {error}"
    return known[path]


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    if not names:
        return "no name at all"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
