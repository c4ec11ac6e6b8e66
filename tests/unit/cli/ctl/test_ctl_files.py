"""`mcproxyctl plan`, `reload` and `export`."""

import hashlib
import io
import json
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from tests.support.canned_admin import CannedAdmin, Refusal
from tests.support.ctl import Ctl

PLAN = pb.PlanResponse(
    summary="1 added, 1 removed",
    lines=["+ route :1 a -> b:2", "- route :1 b"],
    json='{"summary": "1 added, 1 removed", "operations": [{"action": "add"}, {"action": "remove"}]}',
    warnings=["mc-proxy.toml:5:1: warning: listeners[0].routes[0].tls_cert: has no effect"],
)


class TestPlan:
    def test_what_a_reload_would_do(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """The lines and the summary; warnings on standard error."""
        admin.answers["Plan"] = PLAN
        result = ctl("plan")
        assert (result.status, result.stdout) == (0, "+ route :1 a -> b:2\n- route :1 b\n1 added, 1 removed\n")
        assert result.stderr == "mc-proxy.toml:5:1: warning: listeners[0].routes[0].tls_cert: has no effect\n"
        assert not admin.request("Plan").HasField("toml")

    def test_the_exit_status_tells_of_changes_when_it_is_asked(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """3 if anything would change; else as ever."""
        admin.answers["Plan"] = PLAN
        assert (ctl("plan").status, ctl("plan", "--exit-code").status) == (0, 3)
        admin.answers["Plan"] = pb.PlanResponse(summary="no changes", json="{}")
        assert ctl("plan", "--exit-code").status == 0

    def test_json_is_that_of_mcproxy_plan_and_more(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Scripts read both commands the same way."""
        admin.answers["Plan"] = PLAN
        assert json.loads(ctl("plan", "--json").stdout) == {
            "summary": "1 added, 1 removed",
            "operations": [{"action": "add"}, {"action": "remove"}],
            "lines": list(PLAN.lines),
            "warnings": list(PLAN.warnings),
        }

    def test_another_file(self, admin: CannedAdmin, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its text is sent, byte by byte; - is standard input."""
        Path("new.toml").write_bytes("# \u00e9\r\n".encode())
        ctl("plan", "new.toml")
        assert admin.request("Plan").toml == "# \u00e9\r\n"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"# in\n")))
        ctl("plan", "-")
        assert admin.request("Plan").toml == "# in\n"

    @pytest.mark.parametrize(
        ("name", "why"),
        [("/nonexistent", "No such file or directory"), ("/", "Is a directory"), ("/dev/null", "a character device")],
    )
    def test_a_file_that_can_not_be_read(self, ctl: Ctl, name: str, why: str) -> None:
        """A sentence with its name, and no server is asked: there is none."""
        result = ctl("plan", name)
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr.startswith(f"mcproxyctl: {name} can't be read: ")
        assert why in result.stderr
        assert result.stderr.count("\n") == 1
        assert "Errno" not in result.stderr

    def test_problems_are_told_as_validation_does(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """With the name of the file that was sent, or with those of the server's."""
        wrong = [("toml.listeners[0].addr", "7:11: no port"), ("toml", "9:1: is no TOML"), ("", "and 7 more")]
        admin.answers["Plan"] = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "2 problems", wrong)
        Path("new.toml").touch()
        result = ctl("plan", "new.toml", "--json")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr.splitlines() == [
            "new.toml:7:11: error: listeners[0].addr: no port",
            "new.toml:9:1: error: is no TOML",
            "new.toml: error: and 7 more",
        ]
        full = "the files are invalid:\n/etc/a.toml:7:11: error: listeners[0].addr: no port"
        admin.answers["Plan"] = Refusal(grpc.StatusCode.FAILED_PRECONDITION, full)
        assert ctl("plan").stderr == f"mcproxyctl: {full}\n"

    def test_a_file_that_cannot_be_sent(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Is told in one line."""
        Path("latin.toml").write_bytes(b"# \xe9\n")
        for name, message in (("latin.toml", "is not UTF-8 text"), ("none.toml", "No such file")):
            result = ctl("plan", name)
            assert result.status == 1
            assert message in result.stderr
            assert len(result.stderr.splitlines()) == 1
        assert admin.requests == []


class TestReload:
    def test_what_it_changed(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """And which generation is live now."""
        answer = pb.ReloadResponse(generation=18, summary="1 added", lines=["+ route :1 a -> b:2"])
        admin.answers["Reload"] = answer
        assert ctl("reload").stdout == "+ route :1 a -> b:2\n1 added\ngeneration 18 is live\n"
        assert json.loads(ctl("reload", "--json").stdout) == api.to_builtins(answer)

    def test_a_label(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Which generation has got it is told."""
        admin.answers["Reload"] = pb.ReloadResponse(generation=18, summary="no changes", labelled=17)
        told = "no changes\ngeneration 18 is live\ngeneration 17 is labelled: incident 7\n"
        assert ctl("reload", "--label", "incident 7").stdout == told
        assert admin.request("Reload").label == "incident 7"

    def test_invalid_files(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """Every problem on a line of its own, status 1."""
        problems = "the files are invalid:\n/a.toml:7:11: error: x: wrong\n/a.toml:8:1: error: y: wrong"
        admin.answers["Reload"] = Refusal(grpc.StatusCode.FAILED_PRECONDITION, problems)
        result = ctl("reload")
        assert (result.status, result.stdout, result.stderr) == (1, "", f"mcproxyctl: {problems}\n")


class TestExport:
    @staticmethod
    def answer(folder: Path, *names: str) -> pb.ExportResponse:
        """Return an export of files that are there; the first one is changed."""
        files = []
        for name in names:
            path = folder / name
            path.write_text(f"# old {name}\n", encoding="utf-8")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files.append(
                pb.ExportedFile(path=str(path), text=f"# new {name}\n", sha256=digest, changed=name == names[0])
            )
        return pb.ExportResponse(generation=17, files=files)

    def test_one_file_is_printed_as_it_is(self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path) -> None:
        """So that it can be sent into a file."""
        answer = self.answer(tmp_path, "a.toml")
        admin.answers["Export"] = answer
        assert ctl("export").stdout == "# new a.toml\n"
        assert json.loads(ctl("export", "--json").stdout) == api.to_builtins(answer)

    def test_edits_that_would_end_are_warned_of(self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path) -> None:
        """In the file they stay; those that last, and those that are not in force, need no word."""
        admin.answers["Export"] = self.answer(tmp_path, "a.toml")
        admin.answers["GetDrift"] = pb.GetDriftResponse(
            differences=[
                pb.Difference(
                    action="added", edit=pb.Edit(target="route :1 a", expires=Timestamp(seconds=1_700_000_000))
                ),
                pb.Difference(action="added", edit=pb.Edit(target="route :1 b")),
                pb.Difference(action="suspended", edit=pb.Edit(target="route :1 c", expires=Timestamp(seconds=1))),
            ]
        )
        result = ctl("export")
        assert (result.status, result.stdout) == (0, "# new a.toml\n")
        assert result.stderr == (
            "mcproxyctl: warning: the edit of route :1 a ends by itself at 2023-11-14 22:13:20Z, but would stay in the file\n"
        )

    def test_several_files_are_told_apart(self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path) -> None:
        """Each below its path; one alone is printed as it is."""
        admin.answers["Export"] = self.answer(tmp_path, "a.toml", "b.toml")
        assert ctl("export").stdout.splitlines() == [
            f"# ---- {tmp_path}/a.toml",
            "# new a.toml",
            f"# ---- {tmp_path}/b.toml (unchanged)",
            "# new b.toml",
        ]
        assert ctl("export", "--file", "b.toml").stdout == "# new b.toml\n"
        [only] = json.loads(ctl("export", "--file", "b.toml", "--json").stdout)["files"]
        assert only["path"] == f"{tmp_path}/b.toml"

    def test_a_file_that_is_none_of_them(self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path) -> None:
        """Is told with those that are."""
        admin.answers["Export"] = self.answer(tmp_path, "a.toml")
        result = ctl("export", "--file", "c.toml")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr == f"mcproxyctl: c.toml is none of the server's config files ({tmp_path}/a.toml)\n"

    def test_write_replaces_what_the_edits_change(self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path) -> None:
        """And leaves the rest."""
        admin.answers["Export"] = self.answer(tmp_path, "a.toml", "b.toml")
        result = ctl("export", "--write")
        assert (result.status, result.stdout) == (0, f"{tmp_path}/a.toml written\n")
        assert (tmp_path / "a.toml").read_text(encoding="utf-8") == "# new a.toml\n"
        assert (tmp_path / "b.toml").read_text(encoding="utf-8") == "# old b.toml\n"
        admin.answers["Export"] = self.answer(tmp_path, "a.toml")
        assert json.loads(ctl("export", "--write", "--json").stdout) == {"written": [f"{tmp_path}/a.toml"]}

    def test_nothing_to_write(self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path) -> None:
        """Without edits the files stay, and that is well."""
        admin.answers["Export"] = pb.ExportResponse(files=[pb.ExportedFile(path=f"{tmp_path}/a.toml", text="x")])
        result = ctl("export", "--write")
        assert (result.status, result.stdout) == (0, "nothing to write: the files say already what runs\n")

    def test_a_file_that_somebody_changed_meanwhile_is_kept(self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path) -> None:
        """Refused, status 1."""
        admin.answers["Export"] = self.answer(tmp_path, "a.toml")
        (tmp_path / "a.toml").write_text("# mine\n", encoding="utf-8")
        result = ctl("export", "--write")
        assert (result.status, result.stdout) == (1, "")
        assert result.stderr.startswith(f"mcproxyctl: {tmp_path}/a.toml has changed")
        assert (tmp_path / "a.toml").read_text(encoding="utf-8") == "# mine\n"


class TestBackup:
    PIECES = (pb.BackupResponse(data=b"SQLite"), pb.BackupResponse(data=b"\0 format"))

    def test_the_file_has_all_pieces(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """And is not replaced unless that is asked for."""
        admin.answers["Backup"] = self.PIECES
        result = ctl("backup", "x.db")
        assert (result.status, result.stdout, result.stderr) == (0, "x.db written (14B)\n", "")
        assert Path("x.db").read_bytes() == b"SQLite\0 format"
        Path("x.db").write_bytes(b"old")
        result = ctl("backup", "x.db")
        assert (result.status, result.stderr) == (1, "mcproxyctl: x.db exists already; --force replaces it\n")
        assert json.loads(ctl("backup", "--force", "--json", "x.db").stdout) == {"written": "x.db", "bytes": 14}
        assert Path("x.db").read_bytes() == b"SQLite\0 format"

    @pytest.mark.parametrize("name", ["x.db", "x.db-wal", "x.db.lock", "link"])
    def test_the_database_itself_is_never_replaced(
        self, admin: CannedAdmin, ctl: Ctl, tmp_path: Path, name: str
    ) -> None:
        """Nor what belongs to it, by whatever name; what is only called alike is another file."""
        admin.answers["Backup"] = self.PIECES
        admin.answers["GetStatus"] = pb.GetStatusResponse(database=pb.Database(path=str(tmp_path / "x.db")))
        Path("x.db").write_bytes(b"live")
        Path("link").symlink_to("x.db")
        result = ctl("backup", "--force", name)
        told = f"mcproxyctl: {name} is the server's own database, or a file beside it; nothing was written\n"
        assert (result.status, result.stderr) == (1, told)
        assert Path("x.db").read_bytes() == b"live"
        assert ctl("backup", "x.db.bak").status == 0

    def test_standard_output(self, admin: CannedAdmin, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
        """The bytes and nothing else."""
        admin.answers["Backup"] = self.PIECES
        result = ctl("backup", "-")
        assert (result.status, result.stdout) == (0, "SQLite\0 format")

    def test_what_breaks_off_leaves_no_file(self, admin: CannedAdmin, ctl: Ctl) -> None:
        """The reason is the server's."""
        admin.answers["Backup"] = [self.PIECES[0], Refusal(grpc.StatusCode.UNAVAILABLE, "the disk is full")]
        result = ctl("backup", "x.db")
        assert result.status == 1
        assert "the disk is full" in result.stderr
        assert list(Path().iterdir()) == []
