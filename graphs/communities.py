"""Communities of the edges that stand: Leiden, component by component, connected and the same for the same seed.

Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing well-connected communities", Scientific Reports
2019. The quality function is the constant Potts model (Traag, Van Dooren and Nesterov, Phys. Rev. E 2011): with bits
as weights it is the log-likelihood of a partition in which every pair of members without evidence costs
`resolution` bits; unlike modularity it has no resolution limit.
"""

from __future__ import annotations

import random

import igraph as ig
import numpy as np
import scipy.sparse as sp

from ringwatch.graphs.accounts import FloatArray, IntArray

RESOLUTION = 0.02
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
    graph = sp.coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(len(nodes), len(nodes)))
    _, component = sp.csgraph.connected_components(graph, directed=False)
    label = np.zeros(len(nodes), dtype=np.int64)
    by_edge = np.argsort(component[a], kind="stable")
    by_node = np.argsort(component, kind="stable")
    edge_starts = np.r_[np.flatnonzero(np.r_[True, np.diff(component[a][by_edge]) > 0]), len(a)]
    node_starts = np.r_[np.flatnonzero(np.r_[True, np.diff(component[by_node]) > 0]), len(nodes)]
    local = np.empty(len(nodes), dtype=np.int64)
    # Three accounts and fewer cannot be split into communities that count.
    for index in np.flatnonzero(np.diff(node_starts) > 3):
        members = by_node[node_starts[index] : node_starts[index + 1]]
        edges = by_edge[edge_starts[index] : edge_starts[index + 1]]
        local[members] = np.arange(len(members))
        label[members] = _leiden(len(members), local[a[edges]], local[b[edges]], weight[edges], seed, resolution)
    same = (component[a] == component[b]) & (label[a] == label[b])
    inside = sp.coo_matrix((np.ones(int(same.sum()), dtype=np.int8), (a[same], b[same])), shape=graph.shape)
    _, connected = sp.csgraph.connected_components(inside, directed=False)
    size = np.bincount(connected)
    out[nodes] = np.where(size[connected] > 1, connected, -1)
    kept = np.flatnonzero(out >= 0)
    if len(kept):
        _, at, dense = np.unique(out[kept], return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(at))
        out[kept] = rank[dense]
    return out


def _leiden(n: int, a: IntArray, b: IntArray, weight: FloatArray, seed: int, resolution: float) -> IntArray:
    ig.set_random_number_generator(random.Random(seed))  # noqa: S311 (a seed, not a secret)
    graph = ig.Graph(n=n, edges=np.column_stack([a, b]))
    found = graph.community_leiden(
        objective_function="CPM", weights=weight.tolist(), resolution=resolution, n_iterations=ITERATIONS
    )
    return np.asarray(found.membership, dtype=np.int64)
