"""Labels that come from inside, by decisions of reviewers: a batch of their own in the log, once each."""

from __future__ import annotations

import hashlib
import secrets
import uuid

import duckdb
import pandas as pd

from ringwatch.ingest import EventLog, tables
from ringwatch.ingest.log import literal, quoted
from ringwatch.pipeline.stores import graph_writer, log_changes
from ringwatch.pipeline.writing import writer
from ringwatch.workspace import Workspace, fsync_path


def store_verdicts(workspace: Workspace, labels: pd.DataFrame, *, wait: float = 10.0) -> int:
    """Commits the labels that the log does not have yet as a batch; how many they are.

    Args:
        labels: account_id, label, labelled_at, source, group_id, reviewer, as the labels table has them; the label
            `withdrawn` ends those of the same account and case (`ingest.log`).

    Raises:
        BusyError: another process writes for longer than `wait` seconds.
        UnavailableError, PolicyError: the store cannot be reached, or belongs to another workspace.
    """
    columns = tables(workspace.config)["labels"].log
    rows = labels.assign(content_key=[_key(row) for row in labels.astype(str).fillna("").itertuples(index=False)])
    if not _missing(workspace, rows):
        return 0
    with writer(workspace, wait=wait):
        current = workspace.current()
        missing = _missing(workspace, rows)
        if not missing:
            return 0
        batch_id = f"b{len(current.batches) + 1:05d}-{secrets.token_hex(4)}"
        folder = workspace.staging_dir / batch_id
        with graph_writer(workspace, current) as graph:
            folder.mkdir()
            with duckdb.connect() as con:
                con.register("verdicts", rows[rows["content_key"].isin(missing)])
                chosen = ", ".join(f"{quoted(name)}::{kind} AS {quoted(name)}" for name, kind in columns.items())
                path = literal(str(folder / "labels.parquet"))
                con.execute(f"COPY (SELECT {chosen} FROM verdicts) TO {path} (FORMAT parquet, COMPRESSION zstd)")
            for made in (folder / "labels.parquet", folder):
                fsync_path(made)
            folder.rename(workspace.log_dir / batch_id)
            fsync_path(workspace.log_dir)
            after = current.with_(batches=(*current.batches, batch_id))
            graph.commit(after, log_changes(workspace, after, current.batches))
    return len(missing)


def _key(row: tuple[str, ...]) -> str:
    """A content key of a label: equal for equal columns."""
    return str(uuid.UUID(bytes=hashlib.sha256("\x1f".join(row).encode()).digest()[:16]))


def _missing(workspace: Workspace, rows: pd.DataFrame) -> set[str]:
    with workspace.reading() as current, duckdb.connect() as con:
        held = con.execute(
            f"SELECT content_key::VARCHAR FROM {EventLog(workspace, current).relation('labels')}"
        ).fetchall()
    return set(rows["content_key"]) - {key for (key,) in held}
