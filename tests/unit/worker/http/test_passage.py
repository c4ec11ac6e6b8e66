"""Requests of routes with cases and filters, from the client's connection to the pool of a backend, and back."""

from collections.abc import Mapping

import pytest

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory import sparse_counters
from mcproxy.worker.http.h1_session import H1Session
from mcproxy.worker.http.session import Session
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide
from tests.support.fake_worker import FakeWorker
from tests.support.scoped_routes import ScopedRoute

OWN, OTHER = "192.0.2.1:80", "192.0.2.2:80"


class Talk:
    """A client of HTTP/1.1, the route that it has come to, and what has come of its requests."""

    def __init__(
        self,
        route: str = "",
        filters: str = "",
        *,
        files: Mapping[str, bytes] | None = None,
        backend: str = OWN,
    ) -> None:
        self.worker = FakeWorker()
        self.wire = self.worker.wire
        self.scoped = ScopedRoute(self.worker, route, filters, files=files, backend=backend)
        self.bucket = 0
        self.ended = False
        arrival = self.worker.arrival(self.scoped.listener, self.scoped.route, "a.example")
        self.session: Session = H1Session(self.worker.sessions, self, arrival)
        self.client = self.wire.attach(self.session, "client", tls=True)
        self.backend = FakeSide()

    def on_session_end(self) -> None:
        self.ended = True

    def on_fault(self) -> None:
        raise AssertionError("the session's time limits have failed")

    def on_deadline(self, now: float) -> float | None:
        at = self.session.check(now)
        return None if self.ended or at == float("inf") else at

    def asks(self, line: str, *fields: str, body: str = "") -> None:
        """Send a request; with a body that has no length yet where a field says so."""
        self.client.sends("\r\n".join((f"{line} HTTP/1.1", "host: a.example", *fields, "", body)).encode())

    def came(self, address: str = OWN) -> Exchange:
        """Return the one request that has come to an address, and let the backend there have it."""
        (exchange,) = self.scoped.pools[address].acquired
        self.scoped.pools[address].acquired.clear()
        exchange.attach(self.backend, 1)
        return exchange

    def nowhere(self) -> bool:
        """Tell whether no backend has got anything."""
        return not any(pool.acquired for pool in self.scoped.pools.values())

    def answered(self) -> tuple[str, dict[str, str], str]:
        """Return status, fields and body of what the client has got."""
        head, _, body = self.client.takes().decode().partition("\r\n\r\n")
        line, *fields = head.split("\r\n")
        return line.split(" ")[1], dict(field.split(": ", 1) for field in fields), body

    def answers(self, exchange: Exchange, status: int = 200, *fields: tuple[bytes, bytes]) -> dict[str, str]:
        """Have the backend answer without a body; return the fields that the client gets."""
        exchange.on_response(status, [*fields, (b"content-length", b"0")], self.wire.now, end=True)
        self.wire.settle()
        told, headers, _ = self.answered()
        assert told == str(status)
        return headers

    def logged(self) -> dict[str, object]:
        """Return what the last line of the access log says of case and filter."""
        told = self.worker.log.told[-1]
        return {name: told[name] for name in ("status", "reason", "case", "by")}

    def counted(self, kind: str, name: str) -> int:
        words = self.worker.sparse_words
        found = sparse_counters.read([sparse_counters.counters_in(words)], sparse_counters.COUNTERS).values
        return sum(found.get(sparse_counters.key(0, kind, name), ()))


def sent(exchange: Exchange) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in exchange.head.headers}


# Where requests go


def test_a_case_has_a_backend_of_its_own() -> None:
    """The others go where those of the route go; what a case without an action matches, too."""
    talk = Talk(
        """cases = [
            { match = "/api/*", backend = "192.0.2.2:80" },
            { match = "/docs/*", filter = { max_body = "1B" } },
        ]"""
    )
    for path, address, case in (("/api/x", OTHER, "/api/*"), ("/apis", OWN, ""), ("/docs", OWN, "/docs/*")):
        talk.asks(f"GET {path}")
        talk.answers(talk.came(address))
        assert talk.logged() == {"status": 200, "reason": "complete", "case": case, "by": ""}
    assert talk.counted("case", "/api/*") == 1
    assert talk.counted("case", "/docs/*") == 1


