"""`mcproxy init`: a commented config file to start from.

A file below ``/etc`` is for the service that the systemd unit runs: it listens on port 443, and names the folders that the
unit may write to. Any other is for trying: port 8443, which needs no privilege, and everything beside the file.
"""

import shlex
import sys
from importlib import resources
from pathlib import Path
from string import Template

from mcproxy.cli.common.write_file import write_whole
from mcproxy.cli.server.dev_certs import file_stem
from mcproxy.model.values import hostnames

_NAME = "mc-proxy.toml"
_SERVICE_FOLDER = Path("/etc")
_SERVICE = {
    "socket": 'socket = "/run/mcproxy/mc-proxy.sock"      # where mcproxyctl looks for it',
    "database": 'path = "/var/lib/mcproxy/mc-proxy.db"      # where runtime edits and the history are kept',
    "port": "443",
}
_TRIAL = {
    "socket": '# socket = "mc-proxy.sock"         # a Unix socket, relative to this file\'s folder',
    "database": '# path = "mc-proxy.db"             # where runtime edits and the history are kept',
    "port": "8443",
}


def init(path: Path, *, l7: str | None, force: bool) -> int:
    """Write the file and print what to do next; an existing file is replaced only by ``force``.

    Args:
        path: where to write it; in a folder it is called mc-proxy.toml.
        l7: the name of a site whose TLS ends at the proxy; None for routes that pass TLS through.
        force: replace an existing file.

    Returns:
        The exit status: 0 written, 1 it exists.

    Raises:
        ExportError, OSError: it cannot be written.
        ValueError: ``l7`` is no host name; the text says why.
    """
    if path.is_dir():
        path /= _NAME
    text = starter(path, l7)
    try:
        write_whole(path, [text.encode()], replace=force, private=False)
    except FileExistsError:
        print(f"{path} exists already; --force replaces it", file=sys.stderr)
        return 1
    certs = f"mcproxy dev-certs --dir {path.parent / 'certs'} {shlex.quote(l7 or '')}"
    certificate = f"\n  a certificate to try it    {certs}" if l7 else ""
    print(f"""{path} written. Next:{certificate}
  edit it, then check it     mcproxy validate-config {path}
  serve it                   mcproxy serve --config {path}
  see how it is              http://127.0.0.1:9090/""")
    return 0


def starter(path: Path, l7: str | None) -> str:
    """Return the file's text; the arguments and ValueError are those of `init`."""
    values = _SERVICE if _SERVICE_FOLDER in path.absolute().parents else _TRIAL
    routes = _template("starter_l4.toml").substitute(values)
    if l7 is not None:
        hostname = hostnames.parse_pattern(l7)
        if hostname == "*":
            raise ValueError("* is no name that a certificate could be for; give the site's host name")
        routes = _template("starter_l7.toml").substitute(
            values, hostname=hostname, stem=file_stem(hostname), example=hostname.replace("*", "www")
        )
    return _template("starter.toml").substitute(values, file=path, routes=routes)


def _template(name: str) -> Template:
    return Template(resources.files("mcproxy.cli.server").joinpath(name).read_text(encoding="utf-8"))
