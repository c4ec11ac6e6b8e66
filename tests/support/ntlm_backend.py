"""A server whose clients authenticate by NTLM: whoever has done so is known on that connection from then on."""

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import spnego

from tests.support.http_thread import Handler, HttpThread

PASSWORD = "open sesame"
"""Every user's."""


@contextlib.contextmanager
def ntlm_backend(folder: Path, *users: str) -> Iterator[HttpThread]:
    """Run the server; each answer tells as JSON the ``user`` (None before NTLM has ended) and the connection's number.

    Args:
        folder: for the file with the users.
        users: who may log in, in the domain TEST.
    """
    store = folder / "ntlm-users"
    store.write_text("".join(f"TEST:{user}:{PASSWORD}\n" for user in users))

    class Ntlm(Handler):
        def setup(self) -> None:
            super().setup()
            self.context: spnego.ContextProxy | None = None
            self.user: str | None = None

        def serve(self) -> None:
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            if scheme == "NTLM":
                challenge = self.step(base64.b64decode(token))
                if challenge or not self.user:
                    self.refuse(f"NTLM {challenge}".rstrip())
                    return
            elif not self.user and self.path != "/public":
                self.refuse("NTLM")
                return
            told = {"user": self.user, "connection": server.number(self)}
            self.answer(200, json.dumps(told).encode() + b"\n", "application/json")

        def step(self, token: bytes) -> str:
            """Take a message of the client's and return what the server says to it."""
            if self.context is None or self.context.complete:
                self.context = spnego.server(protocol="ntlm")
            try:
                answer = self.context.step(token)
            except spnego.exceptions.SpnegoError:
                self.context = None
                return ""
            if self.context.complete:
                self.user = self.context.client_principal
            return base64.b64encode(answer or b"").decode()

        def refuse(self, challenge: str) -> None:
            self.answer(401, b"who is there?\n", "text/plain", ("WWW-Authenticate", challenge))

    before = os.environ.get("NTLM_USER_FILE")
    os.environ["NTLM_USER_FILE"] = str(store)
    try:
        with HttpThread(Ntlm) as server:
            yield server
    finally:
        del os.environ["NTLM_USER_FILE"]
        if before is not None:
            os.environ["NTLM_USER_FILE"] = before
