"""The methods of the client about the fleet that its server is a node of."""

from collections.abc import Sequence
from typing import Unpack

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client.calls import Calls
from mcproxy.client.options import Call


class FleetCalls(Calls):
    """What `Client` can do about a fleet."""

    def get_fleet(self, **call: Unpack[Call]) -> pb.GetFleetResponse:
        """Return the fleet's document, rollout and nodes, as the server knows them."""
        return self._read("GetFleet", pb.GetFleetRequest(), pb.GetFleetResponse.FromString, call)

    def plan_fleet(self, files: Sequence[tuple[str, str]], **call: Unpack[Call]) -> pb.PlanFleetResponse:
        """Return what would change if files became the fleet's document.

        Args:
            files: names, relative to the folder of the main file, and texts; the main one first.
            call: see `Call`.
        """
        request = pb.PlanFleetRequest(files=_files(files))
        return self._read("PlanFleet", request, pb.PlanFleetResponse.FromString, call)

    def push_fleet(
        self,
        files: Sequence[tuple[str, str]],
        *,
        author: str = "",
        label: str = "",
        over: int | None = None,
        canary: pb.FleetCanary | None = None,
        allow_shrink: bool = False,
        **call: Unpack[Call],
    ) -> pb.PushFleetResponse:
        """Make files the fleet's document; return when the store has it, before nodes run it.

        Args:
            files: as of `plan_fleet`.
            author: who pushes them; over TCP the client certificate's name counts instead.
            label: such as the commit of the files.
            over: refuse with `AbortedError` unless this revision is the fleet's document, 0 for none; None: whatever is.
            canary: how to try it on some nodes first; None for all at once.
            allow_shrink: even if it takes away most of what is served.
            call: see `Call`.
        """
        request = pb.PushFleetRequest(
            files=_files(files), author=author, label=label, over=over, canary=canary, allow_shrink=allow_shrink
        )
        # Not repeated: when the first one got through, the second would be told that somebody else has pushed.
        timeout = call.get("timeout", self._timeout)
        return self._channel.call("PushFleet", request, pb.PushFleetResponse.FromString, timeout=timeout, repeat=False)

    def list_fleet_history(self, limit: int = 0, **call: Unpack[Call]) -> pb.ListFleetHistoryResponse:
        """Return the documents that were pushed lately, the newest first, at most ``limit`` (0: 100)."""
        request = pb.ListFleetHistoryRequest(limit=limit)
        return self._read("ListFleetHistory", request, pb.ListFleetHistoryResponse.FromString, call)

    def abort_rollout(self, author: str = "", **call: Unpack[Call]) -> pb.AbortRolloutResponse:
        """End the rollout that is going on; return what was on its way. ``author`` as of `push_fleet`."""
        request = pb.AbortRolloutRequest(author=author)
        timeout = call.get("timeout", self._timeout)
        return self._channel.call(
            "AbortRollout", request, pb.AbortRolloutResponse.FromString, timeout=timeout, repeat=False
        )

    def fetch_certificate(self, name: str, **call: Unpack[Call]) -> pb.FetchCertificateResponse:
        """Return the certificate of a hostname that a node has from a CA, with its key; nodes of its fleet alone get it."""
        request = pb.FetchCertificateRequest(name=name)
        return self._read("FetchCertificate", request, pb.FetchCertificateResponse.FromString, call)


def _files(files: Sequence[tuple[str, str]]) -> list[pb.FleetFile]:
    return [pb.FleetFile(name=name, text=text) for name, text in files]
