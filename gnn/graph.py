"""The graph that models learn on: features of accounts, who shares what with whom, what is known without labels.

Plain numpy and scipy: nothing here needs torch. A relation is asked for one thing, the weighted mean over neighbours
of an account; one through entities is never expanded into pairs, so that a hub of 10⁵ accounts costs 10⁵.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ringwatch.graphs.ordered import places

Float32 = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Relation(Protocol):
    """One way in which accounts are neighbours."""

    @property
    def name(self) -> str: ...

    @property
    def degree(self) -> FloatArray:
        """Weight of all that ties each account to neighbours; float64[accounts], 0 where it has none."""
        ...

    def mean(self, values: Float32) -> Float32:
        """Weighted mean of `values` over each account's neighbours, itself left out; 0 where it has none.

        float32[accounts, columns] → float32[accounts, columns].
        """
        ...

    def links(self, accounts: int, most: int) -> tuple[IntArray, IntArray, Float32]:
        """Edges between nodes (source, target, weight) for message passing, of each target the `most` strongest.

        Nodes from `accounts` on are the relation's own entities.
        """
        ...


@dataclass(frozen=True)
class Direct:
    """Edges between accounts: row i of `matrix` holds the weights of i's neighbours; csr[accounts, accounts]."""

    name: str
    matrix: sp.csr_matrix

    @cached_property
    def degree(self) -> FloatArray:
        return np.asarray(self.matrix.sum(axis=1), dtype=np.float64).ravel()

    def mean(self, values: Float32) -> Float32:
        scale = np.divide(1.0, self.degree, out=np.zeros_like(self.degree), where=self.degree > 0)
        return np.asarray((self.matrix @ values) * scale[:, None], dtype=np.float32)

    def links(self, accounts: int, most: int) -> tuple[IntArray, IntArray, Float32]:
        del accounts
        coo = self.matrix.tocoo()
        return strongest(coo.col.astype(np.int64), coo.row.astype(np.int64), coo.data.astype(np.float32), most)


@dataclass(frozen=True)
class Through:
    """Accounts that have an entity in common (account–entity–account), each entity with a weight.

    `account`, `entity`: parallel arrays, each pair once. `weight` float64[entities]: what sharing it is worth, in
    bits. An account's neighbours are, by entity, the mean of all others that have it; entities count by their weight.
    `known` are columns that describe entities, float32[entities, columns]; `seen` are of pairs: logarithms of how
    often and of how many days ago, float32[pairs, 2] (NaN where unknown).
    """

    name: str
    account: IntArray
    entity: IntArray
    weight: FloatArray
    accounts: int
    known: Float32 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    seen: Float32 | None = None

    @cached_property
    def users(self) -> IntArray:
        return np.bincount(self.entity, minlength=len(self.weight)).astype(np.int64)

    @cached_property
    def _worth(self) -> FloatArray:
        """Weight of each entity, 0 where only one has it."""
        return np.where(self.users >= 2, self.weight, 0.0)

    @cached_property
    def _incidence(self) -> sp.csr_matrix:
        shape = (self.accounts, len(self.weight))
        return sp.csr_matrix((np.ones(len(self.account), dtype=np.float32), (self.account, self.entity)), shape=shape)

    @cached_property
    def degree(self) -> FloatArray:
        return np.asarray(self._incidence @ self._worth, dtype=np.float64)

    def mean(self, values: Float32) -> Float32:
        share = np.divide(self._worth, self.users - 1, out=np.zeros_like(self._worth), where=self.users >= 2)
        totals = self._incidence.T @ values
        own = np.asarray(self._incidence @ share, dtype=np.float64)
        summed = self._incidence @ (totals * share[:, None].astype(np.float32)) - values * own[:, None]
        scale = np.divide(1.0, self.degree, out=np.zeros_like(self.degree), where=self.degree > 0)
        return np.asarray(summed * scale[:, None], dtype=np.float32)

    def links(self, accounts: int, most: int) -> tuple[IntArray, IntArray, Float32]:
        worth = self._worth[self.entity].astype(np.float32)
        use = worth > 0
        account, entity, worth = self.account[use], self.entity[use] + accounts, worth[use]
        up = strongest(account, entity, worth, most)
        down = strongest(entity, account, worth, most)
        return np.r_[up[0], down[0]], np.r_[up[1], down[1]], np.r_[up[2], down[2]].astype(np.float32)


def strongest(source: IntArray, target: IntArray, weight: Float32, most: int) -> tuple[IntArray, IntArray, Float32]:
    """The `most` heaviest edges into each target, ties by the order of sources."""
    order = np.lexsort((source, -weight, target))
    source, target, weight = source[order], target[order], weight[order]
    keep = places(target) < most
    return source[keep], target[keep], weight[keep]


@dataclass(frozen=True)
class Graph:
    """Accounts as a model sees them; row i is account i everywhere.

    `features` float32[n, f] are named by `names`; NaN where unknown. `base` float64[n]: log odds (natural) of abuse
    that are known without any label, zero where nothing is. `relations`: who is whose neighbour. `core`: positions of
    the features whose means over neighbours are worth having; the first `own` features know no graph. Along the first
    `carriers` relations neighbours are taken to be of one mind.
    """

    ids: npt.NDArray[np.object_]
    features: Float32
    names: tuple[str, ...]
    relations: tuple[Relation, ...]
    base: FloatArray
    core: tuple[int, ...]
    own: int
    carriers: int = 1

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def evident(self) -> bool:
        """Whether the base knows anything."""
        return bool(np.ptp(self.base) > 0) if len(self) else False

    def common(self, reach: float) -> Graph:
        """The same without those relations, carriers apart, in which less than this share of accounts takes part."""
        least = reach * len(self)
        kept = {one.name for one in self.relations if np.count_nonzero(one.degree) >= least}
        return self.only(kept)

    def only(self, names: Collection[str]) -> Graph:
        """The same with the carriers and the relations of these names."""
        some = [one for one in self.relations[self.carriers :] if one.name in names]
        return replace(self, relations=(*self.relations[: self.carriers], *some))


def symmetric(relations: Sequence[Direct]) -> list[Direct]:
    """The relations as given, and the reverse of each that is not its own."""
    out = []
    for relation in relations:
        out.append(relation)
        back = relation.matrix.T.tocsr()
        if abs(back - relation.matrix).sum() > 0:
            out.append(Direct(f"{relation.name}_back", back))
    return out
