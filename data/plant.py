"""An operation as it is planted: every trace that is left, and what a reader of all traces could make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ringwatch.data.draws import I64
from ringwatch.data.scenarios import Tactics
from ringwatch.data.world import World

ROTATION = 4.0


@dataclass
class Operation:
    """Members and the traces that they leave. Positions are those of `members`."""

    world: World
    tactics: Tactics
    kind: str
    members: I64
    _member: list[I64] = field(default_factory=list)
    _trace: list[I64] = field(default_factory=list)
    _traces: int = 0

    @property
    def size(self) -> int:
        return len(self.members)

    def pool(self, base: float, rotation: float = 0.0) -> int:
        """How many entities an operation of this size keeps, more of them when it rotates."""
        return max(1, round(base * (1 + ROTATION * rotation)))

    def spread(self, values: int, each: int) -> tuple[I64, I64]:
        """Which of `values` things each member uses, `each` of them: positions and value numbers.

        In cells, members of a cell use the cell's own things, and the first of each uses one of the next cell's.
        """
        rng, n = self.world.rng, self.size
        position = np.repeat(np.arange(n), each)
        cell = self.tactics.cell
        if not cell or values < 2:
            return position, _balanced(values, n, each, rng)
        cells = -(-n // cell)
        value = position // cell * each + rng.integers(0, each, len(position))
        couriers = np.arange(0, n, cell)
        onward = (couriers // cell + 1) % cells * each
        return np.concatenate([position, couriers]), np.concatenate([value, onward])

    def share(
        self,
        name: str,
        codes: Callable[[int], I64],
        base: float,
        each: int,
        *,
        rotation: float = 0.0,
        extra: float = 0.0,
    ) -> None:
        """Members use things of a pool in the field `name`, as far as they leave traces."""
        position, value = self.spread(self.pool(base, rotation), each)
        self.use(name, position, value, codes, extra=extra)

    def use(self, name: str, position: I64, value: I64, codes: Callable[[int], I64], *, extra: float = 0.0) -> None:
        """Positions use the values (small numbers) of a pool whose codes `codes` makes."""
        if not len(position):
            return
        both = np.unique(np.column_stack([position, value]), axis=0)
        both = both[self._left(len(both))]
        top = int(value.max()) + 1
        made = codes(top)
        made = made[np.arange(top) % len(made)]
        if name == "phone":  # of the account, not of what it does
            self.world.phone[self.members[both[:, 0]]] = made[both[:, 1]]
        else:
            self.world.hostile.uses[name].add(self.members[both[:, 0]], made[both[:, 1]], extra=extra)
        self._record(both[:, 0], both[:, 1])

    def link(self, src: I64, dst: I64, relation: int, when: I64) -> None:
        """Positions `src` stand in a relation to positions `dst`, as far as that leaves a trace."""
        left = self._left(len(src))
        src, dst, when = src[left], dst[left], when[left]
        self.world.relate(self.members[src], self.members[dst], relation, when)
        number = np.arange(len(src))
        self._record(np.concatenate([src, dst]), np.concatenate([number, number]))

    def have_one(self, position: I64) -> None:
        """Positions have a thing of their account in common, which the world has been given already. What the log
        leaves out of it later, as of one email in twenty, counts as seen."""
        if len(position):
            self._record(position, np.zeros(len(position), np.int64))

    def _left(self, count: int) -> npt.NDArray[np.bool_]:
        return self.world.rng.random(count) >= self.tactics.hidden

    def _record(self, position: I64, value: I64) -> None:
        self._member.append(position)
        self._trace.append(value + self._traces)
        self._traces += int(value.max()) + 1 if len(value) else 0

    def attainable(self) -> float:
        """The best F1 of a reader who sees every planted trace and nothing else.

        Members and traces form a graph; the largest set of members that it connects, taken as the answer, has
        precision 1 and recall largest / size. A member without a trace is nobody's to find; where no two members
        meet there is nothing to find, and the answer is 0.
        """
        if not self._member:
            return 0.0
        member, trace = np.concatenate(self._member), np.concatenate(self._trace)
        total = self.size + self._traces
        graph = coo_matrix((np.ones(len(member)), (member, trace + self.size)), shape=(total, total))
        component = connected_components(graph, directed=False)[1][: self.size]
        largest = int(np.bincount(component).max())
        return 2 * largest / (largest + self.size) if largest > 1 else 0.0


def _balanced(values: int, members: int, each: int, rng: np.random.Generator) -> I64:
    """For each member `each` values, every value about as often as another, neighbours in no order."""
    rounds = []
    for _ in range(each):
        rounds.append(rng.permutation(np.arange(members) % values))
    return np.column_stack(rounds).ravel().astype(np.int64)
