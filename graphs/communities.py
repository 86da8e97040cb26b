"""Communities of the edges that stand: Leiden, component by component, connected and the same for the same seed.

Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing well-connected communities", Scientific Reports
2019. A pair weighs -log2(1 - p), what is said against its being no tie: the bits of a sure one, little of a doubtful
one, and many doubtful ones add up as in a noisy or. The quality function is the constant Potts model (Traag, Van
Dooren and Nesterov, Phys. Rev. E 2011), in which every pair of members without evidence costs `RESOLUTION` bits;
unlike modularity it has no resolution limit. What is found so is looked at once more by its own measure: where
members have ten bits for each other, one who hangs on by a single bit does not belong, while in a chain that is how
members are tied. So the second resolution asks of a member about the bits in all that two members have for each other
on average; and communities that are tied to each other as their members are, as parts of a chain, are joined last.

Words travel where devices and cards do not: two operators who work from one template are tied by it, if by nothing
else. So words are held to a third, sharper resolution, which asks of two parts about the bits that their members have
for each other; words that do not come up to it do not tie a part that something else holds together. Last, what words
alone tie, and hold less than each side of it holds itself, is two: from one template, or of one trade.

Where the accounts of several customers are one community, each customer's are one of their own: what ties customers
is looked at once more, as organizations.
"""

from __future__ import annotations

import random

import igraph as ig
import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray

RESOLUTION = 0.1
LEAST_BITS = float(np.log2(np.exp2(RESOLUTION) - 1))
"""Bits of a pair that weighs as much as a pair without evidence costs: pairs of fewer tie nobody."""

LOOSE = 0.6
"""The bits that tie a member to the rest of its community, as a multiple of the mean bits of a pair of members. Under
2, a chain of equal links stays whole, however long."""

COPIED = 1 / 3
"""The mean bits of the pairs between two parts that words may tie, as a share of those of all pairs in both."""

APART = 0.6
"""The mean bits of the pairs between two parts that words alone tie, as a share of those in the looser part, both of
the members that have any across: where it is no more they are two communities."""

ALONE = 0.9
"""Words tie two parts alone where they are this share of the weight of what does."""

CELL = 5
"""A smaller part is no community for itself: who works in cells of three shares nothing but words among them."""

SURE = 4.0
"""Least bits of a pair that can join two accounts again. Communities have more chances of one, and ask more: so many
times the odds as they have members (the geometric mean) of one pair, or as they have pairs of all such together."""

JOINED = 1 / 3
"""Least weight of what joins two communities, as a share of what ties a member of either to the rest of its own."""

CUSTOMER = 3
"""Least members of a community by which one customer is a part of it. A thief of accounts has one or two of each."""

ITERATIONS = 10


def find_communities(
    n: int, first: IntArray, second: IntArray, bits: FloatArray, words: BoolArray, customer: IntArray, *, seed: int
) -> IntArray:
    """The community of each of n nodes, numbered from 0 in the order of their least member; -1 for a node alone.

    `bits` are the log2 odds of the pairs to be one operator's, `words` says which are that for what both wrote more
    than for anything else. Every community is connected: Leiden promises it, and what it might break is split here.
    """
    out = np.full(n, -1, dtype=np.int64)
    if len(first) == 0:
        return out
    nodes, ends = np.unique(np.concatenate([first, second]), return_inverse=True)
    a, b = ends[: len(first)], ends[len(first) :]
    weight = np.logaddexp2(0.0, bits)
    label, kept = _part_by_words(_settle(len(nodes), a, b, weight, seed), a, b, weight, words, seed)
    label = _join(label, a[kept], b[kept], weight[kept])
    label = _part_apart(label, a, b, weight, words, seed)
    label = _by_customer(label, a, b, weight, customer[nodes])
    members = np.bincount(label)
    out[nodes] = np.where(members[label] > 1, label, -1)
    some = np.flatnonzero(out >= 0)
    if len(some):
        _, at, dense = np.unique(out[some], return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(at))
        out[some] = rank[dense]
    return out


def _settle(n: int, a: IntArray, b: IntArray, weight: FloatArray, seed: int) -> IntArray:
    """Communities at the first resolution, and in each at its own."""
    label = _split(_connected(n, a, b), a, b, weight, seed, np.full(n, RESOLUTION))
    size = np.bincount(label)
    return _split(label, a, b, weight, seed, LOOSE * _mean_weight(label, a, b, weight) / size)


