"""Fixtures of all tests: certificates, real programs, the proxy; and the summary of missing real parts."""

import contextlib
import gc
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Protocol, TypeAlias

import pytest

from mcproxy.errors import NativeCoreError
from mcproxy.net.native.library import find
from tests.support import examples
from tests.support.canned_admin import CannedAdmin
from tests.support.certificates import Certificates, Leaf
from tests.support.fleet import Fleet
from tests.support.nginx import Nginx, start_nginx
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.require import MARK
from tests.support.restart import Installed

HERE = Path(__file__).parent
_COMPUTING = {"fuzz", "property", "unit"}
"""Folders whose tests hardly wait."""
_SPREAD = 0.7
"""The part of the files of those between which the others are put."""

# Hundreds of programs of the project are started: keep their byte code, as on an operator's machine.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell's background job ignores SIGINT, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

examples.register()


class StartNginx(Protocol):
    """The `nginx` fixture: `start_nginx` with processes and folder provided."""

    def __call__(self, name: str, leaf: Leaf, *, client_ca: Path | None = None) -> Nginx: ...


Install: TypeAlias = Callable[[str], Installed]
"""The `install` fixture: start a proxy through a symbolic link to its version, on a config text."""


class StartProxy(Protocol):
    """The `proxy` fixture: start `mcproxy serve` with further options on a config text; see `Proxy`."""

    def __call__(self, text: str, *args: str) -> Proxy: ...


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return the run's CA, which issues leaves as files."""
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="session")
def other_certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a second CA, which nobody trusts by default."""
    return Certificates(tmp_path_factory.mktemp("other-certs"), "other CA")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder with a short path: Unix sockets in it stay below the kernel's 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def admin(short_folder: Path) -> Iterator[CannedAdmin]:
    """Return an admin API with canned answers, for clients."""
    with CannedAdmin(short_folder / "admin.sock") as admin:
        yield admin


@pytest.fixture
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Processes]:
    """Start real programs; every one is killed at the end of the test, with all that it started."""
    with Processes(tmp_path) as started:
        request.node.stash[_STARTED] = started
        yield started


@pytest.fixture
def nginx(processes: Processes, tmp_path: Path) -> StartNginx:
    """Start nginx as a TLS backend, each in a folder of its own."""

    def start(name: str, leaf: Leaf, *, client_ca: Path | None = None) -> Nginx:
        folder = tmp_path / f"nginx-{name}"
        folder.mkdir()
        return start_nginx(processes, folder, name, leaf, client_ca=client_ca)

    return start


@pytest.fixture
def proxy(processes: Processes, short_folder: Path) -> Iterator[StartProxy]:
    """Start proxies, each in a folder of its own; they are killed at the end of the test."""
    proxies: list[Proxy] = []

    def start(text: str, *args: str) -> Proxy:
        folder = short_folder / f"p{len(proxies)}"
        folder.mkdir()
        proxies.append(Proxy(processes, folder, text))
        proxies[-1].start(*args)
        return proxies[-1]

    yield start
    for each in proxies:
        each.close()


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Return proxies that serve one test or module after the other."""
    with Fleet() as fleet:
        yield fleet


@pytest.fixture
def reloaded(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[StartProxy]:
    """Serve configs by proxies that have served other tests, as `proxy` does by new ones; see `Fleet`."""
    proxies = request.node.stash[_RELOADED] = []
    with contextlib.ExitStack() as stack:

        def start(text: str, *args: str) -> Proxy:
            assert not args, "a proxy that runs takes no options"
            proxies.append(stack.enter_context(fleet.serve(text)))
            return proxies[-1]

        yield start


@pytest.fixture
def install(processes: Processes, short_folder: Path) -> Iterator[Install]:
    """Start a proxy through a symbolic link to its version, on a config text; it is killed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def start(text: str) -> Installed:
            installed = stack.enter_context(contextlib.closing(Installed(processes, short_folder, text)))
            installed.edge.start()
            return installed

        yield start


def pytest_configure(config: pytest.Config) -> None:
    """Compile the native core, once, before programs that need it are started beside each other."""
    if not hasattr(config, "workerinput"):
        with contextlib.suppress(
            NativeCoreError
        ):  # without a compiler Python relays; status says so, and tests of it do
            find()
        if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not any(HERE.glob("unit/**/__pycache__")):
            _translate_once()


def _translate_once() -> None:
    """Have the tests of a fresh checkout translated by two programs, or each of the workers would translate them all."""
    others = sorted(
        str(folder) for folder in HERE.iterdir() if folder.name != "unit" and any(folder.glob("**/test_*.py"))
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n", "0"]
    running = [
        subprocess.Popen([*command, *part], cwd=HERE.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for part in ([str(HERE / "unit")], others)
    ]
    for each in running:
        each.wait()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the collector more than ten thousand tests, which stay: it need not look at them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of tests that compute between those of tests that wait for programs, so that cores are seldom idle.

    The last ones compute: they are short, so all workers end at about the same time.
    """
    waiting: list[list[pytest.Item]] = []
    computing: list[list[pytest.Item]] = []
    for path, of_the_file in itertools.groupby(items, lambda item: item.path):
        folder = path.relative_to(HERE).parts[0]
        (computing if folder in _COMPUTING else waiting).append(list(of_the_file))
    if not waiting or not computing:
        return
    places = [(number * len(computing) * _SPREAD / len(waiting), 0, each) for number, each in enumerate(waiting)]
    places += [(float(number), 1, each) for number, each in enumerate(computing)]
    items[:] = [item for *_, each in sorted(places, key=lambda place: place[:2]) for item in each]


_STARTED = pytest.StashKey[Processes]()
_RELOADED = pytest.StashKey[list[Proxy]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failed test's report what its programs printed."""
    report = yield
    if report.failed:
        started = list(item.stash[_STARTED].started) if _STARTED in item.stash else []
        started += [proxy.process for proxy in item.stash.get(_RELOADED, [])]
        report.sections += [(" ".join(process.argv)[:100], process.transcript()) for process in started]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which real parts were missing, so that a green run with skips is not taken for a whole one."""
    missing: dict[str, int] = {}
    for report in terminalreporter.getreports("skipped"):
        if isinstance(report.longrepr, tuple) and MARK in report.longrepr[2]:
            reason = report.longrepr[2].partition(MARK)[2].lstrip(": ")
            missing[reason] = missing.get(reason, 0) + 1
    if missing:
        terminalreporter.section("missing real parts: install them for a whole run", red=True, bold=True)
        for reason, count in sorted(missing.items()):
            terminalreporter.line(f"{reason}: {count} {'test' if count == 1 else 'tests'} skipped", red=True)
