"""What is aggregated beforehand: means over neighbours, relation by relation, once for all models and all epochs.

The idea of SIGN (Frasca et al., "SIGN: Scalable inception graph neural networks", 2020) and SeHGNN (Yang et al.,
"Simple and efficient heterogeneous graph neural network", AAAI 2023): neighbours are averaged before training and
not in it, so that a million accounts train in plain mini-batches. Labels are aggregated likewise, those that a mask
shows; no account is learnt from in a round that shows its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringwatch.gnn.graph import BoolArray, Float32, Graph, Relation
from ringwatch.gnn.labels import ABUSIVE, BENIGN, Label
from ringwatch.graphs.labels import COUPLING, LABEL_BITS, STEPS

BELIEF = "belief from labels"


@dataclass(frozen=True)
class Block:
    """Columns that belong together: what one relation, or none, says. `values` float32[n, columns]; `names`."""

    name: str
    names: tuple[str, ...]
    values: Float32


HOPS = 2
"""As far as the first relation is followed."""


def feature_blocks(graph: Graph) -> list[Block]:
    """The accounts' own features, and by relation the means of the core ones: one hop of each, more of the first.

    Of a mean its degree is told as well, and of the first relation how far the account is from it: neighbours that
    are unlike are as telling as neighbours that are alike.
    """
    core = np.nan_to_num(graph.features[:, list(graph.core)])
    names = tuple(graph.names[place] for place in graph.core)
    blocks = [Block("own", graph.names[: graph.own], graph.features[:, : graph.own])]
    if graph.own < len(graph.names):
        blocks.append(Block("evidence", graph.names[graph.own :], graph.features[:, graph.own :]))
    for number, relation in enumerate(graph.relations):
        mean = relation.mean(core)
        has = relation.degree > 0
        columns, titles = (
            [np.log1p(relation.degree)[:, None], np.where(has[:, None], mean, np.nan)],
            ["degree", *names],
        )
        if number == 0:
            columns.append(np.where(has[:, None], core - mean, np.nan))
            titles += [f"{name} apart" for name in names]
        blocks.append(_block(relation.name, titles, columns))
        if number == 0:
            for hop in range(2, HOPS + 1):
                mean = relation.mean(mean)
                values = np.where(has[:, None], mean, np.nan)
                blocks.append(_block(f"{relation.name} {hop} hops", list(names), [values]))
    return blocks


def label_block(graph: Graph, label: Label, shown: BoolArray) -> Block:
    """What the labels that are shown say of each account's neighbours. Over two hops some of an account's own comes
    back: where it is shown, nothing is to be learnt from it."""
    positive = ((label == ABUSIVE) & shown).astype(np.float32)
    negative = ((label == BENIGN) & shown).astype(np.float32)
    both = np.column_stack([positive, negative])
    names, columns = [], []
    merged = np.zeros((len(graph), 2), dtype=np.float32)
    for number, relation in enumerate(graph.relations):
        mean = relation.mean(both)
        if number == 0:
            weight = np.log1p(mean * relation.degree[:, None])
            columns += [mean, weight, np.log1p(relation.mean(mean) * relation.degree[:, None])]
            names += [
                f"labels {what} {relation.name}{how}"
                for how in ("", " sum", " 2 hops")
                for what in ("abusive", "benign")
            ]
        else:
            merged = np.maximum(merged, mean)
    if len(graph.relations) > 1:
        columns.append(merged)
        names += ["labels abusive elsewhere", "labels benign elsewhere"]
    belief = np.zeros(len(graph), dtype=np.float32)
    if graph.relations:
        belief = spread(graph.relations[0], LABEL_BITS * (positive - negative))
    columns.append((belief - LABEL_BITS * (positive - negative))[:, None])
    names.append(BELIEF)
    return _block("labels", names, columns)


def spread(relation: Relation, own: Float32) -> Float32:
    """Beliefs (bits) passed along a relation; float32[n].

    Linearised belief propagation (Gatterbauer, Günnemann, Koutra and Faloutsos, VLDB 2015): b = own + c · W b, W
    divided by the larger of 1 and the account's total, so that a hub says no more than anyone and a weak tie little.
    """
    belief = own
    share = np.minimum(relation.degree, 1.0).astype(np.float32)
    for _ in range(STEPS):
        belief = own + COUPLING * share * relation.mean(belief[:, None])[:, 0]
    return np.asarray(belief, dtype=np.float32)


def _block(name: str, names: list[str], columns: list[Float32]) -> Block:
    titles = tuple(f"{name}: {title}" if name != "labels" else title for title in names)
    return Block(name, titles, np.column_stack(columns).astype(np.float32))
