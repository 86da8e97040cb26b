"""From labels to a model: cross-validation by operation, a pick or an ensemble, calibration, and the fit on all.

Nothing here writes a file or asks for the time. The same graph, labels and seed give the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ringwatch.errors import UsageError
from ringwatch.gnn import pu
from ringwatch.gnn.calibration import Calibration, calibrate
from ringwatch.gnn.checkpoint import NO_CHECKPOINT, Checkpoint
from ringwatch.gnn.graph import FloatArray, Graph
from ringwatch.gnn.labels import ABUSIVE, BENIGN, UNKNOWN, Labels, folds
from ringwatch.gnn.models import MODELS, PROPAGATION, Fitted
from ringwatch.gnn.neighbours import Block
from ringwatch.gnn.task import Task, View, full_view, make_task
from ringwatch.graphs.labels import LABEL_BITS
from ringwatch.metrics import Stopwatch

UNSUPERVISED = "unsupervised"
"""The score of `detect` without labels; a candidate like any other."""

BASELINES = (UNSUPERVISED, "logistic", "trees", "belief", "graph-trees")
"""Candidates that are no graph neural network and no mixture."""

FOLDS = 3
MIXTURE, WITH_BELIEF = "mixture", "mixture-belief"
MIXTURES: Mapping[str, tuple[str, ...]] = {
    MIXTURE: ("graph-trees", PROPAGATION),
    WITH_BELIEF: ("belief", "graph-trees", PROPAGATION),
}
"""Equal mixtures of models that err differently: all columns at once; what shows on accounts alone, passed on to
neighbours; and, which is what there is where nothing shows on an account, the evidence with what labels say."""

DEFAULT = ("logistic", "trees", "belief", "graph-trees", PROPAGATION, "metapath")
"""What is trained where nothing is named. `signed` and `metapath-nnpu` take as long again and were not better."""

RESAMPLES = 100
CLEARLY = 2.0
"""By so many standard errors another candidate must be better than the usual mixture to be taken instead."""

FEWEST = 3
"""Abusive labels and abusive operations below which nothing can be held out."""

LABEL_ODDS = LABEL_BITS * float(np.log(2))
"""What a reviewer's label says of the account itself, as natural log odds."""


@dataclass(frozen=True)
class Trained:
    """A model that is ready: its parts with their shares, what they learnt, and how good all candidates were.

    `shares` by name of model add up to 1. `metrics` by candidate: `auprc` and `recall_at_k` over the population, held
    out by operation. `held_out` are calibrated log odds of all accounts by models that did not see their operation's
    labels; float64[n].
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
    kept: Checkpoint = NO_CHECKPOINT,
) -> Trained:
    """Fits every model of `names` (`DEFAULT`, unless some are named), picks or mixes, calibrates.

    `kept` holds what the same training fitted before it was cut short.

    Raises:
        UsageError: too few labels, an unknown model, or a package that a model needs is missing.
    """
    watch = watch or Stopwatch()
    names = _chosen(names)
    held, count = held_out_scores(graph, blocks, labels, names, seed=seed, device=device, watch=watch, kept=kept)
    held |= {name: _mean(held, parts) for name, parts in MIXTURES.items() if held.keys() >= set(parts)}
    by = [name for name in MIXTURES if name in held][-1:] or names
    prior = pu.estimate_prior(_mean(held, by), labels.label)
    winner = choose(held, labels, prior, usual=MIXTURE if _shows_harm(graph) else WITH_BELIEF, seed=seed)
    parts = MIXTURES.get(winner, (winner,))
    shares = {name: 1 / len(parts) for name in parts}
    calibration = calibrate(held[winner], labels, prior, seed=seed)
    metrics = {name: measure(z, labels, prior) for name, z in held.items()}
    task = make_task(graph, blocks, labels, seed=seed)
    fitted = {}
    for name in shares:
        if name != UNSUPERVISED:
            with watch.stage(f"fit {name}"):
                fitted[name] = kept.fitted(name, MODELS[name], partial(MODELS[name].fit, task, device=device))
    held_out = calibration.apply(held[winner])
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
    kept: Checkpoint = NO_CHECKPOINT,
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
    done = 0
    for number in range(count):
        out = fold == number
        seen = replace(labels, label=np.where(out, UNKNOWN, labels.label).astype(np.int8))
        if not ((seen.label == ABUSIVE).any() and out.any()):
            continue
        task = make_task(graph, blocks, seen, seed=seed + number)
        view = full_view(graph, blocks, seen)

        def score(name: str, task: Task = task, view: View = view) -> FloatArray:
            return MODELS[name].fit(task, device=device).score(view)

        for name in names:
            with watch.stage(f"validate {name}"):
                held[name][out] = kept.scores(f"{name}-{number}", partial(score, name))[out]
            done += 1
            watch.progress(done, count * len(names))
    return held, count


def _resamples(labels: Labels, seed: int) -> Iterator[FloatArray]:
    """How often each account counts when units are drawn anew; float64[n], `RESAMPLES` times."""
    rng = np.random.default_rng([seed, 74])
    top = int(labels.unit.max(initial=-1)) + 1
    for _ in range(RESAMPLES):
        yield rng.poisson(1.0, top)[labels.unit].astype(np.float64)


def _shows_harm(graph: Graph) -> bool:
    """Whether harm is seen at any account: else accounts alone show nothing that could be passed on."""
    return "harm_rate" in graph.names and bool((graph.features[:, graph.names.index("harm_rate")] > 0).any())


def choose(held: dict[str, FloatArray], labels: Labels, prior: float, *, usual: str = MIXTURE, seed: int = 0) -> str:
    """The candidate to take: the `usual` one, or where it is not held the unsupervised score, unless another is
    clearly better.

    With few labels the differences between candidates are mostly noise, and a mixture is the safest of them; the
    standard error is that of the paired difference over resampled units.
    """
    curves = {name: pu.Curve(z, labels.label, prior) for name, z in held.items()}
    whole = {name: curve.average_precision() for name, curve in curves.items()}
    usual = usual if usual in held else UNSUPERVISED
    best = max(whole, key=lambda name: (whole[name], name == usual))
    if best == usual or np.isnan(whole[usual]):
        return usual
    gaps = [
        curves[best].average_precision(weight) - curves[usual].average_precision(weight)
        for weight in _resamples(labels, seed)
    ]
    return best if whole[best] - whole[usual] > CLEARLY * np.nanstd(gaps) else usual


def measure(z: FloatArray, labels: Labels, prior: float) -> dict[str, float]:
    """What a ranking is worth over the whole population: `auprc`, and `recall_at_k` where k is how many abusive
    accounts there must be."""
    label = labels.label
    k = round(pu.masses(label, prior)[0])
    abusive = label == ABUSIVE
    return {
        "auprc": round(pu.average_precision(z, label, prior), 6),
        "recall_at_k": round(pu.hits_at_k(z, abusive, max(k, 1)) / max(int(abusive.sum()), 1), 6),
    }


def _mean(held: dict[str, FloatArray], names: Sequence[str]) -> FloatArray:
    return np.asarray(np.mean([held[name] for name in names], axis=0), dtype=np.float64)
