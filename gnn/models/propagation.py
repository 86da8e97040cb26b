"""Predict, then propagate: what an account shows by itself, and what those tied to it show by themselves.

Predicting from the account alone and passing the predictions on (PPNP: Gasteiger, Bojchevski and Günnemann, "Predict
then propagate: graph neural networks meet personalized PageRank", ICLR 2019) needs few labels: what is learnt is what
abuse looks like on one account, which carries over to operations that nobody has labelled, and how far neighbours are
of one mind is not learnt but known: the chance that a tie is real, which the evidence gives in bits. What is passed
on is a likelihood ratio, one step far:

    zᵢ = o + qᵢ + g Σ_r log(1 + d_rᵢ) mean_r(q)ᵢ / R,    q = log odds by the account alone − o

over the R relations of one mind (ties, clusters), d_rᵢ being how many mates i is expected to have, and o the odds of
the population. Mates repeat each other, so their number counts by its logarithm. Where the evidence knows nothing and
there is no telling whether neighbours are of one mind (`bench`), g is learnt, and may be negative; else it is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from ringwatch.gnn.graph import FloatArray, Graph
from ringwatch.gnn.models.base import load_arrays, save_arrays
from ringwatch.gnn.models.linear import FittedLogistic, Logistic, with_intercept
from ringwatch.gnn.models.trees import FittedTrees, Trees
from ringwatch.gnn.neighbours import Block
from ringwatch.gnn.task import Task, View

OPINIONS = "opinions"
"""The block, and its column, that hold what neighbours say."""

LEAST_ODDS = 1e-6


@dataclass(frozen=True)
class FittedPropagation:
    """What reads an account alone, twice; the odds of the population; how much neighbours count."""

    logistic: FittedLogistic
    trees: FittedTrees
    start: float
    gain: float

    def score(self, view: View) -> FloatArray:
        alone = self._alone(view)
        said = next((block.values[:, 0] for block in view.blocks if block.name == OPINIONS), None)
        return self.start + alone + (self.gain * opinions(view.graph, alone) if said is None else said)

    def told(self, view: View) -> View:
        """The view with what neighbours say as a block of its own, which then stays as it is."""
        said = self.gain * opinions(view.graph, self._alone(view))
        return View(view.graph, (*view.blocks, Block(OPINIONS, (OPINIONS,), said[:, None].astype(np.float32))))

    def _alone(self, view: View) -> FloatArray:
        return (self.logistic.score(view) + self.trees.score(view)) / 2 - self.start

    def save(self, place: Path) -> None:
        self.logistic.save(place.with_name(f"{place.name}-logistic"))
        self.trees.save(place.with_name(f"{place.name}-trees"))
        save_arrays(place, {}, {"start": self.start, "gain": self.gain})


def opinions(graph: Graph, alone: FloatArray) -> FloatArray:
    """Sum over an account's mates of what each shows by itself (a log likelihood ratio), as above; float64[n]."""
    told = np.zeros(len(graph))
    carriers = graph.relations[: graph.carriers]
    for relation in carriers:
        mean = relation.mean(alone[:, None].astype(np.float32))[:, 0]
        told += np.log1p(relation.degree) * mean / len(carriers)
    return told


class Propagation:
    """Reads accounts alone, and passes on along ties and in clusters what it reads."""

    name = "propagation"

    def fit(self, task: Task, *, device: str = "cpu") -> FittedPropagation:
        logistic, trees = Logistic().fit(task, device=device), Trees().fit(task, device=device)
        view = View(task.graph, task.blocks)
        simple = logistic.score(view)
        start = _odds((simple + trees.score(view)) / 2)
        if task.evident:
            return FittedPropagation(logistic, trees, start, 1.0)
        # By the simpler of the two alone: the trees know the rows that they learnt from too well to need neighbours.
        rows = np.unique(np.concatenate([one.rows for one in task.rounds]))
        told = opinions(task.graph, simple - _odds(simple))[rows]
        gain, _ = with_intercept(told[:, None], task.target[rows], task.weight[rows], simple[rows])
        return FittedPropagation(logistic, trees, start, float(gain[0]))

    def load(self, place: Path) -> FittedPropagation:
        _, words = load_arrays(place)
        return FittedPropagation(
            Logistic().load(place.with_name(f"{place.name}-logistic")),
            Trees().load(place.with_name(f"{place.name}-trees")), words["start"], words["gain"],
        )  # fmt: skip


def _odds(z: FloatArray) -> float:
    """Log odds of the population, by the mean of its probabilities."""
    share = float(np.clip(expit(z).mean(), LEAST_ODDS, 1 - LEAST_ODDS)) if len(z) else 0.5
    return float(logit(share))
