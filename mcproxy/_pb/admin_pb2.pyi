import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MutationOptions(_message.Message):
    __slots__ = ("author", "reason", "expires", "request_id", "expected_generation", "dry_run", "guard", "node", "wait")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    GUARD_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    author: str
    reason: str
    expires: _duration_pb2.Duration
    request_id: str
    expected_generation: int
    dry_run: bool
    guard: _duration_pb2.Duration
    node: str
    wait: _duration_pb2.Duration
    def __init__(self, author: _Optional[str] = ..., reason: _Optional[str] = ..., expires: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ..., expected_generation: _Optional[int] = ..., dry_run: _Optional[bool] = ..., guard: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., node: _Optional[str] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class MutationResponse(_message.Message):
    __slots__ = ("generation", "edits", "warnings", "plan", "confirm_id", "confirm_by", "dry_run", "guarded_until")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_BY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    GUARDED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    generation: int
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    warnings: _containers.RepeatedCompositeFieldContainer[Violation]
    plan: _containers.RepeatedScalarFieldContainer[str]
    confirm_id: int
    confirm_by: _timestamp_pb2.Timestamp
    dry_run: bool
    guarded_until: _timestamp_pb2.Timestamp
    def __init__(self, generation: _Optional[int] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[Violation, _Mapping]]] = ..., plan: _Optional[_Iterable[str]] = ..., confirm_id: _Optional[int] = ..., confirm_by: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dry_run: _Optional[bool] = ..., guarded_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Violation(_message.Message):
    __slots__ = ("field", "message")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    field: str
    message: str
    def __init__(self, field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "pid", "started", "config_path", "generation", "workers", "listeners", "routes", "last_reload", "database", "drift", "confirm_id", "confirm_by", "limits_hit", "worker_restarts", "broken_files", "failing_routes", "failing_routes_total", "expiring_certificates", "troubled_upstreams", "troubled_upstreams_total", "limits_hit_recently", "data_path", "data_path_reason", "guards", "last_guarded", "label", "failing_certificates", "failing_certificates_total", "fleet")
    class LimitsHitEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LimitsHitRecentlyEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    CONFIG_PATH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    LISTENERS_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    LAST_RELOAD_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_BY_FIELD_NUMBER: _ClassVar[int]
    LIMITS_HIT_FIELD_NUMBER: _ClassVar[int]
    WORKER_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    BROKEN_FILES_FIELD_NUMBER: _ClassVar[int]
    FAILING_ROUTES_FIELD_NUMBER: _ClassVar[int]
    FAILING_ROUTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    EXPIRING_CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    TROUBLED_UPSTREAMS_FIELD_NUMBER: _ClassVar[int]
    TROUBLED_UPSTREAMS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    LIMITS_HIT_RECENTLY_FIELD_NUMBER: _ClassVar[int]
    DATA_PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_PATH_REASON_FIELD_NUMBER: _ClassVar[int]
    GUARDS_FIELD_NUMBER: _ClassVar[int]
    LAST_GUARDED_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    FAILING_CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    FAILING_CERTIFICATES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    version: str
    pid: int
    started: _timestamp_pb2.Timestamp
    config_path: str
    generation: int
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    listeners: _containers.RepeatedCompositeFieldContainer[ListenerStatus]
    routes: int
    last_reload: Reload
    database: Database
    drift: int
    confirm_id: int
    confirm_by: _timestamp_pb2.Timestamp
    limits_hit: _containers.ScalarMap[str, int]
    worker_restarts: int
    broken_files: _containers.RepeatedCompositeFieldContainer[BrokenFile]
    failing_routes: _containers.RepeatedCompositeFieldContainer[FailingRoute]
    failing_routes_total: int
    expiring_certificates: _containers.RepeatedCompositeFieldContainer[ExpiringCertificate]
    troubled_upstreams: _containers.RepeatedCompositeFieldContainer[UpstreamStatus]
    troubled_upstreams_total: int
    limits_hit_recently: _containers.ScalarMap[str, int]
    data_path: str
    data_path_reason: str
    guards: _containers.RepeatedCompositeFieldContainer[GuardWatch]
    last_guarded: GuardVerdict
    label: str
    failing_certificates: _containers.RepeatedCompositeFieldContainer[Certificate]
    failing_certificates_total: int
    fleet: NodeStatus
    def __init__(self, version: _Optional[str] = ..., pid: _Optional[int] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., config_path: _Optional[str] = ..., generation: _Optional[int] = ..., workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., listeners: _Optional[_Iterable[_Union[ListenerStatus, _Mapping]]] = ..., routes: _Optional[int] = ..., last_reload: _Optional[_Union[Reload, _Mapping]] = ..., database: _Optional[_Union[Database, _Mapping]] = ..., drift: _Optional[int] = ..., confirm_id: _Optional[int] = ..., confirm_by: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limits_hit: _Optional[_Mapping[str, int]] = ..., worker_restarts: _Optional[int] = ..., broken_files: _Optional[_Iterable[_Union[BrokenFile, _Mapping]]] = ..., failing_routes: _Optional[_Iterable[_Union[FailingRoute, _Mapping]]] = ..., failing_routes_total: _Optional[int] = ..., expiring_certificates: _Optional[_Iterable[_Union[ExpiringCertificate, _Mapping]]] = ..., troubled_upstreams: _Optional[_Iterable[_Union[UpstreamStatus, _Mapping]]] = ..., troubled_upstreams_total: _Optional[int] = ..., limits_hit_recently: _Optional[_Mapping[str, int]] = ..., data_path: _Optional[str] = ..., data_path_reason: _Optional[str] = ..., guards: _Optional[_Iterable[_Union[GuardWatch, _Mapping]]] = ..., last_guarded: _Optional[_Union[GuardVerdict, _Mapping]] = ..., label: _Optional[str] = ..., failing_certificates: _Optional[_Iterable[_Union[Certificate, _Mapping]]] = ..., failing_certificates_total: _Optional[int] = ..., fleet: _Optional[_Union[NodeStatus, _Mapping]] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("node", "prefix", "revision", "label", "canary", "fleet_revision", "connected", "since", "why", "problems", "nodes", "nodes_off", "tried_revision", "returned_revision", "returned_why")
    NODE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    FLEET_REVISION_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NODES_OFF_FIELD_NUMBER: _ClassVar[int]
    TRIED_REVISION_FIELD_NUMBER: _ClassVar[int]
    RETURNED_REVISION_FIELD_NUMBER: _ClassVar[int]
    RETURNED_WHY_FIELD_NUMBER: _ClassVar[int]
    node: str
    prefix: str
    revision: int
    label: str
    canary: bool
    fleet_revision: int
    connected: bool
    since: _timestamp_pb2.Timestamp
    why: str
    problems: _containers.RepeatedScalarFieldContainer[str]
    nodes: int
    nodes_off: int
    tried_revision: int
    returned_revision: int
    returned_why: str
    def __init__(self, node: _Optional[str] = ..., prefix: _Optional[str] = ..., revision: _Optional[int] = ..., label: _Optional[str] = ..., canary: _Optional[bool] = ..., fleet_revision: _Optional[int] = ..., connected: _Optional[bool] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ..., problems: _Optional[_Iterable[str]] = ..., nodes: _Optional[int] = ..., nodes_off: _Optional[int] = ..., tried_revision: _Optional[int] = ..., returned_revision: _Optional[int] = ..., returned_why: _Optional[str] = ...) -> None: ...

class GuardWatch(_message.Message):
    __slots__ = ("generation", "until", "touched", "touched_total", "answered", "errors")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    TOUCHED_FIELD_NUMBER: _ClassVar[int]
    TOUCHED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    until: _timestamp_pb2.Timestamp
    touched: _containers.RepeatedScalarFieldContainer[str]
    touched_total: int
    answered: int
    errors: int
    def __init__(self, generation: _Optional[int] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., touched: _Optional[_Iterable[str]] = ..., touched_total: _Optional[int] = ..., answered: _Optional[int] = ..., errors: _Optional[int] = ...) -> None: ...

class GuardVerdict(_message.Message):
    __slots__ = ("generation", "time", "outcome", "detail")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    generation: int
    time: _timestamp_pb2.Timestamp
    outcome: str
    detail: str
    def __init__(self, generation: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class UpstreamStatus(_message.Message):
    __slots__ = ("name", "own", "balance", "check", "endpoints", "ready", "usable", "condition", "routes", "active", "provenance")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    USABLE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    own: bool
    balance: str
    check: str
    endpoints: int
    ready: int
    usable: int
    condition: str
    routes: int
    active: int
    provenance: Provenance
    def __init__(self, name: _Optional[str] = ..., own: _Optional[bool] = ..., balance: _Optional[str] = ..., check: _Optional[str] = ..., endpoints: _Optional[int] = ..., ready: _Optional[int] = ..., usable: _Optional[int] = ..., condition: _Optional[str] = ..., routes: _Optional[int] = ..., active: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class ExpiringCertificate(_message.Message):
    __slots__ = ("listener", "hostname", "not_after")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    not_after: _timestamp_pb2.Timestamp
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FailingRoute(_message.Message):
    __slots__ = ("listener", "hostname", "backend", "since", "last_error", "last_error_time", "errors")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_TIME_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    backend: str
    since: _timestamp_pb2.Timestamp
    last_error: str
    last_error_time: _timestamp_pb2.Timestamp
    errors: int
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., backend: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_error: _Optional[str] = ..., last_error_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., errors: _Optional[int] = ...) -> None: ...

class BrokenFile(_message.Message):
    __slots__ = ("listener", "hostname", "key", "message")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    key: str
    message: str
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., key: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("pid", "slot", "generation", "draining")
    PID_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    pid: int
    slot: int
    generation: int
    draining: bool
    def __init__(self, pid: _Optional[int] = ..., slot: _Optional[int] = ..., generation: _Optional[int] = ..., draining: _Optional[bool] = ...) -> None: ...

class Reload(_message.Message):
    __slots__ = ("succeeded", "time", "problems", "tries", "next_try", "failing_tests")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_FIELD_NUMBER: _ClassVar[int]
    FAILING_TESTS_FIELD_NUMBER: _ClassVar[int]
    succeeded: bool
    time: _timestamp_pb2.Timestamp
    problems: _containers.RepeatedScalarFieldContainer[str]
    tries: int
    next_try: _timestamp_pb2.Timestamp
    failing_tests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, succeeded: _Optional[bool] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., problems: _Optional[_Iterable[str]] = ..., tries: _Optional[int] = ..., next_try: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failing_tests: _Optional[_Iterable[str]] = ...) -> None: ...

class Database(_message.Message):
    __slots__ = ("path", "error", "set_aside")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SET_ASIDE_FIELD_NUMBER: _ClassVar[int]
    path: str
    error: str
    set_aside: str
    def __init__(self, path: _Optional[str] = ..., error: _Optional[str] = ..., set_aside: _Optional[str] = ...) -> None: ...

class ListenerStatus(_message.Message):
    __slots__ = ("addr", "proxy_protocol", "trusted_proxies", "max_connections", "routes", "active_connections", "accepted_connections", "refused", "provenance", "untrusted", "failed", "client_aborts", "health_checks", "freebind", "refused_recently", "protocol", "use", "real_ip")
    class RefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class FailedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ClientAbortsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class RefusedRecentlyEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ADDR_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_PROXIES_FIELD_NUMBER: _ClassVar[int]
    MAX_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ABORTS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_CHECKS_FIELD_NUMBER: _ClassVar[int]
    FREEBIND_FIELD_NUMBER: _ClassVar[int]
    REFUSED_RECENTLY_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    REAL_IP_FIELD_NUMBER: _ClassVar[int]
    addr: str
    proxy_protocol: bool
    trusted_proxies: _containers.RepeatedScalarFieldContainer[str]
    max_connections: int
    routes: int
    active_connections: int
    accepted_connections: int
    refused: _containers.ScalarMap[str, int]
    provenance: Provenance
    untrusted: str
    failed: _containers.ScalarMap[str, int]
    client_aborts: _containers.ScalarMap[str, int]
    health_checks: int
    freebind: bool
    refused_recently: _containers.ScalarMap[str, int]
    protocol: str
    use: _containers.RepeatedScalarFieldContainer[str]
    real_ip: RealIp
    def __init__(self, addr: _Optional[str] = ..., proxy_protocol: _Optional[bool] = ..., trusted_proxies: _Optional[_Iterable[str]] = ..., max_connections: _Optional[int] = ..., routes: _Optional[int] = ..., active_connections: _Optional[int] = ..., accepted_connections: _Optional[int] = ..., refused: _Optional[_Mapping[str, int]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., untrusted: _Optional[str] = ..., failed: _Optional[_Mapping[str, int]] = ..., client_aborts: _Optional[_Mapping[str, int]] = ..., health_checks: _Optional[int] = ..., freebind: _Optional[bool] = ..., refused_recently: _Optional[_Mapping[str, int]] = ..., protocol: _Optional[str] = ..., use: _Optional[_Iterable[str]] = ..., real_ip: _Optional[_Union[RealIp, _Mapping]] = ...) -> None: ...

class RealIp(_message.Message):
    __slots__ = ("header", "networks")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    header: str
    networks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, header: _Optional[str] = ..., networks: _Optional[_Iterable[str]] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("origin", "edit_id")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    EDIT_ID_FIELD_NUMBER: _ClassVar[int]
    origin: str
    edit_id: int
    def __init__(self, origin: _Optional[str] = ..., edit_id: _Optional[int] = ...) -> None: ...

class ListListenersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListListenersResponse(_message.Message):
    __slots__ = ("generation", "listeners")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LISTENERS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    listeners: _containers.RepeatedCompositeFieldContainer[ListenerStatus]
    def __init__(self, generation: _Optional[int] = ..., listeners: _Optional[_Iterable[_Union[ListenerStatus, _Mapping]]] = ...) -> None: ...

class SetListenerMaxConnectionsRequest(_message.Message):
    __slots__ = ("listener", "max_connections", "options")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    MAX_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    listener: str
    max_connections: int
    options: MutationOptions
    def __init__(self, listener: _Optional[str] = ..., max_connections: _Optional[int] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("listener", "hostname", "backend", "mode", "tls_cert", "tls_key", "backend_tls", "backend_ca", "backend_server_name", "backend_protocol", "send_proxy_protocol", "on_remove", "l7_policies", "active_connections", "connections", "bytes_received", "bytes_sent", "provenance", "requests", "connect_timeout", "idle_timeout", "proxy_protocol_version", "proxy_protocol_destination", "proxy_protocol_tlvs", "preserve_header_case", "redirect", "respond", "status", "backend_cert", "backend_key", "certificate", "names", "errors_total", "errors", "last_error", "last_error_time", "client_aborts", "grpc_requests", "failing_since", "filters", "cases", "filter_blocks", "respond_file")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ClientAbortsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class GrpcRequestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class FilterBlocksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TLS_CERT_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_FIELD_NUMBER: _ClassVar[int]
    BACKEND_TLS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_CA_FIELD_NUMBER: _ClassVar[int]
    BACKEND_SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SEND_PROXY_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ON_REMOVE_FIELD_NUMBER: _ClassVar[int]
    L7_POLICIES_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_DESTINATION_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_TLVS_FIELD_NUMBER: _ClassVar[int]
    PRESERVE_HEADER_CASE_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    RESPOND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_CERT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_KEY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_TIME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ABORTS_FIELD_NUMBER: _ClassVar[int]
    GRPC_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    CASES_FIELD_NUMBER: _ClassVar[int]
    FILTER_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    RESPOND_FILE_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    backend: str
    mode: str
    tls_cert: str
    tls_key: str
    backend_tls: bool
    backend_ca: str
    backend_server_name: str
    backend_protocol: str
    send_proxy_protocol: bool
    on_remove: str
    l7_policies: _containers.RepeatedCompositeFieldContainer[L7Policy]
    active_connections: int
    connections: int
    bytes_received: int
    bytes_sent: int
    provenance: Provenance
    requests: int
    connect_timeout: str
    idle_timeout: str
    proxy_protocol_version: str
    proxy_protocol_destination: str
    proxy_protocol_tlvs: bool
    preserve_header_case: bool
    redirect: str
    respond: str
    status: int
    backend_cert: str
    backend_key: str
    certificate: str
    names: str
    errors_total: int
    errors: _containers.ScalarMap[str, int]
    last_error: str
    last_error_time: _timestamp_pb2.Timestamp
    client_aborts: _containers.ScalarMap[str, int]
    grpc_requests: _containers.ScalarMap[str, int]
    failing_since: _timestamp_pb2.Timestamp
    filters: _containers.RepeatedScalarFieldContainer[str]
    cases: _containers.RepeatedCompositeFieldContainer[RouteCase]
    filter_blocks: _containers.ScalarMap[str, int]
    respond_file: str
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., backend: _Optional[str] = ..., mode: _Optional[str] = ..., tls_cert: _Optional[str] = ..., tls_key: _Optional[str] = ..., backend_tls: _Optional[bool] = ..., backend_ca: _Optional[str] = ..., backend_server_name: _Optional[str] = ..., backend_protocol: _Optional[str] = ..., send_proxy_protocol: _Optional[bool] = ..., on_remove: _Optional[str] = ..., l7_policies: _Optional[_Iterable[_Union[L7Policy, _Mapping]]] = ..., active_connections: _Optional[int] = ..., connections: _Optional[int] = ..., bytes_received: _Optional[int] = ..., bytes_sent: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., requests: _Optional[int] = ..., connect_timeout: _Optional[str] = ..., idle_timeout: _Optional[str] = ..., proxy_protocol_version: _Optional[str] = ..., proxy_protocol_destination: _Optional[str] = ..., proxy_protocol_tlvs: _Optional[bool] = ..., preserve_header_case: _Optional[bool] = ..., redirect: _Optional[str] = ..., respond: _Optional[str] = ..., status: _Optional[int] = ..., backend_cert: _Optional[str] = ..., backend_key: _Optional[str] = ..., certificate: _Optional[str] = ..., names: _Optional[str] = ..., errors_total: _Optional[int] = ..., errors: _Optional[_Mapping[str, int]] = ..., last_error: _Optional[str] = ..., last_error_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client_aborts: _Optional[_Mapping[str, int]] = ..., grpc_requests: _Optional[_Mapping[str, int]] = ..., failing_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., filters: _Optional[_Iterable[str]] = ..., cases: _Optional[_Iterable[_Union[RouteCase, _Mapping]]] = ..., filter_blocks: _Optional[_Mapping[str, int]] = ..., respond_file: _Optional[str] = ...) -> None: ...

class RouteCase(_message.Message):
    __slots__ = ("match", "action", "filters", "requests", "provenance")
    MATCH_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    match: str
    action: str
    filters: _containers.RepeatedScalarFieldContainer[str]
    requests: int
    provenance: Provenance
    def __init__(self, match: _Optional[str] = ..., action: _Optional[str] = ..., filters: _Optional[_Iterable[str]] = ..., requests: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class ListRoutesRequest(_message.Message):
    __slots__ = ("listener",)
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    listener: str
    def __init__(self, listener: _Optional[str] = ...) -> None: ...

class ListRoutesResponse(_message.Message):
    __slots__ = ("generation", "routes")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    def __init__(self, generation: _Optional[int] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ...) -> None: ...

class AddRouteRequest(_message.Message):
    __slots__ = ("listener", "hostname", "backend", "mode", "tls_cert", "tls_key", "backend_tls", "backend_ca", "backend_server_name", "backend_protocol", "send_proxy_protocol", "on_remove", "connect_timeout", "idle_timeout", "options", "proxy_protocol_version", "proxy_protocol_destination", "proxy_protocol_tlvs", "preserve_header_case", "redirect", "respond", "status", "backend_cert", "backend_key", "certificate", "names")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TLS_CERT_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_FIELD_NUMBER: _ClassVar[int]
    BACKEND_TLS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_CA_FIELD_NUMBER: _ClassVar[int]
    BACKEND_SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SEND_PROXY_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ON_REMOVE_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_DESTINATION_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_TLVS_FIELD_NUMBER: _ClassVar[int]
    PRESERVE_HEADER_CASE_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    RESPOND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_CERT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_KEY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    backend: str
    mode: str
    tls_cert: str
    tls_key: str
    backend_tls: bool
    backend_ca: str
    backend_server_name: str
    backend_protocol: str
    send_proxy_protocol: bool
    on_remove: str
    connect_timeout: str
    idle_timeout: str
    options: MutationOptions
    proxy_protocol_version: str
    proxy_protocol_destination: str
    proxy_protocol_tlvs: bool
    preserve_header_case: bool
    redirect: str
    respond: str
    status: int
    backend_cert: str
    backend_key: str
    certificate: str
    names: str
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., backend: _Optional[str] = ..., mode: _Optional[str] = ..., tls_cert: _Optional[str] = ..., tls_key: _Optional[str] = ..., backend_tls: _Optional[bool] = ..., backend_ca: _Optional[str] = ..., backend_server_name: _Optional[str] = ..., backend_protocol: _Optional[str] = ..., send_proxy_protocol: _Optional[bool] = ..., on_remove: _Optional[str] = ..., connect_timeout: _Optional[str] = ..., idle_timeout: _Optional[str] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ..., proxy_protocol_version: _Optional[str] = ..., proxy_protocol_destination: _Optional[str] = ..., proxy_protocol_tlvs: _Optional[bool] = ..., preserve_header_case: _Optional[bool] = ..., redirect: _Optional[str] = ..., respond: _Optional[str] = ..., status: _Optional[int] = ..., backend_cert: _Optional[str] = ..., backend_key: _Optional[str] = ..., certificate: _Optional[str] = ..., names: _Optional[str] = ...) -> None: ...

class UpdateRouteRequest(_message.Message):
    __slots__ = ("listener", "hostname", "backend", "mode", "tls_cert", "tls_key", "backend_tls", "backend_ca", "backend_server_name", "backend_protocol", "send_proxy_protocol", "on_remove", "connect_timeout", "idle_timeout", "options", "proxy_protocol_version", "proxy_protocol_destination", "proxy_protocol_tlvs", "preserve_header_case", "redirect", "respond", "status", "backend_cert", "backend_key", "certificate", "names")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TLS_CERT_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_FIELD_NUMBER: _ClassVar[int]
    BACKEND_TLS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_CA_FIELD_NUMBER: _ClassVar[int]
    BACKEND_SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
    BACKEND_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SEND_PROXY_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ON_REMOVE_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_DESTINATION_FIELD_NUMBER: _ClassVar[int]
    PROXY_PROTOCOL_TLVS_FIELD_NUMBER: _ClassVar[int]
    PRESERVE_HEADER_CASE_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    RESPOND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_CERT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_KEY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    backend: str
    mode: str
    tls_cert: str
    tls_key: str
    backend_tls: bool
    backend_ca: str
    backend_server_name: str
    backend_protocol: str
    send_proxy_protocol: bool
    on_remove: str
    connect_timeout: str
    idle_timeout: str
    options: MutationOptions
    proxy_protocol_version: str
    proxy_protocol_destination: str
    proxy_protocol_tlvs: bool
    preserve_header_case: bool
    redirect: str
    respond: str
    status: int
    backend_cert: str
    backend_key: str
    certificate: str
    names: str
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., backend: _Optional[str] = ..., mode: _Optional[str] = ..., tls_cert: _Optional[str] = ..., tls_key: _Optional[str] = ..., backend_tls: _Optional[bool] = ..., backend_ca: _Optional[str] = ..., backend_server_name: _Optional[str] = ..., backend_protocol: _Optional[str] = ..., send_proxy_protocol: _Optional[bool] = ..., on_remove: _Optional[str] = ..., connect_timeout: _Optional[str] = ..., idle_timeout: _Optional[str] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ..., proxy_protocol_version: _Optional[str] = ..., proxy_protocol_destination: _Optional[str] = ..., proxy_protocol_tlvs: _Optional[bool] = ..., preserve_header_case: _Optional[bool] = ..., redirect: _Optional[str] = ..., respond: _Optional[str] = ..., status: _Optional[int] = ..., backend_cert: _Optional[str] = ..., backend_key: _Optional[str] = ..., certificate: _Optional[str] = ..., names: _Optional[str] = ...) -> None: ...

class RemoveRouteRequest(_message.Message):
    __slots__ = ("listener", "hostname", "options")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    options: MutationOptions
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class L7Policy(_message.Message):
    __slots__ = ("listener", "hostname", "type", "value", "blocked_requests", "provenance")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    type: str
    value: str
    blocked_requests: int
    provenance: Provenance
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., type: _Optional[str] = ..., value: _Optional[str] = ..., blocked_requests: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class ListL7PoliciesRequest(_message.Message):
    __slots__ = ("listener", "hostname")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ...) -> None: ...

