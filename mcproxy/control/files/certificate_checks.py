"""Certificates, keys and CAs that routes, upstreams and the admin API name: what is wrong with the files, and what will be soon."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

from mcproxy.control.files.authorities import Finding, client_findings
from mcproxy.control.files.certificates import Certificate, CertificateError, public_key_of, read_certificate
from mcproxy.control.files.contents import Contents, MakeProblem, P_co
from mcproxy.control.files.loading import ca_refusal, offer_refusal, ordered_refusal, pair_refusal
from mcproxy.model.state.named_files import Group, files_of, key_name_of, owners
from mcproxy.model.state.state import Listener, Route, State, Upstream
from mcproxy.model.state.tls_options import TlsTerms, terms
from mcproxy.model.values.origins import Key
from mcproxy.net.tls import cipher_keys, unknown_ciphers
from mcproxy.policy.certificate_names import PassedThrough, covers

EXPIRES_SOON = timedelta(days=14)
"""How long before a certificate's end it is warned of."""

_T = TypeVar("_T")
_NAMES_SHOWN = 5
_NO_PAIR = "{} and the certificate {} do not belong together"


def check_certificates(
    state: State,
    now: datetime,
    problem: MakeProblem[P_co],
    contents: Contents,
    only: Collection[Key] | None = None,
) -> list[P_co]:
    """Return what is wrong or doubtful about the certificates of L7 routes and upstreams, each at the key that names the file.

    Args:
        state: what is to run.
        now: timezone-aware.
        problem: called with kind and key of the route or upstream, the name of the key, the message and the severity.
        contents: reads the files.
        only: kinds and keys of the routes and upstreams to look at; None for all.
    """
    check = _Check(state, now, problem, contents)
    for owner in owners(state, only).values():
        if isinstance(owner, Upstream):
            check.upstream(owner)
        elif isinstance(owner, Route):
            check.route(owner, state.listeners[owner.listener])
        elif isinstance(owner, Listener):
            check.listener(owner)
    return check.problems


def check_server_files(
    files: Mapping[str, str], now: datetime, contents: Contents
) -> list[tuple[str, str, Literal["error", "warning"]]]:
    """Return what is wrong or doubtful about the files of a server with mutual TLS: its key, message and severity.

    Args:
        files: paths of ``tls_cert``, its ``tls_key``, and ``client_ca``, whose clients are let in.
        now: timezone-aware.
        contents: reads them.
    """
    certificate = _parsed({}, contents, files["tls_cert"], read_certificate)
    public_key = _parsed({}, contents, files["tls_key"], public_key_of)
    trusted = _parsed({}, contents, files["client_ca"], read_certificate)
    found = {"tls_cert": certificate, "tls_key": public_key, "client_ca": trusted}
    problems: list[tuple[str, str, Literal["error", "warning"]]] = [
        (name, parsed, "error") for name, parsed in found.items() if isinstance(parsed, str)
    ]
    if isinstance(certificate, Certificate):
        if isinstance(public_key, bytes) and public_key != certificate.public_key:
            problems.append(("tls_key", _NO_PAIR.format(files["tls_key"], files["tls_cert"]), "error"))
        elif isinstance(public_key, bytes) and (refusal := pair_refusal(contents, files["tls_cert"], files["tls_key"])):
            problems.append((f"tls_{'key' if refusal[0] == 'key' else 'cert'}", refusal[1], "error"))
        problems += (("tls_cert", doubt, "warning") for doubt in _validity_doubts(certificate, now))
    if isinstance(trusted, Certificate) and (refused := ca_refusal(contents, files["client_ca"])):
        problems.append(("client_ca", refused, "error"))
    return problems


