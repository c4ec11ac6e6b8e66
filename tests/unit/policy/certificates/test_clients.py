"""Who a client is by its certificate: names that are compared, names that are none, and what backends are told."""

import hashlib

import pytest

from mcproxy.policy.certificates.clients import ClientNames, certificate, named

DER = b"der"
HASH = f"Hash={hashlib.sha256(DER).hexdigest()}"


def san(*names: tuple[str, str]) -> dict[str, object]:
    return {"subject": (), "subjectAltName": names}


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("a.test", ("DNS", "A.Test")),
        ("*.a.test", ("DNS", "x.a.test")),
        ("*.a.test", ("DNS", "x.y.a.test")),
        ("*.xn--bcher-kva.test", ("DNS", "x.xn--bcher-kva.test")),
        ("spiffe://prod/a", ("URI", "SPIFFE://Prod/a")),
        ("spiffe://prod/*", ("URI", "spiffe://prod/a/b;c?d=e")),
        ("spiffe://prod/ns/a/*", ("URI", "spiffe://prod/ns/a/b")),
        ("Ops@a.test", ("email", "Ops@A.test")),
    ],
)
def test_who_has_a_name_is_let_in(pattern: str, name: tuple[str, str]) -> None:
    """In the case in which each kind is compared."""
    assert ClientNames([pattern]).fit(certificate(DER, san(("DNS", "other.test"), name)).names)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*.a.test", ("DNS", "a.test")),
        ("*.a.test", ("DNS", "xa.test")),
        ("*.a.test", ("DNS", "*.a.test")),
        ("*.a.test", ("DNS", "*.b.a.test")),
        ("*.a.test", ("DNS", ".a.test")),
        ("*.a.test", ("DNS", "x..a.test")),
        ("*.a.test", ("DNS", "evil.test\0.a.test")),
        ("*.a.test", ("DNS", "evil.test\n.a.test")),
        ("*.a.test", ("DNS", "evil.test/.a.test")),
        ("*.a.test", ("DNS", "b\u00fccher.a.test")),
        ("*.a.test", ("DNS", "\u212a.a.test")),
        ("k.test", ("DNS", "\u212a.test")),
        ("*.a.test", ("URI", "spiffe://x.a.test")),
        ("*.a.test", ("email", "me@x.a.test")),
        ("*.a.test", ("IP Address", "x.a.test")),
        ("*.a.test", ("DirName", "x.a.test")),
        ("*.a.test", ("<INVALID>", "x.a.test")),
        ("a.test", ("DNS", "a.test.")),
        ("a.test", ("DNS", "a.test\0")),
        ("a.test", ("DNS", " a.test")),
        ("192.0.2.1", ("DNS", "192.0.2.2")),
        ("spiffe://prod/*", ("URI", "spiffe://prod")),
        ("spiffe://prod/*", ("URI", "spiffe://prod/")),
        ("spiffe://prod/*", ("URI", "spiffe://production/a")),
        ("spiffe://prod/*", ("URI", "spiffe://prod.evil/a")),
        ("spiffe://prod/*", ("URI", "spiffe://prod/../test/a")),
        ("spiffe://prod/ns/*", ("URI", "spiffe://prod/ns/../admin")),
        ("spiffe://prod/ns/*", ("URI", "spiffe://prod/ns/%2e%2e/admin")),
        ("spiffe://prod/ns/*", ("URI", "spiffe://prod/ns/x%2f..%2fadmin")),
        ("spiffe://prod/ns/*", ("URI", "spiffe://prod/ns//admin")),
        ("spiffe://prod/ns/*", ("URI", "spiffe://prod/ns/x\\..\\admin")),
        ("spiffe://prod/ns/*", ("URI", "spiffe://prod/ns/x/..;y/../admin")),
        ("spiffe://prod/ns/*", ("URI", "spiffe://prod/ns/..;y/admin")),
        ("spiffe://prod/*", ("URI", "spiffe://prod/?a")),
        ("spiffe://prod/*", ("URI", "spiffe://prod/#a")),
        ("spiffe://prod/*", ("URI", "spiffe://prod/;a")),
        ("spiffe://prod/*", ("URI", "spiffe://prod/a\nb")),
        ("spiffe://prod/*", ("DNS", "spiffe://prod/a")),
        ("ops@a.test", ("email", "OPS@a.test")),
        ("ops@a.test", ("email", "ops@a.test\0")),
    ],
)
def test_who_has_another_name_is_not(pattern: str, name: tuple[str, str]) -> None:
    """Nor who has one that is none, or reads like it."""
    assert not ClientNames([pattern]).fit(certificate(DER, san(name)).names)


