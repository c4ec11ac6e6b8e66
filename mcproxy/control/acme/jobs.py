"""What is done in threads: an order, a try at a CA's staging directory, a look at when to renew."""

import threading
from collections.abc import Callable

import msgspec

from mcproxy.control.acme import keys
from mcproxy.control.acme.dns_hook import DnsHookSolver
from mcproxy.control.acme.dns_server import DnsServerSolver
from mcproxy.control.acme.folder import Folder
from mcproxy.control.acme.interface import AcmeError, Bundle, DnsHook, DnsServer, StoppedError, Terms
from mcproxy.control.acme.ordering import Ordering, Solver
from mcproxy.control.acme.session import Session
from mcproxy.policy.acme.renewal import Window


class Notes(msgspec.Struct, frozen=True):
    """Whom an order calls on its way; each returns once it is kept durably.

    Attributes:
        begins: before a new order.
        begun: with its URL.
        told: what went wrong without ending it.
    """

    begins: Callable[[], None]
    begun: Callable[[str], None]
    told: Callable[[str], None]


class Jobs:
    """All of one configuration; blocking, each call in a thread of its own.

    Args:
        terms: how certificates are ordered.
        folder: their files.
        published: makes challenges be answered that are not of DNS.
        stop: set when control ends.
    """

    def __init__(self, terms: Terms, folder: Folder, published: Solver, stop: threading.Event) -> None:
        self._terms = terms
        self._folder = folder
        self._published = published
        self._stop = stop

    def order(self, name: str, names: tuple[str, ...], url: str, replaced: Bundle | None, notes: Notes) -> Bundle:
        """Order a certificate, or go on with an order, and write the file.

        Args:
            name: the route's hostname.
            names: of the certificate.
            url: of an order that was begun, "" if there is none.
            replaced: what it renews.
            notes: whom to call.

        Raises:
            OrderFailedError: the order is at its end.
            AcmeError: it could not be finished now.
            StoppedError: control ends.
        """
        key = self._folder.order_key(name) if url else None
        with _Opened(self._terms, self._folder, self._stop) as session:
            ordering = Ordering(session, self._solver(), self._terms.challenge, self._stop, notes.told)
            order = ordering.find(url, names) if key else None
            if order is None or key is None:
                notes.begins()
                key = self._folder.new_order_key(name)
                replaces = keys.certificate_id(replaced.chain) if replaced and session.tells_renewal else ""
                order = session.new_order(names, replaces)
                notes.begun(order.url)
            bundle = ordering.finish(order, names, key)
        if (
            self._stop.is_set()
        ):  # another one has taken over by now, with another CA perhaps; of the same it gets this certificate
            raise StoppedError("control ends")
        self._folder.write(name, bundle)
        return bundle

    def try_out(self, names: tuple[str, ...], directory: str, told: Callable[[str], None]) -> Bundle:
        """Make a whole order at another directory, and keep nothing of it but the account.

        Raises:
            AcmeError: it failed.
            StoppedError: control ends.
        """
        terms = msgspec.structs.replace(self._terms, directory=directory)
        with _Opened(terms, self._folder, self._stop) as session:
            ordering = Ordering(session, self._solver(), terms.challenge, self._stop, told)
            return ordering.finish(session.new_order(names), names, keys.new_key())

    def window(self, bundle: Bundle) -> tuple[Window | None, float]:
        """Return when the CA suggests to renew a certificate, and for how many seconds it asks not to be asked again.

        Raises:
            AcmeError: it can't be asked.
        """
        session = Session(self._terms, self._folder.account_key(self._terms.directory), self._stop)
        try:
            session.open()
            return session.renewal_window(keys.certificate_id(bundle.chain)), session.retry_after
        finally:
            session.close()

    def _solver(self) -> Solver:
        terms = self._terms
        if terms.challenge != "dns-01":
            return self._published
        match terms.dns:
            case DnsServer():
                return DnsServerSolver(terms.dns, self._stop)
            case DnsHook():
                return DnsHookSolver(terms.dns)
        raise AcmeError("dns-01 needs a server or a program that sets TXT records")


class _Opened:
    def __init__(self, terms: Terms, folder: Folder, stop: threading.Event) -> None:
        self._session = Session(terms, folder.account_key(terms.directory), stop)

    def __enter__(self) -> Session:
        try:
            self._session.open()
            self._session.register()
        except BaseException:
            self._session.close()
            raise
        return self._session

    def __exit__(self, *_: object) -> None:
        self._session.close()
