"""Evidence in bits: for each candidate pair, log2 of how much likelier what it has in common is under one operator.

The Fellegi–Sunter model (Fellegi and Sunter, "A theory for record linkage", JASA 1969) on graph evidence. For a
shared entity u is its own frequency (term-frequency adjustment, as Splink has it), m is learnt by EM (Winkler 1988)
together with the prior; what saturates counts once: layers of one group give their strongest, and each doubling of
the entities shared within a layer adds half a bit. For contrasts (how far apart two sign-ups are, how alike two
volumes) u comes from random pairs and m by EM, band by band.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ringwatch.graphs.accounts import AccountTable, BoolArray, FloatArray, IntArray
from ringwatch.graphs.layers import Incidence, Relation

EM_STEPS = 25
EM_SAMPLE = 400_000
PSEUDO_PAIRS = 50.0
"""How many pairs the starting values of m weigh in EM."""

M_RANGE = (0.02, 0.9)
MATES = (0.5, 20.0)
"""Bounds of the prior: the mean number of accounts that share an account's operator."""

CHUNK = 1_000_000
DAY = 86_400e6
SIGNUP_BANDS = np.array([600e6, 3600e6, 6 * 3600e6, DAY, 2 * DAY, 4 * DAY, 8 * DAY, 16 * DAY, 32 * DAY, 64 * DAY])
FEATURE_BANDS = np.array([0.0005, 0.002, 0.01, 0.05, 0.15, 0.4])
FEATURES = 4
"""At most this many `x_` features are contrasted."""

RANDOM_PAIRS = 400_000
DEGREE_POWER = 0.5
"""How strongly the degrees of both ends weaken a direct relation (0: not, 1: the configuration model)."""


@dataclass(frozen=True)
class Shared:
    """One layer on the candidate pairs: the pairs that share anything, the rarity in bits of what they share
    (`log2(1 / u)` of the rarest, plus half of log2 of how many), how many, and the rarest entity itself."""

    name: str
    group: str
    text: str
    pair: IntArray
    rarity: FloatArray
    count: IntArray
    entity: IntArray
    m: float


@dataclass(frozen=True)
class Contrast:
    """A banded comparison: the band of each pair (-1 where one side is unknown), u and m by band."""

    name: str
    group: str
    text: str
    band: npt.NDArray[np.int8]
    u: FloatArray
    m: FloatArray

    @property
    def bits(self) -> FloatArray:
        return np.log2(self.m / self.u)


@dataclass
class Model:
    """Everything known about the candidate pairs. `bits()` adds it up; `explain()` takes it apart by layer."""

    accounts: int
    first: IntArray
    second: IntArray
    shared: list[Shared]
    contrasts: list[Contrast]
    both: dict[str, BoolArray]
    prior: float = field(default=0.0)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def groups(self) -> list[str]:
        return sorted({layer.group for layer in self.shared})

    def share_rate(self, group: str) -> float:
        """The chance that two accounts of one operator share something in a group of layers."""
        return max(layer.m for layer in self.shared if layer.group == group)

    def layer_bits(self, layer: Shared) -> FloatArray:
        """Bits of a layer on the pairs that share something in it; a crowd's entity is worth nothing, never less."""
        return np.maximum(np.log2(layer.m) + layer.rarity, 0.0)

    def group_bits(self, group: str) -> FloatArray:
        """Bits of a group on all pairs: its strongest layer, or the absence of any where both sides had a chance."""
        out = np.where(self.both[group], np.log2(1 - self.share_rate(group)), 0.0)
        best = np.full(len(self), -1.0)
        for layer in self.shared:
            if layer.group == group:
                np.maximum.at(best, layer.pair, self.layer_bits(layer))
        return np.where(best >= 0, best, out)

    def bits(self) -> FloatArray:
        """Prior and evidence of each pair, log2 odds; float64[pairs]."""
        total = np.full(len(self), self.prior)
        for group in self.groups:
            total += self.group_bits(group)
        for contrast in self.contrasts:
            total += _contrast_bits(contrast)
        return total

    def explain(self, pairs: IntArray) -> Iterable[tuple[str, str, str, IntArray, FloatArray, IntArray]]:
        """Per layer: name, text, kind (shared, absent, contrast), positions in `pairs`, bits there, entity (or -1)."""
        where = np.full(len(self), -1, dtype=np.int64)
        where[pairs] = np.arange(len(pairs))
        for group in self.groups:
            best = np.full(len(pairs), -1.0)
            parts = []
            for layer in self.shared:
                if layer.group == group:
                    at = where[layer.pair]
                    hit = at >= 0
                    parts.append((layer, at[hit], self.layer_bits(layer)[hit], layer.entity[hit]))
                    np.maximum.at(best, at[hit], parts[-1][2])
            for layer, at, bits, entity in parts:
                top = bits >= best[at]
                yield layer.name, layer.text, "shared", at[top], bits[top], entity[top]
            absent = np.flatnonzero((best < 0) & self.both[group][pairs])
            loss = np.full(len(absent), np.log2(1 - self.share_rate(group)))
            yield group, group, "absent", absent, loss, np.full(len(absent), -1)
        for contrast in self.contrasts:
            bits = _contrast_bits(contrast)[pairs]
            known = np.flatnonzero(contrast.band[pairs] >= 0)
            yield contrast.name, contrast.text, "contrast", known, bits[known], np.full(len(known), -1)


