"""Communities of the edges that stand: Leiden, component by component, connected and the same for the same seed.

Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing well-connected communities", Scientific Reports
2019. The quality function is the constant Potts model (Traag, Van Dooren and Nesterov, Phys. Rev. E 2011): with bits
as weights it is the log-likelihood of a partition in which every pair of members without evidence costs
`resolution` bits; unlike modularity it has no resolution limit. What is found so is looked at once more by its own
measure: where members have ten bits for each other, one who hangs on by a single bit does not belong, while in a
chain that is how members are tied. So the second resolution asks of a member about the bits in all that two members
have for each other on average.
"""

from __future__ import annotations

import random

import igraph as ig
import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.accounts import FloatArray, IntArray

RESOLUTION = 0.005
LOOSE = 0.6
"""The bits that tie a member to the rest of its community, as a multiple of the mean bits of a pair of members. Under
2, a chain of equal links stays whole, however long."""

ITERATIONS = 10


def find_communities(
    n: int, first: IntArray, second: IntArray, weight: FloatArray, *, seed: int, resolution: float = RESOLUTION
) -> IntArray:
    """The community of each of n nodes, numbered from 0 in the order of their least member; -1 for a node alone.

    Every community is connected: Leiden promises it, and what it might break is split here.
    """
    out = np.full(n, -1, dtype=np.int64)
    if len(first) == 0:
        return out
    nodes, ends = np.unique(np.concatenate([first, second]), return_inverse=True)
    a, b = ends[: len(first)], ends[len(first) :]
    label = _connected(len(nodes), a, b)
    label = _split(label, a, b, weight, seed, np.full(len(nodes), resolution))
    size = np.bincount(label).astype(np.float64)
    inside = label[a] == label[b]
    mean = np.bincount(label[a[inside]], weight[inside], minlength=len(size)) / np.maximum(size * (size - 1) / 2, 1)
    label = _split(label, a, b, weight, seed, LOOSE * mean / np.maximum(size, 1))
    members = np.bincount(label)
    out[nodes] = np.where(members[label] > 1, label, -1)
    kept = np.flatnonzero(out >= 0)
    if len(kept):
        _, at, dense = np.unique(out[kept], return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(at))
        out[kept] = rank[dense]
    return out


def _connected(n: int, a: IntArray, b: IntArray) -> IntArray:
    graph = sp.coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    return np.asarray(sp.csgraph.connected_components(graph, directed=False)[1], dtype=np.int64)


def _split(label: IntArray, a: IntArray, b: IntArray, weight: FloatArray, seed: int, gamma: FloatArray) -> IntArray:
    """Leiden within each part, `gamma` by part; then the connected pieces of what it found."""
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
    for part in np.flatnonzero(np.diff(node_starts) > 3).tolist():
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