def test_conditions_are_met_by_what_the_client_sends() -> None:
    """Method, query and headers; the case with more of them comes first."""
    talk = Talk(
        """cases = [
            { match = "/a", respond = "any" },
            { match = "POST /a", respond = "post" },
            { match = "/a", headers = { X-Env = "prod" }, respond = "prod" },
            { match = "/a", query = { v = "2" }, respond = "v2" },
        ]"""
    )
    for line, fields, said in (
        ("GET /a", (), "any"),
        ("POST /a", ("content-length: 0",), "post"),
        ("GET /a", ("x-env: prod",), "prod"),
        ("GET /a?v=2", (), "v2"),
    ):
        talk.asks(line, *fields)
        assert talk.answered()[2] == said
    assert talk.nowhere()


def test_own_answers_of_cases() -> None:
    """Redirects, texts and files; the headers of filters are on them, and an error page never stands for them."""
    talk = Talk(
        """
        filter = { set_response_headers = { X-By = "{path}" }, error_pages = { "5xx" = "sorry.html" } }
        cases = [
            { match = "/old/*", redirect = "/new{uri}", status = 301 },
            { match = "/closed", respond = { file = "closed.html", type = "text/html" }, status = 503 },
        ]""",
        files={"closed.html": b"<p>closed</p>", "sorry.html": b"sorry"},
    )
    talk.asks("GET /old/a?b=c")
    assert talk.answered() == ("301", {"location": "/new/old/a?b=c", "content-length": "0", "x-by": "/old/a"}, "")
    talk.asks("HEAD /closed")
    fields = {"content-type": "text/html", "content-length": "13", "x-by": "/closed"}
    assert talk.answered() == ("503", fields, "")
    talk.asks("GET /closed")
    assert talk.answered() == ("503", fields, "<p>closed</p>")
    assert talk.logged() == {"status": 503, "reason": "complete", "case": "/closed", "by": ""}


def test_a_route_without_an_action_has_nothing_but_its_cases() -> None:
    """What none of them matches is not found."""
    talk = Talk('cases = [{ match = "/a", respond = "a" }]', backend="")
    talk.asks("GET /a")
    assert talk.answered()[2] == "a"
    talk.asks("GET /b")
    assert talk.answered()[0] == "404"
    assert talk.logged()["reason"] == "no_case"


def test_a_path_that_belongs_to_two_cases_is_refused() -> None:
    """The log says between which; where all readings belong to one case, its guard decides."""
    talk = Talk('cases = [{ match = "/admin/*", filter = { require_headers = ["X-Token"] } }]')
    for path in ("/%61dmin/x", "//admin", "/x/../admin", "/admin;x=1/y"):
        talk.asks(f"GET {path}")
        assert talk.answered()[0] == "400"
        assert talk.logged()["reason"] == "ambiguous_path"
        assert "/admin/*" in talk.worker.log.told[-1]["detail"]
    assert talk.counted("case", "(ambiguous)") == 4
    talk.asks("GET /admin//x")
    assert talk.answered()[0] == "403"
    assert talk.logged() == {"status": 403, "reason": "require_header", "case": "/admin/*", "by": "(case)"}
    assert talk.counted("allow", "(case)") == 1
    assert talk.nowhere()


# What the backend gets


def test_rewrites_and_headers() -> None:
    """The log and the forwarding fields keep what the client has said; variables stand for that, too."""
    talk = Talk(
        """
        [[listeners.routes.cases]]
        match = "/api/*"
        [listeners.routes.cases.filter]
        rewrite = { from = "/api", to = "/v2" }
        rewrite_host = "inside.example:81"
        set_request_headers = { X-Path = "{path}", X-Client = "{client_ip}" }
        add_request_headers = { Via = "edge" }
        remove_request_headers = ["X-Secret"]
        """
    )
    talk.asks("GET /api/x?y=1", "x_secret: 1", "x-client: forged", "via: 1.1 a")
    exchange = talk.came()
    assert (exchange.head.path, exchange.head.authority) == (b"/v2/x?y=1", b"inside.example:81")
    assert sent(exchange) == {"via": "edge", "x-path": "/api/x", "x-client": "192.0.2.1"}
    assert [value for name, value in exchange.head.headers if name == b"via"] == [b"1.1 a", b"edge"]
    assert dict(exchange.forwarding)[b"x-forwarded-host"] == b"a.example"
    talk.answers(exchange)
    head = talk.worker.log.told[-1]["head"]
    assert (head.path, head.authority) == (b"/api/x?y=1", b"a.example")


