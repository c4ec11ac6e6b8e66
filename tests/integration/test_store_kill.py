"""kill -9 in the middle of writes: what was acknowledged is there, and what was not is there wholly or not at all."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from mcproxy.model.edits.overlay import merge
from mcproxy.model.state.state import State
from tests.support.edits import opened, run

ROOT = Path(__file__).parents[2]
KILLS = 20

# Waits for a line, then writes in a process of its own, as fast as it can, one line for each answer; again when that
# process is dead. Its start costs once what twenty starts of Python would.
WRITER = """
import asyncio, os, sys
from pathlib import Path
from tests.support.edits import FILE, opened, request, route_edit
from mcproxy.control.store.revisions import Revision
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import State

async def write(folder, turn):
    store = await opened(folder, busy_timeout=5.0)
    number = 0
    while True:
        name = f"t{turn}-{number}"
        pair = [route_edit(f"{name}-{half}", request_id=name) for half in "ab"]
        old = [edit.id for edit in await store.edits()][:2] if number % 3 == 2 else []
        receipt = await store.mutate(request(request_id=name), add=pair, remove=old)
        await store.answer(receipt.id, name.encode())
        generation = turn * 1_000_000 + number
        revision = Revision(generation, 1.0, "api", "", "", "")
        await store.record_revision(revision, FILE, make_plan(State(), FILE, {}), keep=5)
        os.write(1, f"{name} {generation} {' '.join(map(str, old))}\\n".encode())
        number += 1

for turn, _ in enumerate(sys.stdin, 1):
    pid = os.fork()
    if not pid:
        asyncio.run(write(Path(sys.argv[1]), turn))
    os.write(1, f"{pid}\\n".encode())
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
"""


class Writer:
    """The process above: `turn` lets it write and kills it, and returns the lines it had written by then."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, answers: int, delay: float) -> list[list[str]]:
        """Kill it some time (seconds) after that many answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        pid = 0
        lines: list[list[str]] = []
        for line in self._process.stdout:
            if line == "dead\n":
                return lines
            if line.rstrip().isdecimal():
                pid = int(line)
            else:
                lines.append(line.split())
            if pid and len(lines) >= answers:
                end, answers = time.monotonic() + delay, sys.maxsize
                while time.monotonic() < end:
                    pass  # a sleep would be rounded to what the scheduler likes
                os.kill(pid, signal.SIGKILL)
        raise AssertionError("the writer ended by itself")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """Edits come in pairs, and each is in the history; audit, answers and revisions agree; the file is sound."""
    chance = random.Random(20)
    writer = Writer(tmp_path)
    acknowledged: set[str] = set()
    reverted: set[int] = set()
    newest = 0
    try:
        for _ in range(KILLS):
            for name, generation, *old in writer.turn(chance.randrange(12), chance.random() * 0.004):
                acknowledged.add(name)
                newest = int(generation)
                reverted |= set(map(int, old))
            run(check(tmp_path, acknowledged, reverted, newest))
    finally:
        writer.close()
    assert len(acknowledged) > KILLS
    with closing(sqlite3.connect(tmp_path / "mc-proxy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def check(folder: Path, acknowledged: set[str], reverted: set[int], newest: int) -> None:
    store = await opened(folder, busy_timeout=5.0)
    assert store.set_aside is None
    edits = await store.edits()
    records = await store.history(limit=100_000)
    halves: dict[str, list[str]] = {}
    for record in reversed(records):
        if record.event == "added":
            name, _, half = str(record.edit.key[1]).rpartition("-")
            halves.setdefault(name, []).append(half)
    assert set(map(tuple, halves.values())) <= {("a", "b")}
    assert acknowledged <= halves.keys()
    ended = {record.edit.id for record in records if record.event == "reverted"}
    added = {record.edit.id for record in records if record.event == "added"}
    assert reverted <= ended
    assert {edit.id for edit in edits} == added - ended
    entries = {entry.mutation.request_id: entry for entry in await store.audit(limit=100_000)}
    assert entries.keys() == halves.keys()
    assert all(entries[name].answer == name.encode() for name in acknowledged)
    revisions = await store.revisions()
    assert not newest or revisions[0].generation >= newest
    assert len(revisions) <= 5
    assert len(merge(State(), edits, 0.0).suspended) == len(edits)
    await store.close()
