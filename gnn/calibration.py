"""From a ranking to probabilities that can be relied on, and how far each of them can be.

Platt's line, or an isotonic curve where its loss on operations that it has not seen is clearly smaller: accounts of
one operation are alike, so that ten thousand labels can be a hundred observations, and a curve follows the mistakes
of a few large operations where a line does not. Where at least as many benign as abusive accounts are labelled the
labels speak for themselves; else unlabelled accounts stand for the population, a known share of them being abusive
(`pu`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, expit, logit

from ringwatch.gnn import pu
from ringwatch.gnn.graph import BoolArray, FloatArray, IntArray
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Label, Labels
from ringwatch.graphs.ordered import starts

PLATT, ISOTONIC = "platt", "isotonic"

TILT = 1e-3
"""Slope that keeps the order of scores where the curve is level."""

LEAST_CHANCE = 1e-5
SPLITS = 5
CLEARLY = 2.0
"""By so many standard errors over the splits the curve's loss must be smaller (after the rule of Breiman et al.,
"Classification and regression trees", 1984: of two that cannot be told apart, the simpler)."""

BANDS = 10
"""Intervals are by so many bands of equal numbers of labelled abusive accounts."""

CONFIDENCE = 0.9

MOST_SHIFT = 8.0
"""How far the odds of the population may move with what a model scores: beyond, more than prevalence has changed."""


@dataclass(frozen=True)
class Calibration:
    """Turns log odds into calibrated ones: slope × z + shift, or, by `method` isotonic, the line through the points
    (`x`, `y`), tilted a little; level from the log odds `most` on, but for the tilt."""

    slope: float
    shift: float
    method: str = PLATT
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    most: float = float("inf")

    def apply(self, z: FloatArray) -> FloatArray:
        line = self.slope * z + self.shift
        if self.method == ISOTONIC:
            line = np.interp(z, self.x, self.y) + TILT * (z - self.x[0])
        return np.asarray(line - (1 - TILT) * np.maximum(line - self.most, 0.0))


def calibrate(score: FloatArray, labels: Labels, prior: float, *, seed: int = 0) -> Calibration:
    """The calibration of log odds that did not see the labels of their own operation.

    It claims no more than its labels can have shown: of n abusive ones, all scored alike, the next is benign with a
    chance of 1 in n + 2 (Laplace's rule of succession). Without that bound the line goes on to where no label is, and
    what a reviewer then says of an account would no longer move it.
    """
    rows = counted(labels.label)
    z, label, unit = score[rows], labels.label[rows], labels.unit[rows]
    fold = np.random.default_rng([seed, 76]).integers(0, SPLITS, int(unit.max(initial=-1)) + 1)[unit]
    loss = {method: _losses(z, label, fold, prior, method) for method in (PLATT, ISOTONIC)}
    gain = loss[PLATT] - loss[ISOTONIC]
    curved = np.isfinite(gain).all() and gain.mean() > CLEARLY * gain.std(ddof=1) / np.sqrt(SPLITS)
    found = _fit(z, label, prior, ISOTONIC if curved else PLATT)
    return replace(found, most=float(np.log1p((label == ABUSIVE).sum())))


def counted(label: Label) -> BoolArray:
    """The accounts that calibration counts: the labelled ones where benign labels are as many as abusive ones, else
    all; bool[n]."""
    speaks = (label == BENIGN).sum() >= (label == ABUSIVE).sum()
    return label != UNKNOWN if speaks else np.ones(len(label), dtype=np.bool_)


def _fit(z: FloatArray, label: Label, prior: float, method: str) -> Calibration:
    slope, shift = pu.platt(z, label, prior)
    if method == PLATT or not (label == ABUSIVE).any():
        return Calibration(slope, shift)
    x, y = isotonic(z, label, prior)
    return Calibration(slope, shift, ISOTONIC, tuple(x.tolist()), tuple(y.tolist()))


def _losses(z: FloatArray, label: Label, fold: IntArray, prior: float, method: str) -> FloatArray:
    """Logistic risk of a method on each fold, fitted to the others; float64[SPLITS]. Infinite for the curve where a
    fold, or all others, have no positive."""
    found = np.zeros(SPLITS)
    for number in range(SPLITS):
        out = fold == number
        if not (label[out] == ABUSIVE).any() or not (label[~out] == ABUSIVE).any():
            return np.full(SPLITS, np.inf if method == ISOTONIC else 0.0)
        found[number] = pu.logistic_risk(_fit(z[~out], label[~out], prior, method).apply(z[out]), label[out], prior)
    return found


def isotonic(z: FloatArray, label: Label, prior: float) -> tuple[FloatArray, FloatArray]:
    """Points of the rising curve from log odds to calibrated ones; float64[points] each.

    Labelled abusive accounts stand for all of them; the curve is the isotonic regression of how many they stand for
    on the score (Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates",
    KDD 2002), through the middle of each of its steps.
    """
    from sklearn.isotonic import isotonic_regression

    abusive = label == ABUSIVE
    stands_for = pu.masses(label, prior)[0] / max(int(abusive.sum()), 1)
    # Equal scores are one point: the order of accounts says nothing.
    value, point, size = np.unique(z, return_inverse=True, return_counts=True)
    level = isotonic_regression(np.bincount(point, abusive * stands_for) / size, sample_weight=size, increasing=True)
    begin = starts(level)
    x = np.add.reduceat(value * size, begin) / np.add.reduceat(size, begin)
    y = logit(np.clip(level[begin], LEAST_CHANCE, 1 - LEAST_CHANCE))
    keep = np.r_[True, np.diff(x) > 0]
    return x[keep], y[keep]


@dataclass(frozen=True)
class Band:
    """Of accounts whose probability is at least `at`, and less than that of the next band, between `low` and `high`
    are abusive, at `CONFIDENCE`."""

    at: float
    low: float
    high: float


def bands(chance: FloatArray, label: Label, prior: float) -> tuple[Band, ...]:
    """Intervals by band of calibrated probability, held out.

    How many of the labelled abusive accounts fall into a band is binomial; Jeffreys' interval of that share (Brown,
    Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 2001), times how many
    abusive accounts there are, over the accounts of the band.
    """
    rows = counted(label)
    chance, positive = chance[rows], (label == ABUSIVE)[rows]
    seen = int(positive.sum())
    if seen == 0:
        return (Band(0.0, 0.0, 1.0),)
    edges = np.unique(np.r_[0.0, np.quantile(chance[positive], np.linspace(0, 1, BANDS + 1)[1:-1])])
    place = np.searchsorted(edges, chance, side="right") - 1
    accounts = np.bincount(place, minlength=len(edges))
    inside = np.bincount(place, positive, minlength=len(edges))
    total = pu.masses(label[rows], prior)[0]
    tail = (1 - CONFIDENCE) / 2
    # Where all are labelled the share of a band is told by its own accounts.
    whole = bool((label[rows] != UNKNOWN).all())
    tries = accounts if whole else np.full(len(edges), seen)
    scale = 1.0 if whole else total / np.maximum(accounts, 1)
    low, high = (
        np.clip(np.asarray(betaincinv(inside + 0.5, tries - inside + 0.5, q)) * scale, 0.0, 1.0)
        for q in (tail, 1 - tail)
    )
    return tuple(
        Band(round(at, 6), round(a, 6), round(b, 6))
        for at, a, b in zip(edges.tolist(), low.tolist(), high.tolist(), strict=True)
    )


def interval(found: Sequence[Band], chance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Low and high end for each probability, which itself is always inside; float64[n] each."""
    place = np.searchsorted([one.at for one in found], chance, side="right") - 1
    place = np.maximum(place, 0)
    low, high = (np.array([getattr(one, end) for one in found])[place] for end in ("low", "high"))
    return np.minimum(low, chance), np.maximum(high, chance)


def shifted_prevalence(chance: FloatArray, learnt: float) -> float:
    """The share of abusive accounts that best explains probabilities calibrated where it was `learnt`, if nothing but
    that share has changed; within `MOST_SHIFT` times the odds there.

    Expectation maximisation of Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a
    priori probabilities", Neural Computation 2002.
    """
    if len(chance) == 0 or not 0 < learnt < 1:
        return learnt
    z, begun = logit(np.clip(chance, 1e-9, 1 - 1e-9)), float(logit(learnt))
    share = learnt
    for _ in range(200):
        moved = np.clip(logit(share) - begun, -np.log(MOST_SHIFT), np.log(MOST_SHIFT))
        after = float(expit(z + moved).mean())
        if abs(after - share) < 1e-6 * share:
            break
        share = float(np.clip(after, 1e-9, 1 - 1e-9))
    return float(expit(begun + np.clip(logit(share) - begun, -np.log(MOST_SHIFT), np.log(MOST_SHIFT))))
