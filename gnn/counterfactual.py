"""What holds a cluster, or an account in it, together: what is left of its ties when an entity had never been there.

Exact in the terms of detection: the layers of the pairs concerned are cut, and their bits are added up anew. An
entity that is taken away says nothing then, neither for a tie nor, by its absence, against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ringwatch.gnn.graph import FloatArray, IntArray
from ringwatch.graphs import Model

Part = tuple[str, int]
"""A layer's name and a dense entity of it (of a relation, an account)."""

MOST_PARTS = 200
MOST_CUTS = 8


@dataclass(frozen=True)
class Ties:
    """The pairs among `members` of a cluster, or of an account with others; `model` is of these pairs alone."""

    model: Model
    members: IntArray

    @cached_property
    def bits(self) -> FloatArray:
        return self.model.bits()

    def parts(self) -> list[Part]:
        """The entities that tie, those on most pairs first."""
        found: dict[Part, int] = {}
        for layer in self.model.shared:
            entity, count = np.unique(layer.entity[layer.bits > 0], return_counts=True)
            found |= {(layer.name, int(one)): int(n) for one, n in zip(entity, count, strict=True)}
        return sorted(found, key=lambda part: (-found[part], part))[:MOST_PARTS]

    def without(self, parts: Sequence[Part]) -> Ties:
        """The same pairs had these entities never been there."""
        both = {group: has.copy() for group, has in self.model.both.items()}
        shared = []
        for layer in self.model.shared:
            gone = np.isin(layer.entity, [entity for name, entity in parts if name == layer.name])
            both[layer.group][layer.pair[gone]] = False
            shared.append(layer.on(~gone))
        return Ties(replace(self.model, shared=shared, both=both), self.members)

    def strength(self) -> float:
        """Sum of the bits of the pairs that stand."""
        return float(np.maximum(self.bits, 0.0).sum())

    def whole(self) -> float:
        """Share of the members that the pairs that stand leave in one piece."""
        stands = self.bits > 0
        n = len(self.members)
        if n == 0 or not stands.any():
            return 1 / max(n, 1)
        a = np.searchsorted(self.members, self.model.first[stands])
        b = np.searchsorted(self.members, self.model.second[stands])
        graph = sp.coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n))
        return float(np.bincount(connected_components(graph, directed=False)[1]).max() / n)


def cluster_ties(model: Model, members: IntArray) -> Ties:
    """The pairs inside a cluster; `members` are accounts, rising."""
    inside = np.isin(model.first, members) & np.isin(model.second, members)
    return Ties(model.on(np.flatnonzero(inside)), np.sort(members))


def account_ties(model: Model, account: int) -> Ties:
    """The pairs of one account."""
    own = np.flatnonzero((model.first == account) | (model.second == account))
    local = model.on(own)
    return Ties(local, np.unique(np.r_[account, local.first, local.second]))


def worth(ties: Ties) -> list[tuple[Part, float]]:
    """What each entity adds to the bits of the pairs that stand, most first: what is lost without it."""
    whole = ties.strength()
    found = [(part, whole - ties.without([part]).strength()) for part in ties.parts()]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def breaking(ties: Ties, ranked: Sequence[tuple[Part, float]]) -> tuple[list[Part], float]:
    """The fewest entities (greedily, at most `MOST_CUTS`) without which less than half of the members hang together;
    and the share that then does. No entities where so few do not break it."""
    chosen: list[Part] = []
    candidates = [part for part, value in ranked if value > 0][: 3 * MOST_CUTS]
    while len(chosen) < MOST_CUTS and candidates:
        tried = []
        for part in candidates:
            left = ties.without([*chosen, part])
            tried.append((left.whole(), left.strength(), part))
        share, _, best = min(tried)
        chosen.append(best)
        candidates.remove(best)
        if share <= 0.5:
            return chosen, share
    return [], ties.whole()


def fidelity(ties: Ties, ranked: Sequence[tuple[Part, float]], *, top: int, seed: int) -> dict[str, float]:
    """What share of the strength is lost without the first `top` entities (`necessity`), without as many at random
    (`random`, mean of 20 draws), and kept with them alone (`sufficiency`); nothing where no tie stands."""
    whole = ties.strength()
    if not whole:
        return {}
    parts = [part for part, _ in ranked]
    named = parts[:top]
    rng = np.random.default_rng([seed, 91])
    lost: list[float] = []
    for _ in range(20):
        drawn = rng.permutation(len(parts))[:top]
        lost.append(1 - ties.without([parts[place] for place in drawn.tolist()]).strength() / whole)
    return {
        "top": float(len(named)),
        "necessity": round(1 - ties.without(named).strength() / whole, 4),
        "random": round(float(np.mean(lost)) if lost else 0.0, 4),
        "sufficiency": round(ties.without(parts[top:]).strength() / whole, 4),
    }
