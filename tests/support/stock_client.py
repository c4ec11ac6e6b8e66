"""A client of the admin API as anyone may write one: gRPC, protobuf, and nothing of this project.

    python -I stock_client.py proto FOLDER TARGET < calls      stubs made from the .proto files in FOLDER
    python -I stock_client.py reflection - TARGET < calls      everything it knows, the server has told

``calls`` is a JSON list of method and request, as protobuf writes messages in JSON. It prints a JSON object: the methods
of the service, what the health service says, and the answer to each call, or the first message of a stream.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "mc_proxy.v1.ProxyAdminService"
FILE = "mc_proxy/v1/admin.proto"


class Generated:
    """Stubs made from the published file."""

    def __init__(self, folder: str, channel: grpc.Channel) -> None:
        self._out = tempfile.TemporaryDirectory()
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}"]
        subprocess.run(
            [*protoc, f"--python_out={self._out.name}", f"--grpc_python_out={self._out.name}", FILE], check=True
        )
        sys.path.insert(0, self._out.name)
        self._messages = importlib.import_module("mc_proxy.v1.admin_pb2")
        self._stub = importlib.import_module("mc_proxy.v1.admin_pb2_grpc").ProxyAdminServiceStub(channel)
        self.service = self._messages.DESCRIPTOR.services_by_name["ProxyAdminService"]

    def request(self, method: MethodDescriptor) -> Any:
        """Return an empty request."""
        return getattr(self._messages, method.input_type.name)()

    def rpc(self, method: MethodDescriptor) -> Any:
        """Return what calls a method."""
        return getattr(self._stub, method.name)


class Reflected:
    """What the server tells of itself, in a pool of its own."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        database = ProtoReflectionDescriptorDatabase(channel)
        assert SERVICE in database.get_services(), database.get_services()
        self.service = descriptor_pool.DescriptorPool(database).FindServiceByName(SERVICE)

    def request(self, method: MethodDescriptor) -> Any:
        """Return an empty request."""
        return message_factory.GetMessageClass(method.input_type)()

    def rpc(self, method: MethodDescriptor) -> Any:
        """Return what calls a method."""
        make = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        return make(
            f"/{SERVICE}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )


def answer(api: Generated | Reflected, name: str, fields: dict[str, Any]) -> Any:
    """Return the answer to a call as protobuf writes it in JSON, or gRPC's word for the error."""
    method = api.service.methods_by_name[name]
    request = json_format.ParseDict(fields, api.request(method))
    try:
        call = api.rpc(method)(request, timeout=30)
        if method.server_streaming:
            first = next(call)
            call.cancel()
            call = first
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return json_format.MessageToDict(call, preserving_proto_field_name=True)


def main(how: str, folder: str, target: str) -> None:
    """Make the calls that stand on standard input."""
    with grpc.insecure_channel(target) as channel:
        api = Generated(folder, channel) if how == "proto" else Reflected(channel)
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # a field that it sets itself
        names = health_pb2.HealthCheckResponse.ServingStatus.Name
        health = {
            service: names(check(health_pb2.HealthCheckRequest(service=service), timeout=30).status)
            for service in ("", SERVICE)
        }
        answers = [[name, answer(api, name, fields)] for name, fields in json.load(sys.stdin)]
    known = [name for name in sys.modules if name.partition(".")[0] == "mcproxy"]
    print(
        json.dumps(
            {"methods": [m.name for m in api.service.methods], "health": health, "answers": answers, "known": known}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
