"""`Client`: one method per method of the admin API, its fields as arguments."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Unpack

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client.calls import Moment, duration, moment, mutation_options
from mcproxy.client.edits import EditCalls
from mcproxy.client.fleet import FleetCalls
from mcproxy.client.options import Call, MutationOptions

_ORDER_TIMEOUT = 700.0  # seconds: an order takes ten minutes at most
_RESTART_TIMEOUT = 90.0  # seconds: the server's own limits end before


class Client(EditCalls, FleetCalls):
    """A client of one server; a context manager. It connects with the first call; threads may share it.

    Every method raises `ClientError`. Those that change something answer when the change is live in every worker, and
    take `MutationOptions` beside their own arguments, the others `Call`.

    Args:
        addr: ``unix:/path`` or ``host:port``; else the server is found as `find_server` tells.
        config: the config file whose ``[grpc]`` names the server, where there is no address.
        tls_ca: over TCP: a PEM file of the CAs that the server's certificate may come from.
        tls_cert: over TCP: a PEM file with the client's own certificate.
        tls_key: over TCP: a PEM file with its private key.
        timeout: seconds that a call may take; streams have no limit.

    Attributes:
        target: the server that was found.

    Raises:
        AddressError: the address is wrong, or what it needs is missing.
    """

    # ---- what runs

    def get_status(self, **call: Unpack[Call]) -> pb.GetStatusResponse:
        """Return how the server is: workers, listeners, last reload, drift."""
        return self._read("GetStatus", pb.GetStatusRequest(), pb.GetStatusResponse.FromString, call)

    def list_listeners(self, **call: Unpack[Call]) -> pb.ListListenersResponse:
        """Return every listener with its counters."""
        return self._read("ListListeners", pb.ListListenersRequest(), pb.ListListenersResponse.FromString, call)

    def list_routes(self, listener: str = "", **call: Unpack[Call]) -> pb.ListRoutesResponse:
        """Return the routes of a listener, or of all, with their policies and counters."""
        return self._read("ListRoutes", pb.ListRoutesRequest(listener=listener), pb.ListRoutesResponse.FromString, call)

    def list_l7_policies(
        self, listener: str = "", hostname: str = "", **call: Unpack[Call]
    ) -> pb.ListL7PoliciesResponse:
        """Return the L7 policies of a route, of a listener, or all."""
        request = pb.ListL7PoliciesRequest(listener=listener, hostname=hostname)
        return self._read("ListL7Policies", request, pb.ListL7PoliciesResponse.FromString, call)

    def get_firewall_rules(self, **call: Unpack[Call]) -> pb.GetFirewallRulesResponse:
        """Return the firewall's rules, the rate limit, and what was blocked."""
        return self._read(
            "GetFirewallRules", pb.GetFirewallRulesRequest(), pb.GetFirewallRulesResponse.FromString, call
        )

    def list_endpoints(self, upstream: str = "", **call: Unpack[Call]) -> pb.ListEndpointsResponse:
        """Return the endpoints of an upstream, or of all, with how each is and what was counted there."""
        request = pb.ListEndpointsRequest(upstream=upstream)
        return self._read("ListEndpoints", request, pb.ListEndpointsResponse.FromString, call)

    def list_certificates(self, name: str = "", **call: Unpack[Call]) -> pb.ListCertificatesResponse:
        """Return the certificates that are ordered from a CA, or that for a hostname."""
        request = pb.ListCertificatesRequest(name=name)
        return self._read("ListCertificates", request, pb.ListCertificatesResponse.FromString, call)

    def renew_certificate(
        self, name: str, *, author: str = "", reason: str = "", **call: Unpack[Call]
    ) -> pb.RenewCertificateResponse:
        """Order a new certificate for a hostname now; returns when it is served, which may take minutes.

        Args:
            name: the hostname of a route whose certificate is ordered.
            author: as in `MutationOptions`.
            reason: likewise.
            call: see `Call`.
        """
        request = pb.RenewCertificateRequest(name=name, author=author, reason=reason)
        timeout, read = call.get("timeout", max(self._timeout, _ORDER_TIMEOUT)), pb.RenewCertificateResponse.FromString
        return self._channel.call("RenewCertificate", request, read, timeout=timeout, repeat=False)

    def try_certificate(
        self, name: str, *, author: str = "", reason: str = "", **call: Unpack[Call]
    ) -> pb.TryCertificateResponse:
        """Make a whole order for a hostname, and throw the certificate away; returns when it was issued, which may take minutes.

        Args:
            name: the hostname of a route whose certificate is ordered.
            author: as in `MutationOptions`.
            reason: likewise.
            call: see `Call`.
        """
        request = pb.TryCertificateRequest(name=name, author=author, reason=reason)
        timeout, read = call.get("timeout", max(self._timeout, _ORDER_TIMEOUT)), pb.TryCertificateResponse.FromString
        return self._channel.call("TryCertificate", request, read, timeout=timeout, repeat=False)

    def list_connections(
        self, listener: str = "", hostname: str = "", limit: int = 0, **call: Unpack[Call]
    ) -> pb.ListConnectionsResponse:
        """Return open connections, oldest first, at most ``limit`` (0: 1000); of a listener or route, or all."""
        request = pb.ListConnectionsRequest(listener=listener, hostname=hostname, limit=limit)
        return self._read("ListConnections", request, pb.ListConnectionsResponse.FromString, call)

    def close_connections(
        self,
        listener: str = "",
        hostname: str = "",
        client: str = "",
        *,
        all: bool = False,  # noqa: A002 - the field's name
        drain: float | None = None,
        author: str = "",
        reason: str = "",
        **call: Unpack[Call],
    ) -> pb.CloseConnectionsResponse:
        """Close open connections of a listener, route or client (an address, or an address and its port), or all.

        Args:
            listener: of this listener; "" for any.
            hostname: of this route; "" for any.
            client: of this client; "" for any.
            all: none of the three is named.
            drain: seconds in which they may finish; None: they are closed at once.
            author: as in `MutationOptions`.
            reason: likewise.
            call: see `Call`.
        """
        request = pb.CloseConnectionsRequest(
            listener=listener,
            hostname=hostname,
            client=client,
            all=all,
            drain=duration(drain),
            author=author,
            reason=reason,
        )
        return self._read("CloseConnections", request, pb.CloseConnectionsResponse.FromString, call)

    def explain(
        self,
        *,
        listener: str = "",
        sni: str | None = None,
        ip: str = "",
        proxy_ip: str = "",
        alpn: Iterable[str] = (),
        method: str = "",
        path: str = "",
        headers: Iterable[tuple[str, str]] = (),
        client_cert: str | None = None,
        probe: bool = False,
        at: Moment | None = None,
        **call: Unpack[Call],
    ) -> pb.ExplainResponse:
        """Return what the data plane does with a connection or request, step by step, or did.

        Args:
            listener: its address; "" for every listener.
            sni: the server name the client asks for; None for none.
            ip: the real client's address.
            proxy_ip: the address of a proxy that names the client in a PROXY header.
            alpn: protocols the client offers.
            method: the request's.
            path: the request's path and query.
            headers: the request's, names and values.
            client_cert: a name in the certificate that the client shows; "" for no certificate, None leaves it open.
            probe: dial the backends, and tell what they say.
            at: what was live then, a generation or a time; None for what is live.
            call: see `Call`.
        """
        request = pb.ExplainRequest(
            then=None if at is None else moment(at),
            probe=probe,
            listener=listener,
            sni=sni,
            ip=ip,
            proxy_ip=proxy_ip,
            alpn=alpn,
            method=method,
            path=path,
            headers=[pb.Header(name=name, value=value) for name, value in headers],
            client_cert=client_cert,
        )
        return self._read("Explain", request, pb.ExplainResponse.FromString, call)

    def why(self, request_id: str = "", *, ip: str = "", last: int = 0, **call: Unpack[Call]) -> pb.WhyResponse:
        """Return why a request was refused or has failed, or the connections and requests of a client were, the newest first.

        Args:
            request_id: the request's, as its error page or the access log tells it.
            ip: the real client's address, instead.
            last: at most so many; 0: 5.
            call: see `Call`.
        """
        request = pb.WhyRequest(id=request_id, ip=ip, last=last)
        return self._read("Why", request, pb.WhyResponse.FromString, call)

    def watch_events(self, recent: int = 0) -> Iterator[pb.Event]:
        """Return what happens from now on as an iterator that ends with the client, or with an error.

        Args:
            recent: begin with up to this many events of the recent past.
        """
        return self._channel.stream("WatchEvents", pb.WatchEventsRequest(recent=recent), pb.Event.FromString)

    def list_resources(self, kind: str, key: Sequence[str] = (), **call: Unpack[Call]) -> pb.ListResourcesResponse:
        """Return the resources of a kind, or of those the ones whose keys begin with some parts, with the fields that each has."""
        request = pb.ListResourcesRequest(kind=kind, key=key)
        return self._read("ListResources", request, pb.ListResourcesResponse.FromString, call)

    # ---- the files, and what differs from them

    def plan(self, toml: str | None = None, **call: Unpack[Call]) -> pb.PlanResponse:
        """Return what a reload would do now, or what would be done if ``toml`` took the config file's place."""
        return self._read("Plan", pb.PlanRequest(toml=toml), pb.PlanResponse.FromString, call)

    def reload(self, *, allow_shrink: bool = False, label: str = "", **call: Unpack[Call]) -> pb.ReloadResponse:
        """Read the files again and return when the result is live.

        Args:
            allow_shrink: apply content refused for taking away too much.
            label: why, for the history; "" for what git says of the files.
            call: see `Call`.
        """
        request = pb.ReloadRequest(allow_shrink=allow_shrink, label=label)
        return self._read("Reload", request, pb.ReloadResponse.FromString, call)

    def restart(self, *, author: str = "", reason: str = "", **call: Unpack[Call]) -> pb.RestartResponse:
        """Start the program anew without a gap, and return when it serves; within 90 seconds, unless another time is given.

        Args:
            author: who wants it, for the audit; over TCP the client certificate's name counts instead.
            reason: why.
            call: as for every call.
        """
        timeout = call.get("timeout", max(self._timeout, _RESTART_TIMEOUT))
        request = pb.RestartRequest(author=author, reason=reason)
        return self._channel.call("Restart", request, pb.RestartResponse.FromString, timeout=timeout, repeat=False)

    def get_drift(self, **call: Unpack[Call]) -> pb.GetDriftResponse:
        """Return what differs from the files, and whose doing it is."""
        return self._read("GetDrift", pb.GetDriftRequest(), pb.GetDriftResponse.FromString, call)

    def revert_edit(
        self,
        *,
        edit_ids: Iterable[int] = (),
        target: str = "",
        all: bool = False,  # noqa: A002 - the field's name
        **change: Unpack[MutationOptions],
    ) -> pb.MutationResponse:
        """End runtime edits: by their ids, of the resource that drift calls ``target``, or all."""
        request = pb.RevertEditRequest(edit_ids=edit_ids, target=target, all=all, options=mutation_options(change))
        return self._change("RevertEdit", request, change)

    def export(self, **call: Unpack[Call]) -> pb.ExportResponse:
        """Return the config files with all runtime edits merged in."""
        return self._read("Export", pb.ExportRequest(), pb.ExportResponse.FromString, call)

    # ---- history

    def list_revisions(
        self, limit: int = 0, before: int = 0, kind: str = "", key: Sequence[str] = (), **call: Unpack[Call]
    ) -> pb.ListRevisionsResponse:
        """Return generations that were live, newest first.

        Args:
            limit: at most so many; 0: 100.
            before: only generations below this one; 0: all.
            kind: only those that changed a resource of this kind; "": all.
            key: the parts of its key.
            call: see `Call`.
        """
        request = pb.ListRevisionsRequest(limit=limit, before=before, kind=kind, key=key)
        return self._read("ListRevisions", request, pb.ListRevisionsResponse.FromString, call)

    def blame(self, kind: str, key: Sequence[str], **call: Unpack[Call]) -> pb.BlameResponse:
        """Return of each key of a resource since which generation it is as it is, and by whose doing."""
        return self._read("Blame", pb.BlameRequest(kind=kind, key=key), pb.BlameResponse.FromString, call)

    def diff_generations(
        self, before: Moment, after: Moment | None = None, **call: Unpack[Call]
    ) -> pb.DiffGenerationsResponse:
        """Return what differs between what was live at two generations or times; None for what is live."""
        ends = {"from": moment(before), "to": None if after is None else moment(after)}
        request = pb.DiffGenerationsRequest(**ends)
        return self._read("DiffGenerations", request, pb.DiffGenerationsResponse.FromString, call)

    def get_revision(self, generation: int, **call: Unpack[Call]) -> pb.GetRevisionResponse:
        """Return a generation's plan and its whole state."""
        return self._read(
            "GetRevision", pb.GetRevisionRequest(generation=generation), pb.GetRevisionResponse.FromString, call
        )

    def rollback(
        self, generation: int, *, confirm_timeout: float | None = None, **change: Unpack[MutationOptions]
    ) -> pb.MutationResponse:
        """Make an earlier generation's state live again; undone unless confirmed within ``confirm_timeout`` seconds."""
        request = pb.RollbackRequest(
            generation=generation, confirm_timeout=duration(confirm_timeout), options=mutation_options(change)
        )
        return self._change("Rollback", request, change)

    def confirm(self, confirm_id: int = 0, author: str = "", **call: Unpack[Call]) -> pb.ConfirmResponse:
        """Keep a rollback that would otherwise undo itself; 0: the one that waits. ``author`` as in `MutationOptions`."""
        # Not repeated: when the first one got through, the second would be told that nothing waits.
        request = pb.ConfirmRequest(confirm_id=confirm_id, author=author)
        timeout = call.get("timeout", self._timeout)
        return self._channel.call("Confirm", request, pb.ConfirmResponse.FromString, timeout=timeout, repeat=False)

    def list_edit_records(
        self, limit: int = 0, before: int = 0, edit_id: int = 0, **call: Unpack[Call]
    ) -> pb.ListEditRecordsResponse:
        """Return what became of runtime edits, newest first; of all edits or of one."""
        request = pb.ListEditRecordsRequest(limit=limit, before=before, edit_id=edit_id)
        return self._read("ListEditRecords", request, pb.ListEditRecordsResponse.FromString, call)

    def list_audit(self, limit: int = 0, before: int = 0, **call: Unpack[Call]) -> pb.ListAuditResponse:
        """Return every request that wanted to change something, newest first, refused ones included."""
        return self._read(
            "ListAudit", pb.ListAuditRequest(limit=limit, before=before), pb.ListAuditResponse.FromString, call
        )

    def backup(self) -> Iterator[pb.BackupResponse]:
        """Return a copy of the server's database, as it is now, in pieces; it is whole when the iterator has ended."""
        return self._channel.stream("Backup", pb.BackupRequest(), pb.BackupResponse.FromString)
