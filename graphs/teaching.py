"""What labels teach of accounts nobody has looked at: how far to believe the score, and what else tells.

A logistic regression on the labelled accounts (Hosmer and Lemeshow; fitted by iteratively reweighted least squares)
over bands of a few plain traits and the log odds of the score that no label has touched. It starts from that score as
it is, and what draws it away is drawn back by a ridge: a handful of labels changes little. Labels are far richer in
abuse than the world is, so what is learnt is taken as bits beside the labels' own odds and set on those that the
scores expect of everybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.layers import Incidence, Relation

LEAST = 30
"""Fewer labelled accounts than this of either sort teach nothing."""

TENTHS = 10
OCTAVES = 7
"""Counts are banded by octaves, the last without end."""

RIDGE = 30.0
"""How many accounts the starting point weighs against what labels say of a band, or of the score: about as many as an
operation has, since its accounts are one draw and not many."""

STEPS = 50
MOST_ODDS = 20.0


def account_traits(
    accounts: AccountTable, incidences: Sequence[Incidence], relations: Sequence[Relation], mates: IntArray
) -> list[IntArray]:
    """The bands of plain traits of each account: sign-up and features by tenths, by layer how much it has, how many
    it sent to and was sent to, and `mates`, the size of its cluster; int64[accounts] each, from 0."""
    n = len(accounts)
    values = [accounts.created, *(accounts.frame[name].to_numpy(dtype=np.float64) for name in accounts.features)]
    counts = [np.bincount(one.account, minlength=n) for one in incidences]
    counts += [np.bincount(end, minlength=n) for one in relations for end in (one.src, one.dst)]
    return [_tenths(one) for one in values] + [_octaves(one) for one in [*counts, mates]]


def _tenths(values: FloatArray) -> IntArray:
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros(len(values), dtype=np.int64)
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, TENTHS + 1)[1:-1]))
    return np.where(known, np.searchsorted(edges, values, side="right"), len(edges) + 1).astype(np.int64)


def _octaves(count: IntArray) -> IntArray:
    return np.minimum(np.where(count > 0, 1 + np.log2(np.maximum(count, 1)).astype(np.int64), 0), OCTAVES)


def taught(score: FloatArray, traits: Sequence[IntArray], known: IntArray, abusive: FloatArray) -> FloatArray:
    """Log2 odds for "abusive" of every account, as labels teach them; those of the score where they teach nothing.

    Args:
        score: float64[accounts], the probability that no label has touched. traits: bands, int64[accounts] each.
        known: int64[labelled], the accounts with a label. abusive: float64[labelled], 1 for abusive and 0 for benign.
    """
    clipped = np.clip(score, 1e-6, 1 - 1e-6)
    odds = np.log(clipped / (1 - clipped))
    bad = float(abusive.sum())
    if min(bad, len(known) - bad) < LEAST:
        return np.asarray(odds / np.log(2))
    starts = np.cumsum([2, *(int(trait.max(initial=0)) + 1 for trait in traits)])
    # Column 0 is the odds' own place, column 1 the score, then a column for each band of each trait.
    bands = [start + trait[known] for start, trait in zip(starts, traits, strict=False)]
    columns = np.column_stack([np.zeros_like(known), np.ones_like(known), *bands])
    entries = np.ones(columns.shape)
    entries[:, 1] = odds[known]
    rows = np.repeat(np.arange(len(known)), columns.shape[1])
    x = sp.csr_array((entries.ravel(), (rows, columns.ravel())), shape=(len(known), int(starts[-1])))
    start = np.zeros(int(starts[-1]))
    start[1] = 1.0
    ridge = np.full(len(start), RIDGE)
    ridge[0] = 1e-3
    weight = _fit(x, abusive, start, ridge)
    learnt = weight[0] + weight[1] * odds
    for first, trait in zip(starts, traits, strict=False):
        learnt += weight[first + trait]
    usual = float(np.clip(clipped.mean(), 1e-6, 1 - 1e-6))
    learnt += np.log(usual / (1 - usual)) - np.log(bad / (len(known) - bad))
    return np.asarray(np.clip(learnt / np.log(2), -MOST_ODDS, MOST_ODDS))


def _fit(x: sp.csr_array, y: FloatArray, start: FloatArray, ridge: FloatArray) -> FloatArray:
    """Weights of least regularised loss, by Newton steps that are halved until they help."""

    def loss(weight: FloatArray) -> float:
        z = x @ weight
        return float(np.sum(np.logaddexp(0, z) - y * z) + np.sum(ridge * (weight - start) ** 2) / 2)

    weight, least = start, loss(start)
    for _ in range(STEPS):
        p = expit(x @ weight)
        slope = x.T @ (p - y) + ridge * (weight - start)
        bend = (x.T @ (x * np.maximum(p * (1 - p), 1e-6)[:, None])).toarray() + np.diag(ridge)
        step = np.linalg.solve(bend, slope)
        while (now := loss(weight - step)) > least and np.abs(step).max() > 1e-9:
            step = step / 2
        if least - now < 1e-7 * abs(least):
            break
        weight, least = weight - step, now
    return weight
