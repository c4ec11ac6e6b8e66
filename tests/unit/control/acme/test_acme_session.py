"""What a directory tells, by a scripted one: windows of renewal, what an order replaces, Retry-After, nonsense."""

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from mcproxy.control.acme import keys
from mcproxy.control.acme.folder import Folder
from mcproxy.control.acme.interface import AcmeError, Bundle, Challenge, StoppedError, Terms
from mcproxy.control.acme.jobs import Jobs, Notes
from mcproxy.control.acme.manager import Manager
from mcproxy.control.acme.ordering import Solver
from mcproxy.control.acme.session import RefusedError, Session
from mcproxy.control.acme.told import facts_of
from mcproxy.control.files.certificates import issue, make_ca
from mcproxy.policy.acme.record import Record
from tests.support.pebble import MemoryStore, TestClock, until


class Scripted:
    """A directory whose answers are set by path; POSTs are kept, decoded."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Any], tuple[int, dict[str, str], object]]] = {}
        self.posts: list[tuple[str, Any, Any]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._reply(200, {}, b"")

            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                payload, protected = (_decoded(message[part]) for part in ("payload", "protected"))
                scripted.posts.append((self.path, payload, protected))
                self._answer(payload)

            def _answer(self, payload: Any) -> None:
                status, fields, content = scripted.answers.get(self.path, lambda _: (404, {}, {"type": "x:notFound"}))(
                    payload
                )
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self._reply(status, fields, body)

            def _reply(self, status: int, fields: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {"Replay-Nonce": "bm9uY2U", "Content-Type": "application/json", **fields}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.directory: dict[str, object] = {
            **{name: f"{self.url}/{name}" for name in ("newNonce", "newAccount", "newOrder", "renewalInfo")}
        }
        self.answers["/dir"] = lambda _: (200, {}, self.directory)
        self.answers["/newAccount"] = lambda _: (201, {"Location": f"{self.url}/account"}, {"status": "valid"})
        self.answers["/newOrder"] = lambda _: (201, {"Location": f"{self.url}/order"}, self.order())

    def order(self, **changes: object) -> dict[str, object]:
        order = {"status": "pending", "finalize": f"{self.url}/f", "authorizations": [f"{self.url}/authz"]}
        return {**order, "identifiers": [{"type": "dns", "value": "a.test"}], **changes}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _decoded(part: str) -> Any:
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return json.loads(data) if data else None


@pytest.fixture
def ca() -> Iterator[Scripted]:
    found = Scripted()
    yield found
    found.close()


@pytest.fixture
def session(ca: Scripted, tmp_path: Path) -> Iterator[Session]:
    found = Session(
        Terms(folder=tmp_path, directory=f"{ca.url}/dir", profile="short", email="a@b.test"),
        keys.new_key(),
        threading.Event(),
    )
    found.open()
    found.register()
    yield found
    found.close()


@pytest.fixture(scope="module")
def chain() -> bytes:
    return issue(make_ca("test"), ("a.test",)).certificate


def test_the_window_is_asked_for_by_the_certificate(ca: Scripted, session: Session, chain: bytes) -> None:
    """By its authority's key and its serial; Retry-After says when to ask again."""
    name = keys.certificate_id(chain)
    assert name.count(".") == 1
    window = {"suggestedWindow": {"start": "2027-01-02T00:00:00Z", "end": "2027-01-03T01:00:00.5+01:00"}}
    ca.answers[f"/renewalInfo/{name}"] = lambda _: (200, {"Retry-After": "21600"}, window)
    assert session.renewal_window(name) == (1798848000.0, 1798934400.5)
    assert session.retry_after == 21600


def test_without_renewal_info_there_is_no_window(ca: Scripted, session: Session, chain: bytes) -> None:
    """Nothing is asked then."""
    del ca.directory["renewalInfo"]
    session.open()
    assert not session.tells_renewal
    assert session.renewal_window(keys.certificate_id(chain)) is None


def test_an_order_says_what_it_replaces_and_of_which_profile_it_is(ca: Scripted, session: Session) -> None:
    """Neither is sent where there is none."""
    assert session.new_order(("a.test",), "aki.serial").url == f"{ca.url}/order"
    session.new_order(("a.test",))
    (_, first, _), (_, second, _) = ca.posts[-2:]
    assert (first["replaces"], first["profile"]) == ("aki.serial", "short")
    assert "replaces" not in second
    assert first["identifiers"] == [{"type": "dns", "value": "a.test"}]


