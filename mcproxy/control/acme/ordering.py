"""One order from its begin, or from where it was left, to the certificate; blocking, in a thread of its own."""

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from mcproxy.control.acme import keys
from mcproxy.control.acme.entry import proven
from mcproxy.control.acme.interface import AcmeError, Bundle, Challenge, Kind, OrderFailedError, StoppedError
from mcproxy.control.acme.session import Authorization, Offer, Order, RefusedError, Session
from mcproxy.errors import McproxyError

_LONGEST = 600.0
"""Seconds that an order may take altogether."""
_FIRST, _GROWTH, _MOST = 0.1, 1.5, 5.0
"""Seconds between looks, where the CA does not say how many; its word is obeyed up to a minute."""
_PATIENCE = 60.0


class Solver(Protocol):
    """Makes challenges be answered; blocking."""

    def present(self, challenges: Sequence[Challenge]) -> None:
        """Return once they are answered."""

    def remove(self, challenges: Sequence[Challenge]) -> None:
        """Undo it, also what was presented only in part."""


class Ordering:
    """How orders are carried out.

    Args:
        session: open and registered.
        solver: for the challenges.
        kind: of the challenges.
        stop: set when control ends.
        told: is told what went wrong without ending the order.
    """

    def __init__(
        self, session: Session, solver: Solver, kind: Kind, stop: threading.Event, told: Callable[[str], None]
    ) -> None:
        self._session = session
        self._solver = solver
        self._kind = kind
        self._stop = stop
        self._told = told
        self._until = 0.0

    def find(self, url: str, names: Sequence[str]) -> Order | None:
        """Return an order that was begun earlier, None if it is of no use any more."""
        try:
            order = self._session.order(url)
        except RefusedError:
            return None
        same = {each.value.lower() for each in order.identifiers} == set(names)
        return order if same and order.status != "invalid" else None

    def finish(self, order: Order, names: Sequence[str], key: bytes) -> Bundle:
        """Return the certificate of an order.

        Args:
            order: as the CA told it.
            names: of the certificate.
            key: PEM.

        Raises:
            OrderFailedError: the order is at its end.
            AcmeError: it could not be finished now, and may be later.
            StoppedError: control ends; the order can be finished later.
        """
        self._until = time.monotonic() + _LONGEST
        pause = _FIRST
        handed_in = False
        while order.status != "valid":
            if order.status == "invalid":
                raise OrderFailedError(f"the order failed: {order.error or 'the CA says no more'}")
            if order.status == "pending":
                self._prove(order, names)
            elif order.status == "ready" and not handed_in:
                self._session.finalize(order, keys.signing_request(key, names))
                handed_in = True
            else:
                pause = self._wait(pause)
            order = self._session.order(order.url)
        bundle = Bundle(self._session.certificate(order), key, self._session.directory)
        try:
            keys.check(bundle, names)
        except AcmeError as error:
            raise OrderFailedError(f"what the CA handed out can't be used: {error}") from error
        return bundle

    def _prove(self, order: Order, names: Sequence[str]) -> None:
        """Answer the challenges of an order, all at once."""
        found = [(url, self._session.authorization(url)) for url in order.authorizations]
        ordered = proven(names)
        for _, each in found:
            if each.identifier.value.lower() not in ordered:
                raise OrderFailedError(f"the CA asks for a proof of {each.identifier.value}, which was not ordered")
            if each.status not in {"pending", "valid"}:
                raise OrderFailedError(_why(each))
        left = [(url, each, self._offer(each)) for url, each in found if each.status == "pending"]
        challenges = [self._challenge(each.identifier.value.lower(), offer) for _, each, offer in left]
        try:
            self._solver.present(challenges)
            for _, _, offer in left:
                if offer.status == "pending":
                    self._session.answer(offer)
            pause = _FIRST
            for url, each, _ in left:
                now = each
                while now.status == "pending":
                    now = self._session.authorization(url)
                    if now.status == "pending":
                        pause = self._wait(pause)
                if now.status != "valid":
                    raise OrderFailedError(_why(now))
        finally:
            try:
                self._solver.remove(challenges)
            except McproxyError as error:
                self._told(str(error))

    def _offer(self, authorization: Authorization) -> Offer:
        for offer in authorization.challenges:
            if offer.kind == self._kind and offer.token and offer.url:
                return offer
        kinds = ", ".join(offer.kind for offer in authorization.challenges) or "none"
        raise OrderFailedError(f"{authorization.identifier.value}: the CA does not offer {self._kind}, but: {kinds}")

    def _challenge(self, name: str, offer: Offer) -> Challenge:
        text = f"{offer.token}.{self._session.thumbprint()}"
        value = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        pair = keys.challenge_pair(name, text, time.time()) if self._kind == "tls-alpn-01" else None
        return Challenge(self._kind, name, offer.token, text, value, pair)

    def _wait(self, pause: float) -> float:
        """Wait, and return for how long to do so next time."""
        asked = min(self._session.retry_after, _PATIENCE)
        if time.monotonic() + max(asked, pause) > self._until:
            raise AcmeError(f"the CA did not come to an end within {_LONGEST:.0f} s")
        if self._stop.wait(max(asked, pause)):
            raise StoppedError("control ends")
        return min(pause * _GROWTH, _MOST)


def _why(authorization: Authorization) -> str:
    reasons = [f"{offer.kind}: {offer.error}" for offer in authorization.challenges if offer.error]
    return f"{authorization.identifier.value}: {'; '.join(reasons) or f'the authorization is {authorization.status}'}"