def test_a_rewritten_path_does_not_lead_elsewhere() -> None:
    """What is behind the beginning could be read as climbing out of what stands there now."""
    talk = Talk('filter = { rewrite = { from = "/api", to = "/public" } }')
    talk.asks("GET /api/..;/admin")
    assert talk.answered()[0] == "400"
    assert talk.logged()["reason"] == "ambiguous_path"
    assert talk.counted("case", "(ambiguous)") == 1
    assert talk.nowhere()


def test_what_all_answers_of_a_route_have_has_also_one_to_an_ambiguous_path() -> None:
    """It belongs to no case, but to its route."""
    talk = Talk(
        """
        cases = [{ match = "/admin/*", filter = { require_headers = ["X-Token"], set_response_headers = { X-Case = "1" } } }]
        filter = { set_response_headers = { X-Frame-Options = "DENY" }, error_pages = { "400" = "odd.html" } }
        """,
        files={"odd.html": b"<p>odd"},
    )
    talk.asks("GET //admin")
    status, fields, body = talk.answered()
    assert (status, fields["x-frame-options"], body) == ("400", "DENY", "<p>odd")
    assert "x-case" not in fields


def test_a_password_is_asked_for_before_another_server_is() -> None:
    """Whatever the names and places of the filters: that server gets no question from who has none."""
    talk = Talk(
        'use = ["a"]\ncases = [{ match = "/x", use = ["b"] }]',
        '[filters.a]\nforward_auth = { backend = "192.0.2.9:80" }\n[filters.b]\nbasic_auth = "users"\n',
        files={"users": b"anna:$2b$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy\n"},
    )
    talk.asks("GET /x")
    assert talk.answered()[0] == "401"
    assert talk.logged() == {"status": 401, "reason": "basic_auth", "case": "/x", "by": "b"}
    assert talk.nowhere()
    talk.asks("GET /y")
    assert talk.scoped.pools["192.0.2.9:80"].acquired


def test_trailers_lose_what_heads_lose() -> None:
    """A field that a filter sets or removes does not come in behind the body."""
    talk = Talk('filter = { set_request_headers = { X-User = "nobody" } }')
    talk.asks("POST /", "transfer-encoding: chunked")
    talk.came()
    talk.client.sends(b"0\r\nX.User: admin\r\nx-sum: 1\r\n\r\n")
    assert talk.backend.heard() == ["trailers x-sum"]