@pytest.mark.parametrize("status", [400, 409])
def test_an_order_is_made_though_the_ca_does_not_want_what_it_replaces(
    ca: Scripted, session: Session, status: int
) -> None:
    """Some other order has replaced it already."""

    def answer(payload: Any) -> tuple[int, dict[str, str], object]:
        if "replaces" in payload:
            return status, {}, {"type": "urn:ietf:params:acme:error:alreadyReplaced", "detail": "again"}
        return 201, {"Location": f"{ca.url}/order"}, ca.order()

    ca.answers["/newOrder"] = answer
    assert session.new_order(("a.test",), "aki.serial").status == "pending"


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("120", 120, 120),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 604800, 604800),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("9" * 400, 0, 604800),
    ],
)
def test_how_long_to_wait_is_told_with_the_refusal(
    ca: Scripted, session: Session, field: str, low: float, high: float
) -> None:
    """Seconds or a date, a week at most; what is neither says nothing."""
    refusal = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"}
    ca.answers["/newOrder"] = lambda _: (429, {"Retry-After": field}, refusal)
    with pytest.raises(RefusedError, match="too many certificates") as caught:
        session.new_order(("a.test",))
    assert low <= caught.value.retry_after <= high


def test_a_nonce_that_is_refused_again_and_again_ends(ca: Scripted, session: Session) -> None:
    """The CA's word is told."""
    ca.answers["/newOrder"] = lambda _: (400, {}, {"type": "urn:ietf:params:acme:error:badNonce", "detail": "no nonce"})
    before = len(ca.posts)
    with pytest.raises(RefusedError, match="no nonce"):
        session.new_order(("a.test",))
    assert 2 < len(ca.posts) - before < 20


def test_subproblems_name_what_they_are_about(ca: Scripted, session: Session) -> None:
    """A CA refuses an order for one of its names (RFC 8555 section 6.7.1)."""
    one = {
        "type": "urn:ietf:params:acme:error:caa",
        "detail": "CAA forbids",
        "identifier": {"type": "dns", "value": "b.test"},
    }
    refusal = {"type": "urn:ietf:params:acme:error:compound", "detail": "several", "subproblems": [one]}
    ca.answers["/newOrder"] = lambda _: (403, {}, refusal)
    with pytest.raises(RefusedError, match=r"several; b\.test: CAA forbids"):
        session.new_order(("a.test",))


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"status": 3}',
        b'{"status":"valid","finalize":"x","identifiers":[],"authorizations":[]}',
    ],
)
def test_nonsense_is_told_as_what_it_is(ca: Scripted, session: Session, content: bytes) -> None:
    """Never more than a failed order."""
    ca.answers["/newOrder"] = lambda _: (201, {"Location": f"{ca.url}/order"}, content)
    with pytest.raises(AcmeError, match=r"127\.0\.0\.1"):
        session.new_order(("a.test",))
    ca.answers["/dir"] = lambda _: (200, {}, content)
    with pytest.raises(AcmeError, match=r"127\.0\.0\.1"):
        session.open()


@pytest.mark.parametrize(
    "token", ["../../../etc/passwd", "a" * 15, "a" * 513, "tokentokentoken\r\nX: y", "tokentokentoken%2f"]
)
def test_a_token_that_is_none_is_not_used(ca: Scripted, session: Session, token: str) -> None:
    """It becomes a part of a path."""
    offers = [{"type": "http-01", "url": f"{ca.url}/c", "token": token}]
    authorization = {"identifier": {"type": "dns", "value": "a.test"}, "status": "pending", "challenges": offers}
    ca.answers["/authz"] = lambda _: (200, {}, authorization)
    with pytest.raises(AcmeError, match="token"):
        session.authorization(f"{ca.url}/authz")


def test_the_account_is_asked_for_with_its_key_and_named_by_its_url_then(ca: Scripted, session: Session) -> None:
    """RFC 8555 section 6.2: jwk for newAccount, kid for all else; ES256."""
    session.new_order(("a.test",))
    (account, body, first), (_, _, second) = ca.posts[0], ca.posts[-1]
    assert account == "/newAccount"
    assert body["contact"] == ["mailto:a@b.test"]
    assert first["alg"] == second["alg"] == "ES256"
    assert "jwk" in first
    assert second["kid"] == f"{ca.url}/account"


