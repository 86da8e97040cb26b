"""Which sets meet, and what they have in common: many small sets of integers, compared without all pairs.

Sets are proposed to each other by the elements that they share and few others have, as prefix filtering does it
(Bayardo, Ma and Srikant, "Scaling up all pairs similarity search", WWW 2007), and only where they meet more than
once: an accident repeats itself rarely. In the list of an element each set meets its next few neighbours, so that
what 100,000 have is one list of 100,000, never 10¹⁰ pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ringwatch.graphs.accounts import BoolArray, IntArray

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

_CHUNK = 200_000
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

    @property
    def sizes(self) -> IntArray:
        return np.diff(self.offsets)

    def elements(self, rows: IntArray) -> IntArray:
        """Positions in `values` of the elements of these rows, row after row."""
        sizes = self.sizes[rows]
        starts = np.repeat(self.offsets[rows] - (np.cumsum(sizes) - sizes), sizes)
        return np.asarray(starts + np.arange(len(starts)))


def shared(sets: Sets, first: IntArray, second: IntArray) -> Iterator[tuple[slice, IntArray, IntArray]]:
    """The elements that pairs of sets share, by chunks of pairs: the chunk, and of each shared element its pair
    (from the chunk's start) and its value."""
    for start in range(0, len(first), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(first)))
        keys = []
        for rows in (first[part], second[part]):
            pair = np.repeat(np.arange(len(rows), dtype=np.uint64), sets.sizes[rows])
            keys.append((pair << _HALF) | sets.values[sets.elements(rows)])
        both = np.concatenate(keys)
        both.sort()
        common = both[1:][both[1:] == both[:-1]]
        yield part, (common >> _HALF).astype(np.int64), (common & _LOW).astype(np.int64)


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


def _changes(keys: npt.NDArray[Any]) -> BoolArray:
    """Where a sorted array has another value than the place before."""
    new = np.ones(len(keys), dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return new


def _meetings(lists: Keys, looks: int) -> Keys:
    """(first << 32 | second) of neighbours in lists, once for each list they meet in; at most so many unless even
    next neighbours are more."""
    value = (lists >> _HALF).astype(np.uint32)
    sizes = np.diff(np.append(np.flatnonzero(_changes(value)), len(value)))
    reach, total = 0, 0
    while reach < REACH:
        more = int(np.maximum(sizes - reach - 1, 0).sum())
        if not more or (reach and total + more > looks):
            break
        reach, total = reach + 1, total + more
    met = np.empty(total, dtype=np.uint64)
    at = 0
    for step in range(1, reach + 1):
        same = np.flatnonzero(value[step:] == value[:-step])
        met[at : at + len(same)] = (lists[same] << _HALF) | (lists[same + step] & _LOW)
        at += len(same)
    return met


def _lists(sets: Sets) -> Keys:
    """(element << 32 | set), sorted: each set at its elements that another set has as well, at the rarest of them
    where there are more than `PLACES` in all."""
    keys = sets.values.astype(np.uint64)
    keys <<= _HALF
    keys |= np.repeat(np.arange(len(sets), dtype=np.uint32), sets.sizes)
    keys.sort()
    spread = np.diff(np.append(np.flatnonzero(_changes((keys >> _HALF).astype(np.uint32))), len(keys)))
    several = spread >= 2
    keys = keys[np.repeat(several, spread)]
    if len(keys) <= PLACES:
        return keys
    # Sets have numbers of 28 bits and elements, counted through, of 30; how widely one is spread takes 6: one sort.
    spread = spread[several]
    name = np.minimum(4 * np.log2(spread), 63).astype(np.uint64) << np.uint64(30)
    name |= np.arange(len(spread), dtype=np.uint64)
    keys &= _LOW
    keys <<= np.uint64(36)
    keys |= np.repeat(name, spread)
    keys.sort()
    starts = np.flatnonzero(_changes((keys >> np.uint64(36)).astype(np.uint32)))
    sizes = np.diff(np.append(starts, len(keys)))
    most = max(PLACES // len(sizes), MEETINGS)
    chosen = keys[np.arange(len(keys)) - np.repeat(starts, sizes) < most]
    lists = ((chosen & np.uint64((1 << 30) - 1)) << _HALF) | (chosen >> np.uint64(36))
    lists.sort()
    return np.asarray(lists)
