"""Which sets meet, and what they have in common: many small sets of integers, compared without all pairs.

Sets are proposed to each other by the elements that they share and few others have, as prefix filtering does it
(Bayardo, Ma and Srikant, "Scaling up all pairs similarity search", WWW 2007), and only where they meet more than
once: an accident repeats itself rarely. In the list of an element each set meets its next few neighbours, so that
what 100,000 have is one list of 100,000, never 10¹⁰ pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ringwatch.graphs.accounts import BoolArray, IntArray
from ringwatch.pieces import by_pieces, slices

MEETINGS = 2
"""A pair is looked at when it meets in so many lists."""

REACH = 16
"""How many neighbours a set meets in a list at most, and so the size of the lists that give all their pairs."""

PLACES = 16_000_000
"""How many places in lists there are at most; with more elements than that each set brings its rarest."""

LOOKS = 50
"""How many meetings there are for each set at most; with more than that neighbours in lists reach less far."""

FEWEST_LOOKS, MOST_LOOKS = 20_000_000, 100_000_000
"""So many meetings there may be however few the sets are, and no more however many."""

CANDIDATES = 8_000_000
"""How many pairs are looked at, at most; with more than that a pair has to meet more often."""

_PIECE, _SETS = 1 << 18, 1 << 13
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Sets:
    """n sorted sets of integers below 2³², end to end: set i is `values[offsets[i]:offsets[i + 1]]`."""

    values: npt.NDArray[Any]
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def sizes(self) -> IntArray:
        return np.diff(self.offsets)

    def elements(self, rows: IntArray) -> IntArray:
        """Positions in `values` of the elements of these rows, row after row."""
        sizes = self.sizes[rows]
        starts = np.repeat(self.offsets[rows] - (np.cumsum(sizes) - sizes), sizes)
        return np.asarray(starts + np.arange(len(starts)))

    def rows(self) -> sp.csr_matrix:
        """The sets as rows of ones."""
        width = int(self.values.max(initial=0)) + 1
        kind = np.int32 if max(width, len(self.values)) <= np.iinfo(np.int32).max else np.int64
        ones = np.ones(len(self.values), dtype=np.int8)
        return sp.csr_matrix((ones, self.values.astype(kind), self.offsets.astype(kind)), shape=(len(self), width))


def shared(rows: sp.csr_matrix, first: IntArray, second: IntArray) -> tuple[IntArray, IntArray]:
    """The elements that pairs of sets (`Sets.rows`) share: of each its pair, from 0, and its value; sorted.

    Rows are merged: a sort would be most of the work.
    """
    both = rows[first].multiply(rows[second])
    return np.repeat(np.arange(len(first)), np.diff(both.indptr)), both.indices.astype(np.int64)


def meeting_pairs(sets: Sets) -> tuple[IntArray, IntArray]:
    """Pairs of sets (first < second, sorted) that meet often enough in the lists of their rarer shared elements."""
    met = _meetings(_lists(sets), min(max(LOOKS * len(sets), FEWEST_LOOKS), MOST_LOOKS))
    met.sort()
    asked = MEETINGS
    found = _often(met, asked)
    while len(found) > CANDIDATES:
        asked += 1
        found = _often(met, asked)
    return (found >> _HALF).astype(np.int64), (found & _LOW).astype(np.int64)


def _often(met: Keys, times: int) -> Keys:
    """What stands in a sorted array so often, once."""
    if len(met) < times:
        return met[:0]
    again = met[times - 1 :] == met[: len(met) - times + 1]
    again[1:] &= met[1 : len(again)] != met[: len(again) - 1]
    return np.asarray(met[: len(again)][again])


def _starts(keys: Keys, shift: np.uint64) -> IntArray:
    """Where sorted keys, but for their lower `shift` bits, have another value than the place before."""
    found = [np.zeros(min(len(keys), 1), dtype=np.int64)]
    for start in range(1, len(keys), _PIECE):
        upper = keys[start - 1 : start + _PIECE] >> shift
        found.append(np.flatnonzero(upper[1:] != upper[:-1]) + start)
    return np.concatenate(found)


def _as_before(keys: Keys, step: int, shift: np.uint64) -> BoolArray:
    """Where keys, but for their lower `shift` bits, have the value of `step` places before."""
    same = np.zeros(len(keys), dtype=np.bool_)

    def compare(at: slice) -> None:
        now, before = keys[at.start + step : at.stop + step], keys[at]
        same[at.start + step : at.stop + step] = now >> shift == before >> shift

    by_pieces(compare, slices(len(keys) - step, _PIECE))
    return same


def _meetings(lists: Keys, looks: int) -> Keys:
    """(first << 32 | second) of neighbours in lists, once for each list they meet in; at most so many unless even
    next neighbours are more."""
    sizes = np.diff(np.append(_starts(lists, _HALF), len(lists)))
    reach, total = 0, 0
    while reach < REACH:
        more = int(np.maximum(sizes - reach - 1, 0).sum())
        if not more or (reach and total + more > looks):
            break
        reach, total = reach + 1, total + more
    met = np.empty(total, dtype=np.uint64)
    at = 0
    for step in range(1, reach + 1):
        for start in range(0, len(lists) - step, _PIECE):
            here = slice(start, min(start + _PIECE, len(lists) - step))
            there = slice(start + step, here.stop + step)
            one, other = lists[here], lists[there]
            pairs = ((one << _HALF) | (other & _LOW))[one >> _HALF == other >> _HALF]
            met[at : at + len(pairs)] = pairs
            at += len(pairs)
    return met


def _lists(sets: Sets) -> Keys:
    """(element << 32 | set), sorted: each set at its elements that another set has as well, at the rarest of them
    where there are more than `PLACES` in all."""
    keys = np.empty(len(sets.values), dtype=np.uint64)

    def fill(part: slice) -> None:
        place = slice(sets.offsets[part.start], sets.offsets[part.stop])
        owner = np.repeat(np.arange(part.start, part.stop, dtype=np.uint64), sets.sizes[part])
        keys[place] = (sets.values[place].astype(np.uint64) << _HALF) | owner

    by_pieces(fill, slices(len(sets), _SETS))
    keys.sort()
    again = _as_before(keys, 1, _HALF)
    again[:-1] |= again[1:]
    keys = keys[again]
    if len(keys) <= PLACES:
        return keys
    # Sets have numbers of 28 bits and elements, counted through, of 30; how widely one is spread takes 6: one sort.
    spread = np.diff(np.append(_starts(keys, _HALF), len(keys)))
    name = np.minimum(4 * np.log2(spread), 63).astype(np.uint64) << np.uint64(30)
    name |= np.arange(len(spread), dtype=np.uint64)
    keys &= _LOW
    keys <<= np.uint64(36)
    keys |= np.repeat(name, spread)
    keys.sort()
    most = max(PLACES // len(_starts(keys, np.uint64(36))), MEETINGS)
    chosen = keys[~_as_before(keys, most, np.uint64(36))]
    lists = ((chosen & np.uint64((1 << 30) - 1)) << _HALF) | (chosen >> np.uint64(36))
    lists.sort()
    return np.asarray(lists)
