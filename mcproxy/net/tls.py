"""TLS contexts: of routes that terminate TLS, and of backends that are reached through TLS."""

import os
import ssl
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from mcproxy.errors import McproxyError
from mcproxy.late_patterns import late
from mcproxy.net.openssl.door import door
from mcproxy.net.openssl.peer import TlsPeer
from mcproxy.net.pem import layout_fault, without_byte_order_mark
from mcproxy.net.sockets import memory_file

Part: TypeAlias = Literal["certificate", "key", "ca", "crl", "ciphers", "curves", ""]
ALPN_BOTH = ("h2", "http/1.1")
ALPN_CHALLENGE = "acme-tls/1"
"""What a CA offers that looks for the answer to a challenge (RFC 8737), and it alone."""
_BETWEEN_CIPHERS = late(r"[:,; ]")


class TlsError(McproxyError):
    """A certificate, key or CA can't be used; the text says why.

    Attributes:
        part: whose fault it is, "" where that can't be told.
        line: of that file, from 1; 0 where that can't be told.
    """

    def __init__(self, text: str, part: Part = "", line: int = 0) -> None:
        super().__init__(text)
        self.part = part
        self.line = line


class Pair(NamedTuple):
    """A certificate and its key.

    Attributes:
        certificate: PEM, the leaf first, then its chain.
        key: PEM, unencrypted.
    """

    certificate: bytes
    key: bytes


class ServerTls(NamedTuple):
    """All that the context of a route is made of.

    Attributes:
        pairs: its certificates, of different types of key.
        min_version: the oldest version that clients may speak.
        ciphers: of TLS 1.2, in OpenSSL's words; "" for the library's.
        curves: groups for the key exchange, in OpenSSL's words; none for the library's.
        client_auth: whether clients show a certificate.
        client_ca: PEM of the CAs that vouch for clients.
        client_crl: PEM of a CRL of each of them; empty for none.
    """

    pairs: tuple[Pair, ...]
    min_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: str = ""
    curves: tuple[str, ...] = ()
    client_auth: Literal["off", "optional", "require"] = "off"
    client_ca: bytes = b""
    client_crl: bytes = b""


class _TlsServer(TlsPeer):
    """The server's end of TLS, which keeps the alert that a failed handshake ends with: as attribute ``alert`` of the error."""

    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            error.alert = self.outgoing.read()  # type: ignore[attr-defined] # for `alert_of`
            raise


