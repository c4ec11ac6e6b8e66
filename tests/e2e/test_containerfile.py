"""The steps of the Containerfile, taken one by one on copies of this machine that are thrown away; then what they make is run.

No registry of base images is asked: each stage begins with an overlay over the root file system, which is Debian 12 too.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support.namespaces import run_apart
from tests.support.proxy import ROOT

CONFIG = """\
[database]
path = "/var/lib/mcproxy/mc-proxy.db"
[grpc]
socket = "/var/lib/mcproxy/mc-proxy.sock"
[metrics]
addr = "127.0.0.1:9090"
[[listeners]]
addr = ":8443"
[[listeners.routes]]
hostname = "app.example.com"
backend = "127.0.0.1:9001"
"""

STAGE = r"""
mkdir "$1"/{up,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/tmp"
"""


def instructions() -> list[tuple[str, str]]:
    """Return the steps: instruction and its text, continued lines joined."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [
        (word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word and word != "#"
    ]


def script(folder: Path) -> str:
    """Return the steps as commands; the last ones serve a config, ask whether it is healthy, and end it."""
    lines = [f"mount -t tmpfs tmpfs {folder}"]
    environment: dict[str, str] = {}
    stage, root, user, start, health = 0, Path(), "root", [], []
    for word, text in instructions():
        match word:
            case "FROM":
                stage += 1
                root = folder / str(stage) / "root"
                lines += [f"mkdir {folder}/{stage}", f"bash -euo pipefail -c {shlex.quote(STAGE)} - {folder}/{stage}"]
            case "RUN":
                lines.append(f"chroot {root} sh -ec {shlex.quote(text)}")
            case "COPY":
                *options, source, target = text.split()
                base = folder / "1/root" if options else ROOT
                files = "git ls-files -z | tar c --null -T -" if source == "." else f"tar c -C {base}{source} ."
                lines += [f"mkdir -p {root}{target}", f"(cd {ROOT}; {files}) | tar x -C {root}{target}"]
            case "ENV":
                for pair in shlex.split(text):
                    name, _, environment[name] = pair.partition("=")
            case "USER":
                user = text
            case "HEALTHCHECK":
                health = json.loads(text.removeprefix("CMD "))
            case "ENTRYPOINT" | "CMD":
                start += json.loads(text)
            case "WORKDIR":
                directory = text
            case "VOLUME" | "EXPOSE":
                pass
            case _:
                raise AssertionError(word)
    own = " ".join(f"{name}={value}" for name, value in environment.items())
    enter = f"chroot {root} env -i {own} setpriv --reuid {user} --regid {user} --init-groups --no-new-privs --bounding-set -all"
    there = shlex.quote(f'cd {directory}; exec "$@"')
    within = f"{enter} sh -ec {there} -"
    return "\n".join(
        [
            *lines,
            f"mkdir -p {root}/etc/mcproxy",
            f"cp {folder.parent}/mc-proxy.toml {root}/etc/mcproxy/",
            "ip link set lo up",
            f"{within} {shlex.join(start)} & served=$!",
            f"for _ in $(seq 100); do {within} {shlex.join(health)} >/dev/null 2>&1 && break; sleep 0.1; done",
            f"{within} {shlex.join(health)}",
            "kill $served; wait $served",
        ]
    )


@pytest.mark.soak  # Debian's and Python's packages are installed, twice
@pytest.mark.timeout(400)
def test_its_steps_make_an_image_that_serves(tmp_path: Path) -> None:
    """As its user, without a capability, with the health check content and a clean end."""
    (tmp_path / "mc-proxy.toml").write_text(CONFIG, encoding="utf-8")
    folder = tmp_path / "stages"
    folder.mkdir()
    *build, serve = script(folder).partition("ip link set lo up\n")[::2]
    command = "\n".join(
        [*build, f"exec unshare --net bash -euxo pipefail -c {shlex.quote('ip link set lo up' + chr(10) + serve)}"]
    )
    ran = run_apart(f"set -x\n{command}", timeout=380)
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert re.search(r"^routes +1$", ran.stdout, re.MULTILINE), ran.stdout[-5000:]
    assert re.search(r"^data path +native$", ran.stdout, re.MULTILINE), ran.stdout[-5000:]
