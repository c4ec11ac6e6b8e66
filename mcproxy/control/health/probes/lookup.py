"""The addresses of an endpoint, for checks."""

import asyncio
import socket
from functools import partial

from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.resolver import Addresses, Resolver
from mcproxy.net.sockets import numeric


class Lookup:
    """Looks names up as workers do: what is known is used at once, and refreshed behind the use."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, endpoint: Endpoint) -> Addresses:
        """Return the addresses of an endpoint; none if its name has none."""
        if endpoint.path:
            return ((int(socket.AF_UNIX), endpoint.path),)
        address = numeric(endpoint.host, endpoint.port)
        if address is not None:
            return (address,)
        found: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
        self._resolver.lookup(endpoint.host, endpoint.port, partial(_settle, found))
        return await found


def _settle(found: "asyncio.Future[Addresses]", known: Addresses) -> None:
    if not found.done():  # else the check's time was over
        found.set_result(known)
