"""The certificate that a client has shown in its handshake, and what a route says to it."""

import ssl

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.certificates.clients import ClientCertificate, certificate
from mcproxy.worker.live.listener import LiveRoute

_SHOWN = 100  # characters of a name that are told


def shown_by(tls: ssl.SSLObject) -> ClientCertificate | None:
    """Return the certificate of a client, None if it has shown none; OpenSSL has verified it."""
    der = tls.getpeercert(binary_form=True)
    return None if der is None else certificate(der, tls.getpeercert() or {})


def objection(route: LiveRoute, shown: ClientCertificate | None) -> Failure | None:
    """Return why a client may not use a route that asks for certificates; None if it may.

    Whether it needs one at all, and one of the right CA, the handshake has decided; but the route may have been another then.
    """
    if shown is None:
        if route.client_auth == "require":
            return Failure("misdirected", "the route requires a client certificate by now; connect anew")
        return None
    if route.client_names is None or route.client_names.fit(shown.names):
        return None
    names = ", ".join(name for _, name in shown.names)
    told = names if len(names) <= _SHOWN else f"{names[:_SHOWN]} ..."
    return Failure("client_certificate", f"none of its names is in client_names: {told or 'it has none'}")