class ListL7PoliciesResponse(_message.Message):
    __slots__ = ("generation", "policies")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    policies: _containers.RepeatedCompositeFieldContainer[L7Policy]
    def __init__(self, generation: _Optional[int] = ..., policies: _Optional[_Iterable[_Union[L7Policy, _Mapping]]] = ...) -> None: ...

class AddL7PolicyRequest(_message.Message):
    __slots__ = ("listener", "hostname", "type", "value", "options")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    type: str
    value: str
    options: MutationOptions
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., type: _Optional[str] = ..., value: _Optional[str] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class RemoveL7PolicyRequest(_message.Message):
    __slots__ = ("listener", "hostname", "type", "value", "options")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    type: str
    value: str
    options: MutationOptions
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., type: _Optional[str] = ..., value: _Optional[str] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class FirewallRule(_message.Message):
    __slots__ = ("type", "value", "provenance")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    type: str
    value: str
    provenance: Provenance
    def __init__(self, type: _Optional[str] = ..., value: _Optional[str] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class GetFirewallRulesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetFirewallRulesResponse(_message.Message):
    __slots__ = ("generation", "rules", "rate_limit", "rate_window", "geoip_db", "blocked", "default", "connections_per_client")
    class BlockedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RATE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    GEOIP_DB_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_PER_CLIENT_FIELD_NUMBER: _ClassVar[int]
    generation: int
    rules: _containers.RepeatedCompositeFieldContainer[FirewallRule]
    rate_limit: int
    rate_window: _duration_pb2.Duration
    geoip_db: str
    blocked: _containers.ScalarMap[str, int]
    default: str
    connections_per_client: int
    def __init__(self, generation: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[FirewallRule, _Mapping]]] = ..., rate_limit: _Optional[int] = ..., rate_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., geoip_db: _Optional[str] = ..., blocked: _Optional[_Mapping[str, int]] = ..., default: _Optional[str] = ..., connections_per_client: _Optional[int] = ...) -> None: ...

