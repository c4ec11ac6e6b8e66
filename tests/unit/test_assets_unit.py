"""The systemd unit: valid, and as closed as systemd's own review says."""

import subprocess
from pathlib import Path

from tests.support.proxy import ROOT
from tests.support.require import require

UNIT = ROOT / "mcproxy" / "assets" / "mcproxy.service"
EXPOSURE = 1.6
"""What `systemd-analyze security` says of 10; the rest is what a proxy needs: the network, local sockets, low ports, and a restart that is heard of."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("systemd-analyze", "systemd"), "--no-pager", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_unit_is_valid(tmp_path: Path) -> None:
    """No key is unknown, no value is; the program need not be installed."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text(encoding="utf-8").replace("/usr/bin/mcproxy", "/bin/true"), encoding="utf-8")
    verified = analyze("verify", str(copy))
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_unit_of_the_sockets_is_valid(tmp_path: Path) -> None:
    """Beside the service that it starts."""
    for unit in (UNIT, UNIT.with_suffix(".socket")):
        text = unit.read_text(encoding="utf-8").replace("/usr/bin/mcproxy", "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    verified = analyze("verify", *(str(path) for path in tmp_path.iterdir()))
    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_restart_is_heard_of_and_keeps_the_sockets() -> None:
    """The process that takes over speaks for itself, the store has room, and nothing kills the workers that drain."""
    unit = UNIT.read_text(encoding="utf-8")
    for line in ("Type=notify", "NotifyAccess=all", "FileDescriptorStoreMax=4096", "KillMode=process"):
        assert f"\n{line}\n" in unit
    assert "mcproxy serve --managed " in unit


def test_an_unknown_key_is_found(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/mcproxy", "/bin/true")
    copy.write_text(text.replace("PrivateTmp=", "PrivateTemp="), encoding="utf-8")
    assert "PrivateTemp" in analyze("verify", str(copy)).stderr


def exposure(unit: Path, limit: float) -> subprocess.CompletedProcess[str]:
    return analyze("security", "--offline=true", f"--threshold={limit * 10:.0f}", str(unit))


def test_the_unit_leaves_no_more_open_than_the_proxy_needs() -> None:
    """What systemd counts as exposed stays at or below the threshold."""
    reviewed = exposure(UNIT, EXPOSURE)
    assert reviewed.returncode == 0, reviewed.stdout


def test_the_threshold_is_where_the_unit_is(tmp_path: Path) -> None:
    """Three protections less are over it; each counts 0.2 at most."""
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectKernelTunables"):
        text = text.replace(f"{key}=yes\n", "")
    copy.write_text(text, encoding="utf-8")
    assert exposure(copy, EXPOSURE).returncode == 1
