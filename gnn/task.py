"""What a model is given to learn from: blocks of columns, targets that know of hidden positives, masked labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from ringwatch.gnn import pu
from ringwatch.gnn.graph import BoolArray, Float32, FloatArray, Graph, IntArray
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Label, Labels, masks
from ringwatch.gnn.neighbours import Block, label_block

ROUNDS, MANY_ROUNDS = 4, 2
"""How many masks of the labels a model learns under; fewer where there are at least `MANY` labels."""

MANY = 1000

MOST_UNLABELLED = 60_000
"""Unlabelled accounts beyond so many are sampled; those that are left count for more."""


@dataclass(frozen=True)
class Round:
    """One mask: what the labels that it shows say of neighbours, and the rows that are learnt from under it."""

    labels: Block
    rows: IntArray


@dataclass(frozen=True)
class Task:
    """A graph with labels to learn from.

    `blocks` hold what needs no label. `target` in [0, 1] and `weight` by account; `rows` of `rounds` leave out those
    whose weight is 0. `prior` is the share of positives among the unlabelled. `evident` says whether the graph's base
    knows anything; models then learn what to add to it.
    """

    graph: Graph
    blocks: tuple[Block, ...]
    labels: Labels
    target: FloatArray
    weight: FloatArray
    prior: float
    rounds: tuple[Round, ...]
    seed: int

    @property
    def evident(self) -> bool:
        return self.graph.evident

    @property
    def start(self) -> float:
        """Log odds of the mean target: what a model that has learnt nothing says."""
        share = float((self.target * self.weight).sum() / self.weight.sum())
        return float(logit(share)) if 0 < share < 1 else 0.0


def make_task(graph: Graph, blocks: Sequence[Block], labels: Labels, *, seed: int) -> Task:
    """Targets, weights and masks.

    Two views of an unlabelled account err differently, and its target lies midway between them. The base, calibrated
    on what is labelled, knows of operations that nobody has labelled, and would have its own mistakes learnt. That
    the unlabelled are benign but for a few hidden ones needs no base, and would have labelled operations told from
    others. Where the base knows nothing, and benign labels do, unlabelled accounts are left out.
    """
    label = labels.label
    if graph.evident:
        prior = pu.estimate_prior(graph.base, label)
        slope, shift = pu.platt(graph.base, label, prior)
        soft = expit(slope * graph.base + shift)
    else:
        positive, benign = (float((label == kind).sum()) for kind in (ABUSIVE, BENIGN))
        prior = positive / (positive + benign) if benign else pu.LEAST_PRIOR
        soft = np.full(len(graph), prior)
    target, weight = pu.weights(label, soft, prior)
    if graph.evident:
        plain, as_benign = pu.weights(label, np.zeros(len(graph)), prior)
        target, weight = (target + plain) / 2, (weight + as_benign) / 2
    use = np.ones(len(graph), dtype=np.bool_)
    if not graph.evident and (label == BENIGN).any():
        use = label != UNKNOWN
    use = _thinned(use, label, weight, seed)
    found = []
    rounds = ROUNDS if (label != UNKNOWN).sum() < MANY else MANY_ROUNDS
    for shown in masks(labels, rounds, seed):
        found.append(Round(label_block(graph, label, shown), np.flatnonzero(use & ~shown)))
    return Task(graph, tuple(blocks), labels, target, weight, prior, tuple(found), seed)


def _thinned(use: BoolArray, label: Label, weight: FloatArray, seed: int) -> BoolArray:
    """Keeps at most so many unlabelled accounts, and raises the weight of those kept."""
    unknown = np.flatnonzero(use & (label == UNKNOWN))
    if len(unknown) <= MOST_UNLABELLED:
        return use
    kept = np.random.default_rng([seed, 73]).choice(unknown, MOST_UNLABELLED, replace=False)
    thin = use.copy()
    thin[unknown] = False
    thin[kept] = True
    weight[kept] *= len(unknown) / MOST_UNLABELLED
    return thin


@dataclass(frozen=True)
class View:
    """What a fitted model scores: the graph, its blocks, and what all labels say of neighbours."""

    graph: Graph
    blocks: tuple[Block, ...]


def full_view(graph: Graph, blocks: Sequence[Block], labels: Labels | None) -> View:
    """The blocks with the labels' own, all of them shown; without labels nothing is."""
    if labels is None:
        label = np.full(len(graph), UNKNOWN, dtype=np.int8)
        shown = np.zeros(len(graph), dtype=np.bool_)
    else:
        label, shown = labels.label, labels.label != UNKNOWN
    return View(graph, (*blocks, label_block(graph, label, shown)))


def columns(blocks: Sequence[Block], names: Sequence[str], rows: IntArray | None = None) -> Float32:
    """The columns of these names, NaN where a block lacks one; float32[rows, names]."""
    for block in blocks:
        if block.names == tuple(names):
            return block.values if rows is None else block.values[rows]
    place = {name: (block, at) for block in blocks for at, name in enumerate(block.names)}
    n = len(blocks[0].values) if rows is None else len(rows)
    out = np.full((n, len(names)), np.nan, dtype=np.float32)
    for number, name in enumerate(names):
        if name in place:
            block, at = place[name]
            out[:, number] = block.values[:, at] if rows is None else block.values[rows, at]
    return out
