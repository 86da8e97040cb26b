"""What runs found, as it is kept: `runs/RUN/` with a record, frames as Parquet, and the frames for the store.

Nothing here depends on the time of day: the same log, seed and settings give the same run with the same id, and the
same bytes in every file but the record.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ringwatch.errors import RingwatchError, UsageError
from ringwatch.graphs import Cluster, Organization
from ringwatch.graphs.accounts import ALL_ACCOUNTS
from ringwatch.graphs.lineage import Difference, difference, trace
from ringwatch.graphs.naming import CLUSTER, NO_HISTORY, History
from ringwatch.ingest import EventLog
from ringwatch.pipeline.stores import GRAPH_FOLDER, log_connection, save_changes
from ringwatch.workspace import Workspace, fsync_path, write_atomic

if TYPE_CHECKING:
    from ringwatch.graphs import Detection

FRAMES = ("clusters", "members", "edges", "evidence", "entities", "timeline", "scores", "lineage")
ORGANIZATION_FRAMES = ("organizations", "parts", "ties", "grounds", "outsiders")
PAST = "past"
"""What only the next run reads."""

_RECORD = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """A run in numbers. `key` stands for what it was made from, `previous` is the run whose names it goes on with.

    `labels`: whether labels and status were used. `untimed`: rows by table that have no time, which any `as_of` sees.
    `seconds` and `stages` are wall seconds, `peak_rss_mb` MiB, `digest` a SHA-256 over all that was found. `model` is
    the trained model whose scores it has, `drift` by feature how far what it saw has moved from what that learnt from
    (`gnn.drift`), `abstained` how many accounts were too unlike it to be scored by it, `prevalence` the share of
    accounts that are abusive by its scores.
    """

    run_id: str
    key: str
    previous: str | None
    created_at: str
    as_of: str | None
    seed: int
    labels: bool
    batches: tuple[str, ...]
    accounts: int
    edges: int
    clusters: int
    untimed: dict[str, int]
    digest: str
    seconds: float
    stages: dict[str, float]
    peak_rss_mb: int
    model: str | None = None
    drift: dict[str, float] = field(default_factory=dict)
    abstained: int = 0
    prevalence: float | None = None

    def document(self) -> dict[str, Any]:
        """The JSON document of `ringwatch detect --json`, without its schema."""
        document = asdict(self)
        del document["key"], document["batches"]
        return document


@dataclass(frozen=True)
class Run:
    """A stored run.

    `clusters` (best first): cluster_id, size, score, bits, coordination, abuse, layers, first_seen, last_seen,
    status, digest. `members`: cluster_id, account_id, cluster_score, membership, account_score. `edges`: cluster_id,
    src, dst, bits, layers. `evidence`: cluster_id, against, layer, bits, text, entity (a token), accounts.
    `entities`: cluster_id, account_id, type, token, count, first_seen, last_seen. `timeline`: cluster_id, day,
    events, harmful, refused. `scores`: account_id, score, calibrated, cluster_id. `lineage`: as
    `graphs.lineage.trace` has it. `organizations`, `parts`, `ties`, `grounds`, `outsiders`: as
    `graphs.syndicates.Syndicates` has them. `used_labels`: accounts whose label or status the run used.
    """

    record: RunRecord
    clusters: pd.DataFrame
    members: pd.DataFrame
    edges: pd.DataFrame
    evidence: pd.DataFrame
    entities: pd.DataFrame
    timeline: pd.DataFrame
    scores: pd.DataFrame
    lineage: pd.DataFrame
    organizations: pd.DataFrame
    parts: pd.DataFrame
    ties: pd.DataFrame
    grounds: pd.DataFrame
    outsiders: pd.DataFrame
    used_labels: frozenset[str]


def frames_of(found: Detection) -> dict[str, pd.DataFrame]:
    """Every frame that a run keeps, by name."""
    return {
        **{name: getattr(found, name) for name in (*FRAMES, PAST)},
        **{name: getattr(found.syndicates, name) for name in ORGANIZATION_FRAMES},
    }


def save_run(folder: Path, record: RunRecord, found: Detection) -> None:
    """Writes a run into a new folder, flushed to disk.

    Args:
        folder: is made; its parent exists.
    """
    folder.mkdir()
    for name, frame in frames_of(found).items():
        frame.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
    used = pd.DataFrame({"account_id": sorted(found.used_labels)}, dtype="str")
    used.to_parquet(folder / "used_labels.parquet", index=False)
    save_changes(found.changes, folder / GRAPH_FOLDER)
    (folder / _RECORD).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    for path in (*folder.rglob("*"), folder):
        fsync_path(path)


def read_record(workspace: Workspace, run_id: str) -> RunRecord:
    """The record of a committed run.

    Raises:
        RingwatchError: it cannot be read.
    """
    path = workspace.runs_dir / run_id / _RECORD
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return RunRecord(**{**document, "batches": tuple(document["batches"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RingwatchError(f"{path} cannot be read: {error}.", hint="Run `ringwatch detect` again.") from error


def load_run(workspace: Workspace, run_id: str | None = None) -> Run:
    """A stored run, the newest unless one is named.

    Raises:
        UsageError: there is no run yet, or none of this id.
    """
    run_id = find_run(workspace, run_id)
    folder = workspace.runs_dir / run_id
    try:
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in (*FRAMES, *ORGANIZATION_FRAMES)}
        used = frozenset(pd.read_parquet(folder / "used_labels.parquet")["account_id"])
    except OSError as error:
        raise RingwatchError(f"{folder} cannot be read: {error}.", hint="Run `ringwatch detect` again.") from error
    return Run(read_record(workspace, run_id), used_labels=used, **frames)


def load_scores(workspace: Workspace, run_id: str | None = None) -> pd.DataFrame:
    """account_id, score, calibrated, cluster_id: a row for every account of the store, in the order of their ids.

    An account that the run did not see, because it came later or because of `as_of`, has the score 0.

    Raises:
        UsageError: there is no run yet, or none of this id.
    """
    run_id = find_run(workspace, run_id)
    scores = pd.read_parquet(workspace.runs_dir / run_id / "scores.parquet")
    record = read_record(workspace, run_id)
    if record.batches == workspace.current().batches and record.as_of is None:
        return scores
    with log_connection(workspace) as con:
        EventLog(workspace, workspace.current()).attach(con)
        con.register("scored", scores)
        return con.execute(
            f"""SELECT account_id, coalesce(score, 0.0) AS score, coalesce(calibrated, false) AS calibrated,
                       cluster_id
                FROM ({ALL_ACCOUNTS}) LEFT JOIN scored USING (account_id) ORDER BY account_id"""
        ).df()


def find_run(workspace: Workspace, run_id: str | None = None) -> str:
    """The id of the newest run, or `run_id` where there is such a run.

    Raises:
        UsageError: there is none.
    """
    runs = workspace.current().runs
    if not runs:
        raise UsageError(f"There is no run yet in {workspace.root}.", hint="Make one with `ringwatch detect`.")
    if run_id is None:
        return runs[-1]
    if run_id not in runs:
        raise UsageError(f"There is no run {run_id}.", hint=f"The newest is {runs[-1]}.")
    return run_id


def load_cluster(workspace: Workspace, cluster_id: str, run: Run | None = None) -> Cluster:
    """A cluster of a run (the newest) with all that is known of it.

    Raises:
        UsageError: there is no run, or the run has no such cluster.
    """
    run = run or load_run(workspace)
    row = _only(run, run.clusters, "cluster", cluster_id)

    def own(frame: pd.DataFrame) -> pd.DataFrame:
        return _own(frame, "cluster_id", cluster_id)

    evidence, counter_evidence = _for_and_against(own(run.evidence))
    members = own(run.members).drop(columns="cluster_score").sort_values(
        ["membership", "account_id"], ascending=[False, True], ignore_index=True
    )  # fmt: skip
    return Cluster(
        cluster_id=cluster_id,
        run_id=run.record.run_id,
        digest=row["digest"],
        size=int(row["size"]),
        status=row["status"],
        lineage=own(run.lineage),
        organization_id=next(iter(run.parts.loc[run.parts["cluster_id"] == cluster_id, "organization_id"]), None),
        members=members,
        edges=own(run.edges),
        entities=own(run.entities),
        timeline=own(run.timeline),
        **_assessed(row),
        evidence=evidence,
        counter_evidence=counter_evidence,
    )


def load_organization(workspace: Workspace, organization_id: str, run: Run | None = None) -> Organization:
    """An organization of a run (the newest) with all that is known of it.

    Raises:
        UsageError: there is no run, or the run has no such organization.
    """
    run = run or load_run(workspace)
    row = _only(run, run.organizations, "organization", organization_id)

    def own(frame: pd.DataFrame) -> pd.DataFrame:
        return _own(frame, "organization_id", organization_id)

    evidence, counter_evidence = _for_and_against(own(run.grounds))
    clusters = list(row["clusters"])
    members = run.members[run.members["cluster_id"].isin(clusters)]
    days = run.timeline[run.timeline["cluster_id"].isin(clusters)]
    outside = own(run.outsiders)
    score = run.scores.set_index("account_id")["score"]
    return Organization(
        organization_id=organization_id,
        run_id=run.record.run_id,
        clusters=clusters,
        accounts=int(row["accounts"]),
        parts=own(run.parts),
        ties=own(run.ties),
        members=members[["account_id", "cluster_id", "membership", "account_score"]].reset_index(drop=True),
        outsiders=outside.assign(account_score=outside["account_id"].map(score)),
        timeline=days.groupby("day", as_index=False)[["events", "harmful", "refused"]].sum(),
        **_assessed(row),
        evidence=evidence,
        counter_evidence=counter_evidence,
    )


def _only(run: Run, frame: pd.DataFrame, what: str, name: str) -> pd.Series[Any]:
    """The row of one cluster or organization (`what`).

    Raises:
        UsageError: the run has no such.
    """
    rows = frame[frame[f"{what}_id"] == name]
    if rows.empty:
        raise UsageError(f"Run {run.record.run_id} has no {what} {name}.", hint=f"See `ringwatch {what}s list`.")
    return rows.iloc[0]


def _own(frame: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    """The rows of one cluster or organization, without the column that says whose they are."""
    return frame[frame[column] == name].drop(columns=column).reset_index(drop=True)


def _assessed(row: pd.Series[Any]) -> dict[str, Any]:
    """What clusters and organizations are judged by alike."""
    return {
        "score": float(row["score"]),
        "bits": float(row["bits"]),
        "coordination": float(row["coordination"]),
        "abuse": None if pd.isna(row["abuse"]) else float(row["abuse"]),
        "layers": list(row["layers"]),
        "first_seen": _moment(row["first_seen"]),
        "last_seen": _moment(row["last_seen"]),
    }


def _for_and_against(reasons: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    against = reasons.pop("against").astype(bool)
    return reasons[~against].reset_index(drop=True), reasons[against].reset_index(drop=True)


def load_history(workspace: Workspace, run_id: str) -> History:
    """What a run and those before it found, for the run that goes on from it."""
    folder = workspace.runs_dir / run_id
    members = pd.read_parquet(folder / "members.parquet", columns=["cluster_id", "account_id"])
    members = members.rename(columns={"cluster_id": "id"})
    if not (folder / f"{PAST}.parquet").exists():
        # A run of before there were organizations and lineage.
        return History(run_id, members, NO_HISTORY.past)
    parts = pd.read_parquet(folder / "parts.parquet", columns=["organization_id", "cluster_id"])
    own = parts.merge(members.rename(columns={"id": "cluster_id"}), on="cluster_id")
    own = own[["organization_id", "account_id"]].rename(columns={"organization_id": "id"})
    past = pd.read_parquet(folder / f"{PAST}.parquet")
    return History(run_id, pd.concat([members, own], ignore_index=True), past)


def compare_runs(workspace: Workspace, before: str | None = None, after: str | None = None) -> Difference:
    """What changed between two runs; without `before` from the run that `after` goes on from, without `after` to the
    newest.

    Raises:
        UsageError: there is no run, none of these ids, or the run is the first.
    """
    after = find_run(workspace, after)
    earlier = before or read_record(workspace, after).previous
    if earlier is None:
        raise UsageError(f"Run {after} is the first.", hint="Run `ringwatch detect` again when there is new data.")
    earlier = find_run(workspace, earlier)
    then, now = (load_history(workspace, run_id).of(CLUSTER) for run_id in (earlier, after))
    kept = workspace.runs_dir / after / "lineage.parquet"
    own = earlier == read_record(workspace, after).previous and kept.exists()
    lineage = pd.read_parquet(kept) if own else trace(now.members, then)
    return difference(now, then, lineage)


def _moment(value: Any) -> pd.Timestamp | None:
    return None if pd.isna(value) else pd.Timestamp(value)


def rename_tokens(workspace: Workspace, runs: Iterable[str], renamed: Path) -> None:
    """Puts new tokens in the place of old ones (`old_token`, `token`) in what runs keep; once more does no harm."""
    names = pd.read_parquet(renamed).set_index("old_token")["token"]
    for run_id in runs:
        for name, column in (
            ("evidence", "entity"),
            ("entities", "token"),
            ("grounds", "entity"),
            ("outsiders", "entity"),
        ):
            path = workspace.runs_dir / run_id / f"{name}.parquet"
            frame = pd.read_parquet(path)
            frame[column] = frame[column].map(names).fillna(frame[column])
            write_frame(path, frame)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Puts a table in the place of one that a run keeps, so that a kill leaves the old or the new one."""
    out = io.BytesIO()
    frame.to_parquet(out, index=False, compression="zstd")
    write_atomic(path, out.getvalue())


def run_key(
    workspace: Workspace, version: str, *, as_of: datetime | None, seed: int, labels: bool, model: str | None = None
) -> str:
    """What a run is made from, in 16 hex digits: the committed batches, the settings, the product's version and the
    model."""
    current = workspace.current()
    parts = [version, current.token_key, *current.batches, str(as_of), str(seed), str(labels)]
    parts += [model] if model else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def previous_run(workspace: Workspace, key: str) -> str | None:
    """The run before one of this key. A run that is made again goes on from the same one, and comes out the same; a
    new one from that which none has gone on from, also where an older one was made again since: it knows of all."""
    records = [read_record(workspace, run_id) for run_id in workspace.current().runs]
    for record in records:
        if record.key == key:
            return record.previous
    gone_on_from = {record.previous for record in records}
    return next((one.run_id for one in reversed(records) if one.run_id not in gone_on_from), None)
