"""A CA as one of its accounts sees it (RFC 8555), by the package `acme`; blocking, for one thread."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from acme import client, errors, messages
from josepy import errors as jose_errors
from josepy import interfaces, json_util, jwa, jwk
from josepy.util import ComparableECKey

from mcproxy.control.acme import keys
from mcproxy.control.acme.interface import AcmeError, StoppedError, Terms

_TRIES = 6  # of a request, two nonces each: a CA may refuse any
_TIMEOUT = 20  # seconds without a byte
_MOST_SECONDS = 7 * 86400.0

_is_token = re.compile(r"[A-Za-z0-9_-]{16,512}").fullmatch
_NOISE = re.compile(r" ?\(_ssl\.c:\d+\)|\[SSL[^\]]*\] |\[Errno -?\d+\] |<[^>]*>: |^\w+Connection(?:Pool)?\([^)]*\): ")
T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True):
    """What the CA has against something (RFC 7807)."""

    detail: str = ""
    type: str = ""

    def __str__(self) -> str:
        return self.detail or self.type or "the CA says no more"


class Identifier(msgspec.Struct, frozen=True):
    """A name; without ``*.`` in an authorization."""

    value: str
    type: str = "dns"


class Offer(msgspec.Struct, frozen=True):
    """A way to prove that a name is ours (RFC 8555 section 8).

    Attributes:
        kind: its name.
        url: where the CA is told to look.
        token: made by the CA.
        status: pending, processing, valid, invalid.
        error: why it failed.
    """

    kind: str = msgspec.field(name="type")
    url: str = ""
    token: str = ""
    status: str = "pending"
    error: Problem | None = None


class Authorization(msgspec.Struct, frozen=True):
    """That a name is ours, or what is left to prove it (section 7.1.4)."""

    identifier: Identifier
    status: str
    challenges: tuple[Offer, ...] = ()


class Order(msgspec.Struct, frozen=True):
    """A certificate in the making (section 7.1.3)."""

    status: str
    finalize: str
    identifiers: tuple[Identifier, ...]
    authorizations: tuple[str, ...]
    certificate: str = ""
    error: Problem | None = None
    url: str = ""


class _Instant(msgspec.Struct, frozen=True):
    start: str
    end: str


class _RenewalInfo(msgspec.Struct, frozen=True, rename="camel"):
    suggested_window: _Instant


class _NewOrder(messages.NewOrder):
    """With what it replaces (RFC 9773 section 5), which the package leaves out."""

    replaces: str = json_util.field("replaces", omitempty=True)


class _Finalize(interfaces.JSONDeSerializable):
    def __init__(self, request: bytes) -> None:
        self._request = request

    def to_partial_json(self) -> dict[str, str]:
        return {"csr": json_util.encode_b64jose(self._request)}

    @classmethod
    def from_json(cls, jobj: Any) -> "_Finalize":
        return cls(json_util.decode_b64jose(jobj["csr"]))


class _Empty(interfaces.JSONDeSerializable):
    """What tells the CA to look (section 7.5.1): an empty object, which is not an empty body."""

    def to_partial_json(self) -> dict[str, str]:
        return {}

    @classmethod
    def from_json(cls, jobj: Any) -> "_Empty":  # noqa: ARG003 - there is nothing in it
        return cls()


class RefusedError(AcmeError):
    """The CA has answered, and refused.

    Attributes:
        kind: its word for the reason (RFC 8555 section 6.7).
    """

    def __init__(self, message: str, retry_after: float, kind: str) -> None:
        super().__init__(message, retry_after)
        self.kind = kind


class Session:
    """Requests of an account.

    Args:
        terms: whose CA it is.
        account_key: PEM.
        stop: set when control ends; nothing is asked from then on.
    """

    def __init__(self, terms: Terms, account_key: bytes, stop: threading.Event) -> None:
        self._terms = terms
        self._stop = stop
        self._key = jwk.JWKEC(key=ComparableECKey(keys.load_key(account_key)))
        verified_by = cast("bool", terms.ca or True)  # requests take a path, too
        self._net = client.ClientNetwork(
            self._key, alg=jwa.ES256, verify_ssl=verified_by, user_agent="mcproxy", timeout=_TIMEOUT
        )
        self._net.session.hooks["response"].append(self._note)
        self._retry_after = 0.0
        self._directory: messages.Directory | None = None

    def close(self) -> None:
        """End its connections."""
        self._net.session.close()

    @property
    def retry_after(self) -> float:
        """Seconds that the last answer asked to wait, 0.0 if it did not."""
        return self._retry_after

    @property
    def directory(self) -> str:
        """The URL of the CA's directory."""
        return self._terms.directory

    @property
    def tells_renewal(self) -> bool:
        """Whether the CA suggests when to renew; after `open`."""
        return "renewalInfo" in self._listed().to_partial_json()

    def open(self) -> None:
        """Read the directory.

        Raises:
            AcmeError: as every method.
        """
        found = self._ask(lambda: self._net.get(self._terms.directory).json())
        for needed in ("newNonce", "newAccount", "newOrder"):
            if not isinstance(found, dict) or not isinstance(found.get(needed), str):
                raise AcmeError(f"{self._terms.directory} is no directory of ACME: it has no {needed}")
        self._directory = self._ask(lambda: messages.Directory.from_json(found))

    def register(self) -> None:
        """Become the account, which is made if there is none yet."""
        terms, directory = self._terms, self._listed()
        binding = None
        if terms.eab_kid:
            binding = self._ask(
                lambda: messages.ExternalAccountBinding.from_data(
                    self._key.public_key(), terms.eab_kid, terms.eab_key, directory
                )
            )
        wanted = messages.NewRegistration.from_data(
            email=terms.email or None, terms_of_service_agreed=True, external_account_binding=binding
        )
        response = self._ask(lambda: self._net.post(directory["newAccount"], wanted, new_nonce_url=self._nonces()))
        url = response.headers.get("Location", "")
        if not url:
            raise AcmeError(f"{self._host()} does not tell the account's URL")
        self._net.account = messages.RegistrationResource(uri=url, body=messages.Registration())

    def thumbprint(self) -> str:
        """Return the account key's, of which key authorizations are made (section 8.1)."""
        return json_util.encode_b64jose(self._key.thumbprint())

    def new_order(self, names: tuple[str, ...], replaces: str = "") -> Order:
        """Begin an order.

        Args:
            names: of the certificate.
            replaces: the id of the certificate that it renews, "" for none; left out where the CA does not want it.
        """
        wanted = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names]
        fields = {"profile": self._terms.profile} if self._terms.profile else {}
        try:
            return self._new_order(_NewOrder(identifiers=wanted, replaces=replaces, **fields))
        except RefusedError as error:
            # the CA may know nothing of the old certificate, or has another order in its place: no reason to have none
            if not replaces or error.kind not in {"alreadyReplaced", "malformed", "notFound", "conflict"}:
                raise
            return self._new_order(_NewOrder(identifiers=wanted, **fields))

    def order(self, url: str) -> Order:
        """Return an order as it is now.

        Raises:
            RefusedError: it is none of this account's, or the CA does not know it any more.
            AcmeError: it can't be asked.
        """
        order = msgspec.structs.replace(self._read(url, Order), url=url)
        return self._checked(order)

    def authorization(self, url: str) -> Authorization:
        """Return an authorization as it is now."""
        found = self._read(url, Authorization)
        for offer in found.challenges:
            if offer.token and not _is_token(offer.token):
                raise AcmeError(f"{self._host()} made a token that none can be: {offer.token[:40]!r}")
        return found

    def answer(self, offer: Offer) -> None:
        """Tell the CA to look."""
        self._post(offer.url, _Empty())

    def finalize(self, order: Order, request: bytes) -> None:
        """Hand in what is to be signed.

        Args:
            order: which is ready.
            request: PKCS #10, DER.
        """
        self._post(order.finalize, _Finalize(request))

    def certificate(self, order: Order) -> bytes:
        """Return the certificate and its chain (PEM) of an order that is valid."""
        text = self._post(order.certificate, None).text
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise AcmeError(f"{self._host()} handed out no certificate")
        return str(text).encode()

    def renewal_window(self, certificate_id: str) -> tuple[float, float] | None:
        """Return when the CA suggests to renew (RFC 9773), None where it does not."""
        if not certificate_id or not self.tells_renewal:
            return None
        url = f"{self._listed()['renewalInfo'].rstrip('/')}/{certificate_id}"
        found = self._decode(self._ask(lambda: self._net.get(url)).content, _RenewalInfo).suggested_window
        return self._instant(found.start), self._instant(found.end)

    def _new_order(self, wanted: _NewOrder) -> Order:
        response = self._post(self._listed()["newOrder"], wanted)
        order = msgspec.structs.replace(self._decode(response.content, Order), url=response.headers.get("Location", ""))
        if not order.url:
            raise AcmeError(f"{self._host()} does not tell the order's URL")
        return self._checked(order)

    def _checked(self, order: Order) -> Order:
        if order.status == "valid" and not order.certificate:
            raise AcmeError(f"{self._host()} says that the order is valid, but not where the certificate is")
        return order

    def _read(self, url: str, kind: type[T]) -> T:
        return self._decode(self._post(url, None).content, kind)

    def _post(self, url: str, content: Any) -> Any:
        return self._ask(lambda: self._net.post(url, content, new_nonce_url=self._nonces()))

    def _instant(self, text: str) -> float:
        try:
            return datetime.fromisoformat(text).timestamp()
        except (OverflowError, ValueError) as error:
            raise AcmeError(f"{self._host()}: no time: {text[:40]!r}") from error

    def _decode(self, content: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AcmeError(f"{self._host()} answered what ACME does not know: {error}") from error

    def _ask(self, request: Callable[[], T]) -> T:
        """Make a request, again where only its nonce was refused, and translate what may be raised."""
        self._retry_after = 0.0
        for left in reversed(range(_TRIES)):
            if self._stop.is_set():
                raise StoppedError("control ends")
            try:
                return request()
            except messages.Error as error:
                if error.code == "badNonce" and left:
                    continue
                raise self._refused(error) from error
            except errors.ConflictError as error:  # any 409, whose reason the package drops
                raise RefusedError(f"{self._host()}: status 409", self._retry_after, "conflict") from error
            except errors.Error as error:
                raise AcmeError(f"{self._host()}: {_text_of(error)}", self._retry_after) from error
            except OSError as error:  # of which those of requests are
                raise AcmeError(f"{self._host()} can't be asked: {_innermost(error)}", self._retry_after) from error
            except (ValueError, TypeError, KeyError, AttributeError, jose_errors.Error) as error:
                raise AcmeError(f"{self._host()} answered what ACME does not know: {error}") from error
        raise AssertionError

    def _refused(self, error: messages.Error) -> RefusedError:
        details = [str(error.detail or error.typ or "")]
        details += [f"{each.identifier.value}: {each.detail}" for each in error.subproblems or () if each.identifier]
        kind = str(error.typ or "").rpartition(":")[2]
        return RefusedError(f"{self._host()}: {'; '.join(details)} ({kind})", self._retry_after, kind)

    def _note(self, response: Any, *_: Any, **__: Any) -> None:
        if "Retry-After" in response.headers:
            self._retry_after = _seconds(response.headers["Retry-After"])
        else:
            self._retry_after = 0.0

    def _listed(self) -> messages.Directory:
        if self._directory is None:
            raise AcmeError("the directory was not read")
        return self._directory

    def _nonces(self) -> str:
        return cast("str", self._listed()["newNonce"])

    def _host(self) -> str:
        return urlsplit(self._terms.directory).netloc or self._terms.directory


def _seconds(text: str) -> float:
    """Return what a Retry-After asks for (RFC 9110 section 10.2.3), 0.0 for what says nothing."""
    try:
        waits = (
            float(text)
            if text.isascii() and text.isdigit()
            else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        )
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(waits, 0.0), _MOST_SECONDS)


def _innermost(error: BaseException) -> str:
    """Return the reason of a failed request: that of the error below those that pass it on."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return _NOISE.sub("", str(reason or error))


def _text_of(error: errors.Error) -> str:
    response = error.args[0] if error.args else None
    status = getattr(response, "status_code", None)
    return f"status {status}" if status else str(error) or type(error).__name__
