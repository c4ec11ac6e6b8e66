"""What other programs call the keys and words of the config file, and what is told of words for what there is not."""

SYNONYMS: dict[str, dict[str, str]] = {
    "Config": {
        "listeners": "server servers frontend frontends bind listen entrypoints",
        "include": "includes import imports include_files",
        "grpc": "admin api control",
        "log": "logging logs accesslog",
        "database": "db sqlite storage",
        "proxy": "global globals",
        "firewall": "fw acl acls",
        "metrics": "prometheus status stats",
    },
    "Listener": {
        "addr": "listen bind address port ip host listen_addr listen_address bind_address",
        "proxy_protocol": "accept_proxy_protocol receive_proxy_protocol accept_proxy haproxy_protocol",
        "trusted_proxies": "proxies trusted_ips trusted_addresses set_real_ip_from",
        "routes": "upstreams backends servers hosts vhosts sites",
        "max_connections": "maxconn connection_limit max_conn",
    },
    "Route": {
        "hostname": "host hosts name names server_name server_names domain domains sni match hostnames",
        "backend": "to upstream upstreams target targets proxy_pass dest destination server servers forward_to endpoint endpoints "
        "address backends backend_addr backend_address url",
        "mode": "type kind protocol layer",
        "tls_cert": "cert certificate ssl_certificate tls_certificate cert_file certfile tls_cert_file fullchain crt tls_crt",
        "tls_key": "key private_key ssl_certificate_key tls_certificate_key key_file keyfile tls_key_file privkey tls_private_key",
        "backend_ca": "ca ca_file ca_cert proxy_ssl_trusted_certificate backend_ca_file backend_ca_cert upstream_ca",
        "backend_tls": "tls ssl https backend_ssl backend_https upstream_tls re_encrypt",
        "send_proxy_protocol": "send_proxy proxy_protocol_out",
        "l7_policies": "policy policies rules filters",
    },
    "Upstream": {
        "endpoints": "servers server backends backend targets hosts addresses address members nodes endpoint loadassignment",
        "balance": "lb lb_policy lb_method policy algorithm load_balancing load_balance strategy method scheduler",
        "check": "health_check healthcheck health_checks health healthchecks checks option_httpchk active_check",
        "sticky_cookie": "sticky cookie session_cookie affinity persistence stick session_affinity",
        "eject": "outlier_detection passive_check passive_checks observe",
        "tries": "retries max_retries attempts proxy_next_upstream_tries",
        "retry_on": "retry proxy_next_upstream retry_conditions",
        "slow_start": "slowstart warmup warm_up",
        "tls": "ssl https backend_tls upstream_tls",
        "protocol": "backend_protocol proto http_version",
        "send_proxy_protocol": "send_proxy proxy_protocol",
        "connect_timeout": "timeout timeout_connect dial_timeout",
    },
    "UpstreamEndpoint": {
        "address": "addr host server url target backend endpoint dial",
        "max_active": "maxconn max_conns max_connections limit max_requests",
        "state": "status disabled down drain draining enabled maintenance",
        "backup": "standby spare fallback",
        "weight": "weights share",
    },
    "Check": {
        "type": "kind protocol mode",
        "path": "uri url target",
        "host": "hostname authority",
        "status": "expect expect_status expected_status code codes statuses expected_statuses",
        "service": "grpc_service service_name",
        "interval": "inter every period",
        "fall": "unhealthy_threshold max_fails fails failures",
        "rise": "healthy_threshold passes successes",
    },
    "BackendTls": {
        "ca": "ca_file cafile ca_cert trusted_ca backend_ca cacert",
        "server_name": "sni servername backend_server_name verify_name name hostname",
    },
    "L7Policy": {"type": "kind policy name", "value": "pattern match header agent user_agent"},
    "Firewall": {
        "allowed_cidrs": "allow allowed allowlist whitelist",
        "blocked_cidrs": "block blocked deny denied blocklist blacklist denylist",
        "default": "default_action default_policy policy action",
        "connections_per_client": "max_connections_per_ip max_connections_per_client connections_per_ip connections_per_address "
        "max_conn_per_ip limit_conn conn_limit connection_limit",
        "rate_limit": "limit_req rate rate_per_client",
        "geoip_db": "geoip geo_db geoip_database country_db mmdb geoip2 database geoip_path geoip_file geolite maxmind",
    },
    "Log": {"access": "path file access_log access_file output accesslog filename", "format": "style encoding"},
    "Database": {"path": "file db name filename db_path"},
    "Grpc": {
        "socket": "path unix unix_socket socket_path",
        "addr": "listen bind address port tcp",
        "client_ca": "ca ca_file tls_ca",
    },
    "Metrics": {"addr": "listen bind address port", "path": "url endpoint uri"},
    "Proxy": {
        "user": "username run_as run_as_user",
        "workers": "worker_processes processes threads nbproc num_workers",
    },
}
"""Keys by the structs that have them, and what other programs call them."""