def test_a_common_name_counts_for_nothing() -> None:
    told = {"subject": ((("commonName", "a.test"),),)}
    assert certificate(DER, told).names == ()
    assert certificate(DER, told).name == ""
    assert not ClientNames(["a.test"]).fit(certificate(DER, told).names)


def test_backends_are_told_hash_subject_and_names() -> None:
    """E-mail addresses aside; the subject from the innermost part outwards, as RFC 4514 has it."""
    told = {
        "subject": (
            (("countryName", "SE"),),
            (("organizationName", "A"), ("organizationalUnitName", "B")),
            (("commonName", "c"),),
        ),
        "subjectAltName": (("DNS", "A.test"), ("email", "x@a.test"), ("URI", "spiffe://prod/a"), ("IP Address", "::1")),
    }
    shown = certificate(DER, told)
    assert shown.forwarded.decode() == f'{HASH};Subject="CN=c,O=A+OU=B,C=SE";DNS=a.test;URI=spiffe://prod/a'
    assert shown.name == "a.test"


@pytest.mark.parametrize(
    "value", ['x";URI=spiffe://prod/admin', "x\\", "x,CN=y", "x;y", "x\r\nEvil: 1", "x\0", "\u20ac", "x=y+z"]
)
def test_a_subject_can_not_end_its_quotes(value: str) -> None:
    """Nor begin a line or another element: what is between the quotes has neither quotes nor controls, and no backslash at its end."""
    text = certificate(DER, {"subject": ((("commonName", value),),)}).forwarded.decode()
    head, inside, tail = text.split('"')
    assert (head, tail) == (f"{HASH};Subject=", "")
    assert inside.isascii()
    assert inside.isprintable()
    assert not inside.endswith("\\")
    assert not set(inside.removeprefix("CN=")) & set(',;="')


@pytest.mark.parametrize("uri", ["spiffe://prod/a;Hash=00", "spiffe://prod/a,By=x", "spiffe://prod/a=b"])
def test_a_name_can_not_begin_another_element(uri: str) -> None:
    assert certificate(DER, san(("URI", uri))).forwarded.decode() == f'{HASH};Subject="";URI="{uri}"'
    quoted = certificate(DER, san(("URI", f'{uri}"x'))).forwarded.decode()
    assert quoted == f'{HASH};Subject="";URI="{uri}%22x"'


def test_thousands_of_names_are_cut() -> None:
    """To what a header may be; all of them are compared."""
    names = [("DNS", f"n{number}.test") for number in range(5000)]
    shown = certificate(DER, san(*names))
    assert len(shown.forwarded) <= 4096
    assert shown.forwarded.startswith(f"{HASH};Subject=".encode())
    assert ClientNames(["n4999.test"]).fit(shown.names)
    assert len(certificate(DER, {"subject": ((("commonName", "x" * 9000),),)}).forwarded) <= 4096


def test_a_name_as_people_write_it() -> None:
    """For explain."""
    assert named("Spiffe://Prod/a").names == (("URI", "spiffe://prod/a"),)
    assert named("ops@a.test").names == (("email", "ops@a.test"),)
    assert named("A.test").names == (("DNS", "a.test"),)
    assert named("*.a.test").names == ()
