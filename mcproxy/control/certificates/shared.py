"""Certificates in a fleet: one node orders for a name, every node answers its CA, and the others fetch what was issued.

enter: acme/order NAME = this node ── publish: acme/answers NODE ── all nodes answer ── the CA looks at any of them
issued: acme/issued NAME ── the others fetch certificate and key from a node that has them, and serve them
"""

import asyncio
import contextlib
import hashlib
import importlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.fleet.peers import fetch
from mcproxy.control.system import log
from mcproxy.control.system.work_thread import in_thread
from mcproxy.control.workers.challenges import Answer, Challenges
from mcproxy.errors import McproxyError, UnavailableError
from mcproxy.model.fleet import orders
from mcproxy.model.fleet.contents import MOST_OPERATIONS, Commit, Conflict
from mcproxy.model.fleet.orders import Answers, Issued, Ordering, SharedChallenge

_PATIENCE = 10.0
"""Seconds for the other nodes to answer a challenge; then the CA is asked to look all the same."""


class SharedCertificates:
    """What nodes tell each other; on a machine that is no node nothing of it happens.

    Attributes:
        answered: up to which version of the store this node answers what the others ask of it.
        poke: called when that has changed.
    """

    def __init__(self, fleet: Fleet, challenges: Callable[[], Challenges]) -> None:
        """Have ``challenges`` answer for the others."""
        self._fleet = fleet
        self._challenges = challenges
        self._answering: dict[SharedChallenge, Answer] = {}
        self._own: list[Answer] = []
        self._log = log.logger()
        self._heard = asyncio.Event()
        self._seen = asyncio.Event()
        self.answered = 0
        self.poke: Callable[[], None] = lambda: None

    def hear(self) -> None:
        """Look at the store again."""
        self._heard.set()
        self._seen.set()

    async def run(self) -> None:
        """Answer what the others ask for, until cancelled."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            try:
                await self._answer()
            except McproxyError as error:
                self._log.warning("challenges of other nodes are not answered", error=str(error))

    async def _answer(self) -> None:
        wanted, version = orders.answers_of(self._fleet.view.contents, self._fleet.name)
        added, gone = wanted - self._answering.keys(), self._answering.keys() - wanted
        if added:
            made = await in_thread(_answers, tuple(added))
            self._answering |= made
            await self._challenges().publish(list(made.values()))
        if gone:
            await self._challenges().withdraw([self._answering.pop(each) for each in gone])
        if version != self.answered:
            self.answered = version
            self.poke()

    async def enter(self, name: str) -> bool:
        """Tell whether this node may order for a name; if so, no other one does until `leave`."""
        fleet = self._fleet
        if fleet.node is None:
            return True
        key = f"{orders.ORDER}{name}"
        with contextlib.suppress(UnavailableError):
            if orders.orderer_of(fleet.view.contents, name) not in ("", fleet.name):
                return False
            value = msgspec.json.encode(Ordering(fleet.name))
            commit = Commit(compares={key: fleet.view.version(key)}, puts={key: value}, leased=frozenset({key}))
            return not isinstance(await fleet.commit(commit), Conflict)
        return False  # without the store nobody else would answer the CA

    async def leave(self, name: str) -> None:
        """Let others order for a name."""
        if self._fleet.node is not None:
            with contextlib.suppress(UnavailableError):  # it goes with this node's lease
                await self._fleet.commit(Commit(deletes=(f"{orders.ORDER}{name}",)))

    async def publish(self, challenges: Sequence[Answer]) -> None:
        """Return once all nodes that are there answer these; those that do not in time are told of.

        Raises:
            UnavailableError: the store can't be told.
        """
        self._own += challenges
        version = await self._tell()
        if not version:
            return
        late: Collection[str] = ()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while late := self._late(version):
                    self._seen.clear()
                    await self._seen.wait()
        if late:
            self._log.warning("nodes do not answer the challenges of an order in time", nodes=", ".join(late))

    async def withdraw(self, challenges: Sequence[Answer]) -> None:
        """Have them answered no more; raises `UnavailableError`."""
        self._own = [each for each in self._own if each not in challenges]
        await self._tell()

    def _late(self, version: int) -> list[str]:
        nodes = self._fleet.view.nodes.values()
        return [each.node for each in nodes if each.node != self._fleet.name and each.answered < version]

    async def _tell(self) -> int:
        """Have the others know this node's challenges; return the version, 0 if there is nobody to be told."""
        fleet = self._fleet
        if fleet.node is None:
            return 0
        key = f"{orders.ANSWERS}{fleet.name}"
        shared = tuple(SharedChallenge(each.kind, each.name, each.token, each.text) for each in self._own)
        value = msgspec.json.encode(Answers(shared))
        await fleet.commit(Commit(puts={key: value}, leased=frozenset({key})) if shared else Commit(deletes=(key,)))
        return fleet.view.version(key)

    async def issued(self, name: str, chain: bytes, certificate: Any) -> None:
        """Tell the others what this node has now; ``certificate`` says of when and for which names."""
        fleet = self._fleet
        if fleet.node is None:
            return
        said = Issued(
            node=fleet.name,
            digest=digest_of(chain),
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            names=certificate.names,
        )
        with contextlib.suppress(UnavailableError):  # they order one of their own when theirs ends
            await fleet.commit(Commit(puts={f"{orders.ISSUED}{name}": msgspec.json.encode(said)}))

    async def forget(self, names: Collection[str]) -> None:
        """Keep nothing in the store of what was issued for names that no route has any more."""
        fleet = self._fleet
        keys = [key for name in names if fleet.view.version(key := f"{orders.ISSUED}{name}")]
        if fleet.node is not None and keys:
            with contextlib.suppress(UnavailableError):  # it is out of date then, and no more
                for start in range(0, len(keys), MOST_OPERATIONS):
                    await fleet.commit(Commit(deletes=tuple(keys[start : start + MOST_OPERATIONS])))

    def newer(self, name: str, names: Collection[str], digest: str, not_after: float) -> Issued | None:
        """Return what another node has for a name that is better than what this one has; None if nothing is.

        Args:
            name: the route's hostname.
            names: that are to be covered.
            digest: of what this node has, "" for nothing.
            not_after: when that ends.
        """
        found = orders.issued_of(self._fleet.view.contents, name) if self._fleet.node is not None else None
        if found is None or found.digest == digest or found.not_after < max(not_after, time.time()):
            return None
        return found if set(names) <= set(found.names) else None

    async def fetch(self, name: str, wanted: Issued) -> tuple[bytes, bytes] | None:
        """Return chain and key of what was issued, from a node that has it; None if none gives it."""
        node = self._fleet.node
        if node is None:
            return None
        records = [record for record in self._fleet.view.nodes.values() if record.admin and record.node != node.node]
        records.sort(key=lambda record: record.node != wanted.node)
        for record in records:
            try:
                chain, key = await fetch(node, record.admin, name)
            except UnavailableError as error:
                self._log.warning("a certificate can't be fetched", name=name, node=record.node, error=str(error))
                continue
            if digest_of(chain) == wanted.digest:
                return chain, key
        return None


def digest_of(chain: bytes) -> str:
    """Return the SHA-256 of a chain, in hex."""
    return hashlib.sha256(chain.strip()).hexdigest()


def _answers(challenges: Sequence[SharedChallenge]) -> dict[SharedChallenge, Answer]:
    """Return what answers challenges; slow, as keys are made for it."""
    interface = importlib.import_module("mcproxy.control.acme.interface")
    keys = importlib.import_module("mcproxy.control.acme.keys")
    found = {}
    for each in challenges:
        pair = keys.challenge_pair(each.name, each.text, time.time()) if each.kind == "tls-alpn-01" else None
        found[each] = interface.Challenge(each.kind, each.name, each.token, each.text, "", pair)
    return found
