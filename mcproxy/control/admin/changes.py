"""The admin API's methods that change something: each says what its request asks for, and `changes` does it."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin import messages
from mcproxy.control.admin.server import Caller
from mcproxy.control.reconcile.change.judging import Judge
from mcproxy.control.reconcile.change.request import ChangeRequest
from mcproxy.control.reconcile.changes import ChangeHandler
from mcproxy.model.edits import put, requests
from mcproxy.model.state.kinds import KindName
from mcproxy.model.values import durations

_TEXT_LIMITS = {"author": 128, "reason": 1000, "request_id": 128}  # characters
_LABEL_LIMIT = 200  # characters
_MAX_EXPIRY = 10 * 365 * 86400.0  # seconds
_MAX_CONTENT = 64 << 10  # bytes of a request that the audit keeps whole; of a larger one it keeps the hash
_MAX_NODE = 64  # characters
_MAX_ABOUT = 300  # characters


class AdminChanges:
    """Answers the RPCs that change something.

    Attributes:
        unary: the methods by name, as in `admin_server.Handlers`.
    """

    def __init__(self, changes: ChangeHandler) -> None:
        self._changes = changes
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {
            "SetListenerMaxConnections": self._set_listener_max_connections,
            "AddRoute": self._add_route,
            "UpdateRoute": self._update_route,
            "RemoveRoute": self._remove_route,
            "AddL7Policy": self._add_l7_policy,
            "RemoveL7Policy": self._remove_l7_policy,
            "AddFirewallRule": self._add_firewall_rule,
            "SetFirewall": self._set_firewall,
            "RemoveFirewallRule": self._remove_firewall_rule,
            "SetFirewallRateLimit": self._set_firewall_rate_limit,
            "PutResource": self._put_resource,
            "RemoveResource": self._remove_resource,
            "RevertEdit": self._revert_edit,
            "Rollback": self._rollback,
            "Confirm": self._confirm,
        }

    async def _set_listener_max_connections(
        self, request: pb.SetListenerMaxConnectionsRequest, caller: Caller
    ) -> pb.MutationResponse:
        return await self._change(
            request,
            caller,
            f"listener {request.listener}",
            lambda view, terms: requests.set_max_connections(view, terms, request.listener, request.max_connections),
        )

    async def _add_route(self, request: pb.AddRouteRequest, caller: Caller) -> pb.MutationResponse:
        # An empty text, or 0, is a field that was left out, and so has its default.
        given = {name: value for name in messages.ROUTE_FIELDS if (value := getattr(request, name)) not in ("", 0)}
        fields = {"hostname": request.hostname, **given}
        return await self._change(
            request,
            caller,
            f"route {request.listener} {request.hostname}",
            lambda view, terms: requests.add_route(view, terms, request.listener, fields),
        )

    async def _update_route(self, request: pb.UpdateRouteRequest, caller: Caller) -> pb.MutationResponse:
        fields = {name: getattr(request, name) for name in messages.ROUTE_FIELDS if request.HasField(name)}
        return await self._change(
            request,
            caller,
            f"route {request.listener} {request.hostname}",
            lambda view, terms: requests.update_route(view, terms, request.listener, request.hostname, fields),
        )

    async def _remove_route(self, request: pb.RemoveRouteRequest, caller: Caller) -> pb.MutationResponse:
        return await self._remove(
            request, caller, "route", {"listener": request.listener, "hostname": request.hostname}
        )

    async def _add_l7_policy(self, request: pb.AddL7PolicyRequest, caller: Caller) -> pb.MutationResponse:
        fields = {"type": request.type, "value": request.value}
        return await self._change(
            request,
            caller,
            f"policy {request.listener} {request.hostname} {request.type} {request.value}",
            lambda view, terms: requests.add_policy(view, terms, request.listener, request.hostname, fields),
        )

    async def _remove_l7_policy(self, request: pb.RemoveL7PolicyRequest, caller: Caller) -> pb.MutationResponse:
        names = ("listener", "hostname", "type", "value")
        return await self._remove(request, caller, "policy", {name: getattr(request, name) for name in names})

    async def _add_firewall_rule(self, request: pb.AddFirewallRuleRequest, caller: Caller) -> pb.MutationResponse:
        fields = {"type": request.type, "value": request.value}
        return await self._change(
            request,
            caller,
            f"rule {request.type} {request.value}",
            lambda view, terms: requests.add_rule(view, terms, fields),
        )

    async def _set_firewall(self, request: pb.SetFirewallRequest, caller: Caller) -> pb.MutationResponse:
        names = ("default", "connections_per_client")
        fields = {name: getattr(request, name) for name in names if request.HasField(name)}
        about = "firewall" + "".join(f" {name} {value}" for name, value in fields.items())
        return await self._change(
            request, caller, about, lambda view, terms: requests.set_firewall(view, terms, fields)
        )

    async def _remove_firewall_rule(self, request: pb.RemoveFirewallRuleRequest, caller: Caller) -> pb.MutationResponse:
        return await self._remove(request, caller, "rule", {"type": request.type, "value": request.value})

    async def _set_firewall_rate_limit(
        self, request: pb.SetFirewallRateLimitRequest, caller: Caller
    ) -> pb.MutationResponse:
        fields: dict[str, object] = {}
        if request.HasField("rate_limit"):
            fields["rate_limit"] = request.rate_limit
        if request.HasField("rate_window"):
            seconds = seconds_of(request.rate_window, 1e-3)
            fields["rate_window"] = "0s" if seconds is None else durations.render(seconds)  # which is told to be wrong
            if seconds is None:
                request.ClearField("rate_window")  # JSON has no form for durations that are none
        about = " ".join(f"{name} {value}" for name, value in fields.items())
        return await self._change(
            request,
            caller,
            f"firewall {about}".rstrip(),
            lambda view, terms: requests.set_rate_limit(view, terms, fields),
        )

    async def _put_resource(self, request: pb.PutResourceRequest, caller: Caller) -> pb.MutationResponse:
        kind, key, fields, must_exist = request.kind, tuple(request.key), request.fields_json, request.must_exist
        return await self._change(
            request,
            caller,
            " ".join((kind, *key)),
            lambda view, terms: put.put(view, terms, kind, key, fields, must_exist=must_exist),
        )

    async def _remove_resource(self, request: pb.RemoveResourceRequest, caller: Caller) -> pb.MutationResponse:
        kind, key = request.kind, tuple(request.key)
        return await self._change(
            request, caller, " ".join((kind, *key)), lambda view, terms: put.remove(view, terms, kind, key)
        )

    async def _revert_edit(self, request: pb.RevertEditRequest, caller: Caller) -> pb.MutationResponse:
        about = "all" if request.all else request.target or " ".join(map(str, request.edit_ids))
        return await self._change(
            request,
            caller,
            about,
            lambda view, _: requests.revert(
                view, ids=tuple(request.edit_ids), named=request.target, everything=request.all
            ),
        )

    async def _rollback(self, request: pb.RollbackRequest, caller: Caller) -> pb.MutationResponse:
        wrong = [] if request.generation else [("generation", "which one? See history")]
        seconds = seconds_of(request.confirm_timeout, 1) if request.HasField("confirm_timeout") else None
        if request.HasField("confirm_timeout") and seconds is None:
            wrong.append(("confirm_timeout", "must be at least a second, and at most ten years"))
            request.ClearField("confirm_timeout")  # JSON has no form for durations that are none
        asked = _asked(request, caller, f"generation {request.generation}", wrong)
        return messages.done(await self._changes.roll_back(asked, request.generation, seconds))

    async def _confirm(self, request: pb.ConfirmRequest, caller: Caller) -> pb.ConfirmResponse:
        wrong: list[tuple[str, str]] = []
        author = told("author", request.author, "author", wrong)
        asked = ChangeRequest(
            action="Confirm",
            about=f"rollback {request.confirm_id}" if request.confirm_id else "rollback",
            author=caller.name or author,
            verified=bool(caller.name),
            content=content_of(request),
            wrong=tuple(wrong),
        )
        return pb.ConfirmResponse(generation=await self._changes.confirm(asked, request.confirm_id))

    async def _remove(
        self, request: Any, caller: Caller, kind: KindName, fields: Mapping[str, object]
    ) -> pb.MutationResponse:
        return await self._change(
            request,
            caller,
            f"{kind} {' '.join(map(str, fields.values()))}",
            lambda view, terms: requests.remove(view, terms, kind, fields),
        )

    async def _change(self, request: Any, caller: Caller, about: str, judge: Judge) -> pb.MutationResponse:
        return messages.done(await self._changes.change(_asked(request, caller, about), judge))


def _asked(request: Any, caller: Caller, about: str, wrong: Sequence[tuple[str, str]] = ()) -> ChangeRequest:
    """Return what every request for a change says; what is wrong with it is judged, and put on record, by `Changes`.

    Args:
        request: any with options.
        caller: who calls.
        about: the resource, for the audit.
        wrong: what is wrong about this kind of request.
    """
    options = request.options
    found = list(wrong)
    texts = {name: told(name, getattr(options, name), f"options.{name}", found) for name in _TEXT_LIMITS}
    expires = seconds_of(options.expires, 1e-9) if options.HasField("expires") else None
    if options.HasField("expires") and expires is None:
        found.append(("options.expires", "must be longer than nothing, and at most ten years"))
        options.ClearField("expires")  # JSON has no form for durations that are none
    guard = seconds_of(options.guard, 0) if options.HasField("guard") else None
    if options.HasField("guard") and guard is None:
        found.append(("options.guard", "must be no time, for the default, or a time of at most ten years"))
        options.ClearField("guard")
    wait = seconds_of(options.wait, 0) if options.HasField("wait") else 0.0
    if wait is None:
        found.append(("options.wait", "must be no time, or a time of at most ten years"))
        options.ClearField("wait")
    return ChangeRequest(
        action=type(request).__name__.removesuffix("Request"),
        about=_printable(about, _MAX_ABOUT),
        author=caller.name or texts["author"],
        verified=bool(caller.name),
        reason=texts["reason"],
        request_id=texts["request_id"],
        expires=expires,
        expected_generation=options.expected_generation,
        guard=guard,
        node=_printable(options.node, _MAX_NODE),
        wait=wait or 0.0,
        dry_run=options.dry_run,
        content=content_of(request),
        wrong=tuple(found),
    )


def content_of(request: Any) -> str:
    """Return a request as JSON, or if it is very large, what tells it from others."""
    if request.ByteSize() <= _MAX_CONTENT:
        return api.to_json(request)
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
    return msgspec.json.encode({"bytes": request.ByteSize(), "sha256": digest}).decode()


def told(name: str, text: str, field: str, wrong: list[tuple[str, str]]) -> str:
    """Return what a request says of itself as it may be shown; what is wrong with it is added to ``wrong``."""
    limit = _LABEL_LIMIT if name == "label" else _TEXT_LIMITS[name]
    shown = _printable(text, limit, "\n" if name == "reason" else "")
    if shown != text:
        wrong.append((field, f"must have at most {limit} characters, all printable"))
    return shown


def _printable(text: str, limit: int, allowed: str = "") -> str:
    """Return a text as it is if it is short enough and printable, ``allowed`` included, else cut and with marks for what is not."""
    return "".join(letter if letter.isprintable() or letter in allowed else "\ufffd" for letter in text[:limit])


def seconds_of(duration: Any, least: float) -> float | None:
    """Return a duration's length; None if it is malformed, shorter than ``least``, or longer than ten years."""
    seconds = duration.seconds + duration.nanos / 1e9
    well_formed = abs(duration.nanos) < 1_000_000_000 and duration.seconds * duration.nanos >= 0
    return seconds if well_formed and least <= seconds <= _MAX_EXPIRY else None
