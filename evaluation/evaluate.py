"""Measures a run against a labels table: what counts, what is left out, and what to be warned of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.evaluation import metrics
from ringwatch.evaluation.intervals import (
    RESAMPLES,
    Estimate,
    account_estimates,
    collateral_estimate,
    mean_estimate,
    pair_estimates,
)
from ringwatch.evaluation.metrics import FloatArray, IntArray

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
    """

    run_id: str
    accounts: dict[str, Estimate]
    clusters: dict[str, Estimate]
    corrected: dict[float, dict[str, Estimate]]
    counts: dict[str, int]
    kinds: tuple[KindRecovery, ...] = ()
    attainable: float | None = None
    warnings: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        def all_of(estimates: dict[str, Estimate]) -> dict[str, Any]:
            return {name: estimate.document() for name, estimate in estimates.items()}

        return {
            "run_id": self.run_id,
            "accounts": all_of(self.accounts),
            "clusters": all_of(self.clusters),
            "prevalence_corrected": {f"{share:g}": all_of(found) for share, found in self.corrected.items()},
            "counts": dict(self.counts),
            "kinds": [kind.document() for kind in self.kinds],
            "attainable": self.attainable,
            "warnings": list(self.warnings),
        }


def assess(
    labels: pd.DataFrame,
    scores: pd.DataFrame,
    members: pd.DataFrame,
    clusters: pd.DataFrame,
    *,
    used: Collection[str] = (),
    operations: pd.DataFrame | None = None,
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
        operations: group_id, kind, attainable_f1.
        k: depth of both precisions and of recall; None: the number of positives, and of true groups.
    """
    truth = labels[["account_id", "label", "group_id"]]
    is_used = truth["account_id"].isin(list(used))
    left = is_used | truth["group_id"].isin(truth.loc[is_used, "group_id"].dropna())
    truth = truth.assign(score=truth["account_id"].map(scores.set_index("account_id")["score"]))
    unknown = ~left & truth["score"].isna()
    kept = truth[~left & ~unknown].reset_index(drop=True)
    positive = (kept["label"] == "abusive").to_numpy(dtype=np.bool_)
    group = _codes(kept["group_id"], positive)
    found = account_estimates(
        kept["score"].to_numpy(dtype=np.float64), positive, _units(group),
        k=k, prevalences=PREVALENCES, resamples=resamples, seed=seed,
    )  # fmt: skip
    corrected = {
        share: {name: found.pop(f"{name}@{share:g}") for name in ("auprc", "precision_at_k")} for share in PREVALENCES
    }

    out = members["account_id"].isin(truth.loc[left, "account_id"]).to_numpy()
    place = pd.Series(np.arange(len(clusters)), index=clusters["cluster_id"])
    of_member = place.reindex(members["cluster_id"]).to_numpy(dtype=np.int64)
    size = np.bincount(of_member[~out], minlength=len(clusters))
    cluster_of = pd.Series(of_member[~out], index=members["account_id"].to_numpy()[~out])
    cluster = cluster_of.reindex(kept["account_id"]).fillna(-1).to_numpy(dtype=np.int64)
    listed = size > np.bincount(of_member[out], minlength=len(clusters))
    by_cluster, best, groups = _cluster_estimates(
        positive, group, cluster, size, listed, k=k, resamples=resamples, seed=seed
    )
    kinds, attainable = _kinds(operations, kept.loc[positive, "group_id"], group[positive], best, resamples, seed)
    counts = {
        "labelled": len(truth),
        "evaluated": len(kept),
        "abusive": int(positive.sum()),
        "benign": int((~positive).sum()),
        "true_groups": groups,
        "recoverable_groups": len(best),
        "clusters": int(listed.sum()),
        "left_out": int(left.sum()),
        "left_out_by_group": int((left & ~is_used).sum()),
        "unknown_accounts": int(unknown.sum()),
    }
    return EvaluationReport(run_id, found, by_cluster, corrected, counts, kinds, attainable, _warnings(counts))


def _codes(group_id: pd.Series, positive: metrics.BoolArray) -> IntArray:
    """0 … g−1 for each pair of group and label that there is, those of abusive groups first; −1 without a group."""
    code = pd.factorize(group_id, sort=True)[0].astype(np.int64)
    key = np.where(code >= 0, code + np.where(positive, 0, len(code)), -1)
    present, place = np.unique(key, return_inverse=True)
    return np.asarray(place - int(len(present) > 0 and present[0] < 0), dtype=np.int64)


def _units(group: IntArray) -> IntArray:
    """The unit that each account is drawn with: its group, or itself."""
    unit = group.copy()
    alone = group < 0
    unit[alone] = int(group.max(initial=-1)) + 1 + np.arange(int(alone.sum()))
    return unit


def _cluster_estimates(
    positive: metrics.BoolArray,
    group: IntArray,
    cluster: IntArray,
    size: IntArray,
    listed: metrics.BoolArray,
    *,
    k: int | None,
    resamples: int,
    seed: int,
) -> tuple[dict[str, Estimate], FloatArray, int]:
    """The cluster figures, best F1 of each recoverable abusive group (in order of code), and how many true groups."""
    paired = ~positive | (group >= 0)
    sums = metrics.pair_sums(group[paired], cluster[paired])
    abusive = positive & (group >= 0)
    groups = int(group[abusive].max(initial=-1)) + 1
    best = metrics.best_f1(group[abusive], cluster[abusive], size)
    best = best[np.bincount(group[abusive], minlength=1) >= metrics.MIN_GROUP]
    hit = metrics.cluster_hits(group[abusive], cluster[abusive], size)[listed]
    inside = cluster >= 0
    labelled = np.bincount(cluster[inside], minlength=len(size))[listed]
    benign = np.bincount(cluster[inside & ~positive], minlength=len(size))[listed]
    depth = groups if k is None else k
    settings = {"resamples": resamples, "seed": seed}
    estimates = {
        "recovery": mean_estimate(best, **settings),
        **pair_estimates(sums, **settings),
        "precision_at_k": mean_estimate(hit[:depth].astype(np.float64), **settings),
        "collateral": collateral_estimate(benign, labelled, depth, **settings),
    }
    return estimates, best, groups


def _kinds(
    operations: pd.DataFrame | None,
    group_id: pd.Series,
    group: IntArray,
    best: FloatArray,
    resamples: int,
    seed: int,
) -> tuple[tuple[KindRecovery, ...], float | None]:
    if operations is None:
        return (), None
    names = pd.DataFrame({"group_id": group_id.to_numpy(), "code": group})
    names = names[names["code"] >= 0]
    sizes = names.groupby("code")["group_id"].agg(["first", "size"])
    sizes = sizes[sizes["size"] >= metrics.MIN_GROUP].assign(best=best).rename(columns={"first": "group_id"})
    known = sizes.merge(operations, on="group_id").sort_values(["kind", "group_id"])
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
