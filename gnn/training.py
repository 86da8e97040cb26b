"""From labels to a model: cross-validation by operation, a pick or an ensemble, calibration, and the fit on all.

Nothing here writes a file or asks for the time. The same graph, labels and seed give the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from ringwatch.errors import UsageError
from ringwatch.gnn import pu
from ringwatch.gnn.graph import FloatArray, Graph
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Labels, folds
from ringwatch.gnn.models import MODELS, Fitted
from ringwatch.gnn.neighbours import Block
from ringwatch.gnn.task import View, full_view, make_task
from ringwatch.graphs.labels import LABEL_BITS
from ringwatch.metrics import Stopwatch

UNSUPERVISED = "unsupervised"
"""The score of `detect` without labels; a candidate like any other."""

BASELINES = (UNSUPERVISED, "logistic", "trees", "belief", "graph-trees")
"""Candidates that are no graph neural network and no mixture."""

FOLDS = 3
MIXTURE = "mixture"
MIXED = ("trees", "belief", "graph-trees", "metapath", "signed")
"""What the mixture is the mean of: models that err differently, each on top of what is known without labels."""

DEFAULT = ("logistic", "trees", "belief", "graph-trees", "metapath")
"""What is trained where nothing is named. `signed` takes as long as all others and was not better (docs)."""

RESAMPLES = 60

FEWEST = 3
"""Abusive labels and abusive operations below which nothing can be held out."""

LABEL_ODDS = LABEL_BITS * float(np.log(2))
"""What a reviewer's label says of the account itself, as natural log odds."""


@dataclass(frozen=True)
class Calibration:
    """Turns log odds into calibrated ones: slope × z + shift."""

    slope: float
    shift: float

    def apply(self, z: FloatArray) -> FloatArray:
        return self.slope * z + self.shift


@dataclass(frozen=True)
class Trained:
    """A model that is ready: its parts with their shares, what they learnt, and how good all candidates were.

    `shares` by name of model add up to 1. `metrics` by candidate: `auprc` and `recall_at_k` over the population, held
    out by operation. `held_out` are calibrated probabilities of all accounts by models that did not see their
    operation's labels; float64[n].
    """

    winner: str
    shares: dict[str, float]
    fitted: dict[str, Fitted]
    calibration: Calibration
    prior: float
    metrics: dict[str, dict[str, float]]
    held_out: FloatArray
    folds: int

    def log_odds(self, view: View) -> FloatArray:
        """Calibrated log odds of abuse, an account's own label apart; float64[n]."""
        return self.calibration.apply(combine(view, self.shares, self.fitted))


def combine(view: View, shares: dict[str, float], fitted: dict[str, Fitted]) -> FloatArray:
    """The parts' log odds by their shares; the base where a share is that of the unsupervised score."""
    total = np.zeros(len(view.graph))
    for name, share in shares.items():
        total += share * (view.graph.base if name == UNSUPERVISED else fitted[name].score(view))
    return total


def with_own_labels(z: FloatArray, labels: Labels | None) -> FloatArray:
    """Log odds that know what a reviewer said of the account itself."""
    if labels is None:
        return z
    return np.asarray(z + LABEL_ODDS * ((labels.label == ABUSIVE) * 1.0 - (labels.label == BENIGN) * 1.0))


def train(
    graph: Graph,
    blocks: Sequence[Block],
    labels: Labels,
    *,
    names: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    watch: Stopwatch | None = None,
) -> Trained:
    """Fits every model of `names` (`DEFAULT`, unless some are named), picks or mixes, calibrates.

    Raises:
        UsageError: too few labels, an unknown model, or a package that a model needs is missing.
    """
    watch = watch or Stopwatch()
    names = _chosen(names)
    held, count = held_out_scores(graph, blocks, labels, names, seed=seed, device=device, watch=watch)
    prior = pu.estimate_prior(held[UNSUPERVISED] if graph.evident else _mean(held), labels.label)
    parts = [name for name in MIXED if name in held]
    if len(parts) > 1:
        held[MIXTURE] = np.mean([held[name] for name in parts], axis=0)
    winner = choose(held, labels, prior, seed=seed)
    shares = {name: 1 / len(parts) for name in parts} if winner == MIXTURE else {winner: 1.0}
    calibration = Calibration(*pu.platt(held[winner], labels.label, prior))
    metrics = {name: measure(z, labels, prior) for name, z in held.items()}
    task = make_task(graph, blocks, labels, seed=seed)
    fitted = {}
    for name in shares:
        if name != UNSUPERVISED:
            with watch.stage(f"fit {name}"):
                fitted[name] = MODELS[name].fit(task, device=device)
    held_out = expit(calibration.apply(held[winner]))
    return Trained(winner, shares, fitted, calibration, prior, metrics, held_out, count)


