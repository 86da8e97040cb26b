"""Figures from positives and unlabelled are those that full labels would give, within what sampling allows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

from ringwatch.gnn import pu
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN
from ringwatch.gnn.thresholds import by_capacity, by_cost, reliability, thresholds

Population = tuple[npt.NDArray[np.float64], npt.NDArray[np.int8], npt.NDArray[np.bool_]]


def _population(seed: int = 0, n: int = 60_000, share: float = 0.03, seen: float = 0.3) -> Population:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < share
    score = rng.normal(0, 1, n) + 3.5 * positive
    label = np.where(positive & (rng.random(n) < seen), ABUSIVE, UNKNOWN).astype(np.int8)
    return score, label, positive


def test_with_nothing_unlabelled_average_precision_is_the_usual_one() -> None:
    score, _, positive = _population(n=3000)
    score = score.round(1)  # ties
    label = np.where(positive, ABUSIVE, BENIGN).astype(np.int8)
    assert pu.average_precision(score, label, 0.5) == pytest.approx(average_precision_score(positive, score))
    assert np.isnan(pu.average_precision(score, np.zeros(3000, dtype=np.int8), 0.1))


def test_of_equal_scores_each_is_as_likely_to_come_first() -> None:
    hit = np.array([True, False, True, False, False])
    assert pu.hits_at_k(np.array([4.0, 3, 2, 1, 0]), hit, 3) == 2
    assert pu.hits_at_k(np.zeros(5), hit, 3) == pytest.approx(3 * 2 / 5)
    assert pu.hits_at_k(np.array([1.0, 1, 1, 0, 0]), hit, 1) == pytest.approx(2 / 3)
    assert pu.hits_at_k(np.array([1.0, 1, 1, 0, 0]), hit, 9) == 2
    assert pu.hits_at_k(np.empty(0), np.empty(0, np.bool_), 1) == 0


def test_average_precision_of_the_population_is_estimated_from_some_of_its_positives() -> None:
    score, label, positive = _population()
    hidden = positive[label == UNKNOWN].mean()
    truth = average_precision_score(positive, score)
    assert pu.average_precision(score, label, hidden) == pytest.approx(truth, abs=0.03)
    naive = average_precision_score(label == ABUSIVE, score)
    assert abs(naive - truth) > 0.1, "taking unlabelled for benign would be far off"


def test_weights_of_accounts_count_as_copies_do() -> None:
    score, label, _ = _population(n=2000)
    weight = np.random.default_rng(1).integers(0, 3, 2000)
    curve = pu.Curve(score, label, 0.02).average_precision(weight.astype(float))
    copied = pu.average_precision(np.repeat(score, weight), np.repeat(label, weight), 0.02)
    assert curve == pytest.approx(copied)


@pytest.mark.parametrize("share", [0.005, 0.03, 0.2])
def test_the_prior_is_found_within_a_third(share: float) -> None:
    score, label, positive = _population(share=share)
    truth = positive[label == UNKNOWN].mean()
    assert pu.estimate_prior(score, label) == pytest.approx(truth, rel=0.34)


def test_calibration_finds_the_odds_of_the_population_and_no_other() -> None:
    score, label, positive = _population()
    slope, shift = pu.platt(score, label, positive[label == UNKNOWN].mean())
    claimed = expit(slope * score + shift)
    # Two normal classes one apart by 3.5: the log odds are 3.5 s − 3.5² / 2 + log of the odds.
    assert slope == pytest.approx(3.5, rel=0.1)
    assert claimed.mean() == pytest.approx(positive.mean(), rel=0.1)
    top = claimed > 0.5
    assert claimed[top].mean() == pytest.approx(positive[top].mean(), abs=0.05)


def test_rows_weigh_as_many_positives_as_there_are() -> None:
    score, label, positive = _population()
    soft = expit(3.5 * score - 3.5**2 / 2 + np.log(0.03 / 0.97))
    target, weight = pu.weights(label, soft, positive[label == UNKNOWN].mean())
    assert weight.mean() == pytest.approx(1.0)
    share = (target * weight).sum() / weight.sum()
    assert share == pytest.approx(positive.mean(), rel=0.15)


def test_thresholds_keep_to_capacity_and_cost() -> None:
    rng = np.random.default_rng(3)
    chance = rng.beta(0.1, 2, 5000)
    for one in thresholds(chance):
        assert one.accounts == (chance >= one.at).sum()
        if one.kind == "capacity":
            assert one.accounts <= round(one.wish * 5000)
            assert one.accounts >= round(one.wish * 5000) - 1
    assert by_capacity(chance, 5000) == 0.0
    assert by_capacity(np.ones(10), 3) > 1.0, "ties that do not fit are all left out"
    assert by_cost(4.0) == pytest.approx(0.8)


def test_reliability_tells_claims_that_hold_from_claims_that_do_not() -> None:
    score, label, positive = _population()
    prior = positive[label == UNKNOWN].mean()
    honest = expit(3.5 * score - 3.5**2 / 2 + np.log(0.03 / 0.97))
    assert reliability(honest, label, prior)[1] < 0.005
    boastful = np.sqrt(honest)
    assert reliability(boastful, label, prior)[1] > 0.02
