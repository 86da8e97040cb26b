"""Where nodes go in a picture: a force-directed layout in Python, so that a page needs no script to draw a graph."""

from __future__ import annotations

import math
import random

import igraph
import numpy as np
import numpy.typing as npt

LEAST = 0.5
"""The least pull of an edge."""

_STEPS = 300
_SLOW = 600
"""From so many nodes on, fewer steps: a picture of thousands is read for its shape."""


def layout(nodes: int, edges: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Places of nodes in the unit square; float64[nodes, 2]. The same graph, the same places.

    Fruchterman and Reingold, "Graph drawing by force-directed placement" (1991), from a circle; components are laid
    out with the rest.

    Args:
        edges: int64[m, 2]. weights: float64[m]; a heavier edge is shorter, and one of less than `LEAST`, such as a
            doubtful tie, is as long as one of that.
    """
    if nodes == 0:
        return np.zeros((0, 2))
    turn = 2 * math.pi * np.arange(nodes) / nodes
    start = np.c_[np.cos(turn), np.sin(turn)] * math.sqrt(nodes)
    graph = igraph.Graph(n=nodes, edges=edges.tolist())
    igraph.set_random_number_generator(random.Random(0))  # noqa: S311
    try:
        placed = graph.layout_fruchterman_reingold(
            weights=np.maximum(weights, LEAST).tolist(), seed=start.tolist(),
            niter=_STEPS if nodes < _SLOW else _STEPS // 3, grid="nogrid" if nodes < _SLOW else "grid",
        )  # fmt: skip
    finally:
        igraph.set_random_number_generator(random)
    places = np.asarray(placed.coords, dtype=np.float64)
    span = max(float(np.ptp(places, axis=0).max()), 1e-9)
    middle = (places.max(axis=0) + places.min(axis=0)) / 2
    return np.asarray((places - middle) / span + 0.5)
