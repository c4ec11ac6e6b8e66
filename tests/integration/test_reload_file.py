"""The file is followed however it is saved."""

import re
import signal
import statistics
import time

import pytest

from tests.conftest import StartProxy
from tests.support.lifecycle import applied, apply, end, operations
from tests.support.load import Load, until
from tests.support.proxy import Proxy
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"


def serves(load: Load, proxy: Proxy, hostname: str, backend: str) -> bool:
    return load.once((HOST, proxy.port()), hostname).backend == backend


def wait_served(load: Load, proxy: Proxy, hostname: str, backend: str) -> None:
    until(lambda: serves(load, proxy, hostname, backend), f"{hostname} is served by {backend}")


def test_every_way_to_save_a_file_is_noticed(proxy: StartProxy) -> None:
    """A write in place, one in pieces, a rename over, removal and return: each is applied, with its plan in the log."""
    with Load() as load:
        first, second = load.backend("first"), load.backend("second")
        edge = proxy(config(listener("PORT", route("app.test", first)), workers=1))
        assert serves(load, edge, "app.test", "first")

        in_place = edge.fill_in(config(listener("PORT", route("app.test", second)), workers=1))
        since = edge.mark()
        edge.config.write_text(in_place, encoding="utf-8")
        plan = operations(applied(edge, since))
        assert len(plan) == 1
        assert plan[0].startswith(
            f"~ route {HOST}:{edge.port()} app.test  endpoints: {HOST}:{first} -> {HOST}:{second}"
        )
        assert serves(load, edge, "app.test", "second")

        pieces = edge.fill_in(config(listener("PORT", route("app.test", first), route("two.test", first)), workers=1))
        since = edge.mark()
        with edge.config.open("w", encoding="utf-8", buffering=1) as file:
            file.writelines(pieces.splitlines(keepends=True))
        assert len(operations(applied(edge, since))) == 2
        assert serves(load, edge, "two.test", "first")

        renamed = apply(edge, config(listener("PORT", route("app.test", first)), workers=1))
        assert operations(renamed) == [f"- route {HOST}:{edge.port()} two.test -> {HOST}:{first}"]

        since, notified = edge.mark(), len(edge.notifications())
        edge.config.unlink()
        until(lambda: "RELOADING=1" in edge.notifications()[notified:], "the file is missed")
        edge.config.write_text(in_place, encoding="utf-8")
        applied(edge, since)
        assert "cannot be read" not in edge.stderr[since:]
        assert serves(load, edge, "app.test", "second")

        since = edge.mark()
        edge.config.unlink()
        edge.wait_for_log(rf"{edge.config.name}:1:1: error: cannot be read: No such file", since=since)
        assert serves(load, edge, "app.test", "second")
        edge.save(config(listener("PORT", route("app.test", first)), workers=1))
        wait_served(load, edge, "app.test", "first")
        assert end(edge) == 0


def test_half_of_a_file_is_not_applied_though_it_is_valid(proxy: StartProxy) -> None:
    """Its writer pauses where the listeners are still missing; only one that never ends is not waited for."""
    with Load() as load:
        first, second = load.backend("first"), load.backend("second")
        head = "[proxy]\nworkers = 1\n"
        edge = proxy(head + listener("PORT", route("app.test", first)))
        rest = edge.fill_in(listener("PORT", route("app.test", second)))
        since, notified = edge.mark(), len(edge.notifications())
        with edge.config.open("w", encoding="utf-8") as file:
            file.write(head)
            file.flush()
            until(lambda: "RELOADING=1" in edge.notifications()[notified:], "the change is noticed")
            edge.signal(signal.SIGHUP)
            time.sleep(0.5)  # what is wrong would happen now
            assert serves(load, edge, "app.test", "first")
            file.write(rest)
        plan = operations(applied(edge, since))
        assert [line.split()[:2] for line in plan] == [["~", "route"]]
        assert serves(load, edge, "app.test", "second")

        since = edge.mark()
        with edge.config.open("w", encoding="utf-8") as file:
            file.write(head + edge.fill_in(listener("PORT", route("app.test", first))))
            file.flush()
            assert "still open for writing" in applied(edge, since)
            assert serves(load, edge, "app.test", "first")
        assert end(edge) == 0


