"""A server that is lost right after a commit is made whole by the next command that needs the graph."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from drops import make_tables, write_drop

from ringwatch import audit, pipeline
from ringwatch.config import make_config
from ringwatch.errors import UnavailableError
from ringwatch.graphs.digest import graph_digest
from ringwatch.graphs.store import Applied, Changes, EmbeddedStore
from ringwatch.pipeline import stores, workspaces
from ringwatch.workspace import Workspace


class Server(EmbeddedStore):
    """The embedded store in the place of a server. It takes `writes` more of them that change something."""

    writes = 1 << 30

    def write(self, changes: Changes, applied: Applied) -> None:
        if changes != Changes():
            if not Server.writes:
                raise UnavailableError("The server does not answer.")
            Server.writes -= 1
        super().write(changes, applied)


def _connect_to(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    for room in (stores, workspaces):
        monkeypatch.setattr(room, "connect_neo4j", lambda *_: Server(place, read_only=False))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a workspace with a run, and of its server."""
    folder = tmp_path_factory.mktemp("lost")
    with pytest.MonkeyPatch.context() as monkeypatch:
        _connect_to(monkeypatch, folder / "server")
        config = make_config(store="neo4j", neo4j_uri="bolt://127.0.0.1:1")
        workspace = pipeline.create_workspace(folder / "workspace", config)
        pipeline.ingest_drop(workspace, [write_drop(folder / "drop", make_tables(5, loners=10, rings=1))])
        pipeline.run_detection(workspace, seed=1)
    return folder


@pytest.fixture
def workspace(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of the test's own, and its server."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    _connect_to(monkeypatch, tmp_path / "server")
    return Workspace.open(tmp_path / "workspace")


def _held(workspace: Workspace) -> tuple[str, dict[str, int], Applied]:
    with closing(pipeline.open_store(workspace)) as store:
        return graph_digest(store), store.counts(), store.applied()


def _rotate(workspace: Workspace) -> None:
    pipeline.rotate(workspace, reason="yearly")


def _forget(workspace: Workspace) -> None:
    pipeline.forget(workspace, ["loner3"], reason="request 7")


@pytest.mark.parametrize("writes", [0, 1])
@pytest.mark.parametrize("change", [_rotate, _forget, pipeline.rebuild])
def test_what_was_committed_is_brought_forward(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, change: Callable[[Workspace], None], writes: int
) -> None:
    before = _held(workspace)
    monkeypatch.setattr(Server, "writes", writes)
    with pytest.raises(UnavailableError, match="after the work was committed"):
        change(workspace)
    monkeypatch.setattr(Server, "writes", 1 << 30)
    after = _held(workspace)
    assert (after == before) == (change is pipeline.rebuild)
    pipeline.rebuild(workspace)
    assert _held(workspace) == after
    assert [check.state for check in pipeline.examine(workspace) if check.name in ("keys", "store")] == ["ok", "ok"]


def test_what_follows_a_commit_is_done_where_the_server_is_lost(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "writes", 0)
    for change in (_rotate, _forget):
        with pytest.raises(UnavailableError):
            change(workspace)
        monkeypatch.setattr(Server, "writes", 2)
    assert not (workspace.root / "keys" / "tokens-1.key").exists()
    monkeypatch.setattr(Server, "writes", 1 << 30)
    with closing(pipeline.open_store(workspace)) as store:
        tokens = set(store.nodes("Device")["token"].to_pylist())
    entities = pipeline.load_run(workspace).entities
    kept = set(entities.loc[entities["type"] == "device", "token"])
    assert kept and kept <= tokens
    assert list(audit.read(workspace.audit_path))[-1]["action"] == "forgotten"
