"""Why a backend could not be reached, in words: of errors of sockets and of TLS."""

import errno
import os
import ssl
import time
from collections.abc import Mapping
from typing import Any

from mcproxy.model.values.reasons import Failure
from mcproxy.net.openssl.peer import TlsPeer
from mcproxy.net.sockets import SocketAddress, lacks_resources

_DAY, _HOUR = 86_400, 3_600
_NAMES_TOLD = 3
_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "the network can't be reached",
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "permission denied",
    errno.EPERM: "forbidden by a firewall of this machine",
}

# Of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN_CA = (2, 19, 20, 21)
_WRONG_NAME = (62, 63, 64)


_REFUSED = {
    _NOT_YET_VALID: ("invalid", "its certificate is not valid yet"),
    _EXPIRED: ("expired", "its certificate has expired"),
    23: ("revoked", "its certificate is revoked"),
    3: ("crl", "there is no CRL of its CA"),
    12: ("crl", "the CRL of its CA has ended"),
    11: ("crl", "the CRL of its CA is not valid yet"),
    **dict.fromkeys((*_UNKNOWN_CA, _SELF_SIGNED), ("unknown_ca", "its certificate is of an unknown CA")),
}
"""What is told of a client's certificate that is refused, by the code of its verification."""
_BACKEND_REFUSED = {
    _NOT_YET_VALID: "not_yet_valid",
    _EXPIRED: "expired",
    **dict.fromkeys(_WRONG_NAME, "wrong_name"),
    **dict.fromkeys((*_UNKNOWN_CA, _SELF_SIGNED), "unknown_ca"),
}
"""Words for metrics, by the code of the verification of a backend's certificate."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's words for an answer that is no TLS."""
_ABOUT_CERTIFICATES = frozenset(
    {
        *(
            "BAD_CERTIFICATE",
            "CERTIFICATE_EXPIRED",
            "CERTIFICATE_REQUIRED",
            "CERTIFICATE_REVOKED",
            "CERTIFICATE_UNKNOWN",
        ),
        *("NO_CERTIFICATE", "UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE", "ACCESS_DENIED"),
    }
)
"""Alerts that a backend sends because of the certificate that the proxy has shown, or has not."""
_CAUSES = {
    "NO_SHARED_CIPHER": "no_shared_cipher",
    "HANDSHAKE_FAILURE": "no_shared_cipher",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no_shared_cipher",
    "INSUFFICIENT_SECURITY": "no_shared_cipher",
    "UNSUPPORTED_PROTOCOL": "unsupported_protocol",
    "PROTOCOL_VERSION": "unsupported_protocol",
    "VERSION_TOO_LOW": "unsupported_protocol",
    "CERTIFICATE_EXPIRED": "expired",
    "UNKNOWN_CA": "unknown_ca",
    "BAD_CERTIFICATE": "bad_certificate",
    "CERTIFICATE_UNKNOWN": "bad_certificate",
    "UNSUPPORTED_CERTIFICATE": "bad_certificate",
    "CERTIFICATE_REVOKED": "bad_certificate",
}
"""Words for metrics, by OpenSSL's of what went wrong or of the alert that came."""


class TlsClient(TlsPeer):
    """The client's end of TLS, which keeps with an error what `tls_failure` tells of."""

    def do_handshake(self) -> None:
        """Go on with the handshake.

        The error of a certificate has that as its attribute ``certificate``; another one of a handshake in which a cipher was chosen
        already has ``chosen``.
        """
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            error.certificate = _certificate(self)  # type: ignore[attr-defined] # for the one who catches it
            raise
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            error.chosen = self.cipher() is not None  # type: ignore[attr-defined] # likewise
            raise


def dial_failure(code: int, address: SocketAddress, seconds: float) -> Failure:
    """Return why a socket was not connected.

    Args:
        code: the errno of socket(2) or connect(2), or of the connection.
        address: where it was to go.
        seconds: the time it had.
    """
    if lacks_resources(code, address):
        reason, detail = "no_resources", f"no descriptors, ports or memory: {os.strerror(code).lower()}"
    elif code == errno.ETIMEDOUT:
        reason, detail = "backend_timeout", f"timed out after {seconds:g} s"
    else:
        reason, detail = "backend_refused", _WORDS.get(code) or os.strerror(code).lower()
    return Failure(reason, detail, endpoint_text(address))


def endpoint_text(address: SocketAddress) -> str:
    """Return an address as the config file writes it."""
    where = address[1]
    if isinstance(where, str):
        return f"unix:{where}"
    return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"


