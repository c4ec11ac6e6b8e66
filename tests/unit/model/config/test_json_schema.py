import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mcproxy.model.config.pages import reference
from mcproxy.model.config.pages.json_schema import json_schema
from tests.support.rows import each_row

ROOT = Path(__file__).parents[4]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_a_schema() -> None:
    """By its own dialect, plain JSON, with every reference in place and no marks of ours left."""
    jsonschema.Draft202012Validator.check_schema(json_schema())
    text = json.dumps(json_schema())
    assert "x-text" not in text
    assert "x-" not in text.replace("mcproxy-", "")
    assert "#/$defs/Endpoint" not in text


def test_every_key_has_a_description_and_nothing_else_is_allowed() -> None:
    """Editors show the one and underline the other."""
    schema = json_schema()
    for table in (schema, *schema["$defs"].values()):
        assert table["additionalProperties"] is False
        assert all(value["description"] for value in table["properties"].values())


def test_the_committed_schema_is_the_generated_one() -> None:
    """`just schemas` was run."""
    assert json.loads((ROOT / "schemas/mc-proxy.schema.json").read_text()) == json_schema()


@pytest.mark.parametrize(
    "text",
    [
        "",
        (ROOT / "srv/mc-proxy.toml").read_text(),
        'include = ["conf.d/*.toml"]\n[proxy]\nidle_timeout = "1m30s"\nshutdown_timeout = "0s"\n',
        '[grpc]\nsocket_mode = "0600"\naddr = ""\n[metrics]\naddr = "127.0.0.1:9090"\n',
        (
            '[upstreams.web]\nendpoints = ["x:1", { address = "[::1]:2", weight = 256 }]\ntls = {}\nretry_on = ["502"]\n'
            '[upstreams.web.check]\ntype = "http"\ninterval = "5s"\n'
            '[[listeners]]\naddr = ":1"\nroutes = [{ hostname = "a", backend = ["x:1", "unix:/y"] }, { hostname = "b", backend = "web" }]\n'
        ),
        '[firewall]\nblocked_countries = ["SE"]\nblocked_cidrs = ["10.0.0.0/8"]\n',
        (
            '[[listeners]]\naddr = ":1"\n[[listeners.routes]]\nhostname = "*.bücher.example"\nbackend = "unix:/x"\n'
            '[[listeners.routes.l7_policies]]\ntype = "block_user_agent"\nvalue = "Bad Bot"\n'
        ),
    ],
)
def test_good_files_pass(text: str) -> None:
    """Nothing valid is underlined."""
    VALIDATOR.validate(tomllib.loads(text))


def _listener(route: dict[str, Any]) -> dict[str, Any]:
    return {"listeners": [{"addr": ":1", "routes": [route]}]}


@each_row(
    "document",
    [
        {"workers": 3},
        {"proxy": {"idle_timeot": "5m"}},
        {"proxy": {"idle_timeout": 5}},
        {"proxy": {"idle_timeout": "5x"}},
        {"proxy": {"idle_timeout": ""}},
        {"proxy": {"workers": -1}},
        {"log": {"level": "warn"}},
        {"listeners": [{}]},
        {"listeners": [{"addr": "localhost"}]},
        _listener({"backend": "x:1"}),
        _listener({"hostname": "a", "redirect": 5}),
        _listener({"hostname": "a b", "backend": "x:1"}),
        _listener({"hostname": "a", "backend": "x y"}),
        _listener({"hostname": "a", "backend": ["x:1", "web"]}),
        _listener({"hostname": "a", "backend": []}),
        {"upstreams": {"Web": {"endpoints": ["x:1"]}}},
        {"upstreams": {"web": {}}},
        {"upstreams": {"web": {"endpoints": ["x"]}}},
        {"upstreams": {"web": {"endpoints": [{"weight": 2}]}}},
        {"upstreams": {"web": {"endpoints": [{"address": "x:1", "weight": 0}]}}},
        {"upstreams": {"web": {"endpoints": ["x:1"], "check": {"type": "udp"}}}},
        {"upstreams": {"web": {"endpoints": ["x:1"], "tls": True}}},
        _listener({"hostname": "a", "backend": "x:1", "mode": "l5"}),
        {"firewall": {"blocked_countries": ["SWE"]}},
        {"grpc": {"socket_mode": "rw"}},
    ],
)
def test_bad_files_fail(document: dict[str, Any]) -> None:
    """Unknown keys, wrong types and wrong forms are seen while typing."""
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document)


@pytest.mark.parametrize("path", [path for path, _, _ in reference.tables()])
def test_the_examples_of_the_reference_pass(path: str) -> None:
    """With the tests that each carries."""
    VALIDATOR.validate(tomllib.loads(reference.example(path)))


@pytest.mark.parametrize(
    "test",
    [
        'request = "GET https://a/"',
        'request = "https://a/"\nexpect = { status = 200 }',
        'connect = "a"\nexpect = { reset = true }',
        'connect = "a:1"\nexpect = { step = "alow" }',
        'connect = "a:1"\nexpect = { statsu = 200 }',
        'connect = "a:1"\nexpect = { filter = { rate_limt = "1/1s" } }',
    ],
)
def test_wrong_tests_are_underlined(test: str) -> None:
    """What is misspelt or missing in one."""
    assert not VALIDATOR.is_valid(tomllib.loads(f"[[tests]]\n{test}\n"))
