"""Evidence in bits: for each candidate pair, log2 of how much likelier what it has in common is under one operator.

The Fellegi–Sunter model (Fellegi and Sunter, "A theory for record linkage", JASA 1969) on graph evidence. For a
shared entity u is its own frequency (term-frequency adjustment, as Splink has it), by how many such things both ends
have (`graphs.comparison`), moved by what its users have in common besides (`graphs.learning`); what saturates counts
once: layers of one group give their strongest. For contrasts (how far apart two sign-ups are, how alike two volumes)
u comes from random pairs. Nothing in common where both had the chance speaks against, and so does it where only one
of them has anything of the sort at all. Where neither has, or both have, they have that habit in common, of several
the strongest: accounts that do little lack everything. None of that goes without bound: some operators hide a
channel, and who hides one hides others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray

STAND = 0.0
"""An edge stands when prior and evidence together exceed this: one operator is likelier than not."""

HIDING = 0.5
"""Share of operators who keep the accounts of one operation apart in whatever channel they can."""

HABIT = 1.0
"""The most, in bits, that a habit in common says: whole populations never pay, or sign up and do nothing."""

LEAST_ABSENT = 0.05
"""Least chance that one operator's accounts have nothing in common in a group of layers."""


@dataclass(frozen=True)
class Shared:
    """One layer on the candidate pairs.

    By pair that shares anything: `pair` (its position), `rarity` (bits: `log2(1 / u)`, u the chance of strangers who
    have as much to share something as rare), `count` (how many), `entity` (the rarest; of a relation its busier end)
    and `gain` (the bits that the entity's other users add or take). By entity: `users` (accounts; 0 for relations)
    and `common` (whether strangers are known to share it; empty for relations) and `grade` (as of `Incidence`). An
    `event` is nobody's own: however alike those are who took part, its frequency says the most that it is worth.
    """

    name: str
    group: str
    text: str
    pair: IntArray
    rarity: FloatArray
    count: IntArray
    entity: IntArray
    m: float
    gain: FloatArray
    users: IntArray
    common: BoolArray
    event: bool = False
    grade: IntArray | None = None

    def on(self, kept: BoolArray) -> Shared:
        """The layer on some of the pairs that share something in it; `kept` says which."""
        return replace(
            self, pair=self.pair[kept], rarity=self.rarity[kept], count=self.count[kept], entity=self.entity[kept],
            gain=self.gain[kept],
        )  # fmt: skip

    @cached_property
    def bits(self) -> FloatArray:
        """Bits on the pairs that share something; a crowd's entity is worth nothing, never less."""
        worth = np.log2(self.m) + self.rarity
        worth += self.gain
        return np.asarray(np.maximum(worth, 0.0, out=worth))


@dataclass(frozen=True)
class Contrast:
    """A banded comparison: the band of each pair (-1 where one side is unknown), and by band u, m and words. What can
    only speak `against` one operator is never worth more than nothing; what operators can have otherwise `at_will`
    speaks against one as what they hide does."""

    name: str
    group: str
    text: str
    band: npt.NDArray[np.int8]
    u: FloatArray
    m: FloatArray
    bands: list[str]
    against: bool = False
    at_will: bool = False

    @property
    def bits(self) -> FloatArray:
        """Bits of each pair; 0 where a side is unknown."""
        table = np.append(np.log2(self.m / self.u), 0.0)
        if self.at_will:
            table = np.where(table < 0, bounded(table), table)
        if self.against:
            table = np.minimum(table, 0.0)
        return np.asarray(table[self.band])


@dataclass(frozen=True)
class Reason:
    """What one layer says of some pairs: positions among them, bits there, and the entity (-1 for none).

    `kind`: shared, absent (both had the chance and have nothing in common), contrast.
    """

    name: str
    text: str
    kind: str
    at: IntArray
    bits: FloatArray
    entity: IntArray