def _part_by_words(
    label: IntArray, a: IntArray, b: IntArray, weight: FloatArray, words: BoolArray, seed: int
) -> tuple[IntArray, BoolArray]:
    """Communities without the words that are too little for what they tie, and which pairs are left: communities that
    lose any are found anew, until none does."""
    kept = np.ones(len(a), dtype=np.bool_)
    lost = np.ones(label.max() + 1, dtype=np.bool_)
    while True:
        count = len(lost)
        at = np.flatnonzero(kept & (label[a] == label[b]) & lost[label[a]])
        of, written = label[a[at]], words[at]
        both = (np.bincount(of[written], minlength=count) > 0) & (np.bincount(of[~written], minlength=count) > 0)
        asked = np.where(both, COPIED * _mean_weight(label, a[at], b[at], weight[at]), 0.0)
        part = _split(label, a[at], b[at], weight[at], seed, asked)
        one, two = part[a[at]], part[b[at]]
        other = np.bincount(one[~written & (one == two)], minlength=len(part)) > 0
        dropped = at[written & (one != two) & (other[one] | other[two])]
        if len(dropped) == 0:
            return label, kept
        kept[dropped] = False
        anew = np.isin(label, label[a[dropped]])
        again = at[kept[at] & anew[a[at]]]
        found = _settle(len(label), a[again], b[again], weight[again], seed)
        label = np.unique(np.where(anew, count + found, label), return_inverse=True)[1].astype(np.int64)
        lost = np.zeros(label.max() + 1, dtype=np.bool_)
        lost[label[anew]] = True


def _mean_weight(label: IntArray, a: IntArray, b: IntArray, weight: FloatArray) -> FloatArray:
    """By community, the mean over all pairs of its members, those without evidence too."""
    size = np.bincount(label)
    inside = label[a] == label[b]
    total = np.bincount(label[a[inside]], weight[inside], minlength=len(size))
    return np.asarray(total / np.maximum(size * (size - 1) / 2, 1))


def _join(label: IntArray, a: IntArray, b: IntArray, weight: FloatArray) -> IntArray:
    """Joins communities that are tied to each other as their members are: those first that are each other's nearest.

    A long chain is cut by any resolution, since most pairs of its members have nothing in common; but what ties its
    parts is what ties its members. Two dense communities with one sure pair between them are not joined; and of the
    pairs of two large ones some are sure by chance.
    """
    while True:
        count = int(label.max()) + 1
        one, other = np.minimum(label[a], label[b]), np.maximum(label[a], label[b])
        across = one != other
        size = np.bincount(label)
        within = 2 * np.bincount(one[~across], weight[~across], minlength=count) / size
        across &= weight >= SURE
        key, place = np.unique(one[across] * count + other[across], return_inverse=True)
        one, other, tie = key // count, key % count, np.bincount(place, weight[across], minlength=len(key))
        surest = np.zeros(len(key))
        np.maximum.at(surest, place, weight[across])
        chances = np.log2(size[one] * size[other])
        enough = (surest >= SURE + chances / 2) | (tie >= SURE + chances)
        share = tie / np.maximum(np.maximum(within[one], within[other]), tie)
        near = np.flatnonzero(enough & (share >= JOINED))
        if len(near) == 0:
            return label
        near = near[np.argsort(-share[near], kind="stable")]
        label = _join_nearest(label, one[near], other[near])


def _join_nearest(label: IntArray, one: IntArray, other: IntArray) -> IntArray:
    """Joins communities that are each other's nearest; pairs of them (`one` < `other`) come nearest first."""
    place = np.arange(len(one))
    nearest = np.full(int(label.max()) + 1, len(one))
    np.minimum.at(nearest, np.r_[one, other], np.tile(place, 2))
    mutual = (nearest[one] == place) & (nearest[other] == place)
    into = np.arange(len(nearest))
    into[other[mutual]] = one[mutual]
    return np.asarray(np.unique(into[label], return_inverse=True)[1], dtype=np.int64)


def _part_apart(
    label: IntArray, a: IntArray, b: IntArray, weight: FloatArray, words: BoolArray, seed: int
) -> IntArray:
    """Communities in parts of `CELL` members or more that words alone tie, and less than each is tied itself: fine
    parts grow together, each other's nearest first, as long as any two are tied otherwise."""
    within = np.flatnonzero(label[a] == label[b])
    a, b, weight, words = a[within], b[within], weight[within], words[within]
    size = np.bincount(label)
    asked = (size >= 2 * CELL) & (np.bincount(label[a], words, minlength=len(size)) > 0)
    part = _split(label, a, b, weight, seed, np.where(asked, _mean_weight(label, a, b, weight), 0.0))
    some = np.flatnonzero(np.isin(label[a], label[a[part[a] != part[b]]]))
    a, b, weight, words = a[some], b[some], weight[some], words[some]
    while True:
        one, other, tie, alone = _between(part, a, b, weight, words)
        size = np.bincount(part)
        must = ~alone | (np.minimum(size[one], size[other]) < CELL)
        near = np.flatnonzero(must | (tie > APART))
        if len(near) == 0:
            return part
        near = near[np.lexsort((-tie[near], ~must[near]))]
        part = _join_nearest(part, one[near], other[near])


