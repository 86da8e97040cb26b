"""A workspace is made where nothing is lost by it, and what was cut short is made whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringwatch import pipeline
from ringwatch.config import make_config
from ringwatch.errors import UsageError
from ringwatch.workspace import Workspace


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        "models/ours.bin", "runs/2026/loss.csv", "log/app.log", "store/.hidden", "staging/x", "training/x.csv",
        "keys/server.pem", "CURRENT", "models", "audit.log", "lock",
    ],
)  # fmt: skip
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    theirs = tmp_path / name
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("MANIFEST-000001\n")
    with pytest.raises(UsageError, match=f"cannot be made a workspace: {name[:6]}"):
        pipeline.create_workspace(tmp_path, make_config())
    assert _files(tmp_path) == {name: b"MANIFEST-000001\n"}


def test_what_is_no_concern_of_a_workspace_may_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "models").mkdir()
    pipeline.create_workspace(tmp_path, make_config())
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_settings_that_were_lost_cost_nothing_else(tmp_path: Path) -> None:
    pipeline.create_workspace(tmp_path, make_config())
    settings = (tmp_path / "ringwatch.toml").read_bytes()
    (tmp_path / "ringwatch.toml").unlink()
    before = _files(tmp_path)
    with pytest.raises(UsageError, match="lacks its settings"):
        Workspace.open(tmp_path)
    with pytest.raises(UsageError, match="cannot be made a workspace"):
        pipeline.create_workspace(tmp_path, make_config())
    assert _files(tmp_path) == before
    (tmp_path / "ringwatch.toml").write_bytes(settings)
    assert all(check.state != "fault" for check in pipeline.examine(Workspace.open(tmp_path)))


@pytest.mark.parametrize("step", range(5))
def test_a_making_that_was_cut_short_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Cut off before each of the files that it makes, and within it."""
    with monkeypatch.context() as cut:
        left = [step]

        def stop(self: Path, target: Path) -> Path:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            self.rename(target)
            return target

        def no_settings(*_: object) -> None:
            raise KeyboardInterrupt

        cut.setattr(Path, "replace", stop)
        cut.setattr("ringwatch.workspace.write_config", no_settings)
        with pytest.raises(KeyboardInterrupt):
            pipeline.create_workspace(tmp_path, make_config())
    with pytest.raises(UsageError, match="There is no workspace"):
        Workspace.open(tmp_path)
    workspace = pipeline.create_workspace(tmp_path, make_config())
    assert all(check.state != "fault" for check in pipeline.examine(workspace))