def _contrast_bits(contrast: Contrast) -> FloatArray:
    return np.where(contrast.band >= 0, contrast.bits[np.maximum(contrast.band, 0)], 0.0)


def build_model(
    accounts: AccountTable,
    incidences: list[Incidence],
    relations: list[Relation],
    first: IntArray,
    second: IntArray,
    *,
    seed: int,
) -> Model:
    """Looks at every candidate pair through every layer, then learns m and the prior by EM."""
    n = len(accounts)
    shared = [_share(incidence, first, second, n) for incidence in incidences]
    shared += [_relate(relation, first, second, n) for relation in relations]
    both: dict[str, BoolArray] = {}
    for incidence in incidences:
        has = incidence.holders(n)
        mask = has[first] & has[second]
        group = incidence.spec.group
        both[group] = both[group] | mask if group in both else mask
    for relation in relations:
        has = np.zeros(n, dtype=np.bool_)
        has[relation.src] = has[relation.dst] = True
        both.setdefault(relation.spec.group, has[first] & has[second])
    rng = np.random.default_rng(seed)
    contrasts = _contrasts(accounts, first, second, rng)
    model = Model(n, first, second, shared, contrasts, both, prior=np.log2(MATES[1] / max(n, 2)))
    return _learn(model)


def _share(incidence: Incidence, first: IntArray, second: IntArray, n: int) -> Shared:
    degree = incidence.degree
    u = np.maximum(np.minimum(degree / n, 1.0), np.minimum(incidence.floor, 1.0))
    rarity = np.log2(1.0 / u)
    useful = degree[incidence.entity] >= 2
    account, entity = incidence.account[useful], incidence.entity[useful]
    # Columns by rising rarity, so that the greatest shared column is the rarest shared entity.
    order = np.lexsort((incidence.code, rarity))
    column = np.empty(len(order), dtype=np.int64)
    column[order] = np.arange(len(order))
    matrix = sp.csr_matrix(
        (np.ones(len(account), dtype=np.int32), (account, column[entity])), shape=(n, max(len(order), 1))
    )
    matrix.sum_duplicates()
    filled = np.diff(matrix.indptr) > 0
    alive = np.flatnonzero(filled[first] & filled[second])
    pairs, rarities, counts, entities = [], [], [], []
    for start in range(0, len(alive), CHUNK):
        part = alive[start : start + CHUNK]
        pair, key = _intersect(matrix, first[part], second[part])
        if len(pair) == 0:
            continue
        last = np.flatnonzero(np.r_[pair[1:] != pair[:-1], True])
        count = np.diff(np.r_[-1, last])
        best = order[key[last]]
        pairs.append(part[pair[last]])
        rarities.append(rarity[best] + 0.5 * np.log2(count))
        counts.append(count)
        entities.append(best)
    spec = incidence.spec
    return Shared(
        spec.name, spec.group, spec.text, _join(pairs), _join(rarities, float), _join(counts), _join(entities), spec.m
    )


def _intersect(matrix: sp.csr_matrix, a: IntArray, b: IntArray) -> tuple[IntArray, IntArray]:
    """Columns that rows a[i] and b[i] share: the pair and the column of each, by pair and rising column."""
    keys = []
    for rows in (a, b):
        size = np.diff(matrix.indptr)[rows].astype(np.int64)
        start = np.repeat(matrix.indptr[rows] - (np.cumsum(size) - size), size)
        column = matrix.indices[start + np.arange(len(start))]
        keys.append(np.repeat(np.arange(len(rows), dtype=np.int64), size) * matrix.shape[1] + column)
    common = np.intersect1d(*keys, assume_unique=True)
    return common // matrix.shape[1], common % matrix.shape[1]


def _join(parts: list[npt.NDArray[np.generic]], dtype: type = np.int64) -> npt.NDArray[np.generic]:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)


def _relate(relation: Relation, first: IntArray, second: IntArray, n: int) -> Shared:
    degree = np.bincount(np.r_[relation.src, relation.dst], minlength=n).astype(np.float64)
    key = np.unique(np.minimum(relation.src, relation.dst) * n + np.maximum(relation.src, relation.dst))
    pair = np.searchsorted(first * n + second, key)
    a, b = key // n, key % n
    chance = 2 * len(key) / n**2 * (degree[a] * degree[b] / max(degree.mean(), 1e-9) ** 2) ** DEGREE_POWER
    rarity = -np.log2(np.minimum(chance, 1.0))
    spec = relation.spec
    one = np.ones(len(pair), dtype=np.int64)
    return Shared(spec.name, spec.group, spec.text, pair, rarity, one, np.full(len(pair), -1), spec.m)


