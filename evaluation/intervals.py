"""95 % intervals by a bootstrap of true groups: accounts of one operation stand or fall together.

The unit that is drawn is a true group, or an account that is in none (Field and Welsh 2007, the cluster bootstrap).
What was detected is held fixed. An interval is the percentile interval of the draws, widened where needed to hold the
value itself; draws in which a figure is undefined are left out. With a handful of groups it is too narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ringwatch.evaluation.metrics import (
    BoolArray,
    FloatArray,
    IntArray,
    PairSums,
    Ranking,
    collateral,
    curve_auprc,
    curve_auroc,
    curve_hits,
    pair_metrics,
)

RESAMPLES = 200
_LEVELS = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; all three are None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None

    def document(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


def documents(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    """Estimates by name, as JSON can hold them."""
    return {name: one.document() for name, one in estimates.items()}


def estimate(value: float, draws: Iterable[float]) -> Estimate:
    """An `Estimate` from a value and its resampled values, rounded to six digits."""
    if np.isnan(value):
        return Estimate(None, None, None)
    drawn = np.asarray([*draws], dtype=np.float64)
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.percentile(drawn, _LEVELS) if len(drawn) else (value, value)
    return Estimate(round(value, 6), round(min(float(low), value), 6), round(max(float(high), value), 6))


def _estimates(values: Mapping[str, float], draws: list[dict[str, float]]) -> dict[str, Estimate]:
    return {name: estimate(value, (draw[name] for draw in draws)) for name, value in values.items()}


def account_estimates(
    score: FloatArray,
    positive: BoolArray,
    unit: IntArray,
    *,
    k: int | None,
    prevalences: tuple[float, ...] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The account figures of labelled accounts, with `auprc@p` and `precision_at_k@p` for each prevalence p.

    A figure at prevalence p weighs the negatives so that positives are the share p of all: what the same ranking
    would show where abuse is as rare as that.

    Args:
        score: float64[n]. positive: bool[n].
        unit: int64[n], 0 … units−1: accounts of one unit are drawn together.
        k: depth of precision and recall; None: as many as there are positives (in each draw).
    """
    ranking = Ranking(score, positive)
    units = int(unit.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)

    def figures(weight: FloatArray | None) -> dict[str, float]:
        above, below = ranking.curve(weight)
        positives, negatives = (float(above[-1]), float(below[-1])) if len(above) else (0.0, 0.0)
        depth = min(positives if k is None else float(k), positives + negatives)
        hits = curve_hits(above, below, depth)
        found = {
            "auprc": curve_auprc(above, below),
            "auroc": curve_auroc(above, below),
            "precision_at_k": hits / depth if depth > 0 else float("nan"),
            "recall_at_k": hits / positives if positives > 0 else float("nan"),
            "ece": ranking.ece(weight),
        }
        for prevalence in prevalences:
            defined = positives > 0 and negatives > 0
            factor = positives * (1 - prevalence) / (prevalence * negatives) if defined else float("nan")
            wrong = factor * (depth - hits)
            found[f"auprc@{prevalence:g}"] = curve_auprc(above, factor * below) if defined else float("nan")
            found[f"precision_at_k@{prevalence:g}"] = hits / (hits + wrong) if hits + wrong > 0 else float("nan")
        return found

    draws = []
    for _ in range(resamples if units > 1 else 0):
        drawn = np.bincount(generator.integers(0, units, units), minlength=units).astype(np.float64)
        draws.append(figures(drawn[unit]))
    return _estimates(figures(None), draws)


def pair_estimates(sums: PairSums, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Estimate]:
    """Pairwise and BCubed figures and the ARI, with intervals over true units."""
    total = int(sums.units.sum())
    draws = []
    if total > 1:
        # Alike units are drawn as one: a multinomial over kinds is the same draw as one over units, and small.
        chance = sums.units / total
        drawn = np.random.default_rng(seed).multinomial(total, chance, size=resamples).astype(np.float64)
        draws = [pair_metrics(sums.total(weight)) for weight in drawn]
    return _estimates(pair_metrics(sums.total()), draws)


def mean_estimate(values: FloatArray, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """A mean over groups or clusters, with its interval over them; undefined where there are none."""
    if len(values) == 0:
        return Estimate(None, None, None)
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return estimate(float(values.mean()), values[drawn].mean(axis=1))


def collateral_estimate(
    benign: IntArray, labelled: IntArray, k: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """`metrics.collateral` of the first `k` clusters, with its interval over those clusters."""
    value = collateral(benign, labelled, k)
    benign, labelled = benign[:k], labelled[:k]
    if np.isnan(value):
        return Estimate(None, None, None)
    drawn = np.random.default_rng(seed).integers(0, len(benign), (resamples, len(benign)))
    return estimate(value, (collateral(benign[row], labelled[row], k) for row in drawn))


def share_estimate(part: IntArray, whole: IntArray, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The share Σ part / Σ whole with its interval over units that have `part` of `whole` (1 or more) each,
    int64[units]; undefined where there are none."""
    if len(whole) == 0:
        return Estimate(None, None, None)
    kinds, units = np.unique(np.stack([part, whole], axis=1), axis=0, return_counts=True)
    # Alike units are drawn as one, as in `pair_estimates`.
    drawn = np.random.default_rng(seed).multinomial(len(part), units / len(part), size=resamples) @ kinds
    return estimate(float(part.sum() / whole.sum()), drawn[:, 0] / drawn[:, 1])
