"""What each group of layers is worth: the whole run again without it, and with it alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ringwatch.evaluation.evaluate import EvaluationReport
from ringwatch.evaluation.intervals import Estimate, documents
from ringwatch.graphs import Detection
from ringwatch.pipeline import Rehearsal

Measure = Callable[[Detection], EvaluationReport]
"""Holds what a rehearsal found to the labels of an evaluation."""


@dataclass(frozen=True)
class Ablation:
    """One group of layers: figures of a run without it, and of one that has nothing else."""

    group: str
    left_out: dict[str, Estimate]
    alone: dict[str, Estimate]

    def document(self) -> dict[str, Any]:
        return {"group": self.group, "left_out": documents(self.left_out), "alone": documents(self.alone)}


def ablate(rehearsal: Rehearsal, measure: Measure) -> tuple[Ablation, ...]:
    """Leaves out every group of layers and of contrasts in turn, then all others; the log and the seed stay."""
    groups = sorted({*rehearsal.gathered.groups, *(contrast.group for contrast in rehearsal.weigh().contrasts)})

    def figures(group: str, without: Collection[str], how: str) -> dict[str, Estimate]:
        with rehearsal.watch.stage(f"{group}:{how}"):
            return headline(measure(rehearsal.detect(without=without)))

    return tuple(
        Ablation(
            group,
            figures(group, [group], "left out"),
            figures(group, [other for other in groups if other != group], "alone"),
        )
        for group in groups
    )


def headline(report: EvaluationReport) -> dict[str, Estimate]:
    """The four figures that a run is known by."""
    names = ("recovery", "precision_at_k", "pairwise_f1")
    return {**{name: report.clusters[name] for name in names}, "auprc": report.accounts["auprc"]}
