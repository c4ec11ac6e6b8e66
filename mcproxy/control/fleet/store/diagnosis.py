"""Why a member of the store can't be reached: asked of the system, because gRPC's own words tell an operator little."""

import socket
import ssl

from mcproxy.control.fleet.store.target import Target

_TIMEOUT = 1.0  # seconds that each step may take


def diagnose(target: Target, endpoint: str) -> str:
    """Return what stands in the way of a connection to a member, "" if nothing does. It takes some seconds at most."""
    host, _, port = endpoint.rpartition(":")
    name = host.strip("[]")
    try:
        with socket.create_connection((name, int(port)), _TIMEOUT) as connection:
            return _try_tls(target, name, connection) if target.ca else _try_plain(connection)
    except OSError as error:
        return _reason(error)


def _try_plain(connection: socket.socket) -> str:
    """Ask a member in clear whether it is one."""
    connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
    if connection.recv(5) == b"HTTP/":
        return ""
    return "it does not speak in clear: does it want TLS? [fleet] ca, cert and key are for that"


def _try_tls(target: Target, name: str, connection: socket.socket) -> str:
    """Greet a member as gRPC does; raises OSError for what is no matter of TLS."""
    files = ", ".join(path for path in (target.ca, target.cert, target.key) if path)
    try:
        context = ssl.create_default_context(cafile=target.ca)
        if target.cert:
            context.load_cert_chain(target.cert, target.key)
    except ssl.SSLError as error:
        return f"{files} are not what TLS needs: {_reason(error)}"
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection, server_hostname=name) as probe:
            # A member that refuses the client says so after the handshake; else it speaks first, as HTTP/2 has it.
            refused = "" if probe.recv(1) else "it ends the connection"
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}; is {target.ca} its CA?"
    except ssl.SSLEOFError:
        return "it ends the connection in the TLS handshake: does it speak TLS?"
    except ssl.SSLError as error:
        refused = _reason(error)
        if "wrong version number" in refused or "record layer" in refused:
            return "it does not speak TLS"
    if refused:
        shown = f"the certificate {target.cert}" if target.cert else "a client without a certificate"
        return f"it refuses {shown}: {refused}; is it signed by the CA that the store trusts (trusted-ca-file)?"
    return ""


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(getattr(error, "reason", "") or error.strerror or error).lower().replace("_", " ")
