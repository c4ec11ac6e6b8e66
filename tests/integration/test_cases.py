"""Cases of routes, with real clients: which case each request falls into, and that no reading of a path gets around one."""

import contextlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.http_clients import tls_socket
from tests.support.l7 import l7_config, l7_route
from tests.support.proxy import Proxy
from tests.support.recorder import Recorded, Recorder
from tests.support.require import require

TABLE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "cases.json").read_text(encoding="utf-8"))
NAME = "table.test"
ANSWERING = "answering.test"


def _raw(path: str) -> str:
    return path


def _tomcat(path: str) -> str:
    """Take parameters from each segment, decode it, then resolve dots."""
    segments = [unquote(segment.split(";", 1)[0]) for segment in path.split("/")]
    return _resolved("/".join(segments))


def _decoding(path: str) -> str:
    """Decode twice, take backslashes for slashes, and end at a NUL byte."""
    return _resolved(unquote(unquote(path)).replace("\\", "/").split("\0")[0].split(";")[0])


def _resolved(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


READERS: dict[str, Callable[[str], str]] = {"raw": _raw, "tomcat": _tomcat, "decoding": _decoding}
PROBES = {
    r"/api/projects/group%2Fproject": 200,
    r"/static/a//b": 200,
    r"/public/a%20b": 200,
    r"/administration": 200,
    r"/admin": 403,
    r"/admin/x": 403,
    r"/admin//x": 403,
    r"/admin/%20;y/./x": 403,
    r"/%61dmin/x": 400,
    r"/admin%2fx": 400,
    r"/x/../admin": 400,
    r"/x/%2e%2e/admin": 400,
    r"//admin": 400,
    r"/./admin": 400,
    r"/admin;x=1/y": 400,
    r"/api/..;/admin": 400,
    r"/x\..\admin": 400,
    r"/%5cadmin": 400,
    r"/%2561dmin": 400,
    r"/x/..%2fadmin": 400,
    r"/admin%00": 400,
    r"/;/admin/x": 400,
}
SECRET = "the secret"


def _reads(reading: Callable[[str], str]) -> Callable[[Recorded], tuple[int, bytes]]:
    def answer(request: Recorded) -> tuple[int, bytes]:
        path = reading(request.target.partition("?")[0])
        inside = path == "/admin" or path.startswith("/admin/")
        return 200, SECRET.encode() if inside else b"public"

    return answer


class Served(msgspec.Struct):
    """A proxy, and the backends behind it by the names of their routes."""

    proxy: Proxy
    backends: dict[str, Recorder]


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def served(request: pytest.FixtureRequest, fleet: Fleet, certs: Certificates) -> Iterator[Served]:
    guarded = [
        {"match": "/admin/*", "filter": {"require_headers": ["X-Token"]}},
        {"match": "/api/*", "filter": {"set_request_headers": {"X-Api": "1"}}},
    ]
    table = [{"match": match, "filter": {"set_response_headers": {"X-Case": match}}} for match in TABLE["cases"]]
    with contextlib.ExitStack() as stack:
        backends = {f"{name}.test": stack.enter_context(Recorder(_reads(READERS[name]))) for name in READERS}
        backends[NAME] = stack.enter_context(Recorder())
        routes = [
            l7_route(
                *(certs, backend.port, name),
                backend_protocol="http/1.1",
                cases=table if name == NAME else guarded,
            )
            for name, backend in backends.items()
        ]
        own = l7_route(
            certs,
            0,
            ANSWERING,
            respond="own",
            cases=[{"match": "/api/*", "backend": f"127.0.0.1:{backends[NAME].port}"}],
        )
        del own["backend"]
        config = l7_config(*routes, own, http2_engine=request.param, workers=2)
        yield Served(stack.enter_context(fleet.serve(config)), backends)


# Which case a request falls into


@pytest.mark.parametrize("version", ["http1.1", "http2"])
def test_each_request_falls_into_its_case(served: Served, certs: Certificates, tmp_path: Path, version: str) -> None:
    """Curl sends the lines of the table as they stand there; what the case sets in the response says which it was."""
    script = tmp_path / "requests"
    # after "next" nothing is left of the options before it
    common = f'{version}\ncacert = "{certs.ca}"\nresolve = "{NAME}:{served.proxy.port()}:127.0.0.1"\n'
    script.write_text(
        "next\n".join(common + _told(served.proxy.port(), line, fields) for line, fields, _ in TABLE["requests"])
    )
    result = subprocess.run(
        [require("curl"), "--config", script],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    seen = [tuple(line.split(" ", 1)) for line in result.stdout.splitlines()]
    wanted = [("400", "") if case == "ambiguous" else ("200", case or "") for _, _, case in TABLE["requests"]]
    assert dict(zip(_lines(), seen, strict=True)) == dict(zip(_lines(), wanted, strict=True))


def _lines() -> list[str]:
    return [f"{number} {line} {fields}" for number, (line, fields, _) in enumerate(TABLE["requests"])]


def _told(port: int, line: str, fields: dict[str, str]) -> str:
    """Return what a file of curl's options says of one request."""
    method, path = line.split(" ", 1)
    options = [f'url = "https://{NAME}:{port}{path}"', "path-as-is", "globoff", 'output = "/dev/null"']
    options += ["silent", "show-error", 'noproxy = "*"', "max-time = 60"]
    options.append("head" if method == "HEAD" else f'request = "{method}"')
    options += (f'header = "{name}: {value}"' for name, value in fields.items())
    return "\n".join([*options, 'write-out = "%{http_code} %header{x-case}\\n"', ""])


def test_a_case_leads_to_a_backend_though_its_route_answers_itself(served: Served, certs: Certificates) -> None:
    """The other requests get the route's answer."""
    command = [require("curl"), "--silent", "--max-time", "60", "--cacert", str(certs.ca)]
    command += ["--resolve", f"{ANSWERING}:{served.proxy.port()}:127.0.0.1"]
    for version in ("--http1.1", "--http2"):
        for path, answer in (("/api/x", ""), ("/x", "own"), ("/api/", "")):
            url = f"https://{ANSWERING}:{served.proxy.port()}{path}"
            told = subprocess.run([*command, version, url], capture_output=True, text=True, timeout=90, check=True)
            assert told.stdout == answer, path


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_crowds_of_requests_fall_into_their_cases(
    served: Served, certs: Certificates, tmp_path: Path, version: str
) -> None:
    """H2load sends those lines that it can say, many at once."""
    lines = [(line, case) for line, fields, case in TABLE["requests"] if line.startswith("GET ") and not fields]
    targets = tmp_path / "targets"
    targets.write_text("".join(f"https://{NAME}:{served.proxy.port()}{line.split(' ', 1)[1]}\n" for line, _ in lines))
    rounds = 5
    result = subprocess.run(
        [
            *(require("h2load", "nghttp2-client"), "-n", str(rounds * len(lines)), "-c", "1", "-m", "20"),
            *(f"--npn-list={version}", f"--connect-to=127.0.0.1:{served.proxy.port()}", f"--input-file={targets}"),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
        env={"SSL_CERT_FILE": str(certs.ca)},
    )
    found = re.search(r"status codes: (\d+) 2xx, \d+ 3xx, (\d+) 4xx, (\d+) 5xx", result.stdout)
    assert found is not None, result.stdout
    wanted = Counter("4xx" if case == "ambiguous" else "2xx" for _, case in lines)
    assert tuple(map(int, found.groups())) == (wanted["2xx"] * rounds, wanted["4xx"] * rounds, 0)


# No way around a case


@pytest.mark.parametrize("name", READERS)
def test_no_path_gets_around_a_case(served: Served, name: str) -> None:
    """Whatever sort of backend there is, none gets a path that means /admin to it; what is harmless passes as it came."""
    passed = [path for path, status in PROBES.items() if status == 200]
    with tls_socket(("127.0.0.1", served.proxy.port()), f"{name}.test", "http/1.1") as sock:
        stream = sock.makefile("rb")
        for path, status in PROBES.items():
            sock.sendall(f"GET {path} HTTP/1.1\r\nhost: {name}.test\r\n\r\n".encode())
            line = stream.readline().decode()
            length = 0
            while (field := stream.readline().strip().lower()) != b"":
                if field.startswith(b"content-length:"):
                    length = int(field.split(b":")[1])
            body = stream.read(length).decode()
            assert (path, line.split()[1]) == (path, str(status))
            assert body != SECRET
    assert [request.target for request in served.backends[f"{name}.test"].requests] == passed


def test_the_probes_would_reach_it_without_a_case() -> None:
    """Each refused one means /admin to one of the backends, and each that passes to none."""
    for path, status in PROBES.items():
        meanings = {reading(path) for reading in READERS.values()}
        inside = any(meaning == "/admin" or meaning.startswith("/admin/") for meaning in meanings)
        assert (path, inside) == (path, status != 200)
