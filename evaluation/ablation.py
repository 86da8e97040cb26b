"""What each group of layers is worth: the whole run again without it, and what it finds alone; and what is said
besides, left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringwatch.evaluation.evaluate import EvaluationReport
from ringwatch.evaluation.intervals import Estimate, documents
from ringwatch.graphs import Detection
from ringwatch.graphs.clusters import BESIDES
from ringwatch.pipeline import Rehearsal

Measure = Callable[[Detection], EvaluationReport]
"""Holds what a rehearsal found to the labels of an evaluation."""


@dataclass(frozen=True)
class Ablation:
    """One group of layers: figures of a run without it, and of what it says by itself at the worth that the whole run
    has learnt. EM on one group would have nothing to hold that group to: its prior falls to the bound. What is
    said besides (`BESIDES`) finds nothing alone."""

    group: str
    left_out: dict[str, Estimate]
    alone: dict[str, Estimate] | None

    def document(self) -> dict[str, Any]:
        alone = None if self.alone is None else documents(self.alone)
        return {"group": self.group, "left_out": documents(self.left_out), "alone": alone}


def ablate(rehearsal: Rehearsal, measure: Measure) -> tuple[Ablation, ...]:
    """Leaves out every group of layers and of contrasts in turn, then all others; the log and the seed stay. Without
    a group everything is learnt anew; alone a group is compared on the candidate pairs of the whole. Then leaves out
    what is said besides of clusters, and of accounts."""
    whole = rehearsal.weigh()

    def figures(how: str, **wish: Any) -> dict[str, Estimate]:
        with rehearsal.watch.stage(how):
            return headline(measure(rehearsal.detect(**wish)))

    groups = sorted({*whole.groups, *(contrast.group for contrast in whole.contrasts)})
    return (
        *(
            Ablation(
                group,
                figures(f"{group}:left out", without=[group]),
                figures(f"{group}:alone", model=whole.only(group)),
            )
            for group in groups
        ),
        *(
            # What is written counts for pairs as well: they are weighed anew.
            Ablation(
                name, figures(f"{name}:left out", without=[name], model=None if name == "wording" else whole), None
            )
            for name in BESIDES
        ),
    )


def headline(report: EvaluationReport) -> dict[str, Estimate]:
    """The four figures that a run is known by."""
    names = ("recovery", "precision_at_k", "pairwise_f1")
    return {**{name: report.clusters[name] for name in names}, "auprc": report.accounts["auprc"]}
