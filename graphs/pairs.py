"""Candidate pairs of accounts, bounded whatever the data.

An entity of up to `ALL_PAIRS` accounts gives all its pairs. A larger one gives each account a few random others, and
pairs of large entities are intersected: two accounts behind one campus are nothing, two accounts behind one campus
with one prompt family are. Accounts that share nothing can still be alike: two that signed up in one minute and
moved the same volume are a pair while chance alone would give an account less than one such other. The number of
pairs grows with the number of incidences, never with the square of a hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from ringwatch.graphs.accounts import Column, IntArray
from ringwatch.graphs.layers import Incidence, Relation
from ringwatch.graphs.ordered import first_of_run, places, starts

ALL_PAIRS = 48
LATTICE = 6
CONJUNCTIONS = 5
"""How many of its rarest large entities an account brings to the intersections."""

MAX_PAIRS = 24_000_000

NEAR = 1.0
"""Accounts alike in two columns are a pair while an account has no more than so many strangers as near by chance."""

NEIGHBOURS = 64
"""How far down the order of one column those near in another are looked for."""


def candidate_pairs(
    incidences: list[Incidence],
    relations: list[Relation],
    n: int,
    *,
    seed: int,
    max_pairs: int = MAX_PAIRS,
    columns: Sequence[Column] = (),
) -> tuple[IntArray, IntArray]:
    """Pairs a < b of the n accounts that have something in common, or are near in two columns; sorted, each once.

    `max_pairs` bounds the expansion: where entities of up to `ALL_PAIRS` accounts would give more, the largest
    among them are treated as large.
    """
    # A random order: neighbours by any order that is evidence itself would be alike by choice, not by nature.
    rank = np.random.default_rng(seed).permutation(n)
    cap = _cap(incidences, max_pairs)
    keys = [_key(relation.src, relation.dst, n) for relation in relations]
    large = []
    for incidence in incidences:
        degree = incidence.degree[incidence.entity]
        small = (degree >= 2) & (degree <= cap)
        keys.append(_group_pairs(incidence.entity[small], incidence.account[small], rank, n, cap))
        big = degree > cap
        if big.any():
            keys.append(_group_pairs(incidence.entity[big], incidence.account[big], rank, n, cap))
            large.append((incidence.account[big], incidence.entity[big], degree[big]))
    if large:
        keys.append(_conjunctions(large, rank, n, cap))
    keys += [_near(one, other, n) for one, other in permutations(columns, 2)]
    pairs = _once(np.concatenate(keys)) if keys else np.zeros(0, dtype=np.int64)
    return pairs // n, pairs % n


def _near(order: Column, other: Column, n: int) -> IntArray:
    """Keys of pairs near in both columns, found among the neighbours in the first."""
    place = np.argsort(order.rank, kind="stable")
    place = place[~np.isnan(order.rank[place]) & ~np.isnan(other.rank[place])]
    out = []
    for step in range(1, NEIGHBOURS + 1):
        a, b = place[:-step], place[step:]
        strangers = 4 * n * np.maximum(order.gap(a, b), step / n) * other.gap(a, b)
        near = strangers <= NEAR
        out.append(_key(a[near], b[near], n))
    return np.concatenate(out)


def _once(keys: IntArray) -> IntArray:
    """Sorted, each once; `np.unique` hashes, which is several times slower on tens of millions."""
    keys.sort()
    return keys[first_of_run(keys)]


def _cap(incidences: list[Incidence], max_pairs: int) -> int:
    counts = np.zeros(ALL_PAIRS + 1, dtype=np.int64)
    for incidence in incidences:
        degree = incidence.degree
        counts += np.bincount(degree[degree <= ALL_PAIRS], minlength=ALL_PAIRS + 1)
    size = np.arange(ALL_PAIRS + 1)
    total = np.cumsum(counts * size * (size - 1) // 2)
    return max(int(np.searchsorted(total, max_pairs, side="right")) - 1, 2)


def _key(a: IntArray, b: IntArray, n: int) -> IntArray:
    return np.minimum(a, b) * n + np.maximum(a, b)


def _group_pairs(group: IntArray, account: IntArray, rank: IntArray, n: int, cap: int) -> IntArray:
    """Keys of pairs within groups: all of a group of up to `cap`, a lattice by rank of a larger one."""
    order = np.lexsort((rank[account], group))
    group, account = group[order], account[order]
    sizes = np.diff(np.append(starts(group), len(group)))
    reach = np.where(sizes <= cap, sizes - 1, LATTICE)
    within = np.repeat(reach, sizes)
    out = []
    for step in range(1, int(reach.max(initial=0)) + 1):
        a = np.flatnonzero(within[:-step] >= step)
        a = a[group[a] == group[a + step]]
        out.append(_key(account[a], account[a + step], n))
    return np.concatenate(out) if out else np.zeros(0, dtype=np.int64)


def _conjunctions(large: list[tuple[IntArray, IntArray, IntArray]], rank: IntArray, n: int, cap: int) -> IntArray:
    """Pairs that share two large entities, of the same layer or of two."""
    account = np.concatenate([part[0] for part in large])
    entity = np.concatenate([part[1] + (np.int64(index) << np.int64(40)) for index, part in enumerate(large)])
    degree = np.concatenate([part[2] for part in large])
    order = np.lexsort((entity, degree, account))
    account, entity = account[order], entity[order]
    rarest = places(account) < CONJUNCTIONS
    account, entity = account[rarest], entity[rarest]
    both, holder = [], []
    for step in range(1, CONJUNCTIONS):
        same = account[step:] == account[:-step]
        a, b = entity[:-step][same], entity[step:][same]
        both.append(np.minimum(a, b) * np.int64(0x9E3779B1) ^ np.maximum(a, b))
        holder.append(account[step:][same])
    _, dense, size = np.unique(np.concatenate(both), return_inverse=True, return_counts=True)
    some = size[dense] >= 2
    return _group_pairs(dense[some], np.concatenate(holder)[some], rank, n, cap)