def test_websockets_are_rewritten_and_never_too_long() -> None:
    """Their bytes are no body of a request."""
    talk = Talk('filter = { rewrite = { from = "/ws", to = "/" }, max_body = "1B" }')
    talk.asks(
        *("GET /ws/chat", "connection: upgrade", "upgrade: websocket"),
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    exchange = talk.came()
    assert (exchange.head.path, exchange.head.websocket) == (b"/chat", True)
    exchange.on_response(101, [(b"sec-websocket-accept", b"x")], talk.wire.now, end=False)
    talk.client.sends(b"x" * 100)
    assert "send 100" in talk.backend.heard()


# What the client gets


def test_headers_of_every_answer() -> None:
    """Of backends, and of the proxy itself."""
    talk = Talk('filter = { set_response_headers = { Server = "edge" }, remove_response_headers = ["X-Powered-By"] }')
    talk.asks("GET /")
    fields = talk.answers(talk.came(), 200, (b"server", b"nginx"), (b"x-powered-by", b"php"))
    assert fields == {"server": "edge", "content-length": "0"}
    talk.asks("GET /")
    talk.came().on_unreached(502, Failure("backend_refused"))
    talk.wire.settle()
    assert talk.answered()[1]["server"] == "edge"


def test_error_pages() -> None:
    """For the proxy's own errors; for those of the backend where that is asked for, without what said something of its body."""
    pages = 'filter = { error_pages = { "502-504" = "sorry.html", "4xx" = "no.json" }, backend_errors = %s }'
    files = {"sorry.html": b"<p>sorry</p>", "no.json": b"{}"}
    talk = Talk(pages % "false", files=files)
    talk.asks("GET /")
    talk.came().on_unreached(502, Failure("backend_refused"))
    talk.wire.settle()
    html = {"content-type": "text/html; charset=utf-8", "content-length": "12"}
    status, fields, body = talk.answered()
    assert len(fields.pop("x-request-id")) == 16
    assert (status, fields, body) == ("502", html, "<p>sorry</p>")
    talk.asks("GET /")
    assert talk.answers(talk.came(), 503) == {"content-length": "0"}

    talk = Talk(pages % "true", files=files)
    talk.asks("GET /")
    exchange = talk.came()
    about = [(b"content-encoding", b"gzip"), (b"etag", b'"x"'), (b"content-length", b"5"), (b"retry-after", b"9")]
    exchange.on_response(404, about, talk.wire.now, end=False)
    talk.wire.settle()
    status, fields, body = talk.answered()
    assert len(fields.pop("x-request-id")) == 16
    assert fields == {"retry-after": "9", "content-type": "application/json", "content-length": "2"}
    assert (status, body) == ("404", "{}")
    talk.asks("GET /")
    assert talk.answers(talk.came(), 500) == {"content-length": "0"}


def test_errors_tell_the_id_of_their_request() -> None:
    """In a field, in the text, and where a page asks for it; it is the one that the backend has got, and that is kept with the reason."""
    files = {"sorry.html": b"<p>{request_id}: call us, and say {request_id}</p>"}
    talk = Talk(
        'filter = { error_pages = { "502" = "sorry.html", "404" = "sorry.html" }, backend_errors = true }', files=files
    )
    for status, backend in ((502, False), (404, True), (504, False)):
        talk.asks("GET /x?y")
        exchange = talk.came()
        number = dict(exchange.forwarding)[b"x-request-id"].decode()
        if backend:
            exchange.on_response(status, [(b"content-length", b"0")], talk.wire.now, end=True)
        else:
            exchange.on_unreached(status, Failure("backend_refused", "connection refused", "192.0.2.1:80"))
        talk.wire.settle()
        told, fields, body = talk.answered()
        text = f"504 Gateway Timeout\nrequest id: {number}\n"
        page = f"<p>{number}: call us, and say {number}</p>"
        assert (told, fields["x-request-id"], body) == (str(status), number, text if status == 504 else page)
        assert fields["content-length"] == str(len(body))
        kept = list(talk.worker.refusals.find(number, b""))
        assert [(each.reason, each.path, each.status) for each in kept] == (
            [] if backend else [("backend_refused", "/x", status)]
        )


def test_grpc_has_no_pages() -> None:
    """Its errors are fields."""
    talk = Talk(
        'filter = { error_pages = { "5xx" = "sorry.html" }, backend_errors = true }', files={"sorry.html": b"x"}
    )
    talk.asks("POST /S/M", "content-type: application/grpc", "content-length: 0")
    talk.came().on_unreached(502, Failure("backend_refused"))
    talk.wire.settle()
    status, fields, body = talk.answered()
    assert (status, fields["grpc-status"], body) == ("200", "14", "")
    assert len(fields["x-request-id"]) == 16
    talk.asks("POST /S/M", "content-type: application/grpc", "content-length: 0")
    assert talk.answers(talk.came(), 503) == {"content-length": "0"}


def test_what_browsers_ask_beforehand() -> None:
    """Answered here, before bodies and users are asked for; the actual response says who may read it."""
    talk = Talk(
        'filter = { cors = { origins = ["https://ui.example"], methods = ["PUT"], credentials = true }, max_body = "1B" }'
    )
    preflight = "OPTIONS /", "origin: https://ui.example", "access-control-request-method: PUT"
    talk.asks(*preflight)
    status, fields, _ = talk.answered()
    assert (status, fields["access-control-allow-origin"]) == ("204", "https://ui.example")
    assert talk.nowhere()
    talk.asks("GET /", "origin: https://ui.example")
    fields = talk.answers(talk.came(), 200, (b"access-control-allow-origin", b"*"))
    assert fields["access-control-allow-origin"] == "https://ui.example"
    assert fields["vary"] == "Origin"


# Limits


@pytest.mark.parametrize("length", ["11", "999999999999"])
def test_a_body_that_is_announced_too_long(length: str) -> None:
    """No backend hears of it."""
    talk = Talk('filter = { max_body = "10B" }')
    talk.asks("POST /", f"content-length: {length}")
    assert talk.answered()[0] == "413"
    assert talk.logged() == {"status": 413, "reason": "body_too_large", "case": "", "by": "(route)"}
    assert talk.counted("body", "(route)") == 1
    assert talk.nowhere()


def test_a_body_that_grows_too_long() -> None:
    """The backend that has its beginning gets a reset."""
    talk = Talk('filter = { max_body = "10B" }')
    talk.asks("POST /", "transfer-encoding: chunked", body="a\r\n0123456789\r\n")
    talk.came()
    assert "send 0123456789" in talk.backend.heard()
    talk.client.sends(b"1\r\nx\r\n")
    assert talk.backend.heard() == ["reset 8"]
    assert talk.answered()[0] == "413"
    assert talk.logged() == {"status": 413, "reason": "body_too_large", "case": "", "by": "(route)"}
    assert talk.counted("body", "(route)") == 1


def test_the_smallest_limit_counts() -> None:
    """Guards add up: a case can't lift what its route says."""
    talk = Talk(
        'filter = { max_body = "10B" }\ncases = [{ match = "/big", filter = { max_body = "1MiB" } }]',
    )
    talk.asks("POST /big", "content-length: 11")
    assert talk.answered()[0] == "413"


def test_the_time_for_an_answer() -> None:
    """From the request on, whoever lets it wait; once the answer has begun it may take as long as it likes."""
    talk = Talk(
        'filter = { request_timeout = "3s" }\ncases = [{ match = "/slow", filter = { request_timeout = "0s" } }]'
    )
    talk.asks("GET /")
    talk.came()
    talk.wire.pass_time(2)
    assert talk.client.takes() == b""
    talk.wire.pass_time(2)
    assert talk.answered()[0] == "504"
    assert talk.logged()["reason"] == "response_timeout"
    talk.asks("GET /slow")
    talk.came()
    talk.wire.pass_time(20)
    assert talk.client.takes() == b""


def test_an_answer_that_has_begun_has_all_the_time() -> None:
    """What counts from then on is that something moves."""
    talk = Talk('filter = { request_timeout = "3s", idle_timeout = "8s" }')
    talk.asks("GET /")
    exchange = talk.came()
    exchange.on_response(200, [], talk.wire.now, end=False)
    talk.wire.pass_time(6)
    assert not exchange.over
    talk.wire.pass_time(4)
    assert exchange.reason == "response_timeout"


# Changes


def test_the_next_request_follows_a_filter_that_changes() -> None:
    """On open connections; what is under way keeps what it began with."""
    filters = "[filters.public]\nset_response_headers = { X-Version = %r }"
    talk = Talk('use = ["public"]', filters % "1")
    route = talk.scoped.route
    talk.asks("GET /")
    exchange = talk.came()
    talk.scoped.update('use = ["public"]', filters % "2")
    assert talk.scoped.route is route, "the route has not changed"
    assert talk.answers(exchange)["x-version"] == "1"
    talk.asks("GET /")
    assert talk.answers(talk.came())["x-version"] == "2"


def test_scopes_are_shared() -> None:
    """Routes with the same filters have the same object, over reloads that change none of these."""
    talk = Talk('use = ["a"]\ncases = [{ match = "/x" , backend = "192.0.2.2:80" }]', "[filters.a]\nmax_body = '1B'")
    route = talk.scoped.route
    assert route.cases is not None
    scope = route.scope
    assert route.cases.all[0].scope is scope
    talk.scoped.update(
        'use = ["a"]\ncases = [{ match = "/y" , backend = "192.0.2.2:80" }]', "[filters.a]\nmax_body = '1B'"
    )
    assert talk.scoped.route is not route
    assert talk.scoped.route.scope is scope
