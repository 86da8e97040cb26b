"""What to look at next: clusters and cases, by the harm that a reviewer's minute is expected to prevent."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from ringwatch.errors import UsageError
from ringwatch.pipeline import Run
from ringwatch.review.cases import Book, State
from ringwatch.review.reviewers import Reviewer, Role

COLUMNS = (
    "case_id", "state", "cluster_digest", "cluster_id", "size", "score", "abuse", "expected_harm", "minutes",
    "harm_per_minute", "stale", "status", "proposer", "changed_at",
)  # fmt: skip

HORIZON_DAYS = 30
HALF_LIFE_DAYS = 14.0
"""What an operation did this long ago counts half as much for what it will do."""

MINUTES, PER_MEMBER, LOOKED_AT, PER_REASON = 4.0, 0.3, 60, 0.5
"""Minutes of a review: to start with, for each member up to so many (the rest is sampled), for each reason."""

NEW = "new"
"""The state of a cluster that has no case."""

_OVER = (State.REJECTED, State.REVERSED, State.OVERTURNED, State.APPLIED, State.UPHELD)


def review_queue(run: Run, book: Book) -> pd.DataFrame:
    """COLUMNS, what prevents most harm a minute first; a row for each case that is not over and for each cluster of
    the run that has none.

    `expected_harm`: harmful events of the next `HORIZON_DAYS`, were nothing done: the score times the cluster's daily
    rate, weighed by age; events of any kind where the data says nothing of harm. `minutes`: what a review takes,
    by the members and the reasons to be read. `stale`: the cluster is not what the case was opened or proposed on.
    A cluster whose newest case is over comes back when it has changed since; one whose case was closed is as it was
    before it.
    """
    clusters = run.clusters.set_index("cluster_id")
    reasons = run.evidence.groupby("cluster_id").size().reindex(clusters.index, fill_value=0)
    minutes = MINUTES + PER_MEMBER * clusters["size"].clip(upper=LOOKED_AT) + PER_REASON * reasons
    table = pd.DataFrame(
        {
            "cluster_digest": clusters["digest"], "size": clusters["size"], "score": clusters["score"],
            "abuse": clusters["abuse"], "status": clusters["status"],
            "expected_harm": (clusters["score"] * _rates(run).reindex(clusters.index, fill_value=0.0)).round(3),
            "minutes": minutes.round(1),
        }
    )  # fmt: skip
    table["harm_per_minute"] = (table["expected_harm"] / table["minutes"]).round(4)
    newest = {case.cluster_id: case for case in book.cases.values() if case.state is not State.CLOSED}
    known = {name: (table.at[name, "cluster_digest"] if name in table.index else None) for name in newest}
    done = {name for name, case in newest.items() if case.state in _OVER and known[name] in (case.digest, None)}
    going = {name: case for name, case in newest.items() if name not in done and case.state not in _OVER}
    table = table.reindex(pd.Index([*table.index, *(name for name in going if name not in table.index)]))
    table.index.name = "cluster_id"
    table = table[~table.index.isin(list(done))].reset_index()
    case = table["cluster_id"].map(going)
    held = case.notna()
    table["state"] = [str(one.state) if has else NEW for one, has in zip(case, held, strict=True)]
    for name in ("case_id", "proposer", "changed_at"):
        table[name] = [getattr(one, name) if has else None for one, has in zip(case, held, strict=True)]
    digest = [one.digest if has else None for one, has in zip(case, held, strict=True)]
    table["stale"] = held & (pd.Series(digest, index=table.index, dtype=object) != table["cluster_digest"])
    table["cluster_digest"] = table["cluster_digest"].where(table["cluster_digest"].notna(), digest)
    weight = table["score"].fillna(0) * table["size"].fillna(0)
    order = np.lexsort((table["cluster_id"].astype(str), -weight, -table["harm_per_minute"].fillna(0.0)))
    return table.iloc[order][list(COLUMNS)].reset_index(drop=True)


def narrow(
    queue: pd.DataFrame,
    *,
    states: Collection[str] = (),
    reviewer: Reviewer | None = None,
    min_score: float = 0.0,
    clusters: Collection[str] | None = None,
) -> pd.DataFrame:
    """The rows of a queue that are in one of some states, have a score, are of some clusters, and that a reviewer can
    go on with: what waits for a decision waits for somebody else than who proposed it, and for no analyst.

    Raises:
        UsageError: there is no such state.
    """
    for name in states:
        if name not in (NEW, *State):
            raise UsageError(f"There is no state '{name}'.", hint=f"Use one of: {', '.join((NEW, *State))}.")
    keep = queue["score"].fillna(1.0) >= min_score
    if states:
        keep &= queue["state"].isin(list(states))
    if clusters is not None:
        keep &= queue["cluster_id"].isin(list(clusters))
    if reviewer is not None:
        mine = (queue["proposer"] == reviewer.name) | (reviewer.role is not Role.REVIEWER)
        keep &= ~((queue["state"] == State.PROPOSED) & mine)
    return queue[keep]


def matching(run: Run, book: Book, text: str) -> set[str]:
    """The clusters that a text names: by how their id begins, by a case's id, or by an account that is in one."""
    found = {case.cluster_id for case in book.cases.values() if case.case_id == text}
    found |= set(run.members.loc[run.members["account_id"] == text, "cluster_id"])
    known = {*run.clusters["cluster_id"], *(case.cluster_id for case in book.cases.values())}
    return found | {name for name in known if name.startswith(text)}


def _rates(run: Run) -> pd.Series[float]:
    """Harmful events in `HORIZON_DAYS` at each cluster's rate; those of late count most."""
    days = run.timeline
    if days.empty:
        return pd.Series(dtype="float64")
    what = "harmful" if days["harmful"].any() else "events"
    age = (days["day"].max() - days["day"]).dt.days
    weight = np.exp2(-age / HALF_LIFE_DAYS)
    # The weights of all days there are, those without events too; of a short log not more than its days.
    whole = float(np.exp2(-np.arange(int(age.max()) + 1) / HALF_LIFE_DAYS).sum())
    rate: pd.Series[float] = (weight * days[what]).groupby(days["cluster_id"]).sum() / whole * HORIZON_DAYS
    return rate
