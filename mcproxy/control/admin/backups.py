"""The method of the admin API that reads a backup of the database."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.server import Caller
from mcproxy.control.reconcile.current import Current
from mcproxy.errors import PreconditionError

_AT_ONCE = 2  # each takes room on the disk for as long as its client reads


class AdminBackups:
    """Answers Backup; see `admin_server.Handlers`.

    Attributes:
        streams: the method, by name.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self._under_way = 0
        self.streams: Mapping[str, Callable[[Any, Caller], AsyncIterator[Any]]] = {"Backup": self._backup}

    async def _backup(self, _: pb.BackupRequest, __: Caller) -> AsyncIterator[pb.BackupResponse]:
        if self._under_way >= _AT_ONCE:
            raise PreconditionError(f"{_AT_ONCE} backups are being read already; try again when one of them is done")
        self._under_way += 1
        try:
            async for piece in self._current.edits.store.backup():
                yield pb.BackupResponse(data=piece)
        finally:
            self._under_way -= 1
