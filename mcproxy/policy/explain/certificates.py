"""What certificate a route shows, and what it says to that of a client."""

from mcproxy.model.state.state import Route
from mcproxy.model.state.tls_options import TlsTerms
from mcproxy.model.values import paths
from mcproxy.model.values.origins import Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.acme.facts import words
from mcproxy.policy.certificates.clients import ClientNames, named
from mcproxy.policy.explain.query import Live, Step

_STEP = "client_certificate"
_LONG = 200  # characters of a name
_SHOWN = 5  # names that are told


def tls_step(route: Route, live: Live | None, origin: Origin | None) -> Step:
    """Return the step of TLS.

    Args:
        route: of l7.
        live: what is known of certificates that are ordered; None where nothing is.
        origin: the line that says which certificate it is.
    """
    if not route.certificate:
        shown = paths.each_of(route.tls_cert)
        several = f"the certificate{'s' if len(shown) > 1 else ''} {' or '.join(shown)}"
        return Step("tls", "ok", f"TLS is terminated with {several}", origin)
    order = None if live is None else live.orders.of(route.hostname)
    if live is None or order is None:
        return Step("tls", "ok", "TLS is terminated with the certificate that is ordered from the CA of [acme]", origin)
    told = words(order, live.now)
    if order.served:
        return Step("tls", "ok", f"TLS is terminated with the certificate {told}", origin)
    detail = f"the TLS alert unrecognized_name: there is no certificate yet; {told}"
    return Step("tls", "refused", detail, origin, names=("certificate", "no_certificate"))


def client_step(held: TlsTerms, name: str | None, origin: Origin | None) -> Step:
    """Return the step of a route that asks for certificates.

    Args:
        held: what it asks for.
        name: one in the client's certificate, which is taken to be valid; "" for no certificate, None leaves it open.
        origin: the line that asks.
    """
    wanted = ""
    if held.client_names:
        more = f" and {len(held.client_names) - _SHOWN} more" if len(held.client_names) > _SHOWN else ""
        wanted = f" with one of the names {', '.join(held.client_names[:_SHOWN])}{more}"
    words = ("client_certificate",)
    if name is None:
        verb = "must" if held.client_auth == "require" else "may"
        crl = f", unless {held.client_crl} revokes it" if held.client_crl else ""
        detail = (
            f"clients {verb} show a certificate of a CA in {held.client_ca}{wanted}{crl}; not judged without its name"
        )
        return Step(_STEP, "ok", detail, origin, 403, ("client_names", *words))
    if not name:
        if held.client_auth == "require":
            return Step(_STEP, "refused", "a TLS alert: the client shows no certificate", origin, 0, words)
        return Step(_STEP, "ok", "the client shows no certificate, and need not", origin)
    shown = name if name.isprintable() and len(name) <= _LONG else quote(name)
    if not held.client_names or ClientNames(held.client_names).fit(named(name).names):
        return Step(_STEP, "ok", f"{shown} is let in, if a CA in {held.client_ca} vouches for it", origin)
    return Step(
        _STEP, "refused", f"answered with 403: {shown} is none of client_names", origin, 403, ("client_names", *words)
    )
