"""Learning from positives and unlabelled: unlabelled is not benign.

A population of `n` accounts is labelled positives P, labelled benign N, and unlabelled U of which a share π is
positive. Labelled positives stand for those among U (selected at random within the class); every figure here is an
unbiased estimate under that, cut off where it turns negative as nnPU does (Kiryo, Niu, du Plessis and Sugiyama,
"Positive-unlabeled learning with non-negative risk estimator", NeurIPS 2017).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ringwatch.gnn.graph import BoolArray, FloatArray
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Label
from ringwatch.graphs.ordered import starts

LEAST_PRIOR, LARGEST_PRIOR = 1e-4, 0.6
RIDGE = 1e-5
"""What draws a calibration to believing the score as it is, beside the mean loss of an account."""

LEAST_RECALL = 0.15
"""The prior is read off where at least this share of labelled positives scores as high."""


def estimate_prior(score: FloatArray, label: Label) -> float:
    """The share of positives among the unlabelled: the best bin estimate.

    For any threshold t, P_U(s ≥ t) ≥ π · P_P(s ≥ t), with equality where only positives score so high; so π is at
    most the least ratio of the two, taken where the ratio and its standard error (of its logarithm) together are
    least (after Garg, Wu, Smola, Balakrishnan and Lipton, "Mixture proportion estimation and PU learning: a modern
    approach", NeurIPS 2021, whose margin is absolute). `score` must be of a model that did not see these labels.
    """
    positive, unknown = np.sort(score[label == ABUSIVE]), np.sort(score[label == UNKNOWN])
    if len(positive) == 0 or len(unknown) == 0:
        return LEAST_PRIOR
    of_positive = 1 - np.searchsorted(positive, positive, "left") / len(positive)
    of_unknown = 1 - np.searchsorted(unknown, positive, "left") / len(unknown)
    usable = (of_positive >= min(LEAST_RECALL, of_positive.max())) & (of_unknown > 0)
    if not usable.any():
        return LEAST_PRIOR
    p, u = of_positive[usable], of_unknown[usable]
    error = np.sqrt((1 - p) / (len(positive) * p) + (1 - u) / (len(unknown) * u))
    at = int(np.argmin(np.log(u / p) + error))
    return float(np.clip(u[at] / p[at], LEAST_PRIOR, LARGEST_PRIOR))


def masses(label: Label, prior: float) -> tuple[float, float, float]:
    """How many positives there are in all, how many benign are labelled, how many are unlabelled."""
    unknown = float((label == UNKNOWN).sum())
    return float((label == ABUSIVE).sum()) + prior * unknown, float((label == BENIGN).sum()), unknown


def hits_at_k(score: FloatArray, hit: BoolArray, k: int) -> float:
    """How many of `hit` to expect among the first `k`, where of equal scores each is as likely to come first."""
    order = np.argsort(-score, kind="stable")
    depth = np.append(starts(score[order]), len(order))
    return float(np.interp(k, depth, np.append(0, np.cumsum(hit[order]))[depth]))


class Curve:
    """A ranking sorted once; average precision for any weights of the accounts is then three cumulative sums.

    At each threshold the recall R is that of the labelled positives; R times all positives are true, false are the
    labelled benign above it and the unlabelled above it less the positives that must be among them. With nothing
    unlabelled it is the usual average precision.
    """

    def __init__(self, score: FloatArray, label: Label, prior: float) -> None:
        self._order = np.argsort(-score, kind="stable")
        ranked = score[self._order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        self._label = label[self._order]
        self._prior = prior

    def average_precision(self, weight: FloatArray | None = None) -> float:
        """Over the whole population; NaN without positives. `weight` float64[n] is how often each account counts."""
        ranked = np.ones(len(self._order)) if weight is None else weight[self._order]
        above = {kind: np.cumsum(ranked * (self._label == kind))[self._ends] for kind in (ABUSIVE, BENIGN, UNKNOWN)}
        if len(self._ends) == 0 or above[ABUSIVE][-1] <= 0:
            return float("nan")
        recall = above[ABUSIVE] / above[ABUSIVE][-1]
        hidden = self._prior * above[UNKNOWN][-1]
        true = recall * (above[ABUSIVE][-1] + hidden)
        false = above[BENIGN] + np.maximum(above[UNKNOWN] - recall * hidden, 0.0)
        precision = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def average_precision(score: FloatArray, label: Label, prior: float) -> float:
    """Average precision over the whole population, from the labels that there are (`Curve`)."""
    return Curve(score, label, prior).average_precision()


def weights(label: Label, soft: FloatArray, prior: float) -> tuple[FloatArray, FloatArray]:
    """Targets in [0, 1] and weights of rows for models that take them; the weights' mean is 1.

    A labelled account is what it is called. An unlabelled one is positive with probability `soft` (Elkan and Noto,
    "Learning classifiers from only positive and unlabeled data", KDD 2008). Labelled positives count as many as there
    are positives in all, so that a label more or less does not move the odds.
    """
    target = np.where(label == ABUSIVE, 1.0, np.where(label == BENIGN, 0.0, soft))
    labelled = max(int((label == ABUSIVE).sum()), 1)
    total = masses(label, prior)[0]
    hidden = float(soft[label == UNKNOWN].sum())
    weight = np.where(label == ABUSIVE, max(total - hidden, labelled) / labelled, 1.0)
    return target, weight * len(label) / max(weight.sum(), 1e-12)


def logistic_risk(z: FloatArray, label: Label, prior: float) -> float:
    """The unbiased logistic risk of log odds, a mean over the population's accounts (see `platt`)."""
    positive, benign, unknown = (z[label == kind] for kind in (ABUSIVE, BENIGN, UNKNOWN))
    hidden = prior * len(unknown)
    value = np.logaddexp(0, benign).sum() + np.logaddexp(0, unknown).sum()
    if len(positive):
        value += len(positive) * np.logaddexp(0, -positive).mean() - hidden * positive.mean()
    return float(value / max(len(z), 1))


def platt(score: FloatArray, label: Label, prior: float) -> tuple[float, float]:
    """Slope and intercept that turn log odds into calibrated ones, by the unbiased logistic risk.

    For the logistic loss the risk of P, N and U is convex: softplus(z) over U, less z at the positives' mass among
    them (du Plessis, Niu and Sugiyama, "Convex formulation for learning from positive and unlabeled data", 2015).
    """
    positive, benign, unknown = (score[label == kind] for kind in (ABUSIVE, BENIGN, UNKNOWN))
    if len(positive) == 0:
        return 1.0, 0.0
    total = masses(label, prior)[0]
    n = len(score)

    def risk(theta: FloatArray) -> tuple[float, FloatArray]:
        slope, shift = theta
        z = [slope * part + shift for part in (positive, benign, unknown)]
        hidden = prior * len(unknown)
        seen = len(positive)
        value = (
            seen * np.mean(np.logaddexp(0, -z[0]))
            + np.logaddexp(0, z[1]).sum() + np.logaddexp(0, z[2]).sum() - hidden * z[0].mean()
        )  # fmt: skip
        pull = -(total - hidden) * expit(-z[0]) / seen - hidden / seen
        slopes = (pull * positive).sum() + (expit(z[1]) * benign).sum() + (expit(z[2]) * unknown).sum()
        shifts = pull.sum() + expit(z[1]).sum() + expit(z[2]).sum()
        slack = RIDGE * (slope - 1)
        return float(value / n + RIDGE / 2 * (slope - 1) ** 2), np.array([slopes / n + slack, shifts / n])

    from scipy.optimize import minimize

    found = minimize(risk, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.05, 5.0), (-15.0, 15.0)])
    return float(found.x[0]), float(found.x[1])
