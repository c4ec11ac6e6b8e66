"""Names of header fields as backends read them."""

import pytest

from mcproxy.policy.field_names import fold, is_claim


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        (b"x-forwarded-for", b"x-forwarded-for"),
        (b"X.Forwarded_For", b"x-forwarded-for"),
        (b"a!b#c9", b"a-b-c9"),
        (b"\xc3\xa4", b"--"),
        (b"", b""),
    ],
)
def test_fold(name: bytes, folded: bytes) -> None:
    """Letters lose their case, digits stay, every other byte is a hyphen; the length stays."""
    assert fold(name) == folded


@pytest.mark.parametrize(
    ("folded", "claim"),
    [
        (b"forwarded", True),
        (b"x-forwarded", True),
        (b"x-forwarded-", True),
        (b"x-forwarded-anything", True),
        (b"x-real-ip", True),
        (b"x-forwardedfor", False),
        (b"x-real-ip-2", False),
        (b"forwarded-for", False),
    ],
)
def test_is_claim(folded: bytes, claim: bool) -> None:  # noqa: FBT001 (parametrised)
    """X-Forwarded and whatever follows it after a separator, X-Real-IP and Forwarded tell who the client is."""
    assert is_claim(folded) is claim
