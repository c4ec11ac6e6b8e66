"""Labels of files: asked for when these change, again while their commit is not there yet, and never twice for the same complaint."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.reconcile.reload import Labels
from mcproxy.control.system import git_label
from mcproxy.control.system.git_label import CHANGED, NoLabelError
from tests.support.toml import config, listener, route


def files(folder: Path, port: int = 9000) -> Loaded:
    """Return a config file that was read."""
    path = folder / "mc-proxy.toml"
    path.write_text(config(listener("127.0.0.1:1", route("a.test", port))), encoding="utf-8")
    return config_file.load(path)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str | Exception]:
    """Return what git says, question by question; it goes on with the last."""
    said: list[str | Exception] = []

    def label(_: Mapping[str, bytes]) -> str:
        found = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(git_label, "label", label)
    monkeypatch.setattr("mcproxy.control.reconcile.reload._LATER", (0.001,) * 5)
    return said


class Relabelled(list[tuple[str, str]]):
    """What was labelled anew, and what was said before."""

    def __init__(self) -> None:
        super().__init__()
        self.done = asyncio.Event()

    async def __call__(self, label: str, before: str) -> int:
        self.append((label, before))
        self.done.set()
        return 1


def test_files_that_are_in_effect_already_get_no_label(tmp_path: Path, answers: list[str | Exception]) -> None:
    """Else a reload without a change would look like one."""
    answers.append("3fa9c1d Move")

    async def main() -> None:
        labels, before = Labels(Relabelled()), files(tmp_path)
        assert await labels.of(before, None) == "3fa9c1d Move"
        assert await labels.of(files(tmp_path), before) == ""
        assert await labels.of(files(tmp_path, 9001), before) == "3fa9c1d Move"

    asyncio.run(main())


def test_the_commit_of_files_may_follow_them(tmp_path: Path, answers: list[str | Exception]) -> None:
    """It is asked for some times; what was said of other files meanwhile ends that."""
    changed = f"3fa9c1d {CHANGED}"
    answers += [changed, NoLabelError("it is being written"), "4ab0d2e Move"]

    async def main() -> None:
        relabelled = Relabelled()
        labels = Labels(relabelled)
        labels.follow(files(tmp_path), "")
        labels.follow(files(tmp_path), changed)
        await asyncio.wait_for(relabelled.done.wait(), 20)
        assert relabelled == [("4ab0d2e Move", changed)]
        answers[:] = [changed]
        labels.follow(files(tmp_path), changed)
        labels.follow(files(tmp_path, 9001), "because")
        answers[:] = ["5bc1e3f Move"]
        await asyncio.gather(
            *(task for task in asyncio.all_tasks() if task is not asyncio.current_task()), return_exceptions=True
        )
        assert len(relabelled) == 1

    asyncio.run(main())


def test_git_is_asked_again_when_it_could_not_answer(tmp_path: Path, answers: list[str | Exception]) -> None:
    """What it says first counts, and then the commit that follows."""
    changed = f"3fa9c1d {CHANGED}"
    answers += [NoLabelError("it is slow"), NoLabelError("it is slow"), changed, changed, "4ab0d2e Move"]

    async def main() -> None:
        relabelled = Relabelled()
        labels = Labels(relabelled)
        loaded = files(tmp_path)
        labels.follow(loaded, await labels.of(loaded, None))
        (task,) = (task for task in asyncio.all_tasks() if task is not asyncio.current_task())
        await asyncio.wait_for(task, 20)
        assert relabelled == [(changed, ""), ("4ab0d2e Move", changed)]

    asyncio.run(main())


def test_why_there_is_no_label_is_told_once(
    tmp_path: Path, answers: list[str | Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another reason is another message."""
    answers += [
        NoLabelError("it is ann's"),
        NoLabelError("it is ann's"),
        NoLabelError("it hangs"),
        NoLabelError("it hangs"),
    ]

    async def main() -> None:
        labels = Labels(Relabelled())
        for port in range(1, 5):
            assert await labels.of(files(tmp_path, port), None) == ""

    asyncio.run(main())
    said = capsys.readouterr()
    lines = [line for line in (said.err + said.out).splitlines() if "no label" in line]
    assert ["ann" in line for line in lines] == [True, False]
