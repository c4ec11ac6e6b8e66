"""What nodes of a fleet ask each other for, over the admin API of the other one with mutual TLS. A home of grpc."""

import asyncio

import grpc

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.fleet.store.target import Target
from mcproxy.errors import UnavailableError
from mcproxy.model.config.fleet.shape import FleetNode

_PATIENCE = 5.0  # seconds for an answer
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


async def fetch(node: FleetNode, address: str, name: str) -> tuple[bytes, bytes]:
    """Return chain and key of the certificate that another node has for a hostname.

    Args:
        node: this one, whose certificate of ``[fleet]`` says who asks.
        address: of the other one's admin API.
        name: the hostname.

    Raises:
        UnavailableError: it does not give it.
    """
    try:
        files = await asyncio.to_thread(Target(node.endpoints, node.prefix, node.ca, node.cert, node.key).credentials)
    except OSError as error:
        raise UnavailableError(f"{error.filename} can't be read: {error.strerror}") from error
    channel = grpc.aio.secure_channel(f"dns:///{address}", grpc.ssl_channel_credentials(*files), _OPTIONS)
    async with channel:
        call = channel.unary_unary(
            api.METHODS["FetchCertificate"].path,
            request_serializer=pb.FetchCertificateRequest.SerializeToString,
            response_deserializer=pb.FetchCertificateResponse.FromString,
        )
        try:
            answer = await call(pb.FetchCertificateRequest(name=name), timeout=_PATIENCE)
        except grpc.aio.AioRpcError as error:
            raise UnavailableError(f"{address}: {error.details() or error.code().name.lower()}") from error
    return answer.chain, answer.key