class _Outside:
    def __init__(self) -> None:
        self.told: list[str] = []

    async def publish(self, challenges: Sequence[Challenge]) -> None:
        raise AssertionError(challenges)

    async def withdraw(self, challenges: Sequence[Challenge]) -> None:
        raise AssertionError(challenges)

    async def install(self, name: str, bundle: Bundle) -> None:
        raise AssertionError(name)

    def tell(self, name: str, message: str) -> None:
        self.told.append(message)


def manager(ca: Scripted, folder: Path, store: MemoryStore, outside: _Outside) -> Manager:
    return Manager(Terms(folder=folder, directory=f"{ca.url}/dir"), store, outside, TestClock())


def test_an_order_that_is_stopped_is_gone_on_with_at_once(ca: Scripted, tmp_path: Path) -> None:
    """The CA works on it as control ends: that is no failure, and the next control asks for the same order."""
    asked = threading.Event()
    store, outside = MemoryStore(), _Outside()

    def processing(_: Any) -> tuple[int, dict[str, str], object]:
        asked.set()
        return 200, {"Retry-After": "60"}, ca.order(status="processing")

    ca.answers["/newOrder"] = lambda _: (201, {"Location": f"{ca.url}/order"}, ca.order(status="processing"))
    ca.answers["/order"] = processing

    async def run() -> None:
        one = manager(ca, tmp_path, store, outside)
        await one.start()
        await one.want({"a.test": []})
        running = asyncio.create_task(one.run())
        await until(asked.is_set)
        await one.stop()
        await running

    asyncio.run(run())
    record = store.saved["a.test"]
    assert (record.state, record.url, record.failures, record.next_try) == ("ordering", f"{ca.url}/order", 0, 0.0)
    asked.clear()
    asyncio.run(run())
    assert [path for path, _, _ in ca.posts].count("/newOrder") == 1
    assert store.saved["a.test"].failures == 0
    assert outside.told == []


def test_a_ca_that_fails_in_mid_order_is_asked_about_the_same_order_later(ca: Scripted, tmp_path: Path) -> None:
    """A status 500 with no more to it says nothing about the order, which is kept; Retry-After is obeyed."""
    store, outside = MemoryStore(), _Outside()
    ca.answers["/authz"] = lambda _: (503, {"Retry-After": "7200"}, b"down")

    async def run() -> None:
        one = manager(ca, tmp_path, store, outside)
        await one.start()
        await one.want({"a.test": []})
        one.turn()
        await one.settled()
        told.extend(facts.ordering for facts in facts_of(one.status()))

    told: list[bool] = []
    asyncio.run(run())
    record = store.saved["a.test"]
    assert (record.state, record.url, record.failures) == ("ordering", f"{ca.url}/order", 1)
    assert told == [False], "nothing is under way"
    assert 7100 < record.next_try - TestClock().now() < 7200 * 1.1
    assert "503" in record.error


@pytest.mark.parametrize("other", ["b.test", "a.test.evil.test", "-x a.test", "a.test\0", "*.a.test", "\u00e4.test"])
def test_no_name_is_proven_that_was_not_ordered(ca: Scripted, tmp_path: Path, other: str) -> None:
    """What a CA says goes to programs, servers and certificates."""
    store = MemoryStore()
    offer = {"type": "tls-alpn-01", "url": f"{ca.url}/challenge", "token": "x" * 32, "status": "pending"}
    authorization = {"identifier": {"type": "dns", "value": other}, "status": "pending", "challenges": [offer]}
    ca.answers["/authz"] = lambda _: (200, {}, authorization)

    async def run() -> None:
        one = manager(ca, tmp_path, store, _Outside())
        await one.start()
        await one.want({"a.test": []})
        one.turn()
        await one.settled()

    asyncio.run(run())
    assert "which was not ordered" in store.saved["a.test"].error


def test_what_a_ca_says_is_one_line_of_text(ca: Scripted, session: Session) -> None:
    """Whoever reads it in a terminal sees what it is, and not what it does there."""
    detail = "no\x1b[31m\r\nERROR forged\x00" + "x" * 5000
    ca.answers["/newOrder"] = lambda _: (403, {}, {"type": "urn:ietf:params:acme:error:unauthorized", "detail": detail})
    with pytest.raises(RefusedError) as caught:
        session.new_order(("a.test",))
    assert "no\\u001b[31m ERROR forged\\u0000xxx" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1100


