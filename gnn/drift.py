"""How far what is scored has moved from what was learnt from.

The population stability index of a feature, Σ (q − p) ln(q / p) over the deciles of training (p) and of now (q); a
customary reading is: below 0.1 as it was, from 0.25 a change to look into (Siddiqi, "Credit risk scorecards", 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringwatch.gnn.graph import BoolArray, Float32, FloatArray

BINS = 10
SCORE = "(score)"
MOVED = 0.25
"""From this index on, something has changed."""

FLOOR = 1e-3
"""Least share of a bin, so that an empty one is no infinity."""

OUTSIDE = 0.2
"""An account with at least this share of its known features beyond what training saw is unlike training."""


@dataclass(frozen=True)
class Profile:
    """Of every feature and of the score at training: least and greatest, edges of its deciles, share by bin, of
    unknown values last. float64[columns, …]."""

    names: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    edges: FloatArray
    shares: FloatArray

    @classmethod
    def made(cls, names: Sequence[str], values: Float32, score: FloatArray) -> Profile:
        """The profile of features float32[n, f] and a score float64[n]."""
        table = np.column_stack([values.astype(np.float64), score])
        all_names = (*names, SCORE)
        edges = np.full((len(all_names), BINS - 1), np.nan)
        low, high = np.full(len(all_names), np.nan), np.full(len(all_names), np.nan)
        for column in range(table.shape[1]):
            known = table[~np.isnan(table[:, column]), column]
            if len(known):
                edges[column] = _between(known)
                low[column], high[column] = known.min(), known.max()
        shares = np.array([_shares(table[:, column], edges[column]) for column in range(table.shape[1])])
        return cls(all_names, low, high, edges, shares.reshape(len(all_names), BINS + 1))

    def table(self) -> pd.DataFrame:
        """As it is kept: name, low, high, edges, shares."""
        return pd.DataFrame(
            {
                "name": list(self.names), "low": self.low, "high": self.high, "edges": list(self.edges),
                "shares": list(self.shares),
            }
        )  # fmt: skip

    @classmethod
    def of(cls, table: pd.DataFrame) -> Profile:
        """The profile that `table` wrote."""
        return cls(
            tuple(table["name"]), table["low"].to_numpy(), table["high"].to_numpy(),
            np.stack(table["edges"].to_list()), np.stack(table["shares"].to_list()),
        )  # fmt: skip

    def index(self, names: Sequence[str], values: Float32, score: FloatArray) -> pd.DataFrame:
        """name, psi of every feature that both have, and of the score; most moved first."""
        place = {name: column for column, name in enumerate(names)}
        rows = []
        for number, name in enumerate(self.names):
            if name != SCORE and name not in place:
                continue
            now = score if name == SCORE else values[:, place[name]].astype(np.float64)
            q = np.maximum(_shares(now, self.edges[number]), FLOOR)
            p = np.maximum(self.shares[number], FLOOR)
            rows.append((name, float(np.sum((q - p) * np.log(q / p)))))
        frame = pd.DataFrame(rows, columns=["name", "psi"])
        return frame.sort_values(["psi", "name"], ascending=[False, True], kind="stable").reset_index(drop=True)

    def unlike(self, names: Sequence[str], values: Float32) -> BoolArray:
        """Accounts of which so much lies beyond what training saw that a score says little; bool[n]."""
        place = {name: number for number, name in enumerate(self.names)}
        both = [(column, place[name]) for column, name in enumerate(names) if name in place]
        if not both:
            return np.ones(len(values), dtype=np.bool_)
        beyond, known = np.zeros(len(values)), np.zeros(len(values))
        for column, number in both:
            part = values[:, column]
            there = ~np.isnan(part)
            slack = 0.1 * (self.high[number] - self.low[number]) + 1e-6
            known += there
            beyond += there & ((part < self.low[number] - slack) | (part > self.high[number] + slack))
        return np.asarray(beyond >= OUTSIDE * np.maximum(known, 1))


def _between(known: FloatArray) -> FloatArray:
    """Edges of deciles, halfway between values that occur: where few do, as of the share of accounts on a plan, a
    value that moves by a little stays in its bin. Below the least it is half the gap to the next."""
    distinct = np.unique(known)
    above = np.searchsorted(distinct, np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    gap = distinct[1] - distinct[0] if len(distinct) > 1 else max(abs(distinct[0]), 1.0)
    lower = np.append(distinct[0] - gap, distinct)
    return np.asarray((lower[above] + lower[above + 1]) / 2)


def _shares(values: FloatArray, edges: FloatArray) -> FloatArray:
    """Share of values by bin, of unknown ones last; equal edges leave bins empty on both sides alike."""
    known = ~np.isnan(values)
    counts = np.zeros(BINS + 1)
    if not np.isnan(edges).any():
        counts[:BINS] = np.bincount(np.searchsorted(edges, values[known], side="right"), minlength=BINS)
    else:
        counts[0] = known.sum()
    counts[BINS] = (~known).sum()
    return np.asarray(counts / max(len(values), 1))
