"""The sanitizers see what they are to see."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sanitized.library import compile_sanitized, environment, reports
from tests.support.require import require

_READS_BEYOND = """
import ctypes
from tests.support.native_parsers import library
from tests.support.tls import client_hello
hello = client_hello("example.com")
given = hello[:KEPT]
data = (ctypes.c_char * len(given)).from_buffer_copy(given)
assert library().mcp_hello(data, len(hello), ctypes.create_string_buffer(256), ctypes.c_size_t(0)) == 11
"""


@pytest.mark.soak
def test_a_read_behind_the_end_ends_the_program(tmp_path: Path) -> None:
    """And is reported; one that keeps within what there is is not."""
    require("gcc", "gcc")
    library = compile_sanitized(tmp_path)

    def run(kept: int) -> int:
        program = _READS_BEYOND.replace("KEPT", str(kept))
        variables = {**os.environ, **environment(library)}
        return subprocess.run([sys.executable, "-c", program], env=variables, check=False).returncode

    assert run(5000) == 0
    assert reports(library) == []
    assert run(60) != 0
    assert "heap-buffer-overflow" in "".join(reports(library))
