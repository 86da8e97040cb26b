"""Families of near-duplicates: texts (or tool sequences) whose shingle sets overlap, found without all pairs.

Sketches are bottom-k sets of shingle hashes (Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC
2007): exact for texts of up to k shingles, an unbiased sample beyond. Pairs are proposed by the shingles that are
shared and rare, as prefix filtering does it (Bayardo, Ma and Srikant, "Scaling up all pairs similarity search", WWW
2007): each text names the rarest of its shingles that others have as well, and in the list of a shingle each text
meets its next few neighbours. A text that 100,000 send is one list of 100,000, never 10¹⁰ pairs. Only pairs whose
sketches really overlap are joined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ringwatch.graphs.accounts import FloatArray, IntArray

RAREST = 8
"""How many of its shared shingles a text is looked up by."""

NEIGHBOURS = 3
MEETINGS = 2
"""A pair is looked at when it meets in so many lists; texts of fewer shingles once."""

SIMILARITY = 0.25
"""Least Jaccard similarity of two members that are joined. A template of 20 words of which 8 % are replaced in each
copy keeps a similarity of about 0.4 by three-word shingles; unrelated texts stay under 0.1."""

_CHUNK = 100_000
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True)
class Sketches:
    """n sorted sets of 32-bit hashes, end to end: set i is `values[offsets[i]:offsets[i + 1]]`."""

    values: npt.NDArray[np.uint32]
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> IntArray:
        return np.diff(self.offsets)


def find_families(
    sketches: Sketches, *, similarity: float = SIMILARITY, related: float = SIMILARITY
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Joins what is alike.

    Returns:
        The family of each of the n sets (the least index in it), and the pairs that were found at least `related`
        similar: first, second, similarity. Those of at least `similarity` are joined.
    """
    n = len(sketches)
    if n < 2:
        empty = np.zeros(0, dtype=np.int64)
        return np.arange(n, dtype=np.int64), empty, empty, np.zeros(0)
    first, second = _candidates(sketches)
    score = jaccard(sketches, first, second)
    join = score >= similarity
    graph = sp.coo_matrix((np.ones(int(join.sum()), dtype=np.int8), (first[join], second[join])), shape=(n, n))
    _, label = sp.csgraph.connected_components(graph, directed=False)
    least = np.full(label.max() + 1, n, dtype=np.int64)
    np.minimum.at(least, label, np.arange(n))
    keep = score >= min(related, similarity)
    return least[label], first[keep], second[keep], score[keep]


def jaccard(sketches: Sketches, first: IntArray, second: IntArray) -> FloatArray:
    """Jaccard similarity of pairs of sets by merging their sketches; float64[m]."""
    out = np.empty(len(first))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        a, b = first[part], second[part]
        sizes = sketches.sizes
        pair = np.concatenate([np.repeat(np.arange(len(a)), sizes[a]), np.repeat(np.arange(len(b)), sizes[b])])
        values = np.concatenate([_take(sketches, a), _take(sketches, b)])
        key = np.sort((pair.astype(np.uint64) << np.uint64(32)) | values)
        shared = np.bincount((key[1:][key[1:] == key[:-1]] >> np.uint64(32)).astype(np.int64), minlength=len(a))
        out[part] = shared / np.maximum(sizes[a] + sizes[b] - shared, 1)
    return out


def _take(sketches: Sketches, rows: IntArray) -> npt.NDArray[np.uint32]:
    sizes = sketches.sizes[rows]
    starts = np.repeat(sketches.offsets[rows] - (np.cumsum(sizes) - sizes), sizes)
    return sketches.values[starts + np.arange(len(starts))]


def _candidates(sketches: Sketches) -> tuple[IntArray, IntArray]:
    """Pairs of texts that meet often enough in the lists of their rarest shared shingles."""
    lists = _lists(sketches)
    found = []
    for step in range(1, NEIGHBOURS + 1):
        same = (lists[step:] >> _HALF) == (lists[:-step] >> _HALF)
        found.append(((lists[:-step][same] & _LOW) << _HALF) | (lists[step:][same] & _LOW))
    pairs = np.concatenate(found)
    del found, lists
    pairs.sort()
    starts = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1])) if len(pairs) else np.zeros(0, dtype=np.int64)
    times = np.diff(np.append(starts, len(pairs)))
    pairs = pairs[starts]
    first, second = (pairs >> _HALF).astype(np.int64), (pairs & _LOW).astype(np.int64)
    shortest = np.minimum(sketches.sizes[first], sketches.sizes[second])
    often = (times >= MEETINGS) | (shortest <= MEETINGS)
    return first[often], second[often]


def _lists(sketches: Sketches) -> npt.NDArray[np.uint64]:
    """(shingle number << 32 | text), sorted: for each text its `RAREST` rarest shingles that another text has too."""
    text = np.repeat(np.arange(len(sketches), dtype=np.uint64), sketches.sizes)
    keys = (sketches.values.astype(np.uint64) << _HALF) | text
    del text
    keys.sort()
    starts = np.flatnonzero(np.append(True, (keys[1:] >> _HALF) != (keys[:-1] >> _HALF))) if len(keys) else keys[:0]
    spread = np.diff(np.append(starts, len(keys))).astype(np.int64)
    # Numbers of shingles and texts fit into 30 and 28 bits, how widely a shingle is spread into 6: one plain sort.
    number = np.repeat(np.arange(len(spread), dtype=np.uint64), spread)
    level = np.repeat(np.minimum(4 * np.log2(np.maximum(spread, 1)), 63).astype(np.uint64), spread)
    shared = np.repeat(spread >= 2, spread)
    keys = ((keys[shared] & _LOW) << np.uint64(36)) | (level[shared] << np.uint64(30)) | number[shared]
    del level, number, shared
    keys.sort()
    text = keys >> np.uint64(36)
    starts = np.flatnonzero(np.append(True, text[1:] != text[:-1])) if len(keys) else np.zeros(0, dtype=np.int64)
    place = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    chosen = place < RAREST
    lists = ((keys[chosen] & np.uint64((1 << 30) - 1)) << _HALF) | text[chosen]
    lists.sort()
    return np.asarray(lists)
