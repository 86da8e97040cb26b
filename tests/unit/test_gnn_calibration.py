"""Probabilities and their intervals hold on populations whose truth is known, and follow a share that has moved."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit

from ringwatch.gnn.calibration import (
    ISOTONIC,
    PLATT,
    Calibration,
    bands,
    calibrate,
    counted,
    interval,
    shifted_prevalence,
)
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Labels

Bools = npt.NDArray[np.bool_]


def _population(
    seed: int = 0, n: int = 40_000, share: float = 0.05, seen: float = 0.5
) -> tuple[npt.NDArray[np.float64], Labels, Bools, npt.NDArray[np.float64]]:
    """True log odds, labels of some abusive accounts, who is abusive, true probabilities."""
    rng = np.random.default_rng(seed)
    z = rng.normal(logit(share) - 2.5, 3.0, n)
    chance = expit(z)
    positive = rng.random(n) < chance
    label = np.where(positive & (rng.random(n) < seen), ABUSIVE, UNKNOWN).astype(np.int8)
    return z, Labels(label, np.arange(n) // 4, np.zeros(n)), positive, chance


def _error(found: Calibration, score: npt.NDArray[np.float64], chance: npt.NDArray[np.float64]) -> float:
    return float(np.abs(expit(found.apply(score)) - chance).mean())


def test_a_line_is_taken_where_it_holds_and_a_curve_where_it_does_not() -> None:
    z, labels, positive, chance = _population()
    hidden = positive[labels.label == UNKNOWN].mean()
    straight = calibrate(2 * z + 1, labels, hidden)
    assert straight.method == PLATT
    assert straight.slope == pytest.approx(0.5, rel=0.1)
    assert _error(straight, 2 * z + 1, chance) < 0.01
    # Log odds that are cut off above the middle: no line is right on both sides.
    bent = np.where(z > -3, -3 + 0.02 * (z + 3), z)
    curved = calibrate(bent, labels, hidden)
    assert curved.method == ISOTONIC
    line = Calibration(curved.slope, curved.shift)
    assert _error(curved, bent, chance) < 0.6 * _error(line, bent, chance)
    assert (np.diff(curved.apply(np.sort(bent))) >= 0).all(), "the order of scores is kept"


def test_labels_of_both_kinds_speak_for_themselves() -> None:
    z, labels, positive, _ = _population(share=0.3)
    assert counted(labels.label).all()
    rng = np.random.default_rng(1)
    both = np.where(rng.random(len(z)) < 0.3, positive, UNKNOWN).astype(np.int8)
    assert (counted(both) == (both != UNKNOWN)).all()
    few = np.where((both == BENIGN) & (rng.random(len(z)) < 0.9), UNKNOWN, both)
    assert counted(few).all()
    found = calibrate(z, Labels(both, labels.unit, labels.at), 0.9)
    assert expit(found.apply(z)).mean() == pytest.approx(positive.mean(), abs=0.02), "whatever the prior says"


def test_nine_of_ten_bands_hold_what_is_in_them() -> None:
    held = []
    for seed in range(4):
        _, labels, positive, chance = _population(seed, n=20_000)
        found = bands(chance, labels.label, positive[labels.label == UNKNOWN].mean())
        low, high = interval(found, chance)
        assert ((low <= chance) & (chance <= high)).all()
        place = np.searchsorted([one.at for one in found], chance, side="right") - 1
        for number, band in enumerate(found):
            held.append(band.low <= positive[place == number].mean() <= band.high)
    assert np.mean(held) >= 0.8
    assert bands(np.full(5, 0.1), np.full(5, UNKNOWN, dtype=np.int8), 0.1)[0].high == 1.0


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_prevalence_is_found_where_nothing_else_has_changed(share: float) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(60_000) < share
    score = rng.normal(0, 1, len(positive)) + 3 * positive
    # Calibrated where one in twenty was abusive.
    chance = expit(3 * score - 4.5 + logit(0.05))
    assert shifted_prevalence(chance, 0.05) == pytest.approx(share, rel=0.1)
    mean = float(chance.mean())
    assert shifted_prevalence(chance, mean) == pytest.approx(mean, rel=1e-5), "where it was learnt nothing moves"
    assert shifted_prevalence(chance**8, 0.05) >= 0.05 / 8 - 1e-3, "it never runs away"


def test_no_more_is_claimed_than_the_labels_can_have_shown() -> None:
    """Forty accounts that are told apart without a mistake: a line would go on to one in a million."""
    z = np.r_[np.linspace(4, 6, 40), np.linspace(-6, -4, 40)]
    label = np.r_[np.full(40, ABUSIVE), np.full(40, BENIGN)].astype(np.int8)
    found = calibrate(z, Labels(label, np.arange(80), np.zeros(80)), 0.5)
    far = found.apply(np.array([5.0, 50.0, 500.0]))
    assert expit(far[1]) == pytest.approx(41 / 42, abs=0.01)
    assert (np.diff(far) > 0).all(), "and the order of scores is kept"


def test_the_accident_of_one_large_operation_bends_no_curve() -> None:
    """Eighty operations of ten show themselves; one of four hundred shows nothing, and is one observation."""
    rng = np.random.default_rng(0)
    abusive, benign = 81, 3000
    z = np.r_[rng.normal(2, 1.5, 800), rng.normal(-3, 0.3, 400), rng.normal(-2, 1.5, benign)]
    unit = np.r_[np.repeat(np.arange(80), 10), np.full(400, 80), abusive + np.arange(benign)]
    label = np.r_[np.full(1200, ABUSIVE), np.full(benign, BENIGN)].astype(np.int8)
    found = calibrate(z, Labels(label, unit, np.zeros(len(z))), 0.2)
    assert found.method == PLATT
