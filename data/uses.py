"""Who uses what: members and values of one field, drawn from by session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ringwatch.data.draws import F64, I64


@dataclass(frozen=True)
class UseIndex:
    """Uses by account: those of account a are `[start[a], start[a + 1])` of `code` and `extra`; `mass` is the running
    sum of weights, with a 0 in front."""

    start: I64
    code: I64
    extra: F64
    mass: F64

    def count(self, account: I64) -> I64:
        """How many uses each account has."""
        return self.start[account + 1] - self.start[account]

    def pick(self, account: I64, ordinal: I64, rng: np.random.Generator) -> I64:
        """A use for each session: the account's `ordinal`-th while it has as many, so that none is left out, then by
        weight; -1 for an account that has none."""
        first, n = self.start[account], self.count(account)
        low, high = self.mass[first], self.mass[first + n]
        drawn = np.searchsorted(self.mass, low + rng.random(len(account)) * (high - low), side="right") - 1
        drawn = np.clip(drawn, first, np.maximum(first + n - 1, first))
        return np.where(n > 0, np.where(ordinal < n, first + ordinal, drawn), -1)


class Uses:
    """Collects uses of one field; `index` packs them."""

    def __init__(self) -> None:
        self._parts: list[tuple[I64, I64, F64, F64]] = []

    def add(
        self, account: npt.ArrayLike, code: npt.ArrayLike, *, weight: npt.ArrayLike = 1.0, extra: npt.ArrayLike = 0.0
    ) -> None:
        """Adds a use for each account; the other arguments are arrays of the same length or single values."""
        accounts = np.atleast_1d(np.asarray(account, dtype=np.int64))
        rest = [np.broadcast_to(np.asarray(value, dtype=np.float64), accounts.shape) for value in (weight, extra)]
        codes = np.broadcast_to(np.asarray(code, dtype=np.int64), accounts.shape)
        self._parts.append((accounts, codes, rest[0], rest[1]))

    def index(self, accounts: int) -> UseIndex:
        """The uses sorted by account, in the order in which they were added."""
        if not self._parts:
            none, zero = np.zeros(0, dtype=np.int64), np.zeros(0)
            return UseIndex(np.zeros(accounts + 1, dtype=np.int64), none, zero, np.zeros(1))
        account, code, weight, extra = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        self._parts.clear()
        order = np.argsort(account, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(account, minlength=accounts))])
        mass = np.concatenate([[0.0], np.cumsum(weight[order])])
        return UseIndex(start.astype(np.int64), code[order], extra[order], mass)
