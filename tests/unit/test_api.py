"""The admin API as both ends see it: methods, messages as plain values, errors with their details."""

import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from tests.support.rows import each_row

BIG = 2**63 + 1


class Failed(grpc.RpcError, grpc.Call):
    """A failed call, with an error as a server makes it."""

    def __init__(self, status: Any, metadata: Any = None) -> None:
        super().__init__()
        self._status = status
        self._metadata = api.trailing_metadata(status) if metadata is None else metadata

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.INVALID_ARGUMENT

    def details(self) -> str:
        return str(self._status.message)

    def trailing_metadata(self) -> Any:
        return self._metadata

    initial_metadata = is_active = time_remaining = cancel = add_callback = None  # type: ignore[assignment]  # not looked at


def test_every_method_of_the_service_is_known() -> None:
    """By path and messages; two answer with a stream."""
    assert len(api.METHODS) == 48
    add = api.METHODS["AddRoute"]
    assert add.path == "/mc_proxy.v1.ProxyAdminService/AddRoute"
    assert (add.request, add.response, add.streams) == (pb.AddRouteRequest, pb.MutationResponse, False)
    assert [name for name, method in api.METHODS.items() if method.streams] == ["Backup", "WatchEvents"]
    assert api.SERVICE == "mc_proxy.v1.ProxyAdminService"


def test_plain_values_have_the_fields_names_and_numbers_are_numbers() -> None:
    """Also 64-bit ones, alone, in nested messages, repeated and in maps; what has a value is there, zero or not."""
    status = pb.GetStatusResponse(
        generation=BIG,
        pid=7,
        workers=[pb.Worker(generation=BIG), pb.Worker()],
        listeners=[pb.ListenerStatus(addr=":1", refused={"hello": BIG, "a": 0}, provenance=pb.Provenance(edit_id=3))],
        limits_hit={"pings": 2},
        database=pb.Database(path="/x"),
    )
    status.started.CopyFrom(Timestamp(seconds=1))
    plain = api.to_builtins(status)
    assert plain["generation"] == BIG
    assert plain["pid"] == 7
    assert plain["routes"] == plain["drift"] == 0
    assert [worker["generation"] for worker in plain["workers"]] == [BIG, 0]
    assert plain["workers"][1] == {"pid": 0, "slot": 0, "generation": 0, "draining": False}
    (listener,) = plain["listeners"]
    assert listener["refused"] == {"hello": BIG, "a": 0}
    assert listener["provenance"] == {"origin": "", "edit_id": 3}
    assert listener["max_connections"] == 0
    assert listener["trusted_proxies"] == []
    assert plain["limits_hit"] == {"pings": 2}
    assert plain["database"] == {"path": "/x", "error": "", "set_aside": ""}
    assert plain["started"] == "1970-01-01T00:00:01Z"
    assert json.loads(json.dumps(plain)) == plain


def test_repeated_numbers_and_what_is_absent() -> None:
    """Messages and optional fields that are not there are left out: they have no value, not an empty one."""
    assert api.to_builtins(pb.RevertEditRequest(edit_ids=[1, BIG])) == {
        "edit_ids": [1, BIG],
        "target": "",
        "all": False,
    }
    assert api.to_builtins(pb.UpdateRouteRequest(backend="")) == {"listener": "", "hostname": "", "backend": ""}
    assert "confirm_by" not in api.to_builtins(pb.MutationResponse())
    options = pb.MutationOptions(expires=Duration(seconds=90), expected_generation=5)
    assert api.to_builtins(options) == {
        "author": "",
        "reason": "",
        "expires": "90s",
        "request_id": "",
        "expected_generation": 5,
        "dry_run": False,
        "node": "",
    }


def test_one_message_has_one_text() -> None:
    """Whatever order its fields were set in."""
    one, two = pb.AddRouteRequest(listener=":1", hostname="a"), pb.AddRouteRequest(hostname="a")
    two.listener = ":1"
    assert api.to_json(one) == api.to_json(two) == '{"hostname": "a", "listener": ":1"}'


@pytest.mark.parametrize(
    "violations", [(), (("backend", "has no port"),), (("a", "1"), ("options.author", "ü\n%"), ("a", "2"))]
)
def test_violations_travel_with_an_error(violations: tuple[tuple[str, str], ...]) -> None:
    """As pairs, in order."""
    status = api.invalid_argument("no", violations)
    assert (status.code, status.message) == (3, "no")
    assert api.violations(Failed(status)) == violations


def test_an_error_without_details_has_no_violations() -> None:
    """Nor has one whose details are broken, or another message's."""
    status = api.invalid_argument("no", [("a", "b")])
    assert api.violations(Failed(status, ())) == ()
    assert api.violations(Failed(status, (("grpc-status-details-bin", b"\xff\xff"),))) == ()
    other = api.invalid_argument("another message", [])
    assert api.violations(Failed(status, api.trailing_metadata(other))) == ()
    status.details[0].type_url = "type.googleapis.com/mc_proxy.v1.Edit"
    assert api.violations(Failed(status)) == ()


@each_row("text", ["x", "ü", "%", "\U0001f600", "\n"])
@each_row("count", [1, 5, 500])
def test_an_error_fits_what_clients_take(text: str, count: int) -> None:
    """However long its texts are and however many; what is left out is counted."""
    long = text * 10_000
    status = api.invalid_argument(long, [(f"field{n}", long) for n in range(count)])
    (_, details), *_ = api.trailing_metadata(status)
    encoded = sum(
        1 if " " <= letter <= "~" and letter != "%" else 3 * len(letter.encode()) for letter in status.message
    )
    assert encoded + len(details) * 4 / 3 < 8000
    told = api.violations(Failed(status))
    whole = [description for field, description in told if field]
    assert whole
    assert all(description.startswith(text) for description in whole)
    left_out = count - len(whole)
    assert told[len(whole) :] == ((("", f"and {left_out} more"),) if left_out else ())


def test_a_text_that_fits_is_left_as_it_is() -> None:
    """A longer one is cut, and shows it."""
    assert api.error_text("x" * 1024) == "x" * 1024
    assert api.error_text("x" * 1025) == "x" * 1024 + " ..."
    assert api.error_text("") == ""