def _between(
    part: IntArray, a: IntArray, b: IntArray, weight: FloatArray, words: BoolArray
) -> tuple[IntArray, IntArray, FloatArray, BoolArray]:
    """Pairs of parts that are tied (one < other); the mean bits between them as a share of those in the looser of the
    two, both of the members that have any across; and whether words tie them alone."""
    size = np.bincount(part)
    ends, far, twice = np.r_[a, b], part[np.r_[b, a]], np.tile(weight, 2)
    to = sp.csr_matrix((twice, (ends, far)), shape=(len(part), len(size))).tocoo()
    home = to.col == part[to.row]
    own = np.bincount(to.row[home], to.data[home], minlength=len(part))
    key, place = np.unique(part[to.row] * len(size) + to.col, return_inverse=True)
    one, other = np.divmod(key, len(size))
    across = np.bincount(place, to.data)
    inside = np.bincount(place, own[to.row]) / np.maximum(size[one] - 1, 1)
    tie = across / size[other] / np.maximum(inside, 1e-9)
    tie = np.maximum(tie, tie[np.searchsorted(key, other * len(size) + one)])
    of = np.searchsorted(key, part[ends] * len(size) + far)
    alone = np.bincount(of, twice * np.tile(words, 2), minlength=len(key)) >= ALONE * across
    once = np.flatnonzero(one < other)
    return one[once], other[once], tie[once], alone[once]


def _by_customer(label: IntArray, a: IntArray, b: IntArray, weight: FloatArray, customer: IntArray) -> IntArray:
    """Communities that are customers for the most part, and of several, in the parts that these are; members of no
    such customer go with the part that they are tied to most."""
    known, many = np.flatnonzero(customer >= 0), int(customer.max(initial=0)) + 1
    key, own, members = np.unique(label[known] * many + customer[known], return_inverse=True, return_counts=True)
    of, large = key // many, members >= CUSTOMER
    size = np.bincount(label)
    theirs = np.bincount(of[large], members[large], minlength=len(size))
    several = (np.bincount(of[large], minlength=len(size)) > 1) & (2 * theirs > size)
    if not several.any():
        return label
    part = np.where(several[label], -1, len(key) + label)
    part[known] = np.where(large[own] & several[label[known]], own, part[known])
    inside = (label[a] == label[b]) & several[label[a]]
    ends = np.r_[a[inside], b[inside]], np.r_[b[inside], a[inside]]
    twice = np.tile(weight[inside], 2)
    while len(left := np.flatnonzero((part[ends[0]] < 0) & (part[ends[1]] >= 0))):
        pull = sp.csr_matrix((twice[left], (ends[0][left], part[ends[1][left]])), shape=(len(part), len(key)))
        tied = np.flatnonzero(np.diff(pull.indptr))
        part[tied] = np.asarray(pull[tied].argmax(axis=1)).ravel()
    same = part[a] == part[b]
    return _connected(len(part), a[same], b[same])


def _connected(n: int, a: IntArray, b: IntArray) -> IntArray:
    graph = sp.coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    return np.asarray(sp.csgraph.connected_components(graph, directed=False)[1], dtype=np.int64)


def _split(label: IntArray, a: IntArray, b: IntArray, weight: FloatArray, seed: int, gamma: FloatArray) -> IntArray:
    """Leiden within each part, `gamma` by part; then the connected pieces of what it found. A part of which nothing
    is asked (0) is left as it is."""
    n = len(label)
    inside = np.flatnonzero(label[a] == label[b])
    by_edge = inside[np.argsort(label[a[inside]], kind="stable")]
    by_node = np.argsort(label, kind="stable")
    bounds = np.arange(label.max() + 2)
    edge_starts = np.searchsorted(label[a[by_edge]], bounds)
    node_starts = np.searchsorted(label[by_node], bounds)
    local = np.empty(n, dtype=np.int64)
    found = np.zeros(n, dtype=np.int64)
    # Three accounts and fewer cannot be split into communities that count.
    for part in np.flatnonzero((np.diff(node_starts) > 3) & (gamma[: len(bounds) - 1] > 0)).tolist():
        members = by_node[node_starts[part] : node_starts[part + 1]]
        edges = by_edge[edge_starts[part] : edge_starts[part + 1]]
        local[members] = np.arange(len(members))
        found[members] = _leiden(len(members), local[a[edges]], local[b[edges]], weight[edges], seed, gamma[part])
    same = (label[a] == label[b]) & (found[a] == found[b])
    return _connected(n, a[same], b[same])


def _leiden(n: int, a: IntArray, b: IntArray, weight: FloatArray, seed: int, resolution: float) -> IntArray:
    ig.set_random_number_generator(random.Random(seed))  # noqa: S311 (a seed, not a secret)
    graph = ig.Graph(n=n, edges=np.column_stack([a, b]))
    found = graph.community_leiden(
        objective_function="CPM", weights=weight.tolist(), resolution=resolution, n_iterations=ITERATIONS
    )
    return np.asarray(found.membership, dtype=np.int64)