_PATHS = "paths are not routed yet: a route is chosen by its hostname alone, and its backend gets every path"
_NAME_IT = "name the upstream: it belongs into [upstreams.NAME], which backend then names"
SENTENCES: dict[str, dict[str, str]] = {
    "Route": {
        "path paths path_prefix prefix prefixes location locations uri uris path_regex path_match paths_prefix strip_prefix "
        "rewrite path_rewrite": _PATHS,
        "client_ca client_auth mtls verify_client ssl_verify_client": "routes don't ask clients for certificates yet",
        "weight weights load_balance load_balancing lb_policy balance sticky_cookie retry_on tries eject panic slow_start": _NAME_IT,
        "health_check healthcheck health_checks check": _NAME_IT,
    },
    "Upstream": {
        "name": "the name stands in the header: [upstreams.NAME]",
    },
    "BackendTls": {
        "cert key client_cert client_key tls_cert tls_key": "the proxy shows no certificate of its own to backends yet",
        "verify insecure skip_verify insecure_skip_verify verify_peer": "certificates are always verified; name the CAs in ca",
    },
    "Listener": {
        "tls ssl https": "every listener speaks TLS; what a route does with it says its mode",
        "path paths location locations": _PATHS,
    },
    "Config": {
        "backend": "it belongs into [[listeners.routes]] or [[routes]]; sets of backends are [upstreams.NAME]",
        "acme letsencrypt tls ssl": "certificates are files, named by tls_cert and tls_key of the routes",
    },
}
"""What is told of words for what there is not, by the struct that they were written for."""

CHOICES = {
    "warn": "warning",
    "err": "error",
    "fatal": "error",
    "critical": "error",
    "trace": "debug",
    "notice": "info",
    "text": "console",
    "plain": "console",
    "tcp": "l4",
    "passthrough": "l4",
    "layer4": "l4",
    "http": "l7",
    "https": "l7",
    "terminate": "l7",
    "layer7": "l7",
    "h1": "http/1.1",
    "http1": "http/1.1",
    "http1.1": "http/1.1",
    "http2": "h2",
    "http/2": "h2",
    "h2c": "h2",
    "nghttp2": "ngh2",
    **dict.fromkeys(("roundrobin", "rr", "static-rr", "wrr", "weighted_round_robin"), "round_robin"),
    **dict.fromkeys(("leastconn", "least_connections", "least_request", "least-conn", "least_requests"), "least_conn"),
    **dict.fromkeys(("random", "p2c", "power_of_two", "two_random"), "random_two"),
    **dict.fromkeys(("source", "ip_hash", "iphash", "maglev", "hash", "ring_hash", "consistent_hash"), "source_hash"),
    **dict.fromkeys(("maint", "down", "disabled", "off"), "maintenance"),
    **dict.fromkeys(("draining", "drained"), "drain"),
    **dict.fromkeys(("up", "active", "enabled", "on"), "ready"),
    **dict.fromkeys(("reject", "drop", "block", "refuse", "denied"), "deny"),
    **dict.fromkeys(("accept", "permit", "pass", "allowed"), "allow"),
}
"""Other words for what a key may be one of."""