def test_a_switched_data_folder_is_noticed(proxy: StartProxy) -> None:
    """A config map's way: the file is a link into `..data`, which is switched to a new folder, the old one removed."""
    with Load() as load:
        first, second = load.backend("first"), load.backend("second")
        edge = proxy(config(listener("PORT", route("app.test", first)), workers=1))
        texts = [
            edge.fill_in(config(listener("PORT", route("app.test", b)), workers=1)) for b in (first, second, first)
        ]
        data = edge.folder / "..data"
        for number, text in enumerate(texts):
            since = edge.mark()
            version = edge.folder / f"..version{number}"
            version.mkdir()
            (version / edge.config.name).write_text(text, encoding="utf-8")
            (edge.folder / "..data_tmp").symlink_to(version.name)
            (edge.folder / "..data_tmp").replace(data)
            if not number:  # from a plain file to a link
                edge.config.unlink()
                edge.config.symlink_to(f"..data/{edge.config.name}")
                edge.wait_for_log("read again: no changes", since=since)
                continue
            applied(edge, since)
            (edge.folder / f"..version{number - 1}" / edge.config.name).unlink()
            (edge.folder / f"..version{number - 1}").rmdir()
            assert serves(load, edge, "app.test", ("first", "second", "first")[number])
        assert "] error" not in edge.stderr


def test_a_folder_made_anew_is_noticed(proxy: StartProxy) -> None:
    """The file's folder is renamed away and another takes its place: the file in it counts."""
    with Load() as load:
        backend = load.backend("one")
        main = listener("PORT_B", route("main.test", backend))
        edge = proxy(config(main, workers=1, head='include = ["conf.d/*.toml"]'))
        folder = edge.folder / "conf.d"
        for number in range(2):
            since = edge.mark()
            (edge.folder / "new").mkdir()
            text = edge.fill_in(listener("PORT", route(f"app{number}.test", backend)))
            (edge.folder / "new" / "app.toml").write_text(text, encoding="utf-8")
            if number:
                folder.rename(edge.folder / "old")
            (edge.folder / "new").rename(folder)
            wait_served(load, edge, f"app{number}.test", "one")
            assert "] error" not in edge.stderr[since:]


def test_included_files_come_change_and_go(proxy: StartProxy) -> None:
    """A file that an include's pattern finds is applied when it appears, changes and disappears, in subfolders too.

    When the last one disappears, that is no wish.
    """
    with Load() as load:
        first, second = load.backend("first"), load.backend("second")
        edge = proxy(
            config(listener("PORT", route("main.test", first)), workers=1, head='include = ["conf.d/**/*.toml"]')
        )
        file = edge.folder / "conf.d" / "team" / "app.toml"
        file.parent.mkdir(parents=True)

        since = edge.mark()
        file.write_text(edge.fill_in(listener("PORT_B", route("app.test", first))), encoding="utf-8")
        assert [line.split("  ")[0] for line in operations(applied(edge, since))] == [
            f"+ listener {HOST}:{edge.port('B')}",
            f"+ route {HOST}:{edge.port('B')} app.test -> {HOST}:{first}",
        ]
        assert load.once((HOST, edge.port("B")), "app.test").backend == "first"

        since = edge.mark()
        file.write_text(edge.fill_in(listener("PORT_B", route("app.test", second))), encoding="utf-8")
        assert "(app.toml:4)" in applied(edge, since)
        assert load.once((HOST, edge.port("B")), "app.test").backend == "second"

        since = edge.mark()
        file.rename(edge.folder / "app.away")
        edge.wait_for_log("matched files before and matches none now", since=since)
        edge.wait_for_log("nothing changed", since=since)
        assert load.once((HOST, edge.port("B")), "app.test").backend == "second"

        since = edge.mark()
        (file.parent / "other.toml").write_text("# nothing of its own\n", encoding="utf-8")
        assert len(operations(applied(edge, since))) == 2
        assert load.once((HOST, edge.port("B")), "app.test").error.startswith("ConnectionRefusedError")
        assert serves(load, edge, "main.test", "first")