class AlertingContext(ssl.SSLContext):
    """One whose handshakes keep their alert: the event loop closes the connection without sending it."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **keys: Any) -> ssl.SSLObject:
        """Return one end of TLS over two buffers."""
        tls = super().wrap_bio(incoming, outgoing, *args, **keys)
        if isinstance(tls, _TlsServer):
            tls.outgoing = outgoing
        return tls


def alert_of(error: BaseException) -> bytes:
    """Return what is still to be sent to a client whose handshake has failed (RFC 8446 section 6.2); nothing where that is not known."""
    return bytes(getattr(error, "alert", b""))


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """Return the context of a route, with ALPN h2 and http/1.1; one without certificates refuses whoever comes.

    Raises:
        TlsError: a part does not parse, or a certificate and its key are no pair.
    """
    asks = tls.client_auth != "off"
    context = (AlertingContext if asks else ssl.SSLContext)(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN_BOTH)
    context.num_tickets = 1  # of TLS 1.3; OpenSSL's two make a handshake dearer, and a client seldom resumes twice
    for pair in tls.pairs:
        _load_pair(context, pair)
    if tls.ciphers and not _choose_ciphers(context, tls.ciphers):
        raise TlsError(f"no cipher of TLS 1.2 that can be used is called {tls.ciphers}", "ciphers")
    if tls.curves:
        _offer(context, tls.curves)
    if asks:
        _ask_clients(context, tls)
    if (opened := door()) is not None:
        opened.keep_no_sessions(context)
    return context if tls.pairs else _refusing_context()  # whose other parts were tried


def _refusing_context() -> ssl.SSLContext:
    """Return the context of a route that has no certificate yet: it says that the name is not known here (RFC 6066 section 3)."""
    context = AlertingContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _TlsServer
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    return context


def challenge_context(pair: Pair) -> ssl.SSLContext:
    """Return the context that proves to a CA that a name is ours (RFC 8737 section 3); raises `TlsError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN_CHALLENGE])
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    _load_pair(context, pair)
    return context


def unknown_ciphers(ciphers: str) -> tuple[str, ...]:
    """Return the words of a list of ciphers that OpenSSL passes over without a word: of no cipher of TLS 1.2 that can be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    words = (word for word in _BETWEEN_CIPHERS.split(ciphers) if word and word[0] not in "!-+@")
    return tuple(word for word in words if not _choose_ciphers(context, word))


def cipher_keys(ciphers: str) -> frozenset[str]:
    """Return for which types of key a list has ciphers of TLS 1.2: "RSA", "ECDSA"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if not _choose_ciphers(context, ciphers):
        return frozenset()
    found = {cipher["auth"] for cipher in context.get_ciphers()}
    return frozenset(kind for kind in ("RSA", "ECDSA") if f"auth-{kind.lower()}" in found)


def _choose_ciphers(context: ssl.SSLContext, ciphers: str) -> bool:
    """Offer ciphers of TLS 1.2, never without encryption or a certificate (RFC 9325 section 4.1); tell whether there are any."""
    try:
        context.set_ciphers(f"{ciphers}:!eNULL:!aNULL")
    except ssl.SSLError:
        return False
    return True


def _offer(context: ssl.SSLContext, curves: tuple[str, ...]) -> None:
    opened = door()
    if opened is None:
        raise TlsError("curves can't be set with this Python (its log line says why)", "curves")
    if not opened.set_groups(context, curves):
        unknown = [name for name in curves if not opened.set_groups(context, (name,))]
        if unknown:
            raise TlsError(f"{ssl.OPENSSL_VERSION} knows no curve {' or '.join(unknown)}", "curves")
        raise TlsError(f"one of the curves {', '.join(curves)} is named twice", "curves")


def _ask_clients(context: ssl.SSLContext, tls: ServerTls) -> None:
    """Have clients show certificates.

    Sessions are not resumed: whoever is let in is judged now, by the CRL of now (RFC 5246 appendix F.1.4, RFC 8446 section 8.1).
    """
    context.sslobject_class = _TlsServer
    context.verify_mode = ssl.CERT_REQUIRED if tls.client_auth == "require" else ssl.CERT_OPTIONAL
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.options |= ssl.OP_NO_RENEGOTIATION
    _trust(context, tls.client_ca, "ca")
    if tls.client_crl:
        # of every certificate in the chain: an intermediate CA may be revoked, too
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
        _trust(context, tls.client_crl, "crl")


def _trust(context: ssl.SSLContext, pem: bytes, part: Literal["ca", "crl"]) -> None:
    """Load certificates, or revocations of them; through a file, since ssl takes no CRL from memory."""
    descriptor = memory_file(f"mcproxy-{part}", pem)
    try:
        context.load_verify_locations(f"/proc/self/fd/{descriptor}")
    except (ssl.SSLError, OSError) as error:
        line, fault = layout_fault(pem)
        what = "CRL" if part == "crl" else "CA certificate"
        raise TlsError(fault or f"no usable {what}: {error}", part, line) from error
    finally:
        os.close(descriptor)


def _load_pair(context: ssl.SSLContext, pair: Pair) -> None:
    """Have a context show a certificate."""
    certificate, key = pair
    certificate_fd = memory_file("mcproxy-certificate", certificate)
    try:
        key_fd = memory_file("mcproxy-key", key)
        try:
            # An empty password: an encrypted key is an error, never a prompt.
            context.load_cert_chain(f"/proc/self/fd/{certificate_fd}", f"/proc/self/fd/{key_fd}", password="")
        finally:
            os.close(key_fd)
    except (ssl.SSLError, OSError) as error:
        raise _pair_error(error, certificate, key) from error
    finally:
        os.close(certificate_fd)


def client_context(ca: bytes, protocols: Sequence[str], own: Pair | None = None) -> ssl.SSLContext:
    """Return the context for a backend, which must have a valid certificate for its name.

    Args:
        ca: PEM certificates that are trusted instead of the system's; empty for the system's.
        protocols: what to offer by ALPN.
        own: the certificate that is shown to the backend if it asks for one.

    Raises:
        TlsError: ``ca`` holds no certificate, or one that can't be read; or ``own`` is no pair.
    """
    # Comments between the certificates may be in any language; ssl takes ASCII alone.
    text = without_byte_order_mark(ca).decode("ascii", "replace").replace("\ufffd", "?")
    try:
        context = ssl.create_default_context(cadata=text if ca else None)
    except (ssl.SSLError, ValueError) as error:
        line, fault = layout_fault(ca)
        raise TlsError(fault or f"no usable CA certificate: {error}", "ca", line) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    if own is not None:
        _load_pair(context, own)
    return context


def _pair_error(error: Exception, certificate: bytes, key: bytes) -> TlsError:
    """Return what is to be told of a pair that OpenSSL refuses."""
    line, fault = layout_fault(certificate)
    if fault:
        return TlsError(fault, "certificate", line)
    line, fault = layout_fault(key)
    return TlsError(fault, "key", line) if fault else TlsError(_reason(error))


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    match reason:
        case "KEY_VALUES_MISMATCH":
            return "certificate and key do not belong together"
        case "NO_START_LINE" | None:
            return f"no PEM certificate or key: {error}"
        case "BAD_DECRYPT" | "BAD_PASSWORD_READ":
            return "the key is encrypted; store it unencrypted, readable by mcproxy alone"
        case _:
            return str(reason).lower().replace("_", " ")
