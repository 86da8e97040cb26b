"""The graph that models learn on as an object of PyTorch Geometric, for models of one's own.

It is the `Graph` and the `Labels` that `train` learns from, not another way to them: the same rows, known at the same
moment, in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ringwatch.gnn.graph import Direct, Graph, Through
from ringwatch.gnn.labels import Labels
from ringwatch.gnn.models.torch_here import load_geometric, load_torch

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData


def hetero_data(graph: Graph, labels: Labels | None = None) -> HeteroData:
    """Accounts and what they share as nodes, who shares what and who deals with whom as typed edges.

    `account`: `x` float32[n, f] (NaN where unknown) with `names`, `ids`, `base` float64[n] (log odds by the evidence
    alone); with labels `y` int64[n] (1 abusive, 0 benign, −1 unlabelled) and `unit` int64[n], to keep an operation on
    one side of a split. Each thing shared: `x`, columns that describe it (users, bits, what is known of its kind,
    mean harm, days since it was last used), with edges `has` and `had_by` whose `weight` is in bits and whose
    `edge_attr` float32[edges, 2] are logarithms of how often and of how many days ago (NaN where unknown); members of
    a cluster likewise, by expected mates. `(account, tie, account)`: the chance that both have one operator.
    `(account, RELATION_to, account)` and back: the logarithm of how often.

    Raises:
        UsageError: torch or torch-geometric is not installed.
    """
    torch, geometric = load_torch(), load_geometric()

    def made(array: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array))

    data = geometric.data.HeteroData()
    account = data["account"]
    account.x, account.base = made(graph.features), made(graph.base)
    account.names, account.ids = list(graph.names), graph.ids.tolist()
    if labels is not None:
        account.y, account.unit = made(labels.label.astype(np.int64)), made(labels.unit)
    for relation in graph.relations:
        if isinstance(relation, Direct):
            matrix = relation.matrix.tocoo()
            # Row i holds the neighbours that speak to i.
            edges = data["account", relation.name, "account"]
            edges.edge_index = made(np.stack([matrix.col, matrix.row]).astype(np.int64))
            edges.weight = made(matrix.data.astype(np.float32))
        elif isinstance(relation, Through):
            data[relation.name].x = made(relation.known)
            weight = made(relation.weight[relation.entity].astype(np.float32))
            ends = np.stack([relation.account, relation.entity])
            for source, name, target, pair in (
                ("account", "has", relation.name, ends),
                (relation.name, "had_by", "account", ends[::-1]),
            ):
                edges = data[source, name, target]
                edges.edge_index, edges.weight = made(pair), weight
                if relation.seen is not None:
                    edges.edge_attr = made(relation.seen)
    return data
