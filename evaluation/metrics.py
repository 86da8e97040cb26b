"""Quality of a ranking of accounts and of a partition into clusters, by the definitions of the contract (section 3).

Everything here is a pure function of arrays, works on counts (never on pairs of accounts one by one) and gives NaN
where a figure is undefined, as a recall without positives is. Every figure is written on sums that add up over true
groups, so that `intervals` can resample groups without counting anything twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MIN_GROUP = 3
"""Recovery is over true groups of at least this many accounts."""

ECE_BINS = 15
"""Equal-width bins of the calibration error, as Guo et al. 2017 use."""


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _harmonic(one: float, other: float) -> float:
    return float(2 * one * other / (one + other)) if one + other > 0 else float(one + other)


# -- accounts --------------------------------------------------------------------------------------------------------


class Ranking:
    """Accounts sorted by score once; every figure for any weights of the accounts is then two cumulative sums.

    `score` float64[n], higher is more likely abusive; `positive` bool[n]. Equal scores are one step of the curve.
    """

    def __init__(self, score: FloatArray, positive: BoolArray) -> None:
        self._order = np.argsort(-score, kind="stable")
        ranked = score[self._order]
        self._ends = (
            np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(score) else np.empty(0, np.int64)
        )
        self._positive = positive[self._order].astype(np.float64)
        inside = len(score) > 0 and bool((score >= 0).all() and (score <= 1).all())
        self._bin = np.minimum((score * ECE_BINS).astype(np.int64), ECE_BINS - 1) if inside else None
        self._error = positive.astype(np.float64) - score

    def curve(self, weight: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Weight of positives and of negatives at or above each distinct score, highest first."""
        ranked = np.ones(len(self._positive)) if weight is None else weight[self._order]
        above = np.cumsum(ranked * self._positive)[self._ends]
        return above, np.cumsum(ranked)[self._ends] - above

    def ece(self, weight: FloatArray | None = None) -> float:
        """Expected calibration error: mean over accounts of |share of positives − mean score| of their bin.

        NaN where a score is no probability.
        """
        if self._bin is None:
            return float("nan")
        weight = np.ones(len(self._error)) if weight is None else weight
        gap = np.bincount(self._bin, weight * self._error, minlength=ECE_BINS)
        return _ratio(float(np.abs(gap).sum()), float(weight.sum()))


def curve_auprc(above: FloatArray, below: FloatArray) -> float:
    """Average precision: Σ (R_i − R_{i−1}) P_i over the steps of a `Ranking.curve`, without interpolation."""
    if len(above) == 0 or above[-1] <= 0:
        return float("nan")
    total = above + below
    precision = np.divide(above, total, out=np.zeros_like(above), where=total > 0)
    return float(np.sum(np.diff(above, prepend=0.0) * precision) / above[-1])


def curve_auroc(above: FloatArray, below: FloatArray) -> float:
    """Area under the ROC curve by trapezoids: a tie counts one half."""
    if len(above) == 0 or above[-1] <= 0 or below[-1] <= 0:
        return float("nan")
    middle = (above + np.concatenate(([0.0], above[:-1]))) / 2
    return float(np.sum(np.diff(below, prepend=0.0) * middle) / (above[-1] * below[-1]))


def curve_hits(above: FloatArray, below: FloatArray, k: float) -> float:
    """Expected positives among the first `k`, where equal scores are taken in random order."""
    if len(above) == 0 or k <= 0:
        return float("nan")
    depth = np.concatenate(([0.0], above + below))
    return float(np.interp(k, depth, np.concatenate(([0.0], above))))


def auprc(score: FloatArray, positive: BoolArray) -> float:
    """Average precision; NaN without positives."""
    return curve_auprc(*Ranking(score, positive).curve())


def auroc(score: FloatArray, positive: BoolArray) -> float:
    """Area under the ROC curve; NaN without positives or without negatives."""
    return curve_auroc(*Ranking(score, positive).curve())


def precision_at_k(score: FloatArray, positive: BoolArray, k: int | None = None) -> float:
    """Share of positives among the first `k` (default: as many as there are positives, at most all)."""
    k = min(int(positive.sum()) if k is None else k, len(score))
    return _ratio(curve_hits(*Ranking(score, positive).curve(), k), k)


def recall_at_k(score: FloatArray, positive: BoolArray, k: int | None = None) -> float:
    """Share of the positives that are among the first `k` (default: as many as there are positives, at most all)."""
    k = min(int(positive.sum()) if k is None else k, len(score))
    return _ratio(curve_hits(*Ranking(score, positive).curve(), k), float(positive.sum()))


def ece(score: FloatArray, positive: BoolArray) -> float:
    """Expected calibration error over `ECE_BINS` equal bins; NaN where a score is no probability."""
    return Ranking(score, positive).ece()


# -- clusters: pairs and BCubed over labelled accounts ---------------------------------------------------------------


@dataclass(frozen=True)
class PairSums:
    """Sums over true units (a group, or an ungrouped benign account) that pair and BCubed figures are made of.

    Row i holds the sums of units of one kind, `units[i]` how many units are of it: ungrouped accounts in clusters of
    one size are all alike. `sums` float64[rows, 6]: accounts; pairs right (same group, same cluster); pairs predicted
    (each account carries half of its pairs, so that units add up); pairs true; BCubed precision; BCubed recall.
    """

    units: IntArray
    sums: FloatArray

    def total(self, weight: FloatArray | None = None) -> FloatArray:
        """The six sums over all units; `weight` float64[rows] is how often each row counts (default `units`)."""
        return np.asarray((self.units if weight is None else weight) @ self.sums)


