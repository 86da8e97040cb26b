"""Intervals hold their value, narrow as groups grow in number, and draw whole groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.evaluation import intervals, metrics
from ringwatch.evaluation.intervals import Estimate


def _world(groups: int, seed: int = 0) -> tuple[metrics.FloatArray, metrics.BoolArray, metrics.IntArray]:
    """Groups of ten that score well or badly as a whole, and as many loners that score low."""
    generator = np.random.default_rng(seed)
    level = generator.choice([0.3, 0.8], groups).repeat(10)
    score = np.concatenate([level + generator.uniform(0, 0.1, 10 * groups), generator.uniform(0, 0.6, 10 * groups)])
    positive = np.arange(20 * groups) < 10 * groups
    unit = np.concatenate([np.arange(groups).repeat(10), groups + np.arange(10 * groups)])
    return score, positive, unit


def _width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_low_value_high_stand_in_order_or_are_all_absent(rows: list[tuple[int, bool, int]]) -> None:
    score = np.array([row[0] / 4 for row in rows])
    positive = np.array([row[1] for row in rows])
    _, unit = np.unique([row[2] for row in rows], return_inverse=True)
    group = np.where(positive, unit, -1)
    found = intervals.account_estimates(score, positive, unit, k=None, prevalences=(0.01,), resamples=20)
    found |= intervals.pair_estimates(metrics.pair_sums(group, unit % 2), resamples=20)
    for name, estimate in found.items():
        three = [estimate.value, estimate.low, estimate.high]
        if estimate.value is None:
            assert three == [None, None, None], name
        else:
            assert estimate.low is not None and estimate.high is not None
            assert estimate.low <= estimate.value <= estimate.high, name
            assert not np.isnan([estimate.low, estimate.value, estimate.high]).any(), name


def test_values_are_those_of_the_metrics() -> None:
    score, positive, unit = _world(20)
    found = intervals.account_estimates(score, positive, unit, k=30, resamples=5)
    assert found["auprc"].value == pytest.approx(metrics.auprc(score, positive), abs=1e-6)
    assert found["auroc"].value == pytest.approx(metrics.auroc(score, positive), abs=1e-6)
    assert found["precision_at_k"].value == pytest.approx(metrics.precision_at_k(score, positive, 30), abs=1e-6)
    assert found["recall_at_k"].value == pytest.approx(metrics.recall_at_k(score, positive, 30), abs=1e-6)
    assert found["ece"].value == pytest.approx(metrics.ece(score, positive), abs=1e-6)


def test_accounts_of_a_group_are_drawn_together() -> None:
    score, positive, unit = _world(40)
    by_group = intervals.account_estimates(score, positive, unit, k=None)["auroc"]
    by_account = intervals.account_estimates(score, positive, np.arange(len(score)), k=None)["auroc"]
    assert _width(by_group) > 2 * _width(by_account)


def test_more_groups_give_a_narrower_interval() -> None:
    few, many = (intervals.account_estimates(*_world(n), k=None)["auroc"] for n in (20, 320))
    assert _width(many) < _width(few) / 2


def test_an_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        found = intervals.mean_estimate(generator.beta(2, 2, 40), seed=seed)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.5 <= found.high
    assert 180 <= covered <= 199


def test_alike_accounts_drawn_as_one_kind_vary_as_accounts_drawn_one_by_one() -> None:
    generator = np.random.default_rng(1)
    group = np.where(np.arange(300) < 60, np.arange(300) // 6, -1)
    cluster = generator.integers(-1, 12, 300)
    sums = metrics.pair_sums(group, cluster)
    each = metrics.PairSums(np.ones(int(sums.units.sum()), dtype=np.int64), sums.sums.repeat(sums.units, axis=0))
    kinds, ones = (intervals.pair_estimates(one, resamples=3000)["bcubed_f1"] for one in (sums, each))
    assert kinds.value == ones.value
    assert _width(kinds) == pytest.approx(_width(ones), rel=0.15)


def test_a_rarer_world_has_a_lower_precision_and_the_same_roc() -> None:
    score, positive, unit = _world(40)
    found = intervals.account_estimates(score, positive, unit, k=None, prevalences=(0.5, 0.01), resamples=5)
    assert found["auprc@0.5"].value == found["auprc"].value
    rare, given_, precision = (found[name].value for name in ("auprc@0.01", "auprc", "precision_at_k"))
    assert rare is not None and given_ is not None and precision is not None
    assert rare < given_
    hits, depth = precision * positive.sum(), positive.sum()
    weight = 99.0 * positive.sum() / (~positive).sum()
    expected = hits / (hits + weight * (depth - hits))
    assert found["precision_at_k@0.01"].value == pytest.approx(expected, abs=1e-6)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    world = _world(20)
    one, same, other = (intervals.account_estimates(*world, k=None, seed=seed)["auprc"] for seed in (3, 3, 4))
    assert one == same
    assert one != other


def test_collateral_has_an_interval_over_clusters() -> None:
    benign, labelled = np.array([0, 5, 0, 1, 9]), np.array([5, 5, 5, 5, 9])
    found = intervals.collateral_estimate(benign, labelled, 4)
    assert found.value == 0.3
    assert found.low == 0.0 or (found.low is not None and found.low < 0.3)
    assert found.high is not None and found.high > 0.3
    assert intervals.collateral_estimate(benign, labelled, 0) == Estimate(None, None, None)