class _Check(Generic[P_co]):
    """One look at routes and upstreams; a file that several name is parsed once."""

    def __init__(self, state: State, now: datetime, problem: MakeProblem[P_co], contents: Contents) -> None:
        self.problems: list[P_co] = []
        self._state = state
        self._make = problem
        self._now = now
        self._contents = contents
        self._certificates: dict[str, Certificate | str] = {}
        self._keys: dict[str, bytes | str] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._authorities: dict[str, str] = {}
        self._clients: dict[tuple[str, str], tuple[Finding, ...]] = {}
        self._offers: dict[tuple[str, tuple[str, ...]], tuple[tuple[str, str] | None, tuple[str, ...]]] = {}
        self._cipher_keys: dict[str, frozenset[str]] = {}
        routes: dict[str, list[Route]] = {}
        for route in state.routes.values():
            routes.setdefault(route.listener, []).append(route)
        self._passed = {addr: PassedThrough(its) for addr, its in routes.items()}
        self._covered: dict[tuple[str, str], list[str]] = {}

    def route(self, route: Route, listener: Listener) -> None:
        """Look at one route."""
        where = ("route", route.listener, route.hostname)
        types: dict[str, str] = {}
        for name, paths in files_of(
            self._state, route
        ):  # without certificates where its listener's clients speak no TLS
            if name == "certificate" and (wrong := ordered_refusal(self._contents, paths[0])):
                self._problem(where, name, wrong, "warning")
            if name.startswith("tls_cert"):
                certificate = self._pair(where, name, paths)
                if certificate is None:
                    continue
                for doubt in self._doubts(certificate, route, paths[0]):
                    self._problem(where, name, doubt, "warning")
                if (earlier := types.setdefault(certificate.key_type, name)) != name:
                    message = (
                        f"has a key of type {certificate.key_type}, as {earlier} has; a client gets one of each type"
                    )
                    self._problem(where, name, message)
        if listener.protocol == "tls" and (route.tls is not None or listener.tls is not None):
            held, around = terms(listener.tls, route.tls), terms(listener.tls)
            if (held.client_ca, held.client_crl) != (around.client_ca, around.client_crl):
                self.clients(where, held)
            self.offer(where, held, around)
            self._fit(where, held, types)
        if route.backend_tls and route.backend_ca:
            self._trusted(where, "backend_ca", route.backend_ca)
        if route.backend_tls and route.backend_cert and route.backend_key:
            self._own_pair(where, "backend_cert", (route.backend_cert, route.backend_key))

    def listener(self, listener: Listener) -> None:
        """Look at what holds for the routes of a listener that say nothing else."""
        where = ("listener", listener.addr)
        self.clients(where, terms(listener.tls))
        self.offer(where, terms(listener.tls), TlsTerms())

    def _own_pair(self, where: Key, name: str, pair: Group) -> None:
        """Look at a certificate that backends get to see."""
        certificate = self._pair(where, name, pair)
        for doubt in _validity_doubts(certificate, self._now) if certificate else ():
            self._problem(where, name, doubt.replace("clients", "backends"), "warning")

    def _pair(self, where: Key, name: str, pair: Group) -> Certificate | None:
        """Look at a certificate, named by a key, and its own key; return the certificate if it can be read."""
        certificate = _parsed(self._certificates, self._contents, pair[0], read_certificate)
        key = _parsed(self._keys, self._contents, pair[1], public_key_of)
        name_of_key = key_name_of(name)
        if isinstance(certificate, str):
            self._problem(where, name, certificate)
        if isinstance(key, str):
            self._problem(where, name_of_key, key)
        if isinstance(certificate, str):
            return None
        if isinstance(key, bytes) and key != certificate.public_key:
            self._problem(where, name_of_key, _NO_PAIR.format(pair[1], pair[0]))
        elif isinstance(key, bytes) and (refusal := self._pair_refusal((pair[0], pair[1]))):
            self._problem(where, name_of_key if refusal[0] == "key" else name, refusal[1])
        return certificate

    def clients(self, where: Key, held: TlsTerms) -> None:
        """Look at what clients are judged by."""
        asked = held.client_ca, held.client_crl
        if asked not in self._clients:
            self._clients[asked] = tuple(client_findings(held, self._now, self._contents))
        for name, message, severity in self._clients[asked]:
            self._problem(where, f"tls.{name}", message, severity)

    def offer(self, where: Key, held: TlsTerms, around: TlsTerms) -> None:
        """Look at the ciphers and curves that a listener or route says itself, and not the place ``around`` it."""
        ciphers = "" if held.ciphers == around.ciphers else held.ciphers
        curves = () if held.curves == around.curves else held.curves
        if not ciphers and not curves:
            return
        if (ciphers, curves) not in self._offers:
            self._offers[ciphers, curves] = offer_refusal(ciphers, curves), unknown_ciphers(ciphers)
        refusal, unknown = self._offers[ciphers, curves]
        if refusal is not None:
            self._problem(where, f"tls.{refusal[0]}", refusal[1])
        elif unknown:
            message = f"OpenSSL passes over {', '.join(unknown)}: no cipher of TLS 1.2 that can be used is called so"
            self._problem(where, "tls.ciphers", message, "warning")

    def _fit(self, where: Key, held: TlsTerms, key_types: Collection[str]) -> None:
        """Look at whether ciphers are of any use for the certificates of a route."""
        if not held.ciphers or held.min_version != "1.2" or not {"RSA", "ECDSA"}.issuperset(key_types):
            return
        if held.ciphers not in self._cipher_keys:
            self._cipher_keys[held.ciphers] = cipher_keys(held.ciphers)
        fitting = self._cipher_keys[held.ciphers]
        if fitting and key_types and fitting.isdisjoint(key_types):
            message = f"none of {held.ciphers} is for a key of type {' or '.join(sorted(key_types))}: clients of TLS 1.2 get no connection"
            self._problem(where, "tls.ciphers", message, "warning")

    def upstream(self, upstream: Upstream) -> None:
        """Look at one upstream."""
        where = ("upstream", upstream.name)
        if upstream.tls is not None and upstream.tls.ca:
            self._trusted(where, "tls.ca", upstream.tls.ca)
        if upstream.tls is not None and upstream.tls.cert and upstream.tls.key:
            self._own_pair(where, "tls.cert", (upstream.tls.cert, upstream.tls.key))

    def _trusted(self, where: Key, name: str, path: str) -> None:
        trusted = _parsed(self._certificates, self._contents, path, read_certificate)
        if isinstance(trusted, str):
            self._problem(where, name, trusted)
        elif refused := self._ca_refusal(path):
            self._problem(where, name, refused)

    def _pair_refusal(self, pair: tuple[str, str]) -> tuple[str, str] | None:
        if pair not in self._pairs:
            self._pairs[pair] = pair_refusal(self._contents, *pair)
        return self._pairs[pair]

    def _ca_refusal(self, path: str) -> str:
        if path not in self._authorities:
            self._authorities[path] = ca_refusal(self._contents, path)
        return self._authorities[path]

    def _doubts(self, certificate: Certificate, route: Route, path: str) -> list[str]:
        doubts = _validity_doubts(certificate, self._now)
        if not covers(certificate.names, route.hostname):
            doubts.append(f"the certificate does not cover {route.hostname}; it is for {_listed(certificate.names)}")
        shared = route.listener, path
        if shared not in self._covered:
            self._covered[shared] = self._passed[route.listener].covered_by(certificate.names)
        passed = self._covered[shared]
        if passed:
            doubts.append(
                f"the certificate covers {_listed(passed)} too, which this listener passes through: clients may send such requests "
                "over this route's HTTP/2 connections, where they are refused with 421; use a certificate of its own"
            )
        return doubts

    def _problem(self, where: Key, name: str, message: str, severity: Literal["error", "warning"] = "error") -> None:
        self.problems.append(self._make(where, name, message, severity))


def _validity_doubts(certificate: Certificate, now: datetime) -> list[str]:
    if certificate.not_after <= now:
        return [f"the certificate expired on {_day(certificate.not_after)}: clients will refuse it"]
    if certificate.not_before > now:
        return [f"the certificate is valid from {_day(certificate.not_before)} only: clients will refuse it"]
    if certificate.not_after - now < EXPIRES_SOON:
        left = max(1, (certificate.not_after - now).days)
        when = f"in {left} day{'s' if left > 1 else ''}, on {_day(certificate.not_after)}"
        return [f"the certificate expires {when}"]
    return []


def _parsed(known: dict[str, _T | str], contents: Contents, path: str, parse: Callable[[bytes], _T]) -> _T | str:
    """Return what a file holds, or what is wrong with it; ``known`` remembers both."""
    if path not in known:
        try:
            known[path] = parse(contents.read(path))
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
