"""What a start imports: what is slow to import waits until something needs it."""

import ast
import subprocess
import sys

import pytest

from mcproxy.late_modules import LATE as LATE_MODULES
from mcproxy.worker.main import LATE
from tests.support.proxy import ROOT

CONTROL = "mcproxy.cli.server.app, mcproxy.control.main"
WORKER = "mcproxy.worker.main"
STARTED = "import runpy\ntry: runpy.run_module('mcproxy.worker', run_name='__main__')\nexcept Exception as error: assert 'channel' in str(error)"
"""A worker's start to where it reads its command line, which is empty."""
OF_NOBODY = [
    "acme",
    "aiohttp",
    "argparse",
    "cryptography",
    "dns",
    "h2",
    "idna",
    "jinja2",
    "josepy",
    "maxminddb",
    "prometheus_client",
    "rich",
    "tomlkit",
]


def imported(statement: str) -> set[str]:
    """Return the names of the modules that are there after a statement."""
    return set(printed(f"{statement}\nimport sys\nprint(*sys.modules)").split())


def printed(program: str) -> str:
    """Return what a program prints."""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        (CONTROL, [*OF_NOBODY, "anyio", "pygments", "watchfiles"]),
        (CONTROL, ["mcproxy.cli.server.config_commands", "mcproxy.control.health.probes.requests",
                "mcproxy.control.observe.page.status", "mcproxy.model.config.mistakes.syntax"]),
        (WORKER, ["bcrypt", "mcproxy.policy.cases", "mcproxy.policy.filters.scope", "mcproxy.policy.upstreams",
                "httptools", "mcproxy.policy.requests", "mcproxy.wire.http1", "mcproxy.wire.http2", "mcproxy.worker.auth.guards",
                "mcproxy.worker.backends.connector", "mcproxy.worker.backends.pool_state", "mcproxy.worker.http.session", "mcproxy.worker.live.pools",
                "mcproxy.worker.requests.interfaces", "mcproxy.worker.stream.exchange", "mcproxy.worker.stream.http_connection", "ngh2", "mcproxy.worker.live.balancer", "mcproxy.worker.live.cases",
                "mcproxy.worker.live.upstream", "mcproxy.worker.requests.passage"]),
        (WORKER, [*OF_NOBODY, "google", "grpc", "json", "mcproxy.control", "sqlite3", "structlog", "tomllib"]),
    ],
    ids=["control", "own modules of control", "own modules of workers", "worker"],
)  # fmt: skip
def test_a_start_does_not_import_what_only_others_need(modules: str, unwanted: list[str]) -> None:
    """The endpoint's libraries without the endpoint, tools for certificates without certificates, pictures of mistakes, what chooses among endpoints."""
    assert sorted(imported(f"import {modules}") & set(unwanted)) == []


def test_what_workers_import_late_is_loaded_before_they_become_a_user() -> None:
    """Who has become the user of `[proxy] user` may not be allowed to read the package."""
    late = set()
    for path in sorted((ROOT / "mcproxy" / "worker").rglob("*.py")):
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        statements = [node for function in functions for node in ast.walk(function)]
        late |= {node.module or "" for node in statements if isinstance(node, ast.ImportFrom)}
    assert late
    assert sorted(late - set(LATE)) == []
    assert set(LATE) <= imported("from mcproxy.worker.main import LATE\nfor name in LATE: __import__(name)")


LEFT = "\nimport sys\nprint('|', *(type(sys.modules[name]).__name__ for name in LATE))"


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        ("", "_LazyModule"),
        ("late_modules.load()", "module"),
        ("import locale, msgspec, textwrap\nlocale.str, textwrap.dedent", "module"),
    ],
    ids=["started", "loaded", "used"],
)
def test_a_worker_leaves_out_what_other_packages_bring_along(then: str, kind: str) -> None:
    """Modules that msgspec and the standard library import at once wait until something of them is used, or do not come at all."""
    used = ("locale", "textwrap") if then.startswith("import") else LATE_MODULES
    program = f"{STARTED}\nfrom mcproxy import late_modules\nLATE = {used!r}\n{then}{LEFT}"
    assert printed(program).split("|")[1].split() == [kind] * len(used)
    assert "typing_extensions" not in imported(STARTED)


def test_a_worker_has_all_that_its_start_has_left_out() -> None:
    """Patterns that the standard library compiles when it is imported are compiled when they are used, and others as ever."""
    program = (
        "import json, logging, platform, re, string, textwrap\nimport msgspec\n"
        "print('|', string.Template('${a}-$b').substitute(a=1, b=2), textwrap.fill('of two words', 6).count('\\n'))\n"
        "print(platform.python_version_tuple() == tuple(platform.python_version().split('.')), type(re.compile('x')).__name__)\n"
        "print(logging.Formatter('{message}', style='{').usesTime(), msgspec.json.encode([1]), msgspec.toml.__name__)\n"
        "print(msgspec.json.schema(int), type(msgspec.inspect.type_info(int)).__name__)\n"
    )
    assert printed(f"{STARTED}\n{program}").split("|")[1].split("\n") == [
        " 1-2 1", "True Pattern", "False b'[1]' msgspec.toml", "{'type': 'integer'} IntType", ""
    ]  # fmt: skip


def test_rich_can_be_imported_afterwards() -> None:
    """Structlog is kept from it, the commands that print tables are not; nor is it lost to whoever has it already."""
    assert "rich.table" in imported("import mcproxy.control.system.log, rich.table")
    assert "rich" in imported("import rich.table, mcproxy.control.system.log")


def test_control_collects_garbage_when_it_serves() -> None:
    """The collector rests while modules are imported, and no longer."""
    program = (
        "import gc\nfrom pathlib import Path\ngc.disable()\nfrom mcproxy.control.main import serve\n"
        "try:\n    serve(Path('/nowhere'))\nexcept Exception as error:\n    print(type(error).__name__, gc.isenabled())\n"
    )
    assert printed(program) == "ConfigError True\n"
