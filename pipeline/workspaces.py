"""Making a workspace, changing its keys, and asking how it is: what touches settings, log and store at once."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from ringwatch import audit
from ringwatch.config import Config
from ringwatch.errors import RingwatchError, UsageError
from ringwatch.graphs.schema import SCHEMA_VERSION
from ringwatch.graphs.store import Changes
from ringwatch.ingest import rotate_keys
from ringwatch.pipeline.runs import read_record
from ringwatch.pipeline.stores import (
    EVERYTHING,
    applied_by,
    connect_neo4j,
    graph_writer,
    log_changes,
    open_store,
    run_changes,
)
from ringwatch.pipeline.writing import RENAMED, finish, writer
from ringwatch.workspace import Current, Workspace, fsync_path

State = Literal["ok", "warning", "fault"]

MOST_MOVED, MOST_UNLIKE = 0.2, 0.05
"""Shares of features that have moved, and of accounts unlike training, from which `doctor` warns."""


def create_workspace(root: Path, config: Config, *, keys_from: Path | None = None) -> Workspace:
    """Makes a workspace with an empty graph; with `keys_from` it tokenises as the workspace there does.

    Raises:
        UsageError: there is a workspace at `root`, or none at `keys_from`.
        UnavailableError, PolicyError: the Neo4j server cannot be reached or its database is not empty; nothing is
            made.
    """
    other = Workspace.open(keys_from) if keys_from else None
    if config.store == "neo4j":
        if not config.neo4j_uri:
            raise UsageError("A Neo4j store needs --neo4j-uri.", hint="Give it like bolt://127.0.0.1:7687.")
        if not (root / "ringwatch.toml").exists():
            connect_neo4j(config, Current(workspace_id="")).close()
    workspace = Workspace.create(root, config, keys_from=other)
    with writer(workspace), graph_writer(workspace, workspace.current()) as graph:
        graph.commit(workspace.current(), Changes(replace=EVERYTHING))
    return workspace


def apply_schema(workspace: Workspace, *, wait: float = 10.0) -> list[str]:
    """Brings the store's schema to this version; the names of the migrations that ran.

    Raises:
        UnavailableError, PolicyError: the store cannot be reached, or belongs to another workspace.
    """
    if workspace.config.store == "embedded":
        # A generation is always written by one version of the schema: an older one is made anew.
        with closing(open_store(workspace)) as store:
            found = store.applied().schema_version
        if found == SCHEMA_VERSION:
            return []
        rebuild(workspace, wait=wait)
        return [f"rebuilt from version {found}"]
    with writer(workspace, wait=wait), closing(connect_neo4j(workspace.config, workspace.current())) as store:
        return store.apply_schema()


def rebuild(workspace: Workspace, *, wait: float = 10.0) -> None:
    """Makes the graph anew from the log and the newest run.

    Raises:
        UnavailableError, PolicyError: the store cannot be reached, or belongs to another workspace.
    """
    with writer(workspace, wait=wait):
        rebuild_as(workspace, workspace.current())


def rebuild_as(workspace: Workspace, current: Current) -> None:
    """Commits `current` with a graph made anew from its log and its newest run. Inside the writer's lock."""
    evidence = log_changes(workspace, current, ())
    with graph_writer(workspace, workspace.current()) as graph:
        graph.commit(
            current, Changes(evidence.nodes, evidence.edges, replace=EVERYTHING), run_changes(workspace, current)
        )


def rewrite(workspace: Workspace, staged: Path, **changes: object) -> None:
    """Commits the log as `staged` has it, each batch under a new id, with a graph made anew, and what of `Current`
    `changes` besides. What else `staged` has is pending from then on, and done, also where Neo4j was lost then
    (`finish`). Inside the writer's lock."""
    current = workspace.current()
    batches = tuple(f"{batch.partition('-')[0]}-{secrets.token_hex(4)}" for batch in current.batches)
    for old, new in zip(current.batches, batches, strict=True):
        (staged / old).rename(workspace.log_dir / new)
    for path in (workspace.log_dir, *staged.iterdir(), staged, workspace.staging_dir):
        fsync_path(path)
    try:
        rebuild_as(workspace, current.with_(batches=batches, pending=staged.name, **changes))
    finally:
        finish(workspace)


# -- how it is -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `code` is the exit code that a fault of it stands for."""

    name: str
    state: State
    text: str
    code: int = 0

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "state": self.state, "text": self.text}


def examine(workspace: Workspace) -> list[Check]:
    """Looks at the keys, the log, the runs, the store and the audit log; never raises for what it finds."""
    looks: tuple[tuple[str, Callable[[Workspace], Iterator[Check]]], ...] = (
        ("keys", _keys), ("log", _log), ("store", _store), ("model", _model), ("audit", _audit), ("disk", _disk),
    )  # fmt: skip
    checks = [Check("version", "ok", f"ringwatch {metadata.version('ringwatch')}, workspace {workspace.root}")]
    for name, look in looks:
        try:
            checks += look(workspace)
        except RingwatchError as error:
            checks.append(Check(name, "fault", f"{error.message} {error.hint}".strip(), error.exit_code))
    return checks


