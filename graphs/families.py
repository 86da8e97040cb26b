"""Families of near-duplicates: texts (or tool sequences) whose shingle sets overlap, found without all pairs.

Sketches are bottom-k sets of shingle hashes (Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC
2007): exact for texts of up to k shingles, an unbiased sample beyond. MinHash bands (Broder 1997; Leskovec et al.,
"Mining of Massive Datasets", ch. 3) propose pairs; only pairs whose sketches really overlap are joined. In a bucket
of n texts 3n neighbouring pairs are looked at, never n².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ringwatch.graphs.accounts import FloatArray, IntArray

BANDS = 24
ROWS = 2
NEIGHBOURS = 3
SIMILARITY = 0.25
"""Least Jaccard similarity of two members that are joined. A template of 20 words of which 8 % are replaced in each
copy keeps a similarity of about 0.4 by three-word shingles; unrelated texts stay under 0.1."""

_CHUNK = 200_000


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
    sketches: Sketches, *, seed: int, similarity: float = SIMILARITY, related: float = SIMILARITY
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
    first, second = _candidates(sketches, seed)
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


def _candidates(sketches: Sketches, seed: int) -> tuple[IntArray, IntArray]:
    n = len(sketches)
    rng = np.random.default_rng(seed)
    filled = np.flatnonzero(sketches.sizes > 0)
    starts = sketches.offsets[filled]
    values = sketches.values.astype(np.uint64)
    found = []
    for _ in range(BANDS):
        key = np.zeros(len(filled), dtype=np.uint64)
        for _ in range(ROWS):
            multiplier = np.uint64(int(rng.integers(1 << 62)) * 2 + 1)
            mixed = (values * multiplier) >> np.uint64(32)
            least = np.minimum.reduceat(mixed, starts) if len(filled) else mixed[:0]
            key = key * np.uint64(0x9E3779B97F4A7C15) + least
        order = np.argsort(key, kind="stable")
        ranked, where = key[order], filled[order]
        for step in range(1, NEIGHBOURS + 1):
            same = ranked[step:] == ranked[:-step]
            a, b = where[:-step][same], where[step:][same]
            found.append(np.minimum(a, b) * n + np.maximum(a, b))
    pairs = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
    return pairs // n, pairs % n
