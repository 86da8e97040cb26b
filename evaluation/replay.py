"""Time to detect: the log is replayed moment by moment, and each operation is looked for in what was found then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ringwatch.errors import UsageError
from ringwatch.evaluation.evaluate import assess
from ringwatch.evaluation.intervals import RESAMPLES, Estimate, documents, mean_estimate
from ringwatch.evaluation.labels import read_labels, read_operations
from ringwatch.evaluation.metrics import MIN_GROUP, FloatArray, best_f1
from ringwatch.evaluation.plots import Line, line_chart
from ringwatch.evaluation.truth import place, select
from ringwatch.graphs import Detection, collect_accounts
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline import rehearse
from ringwatch.workspace import Workspace

FOUND_F1 = 0.5
"""An operation is found by a cluster of at least this F1 with those of its members who were there."""

QUANTILES = (0.25, 0.5, 0.75, 0.9)
_DAY = 86_400.0


@dataclass(frozen=True)
class Moment:
    """What was found at a moment: accounts seen, true groups begun (which is k), how many of them were found, and
    recovery and precision at k among what was there."""

    as_of: datetime
    accounts: int
    groups: int
    found: int
    recovery: float | None
    precision_at_k: float | None


@dataclass(frozen=True)
class Delay:
    """When an operation was found, and when its first member was flagged; None for never.

    `size` is all its members, `harmful` all its harmful events, `harmful_before` those of them up to `found_at` (all,
    where it never was).
    """

    group_id: str
    kind: str | None
    size: int
    first_event: datetime
    first_harm: datetime | None
    found_at: datetime | None
    flagged_at: datetime | None
    harmful: int
    harmful_before: int

    @property
    def days_to_found(self) -> float | None:
        return _days(self.first_event, self.found_at)

    @property
    def days_to_flagged(self) -> float | None:
        return _days(self.first_event, self.flagged_at)

    @property
    def days_from_harm(self) -> float | None:
        """From its first harmful event until it was found; 0 where it was found before."""
        days = _days(self.first_harm, self.found_at)
        return None if days is None else max(days, 0.0)

    def document(self) -> dict[str, Any]:
        return asdict(self) | {
            "days_to_found": self.days_to_found,
            "days_to_flagged": self.days_to_flagged,
            "days_from_harm": self.days_from_harm,
        }


@dataclass(frozen=True)
class Replay:
    """A log replayed. Delays in days are from the first event of any member; `delays` has their quantiles by name,
    undefined where that many were never found, `shares` what was never found, and what harm was done before."""

    moments: tuple[Moment, ...]
    operations: tuple[Delay, ...]
    delays: dict[str, dict[float, Estimate]]
    shares: dict[str, Estimate]
    warnings: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "moments": [asdict(one) for one in self.moments],
            "operations": [one.document() for one in self.operations],
            "delays": {
                name: {f"{at:g}": one.document() for at, one in quantiles.items()}
                for name, quantiles in self.delays.items()
            },
            "shares": documents(self.shares),
            "warnings": list(self.warnings),
        }


def replay(
    workspace: Workspace,
    labels: Path,
    *,
    every: timedelta,
    begin: datetime | None = None,
    end: datetime | None = None,
    k: int | None = None,
    seed: int = 0,
    watch: Stopwatch | None = None,
) -> Replay:
    """Detects as of `begin` (the first event and `every`, without it), each `every` after it, and `end` (the last
    event, without it or where that comes first), and commits nothing. No label and no status is used: it is them that
    detection is to come before.

    A true group of three or more is found at the first moment at which one of that moment's first `k` clusters (as
    many as true groups have begun, without it) has an F1 of `FOUND_F1` or more with those of its members whom the log
    knew by then, two or more; its first member is flagged when anybody of it is in one of those clusters.

    Raises:
        UsageError: there is no such file, the log has no events in that time, or `begin` is after `end`.
        DataError: the labels break the contract.
    """
    watch = watch or Stopwatch()
    truth = read_labels(labels)
    with watch.stage("events"), rehearse(workspace, watch=watch) as whole:
        events, span = _events(whole.con, truth)
        untimed = {table: rows for table, rows in whole.untimed.items() if rows}
    # After the last event nothing changes any more.
    end = min(end or span[1], span[1])
    begin = begin or min(span[0] + every, end)
    if begin > end or end < span[0]:
        raise UsageError(
            f"There is nothing to replay from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}.",
            hint="Give an earlier --from, a later --to, or a shorter --every.",
        )
    moments: list[Moment] = []
    found_at: dict[str, datetime] = {}
    flagged_at: dict[str, datetime] = {}
    for as_of in _moments(begin, end, every):
        with watch.stage(f"{as_of:%Y-%m-%dT%H:%M}"), rehearse(workspace, as_of=as_of, seed=seed) as then:
            moment, found, flagged = _look(as_of, then.detect(), truth, k)
        moments.append(moment)
        found_at = dict.fromkeys(found, as_of) | found_at
        flagged_at = dict.fromkeys(flagged, as_of) | flagged_at
    operations = _operations(truth, events, end, read_operations(labels), found_at, flagged_at)
    harmful = [one for one in operations if one.harmful]
    delays = {
        "days_to_found": _quantiles([one.days_to_found for one in operations], seed),
        "days_to_flagged": _quantiles([one.days_to_flagged for one in operations], seed),
        "days_from_harm": _quantiles([one.days_from_harm for one in harmful], seed),
    }
    shares = {
        "never_found": _mean([one.found_at is None for one in operations], seed),
        "never_flagged": _mean([one.flagged_at is None for one in operations], seed),
        "harm_before_found": _mean([one.harmful_before / one.harmful for one in harmful], seed),
    }
    return Replay(tuple(moments), operations, delays, shares, _warnings(operations, untimed))


def _events(con: duckdb.DuckDBPyConnection, truth: pd.DataFrame) -> tuple[pd.DataFrame, tuple[datetime, datetime]]:
    """group_id, ts, harmful of each event of a member of a true group, by time; first and last event of anybody."""
    collect_accounts(con)
    first, last = con.execute("SELECT min(ts), max(ts) FROM ev").fetchall()[0]
    if first is None:
        raise UsageError("The log has no events to replay.", hint="Ingest a drop that has an events table.")
    con.register("members", truth.loc[truth["label"] == "abusive", ["account_id", "group_id"]].dropna())
    events = con.execute(
        """SELECT group_id, ts, harmful FROM ev JOIN ix USING (i) JOIN members USING (account_id)
           ORDER BY ts, group_id, harmful"""
    ).df()
    return events.assign(ts=pd.to_datetime(events["ts"], unit="us", utc=True)), (_moment(first), _moment(last))


def _moment(microseconds: int) -> datetime:
    return pd.Timestamp(microseconds, unit="us", tz="UTC").to_pydatetime()


def _moments(begin: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
    while begin < end:
        yield begin
        begin += every
    yield end


def _look(
    as_of: datetime, found: Detection, labels: pd.DataFrame, k: int | None
) -> tuple[Moment, list[str], list[str]]:
    """What was found, and of which groups a cluster, and a member, is among the first `k` clusters."""
    truth = select(labels, found.scores["account_id"])
    placed = place(truth, found.members, found.clusters["cluster_id"])
    depth = truth.groups if k is None else k
    group, cluster = truth.group[truth.grouped], placed.cluster[truth.grouped]
    shown = np.where(cluster < depth, cluster, -1)
    best = best_f1(group, shown, placed.size)[: truth.groups]
    names = np.array(truth.names, dtype=object)
    # One account alone in a cluster of three would have the F1 as well, and is nobody's operation yet.
    several = np.bincount(group, minlength=1)[: truth.groups] >= 2
    hit = names[(best >= FOUND_F1) & several].tolist()
    report = assess(labels, found.scores, found.members, found.clusters, k=k, resamples=0).clusters
    moment = Moment(
        as_of, found.accounts, truth.groups, len(hit), report["recovery"].value, report["precision_at_k"].value
    )
    return moment, hit, names[best > 0].tolist()


def _operations(
    labels: pd.DataFrame,
    events: pd.DataFrame,
    end: datetime,
    operations: pd.DataFrame | None,
    found_at: dict[str, datetime],
    flagged_at: dict[str, datetime],
) -> tuple[Delay, ...]:
    """Every true group of three or more that did anything by `end`."""
    sizes = labels[labels["label"] == "abusive"].groupby("group_id")["account_id"].size()
    kinds = {} if operations is None else dict(zip(operations["group_id"], operations["kind"], strict=True))
    delays = []
    for group_id, rows in events[events["ts"] <= end].groupby("group_id"):
        name = str(group_id)
        if sizes[name] < MIN_GROUP:
            continue
        harm = rows.loc[rows["harmful"], "ts"]
        found = found_at.get(name)
        delays.append(
            Delay(
                name, kinds.get(name), int(sizes[name]), rows["ts"].iloc[0].to_pydatetime(),
                harm.iloc[0].to_pydatetime() if len(harm) else None, found, flagged_at.get(name),
                len(harm), int((harm <= (found or end)).sum()),
            )
        )  # fmt: skip
    return tuple(delays)


def _days(start: datetime | None, stop: datetime | None) -> float | None:
    return None if start is None or stop is None else round((stop - start).total_seconds() / _DAY, 3)


def _quantiles(days: list[float | None], seed: int) -> dict[float, Estimate]:
    """Quantiles over operations, with intervals over them. A value that falls on one that was never found is None."""
    values = np.array([np.inf if one is None else one for one in days])
    if len(values) == 0:
        return dict.fromkeys(QUANTILES, Estimate(None, None, None))
    drawn = values[np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))]

    return {share: _finite(values, drawn, share) for share in QUANTILES}


def _finite(values: FloatArray, drawn: FloatArray, share: float) -> Estimate:
    draws = np.quantile(drawn, share, axis=1, method="inverted_cdf")
    three = (
        np.quantile(values, share, method="inverted_cdf"),
        *np.quantile(draws, (0.025, 0.975), method="inverted_cdf"),
    )
    return Estimate(*(round(float(one), 3) if np.isfinite(one) else None for one in three))


def _mean(values: list[Any], seed: int) -> Estimate:
    return mean_estimate(np.array(values, dtype=np.float64), seed=seed)


def _warnings(operations: tuple[Delay, ...], untimed: dict[str, int]) -> list[str]:
    warnings = []
    if not operations:
        warnings.append("No true group of three or more did anything in that time.")
    if untimed:
        named = ", ".join(f"{rows} {table}" for table, rows in untimed.items())
        warnings.append(f"Every moment saw rows that have no time: {named}.")
    return warnings


def delay_chart(replay: Replay) -> str:
    """The share of operations that are found, and of which a member is flagged, by days since their first event."""
    lines = []
    for name, days in (
        ("found", [one.days_to_found for one in replay.operations]),
        ("a member flagged", [one.days_to_flagged for one in replay.operations]),
    ):
        done = sorted(one for one in days if one is not None)
        points = [(0.0, 0.0), *((day, (number + 1) / len(days)) for number, day in enumerate(done))]
        lines.append(Line(name, points, steps=True))
    return line_chart(lines, title="Operations found", x="days since their first event", y="share of operations")
