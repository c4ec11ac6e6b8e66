"""The fleet's store on etcd: read, compare-and-swap, watch, leases.

Reads and commits are those of most members (linearizable), so that no member that was left behind tells the past as the present.
"""

import contextlib
from collections.abc import AsyncGenerator

from mcproxy._pb import etcd_pb2 as pb
from mcproxy.control.fleet.store import messages, methods
from mcproxy.control.fleet.store.errors import HistoryLostError, LeaseEndedError, StoreAwayError, StoreFullError
from mcproxy.control.fleet.store.members import DEADLINE, Members, denied, joined
from mcproxy.control.fleet.store.outcomes import found_in
from mcproxy.control.fleet.store.target import Target
from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents

_SILENCE = 2.0
"""Seconds after which a silent watch is asked whether it is alive: gRPC does not notice a member that is frozen."""


class EtcdStore:
    """What stands under the fleet's prefix; keys are told without it."""

    def __init__(self, target: Target) -> None:
        """Connect to nobody yet."""
        self._members = Members(target)
        self._keys = messages.Keys(target.prefix)
        self._prefix = target.prefix
        self._last = Contents()
        self._cluster = 0

    @property
    def last_contact(self) -> float | None:
        """The event loop's time of the store's last answer, None before the first one."""
        return self._members.last_contact

    async def close(self) -> None:
        """End all connections, and what uses them."""
        await self._members.close()

    async def read(self) -> Contents:
        """Return everything under the prefix.

        Values that have been read before are not sent again: the versions tell which have changed.

        Raises:
            FleetStoreError: it can't be read now.
        """
        last = self._last
        answer = await self._members.call(methods.TXN, self._keys.read(last.revision))
        if answer.header.cluster_id != self._cluster or answer.header.revision < last.revision:
            # It was restored from a backup: equal versions may be of different values.
            last = Contents()
            answer = await self._members.call(methods.TXN, self._keys.read(0))
            self._last = last
        contents = self._keys.contents(answer, last)
        if contents.revision >= self._last.revision:  # not after another call that was answered first
            self._cluster, self._last = answer.header.cluster_id, contents
        return contents

    async def commit(self, commit: Commit, lease: int = 0) -> Committed | Conflict:
        """Make a change if the keys that it names have the versions that it expects.

        Where a member does not tell what became of it, what is there now does.

        Args:
            commit: the change.
            lease: with which the keys end that are said to be leased.

        Raises:
            StoreAwayError: it was not made, or, if ``unknown`` is set, perhaps.
            LeaseEndedError: the lease has ended; nothing was made.
            TooLargeError: it is larger than the store takes at once.
            FleetStoreError: another reason why it was not made.
        """
        request = self._keys.commit(commit, lease)
        errors: list[StoreAwayError] = []
        unknown = False
        for _ in range(len(self._members) + 1):
            try:
                answer = await self._members.call_one(methods.TXN, request)
            except StoreAwayError as error:
                errors.append(error)
                unknown |= error.unknown
                if not unknown:
                    continue
                outcome = await self._found(commit)
            except StoreFullError:
                # What reaches the limit is made, and answered like all that is refused from then on.
                if isinstance(outcome := await self._found(commit), Committed):
                    return outcome
                raise
            else:
                if answer.succeeded:
                    return Committed(answer.header.revision)
                contents = self._keys.contents(answer, Contents())
                outcome = (found_in(commit, contents) if unknown else None) or Conflict(contents)
            if outcome is not None:
                return outcome
        raise joined(errors)

    async def _found(self, commit: Commit) -> Committed | Conflict | None:
        """Return what became of a commit without an answer; None if it was not made yet, and may be."""
        try:
            return found_in(commit, await self.read())
        except StoreAwayError as error:
            raise StoreAwayError(str(error), unknown=True) from None

    async def watch(self, after: int) -> AsyncGenerator[int, None]:
        """Yield the revision of what has changed under the prefix after a revision, again and again.

        Several changes may be told as one. It goes on until it is closed or fails.

        Raises:
            HistoryLostError: read everything anew, then watch again.
            StoreAwayError: this member tells no more; the next call asks another one.
            FleetStoreError: it can't be watched.
        """
        stream = await self._members.open(methods.WATCH)
        try:
            await stream.write(self._keys.watch(after))
            asked = True
            while True:
                answer = await stream.read(DEADLINE if asked else _SILENCE)
                if answer is None:
                    if asked:
                        raise self._members.silent(stream.endpoint)
                    await stream.write(messages.PROGRESS)
                else:
                    self._check(answer, after, stream.endpoint)
                    if answer.events:
                        yield max(event.kv.mod_revision for event in answer.events)
                asked = answer is None
        finally:
            stream.close()

    async def grant(self, seconds: int) -> int:
        """Return a new lease, which ends when it is not kept alive for so long; raises FleetStoreError."""
        answer = await self._members.call(methods.LEASE_GRANT, pb.LeaseGrantRequest(TTL=seconds))
        return answer.ID

    async def keep_alive(self, lease: int) -> bool:
        """Have a lease go on for its whole time again; False if it has ended. Raises FleetStoreError."""
        answer = await self._members.exchange(methods.LEASE_KEEP_ALIVE, pb.LeaseKeepAliveRequest(ID=lease))
        return answer.TTL > 0

    async def revoke(self, lease: int) -> None:
        """End a lease and the keys that it has, if it has not ended; raises FleetStoreError."""
        with contextlib.suppress(LeaseEndedError):
            await self._members.call(methods.LEASE_REVOKE, pb.LeaseRevokeRequest(ID=lease))

    def _check(self, answer: pb.WatchResponse, after: int, endpoint: str) -> None:
        """Raise what ends a watch."""
        reason = answer.cancel_reason.rpartition("etcdserver: ")[2]
        if answer.compact_revision:
            raise HistoryLostError(f"the store has compacted its changes up to revision {answer.compact_revision}")
        if answer.canceled and "permission denied" in reason:
            raise denied(reason, self._prefix)
        if answer.canceled:
            self._members.pass_over(endpoint)
            raise StoreAwayError(reason or "it has ended the watch", endpoint)
        if answer.header.revision < after and not answer.created:  # it may be a little late in the beginning
            self._members.pass_over(endpoint)
            raise HistoryLostError(f"the store is at revision {answer.header.revision}, and was at {after} before")
