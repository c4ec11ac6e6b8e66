"""What testssl.sh, the auditor's tool, finds: both certificates of a route, its versions and its curves, and nothing of others."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.l4 import serve
from tests.support.proxy import Proxy
from tests.support.require import require
from tests.support.settings import Table, listener

pytestmark = pytest.mark.soak

NAMES = ("two.test", "newer.test")
Findings: TypeAlias = dict[str, str]


@pytest.fixture(scope="module")
def rsa(certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another certificate for the same names, of an RSA key, and signed by nobody else."""
    folder = tmp_path_factory.mktemp("testssl")
    subject = ("-subj", f"/CN={NAMES[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in NAMES))
    files = ("-keyout", str(folder / "rsa.key"), "-out", str(folder / "rsa.crt"))
    command = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", *subject, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder / "rsa.crt"


@pytest.fixture(scope="module")
def proxy(certs: Certificates, rsa: Path) -> Iterator[Proxy]:
    leaf = certs.server(*NAMES)
    pairs = {
        "tls_cert": [str(leaf.certificate), str(rsa)],
        "tls_key": [str(leaf.key), str(rsa.with_suffix(".key"))],
    }
    terms: dict[str, Table] = {"two.test": {}, "newer.test": {"min_version": "1.3", "curves": ["P-384", "X25519"]}}
    routes: list[Table] = [
        {"hostname": name, "mode": "l7", "respond": name, **pairs, **({"tls": terms[name]} if terms[name] else {})}
        for name in NAMES
    ]
    with serve(tomlkit.dumps({"listeners": [listener("127.0.0.1:PORT", routes)]})) as started:
        yield started


def found(proxy: Proxy, hostname: str, folder: Path, *checks: str) -> Findings:
    """Return what testssl finds by its names for it; it asks neither name servers nor CAs."""
    told = folder / "found.json"
    quiet = ("--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--assume-http", "--ip", "127.0.0.1")
    patient = ("--connect-timeout", "60", "--openssl-timeout", "60", "--jsonfile", str(told))
    command = [require("testssl", "testssl.sh"), *quiet, *patient, *checks, f"{hostname}:{proxy.port()}"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"},
    )
    assert told.exists(), done.stdout.decode()
    return {each["id"]: each["finding"] for each in json.loads(told.read_text())}


def test_two_certificates(proxy: Proxy, tmp_path: Path) -> None:
    """An auditor sees that of each type of key, and no version that is out of use."""
    told = found(proxy, "two.test", tmp_path, "--protocols", "--server-defaults")
    assert told["cert_numbers"] == "2"
    keys = {told[f"cert_keySize <cert#{number}>"] for number in (1, 2)}
    assert {key.split()[0] for key in keys} == {"RSA", "EC"}, keys
    names = {told[f"cert_subjectAltName <cert#{number}>"] for number in (1, 2)}
    assert all("two.test" in name for name in names), names
    versions = {version: told[version] for version in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3")}
    offered = {version for version, words in versions.items() if words.startswith("offered")}
    assert offered == {"TLS1_2", "TLS1_3"}, versions


def test_a_route_of_tls_1_3_alone(proxy: Proxy, tmp_path: Path) -> None:
    """TLS 1.2 is none of its, though its listener speaks it for others; and its curves are those of the file."""
    told = found(proxy, "newer.test", tmp_path, "--protocols", "--pfs")
    assert told["TLS1_2"].startswith("not offered"), told["TLS1_2"]
    assert told["TLS1_3"].startswith("offered"), told["TLS1_3"]
    assert set(told["PFS_ECDHE_curves"].split()) == {"secp384r1", "X25519"}
