"""What is kept of the places of declarations tells the same as the files did."""

import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.model.history.origins import FileOrigins, past_resolution, unpack
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.route_options import RouteOptions
from mcproxy.model.values.origins import Origin

MAIN = Source(
    "/f/mc-proxy.toml",
    """\
include = ["more.toml"]
[proxy]
workers = 2
[firewall]
blocked_ips = [
  "192.0.2.1",
  "192.0.2.2",
]
[upstreams.web]
check = { type = "http", path = "/health" }
endpoints = [
  "10.0.0.1:80",
  { address = "10.0.0.2:80", weight = 3 },
]
[filters.office]
allow_cidrs = ["10.0.0.0/8"]
[[listeners]]
addr = ":443"
  [[listeners.routes]]
  hostname = "app.example.com"
  backend = "web"
  mode = "l7"
  tls_cert = "/c"
  tls_key = "/k"
  use = ["office"]
    [listeners.routes.filter]
    max_body = "1MiB"
    [[listeners.routes.cases]]
    match = "GET /a/*"
    redirect = "https://example.org/"
    filter.max_body = "2MiB"
""",
)
MORE = Source("/f/more.toml", '[[listeners]]\naddr = ":80"\nroutes = [{ hostname = "*", backend = "10.0.0.9:443" }]\n')


@pytest.fixture(scope="module")
def resolution() -> Resolution:
    return resolve([MAIN, MORE])


def test_every_key_of_every_resource_stands_where_it_stood(resolution: Resolution) -> None:
    """Those that are not written stand where their resource does, as they did; also after it was stored."""
    files = FileOrigins(resolution)
    past = past_resolution(resolution.state, unpack(files.packed), {})
    assert past.origins == resolution.origins
    names = {*RouteOptions.__struct_fields__, *FilterOptions.__struct_fields__, "backend", "check.path", "addr"}
    names |= {f"filter.{name}" for name in FilterOptions.__struct_fields__}
    for key in [*resolution.origins, ("route", ":443", "nowhere")]:
        for name in names:
            assert past.origin(key, name) == resolution.origin(key, name), (key, name)
    case = ("case", ":443", "app.example.com", "GET /a/*")
    assert past.origin(case, "filter.max_body") == Origin("/f/mc-proxy.toml", 31, 12)
    assert past.origin(("route", ":80", "*"), "backend") == Origin("/f/more.toml", 3, 29)


def test_what_an_edit_made_has_the_edit_as_origin(resolution: Resolution) -> None:
    """Whatever the file said of it."""
    key = ("route", ":443", "app.example.com")
    past = past_resolution(resolution.state, FileOrigins(resolution).declarations, {key: "edit 3 by ann"})
    assert past.origin(key, "backend") == past.origins[key] == Origin("edit 3 by ann", 0, 0)


def test_files_that_declare_the_same_in_the_same_places_are_told_by_one_digest(resolution: Resolution) -> None:
    """So they are kept once; a line more makes another."""
    assert FileOrigins(resolution).digest == FileOrigins(resolve([MAIN, MORE])).digest
    moved = Source(MAIN.path, "# more\n" + MAIN.text)
    assert FileOrigins(resolution).digest != FileOrigins(resolve([moved, MORE])).digest
