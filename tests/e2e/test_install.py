"""The commands by which the README installs a service, run as they stand on a copy of this machine that is thrown away.

The copy is an overlay over the root file system, in mount, process and (once the packages are there) network namespaces of
its own. systemd does not run in it: `systemd-analyze` checks the unit, and the line that the unit starts is started as the
unit's user, with the unit's capabilities and folders.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.namespaces import run_apart
from tests.support.proxy import ROOT
from tests.support.require import require

README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALL = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
UPGRADE = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
MOST = 20
"""Commands that the way from nothing to a served site may take."""

SYSTEMCTL = r"""#!/bin/bash
set -euo pipefail
unit=/etc/systemd/system/mcproxy.service
case "$*" in
daemon-reload)
    ! [ -e $unit ] || systemd-analyze --no-pager verify $unit ;;
"enable --now mcproxy")
    start=$(sed -n 's/^ExecStart=//p' $unit)
    user=$(sed -n 's/^User=//p' $unit)
    capability=$(sed -n 's/^AmbientCapabilities=CAP_/+/p' $unit | tr '[:upper:]' '[:lower:]')
    install -d -o "$user" -g "$user" -m 0755 "/run/$(sed -n 's/^RuntimeDirectory=//p' $unit)"
    install -d -o "$user" -g "$user" -m 0700 "/var/lib/$(sed -n 's/^StateDirectory=//p' $unit)"
    setsid setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs \
        --inh-caps "$capability" --ambient-caps "$capability" $start >/run/service.log 2>&1 &
    for _ in $(seq 200); do grep -q serving /run/service.log && exit; sleep 0.1; done
    cat /run/service.log; exit 1 ;;
"disable --now mcproxy")
    pid=$(cat /var/lib/mcproxy/mc-proxy.db.lock)
    kill "$pid"
    for _ in $(seq 200); do kill -0 "$pid" 2>/run/gone || exit 0; sleep 0.1; done
    echo "the service goes on"; exit 1 ;;
*)
    echo "not expected: systemctl $*"; exit 1 ;;
esac
"""

OUTSIDE = r"""
mount -t tmpfs tmpfs "$1"
mkdir "$1"/{up,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
cp "$2"/* "$1/root/run/"
install -m 0755 "$2/systemctl" "$1/root/usr/local/sbin/systemctl"
cd "$3"
exec chroot "$1/root" bash -euo pipefail -c 'cd "$1"; source /run/first; exec unshare --net bash -euo pipefail /run/second' - "$3"
"""


def section(page: str, title: str) -> str:
    """Return the block of commands of a section."""
    block = re.search(rf"^## {title}$.*?^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert block
    return block[1]


def commands() -> list[str]:
    return section(README, "Install as a service").splitlines()


def test_the_hook_of_certbot_copies_a_renewed_pair(tmp_path: Path) -> None:
    """Over the one before; nobody else can read the key, and no half of a file is ever in its place."""
    lineage, here = tmp_path / "live" / "www.example.com", tmp_path / "certs"
    lineage.mkdir(parents=True)
    here.mkdir()
    hook = tmp_path / "hook"
    text = section(INSTALL, "A certificate that browsers trust")
    assert "-o root -g mcproxy -m 0640" in text
    text = text.replace("-o root -g mcproxy ", "").replace("/etc/mcproxy/certs", str(here))
    hook.write_text(text, encoding="utf-8")
    hook.chmod(0o755)
    for turn in ("first", "second"):
        (lineage / "fullchain.pem").write_text(f"chain {turn}", encoding="utf-8")
        (lineage / "privkey.pem").write_text(f"key {turn}", encoding="utf-8")
        ran = subprocess.run([hook], env={**os.environ, "RENEWED_LINEAGE": str(lineage)}, timeout=60, check=False)
        assert ran.returncode == 0
        files = {file.name: (file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777) for file in here.iterdir()}
        assert files == {
            "www.example.com.crt": (f"chain {turn}", 0o640),
            "www.example.com.key": (f"key {turn}", 0o640),
        }


def test_the_way_to_a_service_is_short() -> None:
    assert len(commands()) < MOST


@pytest.mark.soak  # Debian's and Python's packages are installed
@pytest.mark.timeout(600)
def test_the_commands_serve_a_site(tmp_path: Path) -> None:
    """Each ends well in its turn; at the end the site answers, over TLS that is verified, and its backend is asked.

    Then the commands of an upgrade, to another folder: the process that serves runs from there. Then those that remove all of
    it; what was configured and recorded stays.
    """
    require("systemd-analyze", "systemd")
    written = commands()
    network = next(number for number, line in enumerate(written) if "pip install" in line) + 1
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
    upgrade, remove = section(UPGRADE, "Upgrade").splitlines(), section(INSTALL, "Remove it").splitlines()
    installed = next(number for number, line in enumerate(upgrade) if "pip install" in line) + 1
    first = ["set -x", *written[:network], *upgrade[:installed]]
    (scripts / "first").write_text("\n".join(first), encoding="utf-8")
    backend = f"{sys.executable} -m http.server 8080 --bind 127.0.0.1 --directory /opt/mcproxy/bin >/dev/null 2>&1 &"
    wait = "until curl -s -o /dev/null http://127.0.0.1:8080/; do sleep 0.1; done"
    (scripts / "second").write_text(
        "\n".join(
            [
                "ip link set lo up",
                backend,
                wait,
                "set -x",
                *written[network:],
                *upgrade[installed:],
                written[-1],
                "head -z -n 1 /proc/$(cat /var/lib/mcproxy/mc-proxy.db.lock)/cmdline",
                *remove,
                'test -z "$(find /opt /etc/systemd/system /usr/local -name "mcproxy*")"',
                "test -e /etc/mcproxy/mc-proxy.toml",
                "test -e /var/lib/mcproxy/mc-proxy.db",
            ]
        ),
        encoding="utf-8",
    )
    (tmp_path / "machine").mkdir()
    ran = run_apart(OUTSIDE, str(tmp_path / "machine"), str(scripts), str(ROOT), timeout=560)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"mc-proxy\.toml: valid: 1 listener, 1 route$", ran.stdout, re.MULTILINE), ran.stdout
    assert re.search(r"^generation +1", ran.stdout, re.MULTILINE | re.IGNORECASE), ran.stdout
    assert re.search(r"^data path +native$", ran.stdout, re.MULTILINE), ran.stdout
    assert re.search(r"^restarted: mcproxy \S+ serves as process \d+, generation 2 is live$", ran.stdout, re.MULTILINE)
    answers = ran.stdout.split("https://www.example.com/\n")
    assert ["mcproxyctl</a>" in answer for answer in answers] == [False, True, True], ran.stdout
    assert "/opt/mcproxy-2/bin/python" in answers[-1], ran.stdout
