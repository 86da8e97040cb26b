"""What labels teach of accounts nobody has looked at: how far to believe the score, and what else tells.

A logistic regression on the labelled accounts (Hosmer and Lemeshow) over bands of a few plain traits and the log odds
of the score that no label has touched. It starts from that score as it is, and what draws it away is drawn back by a
ridge: a handful of labels changes little. What it learns counts only where it foretells the labels of operations that
it has not seen (cross-validation by operation): labels are few draws of many accounts each. They are far richer in
abuse than the world is as well, so what is learnt is taken as bits beside the labels' own odds and set on those that
the scores expect of everybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.layers import Incidence, Relation
from ringwatch.graphs.logistic import ridge_logistic

LEAST = 30
"""Fewer labelled accounts than this of either sort teach nothing."""

TENTHS = 10
OCTAVES = 7
"""Counts are banded by octaves, the last without end."""

RIDGE = 30.0
"""How many accounts the starting point weighs against what labels say of a band, or of the score: about as many as an
operation has, since its accounts are one draw and not many."""

MOST = 100_000
"""Of more labelled accounts so many teach."""

FOLDS = 5
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


def taught(
    score: FloatArray, traits: Sequence[IntArray], known: IntArray, abusive: FloatArray, unit: IntArray
) -> FloatArray:
    """Log2 odds for "abusive" of every account, as labels teach them; those of the score where they teach nothing.

    Args:
        score: float64[accounts], the probability that no label has touched. traits: bands, int64[accounts] each.
        known: int64[labelled], the accounts with a label. abusive: float64[labelled], 1 for abusive and 0 for benign.
        unit: int64[labelled], who was drawn together: an operation's accounts have one unit, 0 … units − 1.
    """
    clipped = np.clip(score, 1e-6, 1 - 1e-6)
    odds = np.log(clipped / (1 - clipped))
    if len(known) > MOST:
        some = np.linspace(0, len(known) - 1, MOST).astype(np.int64)
        known, abusive, unit = known[some], abusive[some], unit[some]
    bad = float(abusive.sum())
    if min(bad, len(known) - bad) < LEAST or not _carries(_design(odds, traits, known), abusive, unit):
        return np.asarray(odds / np.log(2))
    weight = _fit(_design(odds, traits, known), abusive, RIDGE)
    learnt = weight[0] + weight[1] * odds
    for first, trait in zip(_starts(traits), traits, strict=False):
        learnt += weight[first + trait]
    usual = float(np.clip(clipped.mean(), 1e-6, 1 - 1e-6))
    learnt += np.log(usual / (1 - usual)) - np.log(bad / (len(known) - bad))
    return np.asarray(np.clip(learnt / np.log(2), -MOST_ODDS, MOST_ODDS))


def _carries(x: sp.csr_array, abusive: FloatArray, unit: IntArray) -> bool:
    """Whether the bands foretell labels of operations that they were not learnt from better than the score does."""
    fold = (np.random.default_rng(0).permutation(int(unit.max()) + 1) % FOLDS)[unit]
    gain = 0.0
    for part in range(FOLDS):
        some, rest = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        if 0 < abusive[some].sum() < len(some):
            for sign, ridge in ((1.0, RIDGE), (-1.0, np.inf)):
                z = x[rest] @ _fit(x[some], abusive[some], ridge)
                gain += sign * float(np.sum(abusive[rest] * z - np.logaddexp(0, z)))
    return gain > 0


def _starts(traits: Sequence[IntArray]) -> IntArray:
    """The first column of each trait's bands, behind the odds' own place and the score; last, how many there are."""
    return np.cumsum([2, *(int(trait.max(initial=0)) + 1 for trait in traits)])


def _design(odds: FloatArray, traits: Sequence[IntArray], rows: IntArray) -> sp.csr_array:
    starts = _starts(traits)
    bands = [start + trait[rows] for start, trait in zip(starts, traits, strict=False)]
    columns = np.column_stack([np.zeros_like(rows), np.ones_like(rows), *bands])
    entries = np.ones(columns.shape)
    entries[:, 1] = odds[rows]
    at = np.repeat(np.arange(len(rows)), columns.shape[1])
    return sp.csr_array((entries.ravel(), (at, columns.ravel())), shape=(len(rows), int(starts[-1])))


def _fit(x: sp.csr_array, y: FloatArray, strength: float) -> FloatArray:
    """Weights: the score's is drawn to 1 by a ridge, those of the bands to 0 by one of a `strength` (infinite: they
    are held there)."""
    start, ridge = np.zeros(x.shape[1]), np.full(x.shape[1], min(strength, 1e9))
    start[1] = 1.0
    ridge[:2] = 1e-3, RIDGE
    return ridge_logistic(x, y, ridge, start=start)
