"""Where to draw the line: by how many accounts can be reviewed, or by what a benign one taken down costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ringwatch.gnn import pu
from ringwatch.gnn.calibration import counted
from ringwatch.gnn.graph import FloatArray
from ringwatch.gnn.labels import ABUSIVE, Label

CAPACITIES = (0.001, 0.005, 0.01, 0.02, 0.05)
COSTS = (1.0, 5.0, 20.0)
BINS = 10


@dataclass(frozen=True)
class Threshold:
    """`kind`: capacity (`wish`: share of accounts that can be looked at) or cost (`wish`: how many missed abusive
    accounts one benign one taken down is worth). `at`: the least probability; `accounts` are above it, of which
    `abusive` are expected to be abusive, and `found` is their share of all abusive ones."""

    kind: str
    wish: float
    at: float
    accounts: int
    abusive: float
    found: float

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "wish": self.wish, "at": round(self.at, 6), "accounts": self.accounts,
            "abusive": round(self.abusive, 2), "found": round(self.found, 4),
        }  # fmt: skip


def by_capacity(chance: FloatArray, accounts: int) -> float:
    """The probability at and above which there are at most `accounts` accounts."""
    if accounts >= len(chance):
        return 0.0
    ranked = np.sort(chance)[::-1]
    return float(np.nextafter(ranked[accounts], np.inf))


def by_cost(cost: float) -> float:
    """The probability from which acting costs less than not acting, where one benign account acted on is as bad as
    `cost` abusive ones missed: p ≥ c / (1 + c) (Elkan, "The foundations of cost-sensitive learning", IJCAI 2001)."""
    return cost / (1 + cost)


def thresholds(chance: FloatArray) -> list[Threshold]:
    """A threshold by each capacity and each cost, from calibrated probabilities."""
    total = max(float(chance.sum()), 1e-12)

    def made(kind: str, wish: float, at: float) -> Threshold:
        above = chance >= at
        return Threshold(
            kind, wish, at, int(above.sum()), float(chance[above].sum()), float(chance[above].sum() / total)
        )

    return [made("capacity", share, by_capacity(chance, round(share * len(chance)))) for share in CAPACITIES] + [
        made("cost", cost, by_cost(cost)) for cost in COSTS
    ]


def reliability(chance: FloatArray, label: Label, prior: float) -> tuple[list[dict[str, float]], float]:
    """By bin of equal width: `claimed` (mean probability), `right` (estimated share of abusive accounts), `accounts`;
    and the expected calibration error over the population.

    Abusive accounts of a bin are those labelled there, and of the unlabelled as many as the labelled ones of the bin
    stand for (`pu`). Only those accounts are counted that calibration counts.
    """
    known = counted(label)
    chance, label = chance[known], label[known]
    place = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    positive = label == ABUSIVE
    total = pu.masses(label, prior)[0]
    share = np.bincount(place[positive], minlength=BINS) / max(int(positive.sum()), 1)
    accounts = np.bincount(place, minlength=BINS)
    claimed = np.bincount(place, chance, minlength=BINS) / np.maximum(accounts, 1)
    right = np.minimum(share * total / np.maximum(accounts, 1), 1.0)
    error = float(np.sum(np.abs(claimed - right) * accounts) / max(len(chance), 1))
    rows = [
        {"low": low / BINS, "claimed": round(c, 4), "right": round(r, 4), "accounts": int(n)}
        for low, (c, r, n) in enumerate(zip(claimed.tolist(), right.tolist(), accounts.tolist(), strict=True))
    ]
    return rows, error
