"""What calls may say beside their own arguments: how long they wait, who makes a change and why, the keys of a route."""

from typing import TypedDict


class Call(TypedDict, total=False):
    """What every call may say.

    Attributes:
        timeout: seconds until the answer must be there; else that of the client.
    """

    timeout: float


class MutationOptions(Call, total=False):
    """What every change may say about itself.

    Attributes:
        author: of the change; over TCP the client certificate's name counts instead.
        reason: why.
        expires: seconds after which the edit ends by itself; None for never.
        request_id: a request that is repeated with the same id is done once, and answered the same. Made up when it
            is left out, so that the client itself may repeat the request when the connection was lost.
        expected_generation: refuse with `AbortedError` unless this generation is live; 0: any.
        dry_run: have it judged, and be answered what would be done; nothing is done.
        guard: seconds to watch what the change touches, and to undo it if too many of its requests fail; 0: for as long as the server's settings say,
            None: not at all.
        node: of a fleet, for which alone the edits are made, "." for the one that is asked; "": they are the fleet's.
        wait: seconds to wait until all nodes of the fleet that are there have made it live, too; None: not at all.
    """

    author: str
    reason: str
    expires: float | None
    request_id: str
    expected_generation: int
    dry_run: bool
    guard: float | None
    node: str
    wait: float | None


class RouteFields(MutationOptions, total=False):
    """What a change of a route may say of it, beside what every change may say; as in the config file."""

    mode: str | None
    tls_cert: str | None
    tls_key: str | None
    certificate: str | None
    names: str | None
    backend_tls: bool | None
    backend_ca: str | None
    backend_server_name: str | None
    backend_cert: str | None
    backend_key: str | None
    backend_protocol: str | None
    send_proxy_protocol: bool | None
    proxy_protocol_version: str | None
    proxy_protocol_destination: str | None
    proxy_protocol_tlvs: bool | None
    preserve_header_case: bool | None
    redirect: str | None
    respond: str | None
    status: int | None
    on_remove: str | None
    connect_timeout: str | None
    idle_timeout: str | None
