"""The demo's part about L7: routes whose TLS ends at the proxy, and what passes through them."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from mcproxy.cli.demo.grpc_service import GrpcServer, call
from mcproxy.cli.demo.http import INTERVAL, WebServer, events, get_http2
from mcproxy.cli.demo.site import Visitor
from mcproxy.control.files.certificates import Pair, issue
from mcproxy.errors import McproxyError

_ROUTES = """
[[listeners.routes]]
hostname = "web.localhost"
backend = "127.0.0.1:{web}"
mode = "l7"
tls_cert = "proxy.crt"
tls_key = "proxy.key"

[[listeners.routes.l7_policies]]
type = "block_user_agent"
value = "BadBot"

[[listeners.routes]]
hostname = "grpc.localhost"
backend = "127.0.0.1:{grpc}"
mode = "l7"
tls_cert = "proxy.crt"
tls_key = "proxy.key"
"""


class L7:
    """Two cleartext backends, web and gRPC, and the visits to them.

    Attributes:
        routes: the part of the config file that leads there.
    """

    def __init__(self, folder: Path, ca: Pair, stack: ExitStack) -> None:
        web, grpc = WebServer(), GrpcServer()
        stack.callback(web.close)
        stack.callback(grpc.close)
        self.routes = _ROUTES.format(web=web.port, grpc=grpc.port)
        self._ca = ca.certificate
        pair = issue(ca, ["web.localhost", "grpc.localhost"])
        (folder / "proxy.crt").write_bytes(pair.certificate)
        (folder / "proxy.key").write_bytes(pair.key)

    def visit(self, visitor: Visitor, check: Callable[[str, bool], None]) -> None:
        """Show a page over both versions of HTTP, a policy, an event stream and a gRPC call.

        Args:
            visitor: the client.
            check: takes what to print, and whether it is as it should be.
        """
        for show in (self._pages, self._events, self._call):
            try:
                show(visitor, check)
            except (OSError, McproxyError) as error:
                check(f"{error}", False)

    def _pages(self, visitor: Visitor, check: Callable[[str, bool], None]) -> None:
        expected = f"web answers for web.localhost:{visitor.port} to the client 127.0.0.1"
        answer = visitor.ask("web.localhost")
        check(f"https://web.localhost over HTTP/1.1: {answer}", answer == expected)
        status, answer = get_http2(visitor, "web.localhost")
        check(f"https://web.localhost over HTTP/2: {answer}", (status, answer) == (200, expected))
        status, answer = get_http2(visitor, "web.localhost", agent="BadBot/1.0")
        check(f"the same with the user agent BadBot/1.0: {answer}   (its policy)", status == 403)

    def _events(self, visitor: Visitor, check: Callable[[str, bool], None]) -> None:
        connection = visitor.connect("web.localhost")
        try:
            seen = list(events(connection))
        finally:
            connection.close()
        told = ", ".join(f"{event} after {seconds * 1000:.0f} ms" for seconds, event in seen)
        unbuffered = len(seen) > 1 and seen[-1][0] - seen[0][0] > INTERVAL
        check(f"server-sent events, each as it comes: {told}", unbuffered)

    def _call(self, visitor: Visitor, check: Callable[[str, bool], None]) -> None:
        messages, status, trailers = call("grpc.localhost", visitor.port, self._ca)
        told = f"gRPC, a stream of answers: {', '.join(messages)}; status {status}; trailers {trailers}"
        check(told, (len(messages), status, trailers) == (3, "OK", "greetings: 3"))