def _chosen(names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return DEFAULT
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise UsageError(f"There is no model {unknown[0]!r}.", hint=f"Choose among {', '.join(MODELS)}.")
    return tuple(dict.fromkeys(names))


def held_out_scores(
    graph: Graph,
    blocks: Sequence[Block],
    labels: Labels,
    names: Sequence[str],
    *,
    seed: int,
    device: str,
    watch: Stopwatch,
) -> tuple[dict[str, FloatArray], int]:
    """Log odds of every account by each model that did not see the labels of the account's fold; how many folds.

    Raises:
        UsageError: there are too few labels.
    """
    positive = labels.label == ABUSIVE
    operations = len(np.unique(labels.unit[positive]))
    if positive.sum() < FEWEST or operations < 2:
        raise UsageError(
            f"{int(positive.sum())} abusive labels of {operations} operations are too few to learn from.",
            hint=f"Ingest a labels table with at least {FEWEST} abusive accounts of two operations.",
        )
    count = min(FOLDS, operations)
    fold = folds(labels, count, seed)
    held = {name: np.zeros(len(graph)) for name in (UNSUPERVISED, *names)}
    held[UNSUPERVISED] = graph.base.copy()
    for number in range(count):
        out = fold == number
        seen = replace(labels, label=np.where(out, UNKNOWN, labels.label).astype(np.int8))
        if not ((seen.label == ABUSIVE).any() and out.any()):
            continue
        task = make_task(graph, blocks, seen, seed=seed + number)
        view = full_view(graph, blocks, seen)
        for name in names:
            with watch.stage(f"validate {name}"):
                held[name][out] = MODELS[name].fit(task, device=device).score(view)[out]
    return held, count


def choose(held: dict[str, FloatArray], labels: Labels, prior: float, *, seed: int = 0) -> str:
    """The candidate to take: the mixture, unless another is better by more than its standard error.

    With few labels the differences between candidates are mostly noise, and the mean of several is the safest of
    them; the standard error is that of the paired difference over resampled units (the rule of one standard error is
    that of Breiman et al., "Classification and regression trees", 1984).
    """
    curves = {name: pu.Curve(z, labels.label, prior) for name, z in held.items()}
    whole = {name: curve.average_precision() for name, curve in curves.items()}
    usual = MIXTURE if MIXTURE in held else UNSUPERVISED
    best = max(whole, key=lambda name: (whole[name], name == usual))
    if best == usual or np.isnan(whole[usual]):
        return usual
    rng = np.random.default_rng([seed, 74])
    top = int(labels.unit.max(initial=-1)) + 1
    gaps = []
    for _ in range(RESAMPLES):
        weight = rng.poisson(1.0, top)[labels.unit].astype(np.float64)
        gaps.append(curves[best].average_precision(weight) - curves[usual].average_precision(weight))
    return best if whole[best] - whole[usual] > np.nanstd(gaps) else usual


def measure(z: FloatArray, labels: Labels, prior: float) -> dict[str, float]:
    """What a ranking is worth over the whole population: `auprc`, and `recall_at_k` where k is how many abusive
    accounts there must be."""
    label = labels.label
    k = round(pu.masses(label, prior)[0])
    order = np.argsort(-z, kind="stable")
    top = order[: min(max(k, 1), len(order))]
    positives = max(int((label == ABUSIVE).sum()), 1)
    return {
        "auprc": round(pu.average_precision(z, label, prior), 6),
        "recall_at_k": round(float((label[top] == ABUSIVE).sum() / positives), 6),
    }


def _mean(held: dict[str, FloatArray]) -> FloatArray:
    found = [z for name, z in held.items() if name != UNSUPERVISED] or list(held.values())
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)
