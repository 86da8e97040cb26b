"""Measures a run against a labels table: what counts, what is left out, and what to be warned of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ringwatch.evaluation import metrics
from ringwatch.evaluation.intervals import (
    RESAMPLES,
    Estimate,
    account_estimates,
    collateral_estimate,
    documents,
    mean_estimate,
    pair_estimates,
)
from ringwatch.evaluation.lookalikes import Lookalike, find_lookalikes
from ringwatch.evaluation.metrics import FloatArray
from ringwatch.evaluation.truth import Placed, Truth, place, select

if TYPE_CHECKING:
    from ringwatch.evaluation.ablation import Ablation
    from ringwatch.evaluation.calibration import Calibration
    from ringwatch.evaluation.peers import Peer

PREVALENCES = (0.01, 0.001)
"""Shares of abusive accounts that a provider may have; labels are far richer in abuse than the world is."""

FEW_GROUPS = 10
"""Below so many true groups an interval says little."""


@dataclass(frozen=True)
class KindRecovery:
    """Recovery over the operations of one kind; `attainable` is the mean best F1 that their traces allow."""

    kind: str
    groups: int
    recovery: Estimate
    attainable: float | None

    def document(self) -> dict[str, Any]:
        value = self.recovery.value
        ratio = round(value / self.attainable, 6) if value is not None and self.attainable else None
        return {
            "kind": self.kind,
            "groups": self.groups,
            "recovery": self.recovery.document(),
            "attainable": self.attainable,
            "attainable_ratio": ratio,
        }


@dataclass(frozen=True)
class EvaluationReport:
    """The figures of one run against one labels table.

    `corrected` has, by prevalence, the account figures that the same ranking would show at that prevalence. `kinds`
    is empty where no operations are known; `attainable` is the mean best attainable F1 of all operations.
    `lookalikes` are the clusters among the first k most of whose members are benign. `peers`, `calibration` and
    `ablation` are there where they were asked for.
    """

    run_id: str
    accounts: dict[str, Estimate]
    clusters: dict[str, Estimate]
    corrected: dict[float, dict[str, Estimate]]
    counts: dict[str, int]
    kinds: tuple[KindRecovery, ...] = ()
    attainable: float | None = None
    lookalikes: tuple[Lookalike, ...] = ()
    warnings: list[str] = field(default_factory=list)
    peers: tuple[Peer, ...] | None = None
    calibration: Calibration | None = None
    ablation: tuple[Ablation, ...] | None = None

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "accounts": documents(self.accounts),
            "clusters": documents(self.clusters),
            "prevalence_corrected": {f"{share:g}": documents(found) for share, found in self.corrected.items()},
            "counts": dict(self.counts),
            "kinds": [kind.document() for kind in self.kinds],
            "attainable": self.attainable,
            "lookalikes": {
                "clusters": len(self.lookalikes),
                "of_one_group": sum(one.of_one_group for one in self.lookalikes),
                "named": [one.document() for one in self.lookalikes],
            },
            "warnings": list(self.warnings),
        }
        if self.peers is not None:
            document["peers"] = [one.document() for one in self.peers]
        if self.calibration is not None:
            document["calibration"] = self.calibration.document()
        if self.ablation is not None:
            document["ablation"] = [one.document() for one in self.ablation]
        return document


def assess(
    labels: pd.DataFrame,
    scores: pd.DataFrame,
    members: pd.DataFrame,
    clusters: pd.DataFrame,
    *,
    used: Collection[str] = (),
    operations: pd.DataFrame | None = None,
    benign_groups: pd.DataFrame | None = None,
    k: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    run_id: str = "",
) -> EvaluationReport:
    """Measures scores and clusters against labels; no input and no output but tables.

    Left out, with their whole group: accounts whose label the run used (`used`). They leave the clusters too, and a
    cluster of which they were half or more does not count among the first k. Accounts that the run never saw are left
    out as well. A true group is all accounts with one group_id and one label; clusters are measured at all their
    members, labelled or not, but for the pair and BCubed figures, which are over labelled accounts.

    Args:
        labels: account_id, label, group_id; one row an account.
        scores: account_id, score. members: cluster_id, account_id. clusters: cluster_id, highest score first.
        operations: group_id, kind, attainable_f1. benign_groups: account_id, group_id, kind of those that are known.
        k: depth of both precisions and of recall; None: the number of positives, and of true groups.
    """
    truth = select(labels, scores["account_id"], used)
    score = scores.set_index("account_id")["score"].reindex(truth.accounts).to_numpy(dtype=np.float64)
    settings = {"resamples": resamples, "seed": seed}
    found = account_estimates(score, truth.positive, truth.units, k=k, prevalences=PREVALENCES, **settings)
    corrected = {
        share: {name: found.pop(f"{name}@{share:g}") for name in ("auprc", "precision_at_k")} for share in PREVALENCES
    }
    placed = place(truth, members, clusters["cluster_id"])
    depth = truth.groups if k is None else k
    by_cluster, best = _cluster_estimates(truth, placed, depth, **settings)
    kinds, attainable = _kinds(operations, truth, best, **settings)
    counts = truth.counts | {
        "true_groups": truth.groups,
        "recoverable_groups": len(best),
        "clusters": int(placed.listed.sum()),
    }
    benign = find_lookalikes(truth, placed, depth, benign_groups)
    return EvaluationReport(
        run_id, found, by_cluster, corrected, counts, kinds, attainable, benign, _warnings(counts)
    )


def _cluster_estimates(
    truth: Truth, placed: Placed, depth: int, *, resamples: int, seed: int
) -> tuple[dict[str, Estimate], FloatArray]:
    """The cluster figures, and the best F1 of each recoverable abusive group, in order of code."""
    settings = {"resamples": resamples, "seed": seed}
    cluster, size, listed = placed.cluster, placed.size, placed.listed
    paired, grouped = truth.paired, truth.grouped
    sums = metrics.pair_sums(truth.group[paired], cluster[paired])
    group = truth.group[grouped]
    recoverable = np.bincount(group, minlength=1) >= metrics.MIN_GROUP
    best = metrics.best_f1(group, cluster[grouped], size)[recoverable]
    pieces = metrics.fragments(group, cluster[grouped])[recoverable]
    hit = metrics.cluster_hits(group, cluster[grouped], size)[listed]
    inside = cluster >= 0
    labelled = np.bincount(cluster[inside], minlength=len(size))[listed]
    benign = np.bincount(cluster[inside & ~truth.positive], minlength=len(size))[listed]
    estimates = {
        "recovery": mean_estimate(best, **settings),
        **pair_estimates(sums, **settings),
        "precision_at_k": mean_estimate(hit[:depth].astype(np.float64), **settings),
        "collateral": collateral_estimate(benign, labelled, depth, **settings),
        "fragmentation": mean_estimate(pieces[pieces > 0].astype(np.float64), **settings),
    }
    return estimates, best


def _kinds(
    operations: pd.DataFrame | None, truth: Truth, best: FloatArray, *, resamples: int, seed: int
) -> tuple[tuple[KindRecovery, ...], float | None]:
    if operations is None:
        return (), None
    size = np.bincount(truth.group[truth.grouped], minlength=len(truth.names))
    found = pd.DataFrame({"group_id": truth.names})[size[: len(truth.names)] >= metrics.MIN_GROUP].assign(best=best)
    known = found.merge(operations, on="group_id").sort_values(["kind", "group_id"])
    kinds = tuple(
        KindRecovery(
            str(kind),
            len(rows),
            mean_estimate(rows["best"].to_numpy(dtype=np.float64), resamples=resamples, seed=seed),
            _mean(rows["attainable_f1"]),
        )
        for kind, rows in known.groupby("kind")
    )
    return kinds, _mean(known["attainable_f1"])


def _mean(values: pd.Series) -> float | None:
    mean = float(values.mean())
    return None if np.isnan(mean) else round(mean, 6)


def _warnings(counts: dict[str, int]) -> list[str]:
    warnings = []
    if counts["evaluated"] == 0:
        warnings.append(
            "No labelled account is left to evaluate: the run used all labels, or saw none of the accounts."
        )
    if counts["unknown_accounts"]:
        warnings.append(f"{counts['unknown_accounts']} labelled accounts are not in the run and were left out.")
    if 0 < counts["recoverable_groups"] < FEW_GROUPS:
        warnings.append(f"Only {counts['recoverable_groups']} true groups: the intervals of clusters say little.")
    return warnings