def issued(folder: Path, names: Sequence[str], days: int = 90) -> tuple[int, dict[str, str], object]:
    """Answer with a certificate for the order of a.test that is under way, with so many days left."""
    key = load_pem_private_key((folder / "orders" / "a.test.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now, subject = datetime.now(UTC), x509.Name([])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=100)).not_valid_after(now + timedelta(days=days))
    san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    built = builder.add_extension(san, critical=False).sign(key, hashes.SHA256())
    return 200, {}, built.public_bytes(Encoding.PEM)


def test_an_order_that_was_given_up_leaves_no_certificate(ca: Scripted, tmp_path: Path) -> None:
    """Its thread may have waited for a slow CA while another manager has ordered elsewhere: that one's certificate stays."""
    stop = threading.Event()
    order = ca.order(status="valid", certificate=f"{ca.url}/certificate")
    ca.answers["/newOrder"] = lambda _: (201, {"Location": f"{ca.url}/order"}, order)

    def slow(_: Any) -> tuple[int, dict[str, str], object]:
        stop.set()
        return issued(tmp_path, ["a.test"])

    ca.answers["/certificate"] = slow
    folder = Folder(tmp_path)
    jobs = Jobs(Terms(folder=tmp_path, directory=f"{ca.url}/dir"), folder, cast("Solver", None), stop)
    notes = Notes(lambda: None, lambda _: None, lambda _: None)
    with pytest.raises(StoppedError):
        jobs.order("a.test", ("a.test",), "", None, notes)
    assert not folder.file_of("a.test").exists()
    assert folder.order_key("a.test") is not None


@pytest.mark.parametrize(
    ("names", "days", "words", "is_served"),
    [
        (("a.test", "b.test"), 90, "", True),
        (("a.test",), 90, "it is not for b.test", False),
        (("b.test", "*.test"), 90, "it is not for a.test", False),
        (("a.test", "b.test"), -1, "to be renewed at once", True),
    ],
)
def test_what_is_issued_is_not_ordered_again_at_once(
    ca: Scripted, tmp_path: Path, names: tuple[str, ...], days: int, words: str, *, is_served: bool
) -> None:
    """A CA, or a clock, that makes each certificate useless would cost all orders of the hour, which other names need."""
    store, served = MemoryStore(), []

    class Outside(_Outside):
        async def install(self, name: str, bundle: Bundle) -> None:
            served.append((name, bundle))

    identifiers = [{"type": "dns", "value": name} for name in ("a.test", "b.test")]
    order = ca.order(status="ready", identifiers=identifiers, certificate=f"{ca.url}/certificate")
    ca.answers["/newOrder"] = lambda _: (201, {"Location": f"{ca.url}/order"}, order)
    ca.answers["/order"] = lambda _: (200, {}, {**order, "status": "valid"})
    ca.answers["/f"] = lambda _: (200, {}, {**order, "status": "valid"})
    ca.answers["/certificate"] = lambda _: issued(tmp_path, names, days)

    async def run() -> None:
        one = manager(ca, tmp_path, store, Outside())
        await one.start()
        await one.want({"a.test": ["b.test"]})
        for _ in range(4):
            one.turn()
            await one.settled()

    asyncio.run(run())
    assert [path for path, _, _ in ca.posts].count("/newOrder") == 1
    record = store.saved["a.test"]
    assert words in record.error
    assert (record.failures, bool(record.error)) == ((1, True) if words else (0, False))
    assert bool(served) is is_served
    assert not words or 50 < record.next_try - TestClock().now() < 70


@pytest.mark.parametrize("status", ["invalid", "gone", "of other names"])
def test_an_earlier_order_that_is_of_no_use_is_followed_by_another(ca: Scripted, tmp_path: Path, status: str) -> None:
    """It has failed, the CA has forgotten it, or the route has other names by now."""
    store, outside = MemoryStore(), _Outside()
    Folder(tmp_path).new_order_key("a.test")
    store.saved["a.test"] = Record(
        "a.test", state="ordering", url=f"{ca.url}/old", directory=f"{ca.url}/dir", failures=1
    )
    if status == "invalid":
        ca.answers["/old"] = lambda _: (200, {}, ca.order(status="invalid"))
    elif status == "of other names":
        ca.answers["/old"] = lambda _: (200, {}, ca.order(identifiers=[{"type": "dns", "value": "b.test"}]))
    ca.answers["/authz"] = lambda _: (503, {}, b"down")

    async def run() -> None:
        one = manager(ca, tmp_path, store, outside)
        await one.start()
        await one.want({"a.test": []})
        one.turn()
        await one.settled()

    asyncio.run(run())
    assert [path for path, _, _ in ca.posts].count("/newOrder") == 1
    assert store.saved["a.test"].url == f"{ca.url}/order"
    assert len(store.orders) == 1
