"""What `detect` does as a whole: the log as known at a moment becomes a committed run."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import datetime
from importlib import metadata

import duckdb
import pyarrow as pa

from ringwatch.clock import now
from ringwatch.gnn import load_model
from ringwatch.graphs import Detection, detect
from ringwatch.ingest import EventLog
from ringwatch.metrics import Stopwatch, peak_rss_mb
from ringwatch.pipeline.models import Judged, model_for
from ringwatch.pipeline.runs import (
    RunRecord,
    frames_of,
    load_history,
    previous_run,
    read_record,
    run_key,
    save_run,
)
from ringwatch.pipeline.stores import GraphWriter, graph_writer, log_connection, run_changes
from ringwatch.pipeline.writing import writer
from ringwatch.workspace import Current, Workspace, fsync_path

DIGESTED = ("clusters", "members", "scores", "lineage", "past", "organizations", "parts", "ties")


def run_detection(
    workspace: Workspace,
    *,
    as_of: datetime | None = None,
    seed: int = 0,
    labels: bool = True,
    wait: float = 10.0,
    watch: Stopwatch | None = None,
) -> RunRecord:
    """Detects clusters in what was known at `as_of` (all, without it) and commits the run.

    Raises:
        BusyError: another process writes for longer than `wait` seconds.
        UnavailableError, PolicyError: the store cannot be reached, or belongs to another workspace.
    """
    watch = watch or Stopwatch()
    with writer(workspace, wait=wait):
        current = workspace.current()
        model = model_for(workspace, current, as_of) if labels else None
        key = run_key(workspace, metadata.version("ringwatch"), as_of=as_of, seed=seed, labels=labels, model=model)
        previous = previous_run(workspace, key)
        run_id = f"r{key[:10]}"
        created_at = now()
        with graph_writer(workspace, current) as graph:
            with log_connection(workspace) as con:
                EventLog(workspace, current).attach(con, as_of=as_of)
                untimed = untimed_rows(con)
                judge = Judged(con, load_model(workspace.models_dir / model)) if model else None
                found = detect(
                    con,
                    declared=workspace.config.entity_types,
                    tool_key=workspace.secret("signatures"),
                    seed=seed,
                    use_labels=labels,
                    previous=load_history(workspace, previous) if previous else None,
                    run_id=run_id,
                    created_at=created_at,
                    as_of=as_of,
                    watch=watch,
                    judge=judge,
                )
            with watch.stage("store"):
                record = RunRecord(
                    run_id=run_id,
                    key=key,
                    previous=previous,
                    created_at=created_at.isoformat(),
                    as_of=as_of.isoformat() if as_of else None,
                    seed=seed,
                    labels=labels,
                    batches=current.batches,
                    accounts=found.accounts,
                    edges=found.edges_standing,
                    clusters=len(found.clusters),
                    untimed=untimed,
                    model=model,
                    drift=judge.drift if judge else {},
                    abstained=judge.abstained if judge else 0,
                    prevalence=round(judge.prevalence, 8) if judge else None,
                    digest=_digest(found),
                    seconds=watch.seconds,
                    stages=dict(watch.stages),
                    peak_rss_mb=peak_rss_mb(),
                )
                _commit(workspace, current, graph, record, found)
    return replace(record, seconds=watch.seconds, stages=dict(watch.stages), peak_rss_mb=peak_rss_mb())


def _commit(workspace: Workspace, current: Current, graph: GraphWriter, record: RunRecord, found: Detection) -> None:
    run_id, place = record.run_id, workspace.runs_dir / record.run_id
    others = tuple(run for run in current.runs if run != run_id)
    again = run_id in current.runs
    if again and read_record(workspace, run_id).digest != record.digest:
        # Another build of the product found something else: the old run is taken back before its folder is.
        graph.commit(current.with_(runs=others), run_changes(workspace, current.with_(runs=others)))
        current, again = workspace.current(), False
        shutil.rmtree(place)
    if not again:
        folder = workspace.staging_dir / run_id
        save_run(folder, record, found)
        folder.rename(place)
        fsync_path(workspace.runs_dir)
    after = current.with_(runs=(*others, run_id))
    if after != current:
        graph.commit(after, run_changes(workspace, after))


def untimed_rows(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of the attached views that have no time, by table: any `as_of` sees them."""
    moments = {"accounts": "coalesce(updated_at, created_at)", "links": "ts", "relations": "ts"}
    return {
        table: con.execute(f"SELECT count(*) FILTER ({moment} IS NULL) FROM {table}").fetchall()[0][0]
        for table, moment in moments.items()
    }


def _digest(found: Detection) -> str:
    """SHA-256 over what was found, tokens apart."""
    digest = hashlib.sha256()
    frames = frames_of(found)
    for frame in (frames[name] for name in DIGESTED):
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
        with pa.ipc.new_stream(sink := pa.BufferOutputStream(), table.schema) as stream:
            stream.write_table(table)
        digest.update(sink.getvalue())
    return digest.hexdigest()