def _cells(group: IntArray, cluster: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Group, cluster and accounts of each cell of the contingency table that is not empty."""
    width = int(cluster.max(initial=0)) + 1
    key, count = np.unique(group * width + cluster, return_counts=True)
    return key // width, key % width, count


def pair_sums(group: IntArray, cluster: IntArray) -> PairSums:
    """Sums over units from the true group and the cluster of each labelled account.

    Args:
        group: int64[n], −1 for an account that is a group by itself.
        cluster: int64[n], −1 for an account in no cluster.
    """
    size_of_group = np.bincount(group[group >= 0], minlength=1)
    size_of_cluster = np.bincount(cluster[cluster >= 0], minlength=1)
    both = (group >= 0) & (cluster >= 0)
    of_group, of_cluster, count = _cells(group[both], cluster[both])
    groups = len(size_of_group)
    outside = np.bincount(group[(group >= 0) & (cluster < 0)], minlength=groups).astype(np.float64)

    def per_group(value: FloatArray) -> FloatArray:
        return np.bincount(of_group, value, minlength=groups).astype(np.float64)

    n = size_of_group.astype(np.float64)
    within = size_of_cluster[of_cluster].astype(np.float64)
    grouped = np.column_stack(
        [
            n,
            per_group(count * (count - 1) / 2),
            per_group(count * (within - 1) / 2),
            n * (n - 1) / 2,
            per_group(count * count / within) + outside,
            (per_group(count.astype(np.float64) ** 2) + outside) / np.maximum(n, 1),
        ]
    )[size_of_group > 0]
    alone = cluster[group < 0]
    peers, times = np.unique(np.where(alone >= 0, size_of_cluster[alone], 1), return_counts=True)
    one = np.ones(len(peers))
    single = np.column_stack([one, 0 * one, (peers - 1) / 2, 0 * one, 1 / np.maximum(peers, 1), one])
    units = np.concatenate([np.ones(len(grouped), dtype=np.int64), times])
    return PairSums(units, np.concatenate([grouped, single]))


def pair_metrics(total: FloatArray) -> dict[str, float]:
    """Pairwise and BCubed precision, recall and F1, and the adjusted Rand index, from the six sums of `PairSums`.

    Pairwise: over pairs of accounts; BCubed: over accounts (Bagga and Baldwin 1998); ARI: Hubert and Arabie 1985.
    """
    accounts, right, predicted, true, b_precision, b_recall = (float(value) for value in total)
    pairs = accounts * (accounts - 1) / 2
    chance = predicted * true / pairs if pairs > 0 else 0.0
    most = (predicted + true) / 2
    precision, recall = _ratio(b_precision, accounts), _ratio(b_recall, accounts)
    ari = _ratio(right - chance, most - chance) if most > chance else _ratio(accounts, accounts)
    return {
        "pairwise_precision": _ratio(right, predicted),
        "pairwise_recall": _ratio(right, true),
        "pairwise_f1": _ratio(2 * right, predicted + true),
        "bcubed_precision": precision,
        "bcubed_recall": recall,
        "bcubed_f1": _harmonic(precision, recall),
        "ari": ari,
    }


# -- clusters: recovery and the first page ---------------------------------------------------------------------------


def best_f1(group: IntArray, cluster: IntArray, cluster_size: IntArray) -> FloatArray:
    """For each true group the best F1 = 2 |G ∩ C| / (|G| + |C|) with any cluster; float64[groups].

    Args:
        group: int64[n], the true group 0 … groups−1 of each account that is in one.
        cluster: int64[n], −1 for an account in no cluster.
        cluster_size: int64[clusters], all members, labelled or not.
    """
    size = np.bincount(group, minlength=1)
    best = np.zeros(len(size))
    of_group, of_cluster, count = _cells(group[cluster >= 0], cluster[cluster >= 0])
    np.maximum.at(best, of_group, 2 * count / (size[of_group] + cluster_size[of_cluster]))
    return best


def recovery(group: IntArray, cluster: IntArray, cluster_size: IntArray) -> float:
    """Mean over true groups of `MIN_GROUP` or more of `best_f1`; NaN where there is no such group."""
    size = np.bincount(group, minlength=1)
    best = best_f1(group, cluster, cluster_size)[size >= MIN_GROUP]
    return float(best.mean()) if len(best) else float("nan")


def fragments(group: IntArray, cluster: IntArray) -> IntArray:
    """Into how many clusters each true group is cut: those that hold two or more of its members; int64[groups].

    A single member in a cluster is no piece of its group. 0: no two members are together anywhere.
    """
    of_group, _, count = _cells(group[cluster >= 0], cluster[cluster >= 0])
    return np.bincount(of_group[count >= 2], minlength=int(group.max(initial=0)) + 1).astype(np.int64)


def cluster_hits(group: IntArray, cluster: IntArray, cluster_size: IntArray) -> BoolArray:
    """Whether more than half of a cluster's members, labelled or not, are in one true group; bool[clusters].

    Arguments as for `best_f1`.
    """
    hit = np.zeros(len(cluster_size), dtype=np.bool_)
    _, of_cluster, count = _cells(group[cluster >= 0], cluster[cluster >= 0])
    hit[of_cluster[2 * count > cluster_size[of_cluster]]] = True
    return hit


def collateral(benign: IntArray, labelled: IntArray, k: int) -> float:
    """Share of benign accounts among the labelled members of the first `k` clusters.

    Args:
        benign, labelled: int64[clusters], members by cluster in order of score.
    """
    return _ratio(float(benign[:k].sum()), float(labelled[:k].sum()))
