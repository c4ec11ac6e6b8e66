"""The part of the Docker Engine API that ``docker ps`` and ``docker exec`` need, for one container that echoes."""

import json
import struct
import threading
from typing import Any

from tests.support.http_thread import Handler, HttpThread

CONTAINER = "box"


class Docker(Handler):
    """A connection of a client's. As with the real daemon an attached exec takes the connection over."""

    commands: list[list[str]]
    started: list[tuple[dict[str, Any], str | None]]
    lock: threading.Lock

    def serve(self) -> None:
        """Answer as the path says."""
        if self.command == "POST":
            self.change(json.loads(self.body()))
        else:
            self.show()

    def show(self) -> None:
        """Answer GET or HEAD."""
        match self.words():
            case ["_ping"]:
                self.answer(200, b"OK", "text/plain", ("Api-Version", "1.41"), ("OSType", "linux"))
            case ["containers", "json"]:
                self.tell([{"Id": "c0ffee", "Names": [f"/{CONTAINER}"], "Image": "busybox", "State": "running"}])
            case ["containers", _, "json"]:
                self.tell({"Id": "c0ffee", "State": {"Running": True}, "Config": {"Tty": False}, "HostConfig": {}})
            case ["exec", _, "json"]:
                self.tell({"ID": "e", "Running": False, "ExitCode": 0})
            case _:
                self.tell({"message": "page not found"}, 404)

    def change(self, body: dict[str, Any]) -> None:
        """Answer POST."""
        match self.words():
            case ["containers", _, "exec"]:
                with self.lock:
                    self.commands.append(body["Cmd"])
                    number = len(self.commands) - 1
                self.tell({"Id": str(number)}, 201)
            case ["exec", number, "start"]:
                self.start(self.commands[int(number)], body)
            case _:
                self.tell({"message": "page not found"}, 404)

    def start(self, command: list[str], body: dict[str, Any]) -> None:
        """Run a command: all that it does is to write its arguments."""
        upgrade = self.headers.get("Upgrade")
        self.started.append((body, upgrade))
        if body["Detach"]:
            self.tell({})
            return
        kind = "Content-Type: application/vnd.docker.raw-stream\r\n"
        if upgrade:
            head = f"HTTP/1.1 101 UPGRADED\r\n{kind}Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        else:
            head = f"HTTP/1.1 200 OK\r\n{kind}\r\n"  # what follows ends with the connection
        said = " ".join(command[1:]).encode() + b"\n"
        self.wfile.write(head.encode() + struct.pack(">BxxxL", 1, len(said)) + said)
        self.close_connection = True

    def words(self) -> list[str]:
        """Return the path's parts without the API's version."""
        words = self.path.partition("?")[0].split("/")[1:]
        return words[1:] if words[0].startswith("v1") else words

    def tell(self, what: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.answer(status, json.dumps(what).encode(), "application/json")


class DockerDaemon(HttpThread):
    """The daemon.

    Attributes:
        started: the bodies of the requests that started a command, each with its Upgrade field.
    """

    def __init__(self) -> None:
        self.started: list[tuple[dict[str, Any], str | None]] = []
        state = {"commands": [], "started": self.started, "lock": threading.Lock()}
        super().__init__(type("Handler", (Docker,), state))
