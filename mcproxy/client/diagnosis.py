"""Why a server can't be reached: asked of the system, because gRPC's own words tell an operator little."""

import socket
import ssl

from mcproxy.client.errors import ClientError, PermissionDeniedError, UnavailableError
from mcproxy.client.target import Target

_TIMEOUT = 2.0  # seconds that each step may take


def diagnose(target: Target, details: str) -> ClientError:
    """Return what to tell the operator when a call found no server, or the server was not able to serve it.

    Args:
        target: the server.
        details: what gRPC says: its own reason, or the server's; counts when the server can be reached.
    """
    try:
        if target.socket:
            _try_socket(target.socket)
        else:
            _try_tls(target)
    except ClientError as error:
        return error
    except OSError as error:
        return UnavailableError(f"no mcproxy answers at {target.addr}: is it running? ({error.strerror or error})")
    return UnavailableError(f"mcproxy at {target.addr}: {details}")


def _try_socket(path: str) -> None:
    """Connect to a Unix socket; raises OSError, or ClientError for what has a better text."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT)
            probe.connect(path)
    except PermissionError:
        raise PermissionDeniedError(
            f"{path} can't be opened by this user: permission denied; grpc.socket_mode and the folders above it say who may"
        ) from None
    except FileNotFoundError:
        raise UnavailableError(
            f"no mcproxy answers at unix:{path}: is it running? There is no such socket; --addr or --config name another"
        ) from None


def _try_tls(target: Target) -> None:
    """Greet a server over TCP as gRPC does; raises OSError, or ClientError for what has a better text."""
    host, _, port = target.addr.rpartition(":")
    name = host.strip("[]")
    try:
        context = ssl.create_default_context(cafile=target.ca)
        context.load_cert_chain(target.cert, target.key)
    except ssl.SSLError as error:
        files = f"{target.ca}, {target.cert} and {target.key}"
        raise UnavailableError(f"{files} are not what TLS needs: {_reason(error)}") from None
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((name, int(port)), _TIMEOUT) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=name) as probe:
                # A server that refuses the client ends the connection after the handshake; else HTTP/2 begins with a frame.
                refused = "" if probe.recv(1) else "it ends the connection"
        except ssl.SSLCertVerificationError as error:
            raise UnavailableError(
                f"the certificate of {target.addr} is not trusted: {error.verify_message}; is {target.ca} its CA?"
            ) from None
        except (ssl.SSLError, ConnectionError) as error:
            refused = _reason(error)
    if refused:
        raise PermissionDeniedError(
            f"{target.addr} refuses TLS with {target.cert}: {refused}; is it signed by grpc.client_ca?"
        )


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", "") or error.strerror or error).lower().replace("_", " ")
