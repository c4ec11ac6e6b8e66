"""Contents and commits as etcd's messages, and back."""

from mcproxy._pb import etcd_pb2 as pb
from mcproxy.model.fleet.contents import Commit, Contents, Item

PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
"""Asks a watch how far it is."""


class Keys:
    """The keys under a prefix, which end where those begin that follow."""

    def __init__(self, prefix: str) -> None:
        """Keys stand behind the prefix and a slash."""
        self._start = f"{prefix}/".encode()
        self._end = f"{prefix}0".encode()  # "0" is the character that follows "/"

    def read(self, since: int) -> pb.TxnRequest:
        """Ask for all keys with their versions, and, of the same moment, for the values that have changed since a revision."""
        return pb.TxnRequest(success=self._read(since))

    def commit(self, commit: Commit, lease: int) -> pb.TxnRequest:
        """Ask for a commit; the answer is `contents` of the moment where it is not made."""
        compares = [
            pb.Compare(result=pb.Compare.EQUAL, target=pb.Compare.MOD, key=self._key(key), mod_revision=version)
            for key, version in commit.compares.items()
        ]
        puts = [
            pb.PutRequest(key=self._key(key), value=value, lease=lease if key in commit.leased else 0)
            for key, value in commit.puts.items()
        ]
        success = [
            *(pb.RequestOp(request_put=put) for put in puts),
            *(pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=self._key(key))) for key in commit.deletes),
        ]
        return pb.TxnRequest(compare=compares, success=success, failure=self._read(0))

    def watch(self, after: int) -> pb.WatchRequest:
        """Ask for what changes after a revision."""
        create = pb.WatchCreateRequest(key=self._start, range_end=self._end, start_revision=after + 1)
        return pb.WatchRequest(create_request=create)

    def contents(self, answer: pb.TxnResponse, last: Contents) -> Contents:
        """Return what the answer to `read` tells, with values from what was read last."""
        keys, values = (response.response_range.kvs for response in answer.responses)
        items = {self._name(kv.key): Item(kv.value, kv.mod_revision) for kv in values}
        for kv in keys:
            name = self._name(kv.key)
            if name not in items:
                items[name] = last.items[name]
        return Contents(items, answer.header.revision)

    def _read(self, since: int) -> list[pb.RequestOp]:
        names = pb.RangeRequest(key=self._start, range_end=self._end, keys_only=True)
        changed = pb.RangeRequest(key=self._start, range_end=self._end, min_mod_revision=since + 1 if since else 0)
        return [pb.RequestOp(request_range=names), pb.RequestOp(request_range=changed)]

    def _key(self, name: str) -> bytes:
        return self._start + name.encode()

    def _name(self, key: bytes) -> str:
        return key[len(self._start) :].decode(errors="replace")
