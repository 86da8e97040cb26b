"""What `ingest` does as a whole: a drop becomes a committed batch and a part of the graph, or nothing."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ringwatch.ingest import IngestReport, Mode, stage_batch
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline.stores import graph_writer, log_changes
from ringwatch.pipeline.writing import writer
from ringwatch.workspace import Workspace, fsync_path


def ingest_drop(
    workspace: Workspace,
    sources: Sequence[Path],
    *,
    mode: Mode = "discard-row",
    dry_run: bool = False,
    wait: float = 10.0,
    watch: Stopwatch | None = None,
) -> IngestReport:
    """Validates and stores a drop: files and folders of the contract's tables.

    Raises:
        DataError: the drop cannot be read or lacks a required column; `FrozenError` where mode `freeze` found a
            violation. Nothing was stored.
        BusyError: another process writes for longer than `wait` seconds.
        UnavailableError, PolicyError: the store cannot be reached, or belongs to another workspace.
    """
    watch = watch or Stopwatch()
    with writer(workspace, wait=wait):
        current = workspace.current()
        with graph_writer(workspace, current) as graph:
            batch_id = f"b{len(current.batches) + 1:05d}-{secrets.token_hex(4)}"
            folder = workspace.staging_dir / batch_id
            report = stage_batch(
                workspace, current, sources, mode=mode, folder=folder, batch_id=batch_id, watch=watch
            )
            if dry_run:
                shutil.rmtree(folder)
                return replace(report, batch_id=None, seconds=watch.seconds, dry_run=True)
            folder.rename(workspace.log_dir / batch_id)
            fsync_path(workspace.log_dir)
            after = current.with_(batches=(*current.batches, batch_id))
            with watch.stage("graph"):
                changes = log_changes(workspace, after, current.batches)
            with watch.stage("store"):
                graph.commit(after, changes)
    return replace(report, seconds=watch.seconds)
