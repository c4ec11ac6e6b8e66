"""Subversion: a repository served by Apache's mod_dav_svn, and its client."""

import base64
import contextlib
import hashlib
import os
import shutil
import string
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.certificates import Leaf
from tests.support.ports import free_port
from tests.support.processes import ProcessError, Processes
from tests.support.require import missing, require

USER, PASSWORD = "alice", "open sesame"

_MODULES = Path("/usr/lib/apache2/modules")
_ATTEMPTS = 5
_LOADED = "mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_svn", "ssl"
_CONFIG = string.Template("""\
ServerRoot $folder
PidFile $folder/apache.pid
DefaultRuntimeDir $folder
ErrorLog $folder/error.log
$modules
$user
# the names by which clients know the server: "Destination" of a COPY is compared with it
ServerName https://localhost
Listen 127.0.0.1:$port
Listen 127.0.0.1:$tls_port
<VirtualHost 127.0.0.1:$tls_port>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile $folder/server.crt
    SSLCertificateKeyFile $folder/server.key
</VirtualHost>
<Location /svn>
    DAV svn
    SVNPath $folder/repository
    AuthType Basic
    AuthName svn
    AuthUserFile $folder/users
    Require valid-user
</Location>
""")


class Apache(msgspec.Struct, frozen=True):
    """Where it listens on 127.0.0.1: in cleartext, as behind a proxy that ends TLS for it, and with TLS."""

    port: int
    tls_port: int


@contextlib.contextmanager
def apache_svn(processes: Processes, leaf: Leaf) -> Iterator[Apache]:
    """Serve an empty repository at ``/svn``, with a certificate."""
    program = require("apache2", "apache2-bin")
    if not (_MODULES / "mod_dav_svn.so").exists():
        missing("mod_dav_svn", "apt-get install libapache2-mod-svn")
    with tempfile.TemporaryDirectory(prefix="mcp-svn-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        subprocess.run([require("svnadmin", "subversion"), "create", folder / "repository"], check=True)
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        (folder / "users").write_text(f"{USER}:{{SHA}}{digest}\n")
        shutil.copy(leaf.certificate, folder / "server.crt")
        shutil.copy(leaf.key, folder / "server.key")
        user = ""
        if os.geteuid() == 0:  # Apache serves nothing as root
            user = "User www-data\nGroup www-data"
            folder.chmod(0o755)
            for path in [folder / "repository", *(folder / "repository").rglob("*")]:
                shutil.chown(path, "www-data", "www-data")
        yield _start(processes, program, folder, user)


def _start(processes: Processes, program: str, folder: Path, user: str) -> Apache:
    for attempt in range(1, _ATTEMPTS + 1):
        apache = Apache(free_port(), free_port())
        text = _CONFIG.substitute(
            folder=folder,
            modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED),
            user=user,
            port=apache.port,
            tls_port=apache.tls_port,
        )
        (folder / "apache.conf").write_text(text)
        process = processes.start(program, "-d", folder, "-f", folder / "apache.conf", "-D", "FOREGROUND")
        try:
            process.wait_for_port("127.0.0.1", apache.port)
            process.wait_for_port("127.0.0.1", apache.tls_port)
        except ProcessError:
            if attempt == _ATTEMPTS or "in use" not in process.stderr:
                raise
            process.kill()
        else:
            return apache
    raise AssertionError("unreachable: the last attempt returns or raises")


def svn(folder: Path, ca: Path, *args: str) -> str:
    """Run the client, with its own folder for settings, and return what it prints; raises `RuntimeError` if it fails."""
    command: list[str] = [
        *(require("svn", "subversion"), "--non-interactive", "--no-auth-cache"),
        *("--config-dir", str(folder / "svn-config")),
        *("--config-option", f"servers:global:ssl-authority-files={ca}"),
        *("--username", USER, "--password", PASSWORD, *args),
    ]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode:
        raise RuntimeError(f"svn {args}: {result.stderr}")
    return result.stdout
