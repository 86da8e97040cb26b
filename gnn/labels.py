"""What reviewers said: labels as known at a moment, and splits that keep an operation on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from ringwatch.gnn.graph import BoolArray, FloatArray, IntArray
from ringwatch.graphs.labels import LATEST
from ringwatch.graphs.scores import drawn_together

UNKNOWN, BENIGN, ABUSIVE = -1, 0, 1
Label = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Labels:
    """One entry an account: `label` (ABUSIVE, BENIGN, UNKNOWN), `unit` (the operation or cluster that it is split
    with; an account without either is a unit by itself), `at` (µs since the epoch; NaN without a label)."""

    label: Label
    unit: IntArray
    at: FloatArray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def counts(self) -> dict[str, int]:
        positive = self.label == ABUSIVE
        return {
            "abusive": int(positive.sum()),
            "benign": int((self.label == BENIGN).sum()),
            "unlabelled": int((self.label == UNKNOWN).sum()),
            "operations": len(np.unique(self.unit[positive])),
        }


def read_labels(con: duckdb.DuckDBPyConnection, accounts: int, cluster: IntArray) -> Labels:
    """The latest label of each account in the attached views, which show what was known at a moment. Needs `ix`.

    `cluster` is the cluster of each account, -1 for none: an operation without a name is split with it. Operations
    that share a cluster are one unit, since their members are each other's evidence.
    """
    rows = con.execute(
        f"""SELECT i, label = 'abusive' AS abusive, epoch_us(labelled_at)::DOUBLE AS at, group_id
            FROM ({LATEST}) JOIN ix USING (account_id) ORDER BY i"""
    ).df()
    label = np.full(accounts, UNKNOWN, dtype=np.int8)
    at = np.full(accounts, np.nan)
    row = rows["i"].to_numpy(dtype=np.int64)
    label[row] = np.where(rows["abusive"].to_numpy(dtype=np.bool_), ABUSIVE, BENIGN)
    at[row] = rows["at"].to_numpy(dtype=np.float64)
    group = np.full(accounts, -1, dtype=np.int64)
    named = rows["group_id"].notna().to_numpy()
    group[row[named]] = rows.loc[named, "group_id"].astype("category").cat.codes.to_numpy(dtype=np.int64)
    return Labels(label, drawn_together(group, cluster), at)


def folds(labels: Labels, count: int, seed: int) -> IntArray:
    """The fold of each account, 0 … count-1: units are dealt out whole.

    Where labels came at different times fold 0 is the latest quarter of the labelled units (`latest`): a model for it
    learns from what was known before. The others are dealt by their number of abusive labels, so that folds have
    about as many; those without a label at random.
    """
    top = int(labels.unit.max(initial=-1)) + 1
    positive = np.bincount(labels.unit, labels.label == ABUSIVE, minlength=top)
    rng = np.random.default_rng([seed, 71])
    fold_of = rng.integers(0, count, top)
    late = np.zeros(top, dtype=np.bool_)
    late[labels.unit[latest(labels, 1 / count)]] = True
    holders = np.flatnonzero((positive > 0) & ~late)
    holders = holders[rng.permutation(len(holders))]
    holders = holders[np.argsort(-positive[holders], kind="stable")]
    load = np.zeros(count)
    load[0] = np.inf if positive[late].any() else 0.0
    for unit in holders.tolist():  # operations, not accounts
        least = int(np.argmin(load))
        fold_of[unit] = least
        load[least] += positive[unit]
    fold_of[late] = 0
    return np.asarray(fold_of[labels.unit], dtype=np.int64)


def latest(labels: Labels, share: float) -> BoolArray:
    """Members of the units whose first label is among the latest `share` of all units with labels, where there is an
    earlier and a later: the slice that time holds out."""
    known = labels.label != UNKNOWN
    first = np.full(int(labels.unit.max(initial=-1)) + 1, np.inf)
    np.minimum.at(first, labels.unit[known], labels.at[known])
    dated = np.flatnonzero(np.isfinite(first))
    if len(dated) == 0:
        return np.zeros(len(labels), dtype=np.bool_)
    cut = np.quantile(first[dated], 1 - share)
    late = np.isfinite(first) & (first > cut)
    return np.asarray(late[labels.unit], dtype=np.bool_)


def masks(labels: Labels, rounds: int, seed: int) -> Iterator[BoolArray]:
    """Which labels are shown to neighbours, `rounds` times: half of the units show none at all, and half of the
    labels of the others that have several are hidden, as an operation is when a few of its members are found.

    What is hidden in a round is what a model learns from in it: no row sees its own label, and every model meets
    operations of which nothing is known.
    """
    known = labels.label != UNKNOWN
    top = int(labels.unit.max(initial=-1)) + 1
    several = np.bincount(labels.unit, known, minlength=top)[labels.unit] > 1
    for number in range(rounds):
        rng = np.random.default_rng([seed, 72, number])
        # Of two rounds in turn each unit is silent in one: every label is learnt from.
        silent = (np.random.default_rng([seed, 75, number // 2]).random(top) < 0.5) ^ (number % 2 == 1)
        yield known & ~silent[labels.unit] & (~several | (rng.random(len(labels)) < 0.5))


def digest(labels: Labels) -> str:
    """SHA-256 of labels and units."""
    found = hashlib.sha256()
    for array in (labels.label, labels.unit, labels.at):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