def _keys(workspace: Workspace) -> Iterator[Check]:
    loose = [
        path.name for path in sorted((workspace.root / "keys").iterdir()) if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    for name in (workspace.current().token_key, "signatures", "vault"):
        workspace.secret(name)
    if loose:
        yield Check("keys", "fault", f"Others can read {', '.join(loose)}: chmod 600 them.", 1)
    else:
        yield Check("keys", "ok", "all there, their owner's alone")


def _log(workspace: Workspace) -> Iterator[Check]:
    with workspace.reading() as current:
        for folder, names in (
            (workspace.log_dir, current.batches),
            (workspace.runs_dir, current.runs),
            (workspace.models_dir, current.models),
        ):
            lost = [name for name in names if not (folder / name).is_dir()]
            if lost:
                raise RingwatchError(
                    f"{folder} lacks what CURRENT names: {', '.join(lost[:5])}.", hint="Restore it from a backup."
                )
    if current.pending is not None:
        yield Check("log", "warning", "A rotation or an erasure was cut off: the next command that writes ends it.")
    yield Check("log", "ok", f"{len(current.batches)} batches, {len(current.runs)} runs")


def _store(workspace: Workspace) -> Iterator[Check]:
    current = workspace.current()
    with closing(open_store(workspace)) as store:
        held = store.applied()
    if held == applied_by(current):
        yield Check("store", "ok", f"{workspace.config.store}, schema {held.schema_version}, in step with the log")
    else:
        yield Check("store", "fault", "It is not in step with the log: run `ringwatch graph rebuild`.", 1)


def _model(workspace: Workspace) -> Iterator[Check]:
    current = workspace.current()
    if current.promoted is None:
        yield Check("model", "ok", "none; scores are those of the evidence")
        return
    # What makes a workspace, or has no model, does not wait for it.
    from ringwatch.gnn import load_model
    from ringwatch.gnn.drift import MOVED, SCORE

    load_model(workspace.models_dir / current.promoted)
    record = read_record(workspace, current.runs[-1]) if current.runs else None
    if record is None or record.model != current.promoted:
        yield Check("model", "ok", f"{current.promoted}; the newest run does not use it")
        return
    moved = {name: psi for name, psi in record.drift.items() if psi >= MOVED}
    unlike = record.abstained / max(record.accounts, 1)
    if SCORE in moved or len(moved) > MOST_MOVED * len(record.drift) or unlike > MOST_UNLIKE:
        worst = ", ".join(f"{name} {psi:.2f}" for name, psi in list(moved.items())[:3]) or "none"
        yield Check(
            "model", "warning",
            f"What run {record.run_id} scored has moved from what {record.model} learnt from (PSI: {worst}; "
            f"{unlike:.1%} of accounts unlike it): look at new labels, and `ringwatch train` again.",
        )  # fmt: skip
    else:
        yield Check("model", "ok", f"{record.model}; {len(moved)} of {len(record.drift)} features have moved")


def _audit(workspace: Workspace) -> Iterator[Check]:
    report = audit.verify(workspace.audit_path)
    yield Check("audit", "ok", f"{report.lines} lines, the chain holds")


def _disk(workspace: Workspace) -> Iterator[Check]:
    used = sum(path.stat().st_size for path in workspace.root.rglob("*") if path.is_file())
    space = os.statvfs(workspace.root)
    free = space.f_bavail * space.f_frsize
    state: State = "warning" if free < 2 * used + (1 << 30) else "ok"
    yield Check("disk", state, f"{used / 1e6:,.0f} MB used by the workspace, {free / 1e9:,.1f} GB free")


# -- keys ------------------------------------------------------------------------------------------------------------


def rotate(workspace: Workspace, *, reason: str, wait: float = 10.0) -> str:
    """Gives every entity a new token under a new secret, from the vault; the name of the secret.

    Clusters keep their ids and digests; batches get new ids, and the graph is made anew. The old secret is removed.

    Raises:
        UsageError: `reason` is empty.
        BusyError, UnavailableError, PolicyError: as `rebuild`. RingwatchError: a vault is damaged.
    """
    if not reason.strip():
        raise UsageError("A rotation of keys needs a reason.", hint="Give one with --reason; the audit log keeps it.")
    with writer(workspace, wait=wait):
        current = workspace.current()
        new_key = f"tokens-{int(current.token_key.rpartition('-')[2]) + 1}"
        workspace.new_secret(new_key)
        staged = workspace.staging_dir / new_key
        rotation = rotate_keys(workspace, current, staged, new_key=new_key, reason=reason)
        rotation.renamed.rename(staged / RENAMED)
        rewrite(workspace, staged, token_key=new_key)
    return new_key
