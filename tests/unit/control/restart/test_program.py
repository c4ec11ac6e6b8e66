"""The command that starts the program again."""

from pathlib import Path

from mcproxy.control.restart.program import command


def test_a_script_is_run_by_its_own_first_line(tmp_path: Path) -> None:
    """Whatever interpreter runs it now: that of the version which is installed by then is to run it."""
    script = tmp_path / "mcproxy"
    script.write_text("#!/opt/new/bin/python\n", encoding="utf-8")
    script.chmod(0o755)
    given = ["/opt/old/bin/python", "-u", str(script), "serve", "--config", "x"]
    assert command(given, str(script)) == [str(script), "serve", "--config", "x"]


def test_other_programs_are_started_as_they_were(tmp_path: Path) -> None:
    """A module, a script that is no executable file or has no first line that names an interpreter, one that is gone."""
    module = ["python", "-m", "mcproxy", "serve"]
    assert command(module, "/opt/old/mcproxy/__main__.py") == module
    script = tmp_path / "mcproxy.py"
    given = ["python", str(script), "serve"]
    assert command(given, str(script)) == given
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    assert command(given, str(script)) == given
    script.write_text("print()\n", encoding="utf-8")
    script.chmod(0o755)
    assert command(given, str(script)) == given