def tls_failure(error: BaseException, name: str, seconds: float, endpoint: str) -> Failure:
    """Return why the handshake with a backend failed.

    Args:
        error: what the event loop raised.
        name: what the certificate was verified for.
        seconds: the time it had.
        endpoint: the backend's address.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure("backend_certificate", _certificate_words(error, name), endpoint)
    if isinstance(error, TimeoutError | ConnectionAbortedError):  # the latter is uvloop's
        return Failure("backend_timeout", f"no TLS handshake within {seconds:g} s", endpoint)
    if isinstance(error, ssl.SSLError):
        return Failure("backend_tls", _tls_words(error), endpoint)
    return Failure("backend_tls", "it closed the connection during the TLS handshake", endpoint)


def backend_tls_cause(error: BaseException | None) -> str:
    """Return the word in metrics for what `tls_failure` and `lost_words` tell: one of `sparse_counters.BACKEND_CAUSES`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BACKEND_REFUSED.get(error.verify_code, "invalid")
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "timeout"
    reason = str(getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
    if not reason:
        return "other" if isinstance(error, ssl.SSLError) else "closed"
    if reason in _NO_TLS:
        return "no_tls"
    alert = reason.partition("_ALERT_")[2]
    if alert in _ABOUT_CERTIFICATES or _misses_certificate(error):
        return "client_certificate"
    cause = _CAUSES.get(alert or reason, "other")
    return cause if cause in ("no_shared_cipher", "unsupported_protocol") else "other"


def client_tls_failure(error: BaseException) -> tuple[Failure, str]:
    """Return why the handshake with a client failed, and the word for it in metrics.

    Returns:
        The failure, and one of `sparse_counters.RESULTS` where its reason is ``client_certificate``, else of `CAUSES`.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        result, told = _REFUSED.get(error.verify_code, ("invalid", ""))
        words = told or f"its certificate is not valid: {error.verify_message}"
        return Failure("client_certificate", words), result
    reason = str(getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Failure("client_certificate", "it has shown no certificate"), "missing"
    if reason == "CALLBACK_FAILED":  # of a context that refuses whoever comes, see `tls.server_context`
        return Failure("no_certificate", "the route has no certificate yet"), "no_certificate"
    words = reason.lower().replace("_", " ")
    if not reason:
        return Failure("tls_failed", "the client closed the connection"), "closed"
    cause = _CAUSES.get(reason.partition("_ALERT_")[2] or reason, "other")
    if "_ALERT_" in reason:
        words = f"the client refuses: {words.partition('alert ')[2]}"
    return Failure("tls_failed", words), cause


def lost_words(error: BaseException | None) -> str:
    """Return what is known about the end of a connection that was open; "" where nothing is.

    A backend of TLS 1.3 says only behind its part of the handshake that it does not accept the client's certificate, or misses it.
    """
    return _tls_words(error) if isinstance(error, ssl.SSLError) else ""


def refused_later(error: BaseException | None) -> bool:
    """Tell whether a connection that was open has ended with an alert: see `lost_words`."""
    return isinstance(error, ssl.SSLError) and "_ALERT_" in str(getattr(error, "reason", None) or "")


def _misses_certificate(error: BaseException | None) -> bool:
    """Tell whether a backend of TLS 1.2 has broken off because it was shown no certificate (RFC 5246 section 7.4.6).

    The same alert says that there is nothing in common; but here a cipher had been chosen.
    """
    return str(getattr(error, "reason", "")).endswith("_ALERT_HANDSHAKE_FAILURE") and getattr(error, "chosen", False)


def _tls_words(error: ssl.SSLError) -> str:
    reason = str(getattr(error, "reason", None) or error)
    if reason in _NO_TLS:
        return "it does not speak TLS"
    if _misses_certificate(error):
        return "it refuses the handshake: it seems to require a certificate (handshake failure)"
    reason = reason.lower().replace("_", " ")
    if "alert" in reason:
        return f"it refuses the handshake: {reason.partition('alert ')[2] or reason}"
    return reason


def _certificate_words(error: ssl.SSLCertVerificationError, name: str) -> str:
    told: Mapping[str, Any] = getattr(error, "certificate", {})
    if error.verify_code == _EXPIRED:
        ended = _seconds(told.get("notAfter"))
        return (
            "its certificate has expired" if ended is None else f"its certificate expired {_ago(time.time() - ended)}"
        )
    if error.verify_code == _NOT_YET_VALID:
        begins = _seconds(told.get("notBefore"))
        after = "" if begins is None else f", it begins in {_span(begins - time.time())}"
        return f"its certificate is not valid yet{after}"
    if error.verify_code == _SELF_SIGNED:
        return f"its certificate is self-signed{_subject(told, 'subject')}"
    if error.verify_code in _UNKNOWN_CA:
        return f"its certificate is of an unknown CA{_subject(told, 'issuer')}"
    if error.verify_code in _WRONG_NAME:
        return f"its certificate is for {_names(told)}, not for {name}"
    return f"its certificate is not valid: {error.verify_message}"


def _certificate(tls: ssl.SSLObject) -> Mapping[str, Any]:
    """Return what the peer's certificate says, as `ssl.SSLSocket.getpeercert` tells it of one that is accepted.

    That one tells nothing of others, and what does is public from Python 3.13 on alone.
    """
    try:
        chain = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - see above
        told: Mapping[str, Any] = chain[0].get_info()
    except (AttributeError, IndexError, TypeError, ValueError, ssl.SSLError):
        return {}
    return told


def _seconds(time_text: object) -> float | None:
    return ssl.cert_time_to_seconds(time_text) if isinstance(time_text, str) else None


def _ago(seconds: float) -> str:
    return f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (60, "minute")):
        number = int(seconds // unit)
        if number:
            return f"{number} {name}{'s' if number != 1 else ''}"
    return "less than a minute"


def _subject(told: Mapping[str, Any], field: str) -> str:
    parts = {key: value for part in told.get(field, ()) for key, value in part}
    name = parts.get("commonName") or parts.get("organizationName")
    return f" ({_printable(name)})" if name else ""


def _names(told: Mapping[str, Any]) -> str:
    names = [_printable(value) for _, value in told.get("subjectAltName", ())]
    if not names:
        return "no name"
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    return ", ".join(names[:_NAMES_TOLD]) + more


def _printable(value: object) -> str:
    """Return a text of somebody else's as one short line."""
    return str(value).encode("unicode_escape").decode()[:100]
