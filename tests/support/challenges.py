"""Answers to the challenges of a CA, as an order has them told to workers."""

import time

from mcproxy.control.acme.keys import challenge_pair
from mcproxy.net.told import Pending


def answer_of(name: str) -> tuple[bytes, bytes]:
    """Return certificate and key that answer tls-alpn-01 for a name."""
    pair = challenge_pair(name, "token.thumbprint", time.time())
    return pair.certificate, pair.key


def pending(*names: str, **tokens: str) -> Pending:
    """Return what is pending where these names are to be proven, and these tokens to be told."""
    return Pending({name: answer_of(name) for name in names}, tokens)
