"""The figures against their definitions, written out pair by pair."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, average_precision_score, roc_auc_score

from ringwatch.evaluation import metrics

ranked = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40)
placed = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=24)


def _scores(rows: list[tuple[int, bool]]) -> tuple[metrics.FloatArray, metrics.BoolArray]:
    return np.array([row[0] / 8 for row in rows]), np.array([row[1] for row in rows])


def _codes(rows: list[tuple[int, int]]) -> tuple[metrics.IntArray, metrics.IntArray]:
    return np.array([row[0] for row in rows], dtype=np.int64), np.array([row[1] for row in rows], dtype=np.int64)


def _sets(codes: metrics.IntArray) -> list[set[int]]:
    """The partition that codes stand for; −1 is a set of one."""
    found = [{*np.flatnonzero(codes == code).tolist()} for code in np.unique(codes[codes >= 0])]
    return found + [{int(place)} for place in np.flatnonzero(codes < 0)]


@given(ranked)
def test_auprc_and_auroc_are_those_of_sklearn(rows: list[tuple[int, bool]]) -> None:
    score, positive = _scores(rows)
    if positive.any():
        assert metrics.auprc(score, positive) == pytest.approx(average_precision_score(positive, score))
    else:
        assert np.isnan(metrics.auprc(score, positive))
    if positive.any() and not positive.all():
        assert metrics.auroc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    else:
        assert np.isnan(metrics.auroc(score, positive))


@given(ranked, st.integers(0, 9))
def test_weights_count_as_repeated_accounts(rows: list[tuple[int, bool]], seed: int) -> None:
    score, positive = _scores(rows)
    weight = np.random.default_rng(seed).integers(0, 3, len(score))
    repeated = metrics.Ranking(np.repeat(score, weight), np.repeat(positive, weight))
    curve = metrics.Ranking(score, positive).curve(weight.astype(np.float64))
    assert metrics.curve_auprc(*curve) == pytest.approx(metrics.curve_auprc(*repeated.curve()), nan_ok=True)
    assert metrics.curve_auroc(*curve) == pytest.approx(metrics.curve_auroc(*repeated.curve()), nan_ok=True)
    weighted = metrics.Ranking(score, positive).ece(weight.astype(np.float64))
    assert weighted == pytest.approx(repeated.ece(), nan_ok=True)


@given(ranked, st.integers(1, 50))
def test_precision_and_recall_at_k_are_means_over_the_orders_of_ties(rows: list[tuple[int, bool]], k: int) -> None:
    score, positive = _scores(rows)
    depth = min(k, len(score))
    cut = np.sort(score)[::-1][depth - 1]
    above, tied = positive[score > cut], positive[score == cut]
    hits = above.sum() + (depth - len(above)) * tied.mean()
    assert metrics.precision_at_k(score, positive, k) == pytest.approx(hits / depth)
    if positive.any():
        assert metrics.recall_at_k(score, positive, k) == pytest.approx(hits / positive.sum())


def test_k_is_the_number_of_positives_unless_given() -> None:
    score, positive = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert metrics.precision_at_k(score, positive) == metrics.recall_at_k(score, positive) == 0.5
    assert metrics.precision_at_k(score, positive, 1) == 1.0
    assert metrics.recall_at_k(score, positive, 3) == 1.0


@given(ranked)
def test_ece_is_the_mean_gap_of_its_bins(rows: list[tuple[int, bool]]) -> None:
    score, positive = _scores(rows)
    edges = np.linspace(0, 1, metrics.ECE_BINS + 1)
    gap = 0.0
    for number, (low, high) in enumerate(pairwise(edges)):
        last = number == metrics.ECE_BINS - 1
        inside = (score >= low) & ((score <= high) if last else (score < high))
        if inside.any():
            gap += inside.sum() * abs(positive[inside].mean() - score[inside].mean())
    assert metrics.ece(score, positive) == pytest.approx(gap / len(score))


def test_a_score_that_is_no_probability_has_no_calibration_error() -> None:
    assert np.isnan(metrics.ece(np.array([0.2, 7.0]), np.array([True, False])))


@given(placed)
@settings(max_examples=200)
def test_pair_and_bcubed_figures_by_definition(rows: list[tuple[int, int]]) -> None:
    group, cluster = _codes(rows)
    true, found = _sets(group), _sets(cluster)
    same_group = {pair for one in true for pair in combinations(sorted(one), 2)}
    same_cluster = {pair for one in found for pair in combinations(sorted(one), 2)}
    right = len(same_group & same_cluster)
    group_of = {account: one for one in true for account in one}
    cluster_of = {account: one for one in found for account in one}
    everyone = range(len(rows))
    b_precision = np.mean([len(group_of[a] & cluster_of[a]) / len(cluster_of[a]) for a in everyone])
    b_recall = np.mean([len(group_of[a] & cluster_of[a]) / len(group_of[a]) for a in everyone])
    got = metrics.pair_metrics(metrics.pair_sums(group, cluster).total())
    expected = {
        "pairwise_precision": right / len(same_cluster) if same_cluster else np.nan,
        "pairwise_recall": right / len(same_group) if same_group else np.nan,
        "pairwise_f1": 2 * right / (len(same_group) + len(same_cluster)) if same_group or same_cluster else np.nan,
        "bcubed_precision": b_precision,
        "bcubed_recall": b_recall,
        "bcubed_f1": 2 * b_precision * b_recall / (b_precision + b_recall),
        "ari": adjusted_rand_score(_label(true), _label(found)),
    }
    assert got == pytest.approx(expected, nan_ok=True)


def _label(partition: list[set[int]]) -> list[int]:
    where = {account: number for number, one in enumerate(partition) for account in one}
    return [where[account] for account in sorted(where)]


@given(placed, st.lists(st.integers(0, 5), min_size=5, max_size=5))
def test_recovery_and_hits_by_definition(rows: list[tuple[int, int]], unlabelled: list[int]) -> None:
    group, cluster = _codes([row for row in rows if row[0] >= 0])
    _, group = np.unique(group, return_inverse=True)
    size = np.bincount(cluster[cluster >= 0], minlength=5) + np.array(unlabelled)
    best = []
    for one in range(int(group.max(initial=-1)) + 1):
        total = int((group == one).sum())
        shared = [int(((group == one) & (cluster == c)).sum()) for c in range(5)]
        scores = [2 * n / (total + size[c]) for c, n in enumerate(shared)]
        if total >= 3:
            best.append(max(scores))
    expected = np.mean(best) if best else np.nan
    assert metrics.recovery(group, cluster, size) == pytest.approx(expected, nan_ok=True)
    pieces = [sum(int(((group == one) & (cluster == c)).sum()) >= 2 for c in range(5)) for one in np.unique(group)]
    assert metrics.fragments(group, cluster).tolist() == (pieces or [0])
    hit = [
        any(2 * int(((group == one) & (cluster == c)).sum()) > size[c] for one in np.unique(group)) for c in range(5)
    ]
    assert metrics.cluster_hits(group, cluster, size).tolist() == hit


def test_a_cluster_half_of_which_is_one_group_is_no_hit() -> None:
    group, cluster = np.array([0, 0, 0]), np.array([0, 0, 1])
    assert metrics.cluster_hits(group, cluster, np.array([4, 1])).tolist() == [False, True]


def test_collateral_is_the_benign_share_of_labelled_members_on_the_first_page() -> None:
    benign, labelled = np.array([1, 0, 9]), np.array([4, 4, 9])
    assert metrics.collateral(benign, labelled, 2) == 1 / 8
    assert np.isnan(metrics.collateral(benign, np.zeros(3, dtype=np.int64), 2))


def test_nothing_labelled_gives_nothing_defined() -> None:
    none = np.empty(0, dtype=np.int64)
    assert all(np.isnan(value) for value in metrics.pair_metrics(metrics.pair_sums(none, none).total()).values())
    assert np.isnan(metrics.recovery(none, none, none))
    assert np.isnan(metrics.auprc(np.empty(0), np.empty(0, dtype=np.bool_)))
