"""Are the bits right? Of the pairs that claim a probability of one operator, how many have one; and of the clusters
that claim one of being an abusive operation, how many are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.evaluation.intervals import RESAMPLES, Estimate, estimate
from ringwatch.evaluation.metrics import ECE_BINS, BoolArray, FloatArray, IntArray
from ringwatch.evaluation.plots import Line, line_chart
from ringwatch.evaluation.truth import ObjectArray, Truth, place
from ringwatch.graphs import Model
from ringwatch.graphs.learning import probability

PLACES = frozenset({"campus", "internet_cafe"})
"""Kinds of benign groups that are strangers in one place; they are no party, as a household or a company is."""

PLOTTED = 5
"""Layers in a plot, by number of pairs."""


@dataclass(frozen=True)
class Bin:
    """Pairs (or clusters) that claim a probability from `low` to `high`: how many, their mean claim, the share that
    is right."""

    low: float
    high: float
    pairs: int
    claimed: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """How far claims are from the truth: the expected calibration error over `ECE_BINS` equal-width bins (`ece`) and
    over as many bins of equal numbers of pairs (`ece_equal_mass`), the mean claim, the share that is right."""

    pairs: int
    claimed: Estimate
    right: Estimate
    ece: Estimate
    ece_equal_mass: Estimate
    bins: tuple[Bin, ...]

    def document(self, counted: str = "pairs") -> dict[str, Any]:
        """As JSON; `counted` names what there are so many of."""
        return {
            counted: self.pairs,
            "claimed": self.claimed.document(),
            "right": self.right.document(),
            "ece": self.ece.document(),
            "ece_equal_mass": self.ece_equal_mass.document(),
            "bins": [
                {
                    "low": one.low, "high": one.high, counted: one.pairs,
                    "claimed": round(one.claimed, 6), "right": round(one.right, 6),
                }
                for one in self.bins
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Claimed:
    """Pairs within groups of one kind (or, `different`, between two): how many, their mean claim, how many stand."""

    kind: str
    pairs: int
    claimed: float
    standing: int


@dataclass(frozen=True)
class Calibration:
    """Reliability of all candidate pairs, and of the edges that stand; by layer, of the pairs on which that layer is
    the strongest evidence. `grouped` counts every benign group as one party, `strict` none. `clusters`: of the scores
    of clusters and of their coordination."""

    pairs: Reliability
    standing: Reliability
    grouped: Reliability
    strict: Reliability
    layers: dict[str, Reliability]
    kinds: tuple[Claimed, ...]
    clusters: dict[str, Reliability]

    def document(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs.document(),
            "standing": self.standing.document(),
            "grouped": self.grouped.document(),
            "strict": self.strict.document(),
            "layers": [{"layer": name, **one.document()} for name, one in self.layers.items()],
            "kinds": [asdict(one) for one in self.kinds],
            "clusters": {name: one.document("clusters") for name, one in self.clusters.items()},
        }


def calibrate(
    model: Model,
    accounts: pd.Index,
    truth: Truth,
    members: pd.DataFrame,
    clusters: pd.DataFrame,
    *,
    operations: pd.DataFrame | None = None,
    benign_groups: pd.DataFrame | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Calibration:
    """Holds the probabilities of a model's candidate pairs, and those of clusters, to the truth.

    What counts: pairs both ends of which are labelled, seen by the run and not left out of the evaluation. A pair is
    right where both ends are of one party, that is in one true group (one group_id, one label), operation or benign:
    bits are of coordination, and a company is as coordinated as an operation. Those who only share a place (`PLACES`)
    are strangers. A pair is wrong where they are in two, or where an end is a benign account of no known group;
    `grouped` counts those of one place as right, `strict` the pairs of all benign groups as wrong. Pairs with an
    abusive account without a group are left out, since who its mates are is not known. A cluster counts where more
    than half of its members are labelled; a score is right where more than half are in one abusive group,
    coordination where they are in one true group of either sort.

    Args:
        accounts: ids in the order of the model's indexes. members: cluster_id, account_id. clusters: cluster_id,
            score, coordination.
        operations, benign_groups: group_id and kind of groups, the latter with their account_id.
    """
    truth = truth.with_benign(benign_groups)
    row = pd.Series(np.flatnonzero(truth.paired), index=truth.accounts[truth.paired]).reindex(accounts)
    known = row.fillna(-1).to_numpy(dtype=np.int64)
    first, second = known[model.first], known[model.second]
    counted = np.flatnonzero((first >= 0) & (second >= 0))
    first, second = first[counted], second[counted]
    right = (truth.group[first] >= 0) & (truth.group[first] == truth.group[second])
    strangers = _of_places(benign_groups)
    party = right & ~np.isin(truth.group_id[first], strangers)
    claim = probability(model.bits()[counted])
    units = truth.units

    def of(some: BoolArray, right: BoolArray = party) -> Reliability:
        ends = units[first[some]], units[second[some]]
        return reliability(claim[some], right[some], ends, resamples=resamples, seed=seed)

    everything = np.ones(len(counted), dtype=np.bool_)
    names, strongest = _strongest(model, counted)
    return Calibration(
        of(everything),
        of(claim > 0.5),
        of(everything, right),
        of(everything, right & truth.positive[first]),
        {name: of(strongest == number) for number, name in enumerate(names) if (strongest == number).any()},
        _kinds(claim, right, truth.group_id[first], operations, benign_groups),
        _clusters(truth, members, clusters, resamples=resamples, seed=seed),
    )


def _of_places(benign_groups: pd.DataFrame | None) -> list[str]:
    if benign_groups is None:
        return []
    return sorted(set(benign_groups.loc[benign_groups["kind"].isin(PLACES), "group_id"]))


def _clusters(
    truth: Truth, members: pd.DataFrame, clusters: pd.DataFrame, *, resamples: int, seed: int
) -> dict[str, Reliability]:
    placed = place(truth, members, clusters["cluster_id"])
    inside = placed.cluster >= 0
    labelled = np.bincount(placed.cluster[inside], minlength=len(clusters))
    counted = np.flatnonzero(placed.listed & (2 * labelled > placed.size))
    grouped = inside & (truth.group >= 0)
    cells = pd.DataFrame({"cluster": placed.cluster[grouped], "group": truth.group[grouped]})
    cells = cells.value_counts(sort=False).reset_index(name="members")
    most = cells[2 * cells["members"] > placed.size[cells["cluster"]]].set_index("cluster")["group"]
    # The one group that most of a cluster is; a cluster of no such group is a unit of its own.
    group = most.reindex(counted).fillna(-1).to_numpy(dtype=np.int64)
    unit = np.where(group >= 0, group, int(truth.group.max(initial=-1)) + 1 + counted)
    right = {"score": (group >= 0) & (group < truth.groups), "coordination": group >= 0}
    return {
        name: reliability(
            clusters[name].to_numpy(dtype=np.float64)[counted],
            right[name],
            (unit, unit),
            resamples=resamples,
            seed=seed,
        )
        for name in right
    }


def _kinds(
    claim: FloatArray,
    right: BoolArray,
    group_id: ObjectArray,
    operations: pd.DataFrame | None,
    benign_groups: pd.DataFrame | None,
) -> tuple[Claimed, ...]:
    kinds: dict[str, str] = {}
    for prefix, frame in (("", operations), ("benign ", benign_groups)):
        if frame is not None:
            kinds |= dict(zip(frame["group_id"], prefix + frame["kind"], strict=True))
    kind = pd.Series(group_id).map(kinds).fillna("unnamed").where(right, "different")
    names, at = np.unique(kind.to_numpy(dtype=str), return_inverse=True)
    pairs, stand = np.bincount(at), np.bincount(at[claim > 0.5], minlength=len(names))
    claimed = (np.bincount(at, claim) / pairs).round(6)
    return tuple(
        Claimed(*row) for row in zip(names.tolist(), pairs.tolist(), claimed.tolist(), stand.tolist(), strict=True)
    )


def reliability_chart(calibration: Calibration) -> str:
    """The reliability curves of all pairs and of the layers that are the strongest evidence on most, as SVG."""
    layers = sorted(calibration.layers.items(), key=lambda item: (-item[1].pairs, item[0]))[:PLOTTED]
    lines = [Line("as claimed", [(0.0, 0.0), (1.0, 1.0)], dashed=True)]
    lines += [
        Line(name, [(one.claimed, one.right) for one in found.bins])
        for name, found in (("all pairs", calibration.pairs), *layers)
    ]
    return line_chart(lines, title="Of pairs that claim p, how many are one group's", x="claimed", y="right")


def _strongest(model: Model, pairs: IntArray) -> tuple[list[str], IntArray]:
    """Names of layers, and for each pair which of them says most for one operator; −1 where none does."""
    names: list[str] = []
    best = np.zeros(len(pairs))
    which = np.full(len(pairs), -1, dtype=np.int64)
    for reason in model.explain(pairs):
        if reason.kind == "shared":
            more = reason.bits > best[reason.at]
            best[reason.at[more]] = reason.bits[more]
            which[reason.at[more]] = len(names)
            names.append(reason.name)
    return names, which


def reliability(
    claim: FloatArray,
    right: BoolArray,
    ends: tuple[IntArray, IntArray],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Reliability:
    """Claims against the truth, with intervals by a bootstrap of true groups.

    A pair within a unit counts as often as the unit is drawn, one between two as often as both are (the product of
    the two, Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007).

    Args:
        claim: float64[pairs] in [0, 1]. right: bool[pairs].
        ends: for each pair the unit (a true group, or an account alone) of either end.
    """
    bins = (np.minimum((claim * ECE_BINS).astype(np.int64), ECE_BINS - 1), _equal_mass(claim))
    error = right - claim
    units, ends_at = np.unique(np.concatenate(ends), return_inverse=True)
    one, other = ends_at[: len(claim)], ends_at[len(claim) :]
    generator = np.random.default_rng(seed)
    values = _figures(claim, right, error, bins, np.ones(len(claim)))
    draws = []
    for _ in range(resamples if len(units) > 1 else 0):
        times = np.bincount(generator.integers(0, len(units), len(units)), minlength=len(units)).astype(np.float64)
        draws.append(_figures(claim, right, error, bins, times[one] * np.where(one == other, 1.0, times[other])))
    claimed, share, ece, mass = (
        estimate(value, (draw[place] for draw in draws)) for place, value in enumerate(values)
    )
    return Reliability(len(claim), claimed, share, ece, mass, _table(claim, right, bins[0]))


def _equal_mass(claim: FloatArray) -> IntArray:
    """Bins of about as many pairs each; equal claims are in one bin."""
    if len(claim) == 0:
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(claim, np.arange(1, ECE_BINS) / ECE_BINS, method="higher"))
    return np.searchsorted(edges, claim, side="right").astype(np.int64)


def _figures(
    claim: FloatArray, right: BoolArray, error: FloatArray, bins: tuple[IntArray, IntArray], weight: FloatArray
) -> tuple[float, float, float, float]:
    total = float(weight.sum())
    if total == 0:
        return (float("nan"),) * 4
    gaps = [float(np.abs(np.bincount(one, weight * error)).sum()) / total for one in bins]
    return float(weight @ claim) / total, float(weight @ right) / total, gaps[0], gaps[1]


def _table(claim: FloatArray, right: BoolArray, bins: IntArray) -> tuple[Bin, ...]:
    pairs = np.bincount(bins, minlength=ECE_BINS)
    claimed, true = np.bincount(bins, claim, minlength=ECE_BINS), np.bincount(bins, right, minlength=ECE_BINS)
    return tuple(
        Bin(
            round(at / ECE_BINS, 6), round((at + 1) / ECE_BINS, 6), int(pairs[at]),
            float(claimed[at] / pairs[at]), float(true[at] / pairs[at]),
        )
        for at in np.flatnonzero(pairs).tolist()
    )  # fmt: skip