@pytest.mark.parametrize("pattern", ["conf.d/*.toml", "conf.d/app.toml"])
def test_a_mistake_in_a_file_that_was_just_included_can_be_corrected_there(proxy: StartProxy, pattern: str) -> None:
    """The main file begins to include a file that is wrong or missing: correcting that file alone is enough."""
    with Load() as load:
        backend = load.backend("one")
        main = listener("PORT", route("main.test", backend))
        edge = proxy(config(main, workers=1))
        included = edge.folder / "conf.d" / "app.toml"
        included.parent.mkdir()
        if "*" in pattern:
            included.write_text('[[listeners]]\nadress = "x"\n', encoding="utf-8")
        since = edge.mark()
        edge.save(config(main, workers=1, head=f'include = ["{pattern}"]'))
        edge.wait_for_log("invalid configuration, nothing changed", since=since)
        since = edge.mark()
        included.write_text(edge.fill_in(listener("PORT_B", route("app.test", backend))), encoding="utf-8")
        applied(edge, since)
        assert load.once((HOST, edge.port("B")), "app.test").backend == "one"


def test_hang_up_reads_the_file_again(proxy: StartProxy) -> None:
    """SIGHUP reloads: a file that is as before is said to be so, and the service manager hears of begin and end."""
    with Load() as load:
        edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), workers=1))
        before = edge.notifications()
        since = edge.mark()
        edge.signal(signal.SIGHUP)
        edge.wait_for_log("the file was read again: no changes", since=since)
        until(lambda: len(edge.notifications()) >= len(before) + 3, "the reload's end is notified")
        begin, when, ready = edge.notifications()[len(before) :]
        assert (begin, ready) == ("RELOADING=1", "READY=1")
        microseconds = int(when.removeprefix("MONOTONIC_USEC="))
        assert 0 < microseconds <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert serves(load, edge, "app.test", "one")


def test_an_added_route_serves_within_a_second_of_the_save(reloaded: StartProxy) -> None:
    """Half of all saves are live after a second at the most, whatever the machine is busy with."""
    with Load() as load:
        backend = load.backend("one")
        edge = reloaded(config(listener("PORT", route("r0.test", backend))))
        waits = []
        for number in range(1, 31):
            names = [f"r{each}.test" for each in range(number + 1)]
            edge.save(config(listener("PORT", *(route(name, backend) for name in names))))
            saved = time.monotonic()
            wait_served(load, edge, names[-1], "one")
            waits.append(time.monotonic() - saved)
            if number >= 5 and statistics.median(waits) < 1.0:
                break
        assert statistics.median(waits) < 1.0, waits


def test_a_mistake_is_told_once_by_its_cause_and_mended_under_way(proxy: StartProxy) -> None:
    """In the main file and in an included one, TOML or not; a byte order mark and the line ends of Windows are no mistakes."""
    with Load() as load:
        first, second = load.backend("first"), load.backend("second")
        edge = proxy('include = ["conf.d/*"]\n' + config(listener("PORT", route("app.test", first)), workers=1))
        more = edge.folder / "conf.d" / "more.toml"
        more.parent.mkdir()

        def told(pattern: str, since: int) -> None:
            edge.wait_for_log(pattern, since=since)
            edge.wait_for_log("nothing changed", since=since)
            assert len(re.findall(r"\.toml:\d+:\d+: error: ", edge.stderr[since:])) == 1
            assert serves(load, edge, "app.test", "first")

        good = edge.config.read_text(encoding="utf-8")
        since = edge.mark()
        edge.save(good.replace('backend = "', 'tls_cert = "x"\nmode = "L7"\nbackend = "'))
        told(r'mode: must be "l4" or "l7", not "L7"; did you mean "l7"\?', since)
        since = edge.mark()
        edge.save(good.replace('hostname = "app.test"', "hostname = “app.test”"))
        told(r"not valid TOML: there is “ .* in plain quotes", since)
        edge.save(good)
        since = edge.mark()
        more.write_text("[firewall]\nrate_limit = 1,000\n", encoding="utf-8")
        told(r"more\.toml:2:14: error: not valid TOML: digits are grouped by nothing, or by _: write 1000", since)
        since = edge.mark()
        more.write_bytes("\ufeff[firewall]\r\nrate_limit = 1000\r\n".encode())
        applied(edge, since)
        marked = good.replace(f"{HOST}:{first}", f"{HOST}:{second}")
        edge.save("\ufeff" + marked.replace("\n", "\r\n"))
        wait_served(load, edge, "app.test", "second")
        assert end(edge) == 0
