"""Workers know the types of the declarations, without what is said beside them."""

import subprocess
import sys

import pytest

from tests.support.proxy import ROOT

# Every struct of a snapshot, and the types of its fields, which say what is decoded: unions in any order, and without limits
OF_A_SNAPSHOT = """
import msgspec
from msgspec import inspect
from mcproxy.model.state.snapshot import Snapshot

structs = {}

def bare(node):
    if isinstance(node, inspect.Metadata):
        return bare(node.type)
    if isinstance(node, inspect.StructType):
        name = node.cls.__qualname__
        if name not in structs:
            structs[name] = []
            structs[name] += [(field.name, field.encode_name, field.required, bare(field.type)) for field in node.fields]
        return name
    parts = [getattr(node, name) for name in node.__struct_fields__]
    inner = [part for part in parts if isinstance(part, inspect.Type)]
    inner += [each for part in parts if isinstance(part, tuple) for each in part if isinstance(each, inspect.Type)]
    words = [each for part in parts if isinstance(part, tuple) for each in part if isinstance(each, str)]
    return type(node).__name__, sorted(words), sorted(map(bare, inner), key=repr)

bare(inspect.type_info(Snapshot))
for name in sorted(structs):
    print(name, *structs[name], sep="\\n    ")
"""
AS_A_WORKER = "from mcproxy import declared\ndeclared.types_alone()\n"


def printed(program: str) -> str:
    """Return what a program prints."""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout


def test_a_worker_decodes_what_control_encodes() -> None:
    """Struct by struct and field by field the types are the same."""
    told = printed(OF_A_SNAPSHOT)
    assert all(f"\n{name}\n" in f"\n{told}" for name in ("FilterOptions", "RouteEntry", "TlsTerms", "Upstream"))
    assert printed(AS_A_WORKER + OF_A_SNAPSHOT) == told


@pytest.mark.parametrize(("start", "meant"), [("", ["control"]), (AS_A_WORKER, [])], ids=["control", "worker"])
def test_only_readers_of_files_know_what_is_said_beside_a_type(start: str, meant: list[str]) -> None:
    """A limit of a number is one of those things."""
    told = printed(f"{start}from mcproxy.model.values.leaf_types import Count\nprint(Count)").strip()
    assert told == ("typing.Annotated[int, msgspec.Meta(ge=0, le=2147483647)]" if meant else "<class 'int'>")