def _contrasts(accounts: AccountTable, first: IntArray, second: IntArray, rng: np.random.Generator) -> list[Contrast]:
    n = len(accounts)
    if n < 2:
        return []
    left = rng.integers(0, n, RANDOM_PAIRS)
    right = (left + rng.integers(1, n, RANDOM_PAIRS)) % n
    created = accounts.created
    columns = [("signup", "signup", "their sign-up times", created, SIGNUP_BANDS)]
    for name in accounts.features[:FEATURES]:
        values = accounts.frame[name].to_numpy(dtype=np.float64)
        columns.append((name, "features", f"their {name[2:]}", _rank(values), FEATURE_BANDS))
    found = []
    for name, group, text, values, edges in columns:
        band = _band(values, first, second, edges)
        random = _band(values, left, right, edges)
        if (band >= 0).sum() == 0 or np.nanstd(values) == 0:
            continue
        size = len(edges) + 1
        u = (np.bincount(random[random >= 0], minlength=size) + 0.5) / ((random >= 0).sum() + 0.5 * size)
        found.append(Contrast(name, group, text, band, u, u.copy()))
    return found


def _rank(values: FloatArray) -> FloatArray:
    """Values as shares of the population below them, in [0, 1]; NaN stays."""
    known = np.sort(values[~np.isnan(values)])
    middle = (np.searchsorted(known, values, side="left") + np.searchsorted(known, values, side="right")) / 2
    return np.where(np.isnan(values), np.nan, middle / max(len(known), 1))


def _band(values: FloatArray, a: IntArray, b: IntArray, edges: FloatArray) -> npt.NDArray[np.int8]:
    gap = np.abs(values[a] - values[b])
    return np.where(np.isnan(gap), -1, np.searchsorted(edges, gap)).astype(np.int8)


def _learn(model: Model) -> Model:
    """EM over a fixed sample of the pairs, then the learnt m and prior on all of them."""
    if len(model) == 0:
        return model
    share = min(1.0, EM_SAMPLE / len(model))
    chosen = (
        np.arange(len(model)) if share == 1.0 else np.unique(np.linspace(0, len(model) - 1, EM_SAMPLE).astype(int))
    )
    sample = _subset(model, chosen)
    start = {layer.name: layer.m for layer in model.shared}
    all_pairs = model.accounts * (model.accounts - 1) / 2
    hit_by = {group: np.zeros(len(sample), dtype=np.int8) for group in sample.groups}
    for layer in sample.shared:
        hit_by[layer.group][layer.pair] = 1
    groups_hit = sum(hit_by.values(), np.zeros(len(sample), dtype=np.int8))
    for _ in range(EM_STEPS):
        odds = np.exp2(np.clip(sample.bits(), -60, 60))
        p = odds / (1 + odds)
        shared = []
        for layer in sample.shared:
            # A pair is a candidate because it shares something: only pairs that another group made candidates say
            # how often mates share in this one (capture and recapture).
            free = p * (groups_hit - hit_by[layer.group] > 0)
            hits = free[layer.pair].sum() + PSEUDO_PAIRS * start[layer.name]
            chances = free[sample.both[layer.group]].sum() + PSEUDO_PAIRS
            shared.append(_with_m(layer, float(np.clip(hits / chances, *M_RANGE))))
        contrasts = []
        for contrast in sample.contrasts:
            known = contrast.band >= 0
            seen = np.bincount(contrast.band[known], p[known], minlength=len(contrast.u))
            m_band = (seen + PSEUDO_PAIRS * contrast.u) / (seen.sum() + PSEUDO_PAIRS)
            contrasts.append(_with_bands(contrast, m_band))
        mates = 2 * (p.sum() / share) / model.accounts
        prior = float(np.log2(np.clip(mates, *MATES) * model.accounts / 2 / all_pairs))
        sample = Model(sample.accounts, sample.first, sample.second, shared, contrasts, sample.both, prior)
    return Model(
        model.accounts,
        model.first,
        model.second,
        [_with_m(layer, learnt.m) for layer, learnt in zip(model.shared, sample.shared, strict=True)],
        [_with_bands(c, learnt.m) for c, learnt in zip(model.contrasts, sample.contrasts, strict=True)],
        model.both,
        sample.prior,
    )


def _subset(model: Model, chosen: IntArray) -> Model:
    where = np.full(len(model), -1, dtype=np.int64)
    where[chosen] = np.arange(len(chosen))
    shared = []
    for layer in model.shared:
        at = where[layer.pair]
        hit = at >= 0
        shared.append(
            replace(layer, pair=at[hit], rarity=layer.rarity[hit], count=layer.count[hit], entity=layer.entity[hit])
        )
    contrasts = [Contrast(c.name, c.group, c.text, c.band[chosen], c.u, c.m) for c in model.contrasts]
    both = {group: mask[chosen] for group, mask in model.both.items()}
    return Model(model.accounts, model.first[chosen], model.second[chosen], shared, contrasts, both, model.prior)


def _with_m(layer: Shared, m: float) -> Shared:
    return replace(layer, m=m)


def _with_bands(contrast: Contrast, m: FloatArray) -> Contrast:
    return replace(contrast, m=m)
