"""Whom a takedown would hit by mistake: how many, with an interval, and who they would be.

Two things can be wrong. The cluster may be no abusive operation at all, with the chance 1 - score; then everybody who
is acted on is benign. Or it is one, and a member is in it by mistake, with the chance 1 - membership, each apart from
the others. The number of benign accounts is a mixture of the two: all of them, or a sum of independent events
(Poisson binomial). Scores are chances as far as the detector is calibrated; what the team's own appeals say stands
beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Collateral:
    """Benign accounts among those acted on: expected, and a 95 % interval; the same were the cluster one operation
    (`if_right`), and the chance that it is none (`all_wrong`)."""

    accounts: int
    expected: float
    low: int
    high: int
    if_right: tuple[float, int, int]
    all_wrong: float

    def document(self) -> dict[str, Any]:
        expected, low, high = self.if_right
        return {
            "accounts": self.accounts,
            "expected": self.expected,
            "low": self.low,
            "high": self.high,
            "if_one_operation": {"expected": expected, "low": low, "high": high},
            "chance_that_it_is_none": self.all_wrong,
        }


def estimate_collateral(membership: FloatArray, score: float) -> Collateral:
    """The estimate for accounts that are acted on; float64[n] of 0–1, and the cluster's score."""
    n = len(membership)
    mistaken = 1 - np.clip(membership, 0.0, 1.0)
    apart = poisson_binomial(mistaken)
    whole = apart * score
    whole[n] += 1 - score
    expected = float(np.arange(n + 1) @ whole)
    return Collateral(
        n, round(expected, 3), *_interval(whole), (round(float(mistaken.sum()), 3), *_interval(apart)),
        round(1 - score, 6),
    )  # fmt: skip


def poisson_binomial(chances: FloatArray) -> FloatArray:
    """The chance of each number of events among independent ones; float64[n + 1]."""
    out = np.zeros(len(chances) + 1)
    out[0] = 1.0
    for number, chance in enumerate(chances.tolist(), start=1):
        out[1 : number + 1] = out[1 : number + 1] * (1 - chance) + out[:number] * chance
        out[0] *= 1 - chance
    return out


def _interval(chances: FloatArray) -> tuple[int, int]:
    """The narrowest central interval of `LEVEL`: what lies outside on either side is at most half of the rest."""
    below = np.cumsum(chances)
    tail = (1 - LEVEL) / 2
    last = len(chances) - 1
    return min(int(np.searchsorted(below, tail)), last), min(int(np.searchsorted(below, 1 - tail - 1e-12)), last)


def track_record(wrong: int, acted: int) -> dict[str, Any]:
    """The share of accounts that were acted on and turned out benign, with Jeffreys' 95 % interval (Brown, Cai and
    DasGupta, "Interval estimation for a binomial proportion", 2001); null where nobody was."""
    if not acted:
        return {"accounts": 0, "benign": 0, "share": None, "low": None, "high": None}
    low, high = betaincinv(wrong + 0.5, acted - wrong + 0.5, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return {
        "accounts": acted, "benign": wrong, "share": round(wrong / acted, 6),
        "low": 0.0 if wrong == 0 else round(low, 6), "high": 1.0 if wrong == acted else round(high, 6),
    }  # fmt: skip
