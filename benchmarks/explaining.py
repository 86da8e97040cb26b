"""Whether explanations hold: things that strangers were given in common, and scores without what was named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from figures import Figure

from ringwatch.ingest import find_value
from ringwatch.pipeline import Why, explain_all, load_run
from ringwatch.workspace import Workspace

CASES, MEMBERS = 36, 6
GIVEN = (("payment_id", "device_id"), ("device_id", "ip"), ("ip", "payment_id"))
"""Two columns of events in turn: what the strangers of a case have in common."""

RANK, FOUND = 3, 0.8
ACCOUNTS, CLUSTERS = 40, 20
"""Abusive accounts that nobody labelled, and first clusters, whose explanation is put to the test."""


def plant(drop: Path) -> pd.DataFrame:
    """Gives honest accounts that belong to no group two things in common, on two of their events; in place.

    Of each case: account_id (a member) and the two values.
    """
    rng = np.random.default_rng(0)
    events = pd.read_parquet(drop / "events.parquet")
    labels = pd.read_parquet(drop / "truth" / "labels.parquet")
    groups = pd.read_parquet(drop / "truth" / "benign_groups.parquet")
    active = events["account_id"].value_counts()
    alone = labels.loc[
        (labels["label"] == "benign")
        & ~labels["account_id"].isin(groups["account_id"])
        & labels["account_id"].map(active).ge(2),
        "account_id",
    ]
    chosen = rng.permutation(alone.to_numpy())[: CASES * MEMBERS].reshape(CASES, MEMBERS)
    rows = {account: at.to_numpy() for account, at in events.groupby("account_id").groups.items()}
    cases = []
    for number, members in enumerate(chosen):
        columns = GIVEN[number % len(GIVEN)]
        values = [f"45.{10 + number}.7.9" if column == "ip" else f"given-{column}-{number}" for column in columns]
        for member in members:
            for column, value, row in zip(columns, values, rng.permutation(rows[member])[:2], strict=True):
                events.loc[row, column] = value
        cases.append({"account_id": members[0], "values": values})
    events.to_parquet(drop / "events.parquet", index=False)
    return pd.DataFrame(cases)


def explanations(place: Path, cases: pd.DataFrame, abusive: list[str]) -> Iterator[Figure]:
    """Of the newest run of a workspace whose drop `plant` changed; `abusive` are accounts that it should find."""
    workspace = Workspace.open(place)
    run = load_run(workspace)
    score = run.scores.set_index("account_id")["score"]
    high = [account for account in abusive if score.get(account, 0.0) >= 0.5]
    drawn = np.random.default_rng(1).permutation(np.array(high, dtype=object))[:ACCOUNTS].tolist()
    first = run.clusters.sort_values("score", ascending=False)["cluster_id"].tolist()[:CLUSTERS]
    told = explain_all(workspace, [*cases["account_id"], *drawn, *first])
    planted, accounts, clusters = told[: len(cases)], told[len(cases) : -len(first)], told[-len(first) :]
    ranks = [_rank(workspace, why, values) for why, values in zip(planted, cases["values"], strict=True)]
    found = float(np.mean([rank <= RANK for rank in ranks]))
    yield Figure(
        f"planted reasons found at rank 1 to {RANK}, share of {len(cases)} cases", found, "", ">=", FOUND,
        f"first in {np.mean([rank == 1 for rank in ranks]):.0%}",
    )  # fmt: skip
    scores = [one.explanation.fidelity for one in accounts if one.explanation is not None]
    yield from _fidelity("scores of accounts, themes", scores)
    yield from _fidelity("ties of accounts, entities", [one.fidelity for one in accounts if one.entities])
    yield from _fidelity("ties of clusters, entities", [one.fidelity for one in clusters if one.entities])


def _rank(workspace: Workspace, why: Why, values: list[str]) -> int:
    """The place of the first of the values among the entities that an explanation names; far off where none is."""
    current = workspace.current()
    tokens = {one.token for value in values for one in find_value(workspace, current, value, ())}
    places = [place for place, one in enumerate(why.entities, start=1) if one["entity"] in tokens]
    return min(places, default=len(why.entities) + RANK + 1)


def _fidelity(what: str, found: list[dict[str, Any]]) -> Iterator[Figure]:
    necessity, random, sufficiency = (
        float(np.mean([one[name] for one in found])) for name in ("necessity", "random", "sufficiency")
    )
    note = f"{len(found)} explained; kept with the first {RANK} alone {sufficiency:.3g}"
    yield Figure(f"{what}: lost without the first {RANK}, of what sets it apart", necessity, note=note)
    yield Figure(f"{what}: the same less that without {RANK} at random", necessity - random, "", ">=", 0.0)