@dataclass(frozen=True)
class Model:
    """Everything known about the candidate pairs of n accounts.

    `both` says by group of layers which pairs had the chance to share: both ends have something there. `presence` has
    by group how many ends have (0 to 2), which counts where they share nothing there. `bits()` adds everything up;
    `explain()` takes it apart by layer, and its parts add up to `bits()` again.
    """

    accounts: int
    first: IntArray
    second: IntArray
    shared: list[Shared]
    contrasts: list[Contrast]
    both: dict[str, BoolArray]
    prior: float
    presence: dict[str, Contrast] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def groups(self) -> list[str]:
        return sorted({layer.group for layer in self.shared})

    def on(self, pairs: IntArray) -> Model:
        """The model of some of its pairs (positions, each once); nothing is learnt anew."""
        where = np.full(len(self), -1, dtype=np.int64)
        where[pairs] = np.arange(len(pairs))
        shared = []
        for layer in self.shared:
            at = where[layer.pair]
            shared.append(replace(layer.on(at >= 0), pair=at[at >= 0]))
        return replace(
            self,
            first=self.first[pairs],
            second=self.second[pairs],
            shared=shared,
            contrasts=[replace(contrast, band=contrast.band[pairs]) for contrast in self.contrasts],
            both={group: mask[pairs] for group, mask in self.both.items()},
            presence={group: replace(habit, band=habit.band[pairs]) for group, habit in self.presence.items()},
        )

    def only(self, group: str) -> Model:
        """What one group says by itself, at what the whole has learnt it to be worth: prior, m and gains stay."""
        return replace(
            self,
            shared=[layer for layer in self.shared if layer.group == group],
            contrasts=[contrast for contrast in self.contrasts if contrast.group == group],
            both={name: both for name, both in self.both.items() if name == group},
            presence={name: habit for name, habit in self.presence.items() if name == group},
        )

    def absent_bits(self, group: str) -> float:
        """What nothing in common in a group is worth by itself, before it is bounded."""
        return float(np.log2(max(1 - sum(layer.m for layer in self.shared if layer.group == group), LEAST_ABSENT)))

    def group_bits(self, group: str) -> FloatArray:
        """Bits of the strongest layer of a group on all pairs; -1 where they share nothing in it."""
        best = np.full(len(self), -1.0)
        for layer in self.shared:
            if layer.group == group:
                best[layer.pair] = np.maximum(best[layer.pair], layer.bits)
        return best

    def best_bits(self) -> dict[str, FloatArray]:
        """`group_bits` of every group of layers."""
        return {group: self.group_bits(group) for group in self.groups}

    def presence_bits(self, group: str) -> FloatArray:
        """What it says of all pairs how many of their ends have anything in a group."""
        return np.asarray(np.minimum(self.presence[group].bits, HABIT))

    def own_bits(self, group: str, best: FloatArray) -> FloatArray:
        """All that a group, whose `group_bits` are `best`, adds to the bits of all pairs, but for what is absent."""
        parts = [_beyond(contrast.bits, best) for contrast in self.contrasts if contrast.group == group]
        return np.asarray(sum(parts, np.maximum(best, 0.0)))

    def unshared_bits(self) -> FloatArray:
        """Bits of all that pairs do not share; what entities are worth does not move them."""
        absent, alike = np.zeros(len(self)), np.zeros(len(self))
        for group in self.groups:
            none = np.ones(len(self), dtype=np.bool_)
            for layer in self.shared:
                if layer.group == group:
                    none[layer.pair] = False
            absent += np.where(none & self.both[group], self.absent_bits(group), 0.0)
            if group in self.presence:
                habit = np.where(none, self.presence_bits(group), 0.0)
                absent += np.minimum(habit, 0.0)
                np.maximum(alike, habit, out=alike)
        return bounded(absent + alike)

    def bits(self, unshared: FloatArray | None = None, best: Mapping[str, FloatArray] | None = None) -> FloatArray:
        """Prior and evidence of each pair, log2 odds; float64[pairs]. `unshared` and `best` are `unshared_bits` and
        `best_bits`, where they are known."""
        total = np.full(len(self), self.prior) + (self.unshared_bits() if unshared is None else unshared)
        best = self.best_bits() if best is None else best
        for strongest in best.values():
            total += np.maximum(strongest, 0.0)
        for contrast in self.contrasts:
            total += _beyond(contrast.bits, best.get(contrast.group))
        return total

    def explain(self, pairs: IntArray) -> Iterable[Reason]:
        """The reasons of these pairs (positions in the model), layer by layer."""
        where = np.full(len(self), -1, dtype=np.int64)
        where[pairs] = np.arange(len(pairs))
        missing: dict[str, IntArray] = {}
        presence: dict[str, FloatArray] = {}
        strongest: dict[str, FloatArray] = {}
        against, alike, nothing = np.zeros(len(pairs)), np.zeros(len(pairs)), np.full(len(pairs), -1.0)
        for group in self.groups:
            best = strongest[group] = nothing.copy()
            parts = []
            for layer in self.shared:
                if layer.group == group:
                    at = where[layer.pair]
                    hit = at >= 0
                    parts.append((layer, at[hit], layer.bits[hit], layer.entity[hit]))
                    best[at[hit]] = np.maximum(best[at[hit]], parts[-1][2])
            told = np.zeros(len(pairs), dtype=np.bool_)
            for layer, at, bits, entity in parts:
                # Of two layers of a group that say the same, one is named.
                top = (bits >= best[at]) & ~told[at]
                told[at[top]] = True
                yield Reason(layer.name, layer.text, "shared", at[top], bits[top], entity[top])
            missing[group] = np.flatnonzero((best < 0) & self.both[group][pairs])
            against[missing[group]] += self.absent_bits(group)
            if group in self.presence:
                presence[group] = np.where(best < 0, self.presence_bits(group)[pairs], 0.0)
                against += np.minimum(presence[group], 0.0)
                alike = np.maximum(alike, presence[group])
        against += alike
        scale = np.divide(bounded(against), against, out=np.zeros_like(against), where=against != 0)
        for group, at in missing.items():
            yield Reason(group, group, "absent", at, self.absent_bits(group) * scale[at], np.full(len(at), -1))
        for group, bits in presence.items():
            # Of several in common the strongest counts, here the first of those.
            at = np.flatnonzero((bits < 0) | ((bits > 0) & (bits == alike)))
            alike[at] = np.where(bits[at] > 0, np.inf, alike[at])
            habit = self.presence[group]
            yield Reason(habit.name, habit.text, "contrast", at, bits[at] * scale[at], np.full(len(at), -1))
        for contrast in self.contrasts:
            known = np.flatnonzero(contrast.band[pairs] >= 0)
            bits = _beyond(contrast.bits[pairs[known]], strongest.get(contrast.group, nothing)[known])
            yield Reason(contrast.name, contrast.text, "contrast", known, bits, np.full(len(known), -1))


def _beyond(bits: FloatArray, best: FloatArray | None) -> FloatArray:
    """Bits of a contrast beyond those of the layers of its group (negative where nothing is shared, None where the
    group has no layer): the strongest of a group counts."""
    return bits if best is None else np.asarray(np.where(best < 0, bits, np.maximum(bits - best, 0.0)))


def bounded(absent: FloatArray) -> FloatArray:
    """Summed bits of all that is not shared, where a share of `HIDING` of operators would show none of it anyway."""
    return np.asarray(np.log2(HIDING + (1 - HIDING) * np.exp2(absent)))