class AddFirewallRuleRequest(_message.Message):
    __slots__ = ("type", "value", "options")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    type: str
    value: str
    options: MutationOptions
    def __init__(self, type: _Optional[str] = ..., value: _Optional[str] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class SetFirewallRateLimitRequest(_message.Message):
    __slots__ = ("rate_limit", "rate_window", "options")
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RATE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    rate_limit: int
    rate_window: _duration_pb2.Duration
    options: MutationOptions
    def __init__(self, rate_limit: _Optional[int] = ..., rate_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class SetFirewallRequest(_message.Message):
    __slots__ = ("default", "connections_per_client", "options")
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_PER_CLIENT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    default: str
    connections_per_client: int
    options: MutationOptions
    def __init__(self, default: _Optional[str] = ..., connections_per_client: _Optional[int] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class RemoveFirewallRuleRequest(_message.Message):
    __slots__ = ("type", "value", "options")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    type: str
    value: str
    options: MutationOptions
    def __init__(self, type: _Optional[str] = ..., value: _Optional[str] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("upstream", "address", "label", "state", "verdict", "since", "reason", "usable", "last_check", "check_duration", "last_error", "overdue", "weight", "share", "backup", "max_active", "active", "connections", "dial_failures", "errors", "resets", "retries", "ejections", "bytes_received", "bytes_sent", "provenance")
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    USABLE_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECK_FIELD_NUMBER: _ClassVar[int]
    CHECK_DURATION_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    MAX_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    DIAL_FAILURES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    RESETS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    EJECTIONS_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    upstream: str
    address: str
    label: str
    state: str
    verdict: str
    since: _timestamp_pb2.Timestamp
    reason: str
    usable: bool
    last_check: _timestamp_pb2.Timestamp
    check_duration: _duration_pb2.Duration
    last_error: str
    overdue: bool
    weight: int
    share: float
    backup: bool
    max_active: int
    active: int
    connections: int
    dial_failures: int
    errors: int
    resets: int
    retries: int
    ejections: int
    bytes_received: int
    bytes_sent: int
    provenance: Provenance
    def __init__(self, upstream: _Optional[str] = ..., address: _Optional[str] = ..., label: _Optional[str] = ..., state: _Optional[str] = ..., verdict: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., usable: _Optional[bool] = ..., last_check: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., check_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., last_error: _Optional[str] = ..., overdue: _Optional[bool] = ..., weight: _Optional[int] = ..., share: _Optional[float] = ..., backup: _Optional[bool] = ..., max_active: _Optional[int] = ..., active: _Optional[int] = ..., connections: _Optional[int] = ..., dial_failures: _Optional[int] = ..., errors: _Optional[int] = ..., resets: _Optional[int] = ..., retries: _Optional[int] = ..., ejections: _Optional[int] = ..., bytes_received: _Optional[int] = ..., bytes_sent: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class ListEndpointsRequest(_message.Message):
    __slots__ = ("upstream",)
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    upstream: str
    def __init__(self, upstream: _Optional[str] = ...) -> None: ...

class ListEndpointsResponse(_message.Message):
    __slots__ = ("generation", "upstreams", "endpoints")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    UPSTREAMS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    upstreams: _containers.RepeatedCompositeFieldContainer[UpstreamStatus]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    def __init__(self, generation: _Optional[int] = ..., upstreams: _Optional[_Iterable[_Union[UpstreamStatus, _Mapping]]] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ...) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("name", "names", "issuer", "not_before", "not_after", "renewal", "ordering", "failures", "next_try", "error", "summary", "file")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    ORDERING_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    names: _containers.RepeatedScalarFieldContainer[str]
    issuer: str
    not_before: _timestamp_pb2.Timestamp
    not_after: _timestamp_pb2.Timestamp
    renewal: _timestamp_pb2.Timestamp
    ordering: bool
    failures: int
    next_try: _timestamp_pb2.Timestamp
    error: str
    summary: str
    file: str
    def __init__(self, name: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., issuer: _Optional[str] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., renewal: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ordering: _Optional[bool] = ..., failures: _Optional[int] = ..., next_try: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ..., summary: _Optional[str] = ..., file: _Optional[str] = ...) -> None: ...

class ListCertificatesRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListCertificatesResponse(_message.Message):
    __slots__ = ("generation", "certificates")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    certificates: _containers.RepeatedCompositeFieldContainer[Certificate]
    def __init__(self, generation: _Optional[int] = ..., certificates: _Optional[_Iterable[_Union[Certificate, _Mapping]]] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("name", "author", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    author: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RenewCertificateResponse(_message.Message):
    __slots__ = ("certificate",)
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: Certificate
    def __init__(self, certificate: _Optional[_Union[Certificate, _Mapping]] = ...) -> None: ...

class TryCertificateRequest(_message.Message):
    __slots__ = ("name", "author", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    author: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class TryCertificateResponse(_message.Message):
    __slots__ = ("certificate", "directory")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    certificate: Certificate
    directory: str
    def __init__(self, certificate: _Optional[_Union[Certificate, _Mapping]] = ..., directory: _Optional[str] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("kind", "key", "target", "fields_json", "provenance")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: _containers.RepeatedScalarFieldContainer[str]
    target: str
    fields_json: str
    provenance: Provenance
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[_Iterable[str]] = ..., target: _Optional[str] = ..., fields_json: _Optional[str] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class ListResourcesRequest(_message.Message):
    __slots__ = ("kind", "key")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[_Iterable[str]] = ...) -> None: ...

class ListResourcesResponse(_message.Message):
    __slots__ = ("generation", "resources")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    def __init__(self, generation: _Optional[int] = ..., resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ...) -> None: ...

class PutResourceRequest(_message.Message):
    __slots__ = ("kind", "key", "fields_json", "must_exist", "options")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    MUST_EXIST_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: _containers.RepeatedScalarFieldContainer[str]
    fields_json: str
    must_exist: bool
    options: MutationOptions
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[_Iterable[str]] = ..., fields_json: _Optional[str] = ..., must_exist: _Optional[bool] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class RemoveResourceRequest(_message.Message):
    __slots__ = ("kind", "key", "options")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: _containers.RepeatedScalarFieldContainer[str]
    options: MutationOptions
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[_Iterable[str]] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class PlanRequest(_message.Message):
    __slots__ = ("toml",)
    TOML_FIELD_NUMBER: _ClassVar[int]
    toml: str
    def __init__(self, toml: _Optional[str] = ...) -> None: ...

class PlanResponse(_message.Message):
    __slots__ = ("summary", "lines", "json", "warnings")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    summary: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    json: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, summary: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ..., json: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ReloadRequest(_message.Message):
    __slots__ = ("allow_shrink", "label")
    ALLOW_SHRINK_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    allow_shrink: bool
    label: str
    def __init__(self, allow_shrink: _Optional[bool] = ..., label: _Optional[str] = ...) -> None: ...

class ReloadResponse(_message.Message):
    __slots__ = ("generation", "summary", "lines", "warnings", "labelled")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    LABELLED_FIELD_NUMBER: _ClassVar[int]
    generation: int
    summary: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    labelled: int
    def __init__(self, generation: _Optional[int] = ..., summary: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ..., labelled: _Optional[int] = ...) -> None: ...

class RestartRequest(_message.Message):
    __slots__ = ("author", "reason")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    author: str
    reason: str
    def __init__(self, author: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RestartResponse(_message.Message):
    __slots__ = ("pid", "version", "generation")
    PID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    pid: int
    version: str
    generation: int
    def __init__(self, pid: _Optional[int] = ..., version: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("id", "kind", "target", "tombstone", "value_json", "author", "reason", "created", "expires")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    id: int
    kind: str
    target: str
    tombstone: bool
    value_json: str
    author: str
    reason: str
    created: _timestamp_pb2.Timestamp
    expires: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[int] = ..., kind: _Optional[str] = ..., target: _Optional[str] = ..., tombstone: _Optional[bool] = ..., value_json: _Optional[str] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetDriftRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDriftResponse(_message.Message):
    __slots__ = ("generation", "differences")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    def __init__(self, generation: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("kind", "target", "action", "declared_json", "effective_json", "origin", "edit", "suspended", "summary", "node_alone")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DECLARED_JSON_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    NODE_ALONE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    target: str
    action: str
    declared_json: str
    effective_json: str
    origin: str
    edit: Edit
    suspended: str
    summary: str
    node_alone: bool
    def __init__(self, kind: _Optional[str] = ..., target: _Optional[str] = ..., action: _Optional[str] = ..., declared_json: _Optional[str] = ..., effective_json: _Optional[str] = ..., origin: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ..., suspended: _Optional[str] = ..., summary: _Optional[str] = ..., node_alone: _Optional[bool] = ...) -> None: ...

class RevertEditRequest(_message.Message):
    __slots__ = ("edit_ids", "target", "all", "options")
    EDIT_IDS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    edit_ids: _containers.RepeatedScalarFieldContainer[int]
    target: str
    all: bool
    options: MutationOptions
    def __init__(self, edit_ids: _Optional[_Iterable[int]] = ..., target: _Optional[str] = ..., all: _Optional[bool] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("generation", "files")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    files: _containers.RepeatedCompositeFieldContainer[ExportedFile]
    def __init__(self, generation: _Optional[int] = ..., files: _Optional[_Iterable[_Union[ExportedFile, _Mapping]]] = ...) -> None: ...

class ExportedFile(_message.Message):
    __slots__ = ("path", "text", "changed", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    text: str
    changed: bool
    sha256: str
    def __init__(self, path: _Optional[str] = ..., text: _Optional[str] = ..., changed: _Optional[bool] = ..., sha256: _Optional[str] = ...) -> None: ...

class Revision(_message.Message):
    __slots__ = ("generation", "time", "origin", "author", "file_sha256", "summary", "label")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    FILE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    generation: int
    time: _timestamp_pb2.Timestamp
    origin: str
    author: str
    file_sha256: str
    summary: str
    label: str
    def __init__(self, generation: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., origin: _Optional[str] = ..., author: _Optional[str] = ..., file_sha256: _Optional[str] = ..., summary: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class ListRevisionsRequest(_message.Message):
    __slots__ = ("limit", "before", "kind", "key")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    limit: int
    before: int
    kind: str
    key: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, limit: _Optional[int] = ..., before: _Optional[int] = ..., kind: _Optional[str] = ..., key: _Optional[_Iterable[str]] = ...) -> None: ...

class ListRevisionsResponse(_message.Message):
    __slots__ = ("revisions", "since")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[Revision]
    since: int
    def __init__(self, revisions: _Optional[_Iterable[_Union[Revision, _Mapping]]] = ..., since: _Optional[int] = ...) -> None: ...

class Moment(_message.Message):
    __slots__ = ("generation", "time")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    generation: int
    time: _timestamp_pb2.Timestamp
    def __init__(self, generation: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BlameRequest(_message.Message):
    __slots__ = ("kind", "key")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[_Iterable[str]] = ...) -> None: ...

class BlameResponse(_message.Message):
    __slots__ = ("generation", "target", "keys", "removed", "removed_by", "since")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_BY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    target: str
    keys: _containers.RepeatedCompositeFieldContainer[BlamedKey]
    removed: bool
    removed_by: ResourceChange
    since: int
    def __init__(self, generation: _Optional[int] = ..., target: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[BlamedKey, _Mapping]]] = ..., removed: _Optional[bool] = ..., removed_by: _Optional[_Union[ResourceChange, _Mapping]] = ..., since: _Optional[int] = ...) -> None: ...

class BlamedKey(_message.Message):
    __slots__ = ("name", "value_json", "by", "restored", "original")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    value_json: str
    by: ResourceChange
    restored: bool
    original: ResourceChange
    def __init__(self, name: _Optional[str] = ..., value_json: _Optional[str] = ..., by: _Optional[_Union[ResourceChange, _Mapping]] = ..., restored: _Optional[bool] = ..., original: _Optional[_Union[ResourceChange, _Mapping]] = ...) -> None: ...

class ResourceChange(_message.Message):
    __slots__ = ("generation", "time", "origin", "author", "label", "place", "unkept_since")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    UNKEPT_SINCE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    time: _timestamp_pb2.Timestamp
    origin: str
    author: str
    label: str
    place: str
    unkept_since: int
    def __init__(self, generation: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., origin: _Optional[str] = ..., author: _Optional[str] = ..., label: _Optional[str] = ..., place: _Optional[str] = ..., unkept_since: _Optional[int] = ...) -> None: ...

class DiffGenerationsRequest(_message.Message):
    __slots__ = ("to",)
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    to: Moment
    def __init__(self, to: _Optional[_Union[Moment, _Mapping]] = ..., **kwargs) -> None: ...

class DiffGenerationsResponse(_message.Message):
    __slots__ = ("to", "summary", "lines", "json")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    to: Revision
    summary: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    json: str
    def __init__(self, to: _Optional[_Union[Revision, _Mapping]] = ..., summary: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ..., json: _Optional[str] = ..., **kwargs) -> None: ...

class GetRevisionRequest(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: int
    def __init__(self, generation: _Optional[int] = ...) -> None: ...

class GetRevisionResponse(_message.Message):
    __slots__ = ("revision", "plan", "state_json", "plan_json")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    STATE_JSON_FIELD_NUMBER: _ClassVar[int]
    PLAN_JSON_FIELD_NUMBER: _ClassVar[int]
    revision: Revision
    plan: _containers.RepeatedScalarFieldContainer[str]
    state_json: str
    plan_json: str
    def __init__(self, revision: _Optional[_Union[Revision, _Mapping]] = ..., plan: _Optional[_Iterable[str]] = ..., state_json: _Optional[str] = ..., plan_json: _Optional[str] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("generation", "confirm_timeout", "options")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    confirm_timeout: _duration_pb2.Duration
    options: MutationOptions
    def __init__(self, generation: _Optional[int] = ..., confirm_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., options: _Optional[_Union[MutationOptions, _Mapping]] = ...) -> None: ...

class ConfirmRequest(_message.Message):
    __slots__ = ("confirm_id", "author")
    CONFIRM_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    confirm_id: int
    author: str
    def __init__(self, confirm_id: _Optional[int] = ..., author: _Optional[str] = ...) -> None: ...

class ConfirmResponse(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: int
    def __init__(self, generation: _Optional[int] = ...) -> None: ...

class EditRecord(_message.Message):
    __slots__ = ("id", "event", "time", "detail", "audit_id", "edit")
    ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ID_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    id: int
    event: str
    time: _timestamp_pb2.Timestamp
    detail: str
    audit_id: int
    edit: Edit
    def __init__(self, id: _Optional[int] = ..., event: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., detail: _Optional[str] = ..., audit_id: _Optional[int] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class ListEditRecordsRequest(_message.Message):
    __slots__ = ("limit", "before", "edit_id")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    EDIT_ID_FIELD_NUMBER: _ClassVar[int]
    limit: int
    before: int
    edit_id: int
    def __init__(self, limit: _Optional[int] = ..., before: _Optional[int] = ..., edit_id: _Optional[int] = ...) -> None: ...

class ListEditRecordsResponse(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[EditRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[EditRecord, _Mapping]]] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("id", "time", "action", "target", "author", "verified", "reason", "request_id", "request_json", "outcome", "detail")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    id: int
    time: _timestamp_pb2.Timestamp
    action: str
    target: str
    author: str
    verified: bool
    reason: str
    request_id: str
    request_json: str
    outcome: str
    detail: str
    def __init__(self, id: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., action: _Optional[str] = ..., target: _Optional[str] = ..., author: _Optional[str] = ..., verified: _Optional[bool] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., request_json: _Optional[str] = ..., outcome: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class ListAuditRequest(_message.Message):
    __slots__ = ("limit", "before")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    limit: int
    before: int
    def __init__(self, limit: _Optional[int] = ..., before: _Optional[int] = ...) -> None: ...

class ListAuditResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ...) -> None: ...

class BackupRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("listener", "sni", "ip", "proxy_ip", "alpn", "method", "path", "headers", "probe", "client_cert", "then")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    SNI_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    PROXY_IP_FIELD_NUMBER: _ClassVar[int]
    ALPN_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_CERT_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    listener: str
    sni: str
    ip: str
    proxy_ip: str
    alpn: _containers.RepeatedScalarFieldContainer[str]
    method: str
    path: str
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    probe: bool
    client_cert: str
    then: Moment
    def __init__(self, listener: _Optional[str] = ..., sni: _Optional[str] = ..., ip: _Optional[str] = ..., proxy_ip: _Optional[str] = ..., alpn: _Optional[_Iterable[str]] = ..., method: _Optional[str] = ..., path: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., probe: _Optional[bool] = ..., client_cert: _Optional[str] = ..., then: _Optional[_Union[Moment, _Mapping]] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("generation", "steps", "then", "notes")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    generation: int
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    then: Revision
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, generation: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., then: _Optional[_Union[Revision, _Mapping]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("step", "outcome", "detail", "decided_by")
    STEP_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    step: str
    outcome: str
    detail: str
    decided_by: str
    def __init__(self, step: _Optional[str] = ..., outcome: _Optional[str] = ..., detail: _Optional[str] = ..., decided_by: _Optional[str] = ...) -> None: ...

class WhyRequest(_message.Message):
    __slots__ = ("id", "ip", "last")
    ID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    id: str
    ip: str
    last: int
    def __init__(self, id: _Optional[str] = ..., ip: _Optional[str] = ..., last: _Optional[int] = ...) -> None: ...

class WhyResponse(_message.Message):
    __slots__ = ("refusals", "workers")
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerMemory]
    def __init__(self, refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., workers: _Optional[_Iterable[_Union[WorkerMemory, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("time", "generation", "told_by", "listener", "route", "client", "sni", "id", "method", "authority", "path", "case", "filter", "reason", "meaning", "advice", "detail", "status", "endpoint", "worker_pid", "decided", "passed")
    TIME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TOLD_BY_FIELD_NUMBER: _ClassVar[int]
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SNI_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CASE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    WORKER_PID_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    generation: int
    told_by: str
    listener: str
    route: str
    client: str
    sni: str
    id: str
    method: str
    authority: str
    path: str
    case: str
    filter: str
    reason: str
    meaning: str
    advice: str
    detail: str
    status: int
    endpoint: str
    worker_pid: int
    decided: Step
    passed: _containers.RepeatedCompositeFieldContainer[Step]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., generation: _Optional[int] = ..., told_by: _Optional[str] = ..., listener: _Optional[str] = ..., route: _Optional[str] = ..., client: _Optional[str] = ..., sni: _Optional[str] = ..., id: _Optional[str] = ..., method: _Optional[str] = ..., authority: _Optional[str] = ..., path: _Optional[str] = ..., case: _Optional[str] = ..., filter: _Optional[str] = ..., reason: _Optional[str] = ..., meaning: _Optional[str] = ..., advice: _Optional[str] = ..., detail: _Optional[str] = ..., status: _Optional[int] = ..., endpoint: _Optional[str] = ..., worker_pid: _Optional[int] = ..., decided: _Optional[_Union[Step, _Mapping]] = ..., passed: _Optional[_Iterable[_Union[Step, _Mapping]]] = ...) -> None: ...

class WorkerMemory(_message.Message):
    __slots__ = ("pid", "answered", "kept", "since", "began")
    PID_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    BEGAN_FIELD_NUMBER: _ClassVar[int]
    pid: int
    answered: bool
    kept: int
    since: _timestamp_pb2.Timestamp
    began: _timestamp_pb2.Timestamp
    def __init__(self, pid: _Optional[int] = ..., answered: _Optional[bool] = ..., kept: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., began: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListConnectionsRequest(_message.Message):
    __slots__ = ("listener", "hostname", "limit")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    limit: int
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListConnectionsResponse(_message.Message):
    __slots__ = ("connections", "total")
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    connections: _containers.RepeatedCompositeFieldContainer[Connection]
    total: int
    def __init__(self, connections: _Optional[_Iterable[_Union[Connection, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ("listener", "route", "client", "stage", "age", "worker_pid", "streams")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    WORKER_PID_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    listener: str
    route: str
    client: str
    stage: str
    age: _duration_pb2.Duration
    worker_pid: int
    streams: int
    def __init__(self, listener: _Optional[str] = ..., route: _Optional[str] = ..., client: _Optional[str] = ..., stage: _Optional[str] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., worker_pid: _Optional[int] = ..., streams: _Optional[int] = ...) -> None: ...

class CloseConnectionsRequest(_message.Message):
    __slots__ = ("listener", "hostname", "client", "all", "drain", "author", "reason")
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    listener: str
    hostname: str
    client: str
    all: bool
    drain: _duration_pb2.Duration
    author: str
    reason: str
    def __init__(self, listener: _Optional[str] = ..., hostname: _Optional[str] = ..., client: _Optional[str] = ..., all: _Optional[bool] = ..., drain: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CloseConnectionsResponse(_message.Message):
    __slots__ = ("closed", "connections")
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    closed: int
    connections: _containers.RepeatedCompositeFieldContainer[Connection]
    def __init__(self, closed: _Optional[int] = ..., connections: _Optional[_Iterable[_Union[Connection, _Mapping]]] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("recent",)
    RECENT_FIELD_NUMBER: _ClassVar[int]
    recent: int
    def __init__(self, recent: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("id", "time", "kind", "message", "generation", "lines", "label")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    id: int
    time: _timestamp_pb2.Timestamp
    kind: str
    message: str
    generation: int
    lines: _containers.RepeatedScalarFieldContainer[str]
    label: str
    def __init__(self, id: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., message: _Optional[str] = ..., generation: _Optional[int] = ..., lines: _Optional[_Iterable[str]] = ..., label: _Optional[str] = ...) -> None: ...

class FleetFile(_message.Message):
    __slots__ = ("name", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class FleetDocument(_message.Message):
    __slots__ = ("revision", "hash", "author", "label", "pushed", "node")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PUSHED_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    revision: int
    hash: str
    author: str
    label: str
    pushed: _timestamp_pb2.Timestamp
    node: str
    def __init__(self, revision: _Optional[int] = ..., hash: _Optional[str] = ..., author: _Optional[str] = ..., label: _Optional[str] = ..., pushed: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., node: _Optional[str] = ...) -> None: ...

class GetFleetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetFleetResponse(_message.Message):
    __slots__ = ("node", "store", "prefix", "connected", "away_since", "why_away", "last_contact", "document", "rollout", "nodes", "edits", "problems")
    NODE_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    AWAY_SINCE_FIELD_NUMBER: _ClassVar[int]
    WHY_AWAY_FIELD_NUMBER: _ClassVar[int]
    LAST_CONTACT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    node: str
    store: _containers.RepeatedScalarFieldContainer[str]
    prefix: str
    connected: bool
    away_since: _timestamp_pb2.Timestamp
    why_away: str
    last_contact: _timestamp_pb2.Timestamp
    document: FleetDocument
    rollout: FleetRollout
    nodes: _containers.RepeatedCompositeFieldContainer[FleetNode]
    edits: int
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., store: _Optional[_Iterable[str]] = ..., prefix: _Optional[str] = ..., connected: _Optional[bool] = ..., away_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why_away: _Optional[str] = ..., last_contact: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., document: _Optional[_Union[FleetDocument, _Mapping]] = ..., rollout: _Optional[_Union[FleetRollout, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[FleetNode, _Mapping]]] = ..., edits: _Optional[int] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class FleetRollout(_message.Message):
    __slots__ = ("document", "canaries", "steps", "step", "watch", "max_errors", "began", "driver")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CANARIES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_ERRORS_FIELD_NUMBER: _ClassVar[int]
    BEGAN_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    document: FleetDocument
    canaries: _containers.RepeatedScalarFieldContainer[str]
    steps: _containers.RepeatedScalarFieldContainer[str]
    step: int
    watch: _duration_pb2.Duration
    max_errors: float
    began: _timestamp_pb2.Timestamp
    driver: str
    def __init__(self, document: _Optional[_Union[FleetDocument, _Mapping]] = ..., canaries: _Optional[_Iterable[str]] = ..., steps: _Optional[_Iterable[str]] = ..., step: _Optional[int] = ..., watch: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_errors: _Optional[float] = ..., began: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., driver: _Optional[str] = ...) -> None: ...

class FleetNode(_message.Message):
    __slots__ = ("name", "revision", "hash", "generation", "error", "version", "started", "failing", "local_edits", "ahead", "progress", "progress_why", "answered", "errors")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    LOCAL_EDITS_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_WHY_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    hash: str
    generation: int
    error: str
    version: str
    started: _timestamp_pb2.Timestamp
    failing: float
    local_edits: int
    ahead: _duration_pb2.Duration
    progress: str
    progress_why: str
    answered: int
    errors: int
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ..., hash: _Optional[str] = ..., generation: _Optional[int] = ..., error: _Optional[str] = ..., version: _Optional[str] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failing: _Optional[float] = ..., local_edits: _Optional[int] = ..., ahead: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., progress: _Optional[str] = ..., progress_why: _Optional[str] = ..., answered: _Optional[int] = ..., errors: _Optional[int] = ...) -> None: ...

class PlanFleetRequest(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[FleetFile]
    def __init__(self, files: _Optional[_Iterable[_Union[FleetFile, _Mapping]]] = ...) -> None: ...

class PlanFleetResponse(_message.Message):
    __slots__ = ("summary", "lines", "json", "warnings", "document", "same")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    SAME_FIELD_NUMBER: _ClassVar[int]
    summary: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    json: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    document: FleetDocument
    same: bool
    def __init__(self, summary: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ..., json: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., document: _Optional[_Union[FleetDocument, _Mapping]] = ..., same: _Optional[bool] = ...) -> None: ...

class PushFleetRequest(_message.Message):
    __slots__ = ("files", "author", "label", "over", "canary", "allow_shrink")
    FILES_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    ALLOW_SHRINK_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[FleetFile]
    author: str
    label: str
    over: int
    canary: FleetCanary
    allow_shrink: bool
    def __init__(self, files: _Optional[_Iterable[_Union[FleetFile, _Mapping]]] = ..., author: _Optional[str] = ..., label: _Optional[str] = ..., over: _Optional[int] = ..., canary: _Optional[_Union[FleetCanary, _Mapping]] = ..., allow_shrink: _Optional[bool] = ...) -> None: ...

class FleetCanary(_message.Message):
    __slots__ = ("nodes", "steps", "watch", "max_errors", "min_requests")
    NODES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_ERRORS_FIELD_NUMBER: _ClassVar[int]
    MIN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    steps: _containers.RepeatedScalarFieldContainer[str]
    watch: _duration_pb2.Duration
    max_errors: float
    min_requests: int
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., steps: _Optional[_Iterable[str]] = ..., watch: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_errors: _Optional[float] = ..., min_requests: _Optional[int] = ...) -> None: ...

class PushFleetResponse(_message.Message):
    __slots__ = ("document", "canaries", "summary", "lines", "warnings")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CANARIES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    document: FleetDocument
    canaries: _containers.RepeatedScalarFieldContainer[str]
    summary: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, document: _Optional[_Union[FleetDocument, _Mapping]] = ..., canaries: _Optional[_Iterable[str]] = ..., summary: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ListFleetHistoryRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListFleetHistoryResponse(_message.Message):
    __slots__ = ("past",)
    PAST_FIELD_NUMBER: _ClassVar[int]
    past: _containers.RepeatedCompositeFieldContainer[FleetPast]
    def __init__(self, past: _Optional[_Iterable[_Union[FleetPast, _Mapping]]] = ...) -> None: ...

class FleetPast(_message.Message):
    __slots__ = ("document", "fate", "ended", "why")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    FATE_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    document: FleetDocument
    fate: str
    ended: _timestamp_pb2.Timestamp
    why: str
    def __init__(self, document: _Optional[_Union[FleetDocument, _Mapping]] = ..., fate: _Optional[str] = ..., ended: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ...) -> None: ...

class AbortRolloutRequest(_message.Message):
    __slots__ = ("author",)
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    author: str
    def __init__(self, author: _Optional[str] = ...) -> None: ...

class AbortRolloutResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: FleetDocument
    def __init__(self, document: _Optional[_Union[FleetDocument, _Mapping]] = ...) -> None: ...

class FetchCertificateRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class FetchCertificateResponse(_message.Message):
    __slots__ = ("chain", "key")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    chain: bytes
    key: bytes
    def __init__(self, chain: _Optional[bytes] = ..., key: _Optional[bytes] = ...) -> None: ...
