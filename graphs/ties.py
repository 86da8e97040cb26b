"""What two clusters have in common, in bits: how much likelier it is when one organization stands behind both.

The model of `graphs.evidence`, one level up. A unit is a cluster, or an account in none. Two clusters that share an
entity would do so by accident about λ times,

    λ = (x_a F_b + x_b F_a) / X

where x is how many entities of the layer a cluster touches, X how many all units do, and F the rate at which others
come to the entities of a cluster that are as little visited as the shared one. The rate of an entity that r other
units touch is (r + 1) N(r + 1) / N(r), with N(r) the number of entities that r others touch (Good, "The population
frequencies of species", Biometrika 1953). So where strangers never come to each other's places one visitor says much,
where they do he says little, and a hub says nothing. A tie is worth log2(m / P(any)), P = 1 − exp(−λ).

Layers of one group give their strongest. Pairs of accounts across two clusters are looked at as well: under one
organization any of them may be the bridge, so they are worth the mean of their likelihood ratios over all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray
from ringwatch.graphs.evidence import HIDING, LEAST_ABSENT, Model, bounded
from ringwatch.graphs.layers import PARTNER_LAYERS, PROMPT_FAMILY, Incidence, LayerSpec
from ringwatch.graphs.learning import probability
from ringwatch.graphs.ordered import starts
from ringwatch.graphs.resolve import INFERRED

MOST_CLUSTERS = 48
"""An entity that more clusters share is a hub; their pairs are not looked at."""

EXACT = 8
"""Entities are told apart by how many others touch them up to here, and by octaves beyond."""

_BINS = EXACT + 24
PARTNERS = (0.02, 2.0)
"""Bounds of the prior: with how many others a cluster is of one organization, on average."""

EM_STEPS = 50
LEAST_BITS = 0.5
"""A tie in one layer that is worth less is not kept."""

LARGEST_RATIO = 40.0
SHARED, ABSENT, PAIRS = "shared", "absent", "accounts"
"""Kinds of reasons; the last is also the layer of what pairs of accounts say beyond what their clusters share."""


@dataclass(frozen=True)
class Ties:
    """What ties pairs of units.

    `pairs`: first, second (units, first < second), bits (prior and evidence). `reasons`: first, second, layer, bits,
    kind (shared, absent, accounts), entity (dense, of the layer; -1: none), count (entities shared), others (units
    that have the rarest of them, besides), accounts (members of the two that have it). Their bits and the prior add
    up to those of the pair. `texts`: what is shared in each layer, in words.
    """

    prior: float
    pairs: pd.DataFrame
    reasons: pd.DataFrame
    texts: dict[str, str]

    def standing(self) -> pd.DataFrame:
        """The pairs that are likelier of one organization than not."""
        return self.pairs[self.pairs["bits"] > 0].reset_index(drop=True)

    def beyond_words(self) -> pd.DataFrame:
        """Those that are so whatever they write: words travel, and make no organization by themselves."""
        words = self.reasons[(self.reasons["layer"] == PROMPT_FAMILY.name) & (self.reasons["bits"] > 0)]
        said = words.groupby(["first", "second"])["bits"].sum().rename("words").reset_index()
        pairs = self.pairs.merge(said, how="left", on=["first", "second"])
        return pairs[pairs["bits"] - pairs.pop("words").fillna(0.0) > 0].reset_index(drop=True)


def tie_layers(shared: Sequence[Incidence], unit: IntArray) -> list[Incidence]:
    """The layers in which units are compared; `unit` of each account, -1 for none.

    What is known to serve strangers or an institution (`entities`) ties nothing. A source of money or referrals that
    is in a unit itself is that unit's too, so that what goes from one unit to another ties them. Moments are left
    out: of clusters the entity itself says enough.
    """
    shared = [one for one in shared if not one.spec.refines]
    layers = [_with_ends(one, unit) if one.spec.name in PARTNER_LAYERS else _unknown(one) for one in shared]
    return [layer for layer in layers if len(layer.account)]


def _unknown(layer: Incidence) -> Incidence:
    # Of families the floor is how widely spread is what they resemble; of all others somebody knows what they are.
    if layer.spec.name in INFERRED or not layer.floor.any():
        return layer
    return _rows(layer, np.flatnonzero(layer.floor[layer.entity] == 0))


def _with_ends(layer: Incidence, unit: IntArray) -> Incidence:
    """A layer of sources (or targets) with a row for each that is in a unit itself."""
    ends = np.flatnonzero(unit[layer.code] >= 0)
    account, entity = np.r_[layer.account, layer.code[ends]], np.r_[layer.entity, ends]
    _, first = np.unique(account * len(layer.code) + entity, return_index=True)
    one, never = np.ones(len(ends), dtype=np.int64), np.full(len(ends), np.nan)
    added = replace(
        layer, account=account, entity=entity, count=np.r_[layer.count, one], first=np.r_[layer.first, never],
        last=np.r_[layer.last, never], spec=replace(layer.spec, text=f"{layer.spec.text}, or are it"),
    )  # fmt: skip
    return _rows(added, first)


def _rows(layer: Incidence, at: IntArray) -> Incidence:
    parts = {name: getattr(layer, name)[at] for name in ("account", "entity", "count", "first", "last")}
    return replace(layer, **parts)


def weigh_ties(layers: Sequence[Incidence], unit: IntArray, units: int, model: Model, bits: FloatArray) -> Ties:
    """Bits of all pairs of units that have something in common.

    Args:
        layers: as `tie_layers` returns them. unit: of each account, -1 for none. units: how many there are.
        model, bits: the candidate pairs of accounts, and their bits.
    """
    touched: dict[str, BoolArray] = {}
    found = [pd.DataFrame({name: np.zeros(0, dtype=np.int64) for name in ("first", "second", "entity")})]
    texts = {layer.spec.name: layer.spec.text for layer in layers}
    absent: dict[str, float] = {}
    for layer in layers:
        lifted = _Lifted.of(layer, unit, units)
        group = layer.spec.group
        touched[group] = touched.get(group, np.zeros(units, dtype=np.bool_)) | (lifted.touches > 0)
        absent[group] = absent.get(group, 1.0) - layer.spec.m
        found.append(lifted.ties(layer.spec).assign(layer=layer.spec.name, group=group, kind=SHARED))
    shared = pd.concat([frame for frame in found if len(frame)] or found[:1], ignore_index=True)
    size = np.bincount(unit[unit >= 0], minlength=units)
    bridges = _bridges(unit, size, model, bits)
    if shared.empty and bridges.empty:
        return Ties(_prior(units, PARTNERS[0]), _NO_PAIRS, _NO_REASONS, texts)
    if len(shared):
        # Of the layers of one group the strongest counts.
        strongest = shared.sort_values(
            ["first", "second", "group", "bits"], ascending=[True, True, True, False], kind="stable"
        )
        shared = strongest[~strongest.duplicated(["first", "second", "group"])]
    pairs = pd.concat([shared.reindex(columns=["first", "second"]), bridges[["first", "second"]]]).drop_duplicates()
    pairs = pairs.astype(np.int64).sort_values(["first", "second"], ignore_index=True)
    pairs["pair"] = pairs.index
    reasons = [shared.merge(pairs, on=["first", "second"])] if len(shared) else []
    reasons += [_absent(pairs, reasons[0] if reasons else None, touched, absent)]
    told = np.bincount(
        np.concatenate([reason["pair"] for reason in reasons]),
        np.concatenate([reason["bits"] for reason in reasons]),
        minlength=len(pairs),
    )
    bridges = bridges.merge(pairs, on=["first", "second"])
    bridges["bits"] -= told[bridges["pair"]]
    bridges = bridges[bridges["bits"] >= LEAST_BITS]
    reasons.append(bridges.assign(layer=PAIRS, kind=PAIRS, entity=-1, others=0))
    table = pd.concat(reasons, ignore_index=True)
    total = np.asarray(np.bincount(table["pair"], table["bits"], minlength=len(pairs)), dtype=np.float64)
    prior = _learn_prior(total, units)
    return Ties(
        prior,
        pairs[["first", "second"]].assign(bits=prior + total),
        table[list(_REASON_COLUMNS)].astype(dict.fromkeys(("entity", "count", "others", "accounts"), np.int64)),
        texts,
    )


_REASON_COLUMNS = ("first", "second", "layer", "bits", "kind", "entity", "count", "others", "accounts")
_NO_PAIRS = pd.DataFrame({"first": np.zeros(0, np.int64), "second": np.zeros(0, np.int64), "bits": np.zeros(0)})
_NO_REASONS = pd.DataFrame({name: [] for name in _REASON_COLUMNS})


@dataclass(frozen=True)
class _Lifted:
    """One layer by unit. By row, sorted by entity: `entity`, `unit`, `held` (members that have it). By unit:
    `touches`. By entity: `visitors` (units that have it). `all`: rows, with those of accounts in no unit."""

    entity: IntArray
    unit: IntArray
    held: IntArray
    touches: IntArray
    visitors: IntArray
    all: int

    @classmethod
    def of(cls, layer: Incidence, unit: IntArray, units: int) -> _Lifted:
        inside = unit[layer.account] >= 0
        entities = len(layer.code)
        key = layer.entity[inside] * units + unit[layer.account[inside]]
        key.sort()
        begin = starts(key)
        held = np.diff(np.append(begin, len(key)))
        entity, of = key[begin] // max(units, 1), key[begin] % max(units, 1)
        visitors = np.bincount(layer.entity[~inside], minlength=entities) + np.bincount(entity, minlength=entities)
        return cls(entity, of, held, np.bincount(of, minlength=units), visitors, int(visitors.sum()))

    def ties(self, spec: LayerSpec) -> pd.DataFrame:
        """first, second, bits, entity, count, others, accounts of each pair of units that share something here."""
        others = self.visitors[self.entity] - 1
        # What several members of a unit have is its own place; what one has may be where that one is a guest.
        own = self.held > 1
        rates = [_Rates.of(others[which], self.unit[which], len(self.touches)) for which in (slice(None), own)]
        clusters = np.bincount(self.entity, minlength=len(self.visitors))[self.entity]
        some = np.flatnonzero((clusters >= 2) & (clusters <= MOST_CLUSTERS))
        parts = []
        for step in range(1, int(clusters[some].max(initial=1))):
            here, there = some[:-step], some[step:]
            same = self.entity[here] == self.entity[there]
            here, there = here[same], there[same]
            expected = np.zeros(len(here))
            deep = own[here] | own[there]
            between = self.visitors[self.entity[here]] - 2
            for which, rate in zip((~deep, deep), rates, strict=True):
                a, b, r = self.unit[here[which]], self.unit[there[which]], between[which]
                visits = self.touches[a] * rate.to(b, r) + self.touches[b] * rate.to(a, r)
                expected[which] = visits / max(self.all, 1)
            bits = np.log2(spec.m) - np.log2(np.maximum(-np.expm1(-expected), 1e-12))
            keep = bits >= LEAST_BITS
            parts.append(
                pd.DataFrame(
                    {
                        "first": self.unit[here], "second": self.unit[there], "bits": bits,
                        "entity": self.entity[here], "others": between,
                        "accounts": self.held[here] + self.held[there],
                    }
                )[keep]
            )  # fmt: skip
        table = pd.concat([part for part in parts if len(part)] or [_NO_TIES], ignore_index=True)
        table = table.sort_values(
            ["first", "second", "bits", "entity"], ascending=[True, True, False, True], kind="stable"
        )
        count = table.groupby(["first", "second"])["entity"].transform("size")
        table["bits"] += 0.5 * np.log2(np.maximum(count, 1))
        first: pd.DataFrame = table.assign(count=count).drop_duplicates(["first", "second"])
        return first


_NO_TIES = pd.DataFrame(
    {
        "first": np.zeros(0, np.int64), "second": np.zeros(0, np.int64), "bits": np.zeros(0),
        "entity": np.zeros(0, np.int64), "others": np.zeros(0, np.int64), "accounts": np.zeros(0, np.int64),
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Rates:
    """How often others come: `exact` by number of others up to `EXACT`, `known` by unit and bin the sum of the rates
    of its entities in that bin and all below."""

    exact: FloatArray
    known: FloatArray

    @classmethod
    def of(cls, others: IntArray, unit: IntArray, units: int) -> _Rates:
        seen = np.bincount(np.minimum(others, EXACT), minlength=EXACT + 1).astype(np.float64)
        steps = np.arange(1, EXACT + 1)
        exact = np.minimum(steps * (seen[1:] + 0.5) / (seen[:-1] + 1), steps)
        rates = cls(exact, np.zeros((units, _BINS)))
        at = unit * _BINS + _bin(others)
        known = np.bincount(at, rates.rate(others), minlength=units * _BINS).reshape(units, _BINS)
        return cls(exact, np.cumsum(known, axis=1))

    def rate(self, others: IntArray) -> FloatArray:
        """Visitors to expect at an entity that so many others touch."""
        return np.where(others < EXACT, self.exact[np.minimum(others, EXACT - 1)], others)

    def to(self, unit: IntArray, others: IntArray) -> FloatArray:
        """Visitors to expect at the entities of a unit that at most so many others touch; the shared one is one."""
        return np.asarray(self.known[unit, _bin(others)] + self.rate(others))


def _bin(others: IntArray) -> IntArray:
    octave = np.floor(np.log2(np.maximum(others, EXACT) / EXACT)).astype(np.int64)
    return np.where(others < EXACT, others, np.minimum(EXACT + octave, _BINS - 1))


def _bridges(unit: IntArray, size: IntArray, model: Model, bits: FloatArray) -> pd.DataFrame:
    """first, second, bits, count, accounts: what pairs of accounts across two units say together."""
    a, b = unit[model.first], unit[model.second]
    across = np.flatnonzero((a >= 0) & (b >= 0) & (a != b))
    first, second = np.minimum(a[across], b[across]), np.maximum(a[across], b[across])
    ratio = np.exp2(np.minimum(bits[across] - model.prior, LARGEST_RATIO))
    frame = pd.DataFrame({"first": first, "second": second, "ratio": ratio, "stands": bits[across] > 0})
    table = (
        frame.groupby(["first", "second"], sort=True)
        .agg(ratio=("ratio", "sum"), count=("stands", "sum"))
        .reset_index()
    )
    pairs = size[table["first"].to_numpy()] * size[table["second"].to_numpy()]
    table["bits"] = np.log2(table.pop("ratio").to_numpy(dtype=np.float64) / np.maximum(pairs, 1))
    return table[table["bits"] > LEAST_BITS].assign(accounts=0).reset_index(drop=True)


def _absent(
    pairs: pd.DataFrame, shared: pd.DataFrame | None, touched: dict[str, BoolArray], absent: dict[str, float]
) -> pd.DataFrame:
    """What pairs do not have in common though both had the chance, bounded together."""
    first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    parts = []
    total = np.zeros(len(pairs))
    for group, has in touched.items():
        missing = has[first] & has[second]
        if shared is not None:
            missing[shared.loc[shared["group"] == group, "pair"].to_numpy()] = False
        at = np.flatnonzero(missing)
        worth = float(np.log2(max(absent[group], LEAST_ABSENT)))
        total[at] += worth
        parts.append(pd.DataFrame({"pair": at, "layer": f"no_{group}", "bits": worth}))
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    scale = np.divide(bounded(total), total, out=np.zeros_like(total), where=total < 0)
    table["bits"] *= scale[table["pair"].to_numpy()]
    table = table.merge(pairs, on="pair")
    return table.assign(kind=ABSENT, entity=-1, count=0, others=0, accounts=0)


def _prior(units: int, partners: float) -> float:
    return float(min(np.log2(partners / max(units - 1, 1)), -1.0))


def _learn_prior(evidence: FloatArray, units: int) -> float:
    """The prior by EM over all pairs: those that have nothing in common are worth what absence is worth at most."""
    partners = 0.2
    rest = max(units * (units - 1) / 2 - len(evidence), 0.0)
    for _ in range(EM_STEPS):
        prior = _prior(units, partners)
        same = probability(prior + evidence).sum() + rest * float(probability(np.array(prior + np.log2(HIDING))))
        partners = float(np.clip(2 * same / max(units, 1), *PARTNERS))
    return _prior(units, partners)
